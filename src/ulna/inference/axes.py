"""The tiles along one axis of an image: where their windows start, what of their outputs goes where.

`ulna.inference.tiles` combines those of all axes, and says what the two strategies are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ulna.networks.geometry import AxisGeometry

SHARPNESS = 8
"""The side of a tile in standard deviations of its Gaussian weights."""


@dataclass(frozen=True)
class Part:
    """A tile along one axis: the fields of `Tile`."""

    start: int
    source: slice
    target: slice
    weights: npt.NDArray[np.float32] | None = None


AxisTiles = tuple[int, list[Part]]  # the size of the input windows, and the tiles


def least_tile(axis: AxisGeometry) -> int:
    """The smallest `tile` that keeps anything of a window when its halo is thrown away.

    Parameters
    ----------
    axis
        Of the network, along one axis.

    Returns
    -------
    int
        Pixels.
    """
    return _fit(2 * (_halo(axis) + axis.shrink) + axis.stride, axis)


def _halo(axis: AxisGeometry) -> int:
    """What is thrown away on each side: valid convolutions lose by themselves most of what they cannot know."""
    return _up(axis.clamped if axis.shrink else axis.halo, axis.stride)


def exact_axis(length: int, axis: AxisGeometry, *, tile: int, margin: int) -> AxisTiles | None:
    """The exact tiles of an axis.

    Parameters
    ----------
    length
        Of the image, pixels.
    axis
        Of the network, along this axis.
    tile
        The largest side of a network input, pixels.
    margin
        The mirrored border around the image for networks with same padding, pixels.

    Returns
    -------
    AxisTiles or None
        None where a tile holds less than the receptive field.
    """
    shrink = axis.shrink
    lead = shrink or margin  # the image begins so many pixels after the first window does
    whole = _fit(length + 2 * lead, axis)
    if whole <= tile:
        return whole, [_whole(length, shrink, lead)]
    halo = _halo(axis)
    size = _fit(tile + 1 - axis.stride, axis)
    step = (size - 2 * shrink - 2 * halo) // axis.stride * axis.stride
    if step <= 0:
        return None
    parts: list[Part] = []
    done = lead  # kept so far, in positions of the mirrored image: the image itself is lead … lead + length
    for start, at_end in window_starts(whole, size, step, axis):
        end = lead + length if at_end else min(start + size - shrink - halo, lead + length)
        if end <= done:  # a window that keeps nothing but what the image is mirrored into
            continue
        source, target = slice(done - start - shrink, end - start - shrink), slice(done - lead, end - lead)
        parts.append(Part(start - lead, source, target))
        done = end
        if done == lead + length:
            break
    return size, parts


def blended_windows(length: int, axis: AxisGeometry, *, tile: int, margin: int, overlap: float) -> tuple[int, int, int]:
    """How large the windows of blended tiles are along an axis, and how far apart they start.

    Parameters
    ----------
    length
        Of the image, pixels.
    axis
        Of the network, along this axis.
    tile
        The largest side of a network input, pixels.
    margin
        The mirrored border around the image for networks with same padding, pixels.
    overlap
        By which share of their side neighboring tiles overlap.

    Returns
    -------
    tuple of int
        The size of the mirrored image, that of a window, and the step between windows, 0 where one window holds the
        mirrored image.
    """
    whole = _fit(length + 2 * (axis.shrink or margin), axis)
    size = _fit(max(tile + 1 - axis.stride, 2 * axis.shrink + 2 * axis.stride), axis)
    if whole <= max(tile, size):
        return whole, whole, 0
    kept = size - 2 * axis.shrink
    return whole, size, max(int(kept * (1 - overlap)) // axis.stride, 1) * axis.stride


def blended_axis(length: int, axis: AxisGeometry, *, tile: int, margin: int, overlap: float) -> AxisTiles:
    """The blended tiles of an axis.

    Parameters
    ----------
    length
        Of the image, pixels.
    axis
        Of the network, along this axis.
    tile
        The largest side of a network input, pixels.
    margin
        The mirrored border around the image for networks with same padding, pixels.
    overlap
        By which share of their side neighboring tiles overlap.

    Returns
    -------
    AxisTiles
        The weights that reach a pixel add up to 1.
    """
    shrink = axis.shrink
    lead = shrink or margin
    whole, size, step = blended_windows(length, axis, tile=tile, margin=margin, overlap=overlap)
    if not step:
        return whole, [_whole(length, shrink, lead)]
    kept = size - 2 * shrink  # of the output, and it begins `shrink` after the input
    offsets = (np.arange(kept) - (kept - 1) / 2) / kept
    bell = np.exp(-0.5 * (SHARPNESS * offsets) ** 2)
    found: list[tuple[int, slice, slice]] = []
    total = np.zeros(length)
    for start, _ in window_starts(whole, size, step, axis):
        first = start + shrink - lead  # where the output begins, in positions of the image
        target = slice(max(first, 0), min(first + kept, length))
        if target.start < target.stop:
            source = slice(target.start - first, target.stop - first)
            found.append((start - lead, source, target))
            total[target] += bell[source]
    return size, [
        Part(start, source, target, (bell[source] / total[target]).astype(np.float32))
        for start, source, target in found
    ]


def _whole(length: int, shrink: int, lead: int) -> Part:
    """The one tile of an axis that a single window covers."""
    return Part(-lead, slice(lead - shrink, lead - shrink + length), slice(0, length))


def window_starts(whole: int, size: int, step: int, axis: AxisGeometry) -> list[tuple[int, bool]]:
    """Where the windows of an axis start.

    With same padding the last window ends where the mirrored image ends, for there zeros are padded in the untiled
    pass too.

    Parameters
    ----------
    whole
        The size of the mirrored image, pixels.
    size
        Of a window.
    step
        Between windows.
    axis
        Of the network, along this axis.

    Returns
    -------
    list of tuple of int and bool
        In positions of the mirrored image, and whether each is the last.
    """
    last = _up(max(whole - size, 0), axis.stride) if axis.shrink else whole - size
    starts = [*range(0, last, step), last]
    return [(start, start == last) for start in starts]


def _fit(size: int, axis: AxisGeometry) -> int:
    """The least input size from `size` on; with same padding a multiple of the stride, so that tiles align."""
    return axis.next_size(size if axis.shrink else _up(size, axis.stride))


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
