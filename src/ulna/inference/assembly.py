"""The outputs of tiles and planes, put together to those of an image, region by region."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod

import numpy as np

from ulna.image import Region
from ulna.inference.room import empty_output
from ulna.inference.tiles import Tile
from ulna.inference.views import spread
from ulna.normalization import Floats
from ulna.resampling import BAND

Answer = tuple[Region, Floats]
"""A region of an image and the logits (K, *region) there."""


def in_volume(found: Iterable[Answer], axis: int, place: int) -> Iterator[Answer]:
    """Regions of a plane as regions of its volume."""
    for region, logits in found:
        yield spread(region, axis, slice(place, place + 1)), np.expand_dims(logits, 1 + axis)


def blended(outputs: Iterable[tuple[Tile, Floats]], tiles: Sequence[Tile], shape: tuple[int, ...]) -> Iterator[Answer]:
    """Tiles that overlap, put together slab by slab along the first axis: of the whole only so much is held.

    `tiles` are in order along that axis, and `shape` is (K, *spatial).
    """
    depth = max(tile.target[0].stop - tile.target[0].start for tile in tiles)
    rest = tuple(slice(0, side) for side in shape[2:])
    step = max(1, BAND // (shape[0] * prod(shape[2:])))
    held, first = empty_output((shape[0], min(depth, shape[1]), *shape[2:])), 0
    for (tile, logits), following in zip(outputs, [*tiles[1:], None], strict=True):
        tile.add(logits, held, first=first)
        done = following.target[0].start if following else shape[1]
        if done > first:
            for start in range(first, done, step):  # what is made of the outputs takes their size several times
                stop = min(start + step, done)
                yield (slice(start, stop), *rest), held[:, start - first : stop - first].copy()
            keep = held.shape[1] - (done - first)
            for row in range(keep):  # up by so many rows, in place
                held[:, row] = held[:, row + done - first]
            held[:, keep:] = 0
            first = done


def as_slabs(found: Iterable[Answer]) -> Iterator[Floats]:
    """Regions in the order of rows as slabs that have all of the other axes."""
    row: list[Answer] = []
    for answer in found:
        if row and answer[0][0] != row[0][0][0]:
            yield _slab(row)
            row = []
        row.append(answer)
    yield _slab(row)


def _slab(row: Sequence[Answer]) -> Floats:
    logits, last = row[0][1], row[-1][0]
    if len(row) == 1:
        return logits
    slab = empty_output((*logits.shape[:2], *(part.stop for part in last[1:])))
    for region, part in row:
        slab[(slice(None), slice(None), *region[1:])] = part
    return slab
