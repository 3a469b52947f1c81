"""Patch, pooling and kernels of a network for volumes, after the published rules of nnU-Net."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SMALLEST = 4
"""Voxels along an axis at the bottom of the network, at least."""

ALIKE = 2.0
"""Axes whose voxels are longer than those of the finest axis by no more than this are pooled, and seen, alike."""

MOST_LEVELS = 6


@dataclass(frozen=True)
class Topology:
    """What suits a median size and spacing.

    Parameters
    ----------
    patch
        Voxels per axis: what pooling divides.
    kernels
        Sides of the convolutions of each level, from the top.
    strides
        By how much each step between levels pools.
    """

    patch: tuple[int, ...]
    kernels: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]


def topology(shape: Sequence[float], spacing: Sequence[float], *, most: int, levels: int | None = None) -> Topology:
    """The patch of a size that the budget allows, and the pooling that goes with it.

    The patch is the median image, cut along the axis where it is largest until it has few enough voxels. An axis is
    pooled as long as `SMALLEST` voxels are left, and, where its voxels are thick, only once the others have become as
    thick; until then kernels do not reach along it.

    Parameters
    ----------
    shape
        The median number of voxels per axis.
    spacing
        The distance of voxels per axis.
    most
        Voxels of a patch.
    levels
        How many levels the network is to have; by default as many as there is room for, at most `MOST_LEVELS`.

    Returns
    -------
    Topology
        Of this median.

    References
    ----------
    Isensee et al.: nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation. Nature
    Methods 18, 2021, online methods.

    Examples
    --------
    >>> topology((36, 50, 35), (1, 1, 1), most=10**6).patch
    (40, 56, 40)
    >>> topology((10, 220, 220), (8, 1.4, 1.4), most=10**6).strides
    ((1, 2, 2), (1, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2))
    """
    sides = np.array(shape, np.float64)
    while prod(np.maximum(sides, SMALLEST)) > most:
        longest = int(np.argmax(sides * np.array(spacing) / np.min(spacing)))
        sides[longest] *= 0.95
    size = np.maximum(np.round(sides), SMALLEST).astype(int)
    strides, kernels = _steps(size, np.array(spacing, np.float64), levels)
    multiple = np.prod(strides, axis=0, dtype=int) if strides else np.ones(len(size), int)
    patch = tuple(int(side) for side in -(-size // multiple) * multiple)
    return Topology(patch, tuple(kernels), tuple(strides))


def _steps(size: Integers, spacing: Floats, levels: int | None) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """The strides between levels, and the kernels of the levels, of which there is one more."""
    left, apart = size.astype(float), spacing.copy()
    strides: list[tuple[int, ...]] = []
    kernels: list[tuple[int, ...]] = []
    reach = np.zeros(len(size), bool)
    while True:
        reach |= apart < ALIKE * apart.min()
        kernels.append(tuple(np.where(reach, 3, 1).tolist()))
        room = left >= 2 * SMALLEST
        if len(kernels) == (levels or MOST_LEVELS) or (levels is None and not room.any()):
            return strides, kernels
        pooled = room & (apart < ALIKE * apart[room].min()) if room.any() else left >= 2
        step = np.where(pooled, 2, 1)
        strides.append(tuple(step.tolist()))
        left, apart = np.ceil(left / step), apart * step
