from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulna.training import validated as module
from ulna.training.validated import part, validated


@given(st.lists(st.integers(1, 900), min_size=2, max_size=3), st.integers(1, 20))
def test_the_part_is_as_large_as_it_may_be(sides: list[int], outputs: int) -> None:
    shape = tuple(sides)
    found = validated(shape, outputs)
    assert outputs * prod(found) <= module.MOST
    if found == shape:
        return
    longest = max(found)
    assert all(one in (side, longest) for one, side in zip(found, shape, strict=True))
    assert outputs * prod(min(longest + 1, side) for side in shape) > module.MOST


def test_it_lies_around_the_foreground(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2 * 8 * 8 * 8)
    truth = np.zeros((1, 8, 20, 30), np.uint8)
    assert part(truth, 2) == (slice(0, 8), slice(6, 14), slice(11, 19))
    truth[0, 3, 1, 25:29] = 1
    assert part(truth, 2) == (slice(0, 8), slice(0, 8), slice(22, 30))
    truth[0, :, :, 7] = 255  # not annotated
    assert part(truth, 2) == (slice(0, 8), slice(0, 8), slice(22, 30))
    assert part(truth[:, :, :8, :8], 2) == (slice(0, 8),) * 3
