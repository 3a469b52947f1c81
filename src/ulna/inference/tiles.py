"""Where the tiles of an image lie, and how their outputs are put together: two strategies.

`exact_tiles` is the overlap-tile strategy of Ronneberger et al. 2015, section 2. Each tile is read with so much
surrounding that its kept part does not depend on where the tile lies: as much as the network's receptive field
reaches. Tiles start at multiples of the network's stride, so that every pooling window lies where it would lie in the
whole image; the tiled result then equals the untiled one to rounding.

Blended tiles overlap, by half by default, and where they do their outputs are averaged with Gaussian weights (Isensee
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
from ulna.inference.axes import AxisTiles, Part, blended_axis, exact_axis, least_tile
from ulna.inference.sides import Room, least_work
from ulna.networks.geometry import Geometry

Strategy = Literal["auto", "exact", "blended"]

MAX_WORK = {2: math.inf, 3: 1.0}
"""By the number of spatial axes: up to so many times the work of blended tiles, exact ones are worth it. In 3D exact
tiles of 96 × 256 × 256 voxels took 90 s where blended ones took 35, once, on a busy machine."""


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


def plan_tiles(
    shape: tuple[int, ...],
    geometry: Geometry,
    *,
    tile: int,
    margin: int,
    strategy: Strategy = "auto",
    overlap: float = 0.5,
    enlarge: bool = False,
    room: Room | None = None,
) -> Tiling:
    """Cover an image by the strategy that is named; "auto": exact tiles in an image, and where they pay in a volume.

    Exact tiles pay in a volume where the network computes no more voxels than for blended ones (`MAX_WORK`).

    Blended tiles start at multiples of the network's stride, as exact ones do. The weights of a tile are a product over
    the axes, and so is their sum over a grid of tiles: it is divided by axis by axis, so that outputs are only added,
    in any order.

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
    room
        Where it is given, blended tiles have the sides that are the least work within it, not `tile`.

    Returns
    -------
    Tiling
        The size of the network's inputs, and the tiles.

    Raises
    ------
    UlnaError
        For a `tile` that is too small; it names the smallest that is not.

    References
    ----------
    Isensee et al. 2021, nnU-Net, Nature Methods 18:203: blended tiles.
    """
    if strategy == "exact" or (strategy == "auto" and len(shape) == 2):
        return _exact(_exact_axes(shape, geometry, tile, margin, enlarge=enlarge), shape, geometry, tile)
    tiles = (tile,) * len(shape) if room is None else least_work(shape, geometry, margin, overlap, room)
    blended = _blended_axes(shape, geometry, tiles, margin, overlap)
    if strategy == "auto":
        exact = _exact_axes(shape, geometry, tile, margin, enlarge=enlarge)
        if _pays(exact, blended, shape):
            return _exact(exact, shape, geometry, tile)
    return _product(blended)


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
) -> list[AxisTiles | None]:
    """The exact tiles of each axis; None where no tile is so small."""
    return [
        exact_axis(length, axis, tile=max(tile, least_tile(axis)) if enlarge else tile, margin=margin)
        for length, axis in zip(shape, geometry.axes, strict=True)
    ]


def _exact(axes: list[AxisTiles | None], shape: tuple[int, ...], geometry: Geometry, tile: int) -> Tiling:
    possible = [axis for axis in axes if axis is not None]
    if len(possible) < len(shape):
        least = max(least_tile(axis) for axis, tiles in zip(geometry.axes, axes, strict=True) if tiles is None)
        raise UlnaError(
            f"a tile of {tile} pixels is too small for this network: its receptive field needs at least {least}",
            where="inference.tile",
            hint="Tiles of any size can be averaged instead: inference.tiling=blended.",
        )
    return _product(possible)


def _pays(axes: list[AxisTiles | None], blended: list[AxisTiles], shape: tuple[int, ...]) -> bool:
    """Whether these exact tiles take little more work than blended ones."""
    exact = [axis for axis in axes if axis is not None]
    return len(exact) == len(shape) and _work(exact) <= MAX_WORK[len(shape)] * _work(blended)


def _work(axes: list[AxisTiles]) -> int:
    """How many pixels the network computes."""
    return math.prod(size * len(parts) for size, parts in axes)


def _blended_axes(
    shape: tuple[int, ...], geometry: Geometry, tiles: tuple[int, ...], margin: int, overlap: float
) -> list[AxisTiles]:
    return [
        blended_axis(length, axis, tile=tile, margin=margin, overlap=overlap)
        for length, axis, tile in zip(shape, geometry.axes, tiles, strict=True)
    ]


def _product(axes: list[AxisTiles]) -> Tiling:
    """All combinations of the tiles along the axes."""
    blended = any(part.weights is not None for _, parts in axes for part in parts)
    tiles = []
    for parts in itertools.product(*(parts for _, parts in axes)):
        weights = [_ones(part) if part.weights is None else part.weights for part in parts] if blended else ()
        starts, sources, targets = zip(*((part.start, part.source, part.target) for part in parts), strict=True)
        tiles.append(Tile(starts, sources, targets, tuple(weights)))
    return Tiling(tuple(size for size, _ in axes), tuple(tiles))


def _ones(part: Part) -> npt.NDArray[np.float32]:
    return np.ones(part.target.stop - part.target.start, np.float32)
