"""Rand and information scores: by hand, and over all pairs of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import zoom

from ulna.errors import UlnaError
from ulna.metrics.borders import border_rows, rand_and_information, regions


def _labels(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return zoom(rng.integers(0, 6, (5, 6)), 4, order=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_as_all_pairs_of_pixels(first: int, second: int) -> None:
    """The Rand score is about pairs of pixels: the harmonic mean of two shares of pairs."""
    found, truth = _labels(first)[:12, :12], _labels(second)[:12, :12]
    single = np.where(found == 0, 100 + np.arange(found.size).reshape(found.shape), found)
    inside = truth > 0
    made = rand_and_information(found, truth)
    if not inside.any():
        assert made is None
        return
    assert made is not None
    one, other = (labels[inside][:, None] == labels[inside][None] for labels in (single, truth))
    np.fill_diagonal(one, False)
    np.fill_diagonal(other, False)
    if one.any():
        right = (one & other).sum()
        assert made[0] == pytest.approx(2 * right / (one.sum() + other.sum()))
    table = np.array(
        [
            [((single == i) & (truth == j) & inside).sum() for j in np.unique(truth[inside])]
            for i in np.unique(single[inside])
        ]
    )
    joint = table / table.sum()
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    shared = sum(joint[i, j] * np.log(joint[i, j] / rows[i] / columns[j]) for i, j in np.argwhere(joint > 0))
    whole = -(rows * np.log(rows)).sum() - (columns * np.log(columns)).sum()
    if whole > 1e-9:
        assert made[1] == pytest.approx(2 * shared / whole, abs=1e-9)


def _cells(width: int) -> np.ndarray:
    cells = np.ones((31, 31), np.uint8)
    cells[:, 15 - width // 2 : 16 + width // 2] = 0
    cells[15 - width // 2 : 16 + width // 2] = 0
    return cells


def _scores(found: np.ndarray, truth: np.ndarray) -> list[float]:
    return [row.value for row in border_rows(found, truth)]


def test_the_width_of_borders_does_not_matter() -> None:
    assert regions(_cells(5) > 0).max() == 4
    assert _scores(_cells(5), _cells(1)) == pytest.approx([1, 1], abs=0.01)
    assert _scores(_cells(1), _cells(5)) == [1, 1]


def test_a_gap_in_a_border_merges_cells() -> None:
    found = _cells(3)
    found[5:9, 10:20] = 1
    rand, information = _scores(found, _cells(3))
    # of four quarters two are one: pairs that are together in both, 4/16; in the prediction 6/16; in the truth 4/16
    assert rand == pytest.approx(2 * 4 / (6 + 4), abs=0.03)
    assert information == pytest.approx(2 * 1.5 / (1.5 + 2), abs=0.03)


def test_stacks_are_the_mean_of_their_planes_and_planes_without_cells_do_not_count() -> None:
    gap = _cells(3)
    gap[5:9, 10:20] = 1
    truth = np.stack([_cells(3), _cells(3), np.zeros((31, 31), np.uint8)])
    found = np.stack([_cells(3), gap, gap])
    alone = [_scores(one, _cells(3)) for one in found[:2]]
    assert _scores(found, truth) == pytest.approx(np.mean(alone, axis=0))
    assert np.isnan(_scores(truth[2], truth[2])).all()


def test_one_cell() -> None:
    assert _scores(np.ones((5, 5)), np.ones((5, 5))) == [1, 1]


def test_shapes_that_differ() -> None:
    with pytest.raises(UlnaError, match=r"the shape of the prediction, \(5, 5\), is not that of the truth, \(5, 6\)"):
        border_rows(np.ones((5, 5)), np.ones((5, 6)))
