"""Work in threads: order, errors, and how much is in flight."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.parallel import in_parallel


def test_in_parallel_keeps_the_order_and_stays_near() -> None:
    started: list[int] = []
    lock = threading.Lock()

    def work(item: int) -> int:
        with lock:
            started.append(item)
        return item * item

    results = in_parallel(work, range(1000))
    assert next(results) == 0
    assert len(started) < 100
    assert list(results) == [k * k for k in range(1, 1000)]


@settings(max_examples=30, deadline=None)
@given(weights=st.lists(st.integers(0, 70), max_size=40), budget=st.integers(1, 100))
def test_what_is_in_flight_is_weighed(weights: list[int], budget: int) -> None:
    """Between the start of the work and the use of its result, no more than the budget, or one item."""
    flying: dict[int, int] = {}
    lock = threading.Lock()
    loads: list[tuple[int, int]] = []

    def work(item: int) -> int:
        with lock:
            flying[item] = weights[item]
            loads.append((sum(flying.values()), sum(weight > 0 for weight in flying.values())))
        return item

    for count, item in enumerate(
        in_parallel(work, range(len(weights)), weigh=lambda item: weights[item], budget=budget)
    ):
        assert item == count
        with lock:
            del flying[item]
    assert all(load <= budget or items == 1 for load, items in loads)


def test_in_parallel_raises_what_work_raises() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    with pytest.raises(ValueError, match="three"):
        list(in_parallel(work, range(10)))
