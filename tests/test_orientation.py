"""Volumes are turned upright, and back."""

from __future__ import annotations

import math
from itertools import permutations, product

import numpy as np
import pytest

from ulna.grid import Grid
from ulna.orientation import Orientation, orientation


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("turned", list(product((False, True), repeat=3)))
def test_a_volume_is_turned_upright_however_it_is_stored(order: tuple[int, ...], turned: tuple[bool, ...]) -> None:
    """Of 48 ways to store it each is found, and each pixel keeps its place in the world."""
    array = np.arange(2 * 3 * 4).reshape(1, 2, 3, 4)
    tilt = 0.2
    direction = ((1, 0, 0), (0, math.cos(tilt), -math.sin(tilt)), (0, math.sin(tilt), math.cos(tilt)))
    upright = Grid((2, 3, 4), (3.0, 0.5, 0.7), "mm", (10.0, -5.0, 2.0), direction)
    way = Orientation(order, turned)
    stored, grid = way.apply(array), way.grid(upright)
    back = orientation(grid)
    np.testing.assert_array_equal(back.apply(stored), array)
    np.testing.assert_array_equal(back.undo(back.apply(stored)), stored)
    found = back.grid(grid)
    assert (found.shape, found.spacing, found.unit) == (upright.shape, upright.spacing, "mm")
    np.testing.assert_allclose(found.to_world([[0, 0, 0], [1, 2, 3]]), upright.to_world([[0, 0, 0], [1, 2, 3]]))
    for value in (0, 7, 23):  # the place in the world of a pixel is that before
        places = [np.argwhere(one[0] == value)[0] for one in (array, stored)]
        np.testing.assert_allclose(upright.to_world(places[0]), grid.to_world(places[1]))
    region = (slice(1, 2), slice(0, 2), slice(1, 4))
    before = stored[(slice(None), *back.before(region, found.shape))]
    np.testing.assert_array_equal(back.apply(before), array[(slice(None), *region)])


def test_planes_and_volumes_without_a_place_are_not_turned() -> None:
    assert not orientation(Grid((4, 5))).changes
    assert not orientation(Grid((3, 4, 5))).changes
    assert not orientation(Grid((4, 5), direction=((0, 0), (0, -1), (1, 0)), origin=(1, 2, 3))).changes
