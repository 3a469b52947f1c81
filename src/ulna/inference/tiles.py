"""Where the tiles of an image lie, and how their outputs are put together: two strategies.

`exact_tiles` is the overlap-tile strategy of Ronneberger et al. 2015, section 2. Each tile is read with so much
surrounding that its kept part does not depend on where the tile lies: as much as the network's receptive field
reaches. Tiles start at multiples of the network's stride, so that every pooling window lies where it would lie in the
whole image; the tiled result then equals the untiled one to rounding.

`blended_tiles` overlap, by half by default, and where they do their outputs are averaged with Gaussian weights (Isensee
et al. 2021). This is close to the untiled result, not equal to it, and takes a fraction of the time where the receptive
field is about as large as a tile: in volumes.

In both the image is mirrored outwards at its borders.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.networks.geometry import AxisGeometry, Geometry

Strategy = Literal["auto", "exact", "blended"]

MAX_WORK = {2: math.inf, 3: 1.0}
"""By the number of spatial axes: up to so many times the work of blended tiles, exact ones are worth it. In 3D exact
tiles of 96 × 256 × 256 voxels took 90 s where blended ones took 35, once, on a busy machine."""

SHARPNESS = 8
"""The side of a tile in standard deviations of its Gaussian weights."""


@dataclass(frozen=True)
class Tile:
    """One tile.

    Parameters
    ----------
    start
        Where the network's input window begins, in pixels of the image (negative or beyond its end where it is
        mirrored).
    source
        The part of the network's output that is used.
    target
        Where that goes in the image.
    weights
        One array per axis, whose outer product weights that part; over all tiles that reach a pixel the weights add up
        to 1. Empty where each pixel comes from one tile.
    """

    start: tuple[int, ...]
    source: tuple[slice, ...]
    target: tuple[slice, ...]
    weights: tuple[npt.NDArray[np.float32], ...] = ()

    def add(self, outputs: npt.NDArray[np.float32], image: npt.NDArray[np.float32], *, first: int = 0) -> None:
        """Put the network's output for this tile into that of the image.

        Parameters
        ----------
        outputs
            (K, *size).
        image
            (K, *spatial), zero at first; it is changed.
        first
            The row of the image that the array begins with.
        """
        rows = slice(self.target[0].start - first, self.target[0].stop - first)
        part, place = outputs[(slice(None), *self.source)], (slice(None), rows, *self.target[1:])
        if not self.weights:
            image[place] = part
            return
        for axis, weights in enumerate(self.weights):
            part = part * weights.reshape(-1, *(1,) * (len(self.weights) - 1 - axis))
        image[place] += part


@dataclass(frozen=True)
class Tiling:
    """All tiles of an image.

    Parameters
    ----------
    size
        The shape of every network input.
    tiles
        In the order in which they are computed.
    """

    size: tuple[int, ...]
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class _Part:
    """A tile along one axis: the fields of `Tile`."""

    start: int
    source: slice
    target: slice
    weights: npt.NDArray[np.float32] | None = None


_Axis = tuple[int, list[_Part]]  # the size of the input windows, and the tiles


def plan_tiles(
    shape: tuple[int, ...],
    geometry: Geometry,
    *,
    tile: int,
    margin: int,
    strategy: Strategy = "auto",
    overlap: float = 0.5,
    enlarge: bool = False,
) -> Tiling:
    """Cover an image by the strategy that is named; "auto": exact tiles in an image, and where they pay in a volume.

    Exact tiles pay in a volume where the network computes no more voxels than for blended ones (`MAX_WORK`).

    Parameters
    ----------
    shape
        The spatial shape of the image.
    geometry
        Of the network.
    tile
        The largest side of a network input, pixels.
    margin
        The mirrored border around the whole image for networks with same padding, pixels.
    strategy
        "auto", "exact" or "blended".
    overlap
        Of neighboring blended tiles, as a share of their side.
    enlarge
        Whether exact tiles may be larger than `tile` where the receptive field needs it.

    Returns
    -------
    Tiling
        The size of the network's inputs, and the tiles.

    Raises
    ------
    UlnaError
        For a `tile` that is too small; it names the smallest that is not.
    """
    if strategy == "blended":
        return blended_tiles(shape, geometry, tile=tile, margin=margin, overlap=overlap)
    axes = _exact_axes(shape, geometry, tile, margin, enlarge=enlarge)
    blended = _blended_axes(shape, geometry, tile, margin, overlap)
    if strategy == "auto" and len(shape) == 3 and not _pays(axes, blended, shape):
        return blended_tiles(shape, geometry, tile=tile, margin=margin, overlap=overlap)
    return _exact(axes, shape, geometry, tile)


def exact_tiles(shape: tuple[int, ...], geometry: Geometry, *, tile: int, margin: int) -> Tiling:
    """Cover an image with tiles that together equal the untiled result.

    Along an axis that one tile covers there is one.

    Parameters
    ----------
    shape
        The spatial shape of the image.
    geometry
        Of the network.
    tile
        The largest side of a network input, pixels.
    margin
        The mirrored border around the whole image for networks with same padding, pixels; those with valid convolutions
        get what they lose.

    Returns
    -------
    Tiling
        Each pixel comes from one tile.

    Raises
    ------
    UlnaError
        When `tile` is too small for the receptive field; the smallest that is not is named.

    References
    ----------
    Ronneberger, Fischer, Brox 2015, U-Net, MICCAI, section 2: the overlap-tile strategy.
    """
    return _exact(_exact_axes(shape, geometry, tile, margin), shape, geometry, tile)


def _exact_axes(
    shape: tuple[int, ...], geometry: Geometry, tile: int, margin: int, *, enlarge: bool = False
) -> list[_Axis | None]:
    """The exact tiles of each axis; None where no tile is so small."""
    return [
        _exact_axis(length, axis, tile=max(tile, least_tile(axis)) if enlarge else tile, margin=margin)
        for length, axis in zip(shape, geometry.axes, strict=True)
    ]


def _exact(axes: list[_Axis | None], shape: tuple[int, ...], geometry: Geometry, tile: int) -> Tiling:
    possible = [axis for axis in axes if axis is not None]
    if len(possible) < len(shape):
        least = max(least_tile(axis) for axis, tiles in zip(geometry.axes, axes, strict=True) if tiles is None)
        raise UlnaError(
            f"a tile of {tile} pixels is too small for this network: its receptive field needs at least {least}",
            where="inference.tile",
            hint="Tiles of any size can be averaged instead: inference.tiling=blended.",
        )
    return _product(possible)


def _pays(axes: list[_Axis | None], blended: list[_Axis], shape: tuple[int, ...]) -> bool:
    """Whether these exact tiles take little more work than blended ones."""
    exact = [axis for axis in axes if axis is not None]
    return len(exact) == len(shape) and _work(exact) <= MAX_WORK[len(shape)] * _work(blended)


def _work(axes: list[_Axis]) -> int:
    """How many pixels the network computes."""
    return math.prod(size * len(parts) for size, parts in axes)


def blended_tiles(
    shape: tuple[int, ...], geometry: Geometry, *, tile: int, margin: int, overlap: float = 0.5
) -> Tiling:
    """Cover an image with tiles that overlap and are averaged with Gaussian weights.

    Tiles start at multiples of the network's stride, as exact ones do. The weights of a tile are a product over the
    axes, and so is their sum over a grid of tiles: it is divided by axis by axis, so that outputs are only added, in
    any order.

    Parameters
    ----------
    shape
        The spatial shape of the image.
    geometry
        Of the network.
    tile
        The largest side of a network input, pixels, unless the network needs more.
    margin
        The mirrored border around the whole image for networks with same padding, pixels.
    overlap
        By which share of their side neighboring tiles overlap.

    Returns
    -------
    Tiling
        The weights of all tiles that reach a pixel add up to 1.

    References
    ----------
    Isensee et al. 2021, nnU-Net, Nature Methods 18:203.
    """
    return _product(_blended_axes(shape, geometry, tile, margin, overlap))


def _blended_axes(shape: tuple[int, ...], geometry: Geometry, tile: int, margin: int, overlap: float) -> list[_Axis]:
    return [
        _blended_axis(length, axis, tile=tile, margin=margin, overlap=overlap)
        for length, axis in zip(shape, geometry.axes, strict=True)
    ]


def _product(axes: list[_Axis]) -> Tiling:
    """All combinations of the tiles along the axes."""
    blended = any(part.weights is not None for _, parts in axes for part in parts)
    tiles = []
    for parts in itertools.product(*(parts for _, parts in axes)):
        weights = [_ones(part) if part.weights is None else part.weights for part in parts] if blended else ()
        starts, sources, targets = zip(*((part.start, part.source, part.target) for part in parts), strict=True)
        tiles.append(Tile(starts, sources, targets, tuple(weights)))
    return Tiling(tuple(size for size, _ in axes), tuple(tiles))


def _ones(part: _Part) -> npt.NDArray[np.float32]:
    return np.ones(part.target.stop - part.target.start, np.float32)


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


def _exact_axis(length: int, axis: AxisGeometry, *, tile: int, margin: int) -> _Axis | None:
    """The exact tiles of an axis; None where a tile holds less than the receptive field."""
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
    parts: list[_Part] = []
    done = lead  # kept so far, in positions of the mirrored image: the image itself is lead … lead + length
    for start, at_end in _starts(whole, size, step, axis):
        end = lead + length if at_end else min(start + size - shrink - halo, lead + length)
        if end <= done:  # a window that keeps nothing but what the image is mirrored into
            continue
        source, target = slice(done - start - shrink, end - start - shrink), slice(done - lead, end - lead)
        parts.append(_Part(start - lead, source, target))
        done = end
        if done == lead + length:
            break
    return size, parts


def _blended_axis(length: int, axis: AxisGeometry, *, tile: int, margin: int, overlap: float) -> _Axis:
    shrink = axis.shrink
    lead = shrink or margin
    whole = _fit(length + 2 * lead, axis)
    size = _fit(max(tile + 1 - axis.stride, 2 * shrink + 2 * axis.stride), axis)
    if whole <= max(tile, size):
        return whole, [_whole(length, shrink, lead)]
    kept = size - 2 * shrink  # of the output, and it begins `shrink` after the input
    step = max(int(kept * (1 - overlap)) // axis.stride, 1) * axis.stride
    offsets = (np.arange(kept) - (kept - 1) / 2) / kept
    bell = np.exp(-0.5 * (SHARPNESS * offsets) ** 2)
    found: list[tuple[int, slice, slice]] = []
    total = np.zeros(length)
    for start, _ in _starts(whole, size, step, axis):
        first = start + shrink - lead  # where the output begins, in positions of the image
        target = slice(max(first, 0), min(first + kept, length))
        if target.start < target.stop:
            source = slice(target.start - first, target.stop - first)
            found.append((start - lead, source, target))
            total[target] += bell[source]
    return size, [
        _Part(start, source, target, (bell[source] / total[target]).astype(np.float32))
        for start, source, target in found
    ]


def _whole(length: int, shrink: int, lead: int) -> _Part:
    """The one tile of an axis that a single window covers."""
    return _Part(-lead, slice(lead - shrink, lead - shrink + length), slice(0, length))


def _starts(whole: int, size: int, step: int, axis: AxisGeometry) -> list[tuple[int, bool]]:
    """Where the windows of an axis start in the mirrored image, and whether each is the last.

    With same padding the last window ends where the mirrored image ends, for there zeros are padded in the untiled
    pass too.
    """
    last = _up(max(whole - size, 0), axis.stride) if axis.shrink else whole - size
    starts = [*range(0, last, step), last]
    return [(start, start == last) for start in starts]


def _fit(size: int, axis: AxisGeometry) -> int:
    """The least input size from `size` on; with same padding a multiple of the stride, so that tiles align."""
    return axis.next_size(size if axis.shrink else _up(size, axis.stride))


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
