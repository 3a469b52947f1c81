"""Independent images are not joined, whatever they have in common and however many they are (simulated)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from small_images import names
from ulna import synthetic
from ulna.image import Array
from ulna.leaks import find_groups


@pytest.mark.parametrize(("count", "size", "sets"), [(2, 128, 40), (12, 96, 30), (40, 96, 12)])
def test_independent_cells_are_seldom_joined(count: int, size: int, sets: int) -> None:
    """At most 0.05 false joins are expected per data set: more than three in 40 would be chance in 14 of 100 cases."""
    pairs = 0
    for seed in range(sets):
        images = [image for image, _ in synthetic.cells(count, (size, size), seed=3000 + seed)]
        pairs += len(find_groups(images, names(images)).pairs)
    assert pairs <= max(1, round(0.075 * sets))


def tissue(draw: np.random.Generator, amplitude: float) -> Array:
    """Smooth structures around gray 90, other ones each time: (256, 256)."""
    smooth = ndimage.gaussian_filter(draw.standard_normal((256, 256)), 4)
    return np.asarray(90 + amplitude * smooth / smooth.std())


def field_of_view(image: Array, _: np.random.Generator) -> Array:
    y, x = np.mgrid[:256, :256]
    return np.where((y - 128) ** 2 + (x - 128) ** 2 < 118**2, image, 2)


def gray_bar(image: Array, _: np.random.Generator) -> Array:
    image[:, -12:-4] = np.arange(255, -1, -1)[:, None]
    return image


def text(image: Array, _: np.random.Generator) -> Array:
    image[8:28, 8:128][np.random.default_rng(5).random((20, 120)) > 0.5] = 255
    return image


def scale_bar(image: Array, _: np.random.Generator) -> Array:
    image[230:236, 150:240] = 255
    return image


def frame(image: Array, _: np.random.Generator) -> Array:
    image[:12] = image[-12:] = 255
    image[:, :12] = image[:, -12:] = 10
    return image


def vignette(image: Array, draw: np.random.Generator) -> Array:
    y, x = np.mgrid[:256, :256]
    return image * (1 - ((y - 128) ** 2 + (x - 128) ** 2) / 60000) + draw.normal(0, 1, image.shape)


@pytest.mark.parametrize("amplitude", [2, 6, 25])
@pytest.mark.parametrize("common", [field_of_view, gray_bar, text, scale_bar, frame, vignette])
def test_what_all_images_share_joins_none(
    common: Callable[[Array, np.random.Generator], Array], amplitude: float
) -> None:
    draw = np.random.default_rng(0)
    images = [common(tissue(draw, amplitude), draw).clip(0, 255).astype(np.uint8)[None] for _ in range(12)]
    assert find_groups(images, names(images)).pairs == ()


@pytest.mark.parametrize("common", [field_of_view, gray_bar, text, frame])
def test_copies_are_found_beside_what_all_images_share(common: Callable[[Array, np.random.Generator], Array]) -> None:
    draw = np.random.default_rng(0)
    images = [common(tissue(draw, 25), draw) for _ in range(11)]
    images.append(0.7 * images[4] + draw.normal(0, 2, (256, 256)))
    found = find_groups([image.clip(0, 255).astype(np.uint8)[None] for image in images], names(images))
    assert found.groups == (*range(11), 4)
