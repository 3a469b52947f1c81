"""Numbers of objects without gaps."""

from __future__ import annotations

import numpy as np
import pytest

from ulna.numbering import consecutive


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.uint64])
def test_the_order_stays(dtype: type) -> None:
    given = np.array([[0, 3, 3, 200], [1, 0, 200, 9]]).astype(dtype)
    numbers, objects = consecutive(given)
    expected = np.unique(given[given > 0])
    assert numbers.tolist() == expected.tolist()
    np.testing.assert_array_equal(np.array([0, *expected], dtype)[objects], given)
    assert objects.dtype == np.int32


@pytest.mark.parametrize("start", [2**31 - 3, 2**53, 2**63 - 3, 2**64 - 3])
def test_huge_numbers_are_neither_tabled_nor_rounded(start: int) -> None:
    given = np.array([start, start + 1, 0, start + 1], np.uint64)
    numbers, objects = consecutive(given)
    assert numbers.tolist() == [start, start + 1]
    assert objects.tolist() == [1, 2, 0, 2]
    assert consecutive(given[:2])[1].tolist() == [1, 2]  # no background at all


def test_nothing_and_negative_numbers() -> None:
    numbers, objects = consecutive(np.zeros((0, 3), np.int32))
    assert (numbers.size, objects.shape) == (0, (0, 3))
    with pytest.raises(ValueError, match="negative"):
        consecutive(np.array([-1, 2]))
