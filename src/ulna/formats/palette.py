"""Palettes of masks: values that a palette shows in one color cannot be told apart once they are colors."""

from __future__ import annotations

from collections import defaultdict
from typing import IO

import numpy as np
import tifffile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile

from ulna.errors import ReadError
from ulna.formats import is_folder
from ulna.formats.archive import opened
from ulna.formats.selection import scene_of
from ulna.formats.spacing import scene_names
from ulna.formats.tiff_color import PALETTE, palette_of
from ulna.image import Source

Palette = tuple[list[int], dict[int, tuple[int, ...]]]
"""The values that occur, and the color of each; () where it has none."""

# by themselves, as in `small`: Image.open refuses large pictures, which were read before
KINDS: tuple[tuple[bytes, type[ImageFile]], ...] = (
    (b"\x89PNG", PngImageFile),
    (b"GIF8", GifImageFile),
    (b"BM", BmpImageFile),
)
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PNG_PALETTE = b"\3"  # the color type in the header


def check_palette(source: Source) -> None:
    """Raise ReadError where a file's palette shows two of its values in one color, or lacks a color for one.

    Parameters
    ----------
    source
        A file of any format; only PNG, GIF, BMP and TIFF with a palette are looked into.
    """
    if is_folder(source):
        return
    with opened(source) as stream:
        head = stream.read(26)
        stream.seek(0)
        if head[:4] in TIFF:
            palettes = _of_tiff(stream, source)
        elif source.scene:  # only the first picture of an animation is shown by its palette
            return
        elif head.startswith((b"GIF8", b"BM")) or (head.startswith(b"\x89PNG") and head[25:] == PNG_PALETTE):
            palettes = _of_picture(stream)
        else:
            return
    for present, colors in palettes:
        _check(present, colors, source)


def _of_picture(stream: IO[bytes]) -> list[Palette]:
    head = stream.read(4)
    stream.seek(0)
    kind = next(kind for magic, kind in KINDS if head.startswith(magic))
    try:
        with kind(stream) as picture:
            if picture.mode != "P":
                return []
            palette = picture.getpalette() or []
            present = np.flatnonzero(picture.histogram()).tolist()
    except (OSError, ValueError, SyntaxError):
        return []  # reading it says what is wrong
    return [(present, {value: tuple(palette[3 * value : 3 * value + 3]) for value in present})]


def _of_tiff(stream: IO[bytes], source: Source) -> list[Palette]:
    """Those of the selected page, or of all pages; each has a palette of its own."""
    try:
        with tifffile.TiffFile(stream, _multifile=False, is_mmstack=False) as tiff:
            number, _ = scene_of(scene_names(tiff), source)
            pages = [page.aspage() for page in tiff.series[number].pages if page is not None]
            if source.page is not None and source.page < len(pages):
                pages = pages[source.page : source.page + 1]
            found = []
            for page in pages:
                if page.photometric != PALETTE or page.colormap is None:
                    continue
                colors = palette_of(page)
                present = [int(value) for value in np.unique(page.asarray())]
                found.append((present, {v: tuple(colors[v].tolist()) if v < len(colors) else () for v in present}))
            return found
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, tifffile.TiffFileError, ReadError):
        return []  # reading it says what is wrong


def _check(present: list[int], colors: dict[int, tuple[int, ...]], source: Source) -> None:
    shown: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for value in present:
        shown[colors[value]].append(value)
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
