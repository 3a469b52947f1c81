"""How far a training has come, and what the learning rate is there.

The schedule is a function of progress between 0 and 1. Progress is the share of the steps where epochs are
given (so that a run repeats exactly), and the share of the time where minutes are given (so that the clock
is kept on any machine).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

WARM_UP = 0.2
"""Share of the training in which the learning rate rises."""


def one_cycle(progress: float) -> float:
    """Factor on the learning rate: from 1/25 up to 1 within the warm-up, then down to 1e-4, both along a cosine.

    The one-cycle policy of Smith and Topin 2018, in the form that fast.ai made common.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < WARM_UP:
        return _cosine(1 / 25, 1.0, progress / WARM_UP)
    return _cosine(1.0, 1e-4, (progress - WARM_UP) / (1 - WARM_UP))


def constant(progress: float) -> float:
    """Factor on the learning rate: always 1."""
    return 1.0


SCHEDULES: dict[str, Callable[[float], float]] = {"one_cycle": one_cycle, "constant": constant}


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


EPOCHS_OF_A_TIME = 16
"""Into how many epochs a training by the clock is divided; each ends with a validation."""


LEARNING = 4
"""In a training by the clock an epoch learns at least so many times as long as its validation takes."""


@dataclass
class Budget:
    """How long a training may go on: `steps` in epochs of `epoch_steps`, or `seconds` from `start()`.

    `used` is what earlier parts of the run, before it was killed and resumed, had used of the seconds;
    `validation` is how many seconds the validation after an epoch takes, as far as is known.
    """

    steps: int | None = None
    epoch_steps: int = 0
    seconds: float = math.inf
    used: float = 0.0
    validation: float = 0.0
    _began: float | None = field(default=None, repr=False)

    def start(self) -> None:
        """The clock runs from here."""
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds of training until now, those before a resume included."""
        return self.used + (0.0 if self._began is None else time.monotonic() - self._began)

    def progress(self, step: int) -> float:
        """How much of the training is done when `step` steps are, from 0 to 1."""
        return min(step / self.steps if self.steps is not None else self.elapsed / self.seconds, 1.0)

    def epoch(self, step: int) -> Iterator[int]:
        """The steps of the epoch that begins with `step`: counted, or until its share of the time is over."""
        if self.steps is not None:
            yield from range(step, min(step + self.epoch_steps, self.steps))
            return
        # large images are validated more rarely: what is for learning shall not be spent on looking
        most = self.seconds / ((1 + LEARNING) * self.validation) if self.validation else math.inf
        epochs = int(max(1, min(EPOCHS_OF_A_TIME, most)))
        # the end of the time moves a little when a validation has been timed: no epoch shall be a mere rest
        end = min((round(self.progress(step) * epochs) + 1) / epochs, 1.0)
        while True:
            yield step
            step += 1
            if self.progress(step) >= end:
                return

    def left(self, step: int) -> float:
        """Seconds left, as far as can be told from what is behind."""
        done = self.progress(step)
        return self.elapsed * (1 - done) / done if done else math.inf
