from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.errors import UlnaError
from ulna.inference.axes import least_tile
from ulna.inference.sides import LEAST, SLACK, Room, least_work
from ulna.inference.tiles import Tiling, exact_tiles, plan_tiles
from ulna.networks.geometry import AxisGeometry, Geometry

AXES = [AxisGeometry(4, 12), AxisGeometry(1, 0), AxisGeometry(8, 30, 28, 60)]


def even(ndim: int, *axis: int) -> Geometry:
    """The same along all axes."""
    return Geometry((AxisGeometry(*axis),) * ndim)


@given(
    st.lists(st.tuples(st.sampled_from(AXES), st.integers(1, 150)), min_size=2, max_size=3),
    st.integers(72, 200),
    st.integers(0, 90),  # also more than the first window keeps
)
@settings(max_examples=60, deadline=None)
def test_every_pixel_is_kept_once_and_knows_its_surroundings(
    drawn: list[tuple[AxisGeometry, int]], tile: int, margin: int
) -> None:
    axes, shape = zip(*drawn, strict=True)
    tiling = exact_tiles(shape, Geometry(axes), tile=tile, margin=margin)
    seen = np.zeros(shape, int)
    for one in tiling.tiles:
        seen[one.target] += 1
        for axis, size in enumerate(tiling.size):
            geometry = axes[axis]
            lead = geometry.shrink or margin
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
    tiling = exact_tiles((30, 50), even(2, 16, 90), tile=256, margin=8)
    assert len(tiling.tiles) == 1
    assert tiling.size == (48, 80)


def test_the_papers_tile() -> None:
    # figure 2: 388×388 pixels are segmented from 572×572
    tiling = exact_tiles((388, 388), even(2, 16, 92, 92, 188), tile=572, margin=0)
    assert tiling.size == (572, 572)
    assert tiling.tiles[0].start == (-92, -92)


def test_a_tile_below_the_receptive_field_is_refused_with_the_least_that_works() -> None:
    with pytest.raises(UlnaError, match="at least 200"):
        exact_tiles((1000, 1000), even(2, 8, 92), tile=128, margin=0)
    exact_tiles((1000, 1000), even(2, 8, 92), tile=207, margin=0)


@given(
    st.lists(st.tuples(st.sampled_from(AXES), st.integers(1, 150)), min_size=2, max_size=3),
    st.integers(8, 120),
    st.integers(0, 16),
)
@settings(max_examples=60, deadline=None)
def test_blended_weights_add_up_to_one_and_each_output_goes_where_it_belongs(
    drawn: list[tuple[AxisGeometry, int]], tile: int, margin: int
) -> None:
    axes, shape = zip(*drawn, strict=True)
    tiling = plan_tiles(shape, Geometry(axes), tile=tile, margin=margin, strategy="blended")
    places = (
        np.stack(np.meshgrid(*(np.arange(-300, n + 300) for n in shape), indexing="ij")) if len(shape) == 2 else None
    )
    ones, there = np.zeros((1, *shape), np.float32), np.zeros((2, *shape), np.float32)
    kept = tuple(n - 2 * axis.shrink for n, axis in zip(tiling.size, axes, strict=True))
    for one in tiling.tiles:
        one.add(np.ones((1, *kept), np.float32), ones)
        for axis, size in enumerate(tiling.size):
            geometry = axes[axis]
            assert geometry.fits(size)
            assert (one.start[axis] + (geometry.shrink or margin)) % geometry.stride == 0
            assert one.start[axis] + geometry.shrink + one.source[axis].start == one.target[axis].start
            assert 0 <= one.source[axis].start < one.source[axis].stop <= kept[axis]
        if places is not None:  # what the network would put out: where each of its pixels lies
            first = [s + axis.shrink + 300 for s, axis in zip(one.start, axes, strict=True)]
            spot = tuple(slice(f, f + n) for f, n in zip(first, kept, strict=True))
            one.add(places[(slice(None), *spot)].astype(np.float32), there)
    np.testing.assert_allclose(ones, 1, rtol=1e-5)
    if places is not None:
        np.testing.assert_allclose(there, np.indices(shape), atol=1e-3)


def test_blended_tiles_overlap_by_half_and_count_most_in_their_middle() -> None:
    tiling = plan_tiles((128, 128), even(2, 4, 30), tile=64, margin=0, strategy="blended")
    assert tiling.size == (64, 64)
    starts = sorted({one.start[0] for one in tiling.tiles})
    assert starts == [0, 32, 64]
    first = tiling.tiles[0].weights[0]
    assert first[0] == 1  # nothing else reaches the border
    assert first[31] > 0.99
    assert first[-1] < 0.05
    assert all(np.diff(first) <= 0)


def test_which_strategy_is_taken() -> None:

    def blends(shape: tuple[int, ...], tile: int, **how: Any) -> bool:
        return bool(plan_tiles(shape, even(len(shape), 16, 140), tile=tile, margin=16, **how).tiles[0].weights)

    assert not blends((2000, 2000), 320)  # in images always exact, even where it takes 100 times the work
    assert blends((2000, 2000), 320, strategy="blended")
    with pytest.raises(UlnaError, match=r"at least 304.*\n.*inference\.tiling=blended"):
        plan_tiles((2000, 2000), even(2, 16, 140), tile=200, margin=16)
    assert plan_tiles((2000, 2000), even(2, 16, 140), tile=200, margin=16, enlarge=True).size == (304, 304)
    assert blends((512, 512, 600), 192, enlarge=True)
    assert blends((512, 512, 600), 192)  # no exact tile is so small
    assert not blends((100, 120, 140), 192, enlarge=True)  # one tile
    assert not blends((400, 400, 400), 384)
    loose, half = (plan_tiles((500, 500, 500), even(3, 16, 140), tile=192, margin=16, overlap=o) for o in (0.25, 0.5))
    assert len(loose.tiles) < len(half.tiles)
    assert not blends((512, 512, 600), 320, strategy="exact")
    with pytest.raises(UlnaError, match="at least 304"):
        plan_tiles((512, 512, 600), even(3, 16, 140), tile=192, margin=16, strategy="exact")


def test_a_volume_takes_few_times_its_own_work() -> None:
    shape, deep = (512, 512, 600), even(3, 16, 140)
    exact = exact_tiles(shape, deep, tile=least_tile(deep.axes[0]), margin=16)
    chosen = plan_tiles(shape, deep, tile=192, margin=16, enlarge=True)
    assert len(exact.tiles) * prod(exact.size) / prod(shape) > 500
    assert len(chosen.tiles) * prod(chosen.size) / prod(shape) < 12


def computed(tiling: Tiling) -> int:
    return len(tiling.tiles) * prod(tiling.size)


@given(
    st.lists(st.tuples(st.sampled_from(AXES), st.integers(1, 300)), min_size=3, max_size=3),
    st.sampled_from([0, 16]),
    st.sampled_from([0.25, 0.5]),
    st.integers(1_000, 3_000_000),
    st.sampled_from([(), (10, 96, 96), (128, 128, 128)]),
)
@settings(max_examples=60, deadline=None)
def test_tiles_within_room_are_less_work_than_any_cubic_ones(
    drawn: list[tuple[AxisGeometry, int]], margin: int, overlap: float, pixels: int, least: tuple[int, ...]
) -> None:
    axes, shape = zip(*drawn, strict=True)
    geometry = Geometry(axes)
    how: dict[str, Any] = {"margin": margin, "strategy": "blended", "overlap": overlap}
    chosen = plan_tiles(shape, geometry, tile=1, room=Room(pixels, least), **how)
    smallest = plan_tiles(shape, geometry, tile=LEAST, **how)
    assert prod(chosen.size) <= max(pixels, prod(smallest.size))
    seen = np.zeros(shape, np.float32)
    ones = np.ones((1, *chosen.size), np.float32)
    for tile in chosen.tiles:
        tile.add(ones, seen[None])
    np.testing.assert_allclose(seen, 1, rtol=1e-5)
    for side in range(max(least or (LEAST,)), 300, 20):
        cubes = plan_tiles(shape, geometry, tile=side, **how)
        if prod(cubes.size) <= pixels:
            assert computed(chosen) <= SLACK * computed(cubes)


def test_tiles_within_room_are_no_smaller_than_patches_where_memory_allows() -> None:
    volume = even(3, 8, 40)
    patch = (16, 160, 160)

    def sides(pixels: int, least: tuple[int, ...] = ()) -> tuple[int, ...]:
        return least_work((150, 400, 400), volume, 0, 0.25, Room(pixels, least))

    assert all(side >= its for side, its in zip(sides(600_000, patch), patch, strict=True))
    assert min(sides(600_000)) >= LEAST
    assert min(sides(300_000, patch)) >= LEAST  # the patch does not fit
    assert min(sides(100_000)) < LEAST  # nor does that
    assert sides(1000, patch) == (16,) * 3  # nothing does
    assert sides(10**8)[1:] == (400, 400)  # whole planes


def test_each_axis_has_the_tiles_that_it_needs() -> None:
    thick = Geometry((AxisGeometry(1, 2), AxisGeometry(16, 140), AxisGeometry(16, 140)))
    tiling = exact_tiles((200, 1000, 1000), thick, tile=320, margin=0)
    assert tiling.size == (200, 320, 320)
    assert plan_tiles((200, 400, 400), thick, tile=100, margin=0, enlarge=True, strategy="exact").size == (
        100,
        304,
        304,
    )
    with pytest.raises(UlnaError, match="at least 304"):
        exact_tiles((200, 1000, 1000), thick, tile=100, margin=0)
    exact_tiles((200, 96, 96), thick, tile=100, margin=0)  # one tile holds the rows and columns
