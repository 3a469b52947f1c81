"""Which part of an image validation looks at on the way: all of it, or of a huge one the part around its foreground."""

from __future__ import annotations

from math import prod

import numpy as np

from ulna.image import Array, Region, is_foreground

MOST = 1 << 27
"""So many values a network may say of an image while it is validated: half a GiB, in a few copies."""


def validated(shape: tuple[int, ...], outputs: int) -> tuple[int, ...]:
    """The sides of the part that is looked at.

    Parameters
    ----------
    shape
        (*spatial) of the image.
    outputs
        Of the network.

    Returns
    -------
    tuple of int
        Those of the image, or the longest ones shortened.

    Examples
    --------
    >>> validated((300, 512, 512), 2), validated((300, 512, 512), 14)
    ((300, 472, 472), (212, 212, 212))
    """
    most = MOST // outputs
    if prod(shape) <= most:
        return shape
    low, high = 1, max(shape)  # the side that none may exceed
    while low < high:
        side = (low + high + 1) // 2
        low, high = (side, high) if prod(min(side, one) for one in shape) <= most else (low, side - 1)
    return tuple(min(low, one) for one in shape)


def part(truth: Array, outputs: int) -> Region:
    """The part of an image that is looked at.

    Parameters
    ----------
    truth
        (L, *spatial) labels.
    outputs
        Of the network.

    Returns
    -------
    Region
        Around the middle of the foreground or, where there is none, of the image.
    """
    shape, region = truth.shape[1:], list[slice]()
    sides = validated(shape, outputs)
    if sides == shape:
        return tuple(slice(0, side) for side in shape)
    inside = is_foreground(truth[0])
    for axis, (side, whole) in enumerate(zip(sides, shape, strict=True)):
        others = tuple(one for one in range(len(shape)) if one != axis)
        there = np.flatnonzero(inside.any(axis=others))
        middle = int(there[0] + there[-1] + 1) // 2 if len(there) else whole // 2
        start = min(max(middle - side // 2, 0), whole - side)
        region.append(slice(start, start + side))
    return tuple(region)
