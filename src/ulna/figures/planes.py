"""Planes through a volume: which ones are shown, how they lie before the eye, and what their sides are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np
from scipy import ndimage

from ulna.figures.common import edges
from ulna.grid import Grid
from ulna.image import Array
from ulna.orientation import Orientation, orientation

PATIENT = ("axial", "coronal", "sagittal")
"""The planes across each of the world's axes (superior, posterior, left)."""

ENDS = (("I", "S"), ("A", "P"), ("R", "L"))
"""Where each of them comes from and leads to."""

LETTERS = "zyx"
MICROSCOPES = ("nm", "µm", "pixel")

NEAR = 16
"""Around a small region at least so many pixels are shown."""

CROWDED = 0.1
"""Of a plane outlines may hide at most this share. Those of membranes in ISBI 2012 would hide .14; those of organs, of
tumors and of the nuclei of embryos hide at most .02."""

SHOWN = 400
"""About so many pixels wide is a plane in a picture, and"""

LINE_WIDTH = 2
"""so many is a line."""

LABELED = 1 << 25
"""Of a larger volume every so manieth voxel is looked at for its largest region."""


@dataclass(frozen=True)
class Cut:
    """One plane through an upright volume.

    Parameters
    ----------
    axis
        The axis that it cuts across; None for an image, which is its own plane.
    place
        Where on that axis.
    title
        What it is and which slice of the file.
    upwards
        Whether its rows run upwards: the head is on top, also where slices are counted from the feet.
    ends
        What lies beyond its left, right, upper and lower side, where that is known.
    part
        Of its rows and columns those that are shown.
    """

    axis: int | None
    place: int = 0
    title: str = ""
    upwards: bool = False
    ends: tuple[str, str, str, str] = ("", "", "", "")
    part: tuple[slice, slice] = (slice(None), slice(None))

    def of(self, array: Array) -> Array:
        """The plane of an array (…, *spatial), as it is looked at: (…, rows, columns), a view."""
        plane = array if self.axis is None else np.moveaxis(array, array.ndim - 3 + self.axis, 0)[self.place]
        plane = plane[(..., *self.part)]
        return plane[..., ::-1, :] if self.upwards else plane

    def sides(self, values: Sequence[float]) -> tuple[float, float]:
        """Of one value per axis those of its rows and of its columns."""
        height, width = (value for axis, value in enumerate(values) if axis != self.axis)
        return height, width


@dataclass(frozen=True)
class Upright:
    """A volume that is turned as people look at it, by quarter turns and reflections alone.

    Parameters
    ----------
    before
        The grid of the file.
    turn
        From the file's own order of axes.
    """

    before: Grid
    turn: Orientation

    @classmethod
    def of(cls, grid: Grid) -> Upright:
        """How a volume, or an image, of this grid is turned."""
        return cls(grid, orientation(grid))

    @property
    def grid(self) -> Grid:
        """The grid after turning."""
        return self.turn.grid(self.before) if self.turn.changes else self.before

    @property
    def unit(self) -> str:
        """The unit of lengths; "" where the file does not say it: an identity is no measurement."""
        plain = not any(self.before.origin) and all(side == 1 for side in self.before.spacing)
        return "" if self.before.unit == "pixel" or (plain and self.before.unit == "mm") else self.before.unit

    @property
    def medical(self) -> bool:
        """Whether the file states its place as those of medicine do, and not as a stack of a microscope."""
        grid = self.before
        if grid.ndim != 3 or len(grid.origin) != 3:
            return False
        return (any(grid.origin) and grid.unit not in MICROSCOPES) or not np.array_equal(grid.matrix, np.eye(3))

    @property
    def in_patient(self) -> bool:
        """Whether it is known where the axes point in the patient."""
        return self.medical and bool(self.unit)

    def apply(self, array: Array) -> Array:
        """An array (C, *spatial), turned: a view."""
        return self.turn.apply(array) if self.turn.changes else array

    def cuts(self, center: Sequence[int], box: Sequence[slice]) -> tuple[Cut, ...]:
        """The three planes through a voxel of the upright volume, within a box of it; of an image the image."""
        if self.before.ndim == 2:
            return (Cut(None, part=(box[0], box[1])),)
        return tuple(self._cut(axis, int(center[axis]), box) for axis in range(3))

    def _cut(self, axis: int, place: int, box: Sequence[slice]) -> Cut:
        rows, columns = (other for other in range(3) if other != axis)
        count = self.grid.shape[axis]
        number = count - place if self.turn.turned[axis] else place + 1
        upwards = rows == 0 and self.medical
        name = PATIENT[axis] if self.in_patient else LETTERS[columns] + LETTERS[rows]
        ends = ("", "", "", "")
        if self.in_patient:
            top, bottom = ENDS[rows][::-1] if upwards else ENDS[rows]
            ends = (*ENDS[columns], top, bottom)
        return Cut(axis, place, f"{name}, slice {number} of {count}", upwards, ends, (box[rows], box[columns]))


@dataclass(frozen=True)
class Component:
    """A connected region of a volume.

    Parameters
    ----------
    center
        One of its voxels, far from its border, in the slice that holds most of it.
    voxels
        How many it has; of large volumes an estimate.
    box
        That it lies in.
    """

    center: tuple[int, ...]
    voxels: int
    box: tuple[slice, ...] = ()

    def surroundings(self, shape: Sequence[int], spacing: Sequence[float]) -> tuple[slice, ...]:
        """A box around it that shows where it lies.

        Parameters
        ----------
        shape, spacing
            Of the volume.

        Returns
        -------
        tuple of slice
            On each side as much again as its longest side, and at least `NEAR` pixels of the finest axis.
        """
        sides = [(part.stop - part.start) * step for part, step in zip(self.box, spacing, strict=True)]
        margin = max(max(sides) / 2, NEAR * min(spacing))
        around = [ceil(margin / step) for step in spacing]
        return tuple(
            slice(max(part.start - more, 0), min(part.stop + more, side))
            for part, more, side in zip(self.box, around, shape, strict=True)
        )


def largest_component(mask: Array, spacing: Sequence[float] = ()) -> Component | None:
    """The largest connected region of a mask.

    Parameters
    ----------
    mask
        (*spatial) bool.
    spacing
        The distance of voxels along each axis; ones by default.

    Returns
    -------
    Component or None
        None for an empty mask. Regions are connected by faces; the first of several equally large ones is taken.

    Examples
    --------
    >>> mask = np.zeros((3, 5, 9), bool)
    >>> mask[0, 0, :2], mask[1:, 1:4, 3:8] = True, True
    >>> largest_component(mask)
    Component(center=(1, 2, 4), voxels=30, box=(slice(1, 3, None), slice(1, 4, None), slice(3, 8, None)))
    """
    box = bounds(mask)
    if box is None:
        return None
    step = max(1, ceil((prod(part.stop - part.start for part in box) / LABELED) ** (1 / mask.ndim)))
    thin = tuple(slice(part.start, part.stop, step) for part in box)
    labels, count = ndimage.label(mask[thin])
    if not count:  # thinner than a step
        first = np.unravel_index(int(np.argmax(mask)), mask.shape)
        return Component(tuple(int(place) for place in first), 1, tuple(slice(int(at), int(at) + 1) for at in first))
    sizes = np.bincount(labels.ravel())[1:]
    number = int(np.argmax(sizes)) + 1
    own = ndimage.find_objects(labels, number)[-1]
    center = _middle(labels[own] == number, spacing or (1.0,) * mask.ndim)
    corner = [part.start + step * inner.start for part, inner in zip(box, own, strict=True)]
    places = tuple(start + step * place for start, place in zip(corner, center, strict=True))
    held = tuple(
        slice(start, min(start + step * (inner.stop - inner.start), part.stop))
        for start, inner, part in zip(corner, own, box, strict=True)
    )
    return Component(places, int(sizes[number - 1]) * step**mask.ndim, held)


def fullest(mask: Array) -> int:
    """The plane of a volume (Z, Y, X) that holds most of a mask; the middle one where there is nothing.

    Parameters
    ----------
    mask
        Of any numbers: what is not 0 counts.

    Returns
    -------
    int
        Its place on the first axis.
    """
    filled = np.count_nonzero(mask, axis=(1, 2))
    return int(filled.argmax()) if filled.any() else len(mask) // 2


def is_crowded(labels: Array) -> bool:
    """Whether outlines would hide the image, as those of membranes do.

    Parameters
    ----------
    labels
        (Z, Y, X) class indices or numbers of objects.

    Returns
    -------
    bool
        By the plane that holds most of what is labeled.
    """
    plane = labels[fullest(labels)]
    pixels = SHOWN / max(plane.shape)  # of the picture, for one of the plane
    return bool(edges(plane).mean() * LINE_WIDTH / pixels > CROWDED)


def bounds(mask: Array) -> tuple[slice, ...] | None:
    """The smallest box that holds a mask; None for an empty one."""
    box = []
    for axis in range(mask.ndim):
        filled = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not filled.size:
            return None
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(box)


def _middle(region: Array, spacing: Sequence[float]) -> tuple[int, ...]:
    """The slice that holds most of a region, and in it the pixel that lies farthest from its border."""
    first: tuple[int, ...] = ()
    if region.ndim == 3:
        first = (int(np.count_nonzero(region, axis=(1, 2)).argmax()),)
        region = region[first]
    depth = ndimage.distance_transform_edt(np.pad(region, 1), sampling=tuple(spacing)[-2:])
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return (*first, int(row) - 1, int(column) - 1)
