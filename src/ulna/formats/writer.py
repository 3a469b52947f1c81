"""`Writer`: a file that is written region by region, and appears whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Self

import numpy as np

from ulna.errors import UlnaError
from ulna.formats.atomic import atomic_write
from ulna.image import Array, Channel, Grid, Image, Region

Allocate = Callable[[Path, tuple[int, ...], np.dtype, tuple[Channel, ...]], Array]
"""From a file's path and its image's shape (C, *spatial), type and channels to an array of this shape."""


def in_memory(_path: Path, shape: tuple[int, ...], dtype: np.dtype, _channels: tuple[Channel, ...]) -> Array:
    """An array in memory."""
    return np.zeros(shape, dtype)


class Writer:
    """A file that is written region by region, and appears whole or not at all when the writer is closed.

    Until then the image of a TIFF lies in a nameless file on the same disk; that of a PNG, whose rows can only be
    compressed one after the other, lies in memory.

    Parameters
    ----------
    path
        Where the file appears.
    grid
        Where the pixels of the image lie.
    dtype
        The type of the samples.
    channels
        The channels of the image.
    save
        Writes the whole image to a path.
    allocate
        Gives the array that holds the image until it is whole.
    """

    def __init__(
        self,
        path: Path,
        grid: Grid,
        *,
        dtype: np.dtype,
        channels: tuple[Channel, ...],
        save: Callable[[Path, Image], None],
        allocate: Allocate = in_memory,
    ) -> None:
        self.path = path
        self._image = Image(allocate(path, (len(channels), *grid.shape), np.dtype(dtype), channels), grid, channels)
        self._written: list[Region] = []
        self._save = save

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
        whole = self._image.array
        region = region or tuple(slice(0, n) for n in self._image.shape)
        shape = (len(whole), *self._image.grid.crop(region).shape)
        if array.shape != shape:
            raise UlnaError(f"an array of {array.shape} does not fill a region of {shape}", where=self.path)
        if not np.can_cast(array.dtype, whole.dtype):
            raise UlnaError(f"numbers of the type {array.dtype} do not fit into {whole.dtype}", where=self.path)
        whole[(slice(None), *region)] = array
        self._written.append(tuple(slice(*part.indices(n)) for part, n in zip(region, self._image.shape, strict=True)))

    def close(self) -> None:
        """Write the file.

        Raises
        ------
        UlnaError
            If a part of the image was never written, and where the file cannot be written.
        """
        missing = uncovered(self._image.shape, self._written)
        if missing:
            size = int(np.prod(self._image.shape, dtype=np.int64))
            raise UlnaError(f"{missing:,} of {size:,} pixels were not written", where=self.path)
        with atomic_write(self.path) as beside:
            self._save(beside, self._image)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()


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
