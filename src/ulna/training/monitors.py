"""What a training shows while it works, and how it notices that it has collapsed."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ulna.console import say, screen
from ulna.errors import UlnaError
from ulna.text import clock

PATIENCE = 3
"""So many validations running in which nothing was found are worth a warning."""


class ProgressBar:
    """A bar with the loss, the validation score and the time left; a line per epoch where there is no terminal.

    `score` is what tables call the score, `epochs` how many there will be, where that is known. Epochs are counted
    from 1, as in `metrics.csv`.
    """

    def __init__(self, score: str, epochs: int | None = None) -> None:
        self._name = score
        self._of = f" of {epochs}" if epochs else ""
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
            console=screen,
            transient=True,
            disable=not screen.is_terminal,
        )
        self._task = self._bar.add_task("training", total=1.0, words="", left="–")
        self._loss = math.nan
        self._score: float | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, loss: float, *, epoch: int, progress: float, left: float) -> None:
        """Move the bar on."""
        self._loss = loss if math.isnan(self._loss) else 0.95 * self._loss + 0.05 * loss
        self._bar.update(self._task, completed=progress, words=self._words(epoch), left=clock(left))

    def epoch(self, score: float | None, *, epoch: int, left: float) -> None:
        """Without a terminal, say how far it is."""
        self._score = score
        if not screen.is_terminal:
            say(f"{self._words(epoch)}  left {clock(left)}")

    def _words(self, epoch: int) -> str:
        score = "" if self._score is None else f"  validation {self._name} {self._score:.3f}"
        return f"epoch {epoch}{self._of}  loss {self._loss:.3f}{score}"


def check_loss(loss: float, *, step: int, learning_rate: float, what: str = "loss") -> None:
    """Raise UlnaError when the loss or the gradient of a step is not a number: no later step can repair the weights."""
    if not math.isfinite(loss):
        raise UlnaError(
            f"the training has collapsed: the {what} of step {step} is not a number",
            hint="Train anew, into another --out, with a lower learning rate: --set training.learning_rate="
            f"{learning_rate / 4:g}",
        )


def count_empty(empty: int, foreground: float | None) -> int:
    """How many validations running found nothing although there was something to find.

    `foreground` is the share of the pixels that were found, None where there was nothing to find. Warns once.
    """
    if foreground is None:
        return empty
    empty = 0 if foreground > 0 else empty + 1
    if empty == PATIENCE:
        warn_empty(empty)
    return empty


def warn_at_end(empty: int) -> None:
    """A training of fewer validations is not left without the warning."""
    if 0 < empty < PATIENCE:
        warn_empty(empty)


def warn_empty(empty: int) -> None:
    """Say that everything is called background, and what to do."""
    count = "validation" if empty == 1 else f"{empty} validations running"
    say(
        f"[yellow]Warning:[/] in the last {count}, everything was called background. Look at samples.png (are "
        "the masks right?), train for longer, or try the Dice loss: --set task.loss=dice"
    )
