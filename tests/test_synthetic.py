"""Simulated cells: what they promise of labels, seeds, light and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ulna import formats
from ulna.errors import UlnaError
from ulna.image import Source
from ulna.synthetic import cells, write_dataset


@pytest.mark.parametrize("size", [(96, 120), (12, 48, 40), (1, 1)])
def test_shapes_and_kinds(size: tuple[int, ...]) -> None:
    for image, labels in cells(2, size):
        assert image.shape == labels.shape == (1, *size)
        assert (image.dtype, labels.dtype) == (np.uint8, np.int32)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_labels_are_whole_nuclei_numbered_from_one(seed: int) -> None:
    ((_, labels),) = cells(1, (128, 128), seed=seed)
    found = np.unique(labels)
    assert found.tolist() == list(range(labels.max() + 1))
    for label in found[1:]:
        assert ndimage.label(labels[0] == label)[1] == 1


def test_a_seed_is_a_seed() -> None:
    three, five, other = cells(3, (64, 64)), cells(5, (64, 64)), cells(3, (64, 64), seed=1)
    for (image, labels), (again, labels_again) in zip(three, five, strict=False):
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(labels, labels_again)
    assert not np.array_equal(three[0][0], other[0][0])
    assert not np.array_equal(three[0][0], three[1][0])


def test_nuclei_are_brighter_vary_and_touch() -> None:
    pictures = cells(12, (192, 192), seed=3)
    contrasts, radii, touching = [], [], 0
    for image, labels in pictures:
        inside = labels[0] > 0
        contrasts.append(float(image[0][inside].mean() - image[0][~inside].mean()))
        radii.extend(np.sqrt(np.bincount(labels.ravel())[1:] / np.pi))
        touching += labels.max() - ndimage.label(inside, np.ones((3, 3)))[1]
    assert min(contrasts) > 10
    assert np.percentile(radii, 95) > 2 * np.percentile(radii, 15)
    assert touching > 12
    shares = [float((labels > 0).mean()) for _, labels in pictures]
    assert 0.01 < min(shares) < max(shares) < 0.6


def test_files_are_pairs(tmp_path: Path) -> None:
    write_dataset(tmp_path, 2, seed=5, size=(64, 80))
    names = [path.name for path in sorted((tmp_path / "images").iterdir())]
    assert names == [path.name for path in sorted((tmp_path / "masks").iterdir())] == ["cells_000.png", "cells_001.png"]
    for name, (image, labels) in zip(names, cells(2, (64, 80), seed=5), strict=True):
        np.testing.assert_array_equal(formats.read(Source(tmp_path / "images" / name)).array, image)
        mask = formats.read(Source(tmp_path / "masks" / name)).array
        assert set(np.unique(mask)) <= {0, 255}
        np.testing.assert_array_equal(mask > 0, labels > 0)


def test_objects_keep_their_numbers(tmp_path: Path) -> None:
    write_dataset(tmp_path, 1, size=(64, 64), objects=True)
    mask = formats.read(Source(tmp_path / "masks" / "cells_000.png")).array
    np.testing.assert_array_equal(mask, cells(1, (64, 64))[0][1])


def test_one_axis_is_no_image() -> None:
    with pytest.raises(UlnaError, match="two or three axes"):
        cells(1, (64,))
