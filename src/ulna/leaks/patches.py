"""Overlapping tiles: small patches of equal pixels that two images share, in places that agree.

Of each image a sketch is kept: the patches whose hashes are smallest (A. Z. Broder: On the resemblance and containment
of documents, 1997). Two images with pixels in common share those of the common part, wherever it lies in either.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ulna.image import Array

#: Sides of a patch, in pixels of the last two axes.
SIDE = 8
#: Patches that are kept of an image, and per plane of a volume of many.
KEPT, KEPT_PER_PLANE = 1024, 32
#: Least share of neighbors within a patch that differ: less structure is found in many images.
STRUCTURE = 0.25
#: Fewest patches that two overlapping images share.
MIN_SHARED = 3
#: Least share of the patches of the common part that agree: a frame or text in common is a small part of it.
COVERAGE = 0.5
#: Pixels that are hashed at a time.
STRIPE = 1 << 21

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Sketch:
    """The patches of an image with the smallest hashes.

    `hashes` (n,) rise and differ from each other, `places` (n, axes) are where the patches begin, `shape` is that of
    the image's axes, and `complete` says whether these are all patches with structure.
    """

    hashes: Hashes
    places: npt.NDArray[np.int32]
    shape: tuple[int, ...]
    complete: bool

    @property
    def reach(self) -> int:
        """The hash up to which all patches are kept."""
        return int(np.iinfo(np.uint64).max) if self.complete else int(self.hashes[-1])


def sketch(array: Array) -> Sketch:
    """The sketch of an image (C, *spatial) of any dtype; empty where it is smaller than a patch."""
    shape = array.shape[1:]
    planes = array.reshape(len(array), -1, *shape[-2:]) if len(shape) > 1 else array.reshape(len(array), 1, 1, -1)
    found: list[tuple[Hashes, Array]] = []
    height, width = planes.shape[2:]
    if height >= SIDE and width >= SIDE:
        rows = max(STRIPE // width, SIDE)
        for plane in range(planes.shape[1]):
            for top in range(0, height - SIDE + 1, rows):
                hashes, y, x = _smallest(planes[:, plane, top : top + rows + SIDE - 1])
                index = np.unravel_index(plane, shape[:-2]) if len(shape) > 2 else ()
                fixed = [np.full(len(y), at) for at in index]
                found.append((hashes, np.stack([*fixed, y + top, x], axis=1)))
    hashes = np.concatenate([part for part, _ in found]) if found else np.zeros(0, np.uint64)
    places = np.concatenate([part for _, part in found]) if found else np.zeros((0, len(shape)))
    kept, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    kept, first = kept[counts == 1], first[counts == 1]  # what repeats within an image has no place
    most = max(KEPT, KEPT_PER_PLANE * planes.shape[1])
    return Sketch(kept[:most], places[first[:most]].astype(np.int32), tuple(shape), len(kept) <= most)


def as_volume(one: Sketch) -> Sketch:
    """The sketch of a plane as that of a volume of one slice; that of a volume as it is."""
    if len(one.shape) != 2:
        return one
    return Sketch(one.hashes, np.pad(one.places, ((0, 0), (1, 0))), (1, *one.shape), one.complete)


def _smallest(stripe: Array) -> tuple[Hashes, Array, Array]:
    """The smallest hashes of the patches of a stripe (C, Y, X), and where these begin."""
    pixels = _pixels(stripe)
    rows = _rolled(pixels, 0x9E3779B97F4A7C15, 1)
    mixed = _mixed(_rolled(rows, 0xC2B2AE3D27D4EB4F, 0))
    changes = np.zeros(pixels.shape, np.int32)
    changes[:, 1:] = pixels[:, 1:] != pixels[:, :-1]
    total = np.pad(changes.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    # the first column of a patch has its left neighbor outside
    inside = total[SIDE:, SIDE:] - total[:-SIDE, SIDE:] - total[SIDE:, 1 : 1 - SIDE] + total[:-SIDE, 1 : 1 - SIDE]
    y, x = np.nonzero(inside >= STRUCTURE * SIDE * (SIDE - 1))
    hashes = mixed[y, x]
    if len(hashes) > 4 * KEPT:
        chosen = np.argpartition(hashes, 4 * KEPT)[: 4 * KEPT]
        hashes, y, x = hashes[chosen], y[chosen], x[chosen]
    return hashes, y, x


def _pixels(stripe: Array) -> Hashes:
    """A number for each pixel, of the values of all channels; equal channels, as of a gray image in RGB, count once."""
    if len(stripe) > 1 and all(np.array_equal(channel, stripe[0]) for channel in stripe[1:]):
        stripe = stripe[:1]
    total = np.zeros(stripe.shape[1:], np.uint64)
    for number, channel in enumerate(stripe):
        whole = channel.dtype.kind in "iub"
        values = channel.astype(np.int64).view(np.uint64) if whole else channel.astype(np.float64).view(np.uint64)
        total = _mixed(total * np.uint64(3) + values + np.uint64(number + 1))
    return total


def _rolled(values: Hashes, factor: int, axis: int) -> Hashes:
    """A polynomial of `SIDE` consecutive values along an axis, modulo 2^64."""
    count = values.shape[axis] - SIDE + 1
    total = np.zeros([count if k == axis else n for k, n in enumerate(values.shape)], np.uint64)
    for step in range(SIDE):
        total = total * np.uint64(factor) + np.take(values, range(step, step + count), axis)
    return total


def _mixed(values: Hashes) -> Hashes:
    """Numbers whose bits all depend on all bits (splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def find_overlaps(sketches: Sequence[Sketch]) -> Iterator[tuple[int, int, int]]:
    """Pairs (i, j, number of shared patches) with i < j of images that overlap.

    Of the images that share a patch neighbors in the sequence are compared: that makes the same groups as all pairs
    would. Images of one size that share patches in the same places are no overlapping tiles: what they share is a
    frame, text or bar, or they are near-duplicates.
    """
    where: dict[int, list[int]] = defaultdict(list)
    for index, one in enumerate(sketches):
        for value in one.hashes.tolist():
            where[value].append(index)
    pairs = {pair for images in where.values() for pair in itertools.pairwise(images)}
    for first, second in sorted(pairs):
        count = shared(sketches[first], sketches[second])
        if count:
            yield first, second, count


def shared(one: Sketch, other: Sketch) -> int:
    """How many patches two overlapping images share; 0 where they do not overlap. A plane may be one of a volume."""
    if len(one.shape) != len(other.shape):
        one, other = as_volume(one), as_volume(other)
    if len(one.shape) != len(other.shape):
        return 0
    _, here, there = np.intersect1d(one.hashes, other.hashes, assume_unique=True, return_indices=True)
    if len(here) < MIN_SHARED:
        return 0
    offsets = Counter(map(tuple, (one.places[here] - other.places[there]).tolist()))
    offset, count = max(offsets.items(), key=lambda item: (item[1], item[0]))
    if count < MIN_SHARED or (not any(offset) and one.shape == other.shape):
        return 0
    reach = min(one.reach, other.reach)
    expected = max(
        _within(one, other.shape, np.array(offset), reach), _within(other, one.shape, -np.array(offset), reach)
    )
    return count if count >= COVERAGE * expected else 0


def _within(one: Sketch, other: tuple[int, ...], offset: Array, reach: int) -> int:
    """How many patches of an image lie in the part that another image of this shape, moved by an offset, covers."""
    size = np.array([1] * (len(other) - 2) + [SIDE] * min(len(other), 2))
    inside = (one.places >= offset) & (one.places + size <= offset + np.array(other))
    return int((inside.all(axis=1) & (one.hashes <= np.uint64(reach))).sum())
