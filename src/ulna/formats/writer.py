"""`Writer`: a file that is written region by region, and appears whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import IO, Protocol, Self

import numpy as np

from ulna.errors import UlnaError
from ulna.formats.atomic import atomic_write, cannot_write
from ulna.image import Array, Channel, Grid, Image, Region

CHUNK = 1 << 20

Allocate = Callable[[Path, tuple[int, ...], np.dtype, tuple[Channel, ...]], Array]
"""From a file's path and its image's shape (C, *spatial), type and channels to an array of this shape."""


@dataclass(frozen=True)
class New:
    """A new image, before any of its pixels is known.

    Parameters
    ----------
    path
        Where it appears.
    grid
        Where its pixels lie.
    dtype
        The type of its samples.
    channels
        Its channels.
    labels
        Whether its values are numbers of classes or objects, between which nothing lies: a pyramid of them holds no
        means.
    version
        Of a format that has several, "" for the usual one.
    """

    path: Path
    grid: Grid
    dtype: np.dtype
    channels: tuple[Channel, ...]
    labels: bool = False
    version: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *spatial)."""
        return (len(self.channels), *self.grid.shape)

    @property
    def nbytes(self) -> int:
        """How much memory the whole image would take."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


class Sink(Protocol):
    """Where the pixels of a new image go until it is whole."""

    def put(self, region: Region, array: Array) -> None:
        """Take the pixels (C, *region) of a region."""

    def finish(self) -> None:
        """Let the file appear; all pixels are there."""

    def discard(self) -> None:
        """Remove what is there, for the file will not become whole in this process."""


def in_memory(_path: Path, shape: tuple[int, ...], dtype: np.dtype, _channels: tuple[Channel, ...]) -> Array:
    """An array in memory."""
    return np.zeros(shape, dtype)


def on_disk(path: Path, shape: tuple[int, ...], dtype: np.dtype, _channels: tuple[Channel, ...]) -> Array:
    """An array in a nameless file beside `path`. Raises WriteError where the disk does not hold it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as file:
            _reserve(file, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        raise cannot_write(error, path) from error


def _reserve(file: IO[bytes], size: int) -> None:
    """Zeros that are really there: to write into a mapped file on a full disk ends the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, CHUNK):
        file.write(bytes(min(CHUNK, size - start)))
    file.flush()


class ArraySink:
    """A new image as one array, which a function writes when it is whole.

    Parameters
    ----------
    new
        The image.
    save
        Writes it to a path.
    allocate
        Gives the array: in memory, or in a nameless file.
    """

    def __init__(self, new: New, save: Callable[[Path, Image], None], allocate: Allocate = in_memory) -> None:
        self._path, self._save = new.path, save
        self._image = Image(allocate(new.path, new.shape, new.dtype, new.channels), new.grid, new.channels)

    def put(self, region: Region, array: Array) -> None:
        """Set the pixels of a region."""
        self._image.array[(slice(None), *region)] = array

    def finish(self) -> None:
        """Write the file."""
        with atomic_write(self._path) as beside:
            self._save(beside, self._image)

    def discard(self) -> None:
        """Nothing is on the disk that has a name."""


class Writer:
    """A file that is written region by region, and appears whole or not at all when the writer is closed.

    Until then the image of a small TIFF, a NIfTI or an NRRD lies in a nameless file on the same disk, the tiles of a
    large TIFF lie packed in such a file, and the chunks of an OME-Zarr in a hidden folder; a PNG, whose rows can only
    be compressed one after the other, lies in memory, and so does a MetaImage.

    Parameters
    ----------
    new
        The image.
    sink
        Where its pixels go.
    """

    def __init__(self, new: New, sink: Sink) -> None:
        self.path = new.path
        self._new, self._sink = new, sink
        self._written: list[Region] = []

    def write(self, region: Region | None, array: Array) -> None:
        """Set the pixels of a region.

        Parameters
        ----------
        region
            One slice per spatial axis; None is the whole image.
        array
            (C, *spatial) of that region.

        Raises
        ------
        UlnaError
            For an array of another shape or type.
        """
        whole, dtype = self._new.grid.shape, self._new.dtype
        region = region or tuple(slice(0, n) for n in whole)
        shape = (len(self._new.channels), *self._new.grid.crop(region).shape)
        if array.shape != shape:
            raise UlnaError(f"an array of {array.shape} does not fill a region of {shape}", where=self.path)
        if not np.can_cast(array.dtype, dtype):
            raise UlnaError(f"numbers of the type {array.dtype} do not fit into {dtype}", where=self.path)
        region = _exact(region, whole)
        self._sink.put(region, array.astype(dtype, copy=False))
        self._written.append(region)

    def close(self) -> None:
        """Write the file.

        Raises
        ------
        UlnaError
            If a part of the image was never written, and where the file cannot be written.
        """
        shape = self._new.grid.shape
        missing = uncovered(shape, self._written)
        if missing:
            size = int(np.prod(shape, dtype=np.int64))
            self._sink.discard()
            raise UlnaError(f"{missing:,} of {size:,} pixels were not written", where=self.path)
        self._sink.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._sink.discard()


def _exact(region: Region, shape: tuple[int, ...]) -> Region:
    """A region with start and stop on every axis."""
    return tuple(slice(*part.indices(n)[:2]) for part, n in zip(region, shape, strict=True))


def uncovered(shape: tuple[int, ...], regions: list[Region]) -> int:
    """How many pixels lie in none of these regions, without a mark per pixel.

    Examples
    --------
    >>> uncovered((4, 5), [(slice(0, 4), slice(0, 3)), (slice(1, 4), slice(2, 5))])
    2
    """
    cuts = [
        np.unique([0, n, *(edge for region in regions for edge in (region[axis].start, region[axis].stop))])
        for axis, n in enumerate(shape)
    ]
    covered = np.zeros([len(places) - 1 for places in cuts], np.bool_)
    for region in regions:
        cells = [np.searchsorted(places, (part.start, part.stop)) for places, part in zip(cuts, region, strict=True)]
        covered[tuple(slice(first, last) for first, last in cells)] = True
    pixels = reduce(np.multiply.outer, [np.diff(places) for places in cuts])
    return int(pixels[~covered].sum())
