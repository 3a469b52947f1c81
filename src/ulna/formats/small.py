"""JPEG, BMP, GIF and WebP, through Pillow: 8 bits, one picture per file."""

from __future__ import annotations

import struct
from functools import cache
from typing import BinaryIO

import numpy as np
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import Image as Picture
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ulna.errors import ReadError
from ulna.formats.base import BY_SAMPLES, Format, Reader, begins, guard_memory, turned_note, upright
from ulna.formats.selection import scene_of
from ulna.image import Array, Grid, Region, Source

ORIENTATION = 274
# Each file class of Pillow is opened by itself: Image.open would refuse large pictures as suspected bombs,
# and guard_memory already looks at the size that the header declares.
KINDS: tuple[tuple[bytes, type[ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"BM", BmpImageFile),
    (b"GIF8", GifImageFile),
    (b"RIFF", WebPImageFile),
)
PLAIN = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def open_picture(stream: BinaryIO, source: Source) -> Reader:
    """The reader of a picture: (C, Y, X) uint8.

    One bit becomes 0 and 255, palettes are expanded to RGB, CMYK becomes RGB, EXIF rotation is applied. Of several
    pictures in one file (an animation) it is the first, or that of `source.scene`.
    """
    start = stream.read(4)
    stream.seek(0)
    kind = next((kind for magic, kind in KINDS if start.startswith(magic)), None)
    if kind is None:
        raise ReadError("this is no JPEG, BMP, GIF or WebP file inside", where=source)
    picture = kind(stream)
    scenes = tuple(f"picture {k}" for k in range(int(getattr(picture, "n_frames", 1))))
    number, notes = scene_of(scenes, source)
    if number:
        picture.seek(number)
    mode = picture.mode if picture.mode in PLAIN else _plain(picture)
    turned = int(picture.getexif().get(ORIENTATION, 1))
    width, height = picture.size

    @cache
    def decoded() -> Array:
        guard_memory(width * height * len(picture.getbands()), source, shape=(height, width))
        array = upright(np.asarray(picture if picture.mode == mode else picture.convert(mode)), turned)
        return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)

    def decode(region: Region, _level: int) -> Array:
        return decoded()[(slice(None), *region)]

    return Reader(
        source,
        Grid((width, height) if turned >= 5 else (height, width)),
        np.dtype(np.uint8),
        BY_SAMPLES[PLAIN[mode]],
        decode,
        scenes=scenes,
        assumed="; ".join([*notes, *turned_note(turned)]),
        palette=picture.mode in ("P", "PA"),
    )


def _plain(picture: Picture) -> str:
    """The mode that a picture of another mode is converted to."""
    if picture.mode == "1":
        return "L"
    return "RGBA" if picture.mode == "PA" or "transparency" in picture.info else "RGB"


FORMAT = Format(
    name="JPEG, BMP, GIF, WebP",
    suffixes=(".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp"),
    recognizes=begins(*(magic for magic, _ in KINDS)),
    open=open_picture,
    errors=lambda: (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, struct.error),
)
