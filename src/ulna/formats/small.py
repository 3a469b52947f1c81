"""JPEG, BMP, GIF and WebP, through Pillow: 8 bits, one picture a file."""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ulna.errors import ReadError
from ulna.formats.base import Format, channels_first, guard_memory, one_page, upright
from ulna.image import Image, Source

ORIENTATION = 274
# Each file class of Pillow is opened by itself: Image.open would refuse large pictures as suspected bombs,
# and guard_memory already looks at the size that the header declares.
KINDS: tuple[tuple[bytes, type[ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"BM", BmpImageFile),
    (b"GIF8", GifImageFile),
    (b"RIFF", WebPImageFile),
)
PLAIN = {"L", "RGB", "RGBA", "LA"}


def read(stream: BinaryIO, source: Source) -> Image:
    """The picture (the first of several), (C, Y, X) uint8.

    One bit becomes 0 and 255, palettes are expanded to RGB (to one channel if gray), CMYK becomes RGB, a
    constant alpha is dropped, EXIF rotation is applied.
    """
    start = stream.read(4)
    stream.seek(0)
    kind = next((kind for magic, kind in KINDS if start.startswith(magic)), None)
    if kind is None:
        raise ReadError("this is no JPEG, BMP, GIF or WebP file inside", where=source)
    with kind(stream) as picture:
        width, height = picture.size
        guard_memory(width * height * len(picture.getbands()), source, shape=(height, width))
        turned = int(picture.getexif().get(ORIENTATION, 1))
        palette = picture.mode in ("P", "PA")
        array = np.asarray(picture if picture.mode in PLAIN else picture.convert(_plain(picture)))
    alpha = array.ndim == 3 and array.shape[-1] in (2, 4)
    return Image(channels_first(upright(array, turned), alpha=alpha, gray=palette), source=source)


def _plain(picture: ImageFile) -> str:
    if picture.mode == "1":
        return "L"
    return "RGBA" if picture.mode == "PA" or "transparency" in picture.info else "RGB"


FORMAT = Format(
    name="JPEG, BMP, GIF, WebP",
    suffixes=(".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp"),
    magics=tuple(magic for magic, _ in KINDS),
    read=read,
    pages=one_page,
    errors=(OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, struct.error),
)
