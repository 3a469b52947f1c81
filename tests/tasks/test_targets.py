"""What is learned of objects: by hand, and against the definitions written out pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label, zoom
from scipy.spatial.distance import cdist

from ulna.tasks.targets import UNKNOWN, apart, border_weights, distances, neighbor_distances

SPACINGS = st.sampled_from([None, (2.0, 1.0), (0.5, 0.25)])


def _objects(seed: int, shape: tuple[int, ...] = (16, 20)) -> np.ndarray:
    """Blocks of random numbers, some of them background."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(-3, 5, [side // 4 for side in shape])
    return zoom(np.maximum(blocks, 0), 4, order=0).astype(np.int32)


def _away(objects: np.ndarray, wanted: np.ndarray, spacing: tuple[float, ...] | None) -> np.ndarray:
    """The distance of every pixel to the nearest of the wanted pixels; infinite where there is none."""
    scale = np.asarray(spacing or (1.0,) * objects.ndim)
    if not wanted.any():
        return np.full(objects.shape, np.inf)
    everywhere = np.argwhere(np.ones(objects.shape, bool)) * scale
    return np.asarray(cdist(everywhere, np.argwhere(wanted) * scale).min(axis=1).reshape(objects.shape))


def test_distances_by_hand() -> None:
    objects = np.array([[0, 1, 1, 1, 1, 1, 2, 2, 0]])
    wide = np.repeat(objects, 9, axis=0)
    assert distances(wide)[4] == pytest.approx([0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 1, 1, 0])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), SPACINGS)
def test_distances_as_brute_force(seed: int, spacing: tuple[float, ...] | None) -> None:
    objects = _objects(seed)
    expected = np.zeros(objects.shape)
    for number in np.unique(objects[objects > 0]):
        inside = objects == number
        depth = _away(objects, ~inside, spacing)
        expected[inside] = depth[inside] / depth[inside].max() if np.isfinite(depth).all() else 1
    assert distances(objects, spacing) == pytest.approx(expected, abs=1e-5)


def test_distances_in_3d_go_by_the_spacing() -> None:
    objects = np.zeros((5, 9, 9), np.int32)
    objects[1:4, 2:7, 2:7] = 3
    flat = distances(objects, (5.0, 1.0, 1.0))
    assert flat[2, 4, 4] == flat[1, 4, 4] == 1  # three pixels to the side, at most two planes of 5 up or down
    assert distances(objects)[1, 4, 4] == pytest.approx(0.5)


def test_border_weights_by_hand() -> None:
    """Two cells with a gap of three pixels: d1 + d2 is 4 all along a straight line between them."""
    objects = np.zeros((21, 23), np.int32)
    objects[:, :10], objects[:, 13:] = 1, 2
    weights = border_weights(objects)
    assert weights[10, 9:14] == pytest.approx([0, *[10 * math.exp(-16 / 50)] * 3, 0])
    assert not border_weights(np.where(objects == 2, 0, objects)).any()  # one cell has no neighbor


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), SPACINGS)
def test_border_weights_as_brute_force(seed: int, spacing: tuple[float, ...] | None) -> None:
    objects = _objects(seed)
    numbers = np.unique(objects[objects > 0])
    every = np.stack(
        [np.full(objects.shape, np.inf)] * 2 + [_away(objects, objects == one, spacing) for one in numbers]
    )
    d1, d2 = np.sort(every, axis=0)[:2]
    expected = np.where(objects == 0, 7 * np.exp(-((d1 + d2) ** 2) / (2 * 1.5**2)), 0)
    assert border_weights(objects, w0=7, sigma=1.5, spacing=spacing) == pytest.approx(expected, abs=7e-6)


def test_neighbor_distances_by_hand() -> None:
    objects = np.zeros((12, 40), np.int32)
    objects[:, :10], objects[:, 10:20], objects[:, 30:] = 1, 2, 3
    near = neighbor_distances(objects)[6]
    reach = 2 * math.sqrt(120 / math.pi)
    assert near[9] == near[10] == 1
    assert near[5] == pytest.approx((1 - 4 / reach) ** 3)
    assert near[30] == pytest.approx((1 - 10 / reach) ** 3)
    assert not near[20:30].any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), SPACINGS)
def test_neighbor_distances_as_brute_force(seed: int, spacing: tuple[float, ...] | None) -> None:
    objects = _objects(seed)
    pixel = np.asarray(spacing or (1.0, 1.0))
    expected = np.zeros(objects.shape)
    for number in np.unique(objects[objects > 0]):
        inside = objects == number
        reach = 2 * math.sqrt(inside.sum() * pixel.prod() / math.pi)
        away = _away(objects, (objects > 0) & ~inside, spacing) - pixel.min()
        expected[inside] = (1 - np.clip(away / reach, 0, 1)[inside]) ** 3
    assert neighbor_distances(objects, spacing) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("function", [distances, neighbor_distances, border_weights])
def test_no_objects_and_one_that_fills_everything(function) -> None:  # type: ignore[no-untyped-def]
    assert not function(np.zeros((6, 6), np.int32)).any()
    full = function(np.ones((6, 6), np.int32))
    assert full.shape == (6, 6)
    assert (full == (1 if function is distances else 0)).all()


def test_a_line_is_put_between_objects_that_touch() -> None:
    row = np.array([[1, 1, 2, 2, 0, 3, 3], [1, 1, 1, 2, 0, 0, 4]])
    assert apart(row).astype(int).tolist() == [[1, 0, 0, 1, 0, 1, 0], [1, 1, 0, 1, 0, 0, 1]]


@given(st.integers(0, 1000), st.sampled_from([(7, 8), (4, 5, 6)]))
@settings(max_examples=30, deadline=None)
def test_objects_that_are_apart_are_connected_regions_of_one_each(seed: int, shape: tuple[int, ...]) -> None:
    objects = zoom(np.random.default_rng(seed).integers(0, 4, [side // 2 for side in shape]), 3, order=0)
    kept = apart(objects)
    assert not kept[objects == 0].any()
    regions, count = label(kept)
    assert all(len(np.unique(objects[regions == number])) == 1 for number in range(1, count + 1))


def test_distances_of_what_goes_on_where_nothing_is_annotated() -> None:
    ball = np.linalg.norm(np.indices((15, 21, 21)) - np.array([7, 10, 10])[:, None, None, None], axis=0) < 7
    objects = np.zeros(ball.shape, np.int32)
    objects[7] = 3 * ball[7]  # one plane is annotated
    unknown = np.ones(ball.shape, bool)
    unknown[7] = False
    alone = distances(objects, unknown=unknown)[7]
    np.testing.assert_allclose(alone, distances(3 * ball[7].astype(np.int32)), atol=1e-6)
    assert distances(objects)[7].min() == 0  # and without: all of it is as deep
    assert len(np.unique(distances(objects)[7])) == 2


def test_of_what_lies_next_to_the_unknown_nothing_is_learned() -> None:
    objects = np.zeros((21, 21), np.int32)
    objects[5:16, 5:16] = 1
    unknown = np.zeros(objects.shape, bool)
    unknown[:, 16:18] = True
    found, whole = distances(objects, unknown=unknown), distances(objects)
    assert found[10, 15] == UNKNOWN  # the object may go on
    assert (found[:, :10] == whole[:, :10]).all()  # nearer to a border that is known
    assert found.max() == 1
    surrounded = distances(objects, unknown=objects == 0)  # no border is known but these
    np.testing.assert_array_equal(surrounded, whole)
