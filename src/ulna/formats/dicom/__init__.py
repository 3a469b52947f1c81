"""DICOM through pydicom: series of slices, files of many frames, and segmentations."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np

from ulna.errors import ReadError, UlnaError
from ulna.formats.archive import kept, opened
from ulna.formats.base import SMALL, Format, Reader, guard_memory, paper, unscanned
from ulna.formats.dicom.headers import MAGIC, PREAMBLE, Slice, is_segmentation, no_image, read_header, slices_of
from ulna.formats.dicom.pixels import channels_of, decoded, scaled_type, stored, stored_type
from ulna.formats.dicom.segmentation import Mask, mask_of, painted
from ulna.formats.dicom.stack import Stack, stacked
from ulna.formats.dicom.tiles import Tiles, tiles_of
from ulna.formats.selection import times_of
from ulna.grid import Grid
from ulna.image import Array, Channel, Region, Source
from ulna.memory import free_memory
from ulna.text import amount

KEPT = 256 << 20
"""Bytes of decoded planes that a reader keeps while parts of them are read; one plane is always kept."""
WEIGHT = 2 << 10
"""About how many bytes of memory the header of a slice takes."""
GROUPS = (b"\x02\0", b"\x08\0", b"\0\x08")
"""With what files without a preamble begin."""
SUFFIXES = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True)
class _Looked:
    """What the headers of an image's files say."""

    stack: Stack
    stored: np.dtype
    channels: tuple[Channel, ...]
    inverted: bool
    mask: Mask | None = None
    tiles: Tiles | None = None


def recognizes(head: bytes, name: str) -> bool:
    """Whether a file is DICOM: by its magic or, as old files have none, by its first attribute and its name."""
    if head[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC:  # the bytes before may be anything, those of a TIFF too
        return True
    return head[:2] in GROUPS and name.lower().endswith(SUFFIXES)


def open_dicom(_stream: BinaryIO, source: Source) -> Reader:
    """The reader of a series, (C, Z, Y, X), or of one slice, (C, Y, X).

    Slices are sorted by where they lie, and values scaled as the header says: to whole numbers where slope and
    intercept are whole, otherwise to float32. Several slices at each place are channels, unless `source.time` picks
    one. Frames that do not say where they lie are the frames of a film, of which it picks one, too. A segmentation has
    the numbers of its segments as values; of `source.files` the first is then the segmentation, the others the series
    on whose grid it is put.
    """
    looked = _looked(source)
    if looked.mask is not None:
        return _of_mask(looked.mask, source)
    if looked.tiles is not None:
        return _of_tiles(looked.tiles, looked, source)
    volumes, grid = looked.stack.volumes, looked.stack.grid
    film = _is_film(looked.stack)
    doubts = [*looked.stack.doubts, *["white is 0 in it; it is inverted"] * looked.inverted]
    count = grid.shape[0] if film else len(volumes)
    times = times_of(count, source)
    if source.time is not None:
        volumes, grid = of_time(looked.stack, source.time)
        doubts = doubts if film else [doubt for doubt in doubts if "channels" not in doubt]
    channels = looked.channels
    if len(volumes) > 1:
        if len(channels) > 1:
            raise ReadError(f"holds {len(volumes)} volumes of colors", where=source, hint="Keep one per folder.")
        channels = tuple(Channel(f"channel {k}") for k in range(len(volumes)))
    dtype = scaled_type(looked.stored, {one.scale for volume in volumes for one in volume})
    load = lru_cache(2)(_load)
    plane_bytes = max(1, len(looked.channels) * int(np.prod(grid.shape[-2:])) * dtype.itemsize)

    @lru_cache(max(1, KEPT // plane_bytes))
    def plane(volume: int, number: int) -> Array:
        one = volumes[volume][number]
        try:
            array = decoded(load(one.source), one.frame, one.source)
        except errors() as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ReadError(f"this DICOM file is damaged or truncated ({reason})", where=one.source) from error
        slope, intercept = one.scale
        scaled = array if one.scale == (1.0, 0.0) else array * slope + intercept
        return scaled.astype(dtype, copy=False)

    def decode(region: Region, _level: int) -> Array:
        numbers = range(region[0].start, region[0].stop) if len(region) == 3 else range(1)
        sides = [part.stop - part.start for part in region[-2:]]
        guard_memory(len(channels) * len(numbers) * sides[0] * sides[1] * dtype.itemsize, source, shape=grid.shape)
        result = np.empty((len(channels), len(numbers), *sides), dtype)
        for k in range(len(volumes)):
            for place, number in enumerate(numbers):
                part = slice(k, k + 1) if len(volumes) > 1 else slice(None)
                result[part, place] = plane(k, number)[(slice(None), *region[-2:])]
        return result if len(region) == 3 else result[:, 0]

    return Reader(
        source, grid, dtype, channels, decode,
        planes=grid.shape[0] if grid.ndim == 3 else 1, times=len(times) if film else 1, time_points=count,
        assumed="; ".join(doubts),
    )  # fmt: skip


def is_slide(source: Source) -> bool:
    """Whether an image is the picture of a slide in tiles; False of what cannot be read, which reading it says."""
    if source.suffix not in SUFFIXES:
        return False
    unreadable: tuple[type[Exception], ...] = (UlnaError, *errors())
    first = source.parts[0]
    try:
        return kept("slide", first, lambda: (bool(read_header(first).get("TotalPixelMatrixRows")), WEIGHT))
    except unreadable:
        return False


def stack_of(source: Source) -> Stack:
    """The slices of an image in their order, and their grid."""
    return _looked(source).stack


def of_time(stack: Stack, time: int) -> tuple[tuple[tuple[Slice, ...], ...], Grid]:
    """The slices of one time point, and their grid: a frame of a film, or a volume of several."""
    if _is_film(stack):
        return ((stack.volumes[0][time],),), stack.grid.plane(time)
    return stack.volumes[time : time + 1], stack.grid


def _is_film(stack: Stack) -> bool:
    return stack.grid.ndim == 3 and stack.volumes[0][0].position is None


def _looked(source: Source) -> _Looked:
    return kept("dicom", source, lambda: (_look(source), WEIGHT * len(source.parts)))


def _look(source: Source) -> _Looked:
    """Read the headers of all files of an image."""
    parts = source.parts
    headers = [read_header(part) for part in parts]
    first = headers[0]
    what = no_image(first)
    if what:
        hint = "Convert the outlines into a DICOM segmentation or NIfTI, with 3D Slicer for example." * ("RTS" in what)
        raise ReadError(f"is {what}, which is not read", where=source, hint=hint)
    if "ModalityLUTSequence" in first:
        what = "is an image whose values need a table (LUT), which is not read"
        raise ReadError(what, where=source, hint="Convert it to TIFF.")
    tiles = tiles_of(source, first)
    if is_segmentation(first):
        beside = _stack(parts[1:], headers[1:], source) if len(parts) > 1 and not tiles else None
        mask = mask_of(parts[0], first, beside.grid if beside else None)
        return _Looked(Stack((), mask.grid), mask.dtype, (), inverted=False, mask=mask)
    if tiles:
        stack = Stack((), tiles.grid)
        return _Looked(stack, stored_type(first, source), channels_of(first), inverted=False, tiles=tiles)
    kinds = {
        (str(stored_type(header, part)), len(channels_of(header))) for part, header in zip(parts, headers, strict=True)
    }
    if len(kinds) > 1:
        raise ReadError("its slices hold values of different types", where=source, hint="Keep one series per folder.")
    return _Looked(
        _stack(parts, headers, source),
        stored_type(first, source),
        channels_of(first),
        inverted=first.get("PhotometricInterpretation") == "MONOCHROME1",
    )


def _stack(parts: Sequence[Source], headers: Sequence[Any], source: Source) -> Stack:
    slices = [one for part, header in zip(parts, headers, strict=True) for one in slices_of(part, header)]
    numbers = {str(header.get("AcquisitionNumber", "")) for header in headers}
    expected = int(headers[0].get("ImagesInAcquisition") or 0) if len(numbers) == 1 else 0
    return stacked(slices, source, expected=expected)


def _load(part: Source) -> Any:
    import pydicom

    with opened(part) as stream:
        length = stream.seek(0, 2)
        if length > SMALL and length > (free := free_memory()):
            what = f"is read as a whole, {amount(length)}, and {amount(free)} of memory are free"
            raise ReadError(
                what, where=part, hint="Close other programs, or convert it: a tiled TIFF is read by region."
            )
        stream.seek(0)
        return pydicom.dcmread(stream, force=True)


def _of_tiles(tiles: Tiles, looked: _Looked, source: Source) -> Reader:
    load = lru_cache(1)(_load)
    dtype, channels = looked.stored.newbyteorder("="), looked.channels
    fill = paper(dtype, len(channels))

    @lru_cache(max(1, KEPT // max(1, len(channels) * int(np.prod(tiles.size)) * dtype.itemsize)))
    def tile(frame: int) -> Array:
        return decoded(load(source), frame, source)

    def decode(region: Region, _level: int) -> Array:
        shape = tiles.grid.crop(region).shape
        guard_memory(len(channels) * int(np.prod(shape)) * dtype.itemsize, source, shape=shape)
        return tiles.paste(tile, region, len(channels), dtype, fill=fill)

    said = unscanned(fill) if len(tiles.corners) * int(np.prod(tiles.size)) < int(np.prod(tiles.grid.shape)) else ""
    return Reader(source, tiles.grid, dtype, channels, decode, assumed=said)


def _of_mask(mask: Mask, source: Source) -> Reader:
    channels = (Channel("gray"),)
    dtype, grid = mask.dtype, mask.grid

    @lru_cache(1)
    def whole() -> tuple[Array, str]:
        guard_memory(int(np.prod(grid.shape)) * dtype.itemsize, source, shape=grid.shape)
        data = _load(source.parts[0])
        return painted(mask, lambda frame: stored(data, frame, source), source)  # numbers, also where they have colors

    def decode(region: Region, _level: int) -> Array:
        return whole()[0][None][(slice(None), *region)]

    nested = whole()[1] if mask.overlapping else ""
    doubts = "; ".join(filter(None, (*mask.doubts, nested)))
    planes = grid.shape[0] if grid.ndim == 3 else 1
    return Reader(source, grid, dtype, channels, decode, planes=planes, assumed=doubts)


def errors() -> tuple[type[Exception], ...]:
    """What pydicom and the decoders raise for damaged files."""
    import pydicom.errors

    return (
        pydicom.errors.InvalidDicomError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RuntimeError,
        NotImplementedError,
        OSError,
        EOFError,
        struct.error,
        zlib.error,
    )


FORMAT = Format(
    name="DICOM",
    suffixes=SUFFIXES,
    recognizes=recognizes,
    open=open_dicom,
    mask_suffix=".nii.gz",
    errors=errors,
)
