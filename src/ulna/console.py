"""What a job shows on the terminal while it works. Everything goes to standard error, results go to standard output."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

WIDE = 400
"""Columns where there is no terminal: in a file nothing should be broken but by its writer."""

_PAGE = 120
"""Columns of a table in a notebook or a string."""

screen = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else WIDE, force_jupyter=False)
"""Where progress, notes and errors are shown. A notebook is a file to it: rich's own way there wants ipywidgets."""


def bar(*, transient: bool = True) -> Progress:
    """A progress bar with what is done, how many are left and for how long; use it as a context."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=screen,
        transient=transient,
    )


class Sized(Protocol[T_co]):
    """What can be gone through, and says how long that is: a sequence, for one."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[T_co]: ...


def track(items: Sized[T], description: str) -> Iterable[T]:
    """Go through `items` with a progress bar; the bar vanishes when it is done."""
    with bar() as progress:
        yield from progress.track(items, total=len(items), description=description)


def track_parts(items: Sized[T], description: str) -> Iterator[tuple[T, Callable[[Sized[Any], str], Iterable[Any]]]]:
    """Go through `items` as `track` does; with each comes a function that shows a second bar for its own parts."""
    with bar() as progress:

        def parts(inner: Sized[Any], words: str) -> Iterator[Any]:
            task = progress.add_task(words, total=len(inner))
            try:
                for one in inner:
                    yield one
                    progress.advance(task)
            finally:
                progress.remove_task(task)

        for item in progress.track(items, total=len(items), description=description):
            yield item, parts


def say(words: str) -> None:
    """One line to the reader; `[bold]…[/]` and the like are rich's markup."""
    screen.print(words)


class Printed:
    """A record that prints itself with rich: the same table with `print`, and in Jupyter.

    The record has `__rich__`. `repr` stays its own, and should be one line.
    """

    def __str__(self) -> str:
        """The table as plain text."""
        return self._recorded(color=False).export_text().rstrip()

    def _repr_html_(self) -> str:
        """The table as HTML, which Jupyter shows."""
        frame = '<pre style="white-space:pre;overflow-x:auto;line-height:1.3;font-family:monospace">{code}</pre>'
        return self._recorded(color=True).export_html(inline_styles=True, code_format=frame)

    def _recorded(self, *, color: bool) -> Console:
        console = Console(
            record=True, file=io.StringIO(), width=_PAGE, highlight=False, force_jupyter=False,
            color_system="truecolor" if color else None,
        )  # fmt: skip
        console.print(self)
        return console
