"""Equal and nearly equal pictures are found; similar ones are not taken for the same."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from scipy import ndimage

from small_images import cells, names
from ulna.dataset import load_image
from ulna.image import Array
from ulna.layouts import read_dataset
from ulna.leaks import DUPLICATE, NEAR_DUPLICATE, find_groups
from ulna.leaks.duplicates import SAME_PICTURE, digest, equal_pixels, same_picture, thumbnail


def jpeg(image: Array) -> Array:
    packed = io.BytesIO()
    Pillow.fromarray(image[0]).save(packed, "JPEG", quality=60)
    return np.asarray(Pillow.open(packed))[None]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), gain=st.floats(0.4, 1.5), level=st.floats(0, 30))
def test_another_brightness_is_the_same_picture(seed: int, gain: float, level: float) -> None:
    image = cells((150, 170), seed)
    images = [image, cells((150, 170), seed + 1), (image * gain + level).clip(0, 255).astype(np.uint8)]
    found = find_groups(images, names(images))
    assert found.groups == (0, 1, 0)
    assert found.pairs[0].kind in (NEAR_DUPLICATE, DUPLICATE)


@pytest.mark.parametrize(
    "change",
    [
        jpeg,
        lambda image: image[:, ::-1],
        lambda image: np.rot90(image, 1, (1, 2)),
        lambda image: np.rot90(image[:, :, ::-1], 1, (1, 2)),
        lambda image: image.astype(np.uint16) * 257,
        lambda image: np.repeat(image, 3, axis=0),
        lambda image: ndimage.zoom(image.astype(float), (1, 0.6, 0.6), order=1),
        lambda image: image + np.random.default_rng(0).normal(0, 2, image.shape),
    ],
    ids=["jpeg", "flipped", "turned", "both", "16 bit", "rgb", "smaller", "noisier"],
)
def test_changed_copies_are_found(change: object) -> None:
    assert callable(change)
    image = cells((200, 200), 11)
    images = [image, *(cells((200, 200), seed) for seed in range(5)), change(image)]
    assert find_groups(images, names(images)).groups == (0, 1, 2, 3, 4, 5, 0)


def test_equal_pixels_in_another_dtype_or_shape_are_not_equal_files() -> None:
    image = cells((64, 64), 1)
    prints = [
        digest(image),
        digest(image.astype(np.uint16)),
        digest(image.reshape(1, 32, 128)),
        digest(image.copy()),
    ]
    assert list(equal_pixels(prints)) == [(0, 3)]
    assert digest(np.zeros((1, 5, 5))) == b""


def test_volumes_are_compared_with_volumes() -> None:
    volume = cells((24, 64, 64), 4, spots=30)
    stack = [thumbnail(volume), thumbnail(volume[:, 5]), thumbnail(volume[:, ::-1])]
    assert [(a, b) for a, b, _ in same_picture(stack)] == [(0, 2)]


def dense(thumbnails: list[Array]) -> dict[tuple[int, int], float]:
    """All images beside all others at once, both ways round."""
    stack = np.stack(thumbnails)
    turned = [np.rot90(base, k, (-2, -1)) for base in (stack, stack[..., ::-1]) for k in range(4)]
    flat = stack.reshape(len(stack), -1)
    best = np.max([flat @ other.reshape(len(stack), -1).T for other in turned], axis=0)
    best = np.triu(np.maximum(best, best.T), 1)
    return {(int(a), int(b)): float(best[a, b]) for a, b in np.argwhere(best >= SAME_PICTURE)}


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ulna.leaks.duplicates.BLOCK", block)
    draw = np.random.default_rng(block)
    images = [cells((90, 80), seed) for seed in range(12)]
    images += [np.rot90(images[k], draw.integers(4), (1, 2)) for k in draw.integers(0, 12, 10)]
    thumbnails = [thumbnail(image) for image in images]
    found = {(a, b): strength for a, b, strength in same_picture(thumbnails)}
    assert found == pytest.approx(dense(thumbnails), abs=1e-5)
    assert list(found) == sorted(found)
    assert len(found) >= 10


def test_blocks_change_nothing_on_real_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ulna.leaks.duplicates.BLOCK", 50)
    images = [load_image(case).array for case in read_dataset(data / "dsb2018").cases[:120]]
    thumbnails = [thumbnail(image) for image in [*images, images[3][:, ::-1]]]
    found = {(a, b): strength for a, b, strength in same_picture(thumbnails)}
    assert found == pytest.approx(dense(thumbnails), abs=1e-5)
    assert (3, 120) in found


def test_memory_grows_with_the_number_of_images_not_its_square() -> None:
    thumbnails = list(np.random.default_rng(0).normal(size=(6000, 4, 4)).astype(np.float32))
    thumbnails = [t / np.linalg.norm(t) for t in thumbnails]
    tracemalloc.start()
    for _ in same_picture(thumbnails):
        continue
    assert tracemalloc.get_traced_memory()[1] < 40e6  # a matrix of all pairs takes 144 MB
    tracemalloc.stop()


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 7), (1, 5, 5), (2, 3, 4, 5), (1, 300, 2)])
def test_no_shape_is_too_odd(shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 60_000, shape).astype(np.uint16), np.full(shape, np.nan), cells((64, 64), 0)]
    assert find_groups(images, names(images)).groups == (0, 1, 2)
