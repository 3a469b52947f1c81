"""Palettes of masks: values that a palette shows in one color cannot be told apart once they are colors."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import PIL.Image

from ulna.errors import ReadError
from ulna.formats.archive import opened
from ulna.image import Source

PNG_PALETTE = b"\3"  # the color type in the header


def check_palette(source: Source) -> None:
    """Raise ReadError where a file's palette shows two of its values in one color, or lacks a color for one.

    Parameters
    ----------
    source
        A file of any format; only PNG, GIF and BMP with a palette are looked into.
    """
    with opened(source) as stream:
        head = stream.read(26)
        if not (head.startswith((b"GIF8", b"BM")) or (head.startswith(b"\x89PNG") and head[25:] == PNG_PALETTE)):
            return
        stream.seek(0)
        try:
            with PIL.Image.open(stream) as picture:
                if picture.mode != "P":
                    return
                present = np.flatnonzero(picture.histogram())
                palette = picture.getpalette() or []
        except (OSError, ValueError, SyntaxError):
            return  # reading it says what is wrong
    shown: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for value in present.tolist():
        shown[tuple(palette[3 * value : 3 * value + 3])].append(value)
    hint = "Save the mask as gray values, or with a different color for each value."
    missing = shown.pop((), [])
    if missing:
        raise ReadError(
            f"the mask holds the value {missing[0]}, for which its palette has no color", where=source, hint=hint
        )
    for color, values in shown.items():
        if len(values) > 1:
            what = f"the mask's palette shows the values {values[0]} and {values[1]} in one color, {color}"
            raise ReadError(what, where=source, hint=hint)
