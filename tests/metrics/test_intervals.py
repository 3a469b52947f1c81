"""The bootstrap over groups against scipy, against all possible draws, and what it must obey."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ulna.errors import UlnaError
from ulna.metrics import bootstrap, mean, median

NAN = float("nan")


@pytest.mark.parametrize("statistic", [mean, median])
def test_single_cases_as_scipy_does_it(statistic):
    values = np.random.default_rng(0).beta(8, 2, size=40)
    ours = bootstrap(values, range(40), statistic=statistic, draws=8000)
    theirs = stats.bootstrap(
        (values,), lambda v, axis: getattr(np, statistic.__name__)(v, axis=axis),
        n_resamples=8000, method="percentile", rng=np.random.default_rng(1), vectorized=True,
    ).confidence_interval  # fmt: skip
    assert ours.estimate == pytest.approx(statistic(values))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)
    assert (ours.cases, ours.groups) == (40, 40)


@pytest.mark.parametrize("statistic", [mean, median])
def test_groups_of_unequal_size_as_all_draws_have_it(statistic):
    own = {"a": [0.1, 0.2, 0.3], "b": [0.9], "c": [0.5, 0.6], "d": [0.7, 0.2, 0.4, 0.8]}
    values = [v for many in own.values() for v in many]
    groups = [name for name, many in own.items() for _ in many]
    # every one of the 4^4 draws is equally likely: the exact bootstrap distribution
    exact = [
        statistic(np.array([v for name in draw for v in own[name]])) for draw in itertools.product(own, repeat=len(own))
    ]
    ours = bootstrap(values, groups, statistic=statistic, draws=20_000)
    low, high = np.quantile(exact, (0.025, 0.975))
    assert ours.low == pytest.approx(low, abs=0.02)
    assert ours.high == pytest.approx(high, abs=0.02)
    assert (ours.cases, ours.groups) == (10, 4)


def test_what_resembles_each_other_counts_once():
    rng = np.random.default_rng(3)
    center = rng.random(10)
    values, groups = np.repeat(center, 20), np.repeat(np.arange(10), 20).tolist()
    by_group, by_case = bootstrap(values, groups), bootstrap(values, range(200))
    alone = bootstrap(center, range(10))
    assert by_group.high - by_group.low > 3 * (by_case.high - by_case.low)
    assert (by_group.low, by_group.high) == pytest.approx((alone.low, alone.high))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1) | st.just(NAN), st.integers(0, 5)), min_size=1, max_size=30))
def test_the_interval_stays_within_the_values(pairs):
    values, groups = [v for v, _ in pairs], [g for _, g in pairs]
    found = bootstrap(values, groups, draws=200)
    again = bootstrap(values, groups, draws=200)
    known = [v for v in values if not math.isnan(v)]
    assert repr(found) == repr(again)
    assert found.cases == len(known)
    assert found.groups == len({g for v, g in pairs if not math.isnan(v)})
    if found.groups > 1:
        assert min(known) - 1e-9 <= found.low <= found.high <= max(known) + 1e-9
        assert not found.reason
    else:
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert found.reason


def test_where_no_interval_can_be_given_it_says_why():
    one = bootstrap([0.5, 0.7, NAN], ["stack", "stack", "other"])
    assert (one.estimate, one.cases, one.groups) == (pytest.approx(0.6), 2, 1)
    assert "one group" in one.reason
    assert str(one) == "0.600"
    none = bootstrap([NAN], ["a"])
    assert (none.cases, none.reason, str(none)) == (0, "no case has a score", "–")
    assert str(bootstrap([0.5, 0.5], [1, 2])) == "0.500 (0.500 to 0.500)"
    with pytest.raises(UlnaError, match="need as many groups"):
        bootstrap([0.5, 0.7], ["a"])


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=2, max_size=20))
def test_the_fast_ways_are_the_plain_way(pairs):
    values, groups = [v / 9 for v, _ in pairs], [g for _, g in pairs]
    for fast in (mean, median):
        plain = bootstrap(values, groups, statistic=lambda v, fast=fast: fast(v), draws=100)
        quick = bootstrap(values, groups, statistic=fast, draws=100)
        assert (quick.low, quick.high) == pytest.approx((plain.low, plain.high), nan_ok=True)
