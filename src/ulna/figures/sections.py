"""Cases of volumes on a page: the planes of each beside each other, in one scale, with lines, letters and a ruler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke, withStroke

from ulna.figures.colors import DARK, FATES, LIGHT, color, shade
from ulna.figures.common import Rgb, new_figure, words
from ulna.figures.orthogonal import WEIGHTS, Orthogonal, Section, View

DPI = 120
GAP = 0.2
"""Inches between planes."""

LINE = 0.22
"""Inches for a line of text."""

HEIGHT = 3.4
"""The longest side of a volume is at most so long, inches."""

THIN = 0.6
"""Of a volume at most so deep, as a share of its height, the two views from the side stand one below the other."""

DASHES = (0, (2.6, 1.6))
RULER = 0.3
"""A ruler is at most this share of a plane's width."""

LEGIBLE = 0.5
"""Lower planes than this, inches, have no letters at their upper and lower sides."""

TICK = 0.06
"""Inches from a plane to where the marks of the other planes end."""


@dataclass(frozen=True)
class Box:
    """A place on a page, in inches from its upper left corner."""

    left: float
    top: float
    width: float
    height: float

    def moved(self, right: float, down: float) -> Box:
        """The same box elsewhere."""
        return Box(self.left + right, self.top + down, self.width, self.height)


def arrange(sizes: Sequence[tuple[float, float]], width: float) -> tuple[list[Box], float]:
    """Where the planes of a section lie, all in one scale.

    Parameters
    ----------
    sizes
        Height and width of each plane, in any unit.
    width
        That of the section, inches.

    Returns
    -------
    list of Box, float
        A box for each plane, with room for a title above it; and how many inches one unit is.

    Examples
    --------
    >>> boxes, scale = arrange([(100, 100), (70, 100), (70, 100)], 6.4)
    >>> round(scale, 4), [(round(box.width, 2), round(box.height, 2)) for box in boxes]
    (0.02, [(2.0, 2.0), (2.0, 1.4), (2.0, 1.4)])
    """
    most = HEIGHT / max(max(size) for size in sizes)
    if len(sizes) == 3 and sizes[1][0] <= THIN * sizes[0][0]:
        (first_height, first_width), *others = sizes
        scale = min((width - GAP) / (first_width + max(size[1] for size in others)), most)
        boxes = [Box(0, LINE, first_width * scale, first_height * scale)]
        top = LINE
        for height, wide in others:
            boxes.append(Box(first_width * scale + GAP, top, wide * scale, height * scale))
            top += height * scale + LINE
        return boxes, scale
    scale = min((width - GAP * (len(sizes) - 1)) / sum(size[1] for size in sizes), most)
    boxes, left = [], 0.0
    for height, wide in sizes:
        boxes.append(Box(left, LINE, wide * scale, height * scale))
        left += wide * scale + GAP
    return boxes, scale


def page(rows: Sequence[Orthogonal], classes: Sequence[str], *, width: float = 10.0, columns: int = 1) -> Figure:
    """A figure of cases, one below the other or in columns, with a legend.

    Parameters
    ----------
    rows
        The cases, at least one.
    classes
        Names of the class indices, the background first.
    width
        Of the page, inches.
    columns
        So many cases side by side.

    Returns
    -------
    Figure
        It belongs to no window.
    """
    each = (width - 2 * GAP - GAP * 2 * (columns - 1)) / columns
    plans = [_plan(row, each) for row in rows]
    heights = [max(plan[1] for plan in plans[start : start + columns]) for start in range(0, len(plans), columns)]
    handles = _handles(rows, classes)
    widths = [0.065 * len(str(handle.get_label())) + 0.55 for handle in handles]
    across = len(handles) if sum(widths) < width else max(1, int(width / max(widths)))
    lines = ceil(len(handles) / max(across, 1))
    total = sum(heights) + LINE * lines * 1.1 + 0.1
    figure = new_figure(width, total, dpi=DPI)
    figure.set_layout_engine("none")
    for number, (row, (places, _)) in enumerate(zip(rows, plans, strict=True)):
        down = sum(heights[: number // columns])
        right = GAP + (number % columns) * (each + 2 * GAP)
        alone = len(places) == 1
        _write(figure, right, down + 0.16, _joined(row.title, places[0][0].title if alone else ""), size=9)
        for section, boxes, scale in places:
            if not alone:
                _write(figure, right + boxes[0].left, down + boxes[0].top - LINE - 0.03, section.title, size=7.5)
            _draw(figure, section, [box.moved(right, down) for box in boxes], scale, row.unit)
    if handles:
        figure.legend(handles=handles, loc="lower center", ncols=across, fontsize=8, frameon=False)
    return figure


def pixels(figure: Figure) -> Rgb:
    """A figure as an image.

    Parameters
    ----------
    figure
        Any matplotlib figure.

    Returns
    -------
    Rgb
        (Y, X, 3).
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.array(np.asarray(canvas.buffer_rgba())[..., :3])  # type: ignore[no-untyped-call]


def _plan(row: Orthogonal, width: float) -> tuple[list[tuple[Section, list[Box], float]], float]:
    """Where the planes of a case lie, and how high all is.

    Two sections stand side by side where each voxel has its pixel even so; a case that is right all over, beside others
    that are not, has no more room than these.
    """
    half = (width - GAP) / 2
    sizes = [view.size for view in row.sections[0].views]
    fine = min(view.size[1] / view.rgb.shape[1] for view in row.sections[0].views)
    beside = row.compared and arrange(sizes, half)[1] * fine * DPI >= 1
    title = LINE if len(row.sections) > 1 else 0.0  # that of a single section stands beside the name of the case
    top, left, placed = LINE, 0.0, []
    for section in row.sections:
        boxes, scale = arrange([view.size for view in section.views], half if beside else width)
        placed.append((section, [box.moved(left, top + title) for box in boxes], scale))
        bottom = max(box.top + box.height for box in placed[-1][1])
        left, top = (half + GAP, top) if beside else (0.0, bottom + 0.1)
    return placed, max(box.top + box.height for _, boxes, _ in placed for box in boxes) + 0.15


def _draw(figure: Figure, section: Section, boxes: Sequence[Box], scale: float, unit: str) -> None:
    for number, (view, box) in enumerate(zip(section.views, boxes, strict=True)):
        axes = _axes(figure, box, view)
        if view.cut.title:
            _write(figure, box.left, box.top - 0.08, view.cut.title, size=6.5)
        for contour in view.contours:
            axes.add_collection(
                LineCollection(
                    list(contour.lines),
                    colors=[shade(contour.color)],
                    linewidths=contour.weight,
                    linestyles=[DASHES] if contour.dashed else "solid",
                    path_effects=_halo(contour.weight),
                )
            )
        _letters(axes, view, box)
        _ticks(axes, view, scale)
        if unit and not number:
            _ruler(axes, view, scale, unit)


def _axes(figure: Figure, box: Box, view: View) -> Axes:
    """Axes in the unit of the volume, whose origin is the image's upper left corner."""
    width, height = figure.get_size_inches()
    place = (box.left / width, 1 - (box.top + box.height) / height, box.width / width, box.height / height)
    axes = figure.add_axes(place)
    down, right = view.size
    axes.imshow(view.rgb, extent=(0, right, down, 0), aspect="auto", interpolation="antialiased")
    axes.set(xlim=(0, right), ylim=(down, 0))
    axes.set_axis_off()
    return axes


def _write(figure: Figure, left: float, top: float, text: str, *, size: float) -> None:
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - top / height, words(text), fontsize=size, ha="left", va="baseline")


def _joined(title: str, section: str) -> str:
    return " — ".join(part for part in (title, section) if part)


def _letters(axes: Axes, view: View, box: Box) -> None:
    left, right, top, bottom = view.cut.ends
    upright, tall = box.height >= LEGIBLE, box.height >= LEGIBLE / 2
    for text, x, y, shown in (
        (left, 0.02, 0.5, tall), (right, 0.98, 0.5, tall), (top, 0.5, 0.97, upright), (bottom, 0.5, 0.03, upright),
    ):  # fmt: skip
        if text and shown:
            across = "left" if x < 0.1 else "right" if x > 0.9 else "center"
            along = "top" if y > 0.9 else "bottom" if y < 0.1 else "center"
            axes.text(
                x, y, text, transform=axes.transAxes, ha=across, va=along, fontsize=7, color="white",
                path_effects=_rim(2),
            )  # fmt: skip


def _ticks(axes: Axes, view: View, scale: float) -> None:
    """Short lines outside the borders where the other planes cut this one."""
    if view.crossing is None:
        return
    down, right = view.crossing
    height, width = view.size
    near, far = 0.015 / scale, TICK / scale
    lines = [
        [(right, -near), (right, -far)],
        [(right, height + near), (right, height + far)],
        [(-near, down), (-far, down)],
        [(width + near, down), (width + far, down)],
    ]
    axes.add_collection(LineCollection(lines, colors=["black"], linewidths=0.8, clip_on=False))


def _ruler(axes: Axes, view: View, scale: float, unit: str) -> None:
    """A bar of a round length in the lower left corner, with its length."""
    height, width = view.size
    length = round_length(RULER * width)
    left, low = 0.04 * width, height - 0.09 / scale
    axes.plot([left, left + length], [low, low], color="white", lw=2, solid_capstyle="butt", path_effects=_rim(3.4))
    axes.text(
        left, low - 0.03 / scale, f"{length:g} {unit}", ha="left", va="bottom", fontsize=6.5,
        color="white", path_effects=_rim(2),
    )  # fmt: skip


def round_length(most: float) -> float:
    """The largest of …, 1, 2, 5, 10, 20, 50, … that is no longer.

    Examples
    --------
    >>> [round_length(most) for most in (0.7, 3.0, 61.0, 100.0)]
    [0.5, 2.0, 50.0, 100.0]
    """
    power = 10.0 ** floor(log10(most) + 1e-9)
    return float(max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9)))


def _rim(width: float) -> list[AbstractPathEffect]:
    """A dark rim, so that bright lines and letters are seen on bright tissue."""
    return [withStroke(linewidth=width, foreground=shade(DARK))]


def _halo(weight: float) -> list[AbstractPathEffect]:
    """A light line around a line, and a dark one around both, so that it is seen on any ground."""
    return [
        Stroke(linewidth=weight + 1.2, foreground=shade(DARK)),
        Stroke(linewidth=weight + 0.5, foreground=shade(LIGHT)),
        Normal(),
    ]


def _handles(rows: Sequence[Orthogonal], classes: Sequence[str]) -> list[Line2D]:
    compared, objects = any(row.compared for row in rows), any(row.objects for row in rows)
    named: list[tuple[str, tuple[int, int, int], float]] = []
    if compared and objects:
        named = [(name, tint, WEIGHTS[0]) for name, tint in FATES.items()]
    elif not objects and (len(classes) > 2 or not compared):
        named = [
            (name, color(index), WEIGHTS[(index - 1) % len(WEIGHTS)]) for index, name in enumerate(classes[1:], start=1)
        ]
    made = [_handle(name, tint, weight) for name, tint, weight in named]
    if compared:
        tint = (90, 90, 90) if named else color(1)
        made += [_handle("ground truth", tint, 1.3), _handle("prediction", tint, 1.3, dashed=True)]
    if any(row.unannotated for row in rows):
        made.append(Line2D([], [], color="0.3", ls="", marker="s", label="darker: not annotated"))
    return made


def _handle(name: str, tint: tuple[int, int, int], weight: float, *, dashed: bool = False) -> Line2D:
    return Line2D(
        [], [], color=shade(tint), lw=weight * 1.4, ls=DASHES if dashed else "solid", label=words(name),
        path_effects=_halo(weight * 1.4),
    )  # fmt: skip
