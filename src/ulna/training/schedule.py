"""Learning rate as a function of progress.

Progress is a number between 0 and 1 that a budget gives (see `training.budget`): the share of the steps where epochs
are given, so that a run repeats exactly, and the share of the time where minutes are given, so that the promise is
kept on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable

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
