"""Parts of a page of a TIFF: only the tiles or strips that a region touches are read and decoded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from math import prod
from threading import Lock
from typing import Any, BinaryIO

import numpy as np

from ulna.errors import ReadError
from ulna.formats.base import guard_memory
from ulna.formats.flat import read_flat
from ulna.image import Array, Source

JPEGS = (6, 7, 34892, 33007)
"""Compressions whose tables may lie apart from the tiles."""
ROUNDED = 2
"""By so many pixels a level of a pyramid may be larger or smaller than its scale says."""


class Parts:
    """Reads regions of pages that are stored alike, those of one series at one resolution.

    Parameters
    ----------
    page
        Any of the pages, with its tags (tifffile's key frame).
    stream
        The file.
    source
        What errors name.
    kept
        About so many bytes of decoded tiles or strips are kept, because regions touch each other; one is always kept.
    """

    def __init__(self, page: Any, stream: BinaryIO, source: Source, *, kept: int) -> None:
        self._page, self._stream, self._source, self._lock = page, stream, source, Lock()
        self.samples = int(page.samplesperpixel)
        planar = page.planarconfig == 2 and self.samples > 1
        self._planes = self.samples if planar else 1
        self._inner = 1 if planar else self.samples
        self.height, self.width = int(page.imagelength), int(page.imagewidth)
        tiled = bool(page.is_tiled)
        self._size = (
            (int(page.tilelength), int(page.tilewidth))
            if tiled
            else (min(int(page.rowsperstrip), self.height) or self.height, self.width)
        )
        itemsize = np.dtype(page.dtype).itemsize
        self._nbytes = prod(self._size) * self._inner * itemsize
        self._down, self._across = -(-self.height // self._size[0]), -(-self.width // self._size[1])
        self._recent: OrderedDict[tuple[int, int], Array] = OrderedDict()
        self._capacity = max(1, kept // max(1, self._nbytes))

    def read(self, frame: Any, rows: slice, columns: slice) -> Array:
        """The pixels of a region of a page.

        Parameters
        ----------
        frame
            The page, or what stands for it in a stack of like pages.
        rows, columns
            The region, as pixels are stored.

        Returns
        -------
        Array
            (Y, X, S), or (Y, X) of a page without an axis of samples.

        Raises
        ------
        ReadError
            Where tiles lie beyond the end of the file, are no tiles, or do not fit in the memory.
        """
        shape = rows.stop - rows.start, columns.stop - columns.start
        guard_memory(self.samples * prod(shape) * self._page.dtype.itemsize, self._source, shape=shape)
        if self._is_flat(frame):
            array = self._flat(frame, rows, columns)
        else:
            guard_memory(self._nbytes, self._source, shape=self._size)
            array = np.full((*shape, self.samples), self._page.nodata, self._page.dtype)
            for plane, y, x in self._touched(rows, columns):
                self._paste(array, frame, (plane, y, x), (rows.start, columns.start))
        return array if "S" in self._page.axes else array[..., 0]

    def _is_flat(self, frame: Any) -> bool:
        """Whether the pixels lie in the file one after the other, as they are."""
        page, offsets, lengths = self._page, frame.dataoffsets, frame.databytecounts
        plain = page.compression == 1 and page.predictor == 1 and page.fillorder == 1 and not page.is_subsampled
        if not plain or page.is_tiled or page.bitspersample not in (8, 16, 32, 64) or not len(offsets):
            return False
        if len(offsets) == 1 and frame.is_virtual:
            return True
        pairs = zip(offsets, lengths, offsets[1:], strict=False)
        whole = sum(lengths) >= self.height * self.width * self.samples * page.dtype.itemsize
        return whole and all(offset + length == following for offset, length, following in pairs)

    def _flat(self, frame: Any, rows: slice, columns: slice) -> Array:
        dtype = np.dtype(self._page.parent.byteorder + self._page.dtype.char)
        shape = (self._planes, self.height, self.width, self._inner)
        region = (slice(0, self._planes), rows, columns, slice(0, self._inner))
        with self._lock:
            array = read_flat(self._stream, int(frame.dataoffsets[0]), shape, dtype, region=region, source=self._source)
        array = array.astype(dtype.newbyteorder("="), copy=False)
        return np.moveaxis(array[..., 0], 0, -1) if self._planes > 1 else array[0]

    def _touched(self, rows: slice, columns: slice) -> Iterator[tuple[int, int, int]]:
        """The tiles that a region touches: plane, row and column of each."""
        height, width = self._size
        for plane in range(self._planes):
            for y in range(rows.start // height, -(-rows.stop // height)):
                for x in range(columns.start // width, -(-columns.stop // width)):
                    yield plane, y, x

    def _paste(self, array: Array, frame: Any, tile: tuple[int, int, int], corner: tuple[int, int]) -> None:
        """Put the part of a tile that lies in a region where it belongs; `corner` is the region's."""
        plane, y, x = tile
        index = (plane * self._down + y) * self._across + x
        if index >= len(frame.dataoffsets) or index >= len(frame.databytecounts):
            raise self._damaged(f"tile {index + 1} of {self._planes * self._down * self._across} is not there")
        offset, length = int(frame.dataoffsets[index]), int(frame.databytecounts[index])
        if not length:
            return  # what is left out has the value that stands for nothing
        data = self._decoded(frame, index, offset)
        at = y * self._size[0] - corner[0], x * self._size[1] - corner[1]
        height, width = (min(n, side - k) for n, side, k in zip(data.shape, array.shape, at, strict=False))
        top, left = max(0, -at[0]), max(0, -at[1])
        samples = slice(plane, plane + 1) if self._planes > 1 else slice(None)
        array[at[0] + top : at[0] + height, at[1] + left : at[1] + width, samples] = data[top:height, left:width]

    def _decoded(self, frame: Any, index: int, offset: int) -> Array:
        """A tile or strip, decoded now or before."""
        found = self._recent.get((offset, index))  # threads at worst decode one twice
        if found is None:
            found = self._decode(frame, index, offset)
        self._recent[offset, index] = found
        with suppress(KeyError):
            self._recent.move_to_end((offset, index))
            while len(self._recent) > self._capacity:
                self._recent.popitem(last=False)
        return found

    def _decode(self, frame: Any, index: int, offset: int) -> Array:
        """(Y, X, S) of a tile or strip, without what of it lies beyond the page."""
        length = int(frame.databytecounts[index])
        with self._lock:
            end = self._stream.seek(0, 2)
            if offset + length > end:
                raise ReadError(
                    f"this TIFF is truncated: it ends after {end:,} bytes, its data reach to {offset + length:,}",
                    where=self._source,
                    hint="Copy or download the file again.",
                )
            self._stream.seek(offset)
            data = self._stream.read(length)
        more = {}
        if self._page.compression in JPEGS:
            more = {"jpegtables": frame.jpegtables, "jpegheader": self._page.jpegheader}
        decoded, _, shape = self._page.decode(data, index, **more)
        if decoded is None or decoded.shape != shape or shape[0] != 1:
            raise self._damaged("a tile is not of the size that it announces")
        return np.asarray(decoded[0])

    def _damaged(self, what: str) -> ReadError:
        return ReadError(f"this TIFF is damaged: {what}", where=self._source, hint="Copy or download the file again.")


def can_be_parted(page: Any) -> bool:
    """Whether pages are rows and columns with samples, in tiles or strips.

    Parameters
    ----------
    page
        tifffile's key frame of a series.

    Returns
    -------
    bool
        False for pages that have a depth of their own.
    """
    return page.imagedepth == 1 and page.axes in ("YX", "YXS", "SYX") and len(page.dataoffsets) > 0


def is_level(whole: Any, level: Any, before: Any) -> bool:
    """Whether a series is a smaller copy of another one: alike in all but rows and columns, which shrink together.

    Parameters
    ----------
    whole
        tifffile's series at full resolution.
    level
        The series that follows it in a pyramid.
    before
        The last one that was a level, or the whole.

    Returns
    -------
    bool
        True for a level.
    """
    if level.axes != whole.axes or level.dtype != whole.dtype or "Y" not in whole.axes or "X" not in whole.axes:
        return False
    y, x = whole.axes.index("Y"), whole.axes.index("X")
    others = [axis for axis in range(len(whole.axes)) if axis not in (y, x)]
    if any(level.shape[axis] != whole.shape[axis] for axis in others) or 0 in level.shape:
        return False
    if level.keyframe.photometric != whole.keyframe.photometric and level.keyframe.compression not in JPEGS:
        return False
    if not (level.shape[y] <= before.shape[y] and level.shape[x] <= before.shape[x] and level.shape != before.shape):
        return False
    scale = max(whole.shape[y] / level.shape[y], whole.shape[x] / level.shape[x])
    return all(abs(level.shape[axis] - whole.shape[axis] / scale) <= ROUNDED for axis in (y, x))
