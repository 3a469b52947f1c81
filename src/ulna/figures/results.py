"""The figure of results: image, ground truth, prediction and their difference, a row per case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ulna.errors import UlnaError
from ulna.figures.colors import CORRECT, FALSE_POSITIVE, FATES, MISSED, NOT_ANNOTATED, WRONG_CLASS, Color, color, shade
from ulna.figures.common import Rgb, flatness, new_figure, save_figure, show, to_rgb, words
from ulna.figures.objects import fate_panels
from ulna.figures.orthogonal import Orthogonal, orthogonal
from ulna.figures.planes import Upright, fullest, is_crowded
from ulna.figures.sections import page
from ulna.grid import UNPLACED, Grid
from ulna.image import IGNORE, Array, is_foreground

_Place = Literal["outside lower left", "outside lower center", "outside lower right"]
_WIDTH = 10.0  # inches, of the whole picture
_LARGEST = 1000  # pixels


@dataclass(frozen=True)
class Comparison:
    """One case to show.

    Parameters
    ----------
    title
        Above it.
    image
        (C, *spatial), or None.
    truth, mask
        Labels (L, *spatial): class indices and, with L = 2, numbers of objects. Where both have objects, these are
        shown by what became of them.
    grid
        Where the pixels lie; by default a grid of unit pixels.
    """

    title: str
    image: Array | None
    truth: Array
    mask: Array
    grid: Grid = UNPLACED

    def reduced(self, classes: Sequence[str]) -> Comparison | Orthogonal:
        """What is drawn of it, for which no volume has to stay in memory.

        Parameters
        ----------
        classes
            Names of the class indices, the background first.

        Returns
        -------
        Comparison or Orthogonal
            Of an image itself; of a volume planes with outlines or, where these would hide it, its worst plane.
        """
        if self.truth.ndim == 3:
            return self
        drawn = is_foreground(self.truth[0]) * self.truth[-1]
        return self._worst_plane() if is_crowded(drawn) else self.in_planes(classes)

    def in_planes(self, classes: Sequence[str]) -> Orthogonal:
        """The same as planes with outlines.

        Parameters
        ----------
        classes
            Names of the class indices, the background first.

        Returns
        -------
        Orthogonal
            Of an image it is the only plane.
        """
        grid = self._placed
        return orthogonal(self.title, self.image, grid, truth=self.truth, found=self.mask, names=classes)

    @property
    def _placed(self) -> Grid:
        return self.grid if self.grid.shape else Grid(self.truth.shape[1:])

    def _worst_plane(self) -> Comparison:
        upright = Upright.of(self._placed)
        truth, mask = upright.apply(self.truth), upright.apply(self.mask)
        wrong = (truth[0] != mask[0]) & (truth[0] != IGNORE)
        cut, *_ = upright.cuts((fullest(wrong if wrong.any() else truth[0]), 0, 0), [slice(None)] * 3)
        image = None if self.image is None else cut.of(upright.apply(self.image)).copy()
        where = cut.title.rpartition(", ")[2]
        return Comparison(f"{self.title}, {where}", image, cut.of(truth).copy(), cut.of(mask).copy())


def results_picture(path: Path, rows: Sequence[Comparison | Orthogonal], *, classes: Sequence[str]) -> Path:
    """Draw cases under each other: image, ground truth, prediction and difference, with a legend.

    Of volumes three planes are shown through the largest true region, and through the largest wrong one, with the
    outlines of truth and prediction; where these would hide the image, as those of membranes do, the worst plane.

    Parameters
    ----------
    path
        Where to.
    rows
        The cases.
    classes
        Names of the class indices, the background first.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    UlnaError
        When there is nothing to show, or the file cannot be written.
    """
    if not rows:
        raise UlnaError("there is no case to show", where=path)
    rows = [row.reduced(classes) if isinstance(row, Comparison) else row for row in rows]
    flat = [row for row in rows if isinstance(row, Comparison)]
    if len(flat) < len(rows):
        drawn = [row.in_planes(classes) if isinstance(row, Comparison) else row for row in rows]
        return save_figure(page(drawn, classes), path)
    return save_figure(_figure(flat, classes), path)


def _figure(rows: Sequence[Comparison], classes: Sequence[str]) -> Figure:
    images = any(row.image is not None for row in rows)
    heads = (["image"] if images else []) + ["ground truth", "prediction", "difference"]
    cell = _WIDTH / len(heads)
    heights = [cell * flatness(row.truth.shape) for row in rows]
    heights = [height + 0.28 for height in heights]
    heights[0] += 0.2  # the heads stand above the first row only
    figure = new_figure(_WIDTH, sum(heights) + 0.5)
    strips = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights)
    colored = len(classes) > 2
    met: set[str] = set()
    objects = any(has_objects(row) for row in rows)
    for row, strip in zip(rows, strips[:, 0], strict=True):
        first = row is rows[0]
        cells = strip.subplots(1, len(heads), squeeze=False)[0]
        strip.suptitle(words(row.title), fontsize=9, x=0.01, ha="left")
        met |= _draw(row, dict(zip(heads, cells, strict=True)), heads=first, colored=colored)
    _legend(figure, classes, met, objects=objects)
    return figure


def difference(image: Rgb, truth: Array, mask: Array) -> Rgb:
    """Where a mask and the ground truth agree and differ, over the darkened image.

    Correct pixels of any class are white, false positives violet, false negatives red, a wrong class is ultramarine:
    colors that no class has. Pixels that are not annotated are gray whatever was predicted there.

    Parameters
    ----------
    image
        (Y, X, 3).
    truth, mask
        (Y, X) class indices.

    Returns
    -------
    Rgb
        (Y, X, 3).
    """
    shown = image.astype(np.float32) * 0.35
    for where, tint in (
        ((truth == mask) & (truth > 0), CORRECT),
        ((truth == 0) & (mask > 0), FALSE_POSITIVE),
        ((truth > 0) & (truth != IGNORE) & (mask == 0), MISSED),
        (_swapped(truth, mask), WRONG_CLASS),
        (truth == IGNORE, NOT_ANNOTATED),
    ):
        shown[where] = 0.15 * shown[where] + 0.85 * np.asarray(tint, np.float32)
    return shown.round().astype(np.uint8)


def panels(row: Comparison, *, colored: bool, most: int) -> tuple[dict[str, Rgb], set[str]]:
    """The pictures of one case that stand side by side.

    Parameters
    ----------
    row
        The case, an image.
    colored
        Whether classes have colors; one alone is white.
    most
        Along a side, pixels; of larger images every so manieth is shown.

    Returns
    -------
    dict of Rgb, set of str
        By what they show: the image (gray where there is none), ground truth, prediction and difference, all of one
        size; and which of the rarer kinds of pixels there are, for the legend.
    """
    step = max(1, max(row.truth.shape[-2:]) // most)
    both = [array[:, ::step, ::step] for array in (row.truth, row.mask)]
    truth, mask = (labels[0] for labels in both)
    gray = np.full((*truth.shape, 3), 40, np.uint8)
    image = gray if row.image is None else to_rgb(row.image[:, ::step, ::step])
    shown = {
        "image": image,
        "ground truth": _flat(truth, colored=colored),
        "prediction": _flat(mask, colored=colored),
        "difference": difference(image, truth, mask),
    }
    if has_objects(row):
        cut = (slice(None, None, step), slice(None, None, step))
        shown["ground truth"], shown["prediction"] = fate_panels(image, row.truth, row.mask, cut)
    rare = {"wrong class": _swapped(truth, mask), "not annotated": truth == IGNORE}
    return shown, {name for name, pixels in rare.items() if pixels.any()}


def _draw(row: Comparison, cells: dict[str, Axes], *, heads: bool, colored: bool) -> set[str]:
    """Fill one row's cells; returns which of the rarer kinds of pixels there are, for the legend."""
    shown, rare = panels(row, colored=colored, most=_LARGEST)  # more pixels than that no cell can show
    for name, axes in cells.items():
        show(axes, shown[name], name if heads else "")
        axes.set_anchor("N")
    return rare


def has_objects(row: Comparison) -> bool:
    """Whether truth and mask both tell objects apart.

    Parameters
    ----------
    row
        A case.

    Returns
    -------
    bool
        Then they are shown by what became of them.
    """
    return len(row.truth) > 1 and len(row.mask) > 1


def _flat(mask: Array, *, colored: bool) -> Rgb:
    """A mask (Y, X) as flat colors on black; a single class is white, as masks are looked at."""
    flat = np.zeros((*mask.shape, 3), np.uint8)
    for index in np.unique(mask[mask > 0]):
        flat[mask == index] = color(int(index)) if colored else (255, 255, 255)
    flat[mask == IGNORE] = NOT_ANNOTATED
    return flat


def _swapped(truth: Array, mask: Array) -> Array:
    swapped: Array = (truth != mask) & (truth > 0) & (mask > 0) & (truth != IGNORE)
    return swapped


def keys(classes: Sequence[str], met: set[str], *, objects: bool) -> dict[str, dict[str, Color]]:
    """What the colors of pictures side by side mean.

    Parameters
    ----------
    classes
        Names of the class indices, the background first.
    met
        Which of the rarer kinds of pixels there are.
    objects
        Whether objects are shown by what became of them.

    Returns
    -------
    dict of dict of Color
        For each part of the legend, by its title, the colors by their meaning.
    """
    differing = {"correct": CORRECT, "false positive": FALSE_POSITIVE, "false negative": MISSED}
    rare = {"wrong class": WRONG_CLASS, "not annotated": NOT_ANNOTATED}
    differing |= {kind: tint for kind, tint in rare.items() if kind in met}
    if objects:
        return {"objects": dict(FATES), "difference": differing}
    if len(classes) == 2:
        return {"difference": differing}
    named = {name: color(k) for k, name in enumerate(classes[1:], start=1)}
    return {"ground truth and prediction": named, "difference": differing}


def _legend(figure: Figure, classes: Sequence[str], met: set[str], *, objects: bool) -> None:
    found = keys(classes, met, objects=objects)
    places: tuple[_Place, ...] = ("outside lower left", "outside lower right")
    if len(found) == 1:
        places = ("outside lower center",)
    for (title, colors), place in zip(found.items(), places, strict=True):
        patches = [_patch(name, tint) for name, tint in colors.items()]
        _key(figure, patches, place, title if len(found) > 1 else "")


def _key(figure: Figure, patches: list[Patch], where: _Place, title: str = "") -> None:
    figure.legend(
        handles=patches, loc=where, ncols=min(len(patches), 5), fontsize=8, frameon=False,
        title=title or None, title_fontsize=8,
    )  # fmt: skip


def _patch(name: str, tint: Color) -> Patch:
    return Patch(facecolor=shade(tint), edgecolor="black", linewidth=0.5, label=words(name))
