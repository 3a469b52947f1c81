"""From a network's outputs to objects: a watershed of the distance map, whose basins are merged, and what is too small.

Nothing here is set by hand: `fit` chooses the constants on images whose objects are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

from ulna.metrics.objects import THRESHOLDS, compare, countable

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]

SEEDS = (*((seed, 0.0) for seed in (0.3, 0.4, 0.5, 0.6, 0.7)), *((0.3, depth) for depth in (0.1, 0.2, 0.3, 0.4, 0.5)))
"""Constants of the seeds, `seed` and `depth`, as they are tried. A depth of .4 was the best on images held out of
training, tissue among them (nuclei of the Data Science Bowl: AP .568; .528 with .2)."""

FOREGROUND = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Probabilities from which on a pixel may belong to an object, as they are tried."""

HOLED = 0.05
"""Where a smaller share of true objects has holes these may be slips of the pen, and those of predicted ones are filled
unless images that are held out say otherwise."""

SMALL = 0.5
"""An object of less than this share of the small true ones (the first percentile of their sizes) is debris."""


@dataclass(frozen=True)
class Decoding:
    """The constants of `decode`, fitted on a data set.

    Parameters
    ----------
    foreground : float
        The probability above which a pixel may belong to an object.
    seed : float
        The distance that an object reaches somewhere; 0 depth: and falls to between two objects.
    depth : float
        Two objects are one where the distance between them falls by less than this below the lower one's largest; 0:
        where it stays above `seed`.
    smallest : int
        The pixels that an object has at least; smaller ones are background.
    holes : bool
        Whether holes in objects are filled.
    """

    foreground: float = 0.5
    seed: float = 0.5
    depth: float = 0.0
    smallest: int = 0
    holes: bool = False


@dataclass(frozen=True)
class Example:
    """What a network says of an image, its true objects, and where these are known (None: everywhere); (*spatial)."""

    probability: Floats
    distance: Floats
    truth: npt.NDArray[np.integer]
    annotated: npt.NDArray[np.bool_] | None = None


def decode(probability: Floats, distance: Floats, constants: Decoding) -> Numbers:
    """Number the objects of an image.

    Parameters
    ----------
    probability
        (*spatial): that a pixel belongs to an object.
    distance
        (*spatial): how far it is from the object's border, as a share of the object's largest distance.
    constants
        As fitted.

    Returns
    -------
    ndarray of int32
        (*spatial), numbers from 1 without gaps, 0 the background. Every object is connected by faces.
    """
    return Basins.of(probability, distance, constants.foreground).objects(constants)


@dataclass(frozen=True)
class Basins:
    """A foreground that is cut into the basins of a watershed, one around each local maximum of the distance.

    Objects are basins that were merged, so that other constants need no other watershed. Which are merged goes by the
    heights of the peaks and of the saddles between them, the highest saddle first (the dynamics of Grimaud 1992, by the
    minimum spanning tree of Najman and Schmitt 1996).

    Parameters
    ----------
    labels : ndarray of int32
        (*spatial), the number of each pixel's basin, 0 the background. Basins are connected by faces.
    peaks : list of float
        The largest distance in each basin, by its number; that of number 0 means nothing.
    saddles : list of tuple
        Two basins that touch, and the largest distance at which they do; the largest first.
    """

    labels: Numbers
    peaks: list[float]
    saddles: list[tuple[int, int, float]]

    @classmethod
    def of(cls, probability: Floats, distance: Floats, foreground: float) -> Basins:
        """The basins of the pixels with a probability above `foreground`."""
        inside = probability > foreground
        depth = np.pad(np.where(inside, distance, np.float32(-1)), 1, constant_values=-1)  # every region has a maximum
        inner = (slice(1, -1),) * inside.ndim
        tops = (np.asarray(local_maxima(depth, connectivity=1)) > 0)[inner] & inside  # type: ignore[no-untyped-call]
        depth, numbers = depth[inner], np.asarray(ndimage.label(tops)[0], np.int32)
        labels = np.asarray(watershed(-depth, numbers, mask=inside), np.int32)  # type: ignore[no-untyped-call]
        peaks = np.zeros(int(numbers.max(initial=0)) + 1, np.float32)
        peaks[numbers[tops]] = depth[tops]
        return cls(labels, peaks.tolist(), _saddles(labels, depth))

    def objects(self, constants: Decoding) -> Numbers:
        """Merge what no saddle parts, and number what is large enough."""
        parents, heights = list(range(len(self.peaks))), list(self.peaks)
        for one, other, saddle in self.saddles:
            high, low = _root(parents, one), _root(parents, other)
            if heights[high] < heights[low]:
                high, low = low, high
            peak = heights[low]
            joined = saddle > constants.seed if not constants.depth else peak - saddle < constants.depth
            if joined or peak <= constants.seed:
                parents[low] = high
        merged = np.array([_root(parents, number) for number in parents], np.int32)[self.labels]
        return _numbered(filled(merged) if constants.holes else merged, constants.smallest)


def filled(objects: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """The objects with the holes that lie within each one filled; what another object occupies stays its own.

    A hole is background that is not connected with the border of the image, and belongs to the object around it; where
    several objects border on it, to the one that encloses it, if one does.
    """
    gaps, count = ndimage.label(objects == 0)
    if not count:
        return objects
    open_, pairs = np.zeros(count + 1, np.bool_), []
    open_[0] = True
    for axis in range(objects.ndim):
        for end in (0, -1):
            open_[gaps.take(end, axis)] = True
        before, after = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        for gap, object_ in ((gaps[before], objects[after]), (gaps[after], objects[before])):
            beside = (object_ > 0) & ~open_[gap]
            pairs.append(np.stack([gap[beside], object_[beside]]))
    beside = np.unique(np.concatenate(pairs, axis=1), axis=1)
    beside = beside[:, ~open_[beside[0]]]
    number = np.zeros(count + 1, objects.dtype)
    number[beside[0]] = beside[1]
    shared = np.bincount(beside[0], minlength=count + 1) > 1
    number[shared] = 0
    made = objects + number[gaps]
    between = np.unique(beside[1][shared[beside[0]]]).tolist()
    boxes = ndimage.find_objects(objects) if between else []
    for one in between:
        box = boxes[one - 1]
        own = np.isin(gaps[box], beside[0][beside[1] == one])
        enclosed = ndimage.binary_fill_holes(objects[box] == one) & shared[gaps[box]] & own
        made[box][enclosed] = one
    return made


def fit(
    examples: Sequence[Example], sizes: npt.ArrayLike, *, holed: float, given: dict[str, Any] | None = None
) -> Decoding:
    """The constants with the highest mean of average precision at IoU .50 to .90 on examples.

    Parameters
    ----------
    examples
        Images that were held out of training.
    sizes
        The pixels of true objects of the training images.
    holed
        The share of true objects that have holes; where none has those of predicted ones are filled.
    given
        Constants that stay as they are, by name.

    Returns
    -------
    Decoding
        Of constants that do equally well, those next to the defaults.
    """
    known, given = np.asarray(sizes), given or {}
    smallest = int(SMALL * np.percentile(known, 1)) if known.size else 0
    start = replace(Decoding(smallest=smallest, holes=bool(holed < HOLED)), **given)
    cut = [Basins.of(one.probability, one.distance, start.foreground) for one in examples]

    def scored(tried: Iterable[dict[str, Any]], base: Decoding) -> dict[Decoding, float]:
        several = dict.fromkeys(replace(base, **(one | given)) for one in tried)
        return {one: score([basins.objects(one) for basins in cut], examples) for one in several}

    scores = scored(({"seed": seed, "depth": depth} for seed, depth in SEEDS), start)
    best = max(scores, key=lambda one: (scores[one], -one.depth, -abs(one.seed - start.seed)))
    if holed > 0:
        scores = scored(({"holes": value} for value in (best.holes, not best.holes)), best)
        best = max(scores, key=lambda one: scores[one])  # of two that do equally well the first
    tried = dict.fromkeys(replace(best, **({"foreground": value} | given)) for value in FOREGROUND)
    scores = {
        one: score([decode(each.probability, each.distance, one) for each in examples], examples) for one in tried
    }
    return max(tried, key=lambda one: (scores[one], -abs(one.foreground - start.foreground)))


def score(found: Iterable[Numbers], examples: Iterable[Example]) -> float:
    """The mean over thresholds of TP / (TP + FP + FN), all examples together; 1 where there is nothing to find."""
    parts = np.zeros((len(THRESHOLDS), 2))
    for objects, one in zip(found, examples, strict=True):
        known = objects if one.annotated is None else countable(objects, one.truth, one.annotated)
        overlap = compare(known, one.truth)
        parts += [overlap.precision(threshold) for threshold in THRESHOLDS]
    return round(float(np.mean(parts[:, 0] / parts[:, 1])), 4) if parts[:, 1].all() else 1.0


def _saddles(labels: Numbers, depth: Floats) -> list[tuple[int, int, float]]:
    """Basins that share faces, and the largest distance there, the largest first."""
    pairs, heights = [], []
    count = int(labels.max(initial=0)) + 1
    for axis in range(labels.ndim):
        before, after = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        one, other = labels[before], labels[after]
        touching = (one != other) & (one > 0) & (other > 0)
        first, second = one[touching].astype(np.int64), other[touching]
        pairs.append(np.minimum(first, second) * count + np.maximum(first, second))
        heights.append(np.minimum(depth[before][touching], depth[after][touching]))
    codes, saddles = np.concatenate(pairs), np.concatenate(heights)
    falling = np.argsort(-saddles, kind="stable")
    _, highest = np.unique(codes[falling], return_index=True)  # of each pair
    kept = falling[np.sort(highest)]
    return list(zip(*(part.tolist() for part in (*np.divmod(codes[kept], count), saddles[kept])), strict=True))


def _root(parents: list[int], number: int) -> int:
    """The number that stands for all that are merged with this one."""
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number


def _numbered(objects: npt.NDArray[np.integer], smallest: int) -> Numbers:
    """The objects that are not too small, numbered from 1 without gaps."""
    areas = np.bincount(objects.ravel())
    kept = areas >= max(smallest, 1)
    kept[0] = False
    return np.asarray(np.where(kept, np.cumsum(kept), 0)[objects], np.int32)
