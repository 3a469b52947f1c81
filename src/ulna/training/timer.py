"""Time that a run has used. The clock is passed in, so that tests need not wait."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from ulna.dataset import Progress

T = TypeVar("T")


class Clock(Protocol):
    """Anything with a time in seconds that only grows."""

    def now(self) -> float:
        """Seconds since any fixed moment."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds of `time.monotonic`."""
        return time.monotonic()


HEARTBEAT = 1.0
"""Seconds between two records of the time used: a kill loses no more than that, and one step."""


class Timer:
    """Seconds that a run has used since its first command, and how many it may use.

    Parameters
    ----------
    clock
        Where the time comes from.
    used
        Seconds that the run had used before this moment, those of earlier commands included.
    limit
        Seconds that the run may use in all.
    record
        Called with the seconds used, about once per `HEARTBEAT`, whenever `beat` is called.

    Examples
    --------
    >>> class Still:
    ...     def now(self) -> float:
    ...         return 5.0
    >>> timer = Timer(Still(), used=20.0, limit=60.0)
    >>> timer.seconds, timer.left
    (20.0, 40.0)
    """

    def __init__(
        self,
        clock: Clock,
        *,
        used: float = 0.0,
        limit: float = math.inf,
        record: Callable[[float], None] | None = None,
    ) -> None:
        self.clock = clock
        self.limit = limit
        self._start = clock.now() - used
        self._record = record
        self._recorded = -math.inf

    @property
    def seconds(self) -> float:
        """Seconds used until now."""
        return self.clock.now() - self._start

    @property
    def left(self) -> float:
        """Seconds until the limit; below 0 after it."""
        return self.limit - self.seconds

    def add(self, seconds: float) -> None:
        """Count seconds that earlier commands have used."""
        self._start -= seconds

    def watching(self, progress: Progress) -> Progress:
        """A `Progress` that beats before each item."""

        def watched(items: Sequence[T], what: str, /) -> Iterable[T]:
            for item in progress(items, what):
                self.beat()
                yield item

        return watched

    def beat(self) -> None:
        """Record the seconds used, unless that was done a moment ago."""
        seconds = self.seconds
        if self._record is not None and seconds - self._recorded >= HEARTBEAT:
            self._record(seconds)
            self._recorded = seconds
