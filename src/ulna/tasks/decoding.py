"""From a network's outputs to objects: seeds in the distance map, a watershed from them, and what is too small.

Nothing here is set by hand: `fit` chooses the constants on images whose objects are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from ulna.metrics.objects import THRESHOLDS, compare

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]

SEEDS = ((0.3, 0.0), (0.4, 0.0), (0.5, 0.0), (0.6, 0.0), (0.7, 0.0), (0.3, 0.1), (0.3, 0.2))
"""Constants of the seeds, `seed` and `depth`, as they are tried."""

FOREGROUND = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Probabilities from which on a pixel may belong to an object, as they are tried."""

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
        The distance above which a pixel may be a seed.
    depth : float
        Two seeds are one where the distance between them falls by less than this; 0: where they are connected.
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
    """What a network says of an image, and its true objects; all (*spatial)."""

    probability: Floats
    distance: Floats
    truth: npt.NDArray[np.integer]


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
    inside = probability > constants.foreground
    depth = np.where(inside, distance, 0)
    grown = np.asarray(watershed(-depth, _seeds(depth, constants), mask=inside))  # type: ignore[no-untyped-call]
    rest = np.asarray(ndimage.label(inside & (grown == 0))[0])  # regions without a seed are objects of their own
    grown = np.where(rest > 0, rest + grown.max(initial=0), grown)
    return _numbered(filled(grown) if constants.holes else grown, constants.smallest)


def filled(objects: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """The objects with the holes that lie within each one filled; what another object occupies stays its own."""
    made, boxes = objects.copy(), ndimage.find_objects(objects)
    for number in np.unique(objects[objects > 0]).tolist():
        box = boxes[number - 1]
        inside = objects[box] == number
        if inside.all():
            continue
        hole = ndimage.binary_fill_holes(inside) & (objects[box] == 0)
        made[box][hole] = number
    return made


def fit(examples: Sequence[Example], sizes: npt.ArrayLike, *, holes: bool) -> Decoding:
    """The constants with the highest mean of average precision at IoU .50 to .90 on examples.

    Parameters
    ----------
    examples
        Images that were held out of training.
    sizes
        The pixels of true objects of the training images.
    holes
        Whether true objects have holes; where they have none those of predicted ones are filled.

    Returns
    -------
    Decoding
        Of constants that do equally well, those next to the defaults.
    """
    known = np.asarray(sizes)
    smallest = int(SMALL * np.percentile(known, 1)) if known.size else 0
    start = Decoding(smallest=smallest, holes=not holes)
    tried = [replace(start, seed=seed, depth=depth) for seed, depth in SEEDS]
    best = max(tried, key=lambda one: (score(examples, one), -one.depth, -abs(one.seed - start.seed)))
    tried = [replace(best, foreground=value) for value in FOREGROUND]
    return max(tried, key=lambda one: (score(examples, one), -abs(one.foreground - start.foreground)))


def score(examples: Iterable[Example], constants: Decoding) -> float:
    """The mean over thresholds of TP / (TP + FP + FN), all examples together; 1 where there is nothing to find."""
    parts = np.zeros((len(THRESHOLDS), 2))
    for one in examples:
        overlap = compare(decode(one.probability, one.distance, constants), one.truth)
        parts += [overlap.precision(threshold) for threshold in THRESHOLDS]
    return round(float(np.mean(parts[:, 0] / parts[:, 1])), 4) if parts[:, 1].all() else 1.0


def _seeds(depth: Floats, constants: Decoding) -> Numbers:
    """Numbered seeds: connected regions above the seed's distance, or peaks that rise above their surroundings."""
    above = depth > constants.seed
    if constants.depth > 0:
        above &= np.asarray(h_maxima(depth, constants.depth)) > 0  # type: ignore[no-untyped-call]
    return np.asarray(ndimage.label(above)[0], np.int32)


def _numbered(objects: npt.NDArray[np.integer], smallest: int) -> Numbers:
    """The objects that are not too small, numbered from 1 without gaps."""
    areas = np.bincount(objects.ravel())
    kept = areas >= max(smallest, 1)
    kept[0] = False
    return np.asarray(np.where(kept, np.cumsum(kept), 0)[objects], np.int32)
