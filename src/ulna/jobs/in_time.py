"""A job on as many cases as its time allows: any number of them is spread evenly over all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ulna.dataset import Progress

T = TypeVar("T")

Until = Callable[[], bool]
"""Answers, before each case, whether there is time for it."""


def evenly(items: Sequence[T]) -> list[T]:
    """The items in an order whose beginnings are spread evenly over all of them.

    Examples
    --------
    >>> evenly(range(8))
    [0, 4, 2, 6, 1, 5, 3, 7]
    """
    digits = max(len(items) - 1, 1).bit_length()
    return [items[index] for index in sorted(range(len(items)), key=lambda k: int(f"{k:0{digits}b}"[::-1], 2))]


def in_time(progress: Progress, until: Until) -> Progress:
    """A progress that passes on items as long as there is time, and the first one in any case."""

    def limited(items: Sequence[T], what: str, /) -> Iterable[T]:
        for number, item in enumerate(progress(items, what)):
            if number and not until():
                return
            yield item

    return limited
