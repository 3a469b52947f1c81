"""What is counted in masks, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.labels.statistics import MAX_INSPECTED, MAX_REGIONS, MaskStatistics


def counted(*masks: np.ndarray) -> MaskStatistics:
    seen = MaskStatistics()
    for mask in masks:
        seen.add(mask[None])
    return seen


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_neighborhoods_are_counted_as_by_hand(seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 4, (7, 9))
    seen = counted(mask)
    padded = np.pad(mask, 2, mode="edge")
    for code in np.unique(mask).tolist():
        places = np.argwhere(mask == code)
        supported, low, high = 0, 0, 0
        for y, x in places:
            steps = ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
            inside = [mask[a, b] for a, b in steps if 0 <= a < 7 and 0 <= b < 9]
            supported += sum(value != code for value in inside) <= 1
            low += padded[y : y + 5, x : x + 5].min()
            high += padded[y : y + 5, x : x + 5].max()
        values = seen.values[code]
        assert (values.pixels, values.inspected, values.masks) == (len(places), len(places), 1)
        assert (values.supported, values.low, values.high) == (supported, low, high)


def test_a_region_is_measured() -> None:
    mask = np.zeros((10, 20), np.uint8)
    mask[2:6, 4:10] = 3
    mask[2:6, 10:12] = 7
    mask[0, 0] = 7  # a crumb: 1 of 9 pixels
    seen = counted(mask)
    three, seven = sorted(seen.regions, key=lambda region: region.code)
    assert (three.code, three.mask, three.area, three.whole, three.at_border) == (3, 0, 24, True, False)
    assert three.box == ((0.2, 0.6), (0.2, 0.5))
    assert three.extent == pytest.approx((0.4, 0.3))
    assert three.center == pytest.approx((0.35, 0.325))
    assert three.contacts == {0: 16, 7: 4}  # 6 above, 6 below, 4 at the left
    assert (three.background, three.neighbor) == (0.8, 0.2)
    assert (seven.area, seven.whole, seven.at_border) == (9, False, True)
    assert seven.contacts == {0: 2 + 2 + 4 + 2, 3: 4}
    alone = seen.without({7})
    assert [region.contacts for region in alone.regions] == [{0: 20}]
    assert sorted(alone.values) == [0, 3]
    assert alone.sets == [frozenset({0, 3})]
    assert sorted(seen.values) == [0, 3, 7]


def test_bands_lie_between_two_other_values() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 2
    mask[13:27, 13:27] = 1
    seen = counted(mask)
    assert seen.values[2].bands == (mask == 2).sum()
    assert seen.values[1].bands == seen.values[0].bands == 0
    mask[13:27, 13:27] = 0
    mask[0, 0] = 1
    assert counted(mask).values[2].bands == 0  # the same on both sides


def test_masks_of_two_values_are_counted_and_not_inspected() -> None:
    seen = counted(*[np.eye(5, dtype=np.uint8)] * 3)
    assert (seen.values[1].pixels, seen.values[1].masks, seen.values[1].inspected) == (15, 3, 0)
    assert seen.regions == []


def test_so_many_masks_are_inspected_and_more_that_hold_something_new() -> None:
    usual = np.array([[0, 1], [2, 2]])
    seen = counted(*[usual] * (MAX_INSPECTED + 5), np.array([[0, 1], [2, 9]]))
    assert seen.values[1].masks == MAX_INSPECTED + 6
    assert seen.values[1].inspected == MAX_INSPECTED + 1
    assert seen.values[9].inspected == 1


def test_so_many_regions_of_a_mask_are_measured() -> None:
    seen = counted(np.arange(2 * MAX_REGIONS).reshape(20, -1))
    assert len(seen.regions) == MAX_REGIONS
    assert {region.code for region in seen.regions} >= {1, 2 * MAX_REGIONS - 1}


def test_gray_masks_among_colored_ones_are_recounted_as_colors() -> None:
    gray = np.zeros((1, 4, 4), np.uint8)
    gray[0, 0] = 255
    colored = np.zeros((3, 4, 4), np.uint8)
    colored[0, 1] = 255
    seen = MaskStatistics()
    for mask in (gray, colored, gray):
        seen.add(mask)
    assert seen.colored
    assert {code: values.pixels for code, values in seen.values.items()} == {0: 36, 0xFFFFFF: 8, 0xFF0000: 4}
    assert seen.sets == [frozenset({0, 0xFFFFFF}), frozenset({0, 0xFF0000}), frozenset({0, 0xFFFFFF})]


def test_the_two_values_of_a_mask_are_measured() -> None:
    """Whether each is in one piece, and whether the lower lies in pieces within the other."""
    one = np.full((40, 40), 5)
    one[4:10, 4:10] = 1
    two = one.copy()
    two[20:30, 20:30] = 1
    line = np.zeros((600, 600), int)
    line[100:200, 100:200] = line[400:500, 400:500] = 1
    line[np.arange(150, 450), np.arange(150, 450)] = 1  # a thread that holds them together
    pairs = counted(one, two, line).pairs
    assert [pair.whole for pair in pairs] == [(True, True), (False, True), (True, True)]
    assert [pair.holes for pair in pairs] == [False, True, False]
    moved = counted(two).with_background(5).pairs[0]
    assert (moved.low, moved.high, moved.whole, moved.holes) == (0, 1, (True, False), False)
