"""Duplicates: equal pixels, or one picture twice (re-encoded, brighter, scaled, flipped, turned)."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

from ulna.image import Array
from ulna.normalization import sample

#: Correlation of fine thumbnails from which two images are the same picture. Unrelated images reach 0.4
#: (nuclei) or 0.75 (slices, single blood cells); a picture re-encoded or made brighter stays above 0.9.
SAME_PICTURE = 0.85

#: Structure is what varies by so many standard deviations of the noise, and this share of the range of values.
NOISES, FAINT = 3.0, 0.003

#: Least share of the area with structure: of less, a frame may be all there is to see.
STRUCTURED = 0.15

#: Expected number of false pairs in a data set, by the spread of the correlations of all pairs.
FALSE_PAIRS = 0.02

#: Images that are compared with all others at a time, so that the memory grows with their number, not its square.
BLOCK = 256

#: Cells of the histogram of correlations, and pairs below which it says nothing.
BINS, FEW = 400, 20

_SIDE = {1: 256, 2: 64, 3: 16}  # sides of a thumbnail, by the number of spatial axes: 4,096 values or less


def digest(array: Array) -> bytes:
    """A hash of the pixels, their dtype and shape; empty for an image of one value, which says nothing."""
    if not array.size or (array == array.flat[0]).all():
        return b""
    found = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    found.update(np.ascontiguousarray(array).data)  # read in place: a copy of a large image might not fit
    return found.digest()


def thumbnail(array: Array) -> npt.NDArray[np.float32]:
    """The fine structure of an image (C, *spatial) at a small, fixed size, with mean 0 and norm 1.

    The channels' mean is averaged over the thumbnail's cells, and what is coarser than 4 cells is taken off,
    so that neither brightness nor shading nor the mere outline of an organ counts. Then contrast is made even over
    the image, so that a frame, text or a bar counts by its area alone, however bright it is. All zero where less than
    `STRUCTURED` of the area has structure.
    """
    small: Array = np.zeros(array.shape[1:], np.float32)
    for channel in array:  # one by one: a large image as float32 might not fit
        small += np.nan_to_num(channel.astype(np.float32), copy=False, posinf=0, neginf=0)
    small /= len(array)
    noise = _noise(small) / math.sqrt(max(small.size / _SIDE.get(small.ndim, 8) ** small.ndim, 1))
    side = _SIDE.get(small.ndim, 8)
    for axis, size in enumerate(small.shape):
        edges = np.linspace(0, size, side + 1).round().astype(int)
        counts = np.maximum(np.diff(edges), 1).astype(np.float32)
        sums = np.add.reduceat(small, np.minimum(edges[:-1], size - 1), axis=axis)
        small = sums / np.expand_dims(counts, tuple(a for a in range(small.ndim) if a != axis))
    small = small - ndimage.gaussian_filter(small, 4)
    variance = ndimage.gaussian_filter(small**2, 4)
    floor = max(NOISES * noise, FAINT * _range(array)) ** 2
    if not floor or float((variance / (variance + floor)).mean()) < STRUCTURED:
        return np.zeros_like(small)
    small /= np.sqrt(variance + floor)
    small -= small.mean()
    return (small / max(float(np.linalg.norm(small)), 1e-12)).astype(np.float32)


def _noise(image: Array) -> float:
    """The standard deviation of what differs from pixel to pixel, in the middle of an image (*spatial)."""
    middle = tuple(slice(max(size // 2 - 512, 0), size // 2 + 512) for size in image.shape)
    for_each = np.diff(image[middle], axis=-1)
    for_each = np.diff(for_each, axis=-2) if image.ndim > 1 else for_each
    return float(np.median(np.abs(for_each))) / 0.6745 / 2 ** (min(image.ndim, 2) / 2) if for_each.size else 0.0


def _range(array: Array) -> float:
    """The span of the values without the lowest and highest hundredth, of evenly taken pixels."""
    values = sample(array)
    low, high = np.percentile(values[np.isfinite(values)], (1, 99)) if np.isfinite(values).any() else (0, 0)
    return float(high) - float(low)


def equal_pixels(digests: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Pairs (first of its kind, later one) with the same pixels."""
    first: dict[bytes, int] = {}
    for index, found in enumerate(digests):
        if found and first.setdefault(found, index) != index:
            yield first[found], index


def same_picture(thumbnails: Sequence[Array]) -> Iterator[tuple[int, int, float]]:
    """Pairs (i, j, correlation) with i < j whose thumbnails agree, in any of the flips and quarter turns.

    Images of other numbers of axes are not compared with each other. The work is one matrix product a
    symmetry: 8 in 2D, 16 in 3D (flips of each axis, with and without a change of the last two). Each pair is
    compared once, for a turn of one is the turn back of the other.

    A pair must reach `SAME_PICTURE`, and more where unrelated images of the data set are alike (slices of one organ,
    centered cells): so much that `FALSE_PAIRS` of all pairs are expected there, by the spread of their correlations.
    """
    for ndim in sorted({t.ndim for t in thumbnails}):
        members = [index for index, t in enumerate(thumbnails) if t.ndim == ndim]
        stack = np.stack([thumbnails[index] for index in members])
        flat = stack.reshape(len(members), -1)
        counts = np.zeros(BINS, np.int64)
        found: list[tuple[int, int, float]] = []
        for start in range(0, len(members), BLOCK):
            block, later = stack[start : start + BLOCK], flat[start:]
            best = np.full((len(block), len(later)), -1.0, np.float32)
            for turned in _symmetries(block):
                np.maximum(best, turned.reshape(len(block), -1) @ later.T, out=best)
            pairs = np.triu(np.ones(best.shape, bool), 1)
            counts += np.bincount(_bin(best[pairs]), minlength=BINS)
            for a, b in np.argwhere(pairs & (best >= SAME_PICTURE)):
                found.append((members[start + a], members[start + b], float(best[a, b])))
        bar = _bar(counts)
        yield from (pair for pair in found if pair[2] >= bar)


def _bin(correlations: Array) -> npt.NDArray[np.intp]:
    """The place of correlations in a histogram of Fisher's z from 0 to 4."""
    z = np.arctanh(np.clip(correlations, 0, 0.9999))
    return np.asarray(np.minimum(z * BINS / 4, BINS - 1)).astype(np.intp, copy=False)


def _bar(counts: npt.NDArray[np.int64]) -> float:
    """The correlation that pairs must reach, by the histogram of all of them.

    Their lower half says how unrelated images spread, for duplicates are not in it; twice that is taken for the upper
    half, which is longer, as each pair counts with its best symmetry. Where half of the pairs reach `SAME_PICTURE` the
    images are copies of one.
    """
    total = int(counts.sum())
    if total < FEW or 2 * int(counts[_bin(np.array(SAME_PICTURE)) :].sum()) > total:
        return SAME_PICTURE
    shares = counts.cumsum() / total
    lower, middle = (float(np.searchsorted(shares, share)) * 4 / BINS for share in (0.05, 0.5))
    deviation = 2 * (middle - lower) / -float(special.ndtri(0.05))
    return max(SAME_PICTURE, math.tanh(middle - deviation * float(special.ndtri(FALSE_PAIRS / total))))


def correlations(images: Sequence[Array], others: Sequence[Array]) -> Iterator[tuple[int, int, float]]:
    """Pairs (i, j, correlation) of an image and one of the others whose thumbnails agree, as in `same_picture`."""
    for ndim in sorted({t.ndim for t in images} & {t.ndim for t in others}):
        ours, theirs = ([k for k, t in enumerate(side) if t.ndim == ndim] for side in (images, others))
        flat = np.stack([others[k] for k in theirs]).reshape(len(theirs), -1)
        counts = np.zeros(BINS, np.int64)
        found: list[tuple[int, int, float]] = []
        for start in range(0, len(ours), BLOCK):
            block = np.stack([images[k] for k in ours[start : start + BLOCK]])
            best = np.max([turned.reshape(len(block), -1) @ flat.T for turned in _symmetries(block)], axis=0)
            counts += np.bincount(_bin(best.ravel()), minlength=BINS)
            found += [(ours[start + a], theirs[b], float(best[a, b])) for a, b in np.argwhere(best >= SAME_PICTURE)]
        bar = _bar(counts)
        yield from (pair for pair in found if pair[2] >= bar)


def _symmetries(stack: Array) -> Iterator[Array]:
    axes = range(1, stack.ndim)
    turned = [stack, np.swapaxes(stack, -1, -2)] if stack.ndim > 2 else [stack]
    for base in turned:
        for count in range(stack.ndim):
            for flipped in itertools.combinations(axes, count):
                yield np.flip(base, flipped)
