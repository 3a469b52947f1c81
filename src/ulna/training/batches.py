"""Batches of windows for training: which cases, and where in them.

Everything drawn for step k comes from a generator seeded with (seed, k): a resumed run draws what it would
have drawn, and nothing has to be stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ulna.config import TrainingConfig
from ulna.inference.windows import window
from ulna.store import Store
from ulna.training.phases import Phase


class Batch(NamedTuple):
    """Windows cut for one step.

    Parameters
    ----------
    images
        (N, C, *window) float32.
    truth
        (N, L, *window) integer: class indices and, with L = 2, numbers of objects.
    spacings
        For each window the distance of neighboring pixels per axis.
    step
        Its number.
    final
        In which of the two phases of the training it lies.
    """

    images: Tensor
    truth: Tensor
    spacings: tuple[tuple[float, ...], ...]
    step: int
    final: bool = False


def sampling_probabilities(groups: tuple[str, ...], sampling: str) -> npt.NDArray[np.float64]:
    """How often each case is drawn; they sum to 1.

    "images": every image alike. "groups": every group alike, for the tiles of one picture repeat each other.
    """
    if sampling == "images":
        return np.full(len(groups), 1 / len(groups))
    sizes = Counter(groups)
    return np.array([1 / (sizes[group] * len(sizes)) for group in groups])


class Batches:
    """The batches of a training, from a store.

    `final` says of a step in which of the two `phases` it lies. A share `training.foreground` of the patches is
    centered on foreground: first a class is drawn, evenly over those that the case has, then one of its pixels. The
    others lie anywhere, but their centers are annotated (not `IGNORE`). What is cut is the window around each patch.
    """

    def __init__(
        self,
        store: Store,
        training: TrainingConfig,
        *,
        phases: tuple[Phase, Phase],
        final: Callable[[int], bool] = lambda step: False,
    ) -> None:
        self._store = store
        self._training = training
        self._phases = phases
        self._final_phase = final
        self._probabilities = sampling_probabilities(store.groups, training.sampling)

    def batch(self, step: int) -> Batch:
        """The batch of one step, the same whenever it is asked for."""
        generator = np.random.default_rng((self._training.seed, step))
        final = self._final_phase(step)
        phase = self._phases[final]
        images, truths, spacings = [], [], []
        for case in generator.choice(len(self._probabilities), phase.batch_size, p=self._probabilities).tolist():
            image, truth = self._store.raw(case), self._store.truth(case)
            start = self._start(case, truth.shape[1:], phase, generator)
            images.append(self._store.scale(case, window(image, start, phase.window)))
            truths.append(window(truth, start, phase.window))
            spacings.append(self._store.cases[case].grid.spacing)
        stacked = [torch.from_numpy(np.stack(arrays)) for arrays in (images, truths)]
        return Batch(stacked[0], stacked[1], tuple(spacings), step, final)

    def _start(
        self, case: int, shape: tuple[int, ...], phase: Phase, generator: np.random.Generator
    ) -> tuple[int, ...]:
        wanted = generator.random() < self._training.foreground
        center = self._center(case, shape, generator, foreground=wanted)
        start = []
        for axis, (length, patch, size) in enumerate(zip(shape, phase.patch, phase.window, strict=True)):
            # the patch stays inside the image where it can; the window around it may leave it
            low, high = min(patch, length) // 2, length - (min(patch, length) + 1) // 2
            place = int(generator.integers(low, high + 1)) if center is None else int(center[axis])
            start.append(min(max(place, low), high) - size // 2)
        return tuple(start)

    def _center(
        self, case: int, shape: tuple[int, ...], generator: np.random.Generator, *, foreground: bool
    ) -> tuple[int, ...] | None:
        """A pixel of the foreground, or of all that is annotated; None for any pixel of the image."""
        coordinates = self._store.coordinates(case)
        labels = [label for label in coordinates if label]
        if foreground and labels:
            label = labels[int(generator.integers(len(labels)))]
        elif 0 in coordinates:  # only a part of the image is annotated
            shares = np.array([self._store.cases[case].counts[label] for label in coordinates], np.float64)
            label = list(coordinates)[int(generator.choice(len(shares), p=shares / shares.sum()))]
        else:
            return None
        return tuple(int(i) for i in np.unravel_index(generator.choice(coordinates[label]), shape))
