"""Windows of an image: parts of any place and size, mirrored where they lead out of it."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import numpy.typing as npt

from ulna.image import Array, Region


def mirrored(start: int, length: int, size: int) -> npt.NDArray[np.intp]:
    """Indices start … start + length - 1 into an axis of `size`, mirrored at both ends as often as needed.

    The edge itself is not repeated, as in `numpy.pad(mode="reflect")`.

    Parameters
    ----------
    start
        The first index, negative or beyond the end where it is mirrored.
    length
        How many indices.
    size
        The length of the axis.

    Returns
    -------
    ndarray of int
        Indices from 0 to `size` - 1.

    Examples
    --------
    >>> mirrored(-2, 6, 3).tolist()
    [2, 1, 0, 1, 2, 1]
    """
    period = max(2 * size - 2, 1)
    index = np.abs(np.arange(start, start + length)) % period
    return np.minimum(index, period - index) if size > 1 else np.zeros(length, np.intp)


def window(array: Array, start: tuple[int, ...], size: tuple[int, ...]) -> Array:
    """Cut a window out of an array, mirrored where it leaves the array.

    Parameters
    ----------
    array
        (C, *spatial).
    start
        Where it begins, per spatial axis; may be negative.
    size
        Its size, per spatial axis.

    Returns
    -------
    Array
        (C, *size), a copy.
    """
    inside = all(s >= 0 and s + n <= m for s, n, m in zip(start, size, array.shape[1:], strict=True))
    if inside:
        return np.array(array[(slice(None), *(slice(s, s + n) for s, n in zip(start, size, strict=True)))])
    axes = [mirrored(s, n, m) for s, n, m in zip(start, size, array.shape[1:], strict=True)]
    return np.asarray(array[np.ix_(np.arange(array.shape[0]), *axes)])


def read_window(
    read: Callable[[Region], Array], shape: tuple[int, ...], start: tuple[int, ...], size: tuple[int, ...]
) -> Array:
    """As `window`, of an image that is read region by region.

    Parameters
    ----------
    read
        From a region to its pixels (C, *spatial).
    shape
        The spatial shape of the image.
    start
        Where the window begins; it may lie outside.
    size
        Of the window.

    Returns
    -------
    Array
        (C, *size).
    """
    axes = [mirrored(s, n, m) for s, n, m in zip(start, size, shape, strict=True)]
    first = [int(places.min()) for places in axes]
    array = read(tuple(slice(low, int(places.max()) + 1) for low, places in zip(first, axes, strict=True)))
    if list(start) == first and array.shape[1:] == size:
        return array
    local = [places - low for low, places in zip(first, axes, strict=True)]
    return np.asarray(array[np.ix_(np.arange(len(array)), *local)])


def bands(shape: tuple[int, ...], values: int) -> list[Region]:
    """Regions that together are the image, each so many rows or planes as hold about `values` pixels.

    Examples
    --------
    >>> [rows for rows, columns in bands((5, 10), 20)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, values // prod(shape[1:]))
    rest = tuple(slice(0, n) for n in shape[1:])
    return [(slice(start, min(start + step, shape[0])), *rest) for start in range(0, shape[0], step)]
