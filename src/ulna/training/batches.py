"""Batches of windows for training: which cases, and where in them.

Everything drawn for step k comes from a generator seeded with (seed, k): a resumed run draws what it would
have drawn, and nothing has to be stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ulna.config import TrainingConfig
from ulna.image import Array
from ulna.inference.windows import window
from ulna.store import Store
from ulna.training.phases import Phase
from ulna.training.ranks import ALONE, Rank


class Batch(NamedTuple):
    """Windows cut for one step: all of its batch or, of several processes, those that one computes.

    Parameters
    ----------
    images
        (N, C, *window) float32.
    truth
        (N, L, *window) integer: class indices and, with L = 2, numbers of objects.
    spacings
        For each window of the whole batch the distance of neighboring pixels per axis.
    step
        Its number.
    final
        In which of the two phases of the training it lies.
    rows
        Which windows of the whole batch these are; empty: all.
    """

    images: Tensor
    truth: Tensor
    spacings: tuple[tuple[float, ...], ...]
    step: int
    final: bool = False
    rows: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """How many windows the whole batch has."""
        return len(self.spacings)

    @property
    def own_spacings(self) -> tuple[tuple[float, ...], ...]:
        """The spacings of these windows."""
        return tuple(self.spacings[row] for row in self.rows) if self.rows else self.spacings


def sampling_probabilities(groups: tuple[str, ...], sampling: str) -> npt.NDArray[np.float64]:
    """How often each case is drawn; they sum to 1.

    "images": every image alike. "groups": every group alike, for the tiles of one picture repeat each other.
    """
    if sampling == "images":
        return np.full(len(groups), 1 / len(groups))
    sizes = Counter(groups)
    return np.array([1 / (sizes[group] * len(sizes)) for group in groups])


class Volume(NamedTuple):
    """The planes of a volume, or the one image that a case is.

    Parameters
    ----------
    cases
        Their numbers in the store.
    counts
        By class, how many pixels it has in each of them.
    annotated
        Whether all pixels are annotated.
    """

    cases: tuple[int, ...]
    counts: dict[int, npt.NDArray[np.int64]]
    annotated: bool


def volumes(store: Store) -> list[Volume]:
    """The volumes that the cases of a store are planes of, or the cases themselves.

    Parameters
    ----------
    store
        Of images, of volumes, or of planes of volumes.

    Returns
    -------
    list of Volume
        In their order; those of which nothing is annotated are left out, for they teach nothing.
    """
    members: dict[int, list[int]] = {}
    for index, number in enumerate(store.selection):
        members.setdefault(number, []).append(index)
    found = []
    for cases in members.values():
        stored = [store.cases[index] for index in cases]
        labels = sorted({label for case in stored for label in case.counts})
        counts = {label: np.array([case.counts.get(label, 0) for case in stored]) for label in labels}
        pixels = sum(prod(case.grid.shape) for case in stored)
        if counts:
            found.append(Volume(tuple(cases), counts, sum(int(one.sum()) for one in counts.values()) == pixels))
    return found


class Batches:
    """The batches of a training, from a store.

    `final` says of a step in which of the two `phases` it lies; `rank` says which part of each batch is cut: all of it
    is drawn in every process. A share `training.foreground` of the patches is
    centered on foreground: first a class is drawn, evenly over those that the case has, then one of its pixels. The
    others lie anywhere, but their centers are annotated (not `IGNORE`). What is cut is the window around each patch.
    The planes of a volume are drawn as its voxels would be: the volume, the class, and then a pixel in any plane.
    """

    def __init__(
        self,
        store: Store,
        training: TrainingConfig,
        *,
        phases: tuple[Phase, Phase],
        final: Callable[[int], bool] = lambda step: False,
        rank: Rank = ALONE,
    ) -> None:
        self._store = store
        self._rank = rank
        self._training = training
        self._phases = phases
        self._final_phase = final
        self._volumes = volumes(store)
        groups = tuple(store.groups[volume.cases[0]] for volume in self._volumes)
        self._probabilities = sampling_probabilities(groups, training.sampling)

    def batch(self, step: int) -> Batch:
        """The batch of one step, the same whenever it is asked for."""
        generator = np.random.default_rng((self._training.seed, step))
        final = self._final_phase(step)
        phase = self._phases[final]
        places, spacings = [], []
        for drawn in generator.choice(len(self._volumes), phase.batch_size, p=self._probabilities).tolist():
            wanted = bool(generator.random() < self._training.foreground)
            case, center = self._place(self._volumes[drawn], generator, foreground=wanted)
            grid = self._store.cases[case].grid
            places.append((case, _start(center, grid.shape, phase, generator)))
            spacings.append(grid.spacing)
        rows = self._rank.rows(len(places))
        cut = [self._cut(*places[row], phase.window) for row in rows]
        images, truth = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*cut, strict=True))
        return Batch(images, truth, tuple(spacings), step, final, () if self._rank == ALONE else tuple(rows))

    def _cut(self, case: int, start: tuple[int, ...], size: tuple[int, ...]) -> tuple[npt.NDArray[np.float32], Array]:
        """A window of a normalized image and of its truth."""
        image, truth = self._store.raw(case), self._store.truth(case)
        return self._store.scale(case, window(image, start, size)), window(truth, start, size)

    def _place(
        self, volume: Volume, generator: np.random.Generator, *, foreground: bool
    ) -> tuple[int, tuple[int, ...] | None]:
        """A case, and in it a pixel of the foreground, or of all that is annotated; None for any pixel."""
        several = len(volume.cases) > 1
        classes = [label for label in volume.counts if label]
        if foreground and classes:
            label = classes[int(generator.integers(len(classes)))]
        elif volume.annotated:
            return volume.cases[int(generator.integers(len(volume.cases))) if several else 0], None
        else:
            shares = np.array([counts.sum() for counts in volume.counts.values()], np.float64)
            label = list(volume.counts)[int(generator.choice(len(shares), p=shares / shares.sum()))]
        counts = volume.counts[label]
        case = volume.cases[int(generator.choice(len(counts), p=counts / counts.sum())) if several else 0]
        if self._store.cases[case].plane is None:
            places = self._store.coordinates(case)[label]
        else:  # of its volume too few may be remembered in this plane
            places = np.flatnonzero(self._store.truth(case)[0] == label)
        place = np.unravel_index(generator.choice(places), self._store.cases[case].grid.shape)
        return case, tuple(int(i) for i in place)


def _start(
    center: tuple[int, ...] | None, shape: tuple[int, ...], phase: Phase, generator: np.random.Generator
) -> tuple[int, ...]:
    """Where the window of a patch begins; the patch stays inside the image where it can, the window may leave it."""
    start = []
    for axis, (length, patch, size) in enumerate(zip(shape, phase.patch, phase.window, strict=True)):
        low, high = min(patch, length) // 2, length - (min(patch, length) + 1) // 2
        place = int(generator.integers(low, high + 1)) if center is None else center[axis]
        start.append(min(max(place, low), high) - size // 2)
    return tuple(start)
