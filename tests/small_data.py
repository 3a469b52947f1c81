"""Small data sets of images and masks, written for the tests of jobs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from scipy import ndimage

from ulna.image import Array


def cells(shape: tuple[int, int], seed: int) -> tuple[Array, Array]:
    """A picture of cells and its mask, 0/255."""
    draw = np.random.default_rng(seed)
    spots = np.zeros(shape)
    count = 300 * shape[0] * shape[1] // 256**2
    spots[draw.integers(0, shape[0], count), draw.integers(0, shape[1], count)] = draw.uniform(0.3, 1, count)
    spots = ndimage.gaussian_filter(spots, 3)
    spots /= spots.max()
    image = (12 + 150 * spots + draw.normal(0, 1.5, shape)).round().clip(0, 255).astype(np.uint8)
    return image, ((spots > 0.3) * 255).astype(np.uint8)


def put(folder: Path, name: str, image: Array, mask: Array | None) -> None:
    for part, array in (("images", image), ("masks", mask)):
        if array is not None:
            (folder / part).mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(array).save(folder / part / f"{name}.png")


def healthy(folder: Path, count: int = 12) -> Path:
    for index in range(count):
        put(folder, f"cell{index:02d}", *cells((96, 96), index))
    return folder
