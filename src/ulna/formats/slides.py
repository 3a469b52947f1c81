"""Whole slides, through OpenSlide (the extra `slides`); what is a TIFF within is read as one where it is missing."""

from __future__ import annotations

from importlib.util import find_spec
from math import prod
from typing import Any, BinaryIO

import numpy as np

from ulna.errors import ReadError, UlnaError
from ulna.formats import tiff
from ulna.formats.base import RGB, Format, Reader, guard_memory
from ulna.formats.optional import optional
from ulna.image import Array, Grid, Region, Source

SUFFIXES = (".svs", ".ndpi", ".scn", ".bif", ".mrxs", ".vms", ".vmu")
LIBRARY = "openslide"
WHITE = "ffffff"
KEPT = 128 << 20
"""Bytes of decoded tiles that OpenSlide keeps: a row of them is decoded once where regions follow each other."""
ROUNDED = 2
"""By so many pixels a level may be larger or smaller than its scale says."""


def recognizes(_head: bytes, name: str) -> bool:
    """Whether a file is a slide, by its name: within they are TIFFs, or text that names other files."""
    return name.lower().endswith(SUFFIXES)


def open_slide(stream: BinaryIO, source: Source) -> Reader:
    """The reader of a slide, (C, Y, X) in red, green and blue of 8 bits, with a level per resolution.

    Where nothing was scanned it has the background's color. Without OpenSlide, in an archive, and where `source.scene`
    asks for another of its images, a slide that is a TIFF is read by `ulna.formats.tiff`.
    """
    head = stream.read(4)
    stream.seek(0)
    is_tiff = tiff.FORMAT.recognizes(head, source.name)
    by_name = not source.inside and not source.scene and not source.axes
    if is_tiff and not (by_name and find_spec(LIBRARY)):
        return tiff.open_tiff(stream, source)
    if not by_name:
        raise ReadError("is a slide of several files: it is read from a folder only", where=source, hint="Unpack it.")
    library = optional(LIBRARY, extra="slides", what=f"{source.suffix} slides", where=source)
    try:
        slide = library.OpenSlide(str(source.path))
    except library.OpenSlideUnsupportedFormatError:
        if is_tiff:
            return tiff.open_tiff(stream, source)
        raise
    slide.set_cache(library.OpenSlideCache(KEPT))
    return _reader(slide, source)


def _reader(slide: Any, source: Source) -> Reader:
    properties = slide.properties
    sides = [(height, width) for width, height in slide.level_dimensions]
    grid = _grid(sides[0], properties)
    kept = _levels(sides)
    background = properties.get("openslide.background-color", WHITE)
    paper = np.frombuffer(bytes.fromhex(background if len(background) == 6 else WHITE), np.uint8).astype(np.uint16)

    def decode(region: Region, level: int) -> Array:
        rows, columns = region
        shape = rows.stop - rows.start, columns.stop - columns.start
        guard_memory(7 * prod(shape), source, shape=shape)
        scale = slide.level_downsamples[kept[level]]
        corner = round(columns.start * scale), round(rows.start * scale)
        drawn = np.asarray(slide.read_region(corner, kept[level], shape[::-1]))
        color, alpha = drawn[..., :3], drawn[..., 3:]
        if alpha.min(initial=255) < 255:
            seen = alpha.astype(np.uint16)
            color = ((color * seen + paper * (255 - seen) + 127) // 255).astype(np.uint8)
        return np.moveaxis(color, -1, 0)

    notes = ["where nothing was scanned it has the color of the background"] * ("openslide.bounds-x" in properties)
    if len(kept) < len(sides):
        notes.append(f"of its {len(sides)} levels {len(kept)} are used: the others are no smaller copies of it")
    levels = tuple(grid.resampled(shape=sides[k]) for k in kept)
    return Reader(source, grid, np.dtype(np.uint8), RGB, decode, levels=levels, assumed="; ".join(notes))


def _grid(shape: tuple[int, int], properties: Any) -> Grid:
    """Where the pixels lie, as far as the slide says their size in micrometers."""
    try:
        spacing = tuple(float(properties[f"openslide.mpp-{axis}"]) for axis in "yx")
        return Grid(shape, spacing, "µm")
    except (KeyError, ValueError, UlnaError):
        return Grid(shape)


def _levels(sides: list[tuple[int, int]]) -> list[int]:
    """Which levels are smaller copies of the first, each smaller than the one before."""
    kept = [0]
    for k, (height, width) in enumerate(sides[1:], 1):
        scale = max(sides[0][0] / max(1, height), sides[0][1] / max(1, width))
        fits = all(abs(n - whole / scale) <= ROUNDED for n, whole in zip((height, width), sides[0], strict=True))
        if fits and height < sides[kept[-1]][0]:
            kept.append(k)
    return kept


def _errors() -> tuple[type[Exception], ...]:
    own: tuple[type[Exception], ...] = tiff.FORMAT.errors()
    if find_spec(LIBRARY) is None:
        return own
    import openslide

    return (*own, openslide.OpenSlideError)


FORMAT = Format(
    name="slide",
    suffixes=SUFFIXES,
    recognizes=recognizes,
    open=open_slide,
    mask_suffix=".tif",
    errors=_errors,
)
