from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.errors import UlnaError
from ulna.inference.tiles import mirrored, plan_tiles, window
from ulna.networks.geometry import Geometry

GEOMETRIES = [Geometry(4, 12), Geometry(1, 0), Geometry(8, 30, 28, 60)]


@given(
    st.sampled_from(GEOMETRIES),
    st.lists(st.integers(1, 150), min_size=2, max_size=3),
    st.integers(72, 200),
    st.integers(0, 16),
)
@settings(max_examples=60, deadline=None)
def test_every_pixel_is_kept_once_and_knows_its_surroundings(
    geometry: Geometry, shape: list[int], tile: int, margin: int
) -> None:
    tiling = plan_tiles(tuple(shape), geometry, tile=tile, margin=margin)
    seen = np.zeros(shape, int)
    lead = geometry.shrink or margin
    for one in tiling.tiles:
        seen[one.target] += 1
        for axis, size in enumerate(tiling.size):
            start, source, target = one.start[axis], one.source[axis], one.target[axis]
            # what is kept comes from where it goes
            assert start + geometry.shrink + source.start == target.start
            assert source.stop - source.start == target.stop - target.start
            assert (start + lead) % geometry.stride == 0
            assert geometry.fits(size)
            if not geometry.shrink:  # inside the image, a halo is thrown away on both sides
                assert source.start >= geometry.halo or start == -lead
                assert size - source.stop >= geometry.halo or target.stop == shape[axis]
            assert source.stop <= size - 2 * geometry.shrink
    assert (seen == 1).all()


def test_one_tile_where_it_suffices() -> None:
    tiling = plan_tiles((30, 50), Geometry(16, 90), tile=256, margin=8)
    assert len(tiling.tiles) == 1
    assert tiling.size == (48, 80)


def test_the_papers_tile() -> None:
    # figure 2: 388×388 pixels are segmented from 572×572
    tiling = plan_tiles((388, 388), Geometry(16, 92, 92, 188), tile=572, margin=0)
    assert tiling.size == (572, 572)
    assert tiling.tiles[0].start == (-92, -92)


def test_a_tile_below_the_receptive_field_is_refused_with_the_least_that_works() -> None:
    with pytest.raises(UlnaError, match="at least 200"):
        plan_tiles((1000, 1000), Geometry(8, 92), tile=128, margin=0)
    plan_tiles((1000, 1000), Geometry(8, 92), tile=207, margin=0)


@given(st.integers(-300, 300), st.integers(1, 200), st.integers(2, 40))
@settings(max_examples=50, deadline=None)
def test_mirrored_as_numpy_pads(start: int, length: int, size: int) -> None:
    axis = np.pad(np.arange(size), 700, mode="reflect")
    np.testing.assert_array_equal(mirrored(start, length, size), axis[700 + start : 700 + start + length])


def test_window_inside_and_outside() -> None:
    image = np.arange(2 * 5 * 6).reshape(2, 5, 6)
    np.testing.assert_array_equal(window(image, (1, 2), (3, 3)), image[:, 1:4, 2:5])
    padded = np.pad(image, ((0, 0), (3, 3), (3, 3)), mode="reflect")
    np.testing.assert_array_equal(window(image, (-3, -3), (11, 12)), padded)
    one = np.array([[[7]]])
    np.testing.assert_array_equal(window(one, (-2, -2), (4, 4)), np.full((1, 4, 4), 7))
    assert prod(window(one, (0, 0), (1, 1)).shape) == 1
