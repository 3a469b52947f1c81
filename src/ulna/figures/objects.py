"""Pictures of objects: each apart from its neighbors, what became of the true ones, and how large they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import get_data_path
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from scipy import ndimage
from skimage.segmentation import expand_labels

from ulna.figures.colors import COLORS, DARK, FATES, NOT_ANNOTATED, shade
from ulna.figures.common import Rgb, new_figure, outlined, save_figure, words
from ulna.image import IGNORE, Array
from ulna.metrics.objects import compare, countable
from ulna.numbering import consecutive

Cut = tuple[int | slice, ...]
"""What is drawn of an array."""

Fates = tuple[npt.NDArray[np.int32], list[str]]
"""Numbers of objects, and what became of each."""

NEAR = 4
"""Objects at most so many pixels apart have different colors."""

LEGIBLE = 640
"""Pictures with numbers are enlarged until their smaller side has so many pixels,"""

LARGEST = 4000
"""unless their larger side would get more than these."""


def neighbor_colors(*planes: Array) -> npt.NDArray[np.intp]:
    """An index into `COLORS` for each number of an object, such that objects close to each other differ.

    Parameters
    ----------
    *planes
        (Y, X) numbers of objects, 0 the background: an image, or several planes of one volume.

    Returns
    -------
    ndarray of int
        One index for each number from 0 to the highest; that of 0 means nothing.
    """
    pairs = np.concatenate([_close(plane) for plane in planes])
    close: dict[int, set[int]] = {}
    for one, other in np.unique(pairs, axis=0).tolist():
        close.setdefault(one, set()).add(other)
        close.setdefault(other, set()).add(one)
    present = np.unique(np.concatenate([plane[plane > 0] for plane in planes]))
    chosen = np.zeros(int(present.max(initial=0)) + 1, np.intp)
    done: set[int] = {0}
    for place, number in enumerate(present.tolist()):
        taken = {int(chosen[other]) for other in close.get(number, ()) if other in done}
        # begin at another color each time, so that all of them are used
        order = [(place + step) % len(COLORS) for step in range(len(COLORS))]
        chosen[number] = next((index for index in order if index not in taken), order[0])
        done.add(number)
    return chosen


def _close(objects: Array) -> Array:
    """The pairs of objects (pairs, 2) that lie close to each other, each at least once."""
    wide = np.asarray(expand_labels(objects, NEAR / 2))  # type: ignore[no-untyped-call]
    pairs = []
    for axis in range(wide.ndim):
        one, other = (np.take(wide, range(start, wide.shape[axis] - 1 + start), axis=axis).ravel() for start in (0, 1))
        different = (one != other) & (one > 0) & (other > 0)
        pairs.append(np.stack([one[different], other[different]], axis=1))
    return np.concatenate(pairs)


def objects_overlay(rgb: Rgb, objects: Array, *, numbers: bool = False) -> Rgb:
    """An image with its objects outlined, neighbors in different colors.

    Parameters
    ----------
    rgb
        The image for the eye, (Y, X, 3).
    objects
        (Y, X) numbers of objects, 0 the background.
    numbers
        Whether each object's number stands on it; small images are then enlarged so that it can be read.

    Returns
    -------
    Rgb
        (Y, X, 3).
    """
    names, drawn = consecutive(objects)
    shades = np.asarray(COLORS)[neighbor_colors(drawn)]
    if not numbers:
        return outlined(rgb, drawn, shades)
    times = max(1, min(-(-LEGIBLE // min(objects.shape)), LARGEST // max(objects.shape)))
    drawn = drawn.repeat(times, axis=0).repeat(times, axis=1)
    picture = Pillow.fromarray(outlined(rgb.repeat(times, axis=0).repeat(times, axis=1), drawn, shades, opacity=0.1))
    pen = ImageDraw.Draw(picture)
    present = np.arange(1, len(names) + 1)
    areas = np.bincount(drawn.ravel())[1:]
    centers = np.reshape(ndimage.center_of_mass(np.ones(drawn.shape), drawn, present), (-1, 2))
    for number, area, (y, x) in zip(names.tolist(), areas.tolist(), centers.tolist(), strict=True):
        size = int(np.clip(area**0.5 / (0.4 + 0.6 * len(str(number))), 9, 28))
        font = ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)
        pen.text((x, y), str(number), fill="white", font=font, anchor="mm", stroke_width=1, stroke_fill=DARK)
    return np.array(picture)


def fate_panels(image: Rgb, truth: Array, found: Array, cut: Cut = ()) -> tuple[Rgb, Rgb]:
    """What became of the true objects, and what the predicted ones are, in the colors of `FATES`.

    As in the scores, objects are compared class by class and as a whole, whatever part of them is drawn; those that
    nobody annotated are gray.

    Parameters
    ----------
    image
        For the eye, (Y, X, 3).
    truth, found
        Labels (2, *spatial): class indices, and numbers of objects.
    cut
        The plane and the pixels of these that are drawn; by default all.

    Returns
    -------
    Rgb, Rgb
        (Y, X, 3) each: the image with the true objects outlined, and with the predicted ones.
    """
    width = max(1, round(max(image.shape[:2]) / 256))  # they are shown small, side by side
    true, seen = (
        outlined(image, numbers[cut], fate_colors(names), opacity=0.3, width=width)
        for numbers, names in fates(truth, found)
    )
    return true, seen


def fates(truth: Array, found: Array) -> tuple[Fates, Fates]:
    """What became of each true object, and what each predicted one is, class by class as in the scores.

    Parameters
    ----------
    truth, found
        Labels (2, *spatial): class indices, and numbers of objects.

    Returns
    -------
    Fates, Fates
        Of the true objects and of the predicted ones: (*spatial) their numbers from 1 on, 0 the background; and a word
        of `FATES` for each number from 0 on, "" for what nobody annotated.
    """
    annotated = truth[0] != IGNORE
    sides = [consecutive(np.where(one[0] == IGNORE, 0, one[1])) for one in (truth, found)]
    named = [np.full(len(numbers) + 1, "", "<U14") for numbers, _ in sides]
    for index in np.setdiff1d(np.union1d(truth[0], found[0]), (0, IGNORE)).tolist():
        true, seen = (
            np.where(one[0] == index, places, 0) for one, (_, places) in zip((truth, found), sides, strict=True)
        )
        seen = countable(seen, true, annotated)
        for objects, names, fate in zip((true, seen), named, compare(seen, true).fates(), strict=True):
            names[np.unique(objects[objects > 0])] = fate
    return (sides[0][1], named[0].tolist()), (sides[1][1], named[1].tolist())


def fate_colors(names: Sequence[str]) -> npt.NDArray[np.intp]:
    """The color of each of some fates, (fates, 3); gray for what was not counted."""
    return np.reshape([FATES.get(name, NOT_ANNOTATED) for name in names], (-1, 3))


def sizes_picture(path: Path, sizes: Mapping[str, Mapping[str, npt.ArrayLike]]) -> Path:
    """Write histograms of the sizes of objects: one below the other for each kind of size, with a curve per class.

    Parameters
    ----------
    path
        A .png file.
    sizes
        The sizes of the objects of each class, by what they are and their unit: ``{"area [µm²]": {"nucleus": …}}``.

    Returns
    -------
    Path
        The file.
    """
    figure = new_figure(6, 3.6 * max(1, len(sizes)))
    panels = figure.subplots(max(1, len(sizes)), squeeze=False)[:, 0]
    for axes, (what, classes) in zip(panels, (sizes or {"size": {}}).items(), strict=True):
        _histogram(axes, {name: np.asarray(values, np.float64) for name, values in classes.items()})
        axes.set_xlabel(words(what))
        axes.set_ylabel("objects")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    return save_figure(figure, path)


HATCHES = ("", "///", "...", "xxx", "---")
LINES = ("solid", "dashed", "dotted", "dashdot", (0, (5, 1, 1, 1, 1, 1)))
"""What tells bars and lines of classes apart where there is no color."""


def _histogram(axes: Axes, classes: Mapping[str, npt.NDArray[np.float64]]) -> None:
    every = np.concatenate([*classes.values(), np.zeros(0)])
    if not every.size:
        return
    low, high = float(every.min()), float(every.max())
    wide = low > 0 and high / low > 30  # debris beside cells: on a plain scale all cells would be one bar
    bins = np.geomspace(low, high, 31) if wide else np.linspace(low, high if high > low else low + 1, 31)
    for place, (name, values) in enumerate(classes.items()):
        middle = f"{name}: {len(values)}, median {np.median(values):.4g}" if values.size else f"{name}: 0"
        axes.hist(
            values, bins=bins.tolist(), histtype="stepfilled", alpha=0.6, label=words(middle),
            facecolor=shade(COLORS[place % len(COLORS)]), edgecolor="black", linewidth=1.0,
            hatch=HATCHES[place % len(HATCHES)], linestyle=LINES[place % len(LINES)],
        )  # fmt: skip
    if wide:
        axes.set_xscale("log")
    axes.legend(fontsize=8, frameon=False)
