"""How long a training is in terms of the data, before it begins; and whether it was long enough, when it has ended."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ulna.config import Config
from ulna.store import Store
from ulna.tasks import Task
from ulna.text import plural
from ulna.training.batches import Batches
from ulna.training.learner import Learner
from ulna.training.phases import phases
from ulna.training.ranks import ALONE, Rank
from ulna.training.timer import Timer

TRIAL = 0.02
"""Share of the time that is spent on measuring what a step takes, unless one step alone takes longer."""

PARTS = 10
"""The last half of the losses is compared in so many parts."""

SIGNIFICANT = 27
"""Mann and Kendall's S of ten values that only chance orders is so large in less than one case of a hundred."""

FALLING = 0.1
"""A loss that fell by this share within the last half of the training is still falling."""

FEW_STEPS, FEW_PASSES = 2 * PARTS, 5
"""A training of fewer steps tells no trend; it is short if it has seen the data fewer times than this."""

GAIN = 0.01
"""Validation Dice that rose by more than this in the last quarter of the epochs is still rising."""


@dataclass(frozen=True)
class Length:
    """What the network sees in a training: steps, patches, patches per image, and passes over all pixels."""

    steps: int
    patches: int
    per_image: float
    passes: float

    @classmethod
    def of(cls, config: Config, store: Store, steps: int) -> Length:
        """The length of a training of so many steps."""
        main, final = phases(config)
        last = round(steps * config.training.final_phase) if config.training.final_patch else 0
        patches = (steps - last) * main.batch_size + last * final.batch_size
        seen = (steps - last) * main.batch_size * prod(main.patch) + last * final.batch_size * prod(final.patch)
        pixels = sum(prod(shape[1:]) for shape in store.shapes)
        if config.data.resize:
            pixels = len(store) * prod(config.data.resize)
        return cls(steps, patches, patches / len(store), seen / pixels)

    def __str__(self) -> str:
        """In words."""
        return (
            f"{plural(self.steps, 'step')} on {plural(self.patches, 'patch', 'patches')}: "
            f"{_rounded(self.per_image)} per image, {_rounded(self.passes)} passes over all pixels"
        )


def _rounded(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def expected(config: Config, store: Store, steps: int) -> str:
    """What a training is expected to see, for the plan."""
    by_time = config.training.epochs is None
    return f"Expected length: {'about ' if by_time else ''}{Length.of(config, store, steps)}."


def time_step(network: nn.Module, task: Task, config: Config, *, store: Store, timer: Timer) -> float:
    """Seconds of one step, measured on a copy of the network; the first of three, which is slower, does not count.

    On several GPUs it is that of the patches of one. Where one step takes a larger share of the time than `TRIAL`, it
    is the only one.
    """
    with torch.random.fork_rng():
        learner = Learner(copy.deepcopy(network), task, config)
        place = next(network.parameters()).device
        rank = ALONE if place.type == "cpu" else Rank(0, config.training.devices)
        batches = Batches(store, config.training, phases=learner.phases, rank=rank)
        seconds: list[float] = []
        for step in range(3):
            began = timer.seconds
            batch = batches.batch(step)
            batch = learner.augmented(batch._replace(images=batch.images.to(place), truth=batch.truth.to(place)))
            with torch.autocast(place.type, torch.bfloat16, enabled=config.training.precision == "bf16"):
                loss = learner(batch)
            loss.backward()
            float(loss.detach())  # a GPU has done it only when it is asked for
            seconds.append(timer.seconds - began)
            timer.beat()
            if seconds[0] > TRIAL * timer.limit:
                break
    return min(seconds)


def too_short(config: Config, store: Store, losses: Sequence[float], scores: Sequence[float]) -> str:
    """What to say of a training that ended too early; empty if it did not.

    Parameters
    ----------
    config, store
        What was trained, and on what.
    losses
        The training loss of each step.
    scores
        The validation score (Dice) of each epoch, without those in which it was not known; higher is better.

    Returns
    -------
    str
        Two sentences, or nothing.

    Notes
    -----
    The loss is still falling if it has a trend in the last half of the training (the test of Mann and Kendall on the
    means of ten parts, one-sided, p < .01) and fell by a tenth there. A learning rate that comes to rest makes the
    training loss fall a little in any case; so the validation score must be rising as well, where eight epochs and more
    tell.
    """
    length = Length.of(config, store, len(losses))
    fall = falling(losses)
    if len(losses) < FEW_STEPS:
        if length.passes >= FEW_PASSES:
            return ""
        why = "it had too few steps to learn much"
    elif fall < FALLING or not rising(scores):
        return ""
    else:
        why = f"the loss was still falling, by {fall:.0%} in the last half"
    factor = max(4.0 if fall > 3 * FALLING or len(losses) < FEW_STEPS else 2.0, FEW_PASSES / max(length.passes, 1e-9))
    return f"The training was short: {why}, after {length}. {_advice(config, min(factor, 1000.0))}"


def falling(losses: Sequence[float]) -> float:
    """By what share the loss fell within the last half; 0 where it has no trend."""
    last = np.asarray(losses[len(losses) // 2 :], float)
    if len(last) < PARTS:
        return 0.0
    means = np.array([part.mean() for part in np.array_split(last, PARTS)])
    signs = np.sign(means[None] - means[:, None])[np.triu_indices(PARTS, 1)]
    if -signs.sum() < SIGNIFICANT:
        return 0.0
    slope = _theil_sen(means)
    return float(min(max(-slope * (PARTS - 1) / abs(np.median(means) - slope * (PARTS - 1) / 2), 0.0), 1.0))


def _theil_sen(values: npt.NDArray[np.float64]) -> float:
    """The median of the slopes between all pairs."""
    first, second = np.triu_indices(len(values), 1)
    return float(np.median((values[second] - values[first]) / (second - first)))


def rising(scores: Sequence[float]) -> bool:
    """Whether the best validation score of the last quarter is above all before; also where too few epochs tell."""
    if len(scores) < 8:
        return True
    last = len(scores) * 3 // 4
    return max(scores[last:]) - max(scores[:last]) > GAIN


def _advice(config: Config, factor: float) -> str:
    training = config.training
    if training.epochs is not None:
        return f"A longer one is likely to do better: --epochs {int(np.ceil(training.epochs * factor))}"
    minutes = max((training.minutes or 0) * factor, 1.0)  # less is spent before and after the training
    return f"A longer one is likely to do better: --minutes {float(f'{minutes:.2g}'):g}"
