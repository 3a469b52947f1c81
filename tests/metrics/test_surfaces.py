"""Distances of surfaces: by hand, and against DeepMind's implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import surface_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ulna.errors import UlnaError
from ulna.metrics.surfaces import surface_distances, surface_rows


def blobs(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2) > 0.02


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # of theirs
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((20, 24, 22), (1, 1, 1)),
        ((12, 30, 28), (5, 1, 1)),
        ((9, 14, 11), (0.5, 2, 1)),
        ((40, 44), (1, 1)),
        ((40, 44), (0.5, 2)),
    ],
)
def test_as_another_implementation(shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    found, truth = blobs(shape, 0), blobs(shape, 0) ^ blobs(shape, 1) & blobs(shape, 2)
    ours = surface_distances(found, truth, spacing)
    theirs = surface_distance.compute_surface_distances(truth, found, spacing)
    assert ours.hausdorff == pytest.approx(surface_distance.compute_robust_hausdorff(theirs, 95), abs=0.25)
    for tolerance in (0.0, 1.0, 2.5):
        part, whole = ours.within(tolerance)
        # in 3D some elements of ambiguous neighbors have other areas there
        assert part / whole == pytest.approx(
            surface_distance.compute_surface_dice_at_tolerance(theirs, tolerance), abs=3e-3
        )
    averages = surface_distance.compute_average_surface_distance(theirs)
    sizes = theirs["surfel_areas_gt"].sum(), theirs["surfel_areas_pred"].sum()
    total, size = ours.average
    assert total / size == pytest.approx(np.average(averages, weights=sizes), rel=0.03)


def test_a_square_by_hand() -> None:
    """4 × 4 pixels, and 4 × 6: two sides lie on each other for 4 pixels, the far ones are two pixels apart."""
    truth, found = np.zeros((12, 12), bool), np.zeros((12, 12), bool)
    truth[4:8, 4:8], found[4:8, 4:10] = True, True
    distances = surface_distances(found, truth, (1, 1))
    corner = math.sqrt(0.5)
    assert distances.true_sizes.sum() == pytest.approx(4 * 3 + 4 * corner)
    assert distances.found_sizes.sum() == pytest.approx(2 * 3 + 2 * 5 + 4 * corner)
    assert distances.hausdorff == 2
    part, whole = distances.within(0)
    assert whole == pytest.approx(28 + 8 * corner)
    assert part < whole
    assert distances.within(2)[0] == pytest.approx(whole)
    rows = {row.measure: row for row in surface_rows(found, truth, "a", spacing=(1, 1), unit="mm", tolerance=2)}
    assert (rows["surface_dice"].value, rows["hd95"].value, rows["hd95"].unit) == (1, 2, "mm")
    assert (rows["volume_difference"].value, rows["volume_difference"].unit) == (8, "mm²")


@given(st.integers(0, 1000), st.sampled_from([(1.0, 1.0, 1.0), (3.0, 0.5, 0.7)]))
@settings(max_examples=15, deadline=None)
def test_invariants(seed: int, spacing: tuple[float, ...]) -> None:
    found, truth = blobs((8, 10, 9), seed), blobs((8, 10, 9), seed + 1)
    one, other = surface_distances(found, truth, spacing), surface_distances(truth, found, spacing)
    assert one.hausdorff == pytest.approx(other.hausdorff, nan_ok=True)
    assert one.within(1.0) == pytest.approx(other.within(1.0))
    twice = surface_distances(found, truth, [2 * side for side in spacing])
    assert twice.hausdorff == pytest.approx(2 * one.hausdorff, nan_ok=True)
    same = surface_distances(truth, truth, spacing)
    assert same.within(0)[0] == pytest.approx(same.within(0)[1])
    if truth.any():
        assert same.hausdorff == 0


def test_empty_masks() -> None:
    empty, full = np.zeros((4, 5, 6), bool), np.ones((4, 5, 6), bool)
    for found, truth, state in (
        (empty, full, "missed"),
        (full, empty, "false positive"),
        (empty, empty, "empty, predicted empty"),
    ):
        rows = {row.measure: row for row in surface_rows(found, truth, "a", spacing=(1, 1, 1), unit="mm", tolerance=1)}
        assert {row.state for row in rows.values()} == {state}
        assert math.isnan(rows["hd95"].value)
        assert math.isnan(rows["asd"].value)
        assert math.isnan(rows["surface_dice"].value) if state.startswith("empty") else rows["surface_dice"].value == 0
    with pytest.raises(UlnaError, match="is not that of the truth"):
        surface_distances(empty, full[:3], (1, 1, 1))


def test_what_is_not_annotated_is_neither_surface_nor_background() -> None:
    """A box whose right half nobody drew: only its left sides are known, and there a prediction is right or wrong."""
    truth, known = np.zeros((12, 20), bool), np.ones((12, 20), bool)
    truth[3:9, 4:16] = True
    known[:, 10:] = False
    for found in (truth, truth | ~known, truth & known):
        one = surface_distances(found & known, truth & known, (1, 1), known)
        assert one.within(0)[0] == one.within(0)[1] > 0
        assert one.hausdorff == 0
    # of the elements those at the left: 2 × 5 along the rows, 5 along the columns, 2 corners
    assert one.true_sizes.sum() == pytest.approx(2 * 5 + 5 + 2 * math.sqrt(0.5))
    shifted = np.roll(truth, -2, axis=1)
    moved = surface_distances(shifted & known, truth & known, (1, 1), known)
    assert moved.hausdorff == 2
    rows = {
        row.measure: row
        for row in surface_rows(shifted, truth, "a", spacing=(1, 1), unit="mm", tolerance=1, known=known)
    }
    assert (rows["hd95"].value, rows["volume_difference"].value) == (2, 2 * 6)


def test_distances_are_the_least_that_they_can_be() -> None:
    """The true surface may go on in what is not annotated, two pixels away from what was predicted."""
    truth, found, known = np.zeros((5, 40), bool), np.zeros((5, 40), bool), np.ones((5, 40), bool)
    truth[:, :4] = found[:, :4] = found[:, 26:30] = True
    whole = surface_distances(found, truth, (1, 1))
    assert whole.hausdorff == 26
    known[:, 33:] = False
    partly = surface_distances(found, truth, (1, 1), known)
    assert 2 < partly.hausdorff <= 7
    assert partly.within(1)[0] == pytest.approx(whole.within(1)[0])  # what is wrong, or right, stays it


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_with_all_annotated_it_is_the_same_and_with_nothing_there_is_none(seed: int) -> None:
    found, truth = blobs((8, 10, 9), seed), blobs((8, 10, 9), seed + 1)
    plain, everywhere = (surface_distances(found, truth, (2, 1, 1), known) for known in (None, np.ones_like(found)))
    assert everywhere.within(1) == pytest.approx(plain.within(1))
    assert everywhere.hausdorff == pytest.approx(plain.hausdorff, nan_ok=True)
    assert everywhere.average == pytest.approx(plain.average)
    nowhere = surface_distances(found, truth, (2, 1, 1), np.zeros_like(found))
    assert (nowhere.within(1), math.isnan(nowhere.hausdorff)) == ((0, 0), True)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_single_planes_are_compared_each_by_itself(axis: int) -> None:
    found, truth = blobs((12, 14, 13), 3), blobs((12, 14, 13), 4)
    known = np.zeros_like(found)
    places = (1, 4, 5, 9)
    for place in places:
        known[(*(slice(None),) * axis, place)] = True
    spacing = (5.0, 0.5, 2.0)
    together = surface_distances(found & known, truth & known, spacing, known)
    flat = [side for place, side in enumerate(spacing) if place != axis]
    alone = [surface_distances(found.take(place, axis), truth.take(place, axis), flat) for place in places]
    assert together.average == pytest.approx(
        np.sum([one.average for one in alone if math.isfinite(one.hausdorff)], axis=0)
    )
    assert together.within(1) == pytest.approx(np.sum([one.within(1) for one in alone], axis=0))
    assert math.isfinite(together.hausdorff)


def test_planes_beside_each_other_are_a_volume() -> None:
    """A box that moved by a plane, well within the planes that are annotated: as if all were."""
    truth, found, slab = np.zeros((3, 12, 14, 13), bool)
    truth[4:7, 3:9, 3:9] = found[5:8, 3:9, 3:9] = slab[1:11] = True
    partly, whole = (surface_distances(found, truth, (5.0, 0.5, 2.0), known) for known in (slab, None))
    assert partly.hausdorff == whole.hausdorff == 5
    assert partly.average == pytest.approx(whole.average)


def test_of_strokes_no_surface_is_known() -> None:
    """Strokes within an organ and beside it: whatever was predicted, nobody knows how far its surface is off."""
    truth, known = np.zeros((6, 30, 30), bool), np.zeros((6, 30, 30), bool)
    truth[1:5, 8:22, 8:22] = True
    known[3, 15, 10:20] = known[3, 4, 4:26] = known[2:4, 6:12, 24:26] = known[2:4, 7:9, 14] = True
    found = np.zeros_like(truth)
    found[:, 9:, 12:28] = True
    rows = {
        row.measure: row
        for row in surface_rows(found, truth, "a", spacing=(1, 1, 1), unit="mm", tolerance=1, known=known)
    }
    assert all(math.isnan(rows[name].value) for name in ("hd95", "asd", "surface_dice"))
    assert {row.state for row in rows.values()} == {"scored"}
    assert rows["volume_difference"].value == np.count_nonzero(found & known) - np.count_nonzero(truth & known)


def test_where_nothing_is_there_what_was_found_is_wrong_however_near_it_is_to_what_nobody_drew() -> None:
    truth, found, known = np.zeros((9, 9), bool), np.zeros((9, 9), bool), np.ones((9, 9), bool)
    found[2:4, 2:4], known[5:] = True, False
    rows = surface_rows(found, truth, "a", spacing=(1, 1), unit="mm", tolerance=3, known=known)
    assert {row.state for row in rows} == {"false positive"}
    assert [row.value for row in rows if row.measure == "surface_dice"] == [0]
