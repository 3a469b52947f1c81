"""Numbers of objects: without gaps, so that tables by number are as short as there are objects; and in volumes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt


def consecutive(numbers: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """Number objects from 1 without gaps, in their order.

    Parameters
    ----------
    numbers : ndarray of int or bool
        Numbers of objects, 0 the background, of any shape.

    Returns
    -------
    numbers : ndarray of int
        (K,), those that are there, in rising order.
    objects : ndarray of int32
        Of the same shape as before: k + 1 where the k-th number was.

    Raises
    ------
    ValueError
        For negative numbers.

    Examples
    --------
    >>> numbers, objects = consecutive(np.array([[0, 7, 7], [2, 0, 9]]))
    >>> numbers.tolist(), objects.tolist()
    ([2, 7, 9], [[0, 2, 2], [1, 0, 3]])
    """
    flat = numbers.ravel()
    if flat.size and int(flat.min()) < 0:
        raise ValueError("numbers of objects are not negative")
    if int(flat.max(initial=0)) > 4 * flat.size + 1000:  # a table of all numbers would be longer than the array
        found, places = np.unique(flat, return_inverse=True)
        objects, found = places + (found[0] > 0), found[found > 0]
    else:
        there = np.bincount(flat.astype(np.int64), minlength=1) > 0
        there[0] = False
        objects, found = np.where(there, np.cumsum(there), 0)[flat.astype(np.int64)], np.flatnonzero(there)
    return found, objects.reshape(numbers.shape).astype(np.int32)


def first_places(objects: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Where the first pixel of each object lies, in the order of rows.

    Parameters
    ----------
    objects
        Numbers of objects, 0 the background.

    Returns
    -------
    ndarray of int
        For each number from 0 to the highest its place in the flattened array; 0 of those that are not there.

    Examples
    --------
    >>> first_places(np.array([[0, 2, 2], [1, 0, 2]])).tolist()
    [0, 3, 1]
    """
    flat = objects.ravel()
    places = np.flatnonzero(flat)
    first = np.zeros(int(flat.max(initial=0)) + 1, np.intp)
    first[flat[places][::-1]] = places[::-1]  # of places with one number the last one stays
    return first


def go_on(objects: npt.NDArray[Any]) -> bool:
    """Whether objects (Z, Y, X) go on from plane to plane: then they are those of a volume, else of single pages.

    A number that is on two planes in a row is mostly one object where it lies in the same place.
    """
    on_both = in_place = 0
    for plane, after in pairwise(objects):
        on_both += len(np.intersect1d(plane[plane > 0], after[after > 0]))
        in_place += len(np.unique(plane[(plane == after) & (plane > 0)]))
    return 2 * in_place > on_both


def planes_of(objects: npt.NDArray[Any] | None) -> int | None:
    """The axis along which the objects of a volume are those of single planes, if they are.

    None for those that go on, where there are none, and for images.
    """
    return apart_along(objects) if objects is not None and objects.ndim == 3 and objects.any() else None


def apart_along(objects: npt.NDArray[Any]) -> int | None:
    """The axis along which objects (Z, Y, X) do not go on: that of the slices that they were found in, each by itself.

    Examples
    --------
    >>> apart_along(np.array([[[1, 2], [1, 2]], [[1, 2], [1, 2]]]))
    2
    """
    return next((axis for axis in range(objects.ndim) if not go_on(np.moveaxis(objects, axis, 0))), None)
