"""A case as one strip of pictures, small enough that a page holds hundreds of them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow

from ulna.figures.common import Rgb
from ulna.figures.orthogonal import Orthogonal
from ulna.figures.results import Comparison, panels
from ulna.figures.sections import page, pixels

GAP = 4
"""White pixels between pictures."""

QUALITY = 80
"""Of JPEG; colors are not thinned out, for lines have colors."""


def strip(row: Comparison | Orthogonal, classes: Sequence[str], *, side: int) -> tuple[Rgb, set[str]]:
    """The pictures of a case side by side: image, ground truth, prediction, difference.

    Parameters
    ----------
    row
        The case; of a volume three planes with outlines are drawn.
    classes
        Names of the class indices, the background first.
    side
        The longer side of each picture of an image, pixels.

    Returns
    -------
    Rgb, set of str
        (Y, X, 3); and which of the rarer kinds of pixels there are, for a legend: planes have their own.
    """
    drawn = row.reduced(classes) if isinstance(row, Comparison) else row
    if isinstance(drawn, Orthogonal):
        return pixels(page([drawn], classes)), set()
    shown, rare = panels(drawn, colored=len(classes) > 2, most=2 * side)
    if drawn.image is None:
        del shown["image"]
    sized = [_sized(picture, side) for picture in shown.values()]
    gap = np.full((len(sized[0]), GAP, 3), 255, np.uint8)
    return np.hstack([part for picture in sized for part in (gap, picture)][1:]), rare


def _sized(picture: Rgb, side: int) -> Rgb:
    """A picture whose longer side has so many pixels; those of small images stay squares."""
    high, wide = picture.shape[:2]
    factor = side / max(high, wide)
    size = max(1, round(wide * factor)), max(1, round(high * factor))
    how = Pillow.Resampling.NEAREST if factor > 1 else Pillow.Resampling.BOX
    return np.asarray(Pillow.fromarray(picture).resize(size, how))


def jpeg(picture: Rgb) -> bytes:
    """A picture as a JPEG file.

    Parameters
    ----------
    picture
        (Y, X, 3).

    Returns
    -------
    bytes
        The file.
    """
    data = io.BytesIO()
    Pillow.fromarray(picture).save(data, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return data.getvalue()
