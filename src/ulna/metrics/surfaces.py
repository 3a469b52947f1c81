"""How far the surfaces of a mask and of the truth lie apart, in the unit of the image: millimeters, micrometers.

A surface lies between pixels. It is made of one element for each 2×2 (2×2×2 in 3D) neighbors that are not all inside or
all outside, as large as the piece of the contour that marching squares (cubes) draws there. Distances between elements
are those of their centers, and count by the elements' size, so that they do not depend on how fine the grid is.

Where not all is annotated, an element with a corner that is not counts for nothing, and a distance is the least that it
can be: the other surface may go on in what is not annotated. Where most of what bounds the truth is so, as that of
strokes, no surface is known. Where single planes of a volume are annotated, surfaces are the outlines in these planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import hypot

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import marching_cubes, mesh_surface_area

from ulna.errors import UlnaError
from ulna.metrics.rows import Row, state

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

LARGEST = 95
"""The percentile of the distances that stands for the largest."""


KNOWN = 0.5
"""Surfaces are compared where at least this share of the true one has annotated pixels on both sides."""


@dataclass(frozen=True)
class SurfaceDistances:
    """The distances from each of two surfaces to the other, in order, and the sizes of the elements.

    Parameters
    ----------
    found, true : ndarray of float64
        From each element of the predicted surface to the true one, and the other way round, rising. Infinite where
        there is no other surface; of outlines in planes, where there is none in the same plane.
    found_sizes, true_sizes : ndarray of float64
        The length (area in 3D) of each element, in the same order.
    """

    found: Floats
    found_sizes: Floats
    true: Floats
    true_sizes: Floats

    @property
    def hausdorff(self) -> float:
        """The larger of the distances within which 95 % of either surface lie (HD95); NaN where one is missing."""
        if not self._both:
            return float("nan")
        return max(_percentile(*one) for one in self._measured)

    @property
    def average(self) -> tuple[float, float]:
        """The average symmetric surface distance, as sums of distances and of sizes; 0/0 where one is missing."""
        if not self._both:
            return 0.0, 0.0
        total = sum(float(distances @ sizes) for distances, sizes in self._measured)
        return total, sum(float(sizes.sum()) for _, sizes in self._measured)

    def within(self, tolerance: float) -> tuple[float, float]:
        """How much of both surfaces lies within a distance of the other, and how much there is: the surface Dice."""
        near = (_up_to(self.found, self.found_sizes, tolerance), _up_to(self.true, self.true_sizes, tolerance))
        return sum(near), float(self.found_sizes.sum() + self.true_sizes.sum())

    @property
    def _both(self) -> bool:
        return all(distances.size for distances, _ in self._measured)

    @property
    def _measured(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Of both surfaces the distances that are finite, and the sizes of these elements."""
        ends = [int(np.searchsorted(distances, np.inf)) for distances in (self.found, self.true)]
        return (self.found[: ends[0]], self.found_sizes[: ends[0]]), (self.true[: ends[1]], self.true_sizes[: ends[1]])


def surface_distances(
    found: Mask, truth: Mask, spacing: Sequence[float], known: Mask | None = None
) -> SurfaceDistances:
    """How far two surfaces lie apart.

    Parameters
    ----------
    found, truth : ndarray of bool
        (*spatial), 2D or 3D.
    spacing : sequence of float
        The size of a pixel along each axis.
    known : ndarray of bool, optional
        Where the truth is annotated; by default everywhere.

    Returns
    -------
    SurfaceDistances
        Empty for a mask without a pixel. What leaves the image ends there: its border is part of the surface.

    Raises
    ------
    UlnaError
        When the shapes differ.

    References
    ----------
    Nikolov et al.: Clinically applicable segmentation of head and neck anatomy for radiotherapy. J. Med. Internet Res.
    23(7), 2021, appendix: surface elements by marching cubes.
    """
    if found.shape != truth.shape:
        raise UlnaError(f"the shape of the prediction, {found.shape}, is not that of the truth, {truth.shape}")
    axis = None if known is None else _single_planes(known)
    if known is not None and axis is not None:
        return _in_planes(found, truth, spacing, known, axis)
    either = found | truth
    boxes = ndimage.find_objects(either.astype(np.uint8)) if known is None else [(slice(None),) * found.ndim]
    box = boxes[0] if boxes else (slice(0, 0),) * found.ndim
    sizes = [_elements(np.pad(mask[box], 1), tuple(spacing)) for mask in (found, truth)]
    unsure = None if known is None else _corners(np.pad(~known, 1)) > 0
    if unsure is not None:
        drawn, sizes = float(sizes[1].sum()), [np.where(unsure, 0, size) for size in sizes]
        if float(sizes[1].sum()) < KNOWN * drawn:
            return SurfaceDistances(*[np.zeros(0)] * 4)
    apart = [_distances(one > 0, other > 0, spacing) for one, other in (sizes, sizes[::-1])]
    if unsure is not None and unsure.any():
        least = ndimage.distance_transform_edt(~unsure, sampling=spacing)
        apart = [
            np.where(np.isinf(one), one, np.minimum(one, least[size > 0]))
            for one, size in zip(apart, sizes, strict=True)
        ]
    pairs = [_rising(one, size[size > 0]) for one, size in zip(apart, sizes, strict=True)]
    return SurfaceDistances(*pairs[0], *pairs[1])


def surface_rows(
    found: Mask,
    truth: Mask,
    subject: str,
    *,
    spacing: Sequence[float],
    unit: str,
    tolerance: float,
    known: Mask | None = None,
) -> list[Row]:
    """The rows of one class: HD95, average surface distance, surface Dice, and the difference of volumes.

    Parameters
    ----------
    found, truth
        As of `surface_distances`.
    subject
        The name of the class.
    spacing, unit
        The size of a pixel along each axis, and the unit of it.
    tolerance
        Up to this distance surfaces count as the same, for the surface Dice.
    known
        As of `surface_distances`.

    Returns
    -------
    list of Row
        "hd95" and "asd" in the unit, NaN where one of the masks, or the surfaces that are known, are empty;
        "surface_dice", 0 there, NaN where both are;
        "volume_difference" (predicted less true), in the unit to the power of the axes.
    """
    if known is not None:
        found, truth = found & known, truth & known
    distances = surface_distances(found, truth, spacing, known)
    how = state(present=bool(truth.any()), found=bool(found.any()))
    largest = distances.hausdorff
    pixel = float(np.prod(spacing))
    more = (int(np.count_nonzero(found)) - int(np.count_nonzero(truth))) * pixel
    return [
        Row(subject, "surface_dice", *distances.within(tolerance), state=how),
        Row(subject, "hd95", 0.0 if np.isnan(largest) else largest, float(not np.isnan(largest)), unit=unit, state=how),
        Row(subject, "asd", *distances.average, unit=unit, state=how),
        Row(subject, "volume_difference", more, unit=f"{unit}{'²³'[found.ndim - 2]}", state=how),
    ]


def _elements(inside: Mask, spacing: tuple[float, ...]) -> Floats:
    """The size of the surface's element between the pixels of each 2×2(×2) neighbors; 0 where there is none."""
    return _sizes(spacing)[_corners(inside)]


def _corners(inside: Mask) -> npt.NDArray[np.uint8]:
    """Which of each 2×2(×2) neighbors are inside, a bit each."""
    code = np.zeros([side - 1 for side in inside.shape], np.uint8)
    for place, corner in enumerate(product((0, 1), repeat=inside.ndim)):
        part = tuple(slice(start, start - 1 or None) for start in corner)
        code |= inside[part].astype(np.uint8) << place
    return code


def _single_planes(known: Mask) -> int | None:
    """The axis on which planes follow that are annotated as a whole, most of them without a neighbor; else None."""
    if known.ndim < 3 or known.all():
        return None
    for axis in range(known.ndim):
        others = tuple(other for other in range(known.ndim) if other != axis)
        some, whole = np.atleast_1d(known.any(axis=others)), np.atleast_1d(known.all(axis=others))
        if bool((some == whole).all()) and 2 * np.count_nonzero(whole[1:] & whole[:-1]) < np.count_nonzero(whole):
            return axis
    return None


def _in_planes(found: Mask, truth: Mask, spacing: Sequence[float], known: Mask, axis: int) -> SurfaceDistances:
    """The outlines in all planes that are annotated, together."""
    flat = [side for place, side in enumerate(spacing) if place != axis]
    planes = np.flatnonzero(known.any(axis=tuple(other for other in range(known.ndim) if other != axis)))
    cuts: list[tuple[slice | int, ...]] = [(*(slice(None),) * axis, int(place)) for place in planes]
    parts = [surface_distances(found[cut], truth[cut], flat) for cut in cuts]
    none = np.zeros(0)
    seen = _rising(
        np.concatenate([none, *(one.found for one in parts)]),
        np.concatenate([none, *(one.found_sizes for one in parts)]),
    )
    true = _rising(
        np.concatenate([none, *(one.true for one in parts)]), np.concatenate([none, *(one.true_sizes for one in parts)])
    )
    return SurfaceDistances(*seen, *true)


def _rising(distances: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Distances from the smallest on, and the sizes of their elements."""
    order = np.argsort(distances, kind="stable")
    return distances[order], sizes[order]


@lru_cache(maxsize=16)
def _sizes(spacing: tuple[float, ...]) -> Floats:
    """The size of the element of each of the 16 (256) ways in which the corners of a cell can be inside."""
    corners = 2 ** len(spacing)
    found = np.zeros(2**corners)
    for code in range(1, 2**corners - 1):
        cell = np.array([code >> place & 1 for place in range(corners)], np.float32).reshape((2,) * len(spacing))
        found[code] = _length(cell, spacing) if len(spacing) == 2 else _area(cell, spacing)
    return found


def _area(cell: npt.NDArray[np.float32], spacing: tuple[float, ...]) -> float:
    vertices, faces, *_ = marching_cubes(cell, 0.5, spacing=spacing, method="lorensen")  # type: ignore[no-untyped-call]
    return float(mesh_surface_area(vertices, faces))  # type: ignore[no-untyped-call]


def _length(cell: npt.NDArray[np.float32], spacing: tuple[float, ...]) -> float:
    """Of the contour that marching squares draws in a cell of four pixels."""
    rows, columns = cell.sum(axis=1), cell.sum(axis=0)
    if cell.sum() == 2 and 1 not in rows:
        return spacing[1]
    if cell.sum() == 2 and 1 not in columns:
        return spacing[0]
    corner = hypot(spacing[0] / 2, spacing[1] / 2)
    return 2 * corner if cell.sum() == 2 else corner


def _distances(own: Mask, other: Mask, spacing: Sequence[float]) -> Floats:
    """From each element of one surface to the nearest of the other, by their centers; infinite where there is none."""
    if not other.any():
        return np.full(np.count_nonzero(own), np.inf)
    return np.asarray(ndimage.distance_transform_edt(~other, sampling=spacing)[own], np.float64)


def _percentile(distances: Floats, sizes: Floats) -> float:
    """The smallest distance within which `LARGEST` percent of a surface lie."""
    share = np.cumsum(sizes) / sizes.sum()
    return float(distances[min(int(np.searchsorted(share, LARGEST / 100)), len(distances) - 1)])


def _up_to(distances: Floats, sizes: Floats, tolerance: float) -> float:
    return float(sizes[: np.searchsorted(distances, tolerance, side="right")].sum())
