"""Where the tiles of an image lie, and how their outputs are put together: two strategies.

`exact_tiles` is the overlap-tile strategy of Ronneberger et al. 2015, section 2. Each tile is read with so much
surrounding that its kept part does not depend on where the tile lies: as much as the network's receptive field
reaches. Tiles start at multiples of the network's stride, so that every pooling window lies where it would lie in the
whole image; the tiled result then equals the untiled one to rounding.

`blended_tiles` overlap by half, and where they do their outputs are averaged with Gaussian weights (Isensee et al.
2021). This is close to the untiled result, not equal to it, and takes a fraction of the time where the receptive field
is about as large as a tile: in volumes.

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
from ulna.image import Array
from ulna.networks.geometry import Geometry

Strategy = Literal["auto", "exact", "blended"]

MAX_WORK = {2: math.inf, 3: 4.0}
"""By the number of spatial axes: up to so many times the work of blended tiles, exact ones are worth it."""

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

    def add(self, outputs: npt.NDArray[np.float32], image: npt.NDArray[np.float32]) -> None:
        """Put the network's output for this tile into that of the image.

        Parameters
        ----------
        outputs
            (K, *size).
        image
            (K, *spatial), zero at first; it is changed.
        """
        part, place = outputs[(slice(None), *self.source)], (slice(None), *self.target)
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
    enlarge: bool = False,
) -> Tiling:
    """Cover an image by the strategy that is named; "auto": exact tiles in an image, and where they pay in a volume.

    Exact tiles pay in a volume where the network computes at most `MAX_WORK` times as many voxels as for blended ones.

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
        return blended_tiles(shape, geometry, tile=tile, margin=margin)
    sufficient = max(tile, least_tile(geometry)) if enlarge else tile
    if strategy == "auto" and len(shape) == 3 and not _pays(shape, geometry, tile, sufficient, margin):
        return blended_tiles(shape, geometry, tile=tile, margin=margin)
    return exact_tiles(shape, geometry, tile=sufficient, margin=margin)


def _pays(shape: tuple[int, ...], geometry: Geometry, tile: int, sufficient: int, margin: int) -> bool:
    """Whether exact tiles of a side that is `sufficient` take little more work than blended ones of `tile`."""
    try:
        exact = _work([_exact_axis(length, geometry, tile=sufficient, margin=margin) for length in shape])
    except UlnaError:  # no exact tile is so small
        return False
    blended = _work([_blended_axis(length, geometry, tile=tile, margin=margin) for length in shape])
    return exact <= MAX_WORK[len(shape)] * blended


def _work(axes: list[_Axis]) -> int:
    """How many pixels the network computes."""
    return math.prod(size * len(parts) for size, parts in axes)


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
    return _product([_exact_axis(length, geometry, tile=tile, margin=margin) for length in shape])


def blended_tiles(shape: tuple[int, ...], geometry: Geometry, *, tile: int, margin: int) -> Tiling:
    """Cover an image with tiles that overlap by half and are averaged with Gaussian weights.

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

    Returns
    -------
    Tiling
        The weights of all tiles that reach a pixel add up to 1.

    References
    ----------
    Isensee et al. 2021, nnU-Net, Nature Methods 18:203.
    """
    return _product([_blended_axis(length, geometry, tile=tile, margin=margin) for length in shape])


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


def least_tile(geometry: Geometry) -> int:
    """The smallest `tile` that keeps anything of a window when its halo is thrown away.

    Parameters
    ----------
    geometry
        Of the network.

    Returns
    -------
    int
        Pixels.
    """
    return _fit(2 * (_halo(geometry) + geometry.shrink) + geometry.stride, geometry)


def _halo(geometry: Geometry) -> int:
    """What is thrown away on each side: valid convolutions lose by themselves what they cannot know."""
    return 0 if geometry.shrink else _up(geometry.halo, geometry.stride)


def _exact_axis(length: int, geometry: Geometry, *, tile: int, margin: int) -> _Axis:
    shrink = geometry.shrink
    lead = shrink or margin  # the image begins so many pixels after the first window does
    whole = _fit(length + 2 * lead, geometry)
    if whole <= tile:
        return whole, [_whole(length, shrink, lead)]
    halo = _halo(geometry)
    size = _fit(tile + 1 - geometry.stride, geometry)
    step = (size - 2 * shrink - 2 * halo) // geometry.stride * geometry.stride
    if step <= 0:
        raise UlnaError(
            f"a tile of {tile} pixels is too small for this network: its receptive field needs at least "
            f"{least_tile(geometry)}",
            where="inference.tile",
            hint="Tiles of any size can be averaged instead: inference.tiling=blended.",
        )
    parts: list[_Part] = []
    done = lead  # kept so far, in positions of the mirrored image: the image itself is lead … lead + length
    for start, at_end in _starts(whole, size, step, geometry):
        end = lead + length if at_end else min(start + size - shrink - halo, lead + length)
        source, target = slice(done - start - shrink, end - start - shrink), slice(done - lead, end - lead)
        parts.append(_Part(start - lead, source, target))
        done = end
        if done == lead + length:
            break
    return size, parts


def _blended_axis(length: int, geometry: Geometry, *, tile: int, margin: int) -> _Axis:
    shrink = geometry.shrink
    lead = shrink or margin
    whole = _fit(length + 2 * lead, geometry)
    size = _fit(max(tile + 1 - geometry.stride, 2 * shrink + 2 * geometry.stride), geometry)
    if whole <= max(tile, size):
        return whole, [_whole(length, shrink, lead)]
    kept = size - 2 * shrink  # of the output, and it begins `shrink` after the input
    step = max(kept // 2 // geometry.stride, 1) * geometry.stride
    offsets = (np.arange(kept) - (kept - 1) / 2) / kept
    bell = np.exp(-0.5 * (SHARPNESS * offsets) ** 2)
    found: list[tuple[int, slice, slice]] = []
    total = np.zeros(length)
    for start, _ in _starts(whole, size, step, geometry):
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


def _starts(whole: int, size: int, step: int, geometry: Geometry) -> list[tuple[int, bool]]:
    """Where the windows of an axis start in the mirrored image, and whether each is the last.

    With same padding the last window ends where the mirrored image ends, for there zeros are padded in the untiled
    pass too.
    """
    last = _up(max(whole - size, 0), geometry.stride) if geometry.shrink else whole - size
    starts = [*range(0, last, step), last]
    return [(start, start == last) for start in starts]


def _fit(size: int, geometry: Geometry) -> int:
    """The least input size from `size` on; with same padding a multiple of the stride, so that tiles align."""
    return geometry.next_size(size if geometry.shrink else _up(size, geometry.stride))


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


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
