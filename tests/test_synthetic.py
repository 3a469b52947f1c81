"""Simulated images: what they promise of labels, seeds, light and files."""

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
from ulna.layouts import read_dataset
from ulna.synthetic import VOXEL, cells, organs, write_dataset, write_volumes


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


def test_an_organ_is_one_piece_brighter_than_the_body_and_has_a_rival() -> None:
    """A spleen is nearly as bright: what is learned is more than a threshold."""
    alike = []
    for image, labels in organs(6, (24, 48, 48), seed=2):
        assert (image.dtype, labels.dtype) == (np.int16, np.uint8)
        assert image.shape == labels.shape == (1, 24, 48, 48)
        inside = labels[0] == 1
        components, _ = ndimage.label(inside)
        assert np.bincount(components.ravel())[1:].max() > 0.97 * inside.sum()
        assert 0.02 < inside.mean() < 0.2
        low, high = np.percentile(image[0][inside], (10, 90))
        alike.append(((image[0] > low) & (image[0] < high) & ~inside).sum() / inside.sum())
        assert image[0][inside].mean() > 1.3 * image[0][~inside].mean()
    assert np.mean(alike) > 0.05


def test_a_seed_of_volumes_is_a_seed() -> None:
    two, three, other = organs(2, (8, 16, 16)), organs(3, (8, 16, 16)), organs(1, (8, 16, 16), seed=1)
    for (image, labels), (again, labels_again) in zip(two, three, strict=False):
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(labels, labels_again)
    assert not np.array_equal(two[0][0], two[1][0])
    assert not np.array_equal(two[0][0], other[0][0])


def test_files_of_volumes_are_pairs_with_the_size_of_voxels(tmp_path: Path) -> None:
    write_volumes(tmp_path, 2, size=(8, 16, 20))
    found = read_dataset(tmp_path)
    assert [case.name for case in found.cases] == ["subject_000", "subject_001"]
    for case, (image, labels) in zip(found.cases, organs(2, (8, 16, 20)), strict=True):
        read = formats.read(case.images[0])
        assert (read.grid.spacing, read.grid.unit) == (VOXEL, "mm")
        np.testing.assert_array_equal(read.array, image)
        np.testing.assert_array_equal(formats.read(case.truth[0]).array, labels)


def test_what_is_no_volume() -> None:
    for size in ((64, 64), (4, 64, 64)):
        with pytest.raises(UlnaError, match="three axes of at least 8"):
            organs(1, size)
    with pytest.raises(UlnaError, match="whole number"):
        organs(1, seed=-1)
