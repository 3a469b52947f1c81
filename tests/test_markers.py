"""Objects with a marker and no segmentation."""

from __future__ import annotations

import numpy as np
import pytest

from ulna.image import Array
from ulna.markers import not_annotated, unsegmented


def scene(ndim: int) -> tuple[Array, Array]:
    """An object that holds its marker at one end, 6 pixels long, and a marker in the open."""
    objects, markers = np.zeros((20,) * ndim, np.int32), np.zeros((20,) * ndim, np.int32)
    objects[(slice(2, 3),) * (ndim - 1) + (slice(2, 8),)] = 70_000
    markers[(2,) * ndim], markers[(12,) * ndim] = 3, 9
    return objects, markers


@pytest.mark.parametrize("ndim", [2, 3])
def test_around_a_marker_without_object_nothing_is_known(ndim: int) -> None:
    objects, markers = scene(ndim)
    assert unsegmented(objects, markers) == [9]
    distance = np.sqrt(sum((axis - 12) ** 2 for axis in np.indices(objects.shape)))
    np.testing.assert_array_equal(not_annotated(objects, markers), distance <= 5)
    objects[(slice(12, 13),) * (ndim - 1) + (slice(14, 16),)] = 1  # another object keeps its pixels
    np.testing.assert_array_equal(not_annotated(objects, markers), (distance <= 5) & (objects == 0))


def test_a_marker_lies_in_an_object_with_more_than_half_of_its_pixels() -> None:
    objects, markers = np.zeros((4, 8), np.int32), np.zeros((4, 8), np.int32)
    markers[1, 1:5] = 2
    objects[1, 1:3] = 1
    assert unsegmented(objects, markers) == [2]
    objects[1, 3] = 1
    assert unsegmented(objects, markers) == []
    assert not not_annotated(objects, markers).any()


def test_where_no_object_has_a_marker_only_the_objects_are_annotated() -> None:
    objects, markers = scene(2)
    markers[2, 2] = 0
    np.testing.assert_array_equal(not_annotated(objects, markers), objects == 0)
    np.testing.assert_array_equal(not_annotated(objects * 0, markers), np.ones_like(objects, bool))
    full = np.ones_like(objects)
    assert unsegmented(full, markers) == []
