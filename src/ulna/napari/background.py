"""Work that takes long, in a thread of its own: with a bar, a button that stops it, and errors in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from magicgui.widgets import ProgressBar, PushButton
from napari.qt.threading import create_worker
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject, Signal

from ulna.console import screen
from ulna.dataset import Progress
from ulna.errors import UlnaError

T = TypeVar("T")
R = TypeVar("R")


class Stopped(Exception):
    """The user has pressed the button that stops the work."""


class _Steps(QObject):  # type: ignore[misc]
    """Carries how far the work is from its thread to that of the window."""

    moved = Signal(int, int)


class Background:
    """Does one thing at a time in a thread of its own.

    What the work prints for the reader is shown as a notification when it is done.
    """

    def __init__(self) -> None:
        self.bar = ProgressBar(visible=False)
        self.stop = PushButton(text="Stop", visible=False)
        self.stop.changed.connect(self._stop)
        self.busy = False
        self._stopping = False
        self._steps = _Steps()
        self._steps.moved.connect(self._show)

    @property
    def widgets(self) -> list[ProgressBar | PushButton]:
        """What a widget shows of it."""
        return [self.bar, self.stop]

    def start(self, work: Callable[[Progress], R], done: Callable[[R], None]) -> None:
        """Begin, unless something else is being done.

        Parameters
        ----------
        work
            Gets a progress that it passes what it does through, step by step; between two steps it can be stopped.
        done
            Takes the result, in the thread of the window.
        """
        if self.busy:
            show_info("Something is being done here: wait for its end, or press Stop.")
            return

        def run() -> tuple[R, str]:
            with screen.capture() as said:
                result = work(self._track)
            return result, said.get().strip()

        def returned(found: tuple[R, str]) -> None:
            if not self._stopping:
                done(found[0])
                if found[1]:
                    show_info(found[1])

        self._stopping = False
        self._set_busy(True)
        worker: Any = create_worker(run, _start_thread=False, _ignore_errors=True)
        worker.returned.connect(returned)
        worker.errored.connect(self._failed)
        worker.finished.connect(lambda: self._set_busy(False))
        worker.start()

    def _track(self, items: Sequence[T], _what: str, /) -> Iterable[T]:
        for number, item in enumerate(items):
            if self._stopping:
                raise Stopped
            self._steps.moved.emit(number, len(items))
            yield item

    def _stop(self) -> None:
        self._stopping = True

    def _show(self, number: int, count: int) -> None:
        self.bar.min, self.bar.max, self.bar.value = 0, count, number

    def _set_busy(self, busy: bool) -> None:
        self.busy = self.bar.visible = self.stop.visible = busy
        if busy:
            self.bar.min = self.bar.max = self.bar.value = 0  # moves without end until the first step is known

    def _failed(self, error: Exception) -> None:
        if isinstance(error, Stopped):
            show_info("Stopped.")
        elif isinstance(error, UlnaError | MemoryError):
            show_error(str(error) or "the memory of this machine does not hold it")
        else:
            raise error  # a fault of ulna itself: napari shows where it arose
