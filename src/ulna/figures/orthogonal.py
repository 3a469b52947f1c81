"""A volume in three planes through what matters: which planes, and the outlines of truth and prediction on them.

All that is drawn is taken out of the volume at once, so that no volume has to stay in memory for its picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import find_contours

from ulna.figures.colors import COLORS, color
from ulna.figures.common import Rgb, darkened
from ulna.figures.objects import Fates, fate_colors, fates, neighbor_colors
from ulna.figures.planes import Component, Cut, Upright, bounds, largest_component
from ulna.figures.windows import Window, window
from ulna.grid import Grid
from ulna.image import IGNORE, Array, is_foreground
from ulna.metrics.objects import TRUE_FATES
from ulna.numbering import consecutive

Line = npt.NDArray[np.float64]
"""A closed line: (points, 2), to the right and down, in the unit of the grid."""

WEIGHTS = (1.1, 1.7, 0.7)
"""How wide the lines of classes are, in turn, in points: they are apart in gray, too."""

LARGEST = 1000
"""Pixels along a side of a plane; more no picture can show."""

FILLED = 0.6
"""How bright classes are within their outlines, where there is no image."""

BLANK = 40
"""The gray on which outlines lie where there is no image."""


@dataclass(frozen=True)
class Contour:
    """The outline of one class, or one object, in one plane.

    Parameters
    ----------
    lines
        Closed lines around its parts and holes.
    color
        Red, green and blue, 0 to 255.
    weight
        The width of the lines, points.
    dashed
        Whether it was predicted, beside a truth in full lines.
    """

    lines: tuple[Line, ...]
    color: tuple[int, int, int]
    weight: float = WEIGHTS[0]
    dashed: bool = False


@dataclass(frozen=True)
class View:
    """One plane for the eye.

    Parameters
    ----------
    cut
        Which one it is.
    rgb
        The image, (rows, columns, 3).
    size
        Its height and width in the unit of the grid.
    contours
        What is outlined on it.
    crossing
        Where the other planes cut it: how far down and how far to the right; None for an image.
    """

    cut: Cut
    rgb: Rgb
    size: tuple[float, float]
    contours: tuple[Contour, ...] = ()
    crossing: tuple[float, float] | None = None


@dataclass(frozen=True)
class Section:
    """The planes through one voxel.

    Parameters
    ----------
    title
        Why this one.
    views
        Three of a volume, one of an image.
    """

    title: str
    views: tuple[View, ...]


@dataclass(frozen=True)
class Orthogonal:
    """A case as it is drawn.

    Parameters
    ----------
    title
        Above it.
    sections
        Through the largest true region and, where there is one, through the largest wrong one.
    unit
        Of lengths; "" where it is not known.
    compared
        Whether truth and prediction are both there: full and dashed lines.
    objects
        Whether colors tell objects apart, and not classes.
    unannotated
        Whether there are darker parts that nobody annotated.
    """

    title: str
    sections: tuple[Section, ...]
    unit: str = ""
    compared: bool = False
    objects: bool = False
    unannotated: bool = False


@dataclass(frozen=True)
class _Side:
    """Truth or prediction, upright: numbers of classes or objects (*spatial), 0 nothing, and the color of each."""

    numbers: Array
    shades: Array | None = None  # None: those of objects that are close to each other differ
    dashed: bool = False
    weights: Sequence[float] = WEIGHTS[:1]


@dataclass(frozen=True)
class _Volume:
    """What planes are taken out of."""

    upright: Upright
    image: Array | None
    window: Window
    ignored: Array | None
    sides: Sequence[_Side] = field(default_factory=tuple)

    def section(self, title: str, region: Component | None, *, near: bool = False) -> Section:
        """The planes through a region, whole or near it; without a region those through the middle."""
        grid = self.upright.grid
        center = region.center if region else tuple(side // 2 for side in grid.shape)
        box = tuple(slice(0, side) for side in grid.shape)
        if region and near:
            box = region.surroundings(grid.shape, grid.spacing)
        cuts = self.upright.cuts(center, box)
        contours = [self._contours(side, cuts) for side in self.sides]
        views = []
        for place, cut in enumerate(cuts):
            size = cut.sides([(part.stop - part.start) * side for part, side in zip(box, grid.spacing, strict=True)])
            crossing = None
            if cut.axis is not None:
                inner = [at - part.start + 0.5 for at, part in zip(center, box, strict=True)]
                down, right = cut.sides([at * side for at, side in zip(inner, grid.spacing, strict=True)])
                crossing = (size[0] - down if cut.upwards else down, right)
            lines = tuple(contour for side in contours for contour in side[place])
            views.append(View(cut, self._rgb(cut), size, lines, crossing))
        return Section(title, tuple(views))

    def _rgb(self, cut: Cut) -> Rgb:
        like = cut.of(self.sides[0].numbers)
        thin = tuple(slice(None, None, max(1, side // LARGEST)) for side in like.shape)
        if self.image is None:
            rgb = self._filled(like[thin])
        else:
            rgb = self.window.apply(cut.of(self.image)[(slice(None), *thin)])
        if self.ignored is None:
            return rgb
        dark = cut.of(self.ignored)[thin]
        return darkened(rgb, dark)

    def _filled(self, plane: Array) -> Rgb:
        """What lies under outlines where there is no image: gray, and darker shades of classes that are alone."""
        rgb = np.full((*plane.shape, 3), BLANK, np.uint8)
        shades = self.sides[0].shades
        if len(self.sides) > 1 or shades is None:
            return rgb
        return np.where((plane > 0)[..., None], (FILLED * shades[plane]).astype(np.uint8), rgb)

    def _contours(self, side: _Side, cuts: Sequence[Cut]) -> list[list[Contour]]:
        """What is outlined in each of some planes: a color is that of the same object in all of them."""
        numbers, planes = _without_gaps([cut.of(side.numbers) for cut in cuts])
        shades = np.asarray(COLORS)[neighbor_colors(*planes)][1:] if side.shades is None else side.shades[numbers]
        weights = [side.weights[(int(number) - 1) % len(side.weights)] for number in numbers]
        made = []
        for cut, plane in zip(cuts, planes, strict=True):
            spacing = cut.sides(self.upright.grid.spacing)
            lines = [_lines(plane, number, box, spacing) for number, box in enumerate(ndimage.find_objects(plane), 1)]
            each = zip(lines, shades.tolist(), weights, strict=False)
            made.append([Contour(own, (*shade,), weight, side.dashed) for own, shade, weight in each if own])
        return made


def orthogonal(
    title: str,
    image: Array | None,
    grid: Grid,
    *,
    truth: Array | None = None,
    found: Array | None = None,
    names: Sequence[str] = (),
) -> Orthogonal:
    """Three planes of a volume through its largest true region, and three through the largest wrong one.

    Parameters
    ----------
    title
        Above it.
    image
        (C, *spatial), or None.
    grid
        Of the image, or of the labels.
    truth, found
        Labels (L, *spatial), one of them at least: class indices and, with L = 2, numbers of objects. Where both have
        objects, what became of them is shown; where there is one with objects, those close to each other differ.
    names
        Of the class indices, the background first.

    Returns
    -------
    Orthogonal
        Where there is no region at all, the planes are those through the middle.

    Examples
    --------
    >>> truth, found = np.zeros((2, 1, 9, 9, 9), np.uint8)
    >>> truth[0, 2:5, 2:5, 2:5] = 1
    >>> [section.title for section in orthogonal("a", None, Grid((9, 9, 9)), truth=truth, found=found).sections]
    ['largest true region: 27 voxels', 'largest wrong region: 27 voxels, missed']
    """
    upright = Upright.of(grid)
    sides = {name: upright.apply(side) for name, side in (("true", truth), ("found", found)) if side is not None}
    shown = None if image is None else upright.apply(image)
    ignored = sides["true"][0] == IGNORE if "true" in sides else None
    ignored = ignored if ignored is not None and ignored.any() else None
    objects = all(len(side) > 1 for side in sides.values())
    became = fates(sides["true"], sides["found"]) if objects and len(sides) > 1 else ()
    filled = np.logical_or.reduce([is_foreground(side[0]) for side in sides.values()])
    patient = upright.medical or upright.unit == "mm"
    how = Window(0, 1) if shown is None else window(shown, filled, patient=patient)
    volume = _Volume(upright, shown, how, ignored, _painted(sides, became, objects=objects))
    sections: list[Section] = []
    for name, words in (("true", "true"), ("found", "predicted")):
        region = None if sections or name not in sides else _largest(sides[name], upright.grid, objects=objects)
        if region is not None:
            what = "object" if objects else "region"
            sections.append(volume.section(f"largest {words} {what}: {_volume(region, upright)}", region))
    wrong = _wrong_object(became, upright)
    if wrong is None and len(sides) > 1:
        wrong = _wrong_region(sides["true"][0], sides["found"][0], upright, names)
    if wrong is not None:
        sections.append(volume.section(*wrong, near=bool(sections)))
    sections = sections or [volume.section("nothing is outlined", None)]
    if shown is not None and len(shown) > 1 and how.channel is not None:
        title = f"{title} (channel {how.channel + 1} of {len(shown)})"
    return Orthogonal(
        title,
        tuple(sections),
        upright.unit,
        compared=len(sides) > 1,
        objects=objects,
        unannotated=ignored is not None,
    )


def outlines(region: Array, spacing: Sequence[float] = (1.0, 1.0)) -> list[Line]:
    """Closed lines just within the edges of a region's pixels.

    They run a quarter of a pixel inside, so that those of regions side by side are both seen.

    Parameters
    ----------
    region
        (rows, columns) bool.
    spacing
        The height and the width of a pixel.

    Returns
    -------
    list of Line
        Around each part and each hole: points (to the right, down) from the outer corner of the first pixel.

    Examples
    --------
    >>> outlines(np.array([[False, True]]), (1.0, 2.0))[0].min(axis=0).round(2).tolist()
    [2.5, 0.25]
    """
    box = bounds(region)
    if box is None:
        return []
    fine = np.pad(np.asarray(region[box], np.float32).repeat(2, axis=0).repeat(2, axis=1), 1)
    start = np.array([part.start for part in box])
    made = []
    for line in find_contours(fine, 0.999):  # type: ignore[no-untyped-call]
        down_right = (start + (line - 0.5) / 2) * np.asarray(spacing)
        made.append(down_right[:, ::-1])
    return made


def _lines(plane: Array, number: int, box: tuple[slice, ...] | None, spacing: Sequence[float]) -> tuple[Line, ...]:
    """The outlines of one number of a plane, which lies within a box."""
    if box is None:
        return ()
    start = [part.start * side for part, side in zip(box, spacing, strict=True)][::-1]
    return tuple(line + start for line in outlines(plane[box] == number, spacing))


def _painted(sides: Mapping[str, Array], became: Sequence[Fates], *, objects: bool) -> list[_Side]:
    """Both sides with their colors: those of classes, of what became of objects, or of neighbors."""
    if became:
        return [_Side(numbers, fate_colors(words), k > 0) for k, (numbers, words) in enumerate(became)]
    made = []
    for name, side in sides.items():
        classes = np.where(side[0] == IGNORE, 0, side[0]) if (side[0] == IGNORE).any() else side[0]
        if objects:
            made.append(_Side(np.where(classes > 0, side[1], 0)))
        else:
            shades = np.array([color(index) for index in range(int(classes.max(initial=0)) + 1)])
            made.append(_Side(classes, shades, name == "found" and len(sides) > 1, WEIGHTS))
    return made


def _largest(side: Array, grid: Grid, *, objects: bool) -> Component | None:
    inside = is_foreground(side[0])
    if objects and (numbers := side[1][inside & (side[1] > 0)]).size:
        present, counts = np.unique(numbers, return_counts=True)
        inside &= side[1] == present[counts.argmax()]
    return largest_component(inside, grid.spacing)


def _wrong_region(true: Array, found: Array, upright: Upright, names: Sequence[str]) -> tuple[str, Component] | None:
    """The largest wrong region, and what it is in words; None where all is right."""
    region = largest_component((true != found) & (true != IGNORE), upright.grid.spacing)
    if region is None:
        return None
    called = dict(enumerate(names)) if len(names) > 2 else {}
    expected, seen = int(true[region.center]), int(found[region.center])
    if expected and seen:
        kind = f"{called.get(seen, seen)} instead of {called.get(expected, expected)}"
    else:
        name = called.get(expected or seen)
        kind = ("missed" if expected else "false positive") + (f" ({name})" if name else "")
    return f"largest wrong region: {_volume(region, upright)}, {kind}", region


def _wrong_object(became: Sequence[Fates], upright: Upright) -> tuple[str, Component] | None:
    """The largest object that was not found as it is, and what it is in words; None if there is none."""
    bad = [
        (int(size), words[number], numbers, number)
        for numbers, words in became
        for number, size in enumerate(np.bincount(numbers.ravel()))
        if words[number] not in ("", TRUE_FATES[0])
    ]
    if not bad:
        return None
    _, word, numbers, number = max(bad, key=lambda one: one[0])
    region = largest_component(numbers == number, upright.grid.spacing)
    return (f"largest wrong object: {_volume(region, upright)}, {word}", region) if region else None


def _volume(region: Component, upright: Upright) -> str:
    """How large it is, in the unit of the grid where that is known."""
    grid, unit = upright.grid, upright.unit
    power = "³" if grid.ndim == 3 else "²"
    if not unit:
        return f"{region.voxels:,} {'voxels' if grid.ndim == 3 else 'pixels'}"
    size = region.voxels * prod(grid.spacing)
    if unit == "mm" and size >= 10 ** (grid.ndim):
        unit, size = "cm", size / 10**grid.ndim
    return f"{float(f'{size:.3g}'):,g} {unit}{power}"


def _without_gaps(planes: Sequence[Array]) -> tuple[Array, list[Array]]:
    """The numbers in some planes, and the planes with these numbered from 1 on, alike in all of them."""
    found, numbers = consecutive(np.concatenate([plane.ravel() for plane in planes]))
    parts = np.split(numbers, np.cumsum([plane.size for plane in planes])[:-1])
    return found, [part.reshape(plane.shape) for part, plane in zip(parts, planes, strict=True)]
