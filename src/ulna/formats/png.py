"""PNG, through imagecodecs: 16 bits stay 16 bits, for color too."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np
from PIL.PngImagePlugin import PngImageFile

from ulna.errors import ReadError, UlnaError
from ulna.formats.base import BY_SAMPLES, Format, Reader, begins, guard_memory, turned_note, upright
from ulna.formats.spacing import PRINT
from ulna.image import Array, Grid, Image, Region, Source
from ulna.text import plural

MAGIC = b"\x89PNG\r\n\x1a\n"
HEADER = 33  # bytes of the magic and the first chunk
PALETTE = 3
# Samples a pixel once decoded, by the color type of the header; a palette becomes RGB.
SAMPLES = {0: 1, 2: 3, PALETTE: 3, 4: 2, 6: 4}
ORIENTATION = 274
GRID = b"ulna grid\0"  # the keyword of the text chunk that holds what pHYs cannot
METERS = {"nm": 1e-9, "µm": 1e-6, "mm": 1e-3, "cm": 1e-2, "m": 1.0}


def open_png(stream: BinaryIO, source: Source) -> Reader:
    """The reader of a PNG: (C, Y, X) uint8 or uint16.

    Fewer than 8 bits are spread over 0..255 (one bit gives 0 and 255), palettes are expanded to RGB, EXIF rotation
    is applied. The spacing is that of the chunk pHYs, unless it is a printer's resolution.
    """
    data = stream.read()
    if len(data) < HEADER:
        raise ReadError("this PNG ends within its header", where=source)
    width, height, depth, color = struct.unpack(">IIBB", data[16:26])
    if color not in SAMPLES:
        raise ReadError(f"this PNG's header names an unknown kind of color ({color})", where=source)
    chunks = dict(_chunks(data))
    # A color that is declared transparent becomes an alpha channel when it is decoded.
    samples = SAMPLES[color] + (b"tRNS" in chunks and color in (0, 2, PALETTE))
    turned = _orientation(data) if b"eXIf" in data else 1
    shape = (width, height) if turned >= 5 else (height, width)

    @cache
    def decoded() -> Array:
        guard_memory(width * height * samples * max(1, depth // 8), source, shape=(height, width))
        array = upright(np.asarray(imagecodecs.png_decode(data)), turned)
        return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)

    def decode(region: Region, _level: int) -> Array:
        return decoded()[(slice(None), *region)]

    return Reader(
        source,
        _grid(chunks, shape),
        np.dtype(np.uint16 if depth == 16 else np.uint8),
        BY_SAMPLES[samples],
        decode,
        assumed="; ".join(turned_note(turned)),
        palette=color == PALETTE,
    )


def save(path: Path, image: Image) -> None:
    """Write a PNG of 8 or 16 bits: gray or RGB, with or without a declared alpha.

    The spacing goes into the chunk pHYs, whole pixels per meter, for other programs; the exact grid goes into a text
    chunk. Raises UlnaError for what PNG cannot hold.
    """
    array, roles = image.array, [channel.role for channel in image.channels]
    declared = roles in [[channel.role for channel in channels] for channels in BY_SAMPLES.values()]
    if array.ndim != 3 or not declared or array.dtype not in (np.uint8, np.uint16):
        raise UlnaError(
            f"PNG cannot hold {plural(len(array), 'channel')} of {array.dtype} with {image.ndim} axes",
            where=path,
            hint="Write it as .tif.",
        )
    # A copy, not only "contiguous": the strides of axes of length 1 must be right too.
    samples = array[0] if len(array) == 1 else np.moveaxis(array, 0, -1)
    data = imagecodecs.png_encode(samples.copy())
    path.write_bytes(data[:HEADER] + _described(image.grid) + data[HEADER:])


def _described(grid: Grid) -> bytes:
    """The chunks that say where the pixels lie; none for a grid of unit pixels."""
    if grid == Grid(grid.shape):
        return b""
    words = {name: value for name, value in asdict(grid).items() if name not in ("shape", "placed")}
    chunks = _chunk(b"tEXt", GRID + json.dumps(words).encode("latin-1"))
    if grid.unit in METERS:
        y, x = (round(1 / (s * METERS[grid.unit])) for s in grid.spacing)
        if 0 < x < 1 << 31 and 0 < y < 1 << 31:
            chunks = _chunk(b"pHYs", struct.pack(">IIB", x, y, 1)) + chunks
    return chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks before the pixels: kind and content; our own text under its keyword."""
    place = 8
    while place + 8 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        if kind == b"IDAT":
            return
        yield (GRID, content[len(GRID) :]) if kind == b"tEXt" and content.startswith(GRID) else (kind, content)
        place += 12 + length


def _grid(chunks: dict[bytes, bytes], shape: tuple[int, int]) -> Grid:
    """The grid as it was written, or by pHYs; unit pixels where that makes no sense: the image can be read without."""
    try:
        if GRID in chunks:
            return Grid(shape, **json.loads(chunks[GRID]))
        x, y, unit = struct.unpack(">IIB", chunks.get(b"pHYs", b""))
        if unit != 1 or not (x and y) or any(round(side * 0.0254) in PRINT for side in (x, y)):
            return Grid(shape)
        return Grid(shape, (1e6 / y, 1e6 / x), "µm")
    except (ValueError, TypeError, struct.error, UlnaError):
        return Grid(shape)


def _orientation(data: bytes) -> int:
    with PngImageFile(io.BytesIO(data)) as picture:
        return int(picture.getexif().get(ORIENTATION, 1))


FORMAT = Format(
    name="PNG",
    suffixes=(".png",),
    recognizes=begins(MAGIC),
    open=open_png,
    save=save,
    errors=lambda: (RuntimeError, ValueError, OSError, SyntaxError, struct.error),  # PngError is a RuntimeError
)
