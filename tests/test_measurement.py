"""Measurements of objects: by hand, and against numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.ndimage import zoom

from ulna import measurement
from ulna.errors import UlnaError
from ulna.formats.base import RGB
from ulna.image import Channel, Grid, Image, Labels, Region
from ulna.measurement import measure_by_region, measure_objects, together


def _labels(objects: np.ndarray, spacing: tuple[float, ...] = (), unit: str = "pixel") -> Labels:
    objects = objects.astype(np.int32)
    grid = Grid(objects.shape, spacing or (1.0,) * objects.ndim, unit)
    return Labels((objects > 0).astype(np.uint8), objects, grid, ("background", "nucleus"))


def _rectangles() -> np.ndarray:
    objects = np.zeros((20, 30), int)
    objects[2:6, 3:13], objects[6:12, 3:9], objects[15:20, 25:28] = 3, 9, 4
    return objects


def test_rectangles_by_hand() -> None:
    table = measure_objects(_labels(_rectangles(), (0.5, 0.5), "µm"))
    assert table["object"].tolist() == [3, 4, 9]
    assert table["class"].tolist() == ["nucleus"] * 3
    assert table["area"].tolist() == [10, 3.75, 9]
    assert table["centroid_y"].tolist() == [1.75, 8.5, 4.25]
    assert table["centroid_x"].tolist() == [3.75, 13, 2.75]
    box = [table[f"bbox_{name}"].tolist() for name in ("y_start", "y_end", "x_start", "x_end")]
    assert box == [[2, 15, 6], [6, 20, 12], [3, 25, 3], [13, 28, 9]]
    assert table["touches_border"].tolist() == [False, True, False]
    assert table["neighbors"].tolist() == [1, 0, 1]
    assert table["solidity"].tolist() == [1, 1, 1]
    assert table["perimeter"].tolist() == [0.5 * 24, 0.5 * 12, 0.5 * 20]  # through the middles of the border pixels
    assert table["major_axis"][0] == pytest.approx(4 * np.sqrt((10**2 - 1) / 12 * 0.25))
    assert table["eccentricity"][2] == 0
    assert table["unit"].tolist() == ["µm"] * 3


def test_pixels_that_are_not_square() -> None:
    table = measure_objects(_labels(_rectangles(), (2.0, 0.5), "mm"))
    assert table["area"].tolist() == [40, 15, 36]
    assert np.isnan(table["perimeter"]).all()
    rounded = measure_objects(_labels(_rectangles(), (0.5, 0.50001), "mm"))
    assert rounded["perimeter"] == pytest.approx([0.5 * 24, 0.5 * 12, 0.5 * 20], rel=1e-4)


def test_the_highest_number_takes_no_more_room_than_any_other() -> None:
    objects = _rectangles()
    objects[objects == 9] = 2**31 - 1
    table = measure_objects(_labels(objects))
    assert table["object"].tolist() == [3, 4, 2**31 - 1]
    assert table["area"].tolist() == [40, 15, 36]
    assert table["neighbors"].tolist() == [1, 0, 1]
    volume = np.stack([objects * 0, objects, objects * 0])
    assert measure_objects(_labels(volume))["object"].tolist() == [3, 4, 2**31 - 1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(16, 20), (8, 12, 8)]), st.integers(1, 3))
def test_as_numpy(seed: int, shape: tuple[int, ...], channels: int) -> None:
    rng = np.random.default_rng(seed)
    objects = zoom(np.maximum(rng.integers(-2, 6, [side // 4 for side in shape]), 0), 4, order=0) * 7
    pixels = rng.integers(0, 65535, (channels, *shape)).astype(np.uint16)
    names = ["dapi", "gfp", "rfp"][:channels]
    table = measure_objects(_labels(objects), Image(pixels, channels=tuple(Channel(name) for name in names)))
    numbers = np.unique(objects[objects > 0])
    assert table["object"].tolist() == numbers.tolist()
    assert {len(column) for column in table.values()} == {len(numbers)}
    for k, name in enumerate(names):
        start = f"{name}_" if channels > 1 else ""
        inside = [pixels[k][objects == number].astype(float) for number in numbers]
        for what, function in {
            "mean": np.mean,
            "min": np.min,
            "max": np.max,
            "std": np.std,
            "integrated": np.sum,
        }.items():
            expected = [function(one) for one in inside]
            assert table[f"{start}intensity_{what}"] == pytest.approx(expected)
    padded = np.pad(objects, 1)
    near = []
    for number in numbers:
        here = np.argwhere(padded == number)
        around = {
            int(padded[tuple(place + np.array(step) - 1)]) for place in here for step in np.ndindex(*(3,) * len(shape))
        }
        near.append(len(around - {0, number}))
    assert table["neighbors"].tolist() == near


def test_a_ball_in_3d() -> None:
    z, y, x = np.indices((24, 48, 48))
    ball = ((z - 12) * 2) ** 2 + (y - 24) ** 2 + (x - 24) ** 2 < 18**2
    table = measure_objects(_labels(ball.astype(int), (2.0, 1.0, 1.0), "µm"))
    assert table["volume"][0] == pytest.approx(4 / 3 * np.pi * 18**3, rel=0.02)
    assert table["surface"][0] == pytest.approx(4 * np.pi * 18**2, rel=0.12)
    assert table["centroid_z"][0] == pytest.approx(24)
    assert table["solidity"][0] > 0.9
    assert "perimeter" not in table


def test_objects_too_flat_for_a_hull_and_one_that_fills_the_image() -> None:
    objects = np.zeros((3, 3, 3), int)
    objects[1, 1, 1] = 1
    flat = measure_objects(_labels(objects))
    assert np.isnan(flat["solidity"][0])
    assert flat["volume"].tolist() == [1]
    full = measure_objects(_labels(np.ones((4, 4), int)))
    assert full["touches_border"].tolist() == [True]
    assert full["neighbors"].tolist() == [0]


def test_no_object_and_several_images_together() -> None:
    empty = measure_objects(_labels(np.zeros((4, 4), int)), Image(np.zeros((1, 4, 4), np.uint8)))
    assert {len(column) for column in empty.values()} == {0}
    some = measure_objects(_labels(_rectangles()))
    table = together({"a": some, "b": empty, "c": some})
    assert table["image"].tolist() == ["a"] * 3 + ["c"] * 3
    assert next(iter(table)) == "image"
    assert table["area"].tolist() == some["area"].tolist() * 2
    assert np.isnan(table["intensity_mean"]).all()


def test_bad_input() -> None:
    labels = _labels(_rectangles())
    with pytest.raises(UlnaError, match="the image has 3 × 3 pixels, its mask 20 × 30"):
        measure_objects(labels, Image(np.zeros((1, 3, 3), np.uint8)))
    with pytest.raises(UlnaError, match="no objects"):
        measure_objects(replace(labels, objects=None))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([(40, 53), (9, 20, 22)]), st.sampled_from([8, 17, 64]), st.booleans())
def test_measured_by_region_as_in_one_piece(seed: int, shape: tuple[int, ...], block: int, gray: bool) -> None:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    objects = np.asarray(ndimage.label(smooth > 0.02)[0] * 3, np.int32)
    classes = ((1 + objects % 2) * (objects > 0)).astype(np.uint8)
    grid = Grid(shape, (2.0, 0.5, 0.5)[-len(shape) :], "µm")
    labels = Labels(classes, objects, grid, ("background", "a", "b"))
    colors = rng.integers(0, 255, (3, *shape)).astype(np.uint8)
    image = Image(np.repeat(colors[:1], 3, axis=0) if gray else colors, grid, RGB)
    if not gray:
        image.array[:, : shape[0] // 2] = image.array[:1, : shape[0] // 2]  # gray in part, and not as a whole

    def cut(region: Region) -> Labels:
        return replace(
            labels, classes=classes[region].astype(np.uint8), objects=objects[region], grid=grid.crop(region)
        )

    def pixels(region: Region) -> Image:
        return Image(image.array[(slice(None), *region)], grid.crop(region), RGB)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measurement, "BLOCK", block)
        patch.setattr(measurement, "BAND", 200)
        found = measure_by_region(cut, grid, pixels)
    expected = measure_objects(labels, image)
    assert list(found) == list(expected)
    assert ("intensity_mean" in found) == gray
    for name, column in expected.items():
        if column.dtype.kind == "f":
            np.testing.assert_allclose(found[name], column, rtol=1e-6, atol=1e-9, err_msg=name)
        else:
            assert found[name].tolist() == column.tolist(), name


def test_nothing_is_measured_by_region_as_nothing() -> None:
    grid = Grid((20, 30))
    labels = Labels(np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.int32), grid)

    def cut(region: Region) -> Labels:
        return replace(labels, classes=labels.classes[region], objects=labels.objects[region], grid=grid.crop(region))

    found = measure_by_region(cut, grid)
    assert {name: len(column) for name, column in found.items()} == dict.fromkeys(measure_objects(labels), 0)


def test_a_gray_image_in_color_is_measured_once() -> None:
    objects = np.array([[1, 1, 0], [0, 2, 2]], np.int32)
    labels = Labels((objects > 0).astype(np.uint8), objects)
    gray = np.array([[[5, 7, 9], [0, 2, 4]]], np.uint8)
    table = measure_objects(labels, Image(np.repeat(gray, 3, axis=0), channels=RGB))
    assert table["intensity_mean"].tolist() == [6.0, 3.0]
    assert not [name for name in table if name.startswith("red")]
    assert list(table) == list(measure_objects(labels, Image(gray)))
