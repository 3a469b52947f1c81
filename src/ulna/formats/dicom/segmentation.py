"""DICOM segmentations: segments one by one, as fractions, or as a map of labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from ulna.errors import ReadError
from ulna.formats.dicom.headers import Slice, slices_of
from ulna.formats.dicom.stack import SAME, stacked
from ulna.formats.dicom.tiles import Tiles, tiles_of
from ulna.grid import Grid
from ulna.image import Array, Source
from ulna.text import listed, plural

NESTED = 0.98
"""The share of a segment that must lie within another for it to be painted on top of it."""
MAX_BESIDE = 0.05
"""By so many pixels a mask's first pixel may lie beside that of its series: up to there it is rounding."""


@dataclass(frozen=True)
class Mask:
    """What a segmentation says before it is decoded.

    Parameters
    ----------
    grid
        Where its voxels lie.
    segments
        Number and label of each segment.
    frames
        Of each frame the number of its segment (0 in a map of labels) and of its plane or tile.
    highest
        The value of a whole fraction; 1 where there are no fractions.
    labels
        Whether its values are the numbers of segments.
    doubts
        What was made of it.
    tiles
        Where the tiles lie, of a picture in tiles.
    """

    grid: Grid
    segments: tuple[tuple[int, str], ...]
    frames: tuple[tuple[int, int], ...]
    highest: int
    labels: bool
    doubts: tuple[str, ...]
    tiles: Tiles | None = None

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers of segments."""
        return np.dtype(np.uint8 if max((number for number, _ in self.segments), default=1) < 256 else np.uint16)

    @property
    def overlapping(self) -> bool:
        """Whether two segments have frames of one plane, and may overlap."""
        planes = [plane for _, plane in self.frames]
        return not self.labels and len(set(planes)) < len(planes)


def segments_of(data: Any) -> tuple[tuple[int, str], ...]:
    """The number and the label of each segment, without the background.

    Parameters
    ----------
    data
        The header of a segmentation.

    Returns
    -------
    tuple
        In the file's order.
    """
    found = [(int(one.SegmentNumber), str(one.get("SegmentLabel", ""))) for one in data.get("SegmentSequence") or ()]
    return tuple((number, label) for number, label in found if number)


def mask_of(source: Source, data: Any, series: Grid | None) -> Mask:
    """Where the frames of a segmentation lie.

    Parameters
    ----------
    source
        The file.
    data
        Its header.
    series
        The grid of the series that it was drawn on; None where that is not there.

    Returns
    -------
    Mask
        On the series' grid where its frames lie on it, else on the smallest grid that holds them.

    Raises
    ------
    ReadError
        For frames that do not say where they lie, or lie on no grid.
    """
    slices = list(slices_of(source, data))
    tiles = tiles_of(source, data)
    if not tiles and any(one.position is None or one.axes is None for one in slices):
        raise ReadError("does not say where its frames lie in the patient", where=source)
    kind, segments = str(data.get("SegmentationType", "BINARY")), segments_of(data)
    numbers = [0] * len(slices) if kind == "LABELMAP" else [_segment(one, source) for one in _own(data, len(slices))]
    doubts = []
    highest = int(data.get("MaximumFractionalValue") or 1) if kind == "FRACTIONAL" else 1
    if kind == "FRACTIONAL":
        doubts.append("it holds fractions: a pixel belongs to the segment with the largest one, from one half on")
    if tiles:
        corners = tuple(dict.fromkeys(tiles.corners))
        frames = tuple((number, corners.index(corner)) for number, corner in zip(numbers, tiles.corners, strict=True))
        whole = replace(tiles, corners=corners)
        return Mask(tiles.grid, segments, frames, highest, kind == "LABELMAP", tuple(doubts), whole)
    grid = series
    places = _on(series, slices) if series else None
    if places is None:
        if series:
            doubts.append("its frames do not lie on the slices of its series: it has a grid of its own")
        grid = _own_grid(slices, data, source)
        places = _on(grid, slices)
    if places is None or grid is None:
        raise ReadError("its frames lie on no regular grid", where=source, hint="Save it as NIfTI.")
    frames = tuple(zip(numbers, places, strict=True))
    return Mask(grid, segments, frames, highest, kind == "LABELMAP", tuple(doubts))


def painted(mask: Mask, decode: Callable[[int], Array], source: Source) -> tuple[Array, str]:
    """The map of the segments' numbers, (*spatial), and which segments lie within others.

    Parameters
    ----------
    mask
        What the file says.
    decode
        Gives the pixels of a frame, (Y, X).
    source
        What the error names.

    Returns
    -------
    Array, str
        Of the whole; nothing is said where no segment lies within another.

    Raises
    ------
    ReadError
        For segments that overlap without one lying within the other.
    """
    if not mask.tiles:
        planes, said = _painted(mask, decode, (1,) * (3 - mask.grid.ndim) + mask.grid.shape, source)
        return planes.reshape(mask.grid.shape), said
    drawn, said = _painted(mask, decode, (len(mask.tiles.corners), *mask.tiles.size), source)
    whole = tuple(slice(0, side) for side in mask.grid.shape)
    return mask.tiles.paste(lambda tile: drawn[tile][None], whole, 1, mask.dtype)[0], said


def _painted(mask: Mask, decode: Callable[[int], Array], shape: tuple[int, ...], source: Source) -> tuple[Array, str]:
    """The planes or tiles of the map, (planes, Y, X)."""
    volume = np.zeros(shape, mask.dtype)
    if mask.labels:
        for frame, (_, plane) in enumerate(mask.frames):
            volume[plane] = decode(frame)
        return volume, ""
    planes: dict[int, dict[int, Array]] = {}
    for frame, (number, plane) in enumerate(mask.frames):
        if number in planes.setdefault(plane, {}):
            raise ReadError(f"has two frames of segment {number} in one place", where=source)
        planes[plane][number] = decode(frame)
    if mask.highest > 1:
        for plane, shown in planes.items():
            order = sorted(shown)
            stack = np.stack([shown[number] for number in order])
            best = np.array(order, mask.dtype)[stack.argmax(axis=0)]
            volume[plane] = np.where(2 * stack.max(axis=0).astype(int) >= mask.highest, best, 0)
        return volume, ""
    sizes = {number: 0 for number, _ in mask.segments}
    shared: dict[tuple[int, int], int] = {}
    for shown in planes.values():
        for number, pixels in shown.items():
            sizes[number] = sizes.get(number, 0) + int(np.count_nonzero(pixels))
        for one, other in combinations(sorted(shown), 2):
            both = int(np.count_nonzero(np.logical_and(shown[one], shown[other])))
            if both:
                shared[one, other] = shared.get((one, other), 0) + both
    said = _nested(mask, sizes, shared, source)
    for plane, shown in planes.items():
        for number in sorted(shown, key=lambda number: -sizes[number]):  # the smaller on top
            volume[plane][shown[number] != 0] = number
    return volume, said


def _nested(mask: Mask, sizes: dict[int, int], shared: dict[tuple[int, int], int], source: Source) -> str:
    """Which segments lie within others. Raises ReadError for those that only overlap."""
    names = {number: label or f"segment {number}" for number, label in mask.segments}
    within = []
    for (one, other), both in shared.items():
        inner, outer = sorted((one, other), key=lambda number: sizes[number])
        if both < NESTED * sizes[inner] or sizes[inner] == sizes[outer]:
            raise ReadError(
                f"its segments '{names[one]}' and '{names[other]}' overlap in {plural(both, 'pixel')}, and none lies "
                "within the other",
                where=source,
                hint="A pixel has one class here: keep one of them, or save a file for each.",
            )
        within.append(f"'{names[inner]}' within '{names[outer]}'")
    return f"segments lie in others and are painted on top: {listed(within, 3)}" if within else ""


def _own(data: Any, count: int) -> list[Any]:
    groups = data.get("PerFrameFunctionalGroupsSequence") or [None] * count
    shared = (data.get("SharedFunctionalGroupsSequence") or [None])[0]
    return [
        next(
            (
                one.SegmentIdentificationSequence[0]
                for one in (own, shared)
                if one and "SegmentIdentificationSequence" in one
            ),
            None,
        )
        for own in groups
    ]


def _segment(item: Any, source: Source) -> int:
    if item is None:
        raise ReadError("does not say which segments its frames show", where=source)
    return int(item.ReferencedSegmentNumber)


def _on(grid: Grid, slices: list[Slice]) -> list[int] | None:
    """The plane of a grid that each slice is; None where one is none."""
    volume = (
        grid if grid.ndim == 3 else Grid((1, *grid.shape), (1.0, *grid.spacing), grid.unit, grid.origin, _upright(grid))
    )
    places = []
    for one in slices:
        corner = volume.to_index(np.asarray(one.position)[::-1])
        x, y = np.asarray(one.axes)
        rows, columns = one.spacing or (1.0, 1.0)
        steps = np.column_stack([y * rows, x * columns])[::-1]
        theirs = volume.matrix[:, 1:] * volume.spacing[1:]
        far = np.abs(steps - theirs).max() * max(one.shape) / min(volume.spacing[1:])
        plane = round(float(corner[0]))
        beside = max(abs(corner[0] - plane), abs(corner[1]), abs(corner[2]))
        if one.shape != volume.shape[1:] or not 0 <= plane < volume.shape[0] or beside > MAX_BESIDE or far > MAX_BESIDE:
            return None
        places.append(plane)
    return places


def _upright(grid: Grid) -> tuple[tuple[float, ...], ...]:
    """The directions of a plane in space with its normal before them."""
    y, x = grid.matrix.T
    normal = np.cross(x[::-1], y[::-1])[::-1]
    return tuple(map(tuple, np.column_stack([normal, y, x]).tolist()))


def _own_grid(slices: list[Slice], data: Any, source: Source) -> Grid:
    """The grid from the first frame to the last, with the planes between that have no frame."""
    depths = sorted({round(one.depth / SAME) for one in slices})
    one_each = {round(one.depth / SAME): one for one in slices}
    first, last = one_each[depths[0]], one_each[depths[-1]]
    shared = (data.get("SharedFunctionalGroupsSequence") or [{}])[0]
    measures = (shared.get("PixelMeasuresSequence") or [{}])[0]
    stated = float(measures.get("SpacingBetweenSlices") or 0)
    if len(depths) == 1:
        return stacked([first], source).grid
    apart = np.diff(sorted(one.depth for one in one_each.values()))
    step = stated or float(apart[apart > SAME].min(initial=last.depth - first.depth))
    count = max(2, round((last.depth - first.depth) / step) + 1)
    grid = stacked([first, last], source).grid
    return Grid(
        (count, *grid.shape[1:]),
        (grid.spacing[0] / (count - 1), *grid.spacing[1:]),
        grid.unit,
        grid.origin,
        grid.direction,
    )
