"""Images that are written in tiles: regions become whole tiles, and tiles a pyramid of smaller images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np

from ulna.errors import UlnaError
from ulna.formats.writer import uncovered
from ulna.image import Array, Region

Index = tuple[int, ...]
"""Which tile: its number along each spatial axis."""


def level_shapes(shape: tuple[int, ...], side: int) -> tuple[tuple[int, ...], ...]:
    """The sizes of a pyramid: rows and columns are halved until one tile holds them, planes are not.

    Parameters
    ----------
    shape
        (Y, X) or (Z, Y, X) of the image.
    side
        Of a tile.

    Returns
    -------
    tuple of tuple of int
        The first one is `shape`.

    Examples
    --------
    >>> level_shapes((3, 1000, 701), 256)
    ((3, 1000, 701), (3, 500, 351), (3, 250, 176))
    """
    shapes = [shape]
    while max(shapes[-1][-2:]) > side:
        *outer, height, width = shapes[-1]
        shapes.append((*outer, -(-height // 2), -(-width // 2)))
    return tuple(shapes)


def halved(array: Array, *, labels: bool) -> Array:
    """An image of half as many rows and columns, rounded up.

    Parameters
    ----------
    array
        (…, Y, X).
    labels
        Whether the values are numbers of classes or objects: then each pixel has the value that most of its four have,
        the first one of several. Else it is their mean, rounded for whole numbers.

    Returns
    -------
    Array
        Of the same type. A last row or column that is left over counts as if it were there twice.

    Examples
    --------
    >>> halved(np.array([[1, 1, 7], [2, 2, 7]], np.uint8), labels=False).tolist()
    [[2, 7]]
    >>> halved(np.array([[1, 9, 7], [9, 2, 7]], np.uint8), labels=True).tolist()
    [[9, 7]]
    """
    odd = [(0, side % 2) for side in array.shape[-2:]]
    even = np.pad(array, [(0, 0)] * (array.ndim - 2) + odd, mode="edge") if any(map(any, odd)) else array
    four = np.stack([even[..., row::2, column::2] for row in (0, 1) for column in (0, 1)])
    if labels:
        votes = np.stack([(four == one).sum(0, np.uint8) for one in four])
        return np.asarray(np.take_along_axis(four, votes.argmax(0)[None], 0)[0])
    if array.dtype.kind == "f":
        return np.asarray(four.mean(0, np.promote_types(array.dtype, np.float32)), array.dtype)
    total = four.sum(0, np.uint64 if array.dtype.kind in "bu" else np.int64)
    return np.asarray((total + total.dtype.type(2)) // total.dtype.type(4), array.dtype)


def doubled(region: Region, shape: tuple[int, ...]) -> Region:
    """The region of an image that becomes a region of the one of half its rows and columns.

    Parameters
    ----------
    region
        Of the smaller image.
    shape
        Of the larger one.

    Returns
    -------
    Region
        In pixels of the larger one.

    Examples
    --------
    >>> doubled((slice(0, 3), slice(1, 2)), (5, 9))
    (slice(0, 5, None), slice(2, 4, None))
    """
    *outer, rows, columns = region
    *_, height, width = shape
    return (
        *outer,
        *(slice(2 * part.start, min(2 * part.stop, side)) for part, side in ((rows, height), (columns, width))),
    )


def tile_region(index: Index, tile: tuple[int, ...], shape: tuple[int, ...]) -> Region:
    """The part of an image that a tile holds, which is smaller at its far borders.

    Parameters
    ----------
    index
        Which tile.
    tile
        The size of tiles.
    shape
        Of the image.

    Returns
    -------
    Region
        One slice per spatial axis.

    Examples
    --------
    >>> tile_region((0, 1), (4, 4), (3, 7))
    (slice(0, 3, None), slice(4, 7, None))
    """
    return tuple(slice(k * n, min((k + 1) * n, side)) for k, n, side in zip(index, tile, shape, strict=True))


def touched(region: Region, tile: tuple[int, ...]) -> Iterator[Index]:
    """The tiles that a region touches, in the order of rows.

    Parameters
    ----------
    region
        One slice per spatial axis.
    tile
        The size of tiles.

    Returns
    -------
    iterator of tuple of int
        Their numbers along each axis.

    Examples
    --------
    >>> list(touched((slice(3, 5), slice(0, 4)), (4, 4)))
    [(0, 0), (1, 0)]
    """
    return product(*(range(part.start // n, -(-part.stop // n)) for part, n in zip(region, tile, strict=True)))


class Assembler:
    """Puts regions together to whole tiles, in whatever order they come; only tiles that are not whole are in memory.

    Parameters
    ----------
    path
        What errors name.
    shape
        (C, *spatial) of the image.
    tile
        The size of tiles along the spatial axes.
    dtype
        Of the samples.
    emit
        Takes a tile when it is whole: its index, and (C, *tile), smaller at the far borders of the image.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        tile: tuple[int, ...],
        dtype: np.dtype,
        *,
        emit: Callable[[Index, Array], None],
    ) -> None:
        self._path, self._channels, self._shape = path, shape[0], shape[1:]
        self._tile, self._dtype, self._emit = tile, dtype, emit
        self._open: dict[Index, tuple[Array, list[Region]]] = {}
        self._emitted: set[Index] = set()

    def put(self, region: Region, array: Array) -> None:
        """Take a region; tiles that are whole now are given on.

        Parameters
        ----------
        region
            One slice per spatial axis.
        array
            (C, *region).

        Raises
        ------
        UlnaError
            For pixels of a tile that was given on in this process: it may be packed, and stays as it is.
        """
        for index in touched(region, self._tile):
            if index in self._emitted:
                raise UlnaError("pixels are written twice, which a file in tiles does not allow", where=self._path)
            whole = tile_region(index, self._tile, self._shape)
            both = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(whole, region, strict=True)]
            part = tuple(slice(a.start - r.start, a.stop - r.start) for a, r in zip(both, region, strict=True))
            if tuple(both) == whole:
                self._give(index, array[(slice(None), *part)])
                continue
            sides = [one.stop - one.start for one in whole]
            if index not in self._open:
                self._open[index] = np.zeros((self._channels, *sides), self._dtype), []
            pixels, places = self._open[index]
            own = tuple(slice(a.start - w.start, a.stop - w.start) for a, w in zip(both, whole, strict=True))
            pixels[(slice(None), *own)] = array[(slice(None), *part)]
            places.append(own)
            if not uncovered(tuple(sides), places):
                self._give(index, pixels)

    def _give(self, index: Index, pixels: Array) -> None:
        self._open.pop(index, None)
        self._emit(index, pixels)
        self._emitted.add(index)
