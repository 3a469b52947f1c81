"""Simulated masks of both kinds: numbers of objects, and classes. Each function gives the masks of one data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

Masks = list[np.ndarray]
COUNT = 12


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:side, :side]
    return y, x


def _data_set(draw: Callable[[np.random.Generator], np.ndarray], seed: int, dtype: Any) -> Masks:
    generator = np.random.default_rng(seed)
    masks = [draw(generator).astype(dtype)[None] for _ in range(COUNT)]
    return [mask for mask in masks if mask.any()]


def discs(
    seed: int,
    count: tuple[int, int],
    *,
    side: int = 64,
    order: str = "painted",
    dtype: Any = np.uint8,
    numbers: int = 0,
    apart: bool = False,
) -> Masks:
    """Ellipses at random, numbered as they are painted or as `label` would; or with `numbers` drawn from 1 to that."""
    y, x = _grid(side)

    def draw(generator: np.random.Generator) -> np.ndarray:
        wanted, mask, found = int(generator.integers(count[0], count[1] + 1)), np.zeros((side, side), int), 0
        for _ in range(200):
            if found == wanted:
                break
            (row, column), (a, b) = generator.integers(4, side - 4, 2), generator.uniform(4, 9, 2)
            one = ((y - row) / a) ** 2 + ((x - column) / b) ** 2 < 1
            if apart and (ndimage.binary_dilation(one, iterations=2) & (mask > 0)).any():
                continue
            one &= mask == 0
            if one.sum() >= 10:
                found += 1
                mask[one] = found
        table = np.arange(found + 1)
        if order == "raster":
            first = [np.flatnonzero(mask == number)[0] for number in range(1, found + 1)]
            table[1 + np.argsort(first)] = np.arange(1, found + 1)
        if numbers:
            table[1:] = np.sort(generator.choice(np.arange(1, numbers + 1), found, replace=False))
        return table[mask]

    return _data_set(draw, seed, dtype)


def tissue(seed: int, *, crops: bool = False) -> Masks:
    """Cells that touch each other, numbered anew in each image, or crops of a large label map."""
    y, x = _grid(64)

    def draw(generator: np.random.Generator) -> np.ndarray:
        count = int(generator.integers(5, 12))
        rows, columns = generator.uniform(0, 64, (2, count))
        mask = 1 + np.argmin((y[..., None] - rows) ** 2 + (x[..., None] - columns) ** 2, axis=-1)
        mask[ndimage.gaussian_filter(generator.normal(size=mask.shape), 8) * 20 > 0.9] = 0
        return np.concatenate([[0], generator.choice(2000, count, replace=False) + 1])[mask] if crops else mask

    return _data_set(draw, seed, np.uint16)


def tracks(seed: int, count: int, *, side: int = 128, dtype: Any = np.uint16) -> Masks:
    """Cells of a film that keep their numbers, come and leave."""
    generator = np.random.default_rng(seed)
    y, x = _grid(side)
    places, radii = generator.uniform(8, side - 8, (count, 2)), generator.uniform(4, 7, count)
    begin, end = generator.integers(-8, COUNT // 2, count), generator.integers(COUNT // 2, COUNT + 8, count)
    masks = []
    for time in range(COUNT):
        mask = np.zeros((side, side), dtype)
        for number in range(count):
            if begin[number] <= time <= end[number]:
                distance = (y - places[number, 0]) ** 2 + (x - places[number, 1]) ** 2
                mask[(distance < radii[number] ** 2) & (mask == 0)] = number + 1
        places = np.clip(places + generator.normal(0, 2, places.shape), 5, side - 5)
        masks.append(mask[None])
    return masks


def layers(
    seed: int, count: tuple[int, int], *, side: int = 64, gap: int = 0, margin: int = 0, dtype: Any = np.uint8
) -> Masks:
    """Wavy layers over each other, as many as the image shows."""
    y, x = _grid(side)

    def draw(generator: np.random.Generator) -> np.ndarray:
        wave = 4 * np.sin(x / side * generator.uniform(1, 5) + generator.uniform(0, 6))
        start = generator.uniform(2, 10) + wave + generator.uniform(-0.1, 0.1) * x
        thickness = generator.uniform(0.7, 1.3, count[1]) * side * 0.6 / count[1]
        mask = np.zeros((side, side), int)
        for layer in range(int(generator.integers(count[0], count[1] + 1))):
            top = start + thickness[:layer].sum()
            mask[(y > top) & (y <= top + thickness[layer] - gap)] = layer + 1
        if margin:
            mask[:, :margin] = mask[:, -margin:] = 0
        return mask

    return _data_set(draw, seed, dtype)


def rings(seed: int, count: tuple[int, int] = (1, 4), *, jitter: float = 6, dtype: Any = np.uint8) -> Masks:
    """Class k only within class k - 1."""
    y, x = _grid(64)

    def draw(generator: np.random.Generator) -> np.ndarray:
        mask = np.zeros((64, 64), int)
        row, column = 32 + generator.uniform(-jitter, jitter, 2)
        radius = generator.uniform(18, 25)
        for number in range(int(generator.integers(count[0], count[1] + 1))):
            mask[(y - row) ** 2 + (x - column) ** 2 < radius**2] = number + 1
            radius *= generator.uniform(0.6, 0.75)
            row, column = np.array([row, column]) + generator.uniform(-3, 3, 2) / (number + 1)
        return mask

    return _data_set(draw, seed, dtype)


def organs(seed: int, count: int, *, present: float = 0.8, side: int = 64, dtype: Any = np.uint8) -> Masks:
    """Parts of a body that keep their place and size, one component each, some of them not in every image."""
    y, x = _grid(side)
    generator = np.random.default_rng(seed + 1000)
    centers = generator.uniform(12, side - 12, (count, 2))
    radii = np.exp(generator.uniform(np.log(4), np.log(14), count))

    def draw(generator: np.random.Generator) -> np.ndarray:
        mask, scale = np.zeros((side, side), int), generator.uniform(0.7, 1.2)
        for number in np.argsort(-radii):
            if generator.random() < present:
                row, column = centers[number] + generator.normal(0, 3, 2)
                a, b = radii[number] * scale * generator.uniform(0.8, 1.2, 2)
                mask[((y - row) / a) ** 2 + ((x - column) / b) ** 2 < 1] = number + 1
        return mask

    return _data_set(draw, seed, dtype)


def tissues(seed: int, count: int, *, dtype: Any = np.uint8) -> Masks:
    """Classes in many components."""

    def draw(generator: np.random.Generator) -> np.ndarray:
        smooth = ndimage.gaussian_filter(generator.normal(size=(64, 64)), 3)
        return np.digitize(smooth, np.quantile(smooth, [0.5, 0.7, 0.85, 0.95][:count]))

    return _data_set(draw, seed, dtype)


def cell_types(seed: int, count: int, *, side: int = 96, dtype: Any = np.uint8) -> Masks:
    """Several cells of each of some types."""
    y, x = _grid(side)

    def draw(generator: np.random.Generator) -> np.ndarray:
        mask = np.zeros((side, side), int)
        for _ in range(int(generator.integers(4, 12))):
            row, column = generator.integers(5, side - 5, 2)
            one = (y - row) ** 2 + (x - column) ** 2 < generator.uniform(4, 7) ** 2
            mask[one & (mask == 0)] = generator.integers(1, count + 1)
        return mask

    return _data_set(draw, seed, dtype)


OBJECTS: dict[str, Callable[[int], Masks]] = {
    "1 to 3": lambda seed: discs(seed, (1, 3)),
    "1 to 3, 16 bits": lambda seed: discs(seed, (1, 3), dtype=np.uint16),
    "2 to 5": lambda seed: discs(seed, (2, 5)),
    "in raster order": lambda seed: discs(seed, (1, 4), order="raster"),
    "in raster order, apart": lambda seed: discs(seed, (1, 4), order="raster", apart=True),
    "2 to 8, 32 bits": lambda seed: discs(seed, (2, 8), side=96, order="raster", dtype=np.int32),
    "5 of 18 numbers": lambda seed: discs(seed, (5, 5), numbers=18, dtype=np.uint16),
    "2 to 6 of 9 numbers": lambda seed: discs(seed, (2, 6), numbers=9, dtype=np.uint16),
    "3 to 6 of 40 numbers": lambda seed: discs(seed, (3, 6), numbers=40, dtype=np.uint16),
    "10 to 30": lambda seed: discs(seed, (10, 30), side=128),
    "tissue": tissue,
    "crops of tissue": lambda seed: tissue(seed, crops=True),
    "14 tracks": lambda seed: tracks(seed, 14),
    "16 tracks, 8 bits": lambda seed: tracks(seed, 16, dtype=np.uint8),
}

CLASSES: dict[str, Callable[[int], Masks]] = {
    "layers": lambda seed: layers(seed, (2, 5)),
    "layers apart": lambda seed: layers(seed, (2, 5), gap=2),
    "layers within a margin": lambda seed: layers(seed, (2, 5), margin=8),
    "layers apart within a margin": lambda seed: layers(seed, (2, 5), gap=2, margin=8),
    "eight layers in all": lambda seed: layers(seed, (8, 8), side=128),
    "layers, 16 bits": lambda seed: layers(seed, (2, 6), dtype=np.uint16),
    "rings": rings,
    "rings anywhere": lambda seed: rings(seed, jitter=14),
    "rings, 16 bits": lambda seed: rings(seed, dtype=np.uint16),
    "two rings": lambda seed: rings(seed, (1, 2)),
    "3 organs": lambda seed: organs(seed, 3),
    "6 organs": lambda seed: organs(seed, 6),
    "12 organs": lambda seed: organs(seed, 12, side=128, present=0.6),
    "5 organs in all": lambda seed: organs(seed, 5, present=1),
    "4 organs, 32 bits": lambda seed: organs(seed, 4, dtype=np.int32),
    "2 tissues": lambda seed: tissues(seed, 2),
    "4 tissues, 16 bits": lambda seed: tissues(seed, 4, dtype=np.uint16),
    "3 types of cells": lambda seed: cell_types(seed, 3),
    "6 types of cells": lambda seed: cell_types(seed, 6),
}
