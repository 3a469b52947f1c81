"""Outlines along pixel edges: exact, valid polygons, as shapely sees them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from shapely.geometry import MultiPolygon, Point, Polygon

from ulna.formats.outlines.polygons import Outline, fill, outlines

MASKS = arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 0, 1, 1, 5]))


def _polygon(outline: Outline) -> MultiPolygon:
    return MultiPolygon([Polygon(piece.outer, piece.holes) for piece in outline.pieces])


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_exact_and_valid(objects: np.ndarray) -> None:
    found = {outline.number: outline for outline in outlines(objects)}
    assert set(found) == set(np.unique(objects[objects > 0]))
    for number, outline in found.items():
        mask = objects == number
        polygon = _polygon(outline)
        assert polygon.is_valid
        assert polygon.area == mask.sum()
        assert all(piece.outer.shape[0] >= 4 for piece in outline.pieces)
        assert len(outline.pieces) == ndimage.label(mask)[1]
        assert (fill(outline.rings, objects.shape) == mask).all()


@settings(max_examples=40, deadline=None)
@given(MASKS)
def test_pixel_centers_as_shapely_sees_them(objects: np.ndarray) -> None:
    for outline in outlines(objects):
        polygon = _polygon(outline)
        seen = [
            [polygon.contains(Point(x + 0.5, y + 0.5)) for x in range(objects.shape[1])]
            for y in range(objects.shape[0])
        ]
        assert (np.array(seen) == (objects == outline.number)).all()


def test_a_hole_and_a_second_piece() -> None:
    objects = np.zeros((7, 9), int)
    objects[1:6, 1:6] = 3
    objects[3, 3] = 0
    objects[0, 8] = 3
    (outline,) = outlines(objects)
    assert not outline.simple
    small, large = sorted(outline.pieces, key=lambda piece: len(piece.holes))
    assert small.outer.tolist() == [[8, 0], [9, 0], [9, 1], [8, 1]]
    assert large.outer.tolist() == [[1, 1], [6, 1], [6, 6], [1, 6]]
    assert len(large.holes) == 1
    assert Polygon(large.holes[0]).bounds == (3, 3, 4, 4)


@pytest.mark.parametrize("turned", range(4))
def test_pixels_that_share_a_corner_only_are_pieces_of_their_own(turned: int) -> None:
    objects = np.rot90(np.array([[1, 0], [0, 1]]), turned)
    (outline,) = outlines(objects)
    assert len(outline.pieces) == 2


def test_fill_cuts_off_what_lies_outside_and_takes_fractions() -> None:
    ring = np.array([[-3.0, -3.0], [2.4, -3.0], [2.4, 1.6], [-3.0, 1.6]])
    assert fill([ring], (4, 4)).astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]
    assert not fill([ring + 50], (4, 4)).any()
