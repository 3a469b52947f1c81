"""What a job shows on the terminal while it works. Everything goes to standard error, results go to standard output."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

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

WIDE = 400
"""Columns where there is no terminal: in a file nothing should be broken but by its writer."""

screen = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else WIDE)
"""Where progress, notes and errors are shown."""


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


def track(items: Sequence[T], description: str) -> Iterable[T]:
    """Go through `items` with a progress bar; the bar vanishes when it is done."""
    with bar() as progress:
        yield from progress.track(items, description=description)


def say(words: str) -> None:
    """One line to the reader; `[bold]…[/]` and the like are rich's markup."""
    screen.print(words)


def clock(seconds: float) -> str:
    """Seconds as people read them: "0:42", "12:05", "1:02:03"; "–" while they are not known."""
    if not math.isfinite(seconds):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
