"""Where the tiles of an image lie: the overlap-tile strategy of Ronneberger et al. 2015, section 2.

The image is mirrored outwards at its borders. Each tile is read with so much surrounding that its kept part
does not know that it is a tile: as much as the network's receptive field reaches. Tiles start at multiples of
the network's stride, so that every pooling window lies where it would lie in the whole image; the tiled
result then equals the untiled one to rounding.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.image import Array
from ulna.networks.geometry import Geometry


@dataclass(frozen=True)
class Tile:
    """One tile. `start` is where the network's input window begins, in pixels of the image (negative or beyond
    its end where it is mirrored); `source` is the part of the network's output that is kept and `target` where
    that goes in the image."""

    start: tuple[int, ...]
    source: tuple[slice, ...]
    target: tuple[slice, ...]


@dataclass(frozen=True)
class Tiling:
    """All tiles of an image; `size` is the shape of every network input."""

    size: tuple[int, ...]
    tiles: tuple[Tile, ...]


def plan_tiles(shape: tuple[int, ...], geometry: Geometry, *, tile: int, margin: int) -> Tiling:
    """Cover an image of this spatial `shape` with tiles whose input has sides of about `tile` pixels at most.

    `margin` is the mirrored border around the whole image for networks with same padding (those with valid
    convolutions get what they lose). Along an axis that one tile covers there is one. Raises UlnaError when
    `tile` is too small for the receptive field, and names the least.
    """
    axes = [_axis(length, geometry, tile=tile, margin=margin) for length in shape]
    tiles = []
    for parts in itertools.product(*(parts for _, parts in axes)):
        starts, sources, targets = zip(*parts, strict=True)
        tiles.append(Tile(tuple(starts), tuple(sources), tuple(targets)))
    return Tiling(tuple(size for size, _ in axes), tuple(tiles))


def least_tile(geometry: Geometry) -> int:
    """The smallest `tile` that keeps anything of a window when its halo is thrown away."""
    return _fit(2 * (_halo(geometry) + geometry.shrink) + geometry.stride, geometry)


def _halo(geometry: Geometry) -> int:
    """What is thrown away on each side: valid convolutions lose by themselves what they cannot know."""
    return 0 if geometry.shrink else _up(geometry.halo, geometry.stride)


Part = tuple[int, slice, slice]


def _axis(length: int, geometry: Geometry, *, tile: int, margin: int) -> tuple[int, list[Part]]:
    """Input size and, for each tile along one axis: start, part of the output kept, its place in the image."""
    shrink = geometry.shrink
    lead = shrink or margin  # the image begins so many pixels after the first window does
    whole = _fit(length + 2 * lead, geometry)
    if whole <= tile:
        return whole, [(-lead, slice(lead - shrink, lead - shrink + length), slice(0, length))]
    halo = _halo(geometry)
    size = _fit(tile + 1 - geometry.stride, geometry)
    step = (size - 2 * shrink - 2 * halo) // geometry.stride * geometry.stride
    if step <= 0:
        raise UlnaError(
            f"a tile of {tile} pixels is too small for this network: its receptive field needs at least "
            f"{least_tile(geometry)}",
            where="inference.tile",
        )
    return size, _parts(length, geometry, size=size, step=step, whole=whole, halo=halo, lead=lead)


def _parts(length: int, geometry: Geometry, *, size: int, step: int, whole: int, halo: int, lead: int) -> list[Part]:
    # positions in the mirrored image: the image itself is lead … lead + length. With same padding the last
    # window ends where the mirrored image ends, for there zeros are padded in the untiled pass too.
    shrink = geometry.shrink
    last = _up(max(whole - size, 0), geometry.stride) if shrink else whole - size
    parts: list[Part] = []
    done = lead  # kept so far, in positions of the mirrored image
    start = 0
    while done < lead + length:
        at_end = start >= last
        start = min(start, last)
        end = lead + length if at_end else min(start + size - shrink - halo, lead + length)
        parts.append(
            (
                start - lead,
                slice(done - start - shrink, end - start - shrink),
                slice(done - lead, end - lead),
            )
        )
        done = end
        start += step
    return parts


def _fit(size: int, geometry: Geometry) -> int:
    """The least input size from `size` on; with same padding a multiple of the stride, so that tiles align."""
    return geometry.next_size(size if geometry.shrink else _up(size, geometry.stride))


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


def mirrored(start: int, length: int, size: int) -> npt.NDArray[np.intp]:
    """Indices start … start + length - 1 into an axis of `size`, mirrored at both ends as often as needed.

    The edge itself is not repeated, as in `numpy.pad(mode="reflect")`.
    """
    period = max(2 * size - 2, 1)
    index = np.abs(np.arange(start, start + length)) % period
    return np.minimum(index, period - index) if size > 1 else np.zeros(length, np.intp)


def window(array: Array, start: tuple[int, ...], size: tuple[int, ...]) -> Array:
    """Cut (C, *size) out of (C, *spatial) from `start`, mirrored where it leaves the array; a copy."""
    inside = all(s >= 0 and s + n <= m for s, n, m in zip(start, size, array.shape[1:], strict=True))
    if inside:
        return np.array(array[(slice(None), *(slice(s, s + n) for s, n in zip(start, size, strict=True)))])
    axes = [mirrored(s, n, m) for s, n, m in zip(start, size, array.shape[1:], strict=True)]
    return np.asarray(array[np.ix_(np.arange(array.shape[0]), *axes)])
