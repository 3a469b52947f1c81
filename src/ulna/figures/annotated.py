"""An image with its classes or objects tinted and outlined, and a legend below it, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from ulna.figures.colors import DARK, Color, color
from ulna.figures.common import Rgb, darkened, outlined, words
from ulna.figures.objects import objects_overlay
from ulna.image import IGNORE, Array, Labels
from ulna.numbering import consecutive
from ulna.text import plural


def annotated(rgb: Rgb, mask: Array, names: Sequence[str] = (), *, opacity: float = 0.2) -> Rgb:
    """An image with its classes tinted and outlined, and a legend below.

    The lines are those of `outlined`, which are seen on stained tissue as on black fluorescence. What is not annotated
    is darker.

    Parameters
    ----------
    rgb
        The image for the eye, (Y, X, 3).
    mask
        Class indices, (Y, X), 0 the background.
    names
        Names of the class indices, the background first; without names there is no legend.
    opacity
        Of the tint.

    Returns
    -------
    Rgb
        (Y, X, 3); with a legend it is higher, and at least as wide as that.
    """
    classes = np.where(mask == IGNORE, 0, mask)
    shades = [color(index) for index in range(int(classes.max(initial=0)) + 1)]
    drawn = outlined(darkened(rgb, mask == IGNORE), classes, np.array(shades), opacity=opacity)
    named = [(color(index), name) for index, name in enumerate(names) if index]
    return np.vstack(_as_wide(drawn, legend(named, drawn.shape[1]))) if named else drawn


def annotated_objects(rgb: Rgb, labels: Labels, *, counted: bool = True) -> Rgb:
    """An image with its objects outlined, and below how many there are.

    Objects of several classes have the colors of these; of one class neighbors have different colors.

    Parameters
    ----------
    rgb
        The image for the eye, (Y, X, 3).
    labels
        (Y, X), with objects.
    counted
        Whether a legend with their numbers is added below.

    Returns
    -------
    Rgb
        (Y, X, 3); with a legend it is higher, and at least as wide as that.
    """
    assert labels.objects is not None  # of a task that finds objects
    names, objects = consecutive(labels.objects)
    entries: list[tuple[Color | None, str]]
    if len(labels.names) > 2:
        classes = np.zeros(len(names) + 1, np.intp)
        classes[objects] = labels.classes  # of the pixels of an object any: they are of one class
        classes[0] = 0
        drawn = outlined(rgb, objects, np.array([color(int(index)) for index in classes]))
        counts = np.bincount(classes, minlength=len(labels.names))
        entries = [(color(index), f"{name}: {counts[index]:,}") for index, name in enumerate(labels.names) if index]
    else:
        drawn = objects_overlay(rgb, objects)
        entries = [(None, f"{plural(len(names), 'object')}; colors part neighbors")]
    return np.vstack(_as_wide(drawn, legend(entries, drawn.shape[1]))) if counted else drawn


def legend(entries: Sequence[tuple[Color | None, str]], width: int) -> Rgb:
    """A strip with squares in some colors and the words that belong to them.

    Parameters
    ----------
    entries
        A color, or None where there is no square, and a name.
    width
        In pixels.

    Returns
    -------
    Rgb
        (Y, X, 3), as wide as `width`, or wider where a name needs it, in as many rows as that takes.
    """
    size = min(max(12, round(width / 45)), 40)
    font = ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)
    gap = size // 2
    labels = [(shade, words(name, math=False).strip()) for shade, name in entries]
    squares = [0 if shade is None else size + gap for shade, _ in labels]
    widths = [gap + box + round(font.getlength(name)) + gap for box, (_, name) in zip(squares, labels, strict=True)]
    places, x, row = [], 0, 0
    for needed in widths:
        if x and x + needed > width:
            x, row = 0, row + 1
        places.append((x + gap, row * 2 * size + gap))
        x += needed
    strip = Pillow.new("RGB", (max(width, *widths), (row + 1) * 2 * size), DARK)
    pen = ImageDraw.Draw(strip)
    for (shade, name), box, (left, top) in zip(labels, squares, places, strict=True):
        if shade is not None:
            pen.rectangle((left, top, left + size - 1, top + size - 1), fill=shade)
        pen.text((left + box, top + size / 2), name, fill="white", font=font, anchor="lm")
    return np.array(strip)


def _as_wide(*pictures: Rgb) -> list[Rgb]:
    """Pictures filled up at their right sides to the width of the widest."""
    width = max(picture.shape[1] for picture in pictures)
    return [
        np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=DARK[0])
        for picture in pictures
    ]
