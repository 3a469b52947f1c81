"""Pictures of cells that are made for the tests of leaks, and cut into tiles."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ulna.image import Array


def cells(shape: tuple[int, ...], seed: int, *, spots: int = 300, noise: float = 1.5) -> Array:
    """A picture of bright cells on a dark ground with camera noise: (1, *shape) uint8."""
    draw = np.random.default_rng(seed)
    picture = np.zeros(shape)
    spots = max(spots * int(np.prod(shape)) // 256**2, 1)
    picture[tuple(draw.integers(0, n, spots) for n in shape)] = draw.uniform(0.3, 1, spots)
    picture = ndimage.gaussian_filter(picture, 3)
    picture = 12 + 150 * picture / picture.max() + draw.normal(0, noise, shape)
    return picture.round().clip(0, 255).astype(np.uint8)[None]


def tiles(picture: Array, rows: int, columns: int) -> list[Array]:
    return [tile for row in np.array_split(picture, rows, axis=1) for tile in np.array_split(row, columns, axis=2)]


def names(images: list[Array]) -> list[str]:
    return [str(index) for index in range(len(images))]
