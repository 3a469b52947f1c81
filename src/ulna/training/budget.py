"""How long a training goes on: a number of steps, or the time that is left for it.

Both kinds answer the same questions of the loop. A budget of steps depends on nothing but the step, so that a run
repeats exactly. A budget of time measures what steps and validations cost on this machine at this moment, and keeps
back what validation, scoring and the report will need.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from ulna.training.timer import Timer

EPOCHS = 16
"""Epochs of a training by time; each ends with a validation."""

VALIDATING = 0.2
"""Largest share of the training time that validation takes: it is done more rarely, or on fewer images."""

SCORING = 1 / 3
"""Largest share of the whole time that is kept for the scores at the end; the rest of the cases is not scored."""

MIN_STEPS = 10
"""Steps of an epoch by time, at least, where the time allows so many."""

RECENT = 8
"""The speed of the machine is the median of so many steps: one that was interrupted tells nothing."""

FORWARD = 1 / 3
"""Cost of predicting a pixel in units of learning from one: the backward pass costs twice the forward pass."""


class Budget(Protocol):
    """What the loop asks."""

    @property
    def exact(self) -> bool:
        """Whether a training repeats exactly, epoch by epoch, so that it may be gone on with between epochs alone."""
        ...

    def progress(self, step: int) -> float:
        """Share of the training that is done after `step` steps, from 0 to 1."""
        ...

    def epoch(self, step: int) -> Iterator[int]:
        """The steps of the epoch that begins with `step`."""
        ...

    def stepped(self, seconds: float) -> None:
        """A step is done; it took so long."""
        ...

    def validated(self, seconds: float, cases: int) -> None:
        """A validation of so many cases is done; it took so long."""
        ...

    def cases(self, most: int) -> int:
        """How many of `most` cases are validated after an epoch."""
        ...

    def left(self, step: int) -> float:
        """Seconds of training left, as far as is known."""
        ...


class StepBudget:
    """`steps` steps in epochs of `epoch_steps`."""

    exact = True

    def __init__(self, steps: int, epoch_steps: int, timer: Timer, *, start: int = 0) -> None:
        self._steps = steps
        self._epoch_steps = epoch_steps
        self._timer = timer
        self._began = start, timer.seconds

    def progress(self, step: int) -> float:
        """Share of the steps."""
        return min(step / self._steps, 1.0)

    def epoch(self, step: int) -> Iterator[int]:
        """So many steps as an epoch has, or the rest."""
        yield from range(step, min(step + self._epoch_steps, self._steps))

    def stepped(self, seconds: float) -> None:
        """Nothing depends on it."""

    def validated(self, seconds: float, cases: int) -> None:
        """Nothing depends on it."""

    def cases(self, most: int) -> int:
        """All of them."""
        return most

    def left(self, step: int) -> float:
        """As long as the steps since the start took, for those that are left."""
        start, seconds = self._began
        done = step - start
        return (self._timer.seconds - seconds) / done * (self._steps - step) if done else math.inf


@dataclass(frozen=True)
class Ending:
    """What a training by time leaves room for.

    `validated` cases are predicted after each epoch, `scored` at the end, each of which takes `slower` times as long;
    `seconds` is what figures and the report take. `case_pixels` and `batch_pixels` are how many pixels the network
    computes for a case and for a batch: from these the cost of a validation is guessed before one has been measured.
    """

    validated: int = 0
    scored: int = 0
    slower: float = 1.0
    seconds: float = 0.0
    case_pixels: float = 1.0
    batch_pixels: float = 1.0


class TimeBudget:
    """The time until the timer's limit, less what comes after the training.

    Progress is continuous: wherever the estimate of the end moves, or a run is resumed, what is left of the schedule
    is spread over what is left of the time. Costs are those of the last steps and the last validation; a validation's
    cost is scaled by how the speed of the steps has changed since.

    Parameters
    ----------
    timer
        The seconds used and the limit.
    ending
        What comes after the training.
    progress
        Share of the schedule that was done before a resume.
    chosen
        How many cases the run validates after an epoch, where it has chosen before.
    """

    exact = False

    def __init__(self, timer: Timer, ending: Ending, *, progress: float = 0.0, chosen: int | None = None) -> None:
        self._timer = timer
        self._ending = ending
        self._progress = progress
        self._since = timer.seconds
        self._steps: deque[float] = deque(maxlen=RECENT)
        self._first = 0.0  # seconds per step when the training began
        self._case: float | None = None  # seconds per case in the last validation
        self._after: list[float] = []  # seconds of the first steps after it: what the speed was then
        self._chosen = chosen

    @property
    def step_seconds(self) -> float:
        """Seconds per step at the present speed; 0 before the first."""
        return median(self._steps) if self._steps else 0.0

    @property
    def _slowdown(self) -> float:
        """How much longer a step takes than after the last validation."""
        return self.step_seconds / median(self._after) if len(self._after) == RECENT // 2 else 1.0

    @property
    def case_seconds(self) -> float:
        """Seconds per case of a validation at the present speed."""
        if self._case is None:
            return self.step_seconds * FORWARD * self._ending.case_pixels / self._ending.batch_pixels
        return self._case * self._slowdown

    @property
    def reserve(self) -> float:
        """Seconds to keep for the last validation, the scores, figures and report."""
        ending, case = self._ending, self.case_seconds
        scoring = min(ending.scored * ending.slower * case, SCORING * self._timer.limit)
        slowdown = self.step_seconds / self._first if self._first else 1.0
        return self.cases(ending.validated) * case + scoring + ending.seconds * slowdown

    @property
    def end(self) -> float:
        """When the training has to end, in seconds of the timer."""
        return self._timer.limit - self.reserve

    @property
    def _over(self) -> bool:
        """Whether no step fits any more: half of the next would lie behind the end."""
        return self._progress >= 1 or self._timer.seconds + self.step_seconds / 2 >= self.end

    def progress(self, step: int) -> float:
        """Share of the schedule that is done. A training that begins has one step at least."""
        return 1.0 if step and self._over else self._progress

    def epoch(self, step: int) -> Iterator[int]:
        """Steps until the epoch's share of what is left is over, unless too few steps would be left for another."""
        first, start = step, self._progress
        while not step or not self._over:
            yield step
            step += 1
            if min(step - first, self._steps_left) < MIN_STEPS:
                continue
            # asked again after every step: the first ones show what a step costs
            if self._progress >= start + (1 - start) / self._epochs(start):
                return

    @property
    def _steps_left(self) -> float:
        return (self.end - self._timer.seconds) / self.step_seconds if self.step_seconds else math.inf

    def _epochs(self, start: float) -> int:
        """How many epochs what is left of the training, from the progress `start` on, is divided into."""
        seconds = (self.end - self._timer.seconds) * (1 - start) / max(1 - self._progress, 1e-9)
        most = float(round(EPOCHS * (1 - start)))
        if validation := self.cases(self._ending.validated) * self.case_seconds:
            most = min(most, seconds * VALIDATING / validation)
        return max(1, int(most))

    def stepped(self, seconds: float) -> None:
        """Progress follows the time; the speed is measured anew."""
        self._advance()
        if self._case is not None and len(self._after) < RECENT // 2:
            if not self._after:
                self._steps.clear()  # a change of speed shortly before the validation is not one since then
            self._after.append(seconds)
        self._steps.append(seconds)
        if len(self._steps) < RECENT or not self._first:
            self._first = self.step_seconds

    def validated(self, seconds: float, cases: int) -> None:
        """Progress follows the time; the cost of a case is measured anew. All validations are of so many cases."""
        if self._case is None:  # the schedule waits for what nobody foresaw, and goes on in what is left of the time
            self._since = min(self._since + max(0.0, seconds - cases * self.case_seconds), self._timer.seconds)
        self._advance()
        self._chosen = cases
        if cases:
            self._case = seconds / cases
            self._after = []

    def _advance(self) -> None:
        now = self._timer.seconds
        left = self.end - self._since
        share = (now - self._since) / left if left > 0 else 1.0
        self._progress = min(self._progress + (1 - self._progress) * share, 1.0)
        self._since = now

    def cases(self, most: int) -> int:
        """So many that validating them once takes no more than its share of the time; the same in every epoch."""
        if self._chosen is not None:
            return min(self._chosen, most)
        time, case = VALIDATING * self._timer.limit, self.case_seconds
        return most if case * most <= time else max(1, int(time / case))

    def expected_steps(self, seconds: float) -> int:
        """How many steps there will be if each takes so long."""
        self._steps.append(seconds)
        time = self.end - self._timer.seconds
        validating = EPOCHS * self.cases(self._ending.validated) * self.case_seconds
        return max(1, round((time - min(validating, VALIDATING * time)) / seconds)) if seconds else 1

    def left(self, step: int) -> float:
        """Seconds until the end of the training."""
        return max(self.end - self._timer.seconds, 0.0)


class ScoringBudget:
    """Whether there is time to score one more case, and for what comes after it.

    `seconds` is what comes after the scores took at the speed of the first cases; where later ones take longer, so
    will it. Call it before each case but the first.
    """

    def __init__(self, timer: Timer, seconds: float) -> None:
        self._timer = timer
        self._seconds = seconds
        self._costs: deque[float] = deque(maxlen=RECENT)
        self._first: list[float] = []
        self._since = timer.seconds

    def __call__(self) -> bool:
        """Whether the next case ends in time: less than half of it would lie behind the end."""
        now = self._timer.seconds
        self._costs.append(now - self._since)
        if len(self._first) < RECENT:
            self._first.append(now - self._since)
        self._since = now
        case = median(self._costs)
        slowdown = max(case / first, 1.0) if (first := median(self._first)) else 1.0
        return self._timer.left - self._seconds * slowdown >= case / 2
