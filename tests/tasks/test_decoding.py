"""From outputs to objects: by hand, invariants, and that constants are found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import h_maxima

from ulna.metrics.objects import compare
from ulna.synthetic import cells
from ulna.tasks.decoding import Decoding, Example, decode, filled, fit, score
from ulna.tasks.targets import distances


def _cells(seed: int) -> np.ndarray:
    return cells(1, (96, 96), seed=seed)[0][1][0]


def _example(seed: int, *, noise: float = 0.0) -> Example:
    truth = _cells(seed)
    rng = np.random.default_rng(seed)
    blurred = ndimage.gaussian_filter((truth > 0).astype(np.float32), 1)
    distance = np.clip(distances(truth) + noise * ndimage.gaussian_filter(rng.normal(size=truth.shape), 1), 0, 1)
    return Example(blurred, distance.astype(np.float32), truth)


def _scored(examples: list[Example], constants: Decoding) -> float:
    return score([decode(one.probability, one.distance, constants) for one in examples], examples)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500), st.sampled_from([0.0, 0.1, 0.2]), st.sampled_from([0.3, 0.5, 0.7]))
def test_as_seeds_from_reconstruction(seed: int, depth: float, above: float) -> None:
    """An object for each connected region above the seed's distance; with a depth, for each of skimage's h-maxima."""
    one = _example(seed)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=one.truth.shape), 1)
    distance = np.where(one.probability > 0.5, 0.2 + 0.5 * one.distance + 0.2 * noise, 0).astype(np.float32)
    assert distance.max() < 1  # no two peaks of one height, each of which would be an h-maximum
    found = decode(one.probability, distance, Decoding(seed=above, depth=depth))
    seeds = distance > above
    if depth:
        seeds &= np.asarray(h_maxima(distance, depth, ndimage.generate_binary_structure(2, 1))) > 0
    numbers, count = ndimage.label(seeds)
    regions, whole = ndimage.label(one.probability > 0.5)
    without = whole - len(np.unique(regions[seeds]))
    assert found.max() == count + without
    pairs = np.unique(np.stack([numbers[seeds], found[seeds]]), axis=1)
    assert pairs.shape[1] == count  # each seed lies in one object, of which it is the only seed


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 500), st.sampled_from([0.0, 0.1, 0.3]), st.sampled_from([0, 20]))
def test_objects_are_connected_numbered_without_gaps_and_not_too_small(seed: int, depth: float, smallest: int) -> None:
    one = _example(seed, noise=0.3)
    found = decode(one.probability, one.distance, Decoding(depth=depth, smallest=smallest))
    assert found.dtype == np.int32
    numbers = np.unique(found[found > 0])
    assert numbers.tolist() == list(range(1, len(numbers) + 1))
    for number in numbers:
        assert ndimage.label(found == number)[1] == 1
    assert np.bincount(found.ravel())[1:].min(initial=10**6) >= max(smallest, 1)
    if not smallest:
        assert ((found > 0) == (one.probability > 0.5)).all()


def test_touching_cells_come_apart() -> None:
    one = _example(3)
    ap = compare(decode(one.probability, one.distance, Decoding()), one.truth).counts()
    assert ap[0] >= 0.9 * len(np.unique(one.truth[one.truth > 0]))


def test_a_dip_between_two_peaks_parts_them_only_where_it_is_deep_enough() -> None:
    x = np.linspace(0, 1, 41, dtype=np.float32)
    line = np.where(np.abs(x - 0.5) < 0.1, 0.8, 0.9).astype(np.float32)
    distance = np.repeat(line[None], 9, axis=0)
    inside = np.ones_like(distance)
    counts = [decode(inside, distance, Decoding(seed=0.5, depth=depth)).max() for depth in (0.0, 0.05, 0.2)]
    assert counts == [1, 2, 1]
    assert decode(inside, distance, Decoding(seed=0.85)).max() == 2


def test_regions_without_a_seed_are_objects_and_debris_is_none() -> None:
    probability = np.zeros((12, 20), np.float32)
    probability[2:8, 2:8], probability[2:4, 12:14] = 1, 1
    distance = np.full_like(probability, 0.2)
    distance[4:6, 4:6] = 1
    assert decode(probability, distance, Decoding()).max() == 2
    assert decode(probability, distance, Decoding(smallest=5)).max() == 1


def test_holes_are_filled_and_what_another_object_occupies_stays() -> None:
    objects = np.zeros((9, 9), np.int32)
    objects[1:8, 1:8] = 1
    objects[3:6, 3:6] = 0
    objects[4, 4] = 2
    whole = filled(objects)
    assert (whole == 0).sum() == (9 * 9 - 7 * 7)
    assert (whole == 2).sum() == 1
    assert (objects == 0).sum() == 81 - 49 + 8  # the array that was passed is as it was
    ring = (objects == 1).astype(np.float32)
    assert decode(ring, ring, Decoding(holes=True))[4, 4] == 1


def test_held_out_images_say_whether_holes_are_filled() -> None:
    ring = np.zeros((12, 12), np.int32)
    ring[2:10, 2:10] = 1
    ring[4:8, 4:8] = 0
    said = (ring > 0).astype(np.float32)
    assert not fit([Example(said, said, ring)], [48], holed=0.02).holes
    assert fit([Example(said, said, filled(ring))], [48], holed=0.9).holes


def test_the_tile_does_not_matter() -> None:
    """Objects are made of the whole map; so one that crosses a tile is one, and equal maps give equal objects."""
    one = _example(5)
    tiled = np.concatenate([one.distance[:, :40], one.distance[:, 40:]], axis=1)
    assert (decode(one.probability, one.distance, Decoding()) == decode(one.probability, tiled, Decoding())).all()


def test_constants_are_fitted() -> None:
    examples = [_example(seed, noise=0.5) for seed in range(4)]
    sizes = np.concatenate([np.bincount(one.truth.ravel())[1:] for one in examples])
    found = fit(examples, sizes, holed=0)
    assert _scored(examples, found) >= _scored(examples, Decoding())
    assert found.smallest == int(0.5 * np.percentile(sizes, 1))
    assert found.holes
    assert not fit(examples[:1], sizes, holed=1).holes
    assert fit(examples[:1], sizes, holed=0.02).holes  # a slip of the pen
    assert not fit(examples[:1], sizes, holed=0.02, given={"holes": False}).holes
    # where objects are smaller than the map says, the foreground begins higher
    thin = [Example(one.probability * 0.5 + 0.3 * (one.truth > 0), one.distance, one.truth) for one in examples]
    assert fit(thin, sizes, holed=0).foreground != 0.3


def two_halves(peaks: tuple[float, float], saddle: float, *, one: bool) -> Example:
    """A plate whose two halves have peaks of this height and a saddle between them; they are one object, or two."""
    ramp = np.abs(np.linspace(-1, 1, 21))
    left, right = (peak - (peak - saddle) * ramp for peak in peaks)
    distance = np.repeat(np.concatenate([left, right])[None], 9, axis=0).astype(np.float32)
    truth = np.ones(distance.shape, np.int32)
    truth[:, 21:] = 1 if one else 2
    return Example(np.ones_like(distance), distance, truth)


@pytest.mark.parametrize("seed", [0.3, 0.4, 0.5, 0.6, 0.7])
def test_the_seed_that_parts_objects_and_keeps_others_whole_is_found(seed: float) -> None:
    """Two whose saddle is just below it and whose peaks are just above."""
    apart = two_halves((seed + 0.05, seed + 0.05), seed - 0.05, one=False)
    whole = two_halves((seed + 0.2, seed + 0.2), seed + 0.01, one=True)
    found = fit([apart, whole], [189], holed=0)
    assert (found.seed, found.depth, found.foreground) == (seed, 0.0, 0.5)


@pytest.mark.parametrize(("fall", "whole", "depth"), [(0.12, 0.05, 0.1), (0.22, 0.15, 0.2)])
def test_the_depth_that_parts_objects_and_keeps_others_whole_is_found(fall: float, whole: float, depth: float) -> None:
    parts = two_halves((0.95, 0.95), 0.95 - fall, one=False)
    found = fit([parts, two_halves((0.95, 0.95), 0.95 - whole, one=True)], [189], holed=0)
    assert (found.seed, found.depth) == (0.3, depth)


def test_what_lies_just_at_a_constant() -> None:
    """Parted at a saddle of the height of the seed, and where the fall is the depth; no seed at the seed's height."""

    def count(example: Example, **constants: float) -> int:
        return int(decode(example.probability, example.distance, Decoding(**constants)).max())  # type: ignore[arg-type]

    halves = two_halves((0.75, 0.75), 0.5, one=False)
    assert [count(halves, seed=seed) for seed in (0.49, 0.5, 0.74, 0.75)] == [1, 2, 2, 1]
    assert [count(halves, seed=0.3, depth=depth) for depth in (0.24, 0.25, 0.26)] == [2, 2, 1]
    likely = replace(halves, probability=np.full_like(halves.probability, 0.5))
    assert [count(likely, foreground=foreground) for foreground in (0.49, 0.5)] == [2, 0]
    small = np.zeros((5, 9), np.float32)
    small[1:3, 1:4] = 1
    assert [int(decode(small, small, Decoding(smallest=smallest)).max()) for smallest in (6, 7)] == [1, 0]


@pytest.mark.parametrize("foreground", [0.3, 0.4, 0.5, 0.6, 0.7])
def test_the_foreground_that_cuts_objects_as_they_are_is_found(foreground: float) -> None:
    truth = np.zeros((30, 30), np.int32)
    truth[10:20, 10:20] = 1
    probability = np.where(truth, foreground + 0.05, 0.0).astype(np.float32)
    probability[6:24, 6:24] = np.maximum(probability[6:24, 6:24], foreground - 0.05)
    assert fit([Example(probability, distances(truth), truth)], [100], holed=0).foreground == foreground


def test_what_nobody_annotated_has_no_say() -> None:
    one = _example(3)
    known = np.zeros(one.truth.shape, bool)
    known[:, :40] = True
    part = np.where(known, one.truth, 0)
    assert part.any()
    assert _scored([replace(one, truth=part, annotated=known)], Decoding()) > _scored(
        [replace(one, truth=part)], Decoding()
    )


def test_nothing_to_find() -> None:
    empty = Example(*(np.zeros((8, 8), np.float32) for _ in range(2)), np.zeros((8, 8), np.int32))
    assert decode(empty.probability, empty.distance, Decoding(holes=True)).max() == 0
    assert _scored([empty], Decoding()) == 1
    assert fit([empty], [], holed=0) == Decoding(holes=True)
    assert fit([], [5, 6], holed=0).smallest == 2


def test_volumes() -> None:
    truth = np.zeros((10, 30, 30), np.int32)
    truth[2:8, 3:14, 3:14], truth[2:8, 14:26, 3:14] = 1, 2
    found = decode((truth > 0).astype(np.float32), distances(truth), Decoding(seed=0.6))
    assert found.max() == 2
    assert compare(found, truth).counts(80) == (2, 0, 0)


@pytest.mark.parametrize("numbers", [(1, 2, 3), (1, 3, 2), (3, 2, 1)])
def test_a_hole_belongs_to_what_borders_on_it_and_encloses_it(numbers: tuple[int, int, int]) -> None:
    """One ring within another, around a disk: the gap between ring and disk is the ring's beside it."""
    rows, columns = np.mgrid[-20:21, -20:21]
    radius = np.hypot(rows, columns)
    outer, inner, disk = numbers
    objects = np.zeros(radius.shape, np.int32)
    objects[(radius < 19) & (radius >= 17)] = outer
    objects[(radius < 13) & (radius >= 10)] = inner
    objects[radius < 5] = disk
    expected = objects.copy()
    expected[(radius < 17) & (radius >= 13)] = outer
    expected[(radius < 10) & (radius >= 5)] = inner
    np.testing.assert_array_equal(filled(objects), expected)
