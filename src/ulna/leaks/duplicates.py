"""Duplicates: equal pixels, or one picture twice (re-encoded, brighter, scaled, flipped, turned)."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ulna.image import Array

#: Correlation of fine thumbnails from which two images are the same picture. Unrelated images reach 0.4
#: (nuclei) or 0.75 (slices, single blood cells); a picture re-encoded or made brighter stays above 0.9.
SAME_PICTURE = 0.85

#: Images that are compared with all others at a time, so that the memory grows with their number, not its square.
BLOCK = 256

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
    so that neither brightness nor shading nor the mere outline of an organ counts. All zero where there is no
    structure.
    """
    small: Array = np.zeros(array.shape[1:], np.float32)
    for channel in array:  # one by one: a large image as float32 might not fit
        small += np.nan_to_num(channel.astype(np.float32), copy=False, posinf=0, neginf=0)
    small /= len(array)
    side = _SIDE.get(small.ndim, 8)
    for axis, size in enumerate(small.shape):
        edges = np.linspace(0, size, side + 1).round().astype(int)
        counts = np.maximum(np.diff(edges), 1).astype(np.float32)
        sums = np.add.reduceat(small, np.minimum(edges[:-1], size - 1), axis=axis)
        small = sums / np.expand_dims(counts, tuple(a for a in range(small.ndim) if a != axis))
    small = small - ndimage.gaussian_filter(small, 4)
    small -= small.mean()
    norm = float(np.linalg.norm(small))
    scale = float(np.abs(array).max()) if array.size else 0.0
    return np.zeros_like(small) if not norm > 1e-5 * scale else (small / norm).astype(np.float32)


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
    """
    for ndim in sorted({t.ndim for t in thumbnails}):
        members = [index for index, t in enumerate(thumbnails) if t.ndim == ndim]
        stack = np.stack([thumbnails[index] for index in members])
        flat = stack.reshape(len(members), -1)
        for start in range(0, len(members), BLOCK):
            block, later = stack[start : start + BLOCK], flat[start:]
            best = np.full((len(block), len(later)), -1.0, np.float32)
            for turned in _symmetries(block):
                np.maximum(best, turned.reshape(len(block), -1) @ later.T, out=best)
            for a, b in np.argwhere(np.triu(best >= SAME_PICTURE, 1)):
                yield members[start + a], members[start + b], float(best[a, b])


def _symmetries(stack: Array) -> Iterator[Array]:
    axes = range(1, stack.ndim)
    turned = [stack, np.swapaxes(stack, -1, -2)] if stack.ndim > 2 else [stack]
    for base in turned:
        for count in range(stack.ndim):
            for flipped in itertools.combinations(axes, count):
                yield np.flip(base, flipped)
