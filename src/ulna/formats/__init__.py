"""Image files in and out. One file a family of formats; a new one is a line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np

from ulna.errors import ReadError, UlnaError
from ulna.formats import png, small, tiff
from ulna.formats.archive import opened
from ulna.formats.atomic import atomic_write
from ulna.formats.base import Format
from ulna.image import Array, Image, Source

__all__ = [
    "FORMATS",
    "atomic_write",
    "check_finite",
    "mask_suffix",
    "pages",
    "read",
    "recognizes",
    "write",
    "write_pages",
]

FORMATS: tuple[Format, ...] = (png.FORMAT, small.FORMAT, tiff.FORMAT)
SUFFIXES = frozenset(suffix for family in FORMATS for suffix in family.suffixes)
PNG_CHANNELS = (1, 3, 4)


def recognizes(source: Source) -> bool:
    """Whether this is a file that can be read as an image, by its suffix."""
    return source.suffix in SUFFIXES


def pages(source: Source) -> int:
    """How many 2D pages the file holds: 1 for ordinary images, P for a stack (P, Y, X). Raises ReadError."""
    if source.suffix in SUFFIXES and source.suffix not in tiff.FORMAT.suffixes:
        return 1
    with opened(source) as stream:
        family = _family(stream, source)
        try:
            return family.pages(stream, source)
        except family.errors as error:
            raise _damaged(family, source, error) from error
        except MemoryError as error:
            raise ReadError("does not fit in the memory", where=source) from error


def read(source: Source) -> Image:
    """Read an image or a mask: (C, Y, X) in the file's own dtype.

    One bit becomes uint8, palettes are expanded, a constant alpha is dropped (one that varies stays, as a
    fourth or second channel), EXIF rotation is applied. `source.page` picks a page of a stack; without it a
    stack is the volume (C, Z, Y, X). Raises ReadError for what is missing, damaged, larger than the memory
    or holds NaN or infinite values.
    """
    with opened(source) as stream:
        family = _family(stream, source)
        try:
            image = family.read(stream, source)
        except family.errors as error:
            raise _damaged(family, source, error) from error
        except MemoryError as error:
            raise ReadError("does not fit in the memory", where=source) from error
    check_finite(image.array, source)
    return image


def write(path: Path, image: Image) -> None:
    """Write an image by the suffix of `path`: .png (1, 3 or 4 channels of 8 or 16 bits) or .tif (anything).

    A TIFF is compressed without loss and keeps the spacing; a volume becomes a stack of pages. The file
    is written atomically. Raises UlnaError for what the format cannot hold and for a full disk.
    """
    if path.suffix.lower() in tiff.FORMAT.suffixes:
        write_pages(path, _slices(image))
        return
    if path.suffix.lower() != ".png":
        raise UlnaError(f"images are written as .png or .tif, not as '{path.suffix}'", where=path)
    array = image.array
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.ndim != 3 or len(array) not in PNG_CHANNELS or array.dtype not in (np.uint8, np.uint16):
        raise UlnaError(
            f"PNG cannot hold {len(array)} channels of {array.dtype} with {image.ndim} axes",
            where=path,
            hint="Write it as .tif.",
        )
    # A copy, not only "contiguous": the strides of axes of length 1 must be right too.
    samples = array[0] if len(array) == 1 else np.moveaxis(array, 0, -1)
    data = imagecodecs.png_encode(samples.copy())
    with atomic_write(path) as beside:
        beside.write_bytes(data)


def write_pages(path: Path, images: Sequence[Image]) -> None:
    """Write several (C, Y, X) images as the pages of one TIFF atomically."""
    if path.suffix.lower() not in tiff.FORMAT.suffixes:
        raise UlnaError(f"only TIFF holds several pages, not '{path.suffix}'", where=path)
    if not images:
        raise UlnaError("there is no page to write", where=path)
    with atomic_write(path) as beside:
        tiff.write(beside, images)


def mask_suffix(source: Source) -> str:
    """The suffix of the mask that suits an input: ".tif" for TIFF, ".png" for all others."""
    return ".tif" if source.suffix in tiff.FORMAT.suffixes else ".png"


def _family(stream: BinaryIO, source: Source) -> Format:
    """The family by the file's first bytes, because suffixes lie."""
    start = stream.read(8)
    stream.seek(0)
    if not start:
        raise ReadError("the file is empty (0 bytes)", where=source, hint="Copy or download it again.")
    for family in FORMATS:
        if any(start.startswith(magic) for magic in family.magics):
            return family
    for family in FORMATS:
        if source.suffix in family.suffixes:
            raise ReadError(
                f"is named {source.suffix} but does not begin like a {family.name} file",
                where=source,
                hint="It is damaged or of another kind: copy it again, or save it as PNG or TIFF.",
            )
    known = ", ".join(sorted(SUFFIXES))
    raise ReadError("is no image of a kind that is known here", where=source, hint=f"Known: {known}.")


def _damaged(family: Format, source: Source, error: Exception) -> ReadError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return ReadError(
        f"this {family.name} file is damaged or truncated ({reason})",
        where=source,
        hint="Copy or download it again, or open it in another program and save it anew.",
    )


def check_finite(array: Array, where: object) -> None:
    """Raise ReadError if an array holds what is no number: nothing can be computed from it."""
    if array.dtype.kind != "f" or bool(np.isfinite(array).all()):
        return
    nan, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    found = [f"{nan:,} NaN"] * (nan > 0) + [f"{infinite:,} infinite"] * (infinite > 0)
    raise ReadError(
        f"holds {' and '.join(found)} values among {array.size:,}",
        where=where,
        hint="Replace them by numbers (for example by the background) and save the image again.",
    )


def _slices(image: Image) -> list[Image]:
    if image.ndim == 2:
        return [image]
    return [replace(image, array=image.array[:, z], grid=grid) for z, grid in enumerate(image.grid.slices())]
