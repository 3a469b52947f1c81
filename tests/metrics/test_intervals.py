"""Intervals: what they cover in simulations, against scipy and plain loops, and what is said where there is none."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ulna.errors import UlnaError
from ulna.metrics import Sums, mean_interval, median_interval

NAN = float("nan")
REPEATS = 1500


def _cover(truth: float, intervals: list) -> float:
    return float(np.mean([found.low <= truth <= found.high for found in intervals]))


@pytest.mark.parametrize("groups", [5, 6, 8, 10, 20, 43])
def test_means_of_skewed_scores_are_covered(groups):
    """Scores near 1 with a long tail, four cases per group: percentiles covered 77 % with five groups."""
    rng = np.random.default_rng(groups)
    centers = 1 - rng.gamma(1, 0.1, (REPEATS, groups))  # mean 0.9
    values = (centers[..., None] + rng.normal(0, 0.01, (REPEATS, groups, 4))).reshape(REPEATS, -1)
    own = np.repeat(np.arange(groups), 4).tolist()
    assert _cover(0.9, [mean_interval(one, own, draws=400) for one in values]) >= 0.92


@pytest.mark.parametrize("groups", [5, 9, 30])
def test_means_over_groups_of_unequal_size_are_covered(groups):
    rng = np.random.default_rng(groups)
    found = []
    for _ in range(REPEATS):
        sizes = rng.integers(1, 9, groups)
        own = np.repeat(np.arange(groups), sizes)
        values = (1 - rng.gamma(1, 0.1, groups))[own] + rng.normal(0, 0.05, own.size)
        found.append(mean_interval(values, own.tolist(), draws=400))
    assert _cover(0.9, found) >= 0.92


@pytest.mark.parametrize("groups", [5, 9, 30])
def test_pooled_ratios_are_covered(groups):
    """Large and small groups: the pooled Dice of the population is that of all pixels."""
    rng = np.random.default_rng(groups)
    sizes = np.exp(rng.normal(0, 0.5, (REPEATS, groups, 1)))
    dice = 1 - rng.gamma(1, 0.1, (REPEATS, groups, 1))
    names = tuple(map(str, range(groups)))
    found = [Sums(names, s * d, s).interval(cases=groups, draws=400) for s, d in zip(sizes, dice, strict=True)]
    assert _cover(0.9, found) >= 0.92


@pytest.mark.parametrize("groups", [5, 7, 10, 30])
@pytest.mark.parametrize("cases", [1, 4])
def test_medians_are_covered(groups, cases):
    rng = np.random.default_rng(groups)
    centers = 1 - rng.gamma(1, 0.1, (REPEATS, groups))
    values = (centers[..., None] + rng.normal(0, 0.01, (REPEATS, groups, cases))).reshape(REPEATS, -1)
    own = np.repeat(np.arange(groups), cases).tolist()
    truth = 1 - 0.1 * math.log(2)
    assert _cover(truth, [median_interval(one, own) for one in values]) >= 0.92


def test_bernoulli_scores_are_covered_although_draws_repeat():
    """A third of the groups fail: where few values repeat the bootstrap alone covers half."""
    rng = np.random.default_rng(0)
    values = (rng.random((REPEATS, 12)) > 1 / 3).astype(float)
    assert _cover(2 / 3, [mean_interval(one, range(12), draws=400) for one in values]) >= 0.92


def test_many_groups_agree_with_the_normal_interval_and_with_scipy():
    values = np.random.default_rng(0).normal(0.6, 0.05, 400)
    ours = mean_interval(values, range(400))
    half = stats.t.ppf(0.975, 399) * stats.sem(values)
    assert ours.estimate == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    theirs = stats.bootstrap((values,), np.mean, method="BCa", rng=np.random.default_rng(1)).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.1 * half)


def test_beyond_five_hundred_groups_nothing_is_drawn_and_little_changes():
    values = 1 - np.random.default_rng(0).gamma(1, 0.1, 501)
    many, drawn = mean_interval(values, range(501)), mean_interval(values[:500], range(500))
    assert many == mean_interval(values, range(501), seed=1)
    assert drawn != mean_interval(values[:500], range(500), seed=1)
    assert (many.low, many.high) == pytest.approx((drawn.low, drawn.high), abs=0.1 * (drawn.high - drawn.low))
    half = stats.t.ppf(0.975, 500) * stats.sem(values)
    assert many.high == pytest.approx(values.mean() + half)
    assert many.low <= values.mean() - half


def test_a_hundred_thousand_groups_fit_into_memory():
    values = np.random.default_rng(0).random(100_000)
    found = mean_interval(values, range(100_000))
    assert 0.495 < found.low < 0.5 < found.high < 0.505


def _plain(numerators: np.ndarray, denominators: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.nanmean(numerators.sum(axis=0) / denominators.sum(axis=0)))


def test_the_studentized_bootstrap_is_that_of_a_plain_loop():
    rng = np.random.default_rng(2)
    denominators = rng.integers(1, 9, (7, 2)).astype(float)
    numerators = denominators * rng.uniform(0.4, 0.8, (7, 2))
    sums = Sums(tuple("abcdefg"), numerators, denominators)

    def error(n: np.ndarray, d: np.ndarray) -> float:
        ratios = n.sum(axis=0) / d.sum(axis=0)
        influence = ((n - ratios * d) / d.sum(axis=0)).mean(axis=1)
        return math.sqrt((influence**2).sum() * 7 / 6)

    estimate, whole = _plain(numerators, denominators), error(numerators, denominators)
    picks = np.random.default_rng(5).integers(7, size=(300, 7))
    deviations = []
    for pick in picks:
        own = error(numerators[pick], denominators[pick])
        deviations.append((_plain(numerators[pick], denominators[pick]) - estimate) / own if own > 1e-9 else 0)
    low, high = np.quantile(deviations, (0.05, 0.95))
    found = sums._studentized(estimate, tail=0.05, draws=300, seed=5)
    assert found == pytest.approx((estimate - high * whole, estimate - low * whole))


def test_the_jackknife_is_that_of_a_plain_loop():
    rng = np.random.default_rng(4)
    denominators = rng.integers(1, 9, (7, 2)).astype(float)
    numerators = denominators * rng.uniform(0.4, 0.8, (7, 2))
    left = [_plain(np.delete(numerators, k, 0), np.delete(denominators, k, 0)) for k in range(7)]
    expected = math.sqrt(6 / 7 * sum((one - np.mean(left)) ** 2 for one in left))
    assert Sums(tuple("abcdefg"), numerators, denominators)._jackknife() == pytest.approx(expected)


def test_what_resembles_each_other_counts_once():
    rng = np.random.default_rng(3)
    center = rng.random(10)
    values, groups = np.repeat(center, 20), np.repeat(np.arange(10), 20).tolist()
    by_group, by_case = mean_interval(values, groups), mean_interval(values, range(200))
    alone = mean_interval(center, range(10))
    assert by_group.high - by_group.low > 3 * (by_case.high - by_case.low)
    assert (by_group.low, by_group.high) == pytest.approx((alone.low, alone.high))
    median, single = median_interval(values, groups), median_interval(center, range(10))
    assert (median.low, median.high) == (single.low, single.high)


@pytest.mark.parametrize("size", [5, 6, 9, 10, 15, 40])
def test_medians_of_single_cases_are_close_to_the_sign_test(size):
    """Ordered values so far out that the binomial distribution leaves at most 2.5 % beyond, or the outermost."""
    values = np.arange(size) / 100
    found = median_interval(values[::-1], range(size))
    exact = max(int(stats.binom.ppf(0.025, size, 0.5)), 1)
    assert abs(round(100 * found.low) + 1 - exact) <= 1
    assert found.low + found.high == pytest.approx(values[-1])
    # its own coverage, from the binomial distribution
    below = round(100 * found.low) + 1
    assert 1 - 2 * stats.binom.cdf(below - 1, size, 0.5) >= 0.92


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 1) | st.just(NAN), st.integers(0, 8)), min_size=1, max_size=40))
def test_what_holds_for_any_scores(pairs):
    values, groups = [v for v, _ in pairs], [g for _, g in pairs]
    known = [v for v in values if not math.isnan(v)]
    for interval in (mean_interval, median_interval):
        found = interval(values, groups)
        assert repr(found) == repr(interval(values, groups))
        assert found.cases == len(known)
        assert found.groups == len({g for v, g in pairs if not math.isnan(v)})
        assert math.isnan(found.low) == math.isnan(found.high) == bool(found.reason)
        if not found.reason:
            assert found.groups >= 5
            assert 0 <= found.low <= found.estimate <= found.high <= 1
        if 1 <= found.groups < 5:
            assert len(found.group_values) == found.groups


def test_below_five_groups_their_values_are_given():
    for interval, first in ((mean_interval, 0.5), (median_interval, 0.4)):
        few = interval([0.4, 0.4, 0.7, 0.9, 0.95, 1.0], ["a", "a", "a", "b", "c", "d"])
        assert math.isnan(few.low)
        assert few.reason == "4 groups are too few: an interval needs 5"
        assert few.group_values == (("a", pytest.approx(first)), ("b", 0.9), ("c", 0.95), ("d", 1.0))
    five = mean_interval([0.4, 0.9, 0.95, 1.0, 0.8], range(5))
    assert not five.reason
    assert five.group_values == ()


def test_where_no_interval_can_be_given_it_says_why():
    one = mean_interval([0.5, 0.7, NAN], ["stack", "stack", "other"])
    assert (one.estimate, one.cases, one.groups) == (pytest.approx(0.6), 2, 1)
    assert "one group" in one.reason
    assert one.group_values == (("stack", pytest.approx(0.6)),)
    assert str(one) == "0.600"
    for interval in (mean_interval, median_interval):
        none = interval([NAN], ["a"])
        assert (none.cases, none.reason, str(none)) == (0, "no case has a score", "–")
        same = interval([1.0] * 6, range(6))
        assert "same value" in same.reason
        assert str(same) == "1.000"
        with pytest.raises(UlnaError, match="2 values need as many groups, not 1"):
            interval([0.5, 0.7], ["a"])
    assert str(mean_interval([0.5, 0.6, 0.7, 0.8, 0.9], range(5))).startswith("0.700 (0.")


def test_an_interval_stays_within_what_the_measure_can_be():
    scores, distances = [1.0, 1.0, 1.0, 0.9, 0.2], [0.0, 0.1, 0.2, 0.1, 40.0]
    share = mean_interval(scores, range(5))
    assert 0 <= share.low < share.estimate < share.high <= 1
    length = mean_interval(distances, range(5), bounds=(0, math.inf))
    assert 0 <= length.low < length.estimate < length.high
    mirrored = mean_interval([-value for value in distances], range(5), bounds=(-math.inf, 0))
    assert (mirrored.low, mirrored.high) == pytest.approx((-length.high, -length.low), rel=0.05)
    free = mean_interval([-3.0, 1.0, 2.0, -1.0, 0.5], range(5), bounds=(-math.inf, math.inf))
    assert free.low < -1
    assert free.high > 1


def test_shares_and_percentages_have_the_same_interval():
    scores = np.random.default_rng(0).beta(8, 2, 9)
    share, percent = mean_interval(scores, range(9)), mean_interval(100 * scores, range(9), bounds=(0, 100))
    assert (percent.low, percent.high) == pytest.approx((100 * share.low, 100 * share.high))


def test_sums_add_up_groups_and_leave_out_those_without_a_score():
    sums = Sums.of(["b", "a", "b", "c"], [[1, 0], [2, 0], [3, 1], [0, 0]], [[2, 0], [2, 0], [4, 4], [0, 0]])
    assert sums.groups == ("b", "a")
    assert sums.numerators.tolist() == [[4, 1], [2, 0]]
    assert sums.denominators.tolist() == [[6, 4], [2, 0]]
    assert sums.alone() == {"b": pytest.approx((4 / 6 + 1 / 4) / 2), "a": 1.0}
    assert sums.interval(cases=3).estimate == pytest.approx((6 / 8 + 1 / 4) / 2)


def test_a_class_that_only_one_group_has_does_no_harm():
    numerators = np.array([[8.0, 0], [7, 0], [9, 0.3], [6, 0], [8, 0], [9, 0]])
    denominators = np.array([[10.0, 0], [10, 0], [10, 0.4], [10, 0], [10, 0], [10, 0]])
    sums = Sums(tuple("abcdef"), numerators, denominators)
    found = sums.interval(cases=6)
    assert found.estimate == pytest.approx((47 / 60 + 3 / 4) / 2)
    left = [((47 - n) / 50 + (0.75 if k != 2 else (47 - n) / 50)) / 2 for k, n in enumerate(numerators[:, 0])]
    assert sums._jackknife() == pytest.approx(math.sqrt(5 * np.var(left)))
    assert 0 <= found.low < found.estimate < found.high <= 1


def test_more_draws_change_little():
    values = np.random.default_rng(1).beta(6, 2, 12)
    few, many = (mean_interval(values, range(12), draws=draws, seed=1) for draws in (2000, 20000))
    assert (few.low, few.high) == pytest.approx((many.low, many.high), abs=0.02)
    wider = mean_interval(values, range(12), level=0.99)
    assert wider.low < few.low
    assert wider.high > few.high
    assert median_interval(values, range(12), level=0.5).low > median_interval(values, range(12)).low


def test_every_order_of_the_cases_gives_the_same_estimate():
    values, groups = [0.2, 0.9, 0.7], ["a", "b", "a"]
    for order in itertools.permutations(range(3)):
        found = mean_interval([values[k] for k in order], [groups[k] for k in order])
        assert found.estimate == pytest.approx(0.6)
        assert dict(found.group_values) == {"a": pytest.approx(0.45), "b": 0.9}


def test_groups_of_two_values_and_several_sizes() -> None:
    """Where all groups drawn have one ratio nothing spreads: what rounding leaves is no standard error."""
    sums = Sums.of("abcdef", np.array([4, 4, 4, 3, 4, 3]), np.array([5, 5, 5, 4, 5, 4]))
    found = sums.interval(cases=6)
    assert found.estimate == pytest.approx(22 / 28)
    assert (found.low, found.high) == (pytest.approx(0.757, abs=0.01), pytest.approx(0.809, abs=0.01))
