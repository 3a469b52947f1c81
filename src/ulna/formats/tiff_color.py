"""What the samples of a TIFF page mean: gray, white-is-zero, RGB, palettes, CMYK and YCbCr, alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image as Pillow

from ulna.errors import ReadError
from ulna.formats.base import ALPHA, GRAY, RGB
from ulna.image import Array, Channel, Source

WHITE_IS_ZERO, BLACK_IS_ZERO, COLORS, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
KNOWN = (WHITE_IS_ZERO, BLACK_IS_ZERO, COLORS, PALETTE, CMYK, YCBCR)
DECLARED_ALPHA = (1, 2)  # TIFF's ExtraSamples: associated and unassociated alpha
JPEG = (6, 7, 33007)  # compressions whose decoder gives RGB
LOSSLESS = (1, 5, 8, 32773, 32946, 34925, 50000)  # none, LZW, deflate, packbits, LZMA, Zstandard: samples as stored
INK_SET, ORDINARY_INKS = 332, 1


def channels_of(page: Any) -> tuple[Channel, ...]:
    """The channels of one page once `converted`."""
    extra = page.extrasamples
    stored = 1 if page.photometric == PALETTE else int(page.samplesperpixel) - len(extra)
    base: tuple[Channel, ...]
    if page.photometric in (PALETTE, CMYK, YCBCR) or (page.photometric == COLORS and stored == 3):
        base = RGB
    else:
        base = GRAY if stored == 1 and not extra else tuple(Channel(f"channel {k}") for k in range(stored))
    named = [
        ALPHA if int(kind) in DECLARED_ALPHA else Channel(f"channel {len(base) + k}") for k, kind in enumerate(extra)
    ]
    if len(base) == 1 and named == [ALPHA]:
        base = GRAY
    return (*base, *named)


def dtype_of(page: Any) -> np.dtype:
    """The type of the samples of a page once `converted`."""
    dtype = np.dtype(page.dtype)
    return np.dtype(np.uint8) if dtype == np.bool_ or page.photometric == PALETTE else dtype


def check_color(page: Any, source: Source) -> None:
    """Raise ReadError for a page whose samples cannot be shown as gray or RGB."""
    kind, dtype = page.photometric, np.dtype(page.dtype)
    stored = int(page.samplesperpixel) - len(page.extrasamples)
    name = getattr(kind, "name", str(kind))
    if kind not in KNOWN:
        raise _refused(f"its colors are stored as {name}", source)
    if kind == WHITE_IS_ZERO and dtype.kind not in "bu":
        raise _refused(f"it says that 0 is white, which has no meaning for numbers of the type {dtype}", source)
    if kind == PALETTE and (page.colormap is None or dtype.kind not in "bu" or stored != 1):
        raise _refused(f"it has a palette that does not suit its {dtype} samples", source)
    if kind == CMYK:
        inks = page.tags.get(INK_SET)
        if stored != 4 or dtype != np.uint8 or (inks is not None and int(inks.value) != ORDINARY_INKS):
            raise _refused(f"it holds {stored} inks of {dtype}; CMYK of 8 bits can be converted", source)
    if kind == YCBCR and page.compression not in JPEG:
        whole = page.subsampling in (None, (1, 1)) and page.compression in LOSSLESS
        if stored != 3 or dtype != np.uint8 or not whole:
            raise _refused("it holds YCbCr colors of a kind that cannot be converted", source)


def _refused(what: str, source: Source) -> ReadError:
    return ReadError(
        f"this TIFF cannot be read as gray or RGB: {what}",
        where=source,
        hint="Convert it to gray or RGB in the program that wrote it, or with ImageJ or GIMP.",
    )


def converted(array: Array, page: Any) -> Array:
    """The samples (Y, X) or (Y, X, S) of a page as (C, Y, X) gray or RGB, extra samples behind."""
    kind = page.photometric
    if kind == PALETTE:
        return np.moveaxis(palette_of(page)[array.astype(np.intp)], -1, 0)
    stored = 1 if array.ndim == 2 else array.shape[-1] - len(page.extrasamples)
    samples = array[..., None] if array.ndim == 2 else array
    color, extra = samples[..., :stored], samples[..., stored:]
    if kind == WHITE_IS_ZERO and not _by_numpy(page):
        color = ~color if color.dtype == np.bool_ else color.dtype.type(_white(page)) - color
    elif kind == CMYK or (kind == YCBCR and page.compression not in JPEG):
        mode = "CMYK" if kind == CMYK else "YCbCr"
        picture = Pillow.frombytes(mode, color.shape[1::-1], np.ascontiguousarray(color).tobytes())
        color = np.asarray(picture.convert("RGB"))
    joined = np.concatenate([color, extra], axis=-1) if extra.shape[-1] else color
    return np.moveaxis(joined.astype(np.uint8) if joined.dtype == np.bool_ else joined, -1, 0)


def conversion(page: Any) -> str:
    """What a user must know about how the values were converted; empty where they are as stored."""
    if page.photometric == WHITE_IS_ZERO and _by_numpy(page):
        return (
            "tifffile declares 0 to be white for every array of bool: read as the array was, True is 1, although "
            "viewers show the opposite; where they are right, save the masks anew with 0 as black"
        )
    if page.photometric == WHITE_IS_ZERO and page.bitspersample > 1:
        return (
            f"0 is declared to be white (PhotometricInterpretation 0): the values v are read as {_white(page)} - v, "
            "as viewers show them; where 0 is the background of a mask, save the file anew with 0 as black"
        )
    return ""


def by_tifffile(page: Any) -> bool:
    """Whether tifffile wrote the file, which declares what the array's shape and type suggest."""
    return str(page.software).startswith("tifffile")


def _by_numpy(page: Any) -> bool:
    """Whether an array of bool is white-is-zero without being meant so."""
    return bool(page.bitspersample == 1 and by_tifffile(page))


def _white(page: Any) -> int:
    return (1 << int(page.bitspersample)) - 1


def palette_of(page: Any) -> Array:
    """(colors, 3) uint8. The palette has 16 bits a color, or 8 where a program wrote it so (as libtiff sees it)."""
    colors = np.asarray(page.colormap).T
    return (colors >> 8 if colors.max() > 255 else colors).astype(np.uint8)
