"""Pictures of objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import zoom

from ulna.figures.colors import COLORS, DARK, FATES, NOT_ANNOTATED
from ulna.figures.common import outlined
from ulna.figures.objects import fate_panels, neighbor_colors, objects_overlay, sizes_picture
from ulna.formats import read
from ulna.image import IGNORE, Source


def _labels(objects: np.ndarray) -> np.ndarray:
    """Numbers of objects of one class, as labels."""
    return np.stack([(objects > 0).astype(objects.dtype), objects])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_objects_that_touch_differ_in_color(seed: int) -> None:
    objects = zoom(np.random.default_rng(seed).permutation(64).reshape(8, 8), 5, order=0)
    chosen = neighbor_colors(objects)[objects]
    for axis in (0, 1):
        different = np.diff(objects, axis=axis) != 0
        both = np.minimum(*(np.take(objects, range(s, 39 + s), axis=axis) for s in (0, 1))) > 0
        assert (np.diff(chosen, axis=axis) != 0)[different & both].all()


def test_all_colors_are_used_and_gaps_in_numbers_do_not_matter() -> None:
    objects = np.zeros((5, 100), int)
    objects[:, ::10] = 3 * np.arange(1, 11)
    assert set(neighbor_colors(objects)[objects[objects > 0]].tolist()) == set(range(len(COLORS)))
    assert neighbor_colors(np.zeros((4, 4), int)).tolist() == [0]


@pytest.mark.parametrize(("gap", "differ"), [(1, True), (4, True), (5, False)])
def test_objects_up_to_four_pixels_apart_differ_in_color(gap: int, differ: bool) -> None:
    """The eighth object would have the color of the first."""
    for axis in (0, 1):
        objects = np.zeros((30, 200), int)
        objects[5:10, 5:10] = 1
        objects[20:25, 40:180:20] = np.arange(2, 9)
        objects[20:25, 160] = 0
        place = [slice(5, 10), slice(5, 10)]
        place[axis] = slice(10 + gap, 15 + gap)
        objects[tuple(place)] = 8
        colors = neighbor_colors(objects)
        assert colors[:8].tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
        assert colors[8] == (1 if differ else 0)


@pytest.mark.parametrize(("side", "width", "border"), [(600, 2, 1), (1700, 4, 2)])
def test_lines_are_as_wide_as_the_image_is_large(side: int, width: int, border: int) -> None:
    objects = np.zeros((side, side), int)
    objects[100:200, 100:200] = 1
    drawn = outlined(np.full((side, side, 3), 100, np.uint8), objects, np.array([[0, 0, 0], [255, 0, 0]]))[150, :150]
    line = (drawn == (255, 0, 0)).all(axis=1)
    assert np.flatnonzero(line).tolist() == list(range(100, 100 + width))
    assert np.flatnonzero((drawn == DARK).all(axis=1)).tolist() == list(range(100 - border, 100))


def test_lines_lie_on_the_objects_and_touching_ones_are_parted() -> None:
    rgb = np.full((9, 20, 3), 100, np.uint8)
    objects = np.zeros((9, 20), int)
    objects[2:7, 2:9], objects[2:7, 9:18] = 1, 2
    shades = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]])
    drawn = outlined(rgb, objects, shades)
    assert drawn[4, 8].tolist() == [255, 0, 0]
    assert drawn[4, 9].tolist() == [0, 0, 255]
    assert drawn[4, 5].tolist() == [131, 80, 80]  # a fifth of red
    assert drawn[0, 0].tolist() == [100] * 3
    assert drawn[1, 5].max() < 50  # the dark border outside
    assert (rgb == 100).all()


def test_numbers_are_drawn_on_an_enlarged_picture() -> None:
    rgb = np.zeros((40, 60, 3), np.uint8)
    objects = np.zeros((40, 60), int)
    objects[5:30, 10:50] = 7
    picture = objects_overlay(rgb, objects, numbers=True)
    assert picture.shape == (640, 960, 3)
    middle = picture[200:360, 400:560]
    assert (middle == 255).all(axis=-1).any()  # white strokes of the number
    assert objects_overlay(rgb, objects).shape == rgb.shape
    assert objects_overlay(rgb, objects * 0, numbers=True).shape == (640, 960, 3)


def test_fates_are_told_apart() -> None:
    truth = np.zeros((60, 80), int)
    truth[5:20, 5:25], truth[5:20, 25:45], truth[30:50, 5:25], truth[30:50, 40:60] = 1, 2, 3, 5
    found = np.zeros_like(truth)
    found[5:20, 5:45], found[30:40, 5:25], found[40:50, 5:25], found[5:20, 60:75] = 1, 2, 3, 9
    true, seen = fate_panels(np.zeros((60, 80, 3), np.uint8), _labels(truth), _labels(found))
    lines = {"merged": (5, 10), "split": (30, 10), "missed": (30, 50)}
    assert {fate: tuple(true[place].tolist()) for fate, place in lines.items()} == {fate: FATES[fate] for fate in lines}
    lines = {"merged": (5, 40), "split": (40, 10), "false positive": (5, 65)}
    assert {fate: tuple(seen[place].tolist()) for fate, place in lines.items()} == {fate: FATES[fate] for fate in lines}
    same, _ = fate_panels(np.zeros((60, 80, 3), np.uint8), _labels(truth), _labels(truth))
    assert tuple(same[5, 10].tolist()) == FATES["found"]
    nothing, _ = fate_panels(np.full((60, 80, 3), 9, np.uint8), _labels(truth * 0), _labels(found))
    assert (nothing == 9).all()


def test_fates_are_those_of_the_scores_whatever_part_is_drawn() -> None:
    truth, found = np.zeros((3, 40, 40), int), np.zeros((3, 40, 40), int)
    truth[:, 10:20, 10:20], found[0, 10:20, 10:20] = 1, 1  # a third of a volume: the plane alone would be found
    image = np.zeros((20, 20, 3), np.uint8)
    true, seen = fate_panels(image, _labels(truth), _labels(found), (0, slice(None, None, 2), slice(None, None, 2)))
    assert tuple(true[5, 5].tolist()) == FATES["missed"]
    assert tuple(seen[5, 5].tolist()) == FATES["false positive"]


def test_an_object_of_another_class_is_not_found_and_what_nobody_annotated_is_not_wrong() -> None:
    numbers = np.zeros((40, 40), int)
    numbers[5:15, 5:15], numbers[20:30, 20:30] = 1, 2
    truth, found = _labels(numbers), _labels(numbers)
    found[0][numbers == 1] = 2
    truth[:, 20:30, 20:30] = np.array([IGNORE, 0])[:, None, None]
    true, seen = fate_panels(np.zeros((40, 40, 3), np.uint8), truth, found)
    assert tuple(true[5, 10].tolist()) == FATES["missed"]
    assert tuple(seen[5, 10].tolist()) == FATES["false positive"]
    assert tuple(seen[20, 25].tolist()) == NOT_ANNOTATED


def test_huge_numbers_and_long_images_take_no_more_room() -> None:
    objects = np.zeros((6, 3000), np.int32)
    objects[1:5, 10:2000], objects[1:5, 2000:2900] = 2**31 - 1, 5
    picture = objects_overlay(np.zeros((6, 3000, 3), np.uint8), objects, numbers=True)
    assert picture.shape == (6, 3000, 3)
    assert objects_overlay(np.zeros((6, 2000, 3), np.uint8), objects[:, :2000], numbers=True).shape == (12, 4000, 3)
    assert tuple(picture[1, 500].tolist()) in COLORS
    for panel in fate_panels(np.zeros((6, 3000, 3), np.uint8), _labels(objects), _labels(objects)):
        assert tuple(panel[1, 500].tolist()) == FATES["found"]


def test_histogram_of_sizes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = sizes_picture(tmp_path / "s.png", {"area [µm²]": {"nucleus": rng.lognormal(5, 1, 400), "none": []}})
    empty = sizes_picture(tmp_path / "e.png", {})
    same = sizes_picture(tmp_path / "o.png", {"area [pixel²]": {"a": [4, 4]}})
    assert all(one.stat().st_size > 3000 for one in (path, empty, same))


def test_sizes_of_several_kinds_have_axes_of_their_own(tmp_path: Path) -> None:
    sizes = {"area [µm²]": {"a": [4, 5]}, "area [pixel²]": {"a": [400, 500]}}
    one = read(Source(sizes_picture(tmp_path / "1.png", dict(list(sizes.items())[:1]))))
    two = read(Source(sizes_picture(tmp_path / "2.png", sizes)))
    assert two.shape == (2 * one.shape[0], one.shape[1])
