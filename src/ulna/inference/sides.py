"""The sides of blended tiles: as few pixels to compute as the memory allows."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

from ulna.inference.axes import blended_windows, window_starts
from ulna.networks.geometry import AxisGeometry, Geometry

LEAST = 64
"""The smallest side of a blended tile where nothing says what the network was trained on."""

SLACK = 1.1
"""Blended tiles may take so many times the least work, where that makes them flatter: what is held of the outputs is as
deep as a tile."""


@dataclass(frozen=True)
class Room:
    """What a blended tile may take.

    Parameters
    ----------
    pixels
        So many the input of the network may have.
    least
        So small its sides may be: those of the patches that it was trained on. Empty: `LEAST`.
    """

    pixels: int
    least: tuple[int, ...] = ()


@functools.lru_cache(256)
def least_work(shape: tuple[int, ...], geometry: Geometry, margin: int, overlap: float, room: Room) -> tuple[int, ...]:
    """The sides of blended tiles with which the network computes the fewest pixels, and of these the flattest.

    Cubic tiles would reach beyond a volume that is no multiple of them, and overlap by more than they need to.

    Parameters
    ----------
    shape
        The spatial shape of the image.
    geometry
        Of the network.
    margin
        The mirrored border around the whole image for networks with same padding, pixels.
    overlap
        By which share of their side neighboring tiles overlap.
    room
        What a tile may take.

    Returns
    -------
    tuple of int
        The largest side of a network input along each axis, for windows of `room.least` or more; where these do not
        fit, of `LEAST` or more, and where these do not either, of any size.

    Examples
    --------
    >>> volume = Geometry((AxisGeometry(8, 40),) * 3)
    >>> least_work((192, 160, 160), volume, 0, 0.25, Room(1_000_000))
    (80, 64, 160)
    """
    smallest, strides = (LEAST,) * len(shape), tuple(axis.stride for axis in geometry.axes)
    for least in (room.least or smallest, smallest, strides):
        axes = zip(shape, geometry.axes, least, strict=True)
        choices = [_by_count(length, axis, margin, overlap, least=side) for length, axis, side in axes]
        found = itertools.product(*choices)
        possible = [one for one in found if math.prod(side.size for side in one) <= room.pixels]
        if possible:
            break
    else:
        possible = [tuple(one[0] for one in choices)]
    work = [math.prod(side.size * side.count for side in one) for one in possible]
    good = [one for one, pixels in zip(possible, work, strict=True) if pixels <= SLACK * min(work)]
    whole = [one for one in good if all(side.count == 1 for side in one)]
    best = min(whole or good, key=lambda one: (one[0].size, math.prod(side.size for side in one)))
    return tuple(side.size for side in best)


@dataclass(frozen=True)
class _Count:
    """So many blended tiles along an axis, and the smallest size of a window for which there are no more."""

    count: int
    size: int


def _by_count(length: int, axis: AxisGeometry, margin: int, overlap: float, *, least: int) -> list[_Count]:
    """For each number of blended tiles along an axis the smallest of them, from `least` on; the smallest first."""
    found: dict[int, _Count] = {}
    tile = least + axis.stride - 1  # a window is as large as the stride allows, and not smaller than `least`
    while 1 not in found:
        whole, size, step = blended_windows(length, axis, tile=tile, margin=margin, overlap=overlap)
        count = len(window_starts(whole, size, step, axis)) if step else 1
        found.setdefault(count, _Count(count, size))
        tile += axis.stride
    return list(found.values())
