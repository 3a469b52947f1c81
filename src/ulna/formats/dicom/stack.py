"""Slices as a volume: sorted by where they lie, with the distance that they really have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ulna.errors import ReadError, UlnaError
from ulna.formats.dicom.headers import Slice
from ulna.formats.world import grid_of
from ulna.grid import Grid
from ulna.image import Source
from ulna.text import listed, plural

SAME = 0.01
"""Slices that are less than this apart, in mm, lie at one place."""
UNEVEN, MAX_UNEVEN = 0.01, 0.1
"""By this share distances may differ without a word, and at all."""
GAP = 1.5
"""Where slices are more than so many times their usual distance apart, one is missing."""
MAX_ASIDE = 0.5
"""By so many pixels a slice may lie beside the line on which the others lie."""
MIN_UPRIGHT = 0.9999
"""The cosine between the stack and its slices' normal from which they stand one above the other."""


@dataclass(frozen=True)
class Stack:
    """Slices in the order in which they lie.

    Parameters
    ----------
    volumes
        The slices of each volume: one, or several of the same places.
    grid
        Where the voxels of a volume lie.
    doubts
        What the files do not say, or what was made of it.
    """

    volumes: tuple[tuple[Slice, ...], ...]
    grid: Grid
    doubts: tuple[str, ...] = ()


def stacked(slices: Sequence[Slice], source: Source, *, expected: int = 0) -> Stack:
    """The volume, or the plane, of some slices.

    Parameters
    ----------
    slices
        Of one size; they lie side by side where they say their places.
    source
        What the error names.
    expected
        How many slices the files say there are; 0 where they do not.

    Returns
    -------
    Stack
        Sorted along the normal of the slices, whatever their names and numbers.

    Raises
    ------
    ReadError
        Where a slice is missing, some places have more slices than others, or the distances differ.
    """
    if any(one.position is None or one.axes is None for one in slices):
        return _unplaced(slices)
    check_alike(slices, source)
    unique = {(one.uid, one.frame, one.position): one for one in slices}  # programs give all slices one uid, too
    doubts = []
    if len(unique) < len(slices):
        doubts.append(
            plural(len(slices) - len(unique), "further copy of a file", "further copies of files") + " left out"
        )
    places = _places(list(unique.values()))
    for place in places:
        _check_beside(place, [place[0].position or ()] * len(place), source)
    counts = {len(place) for place in places}
    if len(counts) > 1:
        few = sum(len(place) == min(counts) for place in places)
        raise ReadError(
            f"{few} of the {len(places)} places where its slices lie have {min(counts)}, the others up to "
            f"{max(counts)}: these are parts of several volumes, or slices are missing",
            where=source,
            hint="Keep the files of one volume per folder.",
        )
    volumes = tuple(zip(*places, strict=True))
    if len(volumes) > 1:
        doubts.append(
            f"has {len(volumes)} slices at each place, which are taken for the channels of one image; if they are "
            "times, data.time picks one"
        )
    if expected > len(places) * len(volumes):
        doubts.append(f"its header speaks of {plural(expected, 'slice')}, {len(places) * len(volumes)} are here")
    grid, more = _grid(volumes[0], source)
    return Stack(volumes, grid, (*doubts, *more))


def check_alike(slices: Sequence[Slice], source: Source) -> None:
    """Raise ReadError for slices that differ in size, in the size of their pixels or in how they lie."""
    first = slices[0]
    for one in slices[1:]:
        if (
            one.shape != first.shape
            or one.spacing != first.spacing
            or not np.allclose(one.normal, first.normal, 0, 1e-3)
        ):
            raise ReadError(
                f"its slices differ in size or direction: {first.source.name}, {one.source.name}", where=source
            )


def _places(slices: Sequence[Slice]) -> list[list[Slice]]:
    """The slices at each place, along the normal; those at one place by their time or number."""
    ordered = sorted(slices, key=lambda one: one.depth)
    places = [[ordered[0]]]
    for one in ordered[1:]:
        if one.depth - places[-1][0].depth < SAME:
            places[-1].append(one)
        else:
            places.append([one])
    return [sorted(place, key=lambda one: one.order) for place in places]


def _grid(slices: Sequence[Slice], source: Source) -> tuple[Grid, list[str]]:
    """Where a volume lies, by the positions of its slices alone: never by their thickness."""
    first, last, doubts = slices[0], slices[-1], []
    rows, columns = _size(first)
    if first.spacing is None:
        doubts.append("it does not say how large its pixels are")
    x, y = np.asarray(first.axes, float)
    step = first.normal
    if len(slices) > 1:
        span = np.subtract(last.position or (), first.position or ())
        step = span / (len(slices) - 1)
        doubts += _distances(slices, source)
        _check_beside(slices, [np.add(first.position or (), k * step) for k in range(len(slices))], source)
        if np.dot(span / np.linalg.norm(span), first.normal) < MIN_UPRIGHT:
            doubts.append(
                "its slices are shifted against each other (a tilted gantry): its axes are not at right angles"
            )
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack([x * columns, y * rows, step])
    matrix[:3, 3] = first.position
    try:
        grid = grid_of(matrix, (len(slices), *first.shape), unit="mm")
    except UlnaError as error:
        raise ReadError(f"says no place in space: {error.what}", where=source, hint="Correct its header.") from None
    return grid if len(slices) > 1 else grid.slices()[0], doubts


def _check_beside(slices: Sequence[Slice], expected: Sequence[npt.ArrayLike], source: Source) -> None:
    """Raise ReadError where a slice lies beside the place where it is expected, by more than half a pixel."""
    for one, place in zip(slices, expected, strict=True):
        x, y = np.asarray(one.axes, float)
        aside = np.subtract(one.position or (), place)
        rows, columns = _size(one)
        if max(abs(aside @ x) / columns, abs(aside @ y) / rows) > MAX_ASIDE:
            what = "its slices do not lie above one another: {} is shifted against {} by {:.3g} mm"
            raise ReadError(
                what.format(one.source.name, slices[0].source.name, float(np.linalg.norm(aside))),
                where=source,
                hint="These are several volumes, or a table that moved: keep the files of each in a folder of its own.",
            )


def _size(one: Slice) -> tuple[float, float]:
    """Height and width of a pixel. Raises ReadError for what is none."""
    rows, columns = one.spacing or (1.0, 1.0)
    if not (0 < rows < np.inf and 0 < columns < np.inf):
        what = f"says no place in space: its pixels are {rows:g} × {columns:g} mm"
        raise ReadError(what, where=one.source, hint="Correct its header.")
    return rows, columns


def _distances(slices: Sequence[Slice], source: Source) -> list[str]:
    """What is odd about the distances of slices. Raises ReadError for gaps."""
    depths = np.array([one.depth for one in slices])
    steps = np.diff(depths)
    usual = float(np.median(steps))
    gaps = [k for k in range(len(steps)) if steps[k] > GAP * usual]
    if gaps:
        missing = sum(max(1, round(steps[k] / usual) - 1) for k in gaps)
        where = listed([f"between {depths[k]:g} and {depths[k + 1]:g} mm" for k in gaps], 3)
        raise ReadError(
            f"{plural(missing, 'slice')} of it {'is' if missing == 1 else 'are'} missing, {where}: the others are "
            f"{usual:g} mm apart",
            where=source,
            hint="Copy or export the whole series again.",
        )
    spread = float(np.abs(steps / usual - 1).max())
    if spread > MAX_UNEVEN:
        raise ReadError(
            f"its slices lie {steps.min():g} to {steps.max():g} mm apart, which is no regular grid",
            where=source,
            hint="Resample it to even distances and save it as NIfTI.",
        )
    mean = (depths[-1] - depths[0]) / len(steps)
    return [f"its slices lie {steps.min():g} to {steps.max():g} mm apart; {mean:g} mm is taken"] * (spread > UNEVEN)


def _unplaced(slices: Sequence[Slice]) -> Stack:
    """Frames that do not say where they lie: one after the other, as in a film."""
    rows, columns = _size(slices[0])
    unit = "mm" if slices[0].spacing else "pixel"
    plane = Grid(slices[0].shape, (rows, columns), unit)
    doubts = [
        "it does not say where it lies in the patient" + ("" if slices[0].spacing else ", nor how large its pixels are")
    ]
    ordered = tuple(sorted(slices, key=lambda one: one.order))
    grid = plane if len(ordered) == 1 else Grid((len(ordered), *plane.shape), (1.0, rows, columns), unit)
    return Stack((ordered,), grid, tuple(doubts))
