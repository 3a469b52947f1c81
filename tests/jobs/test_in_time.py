from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ulna.dataset import quiet
from ulna.jobs.in_time import evenly, in_time


@given(st.integers(0, 200))
def test_beginnings_are_spread_evenly(count: int) -> None:
    order = evenly(range(count))
    assert sorted(order) == list(range(count))
    for taken in (3, 10, 33):
        if count >= 2 * taken:
            gaps = sorted([-1, *order[:taken], count])
            assert max(b - a for a, b in pairwise(gaps)) <= 4 * count / taken


def test_the_first_is_passed_on_whatever_the_time() -> None:
    time = iter([True, True, False])
    assert list(in_time(quiet, lambda: next(time))([5, 6, 7, 8, 9], "scoring")) == [5, 6, 7]
    assert list(in_time(quiet, lambda: False)([5, 6], "scoring")) == [5]
    assert list(in_time(quiet, lambda: False)([], "scoring")) == []
