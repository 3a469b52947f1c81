"""Whether the connected pieces of masks that number no objects seem to be several objects that touch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.measure import label

from ulna.image import Array
from ulna.text import plural

SOLID = 0.9  # share of its convex hull that a single object fills
MIN_PIXELS = 20  # of a piece whose shape says something
ENOUGH = 20_000  # pieces after which no further mask is judged


@dataclass(frozen=True)
class Touching:
    """Connected pieces in some masks, and how many of them seem to be several objects that touch.

    Suspected is a piece that is larger than the median piece of its image and fills less than 90 % of its convex hull
    (its solidity). Of nuclei whose true objects are known (Data Science Bowl 2018, MoNuSeg), 9 of 10 suspected pieces
    held several, and 7 of 10 of those that did were suspected.

    Parameters
    ----------
    masks, pieces, larger, suspected
        How many there are; `larger` are those of which the shape was judged.
    """

    masks: int
    pieces: int
    larger: int
    suspected: int

    def __str__(self) -> str:
        """In words, with how it was judged."""
        counted = f"{plural(self.pieces, 'connected piece')} in {plural(self.masks, 'mask')}"
        if not self.suspected:
            return counted
        how = f"larger than the median of the image, and less than {SOLID:.0%} of the convex hull filled"
        like = "looks" if self.suspected == 1 else "look"
        words = f"{counted}, {self.suspected:,} of which {like} like several objects that touch ({how})"
        if 2 * self.suspected <= self.larger:
            return words
        return f"{words}; most of the larger pieces do, so that single objects may have such shapes"


def find_touching(masks: Iterable[Array]) -> Touching:
    """Judge the connected pieces of masks, until there are `ENOUGH`.

    Parameters
    ----------
    masks
        (*spatial) each: the class of each pixel, 0 the background. Pieces are of one class, and pixels of a piece share
        faces.

    Returns
    -------
    Touching
        The counts of all masks together.

    Examples
    --------
    >>> mask = np.zeros((40, 60), bool)
    >>> mask[2:12, 2:12] = mask[2:12, 20:30] = mask[20:30, 20:30] = mask[29:39, 29:39] = True
    >>> find_touching([mask])
    Touching(masks=1, pieces=3, larger=1, suspected=1)
    """
    count = pieces = larger = suspected = 0
    for mask in masks:
        numbered: Array = label(mask, connectivity=1)  # type: ignore[no-untyped-call]
        sizes = np.bincount(numbered.ravel())[1:]
        boxes = ndimage.find_objects(numbered)
        count, pieces = count + 1, pieces + len(sizes)
        judged = sizes >= max(MIN_PIXELS, np.median(sizes) + 1) if len(sizes) else sizes
        larger += int(np.count_nonzero(judged))
        for piece in np.flatnonzero(judged):
            suspected += _solidity(numbered[boxes[piece]] == piece + 1) < SOLID
        if pieces >= ENOUGH:
            break
    return Touching(count, pieces, larger, suspected)


def _solidity(inside: Array) -> float:
    """The share of its convex hull that a region fills."""
    border = np.argwhere(inside & ~ndimage.binary_erosion(inside))
    steps = np.concatenate([np.eye(inside.ndim), -np.eye(inside.ndim)]) / 2  # the faces of a pixel
    hull = ConvexHull((border[:, None] + steps).reshape(-1, inside.ndim))
    return float(np.count_nonzero(inside)) / float(hull.volume)
