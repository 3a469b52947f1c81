"""Objects that a marker shows and no segmentation: what lies around them is not annotated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ulna.image import Array


def unsegmented(objects: Array, markers: Array) -> list[int]:
    """The numbers of the markers that lie in no object: at most half of their pixels do.

    That is how the Cell Tracking Challenge matches markers.

    Parameters
    ----------
    objects, markers
        (*spatial) whole numbers, 0 beside them.

    Returns
    -------
    list of int
        In their order.

    Examples
    --------
    >>> unsegmented(np.array([1, 1, 0, 0, 0]), np.array([7, 0, 0, 8, 0]))
    [8]
    """
    numbers, places = np.unique(markers, return_inverse=True)
    pixels = np.bincount(places.ravel())
    within = np.bincount(places.ravel(), (objects != 0).ravel())
    return [int(n) for n, all_, of_it in zip(numbers, pixels, within, strict=True) if n and 2 * of_it <= all_]


def not_annotated(objects: Array, markers: Array) -> npt.NDArray[np.bool_]:
    """The pixels around markers without an object, as far from them as objects reach from their own markers.

    Parameters
    ----------
    objects, markers
        (*spatial) whole numbers, 0 beside them.

    Returns
    -------
    ndarray of bool
        (*spatial). Where no object has a marker, nothing is known of how far objects reach: all but the objects.

    Examples
    --------
    >>> not_annotated(np.array([1, 1, 0, 0, 0, 0, 0]), np.array([7, 0, 0, 0, 8, 0, 0])).astype(int)
    array([0, 0, 0, 1, 1, 1, 0])
    """
    missing = unsegmented(objects, markers)
    if not missing:
        return np.zeros(objects.shape, np.bool_)
    reach = _reach(objects, np.where(np.isin(markers, missing), 0, markers))
    if reach is None:
        return np.asarray(objects == 0)
    near = ndimage.distance_transform_edt(~np.isin(markers, missing)) <= reach
    return np.asarray(near & (objects == 0))


def _reach(objects: Array, markers: Array) -> float | None:
    """The largest distance of a pixel from the marker in its object; None where no object has a marker."""
    _, numbers = np.unique(objects, return_inverse=True)  # from 0, without gaps
    numbers = numbers.reshape(objects.shape) + (1 if objects.all() else 0)
    reach = None
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        own = numbers[box] == number
        marked = own & (markers[box] != 0)
        if marked.any():
            reach = max(reach or 0.0, float(ndimage.distance_transform_edt(~marked)[own].max()))
    return reach
