"""TIFF, through tifffile: 8 to 64 bits, integer and float, any axes, any compression, one page or many."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile

from ulna.errors import ReadError
from ulna.formats.base import Format, channels_first, guard_memory, upright
from ulna.formats.spacing import TO_CENTIMETERS, read_spacing
from ulna.image import Array, Grid, Image, Source

CHANNELS = "CS"
ALPHA = (1, 2)  # TIFF's ExtraSamples: associated and unassociated alpha
ORIENTATION = 274
PALETTE = 3


def read(stream: BinaryIO, source: Source) -> Image:
    """The page `source.page` as (C, Y, X); without a page, a file of several is the volume (C, Z, Y, X).

    Axes are those that tifffile finds (ImageJ, OME and others write them down): samples and channels are
    channels, all other axes but Y and X count as pages. Of a set of files that describe each other, each is read
    alone. Values are as stored, also where 0 is meant to be shown white; one bit gives 0 and 1; palettes of up to
    8 bits are expanded; a constant alpha is dropped.
    """
    with _opened(stream) as tiff:
        series = _series(tiff, source)
        count = _count(series)
        wanted = range(count) if source.page is None else range(source.page, source.page + 1)
        if wanted.stop > count:
            raise ReadError(f"has {count} pages, page {source.page} is asked for", where=source)
        if source.page in (None, 0):
            _chain_is_whole(stream, tiff, source)
        planes = [_plane(series, page, stream, source) for page in wanted]
        spacing, unit = read_spacing(tiff, volume=len(planes) > 1)
    array = planes[0] if len(planes) == 1 else np.stack(planes, axis=1)
    grid = Grid(array.shape[1:], spacing, unit)
    return Image(array.astype(np.uint8) if array.dtype == bool else array, grid, source=source)


def pages(stream: BinaryIO, source: Source) -> int:
    """How many planes (Y, X), whatever the number of their channels."""
    with _opened(stream) as tiff:
        _chain_is_whole(stream, tiff, source)
        return _count(_series(tiff, source))


def write(path: Path, images: Sequence[Image]) -> None:
    """Write one (C, Y, X) image a page, deflate-compressed, with the spacing of each."""
    with tifffile.TiffWriter(path, bigtiff=sum(image.array.nbytes for image in images) > 3 << 30) as tiff:
        for image in images:
            tiff.write(**_page(image))


def _page(image: Image) -> dict[str, Any]:
    array = image.array
    words: dict[str, Any] = {"compression": "zlib", "metadata": None, "contiguous": False}
    if array.dtype in (np.uint8, np.uint16) and len(array) in (3, 4):
        words |= {"data": np.moveaxis(array, 0, -1), "photometric": "rgb", "planarconfig": "contig"}
        if len(array) == 4:
            words["extrasamples"] = ["unassalpha"]
    elif len(array) > 1:
        words |= {"data": array, "photometric": "minisblack", "planarconfig": "separate"}
    else:
        words |= {"data": array[0], "photometric": "minisblack"}
    centimeters = TO_CENTIMETERS.get(image.unit)
    if centimeters is not None:
        y, x = image.spacing[-2:]
        words |= {
            "resolution": (1 / (x * centimeters), 1 / (y * centimeters)),
            "resolutionunit": "CENTIMETER",
        }
    return words


def _opened(stream: BinaryIO) -> tifffile.TiffFile:
    """This file alone: tifffile would take the pages of a whole set (OME, Micro-Manager) from the files beside it."""
    return tifffile.TiffFile(stream, _multifile=False, is_mmstack=False)


def _series(tiff: tifffile.TiffFile, source: Source) -> Any:
    """The first series: later ones are thumbnails, labels and smaller copies."""
    if not tiff.series:
        raise ReadError("this TIFF holds no image", where=source)
    series = tiff.series[0]
    if "Y" not in series.axes or "X" not in series.axes or 0 in series.shape:
        raise ReadError(f"this TIFF's axes are '{series.axes}', without rows and columns", where=source)
    if series.dtype is None or series.dtype.kind not in "buif":
        raise ReadError(f"this TIFF holds numbers of the kind {series.dtype}", where=source)
    return series


def _count(series: Any) -> int:
    return prod(n for n, axis in zip(series.shape, series.axes, strict=True) if axis not in CHANNELS + "YX")


def _plane(series: Any, page: int, stream: BinaryIO, source: Source) -> Array:
    """(C, Y, X) of one page."""
    first = series.keyframe
    sizes = dict(zip(series.axes, series.shape, strict=True))
    height, width = sizes["Y"], sizes["X"]
    channels = prod(sizes.get(axis, 1) for axis in CHANNELS)
    guard_memory(channels * height * width * series.dtype.itemsize, source, shape=(height, width))
    frames = _frames(series, page)
    if frames:
        _data_is_there(frames, stream, source)
        parts = [_samples(frame.asarray(), first.axes) for frame in frames]
    else:
        parts = [_samples(part, axes) for part, axes in _cut(series, page, source)]
    if any(part.shape[:2] != (height, width) for part in parts):
        raise ReadError("this TIFF is damaged: its pixels are not those that it announces", where=source)
    parts = [_colored(part, first) for part in parts]
    return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts))


def _frames(series: Any, page: int) -> list[Any]:
    """The parts of the file that hold this page, one a channel; none where they are not stored apart."""
    inner = series.keyframe.axes
    outer = series.axes[: -len(inner)]
    shape = series.shape[: len(outer)]
    if series.axes[len(outer) :] != inner or len(series) != prod(shape) or set(inner) - set("YXS"):
        return []
    numbers = np.arange(prod(shape)).reshape(shape)
    numbers = np.moveaxis(numbers, outer.index("C"), -1) if "C" in outer else numbers[..., None]
    frames = [series[int(n)] for n in numbers.reshape(-1, numbers.shape[-1])[page]]
    return [] if None in frames else frames


def _cut(series: Any, page: int, source: Source) -> list[tuple[Array, str]]:
    """One page out of a series that can only be decoded as a whole, channel by channel."""
    guard_memory(prod(series.shape) * series.dtype.itemsize, source, shape=series.shape)
    array, axes = series.asarray(), series.axes
    kept = [axis for axis in axes if axis in CHANNELS + "YX"]
    order = [axes.index(axis) for axis in axes if axis not in kept] + [
        axes.index(axis) for axis in "CYXS" if axis in kept
    ]
    plane = array.transpose(order).reshape(-1, *(array.shape[axes.index(axis)] for axis in "CYXS" if axis in kept))[
        page
    ]
    inner = "YXS" if "S" in kept else "YX"
    return [(part, inner) for part in plane] if "C" in kept else [(plane, inner)]


def _samples(array: Array, axes: str) -> Array:
    """(Y, X, S) or (Y, X), whichever way round the samples are stored."""
    return np.moveaxis(array, 0, -1) if axes == "SYX" else array


def _colored(array: Array, first: Any) -> Array:
    """(Y, X[, S]) → (C, Y, X): upright, palette expanded, constant alpha dropped."""
    tag = first.tags.get(ORIENTATION)
    array = upright(array, int(tag.value) if tag is not None else 1)
    if first.photometric == PALETTE and first.colormap is not None and array.ndim == 2 and array.dtype == np.uint8:
        # The palette has 16 bits a color; the file's other side is a screen with 8.
        colors = (first.colormap.T >> 8).astype(np.uint8)
        return channels_first(colors[array], gray=True)
    alpha = array.ndim == 3 and bool(first.extrasamples) and int(first.extrasamples[-1]) in ALPHA
    return channels_first(array, alpha=alpha)


def _data_is_there(frames: Sequence[Any], stream: BinaryIO, source: Source) -> None:
    """tifffile fills what is missing at the end of a file with zeros or stops in odd ways: look first."""
    end = stream.seek(0, 2)
    for frame in frames:
        for offset, size in zip(frame.dataoffsets, frame.databytecounts, strict=False):
            if offset + size > end:
                raise _truncated(source, end, offset + size)


def _chain_is_whole(stream: BinaryIO, tiff: tifffile.TiffFile, source: Source) -> None:
    """Follow the chain of pages to its end: where it leads out of the file, pages are lost."""
    end = stream.seek(0, 2)
    order, big = tiff.byteorder, tiff.is_bigtiff
    start, number, entry, link = (8, "Q", 20, "Q") if big else (4, "H", 12, "I")
    stream.seek(start)
    (offset,) = struct.unpack(order + link, stream.read(struct.calcsize(link)))
    seen: set[int] = set()
    while offset and offset not in seen:
        seen.add(offset)
        if offset >= end:
            raise _truncated(source, end, offset)
        stream.seek(offset)
        (entries,) = struct.unpack(order + number, stream.read(struct.calcsize(number)))
        stream.seek(entries * entry, 1)
        rest = stream.read(struct.calcsize(link))
        if len(rest) < struct.calcsize(link):
            raise _truncated(source, end, stream.tell())
        (offset,) = struct.unpack(order + link, rest)


def _truncated(source: Source, end: int, wanted: int) -> ReadError:
    return ReadError(
        f"this TIFF is truncated: it ends after {end:,} bytes, its data reach to {wanted:,}",
        where=source,
        hint="Copy or download the file again.",
    )


FORMAT = Format(
    name="TIFF",
    suffixes=(".tif", ".tiff", ".btf", ".tf8"),
    magics=(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    read=read,
    pages=pages,
    errors=(
        tifffile.TiffFileError,
        RuntimeError,  # every error of imagecodecs
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,  # tifffile, where a tag that it needs is missing
        ArithmeticError,
        AssertionError,  # tifffile's own, on tags that contradict each other
        OSError,
        EOFError,
        struct.error,
        zlib.error,
    ),
)
