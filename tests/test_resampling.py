from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from skimage.transform import resize as skimage_resize

from ulna import resampling
from ulna.config import DataConfig
from ulna.grid import Grid
from ulna.image import IGNORE
from ulna.resampling import (
    across,
    planned_shape,
    resampled_bands,
    resampled_slabs,
    resampling_note,
    resize,
    resize_labels,
)

RNG = np.random.default_rng(0)
SIZES = st.tuples(*(st.integers(1, 14),) * 3)
CUTS = st.tuples(*(st.integers(1, 4),) * 14)
IMAGES = arrays.arrays(
    st.sampled_from([np.uint8, np.uint16, np.int32, np.float32]),
    arrays.array_shapes(min_dims=3, max_dims=3, max_side=12),
    elements=st.integers(0, 100),
)


@pytest.mark.parametrize("size", [(128, 128), (31, 40), (70, 50), (1, 1)])
def test_resize_is_scikit_images(size: tuple[int, int]) -> None:
    array = RNG.random((3, 70, 93)).astype(np.float32)
    expected = np.stack([skimage_resize(plane, size, order=1, mode="edge", anti_aliasing=True) for plane in array])
    np.testing.assert_allclose(resize(array, size, smooth=True), expected, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(array=IMAGES, height=st.integers(1, 20), width=st.integers(1, 20), smooth=st.booleans())
def test_resize_keeps_kind_and_range(array: np.ndarray, height: int, width: int, smooth: bool) -> None:
    result = resize(array, (height, width), smooth=smooth)
    assert result.shape == (len(array), height, width)
    assert result.dtype == array.dtype
    assert array.min() <= result.min()
    assert result.max() <= array.max()
    if not smooth:
        assert set(np.unique(result)) <= set(np.unique(array))


def test_nearest_twice_as_large_repeats_each_pixel() -> None:
    mask = RNG.integers(0, 3, (1, 5, 6)).astype(np.uint8)
    np.testing.assert_array_equal(resize(mask, (10, 12), smooth=False), mask.repeat(2, 1).repeat(2, 2))
    volume = mask[:, None].repeat(3, 1)
    np.testing.assert_array_equal(resize(volume, (3, 10, 12), smooth=False)[:, 1], mask.repeat(2, 1).repeat(2, 2))


@settings(max_examples=40, deadline=None)
@given(shape=SIZES, size=SIZES, band=st.integers(1, 400), thick=st.tuples(*(st.booleans(),) * 3))
def test_band_by_band_is_as_at_once(
    shape: tuple[int, ...], size: tuple[int, ...], band: int, thick: tuple[bool, ...]
) -> None:
    """Linear in one go: SciPy's own zoom after a Gaussian, and nearest along thick axes."""
    image = np.random.default_rng(1).random((2, *shape)).astype(np.float32)
    blur = [0.0 if flat else max(0.0, (old / new - 1) / 2) for old, new, flat in zip(shape, size, thick, strict=True)]
    expected = ndimage.gaussian_filter(image.astype(float), [0, *blur], mode="nearest")
    for axis, (new, flat) in enumerate(zip(size, thick, strict=True), start=1):
        factors = [1.0] * 4
        factors[axis] = new / expected.shape[axis]
        if flat:
            middles = (np.arange(new) + 0.5) * expected.shape[axis] / new
            expected = np.take(expected, middles.astype(int), axis)
        else:
            expected = ndimage.zoom(expected, factors, order=1, mode="nearest", grid_mode=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "BAND", band)
        bands = list(resampled_bands(lambda region: image[(slice(None), *region)], shape, size, thick))
    assert [row for rows, _ in bands for row in range(rows.start, rows.stop)] == list(range(size[0]))
    found = np.concatenate([values for _, values in bands], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(shape=SIZES, size=SIZES, axis=st.integers(0, 2), band=st.integers(1, 400), cuts=CUTS)
def test_slabs_are_resampled_as_the_whole(
    shape: tuple[int, ...], size: tuple[int, ...], axis: int, band: int, cuts: tuple[int, ...]
) -> None:
    """Whatever the slabs are that come in and go out; without a Gaussian, for these are no images."""
    whole = np.random.default_rng(2).random((2, *shape)).astype(np.float32)
    expected = whole.astype(float)
    for other, new in enumerate(size, start=1):
        factors = [1.0] * 4
        factors[other] = new / expected.shape[other]
        expected = ndimage.zoom(expected, factors, order=1, mode="nearest", grid_mode=True)
    ends = [end for end in np.cumsum(cuts).tolist() if end < shape[axis]]
    slabs = np.split(whole, ends, axis=1 + axis)
    found = np.full((2, *size), np.nan, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "BAND", band)
        for region, part in resampled_slabs(iter(slabs), shape, size, axis):
            assert np.isnan(found[(slice(None), *region)]).all()
            assert part.size <= 2 * max(band, prod(size) // size[axis])
            found[(slice(None), *region)] = part
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_ramp_stays_where_it_is_in_the_world() -> None:
    """Values that are world coordinates are those of the new grid: no half pixel is lost."""
    grid = Grid((12, 20, 16), (2.0, 1.0, 1.0), "mm", (5.0, -3.0, 8.0))
    ramp = np.moveaxis(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    new = grid.resampled(shape=(24, 30, 16))
    expected = np.moveaxis(new.to_world(np.moveaxis(np.indices(new.shape), 0, -1)), -1, 0)
    inner = (slice(None), *(slice(2, -2),) * 3)
    np.testing.assert_allclose(resize(ramp, new.shape, smooth=True)[inner], expected[inner], atol=1e-9)


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        ({}, (10, 100, 80)),
        ({"target_spacing": (1, 1, 1), "unit": "mm"}, (50, 80, 64)),
        ({"target_spacing": (0, 0.4, 1.6), "unit": "mm"}, (10, 200, 40)),
        ({"target_spacing": (1000, 1000, 1000), "unit": "µm"}, (50, 80, 64)),
        ({"target_spacing": (1, 1, 1), "unit": "pixel"}, (10, 100, 80)),  # nobody knows what a pixel is
        ({"target_spacing": (1, 1), "unit": "mm"}, (10, 100, 80)),
        ({"target_spacing": None}, (10, 100, 80)),
        ({"resize": (20, 30, 40)}, (20, 30, 40)),
        ({"resize": (30, 40), "slices": 0}, (10, 30, 40)),
        ({"resize": (30, 40), "slices": 2}, (30, 40, 80)),
        ({"resize": (30, 40)}, (10, 100, 80)),
    ],
)
def test_the_shape_at_which_a_volume_is_seen(words: dict[str, object], shape: tuple[int, ...]) -> None:
    assert planned_shape(Grid((10, 100, 80), (5, 0.8, 0.8), "mm"), DataConfig(**words)) == shape


def test_what_is_said_of_an_image_of_unknown_spacing() -> None:
    data = DataConfig(target_spacing=(2, 1, 1), unit="mm")
    assert resampling_note(Grid((4, 5, 6)), data).endswith("trained on: 2 × 1 × 1 mm")
    assert resampling_note(Grid((4, 5, 6), unit="mm"), data) == ""
    assert resampling_note(Grid((5, 6)), data) == ""
    assert resampling_note(Grid((4, 5, 6)), DataConfig()) == ""
    slices = DataConfig(target_spacing=(0, 1, 1), unit="mm", slices=0)
    assert resampling_note(Grid((5, 6)), slices).endswith("trained on: 1 × 1 mm")
    assert resampling_note(Grid((4, 5, 6)), DataConfig(target_spacing=(1, 1), unit="mm")).startswith("does not say")
    unknown = DataConfig(target_spacing=(2, 2), unit="pixel")
    assert resampling_note(Grid((5, 6), unit="mm"), unknown).startswith("says in mm how large its voxels are")


@pytest.mark.parametrize(("axis", "shape"), [(0, (50, 40)), (1, (100, 40)), (2, (100, 20))])
def test_a_slice_by_itself_is_seen_as_those_of_volumes(axis: int, shape: tuple[int, ...]) -> None:
    """As `planned_shape` of a volume of one such slice, less its axis."""
    sides = [1.0, 2.0, 1.0]
    target = tuple(0.0 if k == axis else side for k, side in enumerate(sides))
    data = DataConfig(target_spacing=target, unit="mm", slices=axis)
    plane = Grid((100, 50), (1.0, 0.8), "mm")
    own, whole = [1.0, 0.8], [100, 50]
    own.insert(axis, 5.0)
    whole.insert(axis, 1)
    volume = list(planned_shape(Grid(tuple(whole), tuple(own), "mm"), data))
    assert volume.pop(axis) == 1
    assert planned_shape(plane, data) == tuple(volume) == shape


def test_thick_axes() -> None:
    assert across(Grid((5, 5, 5), (1, 3.1, 1))) == (False, True, False)
    assert across(Grid((5, 5), (1, 3.0))) == (False, False)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("new", [4, 7, 9, 16, 20, 33])
def test_each_annotated_slice_is_there_on_another_grid(axis: int, new: int) -> None:
    """Every fifth slice is annotated, each with objects of its own numbers."""
    labels = np.full((2, 20, 20, 20), IGNORE, np.int32)
    labels[1] = 0
    annotated = range(2, 20, 5)
    for number, place in enumerate(annotated, start=1):
        plane = np.moveaxis(labels, 1 + axis, 1)[:, place]
        plane[0], plane[1] = number % 2, number
    size = tuple(new if k == axis else 20 for k in range(3))
    found = np.moveaxis(resize_labels(labels, size), 1 + axis, 1)
    assert set(np.unique(found[1])) - {0} == set(range(1, 5))
    for number, place in enumerate(annotated, start=1):
        (where,) = np.nonzero((found[1] == number).all(axis=(1, 2)))
        middle = (place + 0.5) * new / 20 - 0.5
        assert np.abs(where - middle).min() <= 0.5 + 1e-9  # the plane in which it lies
        assert (found[0, where] == number % 2).all()
    assert ((found[1] > 0) == (found[0] != IGNORE)).all()


def test_a_scribble_is_not_torn_on_a_coarser_grid() -> None:
    labels = np.full((1, 30, 30), IGNORE, np.uint8)
    labels[0, np.arange(30), np.arange(30)] = 1
    found = resize_labels(labels, (10, 10))
    assert (found[0][np.eye(10, dtype=bool)] == 1).all()
    assert (found[0][~np.eye(10, dtype=bool)] == IGNORE).all()


def test_of_dense_labels_what_is_not_annotated_stays() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (1, 30, 30)).astype(np.uint8)
    labels[0, 10:20, ::3] = IGNORE
    np.testing.assert_array_equal(resize_labels(labels, (11, 13)), resize(labels, (11, 13), smooth=False))
