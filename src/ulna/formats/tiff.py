"""TIFF, through tifffile: 8 to 64 bits, integer and float, any axes, any compression, one page or many."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Any, BinaryIO

import numpy as np
import tifffile

from ulna.errors import ReadError
from ulna.formats.base import GRAY, Format, Reader, begins, guard_memory, turned_note, upright
from ulna.formats.selection import scene_of, times_of
from ulna.formats.spacing import channel_names, depth_note, read_grid, scene_names
from ulna.formats.tiff_axes import CHANNELS, axes_of
from ulna.formats.tiff_color import (
    COLORS,
    PALETTE,
    by_tifffile,
    channels_of,
    check_color,
    conversion,
    converted,
    dtype_of,
)
from ulna.formats.tiff_parts import Parts, can_be_parted, is_level
from ulna.formats.tiff_tiles import tiled
from ulna.formats.tiff_writer import as_it_lies, save
from ulna.image import Array, Channel, Grid, Region, Source
from ulna.text import plural, size

ORIENTATION = 274
KEPT = 128 << 20
"""Bytes of decoded tiles that a reader keeps while regions are read; one tile, or strip, is always kept."""


@dataclass(frozen=True)
class _Stack:
    """One series of a file at one resolution, as planes (C, Y, X)."""

    series: Any
    axes: str
    source: Source
    stream: BinaryIO
    scene: int

    def axis(self, letter: str) -> int:
        """The length of an axis; 1 where there is none."""
        return int(self.series.shape[self.axes.index(letter)]) if letter in self.axes else 1

    @property
    def orientation(self) -> int:
        """TIFF's tag 274."""
        tag = self.series.keyframe.tags.get(ORIENTATION)
        return int(tag.value) if tag is not None else 1

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(Y, X) of a plane that stands upright."""
        sides = self.axis("Y"), self.axis("X")
        return sides[::-1] if self.orientation >= 5 else sides

    def planes(self) -> list[int]:
        """The numbers of the planes of the selected time point, or of all."""
        outer = [(axis, n) for axis, n in zip(self.axes, self.series.shape, strict=True) if axis not in CHANNELS + "YX"]
        numbers = np.arange(prod(n for _, n in outer)).reshape([n for _, n in outer])
        times = times_of(self.axis("T"), self.source)
        if "T" in self.axes:
            numbers = numbers.take(times, axis=[axis for axis, _ in outer].index("T"))
        return [int(number) for number in numbers.ravel()]

    def channels(self) -> tuple[Channel, ...]:
        """The channels of a plane, by the names that the file gives them."""
        page = self.series.keyframe
        planar = "S" in page.axes and "S" not in self.axes  # the user or the file says what its planes are
        inner = GRAY if planar else channels_of(page)
        count = self.axis("C")
        if count == 1 and "C" not in self.axes:
            return inner
        if len(inner) == 1:
            return tuple(Channel(f"channel {c}") for c in range(count))
        return tuple(Channel(f"{c} {channel.name}", channel.role) for c in range(count) for channel in inner)

    @cached_property
    def _parts(self) -> Parts:
        return Parts(self.series.keyframe, self.stream, self.source, kept=KEPT)

    @property
    def separable(self) -> bool:
        """Whether parts of a plane can be decoded without the rest of it."""
        return can_be_parted(self.series.keyframe) and bool(self._frames(0))

    def plane(self, number: int, region: Region | None = None) -> Array:
        """(C, Y, X) of one plane or of a region of it, upright and in gray or RGB."""
        page, stored = self.series.keyframe, (self.axis("Y"), self.axis("X"))
        rows, columns = (slice(0, side) for side in stored) if region is None else self._as_stored(region)
        samples = self.axis("C") * self.axis("S")
        shape = rows.stop - rows.start, columns.stop - columns.start
        guard_memory(samples * prod(shape) * page.dtype.itemsize, self.source, shape=shape)
        frames = self._frames(number)
        if frames and region is not None:
            parts = [self._parts.read(frame, rows, columns) for frame in frames]
            parts = [_samples(part, page.axes.replace("SYX", "YXS")) for part in parts]
        elif frames:
            _data_is_there(frames, self.stream, self.source)
            parts = [_samples(frame.asarray(), page.axes) for frame in frames]
        else:
            parts = [part[rows, columns] for part in self._cut(number)]
        if any(part.shape[:2] != shape for part in parts):
            raise ReadError("this TIFF is damaged: its pixels are not those that it announces", where=self.source)
        # Every page has a palette of its own.
        own_palettes = page.photometric == PALETTE and not any(frame.is_virtual for frame in frames)
        pages = [frame.aspage() for frame in frames] if own_palettes else []
        parts = [converted(part, own) for part, own in zip(parts, pages or [page] * len(parts), strict=True)]
        array = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return np.moveaxis(upright(np.moveaxis(array, 0, -1), self.orientation), -1, 0)

    def _as_stored(self, region: Region) -> tuple[slice, slice]:
        """The rows and columns of the file that become a region of the plane that stands upright."""
        rows, columns = region
        if self.orientation in (3, 4, 7, 8):
            rows = _from_the_end(rows, self.plane_shape[0])
        if self.orientation in (2, 3, 6, 7):
            columns = _from_the_end(columns, self.plane_shape[1])
        return (columns, rows) if self.orientation in (5, 6, 7, 8) else (rows, columns)

    def _frames(self, number: int) -> list[Any]:
        """The parts of the file that hold a plane, one per channel; none where they are not stored apart."""
        series, inner = self.series, self.series.keyframe.axes
        outer = self.axes[: -len(inner)]
        shape = series.shape[: len(outer)]
        if self.axes[len(outer) :] != inner or len(series) != prod(shape) or set(inner) - set("YXS"):
            return []
        numbers = np.arange(prod(shape)).reshape(shape)
        numbers = np.moveaxis(numbers, outer.index("C"), -1) if "C" in outer else numbers[..., None]
        frames = [series[int(n)] for n in numbers.reshape(-1, numbers.shape[-1])[number]]
        if None in frames:
            raise ReadError(
                "announces more planes than it holds, as of an acquisition that was stopped",
                where=self.source,
                hint="Save those that are there anew, or leave this file out.",
            )
        return frames

    def _cut(self, number: int) -> list[Array]:
        """One plane out of a series that can only be decoded as a whole: (Y, X[, S]), one per channel."""
        series, axes = self.series, self.axes
        guard_memory(prod(series.shape) * series.dtype.itemsize, self.source, shape=series.shape)
        array = series.asarray()
        outer = [k for k, axis in enumerate(axes) if axis not in CHANNELS + "YX"]
        inner = [axes.index(axis) for axis in "CYXS" if axis in axes]
        planes = array.transpose(outer + inner).reshape(-1, *(array.shape[k] for k in inner))
        return list(planes[number]) if "C" in axes else [planes[number]]


def open_tiff(stream: BinaryIO, source: Source) -> Reader:
    """The reader of a TIFF: the plane `source.page` is (C, Y, X); without a page, a file of several is (C, Z, Y, X).

    Axes are those that the file states (ImageJ, OME and others), or those of `source.axes`: samples and channels are
    channels, all other axes but Y and X count as planes. Of a set of files that describe each other, each is read
    alone. One bit gives 0 and 1; white-is-zero, CMYK and YCbCr become black-is-zero and RGB; palettes are expanded.
    """
    # This file alone: tifffile would take the pages of a whole set (OME, Micro-Manager) from the files beside it.
    tiff = tifffile.TiffFile(stream, _multifile=False, is_mmstack=False)
    scene, others = _scene(tiff, source)
    series = tiff.series[scene]
    page = series.keyframe
    check_color(page, source)
    axes, assumed = axes_of(series.axes, series.shape, source)
    if source.page in (None, 0):
        _chain_is_whole(stream, tiff, source)
    levels, no_levels = _levels(series)
    stacks = [_Stack(level, axes, source, stream, scene) for level in levels]
    planes = stacks[0].planes()
    wanted = planes if source.page is None else planes[source.page : source.page + 1]
    if not wanted:
        raise ReadError(f"has {len(planes)} pages, page {source.page} is asked for", where=source)
    grid = _grid(tiff, stacks[0], len(planes), source)
    channels, picked = _channels(tiff, stacks[0], source)

    plane_bytes = max(1, len(channels) * prod(grid.shape[-2:]) * dtype_of(page).itemsize)
    kept = lru_cache(max(1, KEPT // plane_bytes))(lambda level, number: stacks[level].plane(number))

    def decode(region: Region, level: int) -> Array:
        stack, part = stacks[level], region[-2:]
        numbers = wanted[region[0]] if len(region) == 3 else wanted
        if [one.stop - one.start for one in part] == list(stack.plane_shape):
            parts = [stack.plane(number)[picked] for number in numbers]
        elif stack.separable:
            parts = [stack.plane(number, part)[picked] for number in numbers]
        else:  # another part of the same planes will be asked for
            parts = [kept(level, number)[(picked, *part)].copy() for number in numbers]
        return parts[0] if len(region) == 2 else np.stack(parts, axis=1)

    return Reader(
        source,
        grid,
        dtype_of(page),
        channels,
        decode,
        levels=tuple(grid.resampled(shape=(*grid.shape[:-2], *stack.plane_shape)) for stack in stacks),
        planes=len(planes),
        times=len(times_of(stacks[0].axis("T"), source)),
        time_points=stacks[0].axis("T"),
        scenes=scene_names(tiff),
        assumed="; ".join(
            filter(
                None,
                (
                    assumed or _time_as_planes(stacks[0]),
                    conversion(page),
                    _guessed_colors(page, axes),
                    *turned_note(stacks[0].orientation),
                    *others,
                    no_levels,
                    depth_note(tiff, scene) if _is_stack_in_depth(stacks[0], grid) else "",
                ),
            )
        ),
        palette=page.photometric == PALETTE,
    )


def _is_stack_in_depth(stack: _Stack, grid: Grid) -> bool:
    """Whether planes are read that lie above one another, as far as is known, at a distance that nobody stated."""
    times = len(times_of(stack.axis("T"), stack.source))
    return grid.ndim == 3 and "Z" in stack.axes and times == 1 and not stack.source.spacing


def _scene(tiff: tifffile.TiffFile, source: Source) -> tuple[int, tuple[str, ...]]:
    """Which series is read, and what is said of that: by default the first, later ones are mostly smaller copies."""
    if not tiff.series:
        raise ReadError("this TIFF holds no image", where=source)
    number, others = scene_of(scene_names(tiff), source)
    series = tiff.series[number]
    if "Y" not in series.axes or "X" not in series.axes or 0 in series.shape:
        raise ReadError(f"this TIFF's axes are '{series.axes}', without rows and columns", where=source)
    if series.dtype is None or series.dtype.kind not in "buif":
        raise ReadError(f"this TIFF holds numbers of the kind {series.dtype}", where=source)
    return number, others


def _levels(series: Any) -> tuple[list[Any], str]:
    """The images of a pyramid from the largest on, and what is said of those that are no smaller copies of it."""
    found: list[Any] = [series]
    others: list[Any] = []
    for level in series.levels[1:]:
        (found if is_level(series, level, found[-1]) else others).append(level)
    if not others:
        return found, ""
    shapes = " and ".join(size(level.shape) for level in others[:2])
    return found, f"{plural(len(others), 'level')} of its pyramid ({shapes}) not used: no smaller copies of the image"


def _guessed_colors(page: Any, axes: str) -> str:
    """That tifffile declares 3 or 4 planes of 8 or 16 bits to be colors where nobody says otherwise."""
    if "S" not in axes or page.axes != "SYX" or page.photometric != COLORS or not by_tifffile(page):
        return ""
    colors = "red, green, blue" + " and alpha" * bool(page.extrasamples)
    return (
        f"its {page.samplesperpixel} planes are declared to be {colors}, as tifffile does with any such array; "
        "if they are other channels, set data.axes: CYX, if they are planes, set data.axes: ZYX"
    )


def _time_as_planes(stack: _Stack) -> str:
    """That the time points of a series are read as planes of a stack, where nobody said so."""
    count, source = stack.axis("T"), stack.source
    if count == 1 or source.axes or source.time is not None:
        return ""
    depth = stack.axis("Z")
    planes = f" of {plural(depth, 'plane')} each" if depth > 1 else ""
    other = "" if depth > 1 else f"; if they are planes, set data.axes: {stack.axes.replace('T', 'Z')}"
    return (
        f"its {plural(count, 'time point')}{planes} are read as pages one after the other (axes {stack.axes}; to keep "
        f"it so without this note, set data.axes: {stack.axes}; data.time chooses one){other}"
    )


def _grid(tiff: tifffile.TiffFile, stack: _Stack, planes: int, source: Source) -> Grid:
    """The grid of all planes, or of the selected one, which keeps its place in the volume."""
    if planes == 1:
        return read_grid(tiff, stack.plane_shape, series=stack.scene, turned=stack.orientation >= 5)
    volume = read_grid(tiff, (planes, *stack.plane_shape), series=stack.scene, turned=stack.orientation >= 5)
    return volume if source.page is None else volume.plane(source.page)


def _channels(tiff: tifffile.TiffFile, stack: _Stack, source: Source) -> tuple[tuple[Channel, ...], slice]:
    """The channels that are read, and where they lie among all."""
    channels = stack.channels()
    names = channel_names(tiff, stack.scene)
    if len(names) == len(channels):
        channels = tuple(Channel(name, old.role) for name, old in zip(names, channels, strict=True))
    if source.channel is None:
        return channels, slice(None)
    if not 0 <= source.channel < len(channels):
        raise ReadError(f"has {plural(len(channels), 'channel')}, channel {source.channel} is asked for", where=source)
    return channels[source.channel : source.channel + 1], slice(source.channel, source.channel + 1)


def _from_the_end(part: slice, side: int) -> slice:
    return slice(side - part.stop, side - part.start)


def _samples(array: Array, axes: str) -> Array:
    """(Y, X, S) or (Y, X), whichever way round the samples are stored."""
    return np.moveaxis(array, 0, -1) if axes == "SYX" else array


def _data_is_there(frames: Sequence[Any], stream: BinaryIO, source: Source) -> None:
    """tifffile fills what is missing at the end of a file with zeros or stops in odd ways: look first."""
    end = stream.seek(0, 2)
    for frame in frames:
        for offset, length in zip(frame.dataoffsets, frame.databytecounts, strict=False):
            if offset + length > end:
                raise _truncated(source, end, offset + length)


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
    recognizes=begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    open=open_tiff,
    save=save,
    allocate=as_it_lies,
    sink=tiled,
    mask_suffix=".tif",
    errors=lambda: (
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
