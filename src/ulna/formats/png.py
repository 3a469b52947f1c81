"""PNG, through imagecodecs: 16 bits stay 16 bits, for color too."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

import imagecodecs
import numpy as np
from PIL.PngImagePlugin import PngImageFile

from ulna.errors import ReadError
from ulna.formats.base import Format, channels_first, guard_memory, one_page, upright
from ulna.image import Image, Source

MAGIC = b"\x89PNG\r\n\x1a\n"
PALETTE = 3
# Samples a pixel once decoded, by the color type of the header; a palette becomes RGB.
SAMPLES = {0: 1, 2: 3, PALETTE: 3, 4: 2, 6: 4}
ORIENTATION = 274


def read(stream: BinaryIO, source: Source) -> Image:
    """The image, (C, Y, X) uint8 or uint16.

    Fewer than 8 bits are spread over 0..255 (one bit gives 0 and 255), palettes are expanded to RGB (to one
    channel if the palette is gray), a constant alpha is dropped, EXIF rotation is applied.
    """
    data = stream.read()
    if len(data) < 33:
        raise ReadError("this PNG ends within its header", where=source)
    width, height, depth, color = struct.unpack(">IIBB", data[16:26])
    samples = SAMPLES.get(color)
    if samples is None:
        raise ReadError(f"this PNG's header names an unknown kind of color ({color})", where=source)
    guard_memory(width * height * samples * max(1, depth // 8), source, shape=(height, width))
    array = np.asarray(imagecodecs.png_decode(data))
    if b"eXIf" in data:
        array = upright(array, _orientation(data))
    alpha = array.ndim == 3 and array.shape[-1] in (2, 4)
    return Image(channels_first(array, alpha=alpha, gray=color == PALETTE), source=source)


def _orientation(data: bytes) -> int:
    with PngImageFile(io.BytesIO(data)) as picture:
        return int(picture.getexif().get(ORIENTATION, 1))


FORMAT = Format(
    name="PNG",
    suffixes=(".png",),
    magics=(MAGIC,),
    read=read,
    pages=one_page,
    errors=(RuntimeError, ValueError, OSError, SyntaxError, struct.error),  # PngError is a RuntimeError
)
