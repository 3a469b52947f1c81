"""An image with its classes tinted and outlined, and a legend below it, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from ulna.figures.colors import DARK, color
from ulna.figures.common import Rgb, darkened, outlined, words
from ulna.image import IGNORE, Array


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
    return np.vstack(_as_wide(drawn, legend(names, drawn.shape[1]))) if names[1:] else drawn


def legend(names: Sequence[str], width: int) -> Rgb:
    """A strip with a square in the color of each class and its name, the background left out.

    Parameters
    ----------
    names
        Of the class indices, the background first.
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
    labels = [(color(index), words(name, math=False).strip()) for index, name in enumerate(names) if index]
    widths = [gap + size + gap + round(font.getlength(name)) + gap for _, name in labels]
    places, x, row = [], 0, 0
    for needed in widths:
        if x and x + needed > width:
            x, row = 0, row + 1
        places.append((x + gap, row * 2 * size + gap))
        x += needed
    strip = Pillow.new("RGB", (max(width, *widths), (row + 1) * 2 * size), DARK)
    pen = ImageDraw.Draw(strip)
    for (shade, name), (left, top) in zip(labels, places, strict=True):
        pen.rectangle((left, top, left + size - 1, top + size - 1), fill=shade)
        pen.text((left + size + gap, top + size / 2), name, fill="white", font=font, anchor="lm")
    return np.array(strip)


def _as_wide(*pictures: Rgb) -> list[Rgb]:
    """Pictures filled up at their right sides to the width of the widest."""
    width = max(picture.shape[1] for picture in pictures)
    return [
        np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=DARK[0])
        for picture in pictures
    ]
