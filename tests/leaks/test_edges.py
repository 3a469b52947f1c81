"""Tiles of one picture are found by their borders; backgrounds and noise join nothing."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from small_images import cells, names, tiles
from ulna.dataset import load_image
from ulna.image import Array
from ulna.layouts import read_dataset
from ulna.leaks import ADJACENT, find_groups
from ulna.leaks.edges import (
    CLEAR,
    DECAY,
    FALSE_SEAMS,
    MANY,
    MIN_CLEAR,
    STEP,
    _bar,
    _Least,
    _Lines,
    border_edges,
    find_seams,
)


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 3), (3, 3)])
def test_pictures_cut_into_tiles_are_put_together_again(rows: int, columns: int) -> None:
    """Of 30 pictures beside five strangers each: some borders are nearly empty, so one or two may fail."""
    right = 0
    for seed in range(30):
        images = tiles(cells((160 * rows, 160 * columns), seed), rows, columns)
        strangers = [cells((160, 160), 100 * seed + k) for k in range(1, 6)]
        found = find_groups([*images, *strangers], names([*images, *strangers]))
        assert {pair.kind for pair in found.pairs} <= {ADJACENT}
        right += found.groups == (*[0] * len(images), *range(1, 6))
    assert right >= 28


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_images_does_not_matter(seed: int) -> None:
    images = [tile for k in range(3) for tile in tiles(cells((256, 256), seed + k), 2, 2)]
    order = np.random.default_rng(seed).permutation(len(images))
    straight = np.array(find_groups(images, names(images)).groups)
    mixed = np.array(find_groups([images[k] for k in order], names(images)).groups)
    assert ((straight[order][:, None] == straight[order]) == (mixed[:, None] == mixed)).all()


@pytest.mark.parametrize("smooth", [0, 1, 3, 12])
@pytest.mark.parametrize("count", [2, 12])
def test_independent_noise_is_not_joined(smooth: float, count: int) -> None:
    for seed in range(4):
        draw = np.random.default_rng(seed)
        images = [ndimage.gaussian_filter(draw.normal(0, 1, (1, 128, 128)), (0, smooth, smooth)) for _ in range(count)]
        assert find_groups(images, names(images)).pairs == ()


def test_a_common_background_joins_nothing() -> None:
    y, x = np.mgrid[:128, :128]
    shading = 40 - ((y - 64.0) ** 2 + (x - 64.0) ** 2) / 300
    images = [(shading + np.random.default_rng(k).normal(0, 1, (1, 128, 128))).astype(np.uint8) for k in range(8)]
    assert find_groups(images, names(images)).pairs == ()


def test_like_borders_with_steps_larger_than_those_inside_are_strangers() -> None:
    """Coarse stripes would run on across the seam and in no other place, but the fine ones beside them do not."""
    draw = np.random.default_rng(1)
    coarse, here, there = (ndimage.gaussian_filter1d(draw.normal(0, width**0.5, 192), width) for width in (12, 2, 2))
    for fine, groups in (((here, here), (0, 0)), ((here, there), (0, 1))):
        images = [cells((192, 192), seed) for seed in (1, 2)]
        for image, stripes in zip(images, fine, strict=True):
            ground = 100 + 60 * coarse[:, None] + 5 * stripes[:, None] + draw.normal(0, 1, (192, 192))
            image[0, :, :20] = ground[:, :20].round()
            image[0, :, -20:] = ground[:, -20:].round()
        assert find_groups(images, names(images)).groups == groups


def test_empty_and_constant_images_join_nothing() -> None:
    images = [np.zeros((1, 64, 64), np.uint8)] * 3 + [np.full((1, 64, 64), 7.5)] * 2
    assert find_groups(images, names(images)).groups == (0, 1, 2, 3, 4)


def test_volumes_cut_in_two_belong_together() -> None:
    volume = cells((32, 96, 96), 3, spots=400)
    left, right = np.split(volume, 2, axis=3)
    strangers = [cells((32, 96, 48), k, spots=400) for k in range(4, 8)]
    found = find_groups([left, *strangers, right], names([left, *strangers, right]))
    assert found.groups == (0, 1, 2, 3, 4, 0)


def test_seams_name_axis_and_direction() -> None:
    upper, lower = np.split(cells((256, 192), 5), 2, axis=1)
    (seam,) = find_seams([border_edges(lower), border_edges(upper)])
    assert (seam.first, seam.second, seam.axis) == (1, 0, 0)
    assert seam.likeness > 2
    assert seam.lead > 2
    assert 0.5 < seam.step < 1.5
    assert 0.5 < seam.local_step < 2
    assert seam.slope > 0.3
    steps = max(np.log(seam.step), 0) + 3 * np.log(seam.local_step)
    assert seam.strength == pytest.approx(seam.lead + 0.3 * seam.likeness - steps + seam.slope - 2 * seam.surplus)


def crossed(rim: int) -> Array:
    """A picture whose middle column cuts through nuclei, with noise: (1, 128, 256) uint8."""
    y, x = np.mgrid[:128, :256]
    picture = np.full((128, 256), 20.0)
    for center, radius in ((25, 9), (60, 12), (100, 8)):
        picture += 120 / (1 + np.exp((np.hypot(y - center - rim * (x >= 128), x - 127.5) - radius) / 1.5))
    return (picture + np.random.default_rng(3).normal(0, 1.5, picture.shape)).clip(0, 255).astype(np.uint8)[None]


def test_rims_that_are_moved_are_a_step_in_their_places() -> None:
    """Nuclei that go on across the seam, and others that cross it a pixel beside."""
    same, moved = (find_seams([border_edges(part) for part in np.split(crossed(rim), 2, axis=2)])[0] for rim in (0, 1))
    assert 3 * same.local_step < moved.local_step
    assert moved.step < STEP  # small by the measure of the rims
    assert moved.strength < same.strength - 1


def test_slopes_go_on_across_a_seam_and_turn_back_at_a_mirror() -> None:
    image = cells((128, 256), 4)
    left, right = (border_edges(part) for part in np.split(image, 2, axis=2))
    far, near = (
        next(e for e in edges if (e.axis, e.high) == (1, high)) for edges, high in ((left, True), (right, False))
    )
    lines = _Lines.of([far, far], [near, replace(far, high=False)])
    assert lines.slope(0, 0) > 0.15
    assert lines.slope(1, 1) == pytest.approx(-1)


def test_few_pairs_need_less() -> None:
    """A decoy that was not seen counts by the number of pairs; decoys that were seen count in any case."""
    assert MIN_CLEAR <= _bar([], 2) < _bar([], 84) < _bar([], 1000) < _bar([], MANY) == _bar([], 10 * MANY)
    assert _bar([CLEAR + 1], 84) > _bar([], MANY)


def test_colors_and_floats() -> None:
    picture = np.concatenate([cells((128, 256), seed) for seed in (1, 2, 3)])
    for images in (np.split(picture, 2, axis=2), np.split(picture / 1e4, 2, axis=2)):
        assert find_groups(images, names(images)).groups == (0, 0)


def test_more_decoys_raise_the_bar() -> None:
    """By an exponential tail: ten times as many decoys, as clear, ask for ln 10 decays more."""
    assert CLEAR < _bar([]) < _bar([CLEAR + 0.1]) < _bar([CLEAR + 1.0])
    exponential = [CLEAR - DECAY * np.log((k + 0.5) / 3000) for k in range(3000)]
    assert _bar(exponential) == pytest.approx(CLEAR + DECAY * np.log(1000 / FALSE_SEAMS), abs=0.1)
    assert _bar(exponential[::10]) == pytest.approx(_bar(exponential) - DECAY * np.log(10), abs=0.1)
    assert _bar([CLEAR - 0.1] * 50) == _bar([])


def test_what_borders_of_one_side_share_raises_the_bar() -> None:
    """All images have one stripe at the same places of both borders, so that any two of them fit a little."""
    draw = np.random.default_rng(0)
    stripe = ndimage.gaussian_filter1d(draw.normal(0, 60, 96), 2)
    images = [cells((96, 96), seed) for seed in range(16)]
    for image in images:
        for columns in (np.s_[:6], np.s_[-6:]):
            image[0, :, columns] = (60 + stripe[:, None] + draw.normal(0, 3, (96, 6))).clip(0, 255).astype(np.uint8)
    assert find_groups(images, names(images)).pairs == ()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 9), block=st.integers(1, 9))
def test_the_two_least_are_those_of_the_whole_matrix(seed: int, rows: int, block: int) -> None:
    """Also where costs are equal."""
    cost = np.random.default_rng(seed).integers(0, 5, (rows, rows)).astype(np.float32)
    found = _Least(np.zeros(rows, np.intp), np.full(rows, np.inf), np.full(rows, np.inf))
    for start in range(0, rows, block):
        part = cost[start : start + block].copy()
        found = found.joined(_Least.of(part, axis=0), start)
        np.testing.assert_array_equal(part, cost[start : start + block])
    np.testing.assert_array_equal(found.where, cost.argmin(axis=0))
    np.testing.assert_array_equal([found.least, found.second], np.sort(cost, axis=0)[:2])


def assert_blocks_change_nothing(images: list[Array], monkeypatch: pytest.MonkeyPatch, least: int) -> None:
    borders = [border_edges(image) for image in images]
    monkeypatch.setattr("ulna.leaks.edges.BLOCK", len(images))  # the whole matrix
    whole = find_seams(borders)
    monkeypatch.setattr("ulna.leaks.edges.BLOCK", 48)
    parts = find_seams(borders)
    assert len(whole) >= least
    assert [(s.first, s.second, s.axis) for s in parts] == [(s.first, s.second, s.axis) for s in whole]
    # A step near 0 is the difference of large sums, whose rounding may depend on the matrices' sizes.
    np.testing.assert_allclose([s.strength for s in parts], [s.strength for s in whole], atol=0.1)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [tile for k in range(10) for tile in tiles(cells((320, 480), k), 2, 3)]
    order = np.random.default_rng(1).permutation(len(images))
    assert_blocks_change_nothing([images[k] for k in order], monkeypatch, least=50)


def test_blocks_change_nothing_on_real_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [load_image(case).array for case in read_dataset(data / "dsb2018").cases[:150]]
    assert_blocks_change_nothing(images, monkeypatch, least=1)


def test_memory_grows_with_the_number_of_images_not_its_square() -> None:
    draw = np.random.default_rng(0)
    borders = [border_edges(draw.integers(0, 255, (1, 32, 32)).astype(np.uint8)) for _ in range(3000)]
    tracemalloc.start()
    find_seams(borders)
    assert tracemalloc.get_traced_memory()[1] < 34e6  # a matrix of all pairs takes 36 MB, several are needed
    tracemalloc.stop()


def test_borders_too_small_to_be_shifted_are_compared() -> None:
    images = [np.random.default_rng(k).normal(size=(1, 6, 6, 6)) for k in range(3)]
    assert find_groups(images, names(images)).groups == (0, 1, 2)
