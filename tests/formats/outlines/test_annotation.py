"""Annotated objects as pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.formats.outlines import coco
from ulna.formats.outlines.annotation import Annotation, paint
from ulna.formats.outlines.polygons import fill

RINGS = st.lists(st.tuples(st.floats(-9, 30), st.floats(-9, 30)), min_size=3, max_size=8).map(np.array)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(RINGS, min_size=1, max_size=2), max_size=3))
def test_the_part_that_an_object_takes_holds_all_of_it(pieces: list[list[np.ndarray]]) -> None:
    shape = (14, 20)
    expected = np.zeros(shape, bool)
    for rings in pieces:
        expected |= fill(rings, shape)
    assert (Annotation(tuple(map(tuple, pieces))).pixels(shape) == expected).all()


def test_an_object_takes_no_more_room_in_a_larger_image() -> None:
    """Thousands of objects in a large image would fill the memory, and the day."""
    square = np.array([[10.0, 20], [14, 20], [14, 23], [10, 23]])
    box, mask = Annotation(((square,),)).part((10**6, 10**6))
    assert mask.sum() == 12
    assert mask.size < 50
    assert (box[0].start, box[1].start) == (20, 10)
    shape = (10**5, 10**5)
    counts = coco.run_lengths(np.ones((3, 4), bool), shape, (50, 60))
    part, corner = coco.from_run_lengths(counts, shape)
    assert part.shape == (3, 4)
    assert corner == (50, 60)


@pytest.mark.parametrize("corner", [(2, 3), (5, 6), (9, 9)])
def test_what_lies_outside_is_cut_off(corner: tuple[int, int]) -> None:
    one = Annotation(mask=np.ones((3, 4), bool), corner=corner)
    whole = np.zeros((20, 20), bool)
    whole[corner[0] : corner[0] + 3, corner[1] : corner[1] + 4] = True
    assert (one.pixels((6, 7)) == whole[:6, :7]).all()


def test_later_objects_lie_on_earlier_ones() -> None:
    first, second = (Annotation(mask=np.ones((3, 4), bool), corner=corner) for corner in ((0, 0), (1, 2)))
    painted = paint([first, second, Annotation(), first], (5, 6))
    assert painted.numbers[0, 0] == 4
    assert painted.numbers[3, 5] == 2
    assert painted.lost == (1, 3)
    assert painted.overlapping == 12


def test_objects_without_a_pixel_are_lost_also_at_the_end() -> None:
    outside = Annotation(mask=np.ones((3, 4), bool), corner=(50, 60), name="b")
    inside = Annotation(mask=np.ones((3, 4), bool), corner=(1, 1), name="a")
    painted = paint([inside, outside, outside], (6, 7))
    assert (painted.lost, painted.names, painted.overlapping) == ((2, 3), ("a", "b", "b"), 0)
    assert paint([], (6, 7)).lost == ()


def test_a_mask_without_a_corner_begins_at_the_first_pixel() -> None:
    expected = np.zeros((3, 4), bool)
    expected[:2, :2] = True
    np.testing.assert_array_equal(Annotation(mask=np.ones((2, 2), bool)).pixels((3, 4)), expected)
