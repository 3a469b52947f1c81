from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from simulated_masks import discs
from ulna.labels.pieces import pieces_of


def test_pieces_crumbs_and_places_far_apart() -> None:
    codes = np.zeros((40, 60), np.uint16)
    codes[0:10, 0:10] = codes[12:22, 0:10] = 3  # cut in two
    codes[2:8, 20:26] = codes[32:38, 50:56] = 7  # used twice
    codes[0:10, 40:50], codes[30, 0], codes[11, 51] = 8, 8, 8  # with two crumbs, one of them near
    codes[30:40, 20:30] = 9
    codes[8, 26] = 7  # shares a corner
    found = pieces_of(codes, np.array([0, 3, 7, 8, 9]))
    assert found.counts.tolist() == [0, 2, 2, 3, 1]
    assert found.large.tolist() == [0, 2, 2, 1, 1]
    assert found.distant.tolist() == [0, 0, 1, 0, 0]


def test_volumes_and_masks_of_one_value() -> None:
    codes = np.zeros((9, 20, 20), np.int64)
    codes[0, :4, :4] = codes[8, :4, 16:] = 5
    found = pieces_of(codes, np.array([0, 5]))
    assert (found.counts.tolist(), found.distant.tolist()) == ([0, 2], [0, 1])
    for value in (0, 4):
        alone = pieces_of(np.full((3, 3), value), np.array([value]))
        assert alone.counts.tolist() == [int(value > 0)]


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_each_value_by_itself(seed: int) -> None:
    (mask,) = discs(seed, (3, 12))[:1]
    values = np.unique(mask)
    expected = [ndimage.label(mask[0] == value, np.ones((3, 3)))[1] * (value > 0) for value in values]
    assert pieces_of(mask[0], values).counts.tolist() == expected
