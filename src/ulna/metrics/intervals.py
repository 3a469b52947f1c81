"""How sure a score is: confidence intervals over groups, for means, pooled ratios and medians."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from ulna.errors import UlnaError

Values = npt.NDArray[np.float64]

MIN_GROUPS = 5
"""With fewer groups no method covers what it promises; the groups' own values are given instead."""
MAX_RESAMPLED = 500
"""With more groups Student's t covers as well, and drawing groups takes seconds."""
LEVEL, DRAWS = 0.95, 2000
METHOD = (
    "studentized bootstrap over groups, widened where needed to Student's t on the logit scale; "
    "for medians Woodruff's interval with t quantiles"
)
SHARE = (0.0, 1.0)
"""The bounds of scores that are shares, such as Dice."""
_SAME = 1e-9  # a spread relative to the values that is rounding and nothing else
_SAME_ERROR = 1e-6  # the same for standard errors: they are roots of what is left where squares cancel


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval.

    Parameters
    ----------
    estimate
        The score.
    low, high
        The ends of the interval; NaN where there is none.
    cases, groups
        What the estimate stands on: cases that have a score, and their groups.
    reason
        Why there is no interval; "" where there is one.
    group_values
        The score of each group alone, given where groups are too few for an interval.
    """

    estimate: float
    low: float
    high: float
    cases: int
    groups: int
    reason: str = ""
    group_values: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        if not self.cases:
            return "–"
        if math.isnan(self.low):
            return f"{self.estimate:.3f}"
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Sums:
    """What each group adds to one or several ratios.

    The statistic is the mean over the ratios of sum(numerators) / sum(denominators). With values as numerators and
    counts of cases as denominators it is the mean over cases; with counts of pixels or objects it is a pooled Dice, AP
    or PQ; with a ratio per class it is the mean over classes of these.

    Parameters
    ----------
    groups
        The names of the groups that have a score.
    numerators, denominators
        Sums of each group, both (groups, ratios).
    """

    groups: tuple[str, ...]
    numerators: Values
    denominators: Values

    @classmethod
    def of(cls, groups: Sequence[Hashable], numerators: npt.ArrayLike, denominators: npt.ArrayLike) -> Sums:
        """Add up what cases hold.

        Parameters
        ----------
        groups
            The group of each case.
        numerators, denominators
            Of each case, (cases,) or (cases, ratios).

        Returns
        -------
        Sums
            Without the groups that have no score.
        """
        arrays = (np.asarray(one, np.float64) for one in (numerators, denominators))
        parts, wholes = (array if array.ndim == 2 else array[:, None] for array in arrays)
        places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
        own = [places[group] for group in groups]
        sums = np.zeros((2, len(places), parts.shape[1]))
        np.add.at(sums[0], own, parts)
        np.add.at(sums[1], own, wholes)
        scored = (sums[1] > 0).any(axis=1)  # a group without a score says nothing
        names = tuple(str(group) for group, known in zip(places, scored, strict=True) if known)
        return cls(names, sums[0][scored], sums[1][scored])

    def interval(
        self,
        *,
        cases: int,
        bounds: tuple[float, float] = SHARE,
        level: float = LEVEL,
        draws: int = DRAWS,
        seed: int = 0,
    ) -> Interval:
        """The estimate and its interval from resampling whole groups.

        Cases of one group (a patient, tiles of one slide) resemble each other, so whole groups are drawn with
        replacement. Each draw's deviation is divided by its own standard error (studentized, or bootstrap-t), which
        follows the skewness that scores near 1 have; percentiles of the draws do not, and cover 80 % instead of 95 %
        with five groups. The interval is then joined with that of Student's t on the logit scale, whose standard
        error is the jackknife's: the bootstrap alone is too narrow where few values repeat or group sizes differ.
        Beyond `MAX_RESAMPLED` groups Student's t takes the place of the bootstrap.
        `benchmarks/results/intervals.md` has the simulated coverage.

        Parameters
        ----------
        cases : int
            The number of cases that have a score, for the record.
        bounds : (float, float)
            What the statistic can be; either may be infinite. The interval is clipped to it.
        level, draws, seed
            Confidence level, number of draws, and seed: the same seed gives the same interval.

        Returns
        -------
        Interval
            Without low and high for fewer than `MIN_GROUPS` groups, or where all groups have the same value.

        References
        ----------
        Davison & Hinkley 1997, Bootstrap Methods and their Application, sections 2.4, 3.8 and 5.2.
        Field & Welsh 2007, Bootstrapping clustered data, J. R. Stat. Soc. B 69:369.

        Examples
        --------
        >>> dice = [0.91, 0.95, 0.88, 0.97, 0.93, 0.62]
        >>> Sums.of("abcdef", dice, [1] * 6).interval(cases=6).groups
        6
        """
        count = len(self.groups)
        if not count:
            return _nothing()
        estimate = float(self._statistic(np.ones((1, count)))[0])
        if count < MIN_GROUPS:
            return _too_few(estimate, cases, self.alone())
        error = self._jackknife()
        if error <= _SAME * max(abs(estimate), _SAME):
            return _same(estimate, cases, count)
        tail = (1 - level) / 2
        t = float(stdtrit(count - 1, 1 - tail))
        low, high = estimate - t * error, estimate + t * error
        if count <= MAX_RESAMPLED:
            low, high = self._studentized(estimate, tail=tail, draws=draws, seed=seed)
        other = _transformed_t(estimate, error, t=t, bounds=bounds)
        clipped = np.clip([min(low, other[0]), max(high, other[1])], *bounds)
        return Interval(estimate, float(clipped[0]), float(clipped[1]), cases, count)

    def alone(self) -> dict[str, float]:
        """The statistic of each group alone.

        Returns
        -------
        dict
            By the name of the group.
        """
        values = mean_ratio(self.numerators, self.denominators)
        return dict(zip(self.groups, values.tolist(), strict=True))

    def _statistic(self, times: Values) -> Values:
        """The statistic (draws,) where draw d holds group g `times[d, g]` times."""
        return mean_ratio(times @ self.numerators, times @ self.denominators)

    def _jackknife(self) -> float:
        """The standard error from leaving out each group in turn."""
        parts, wholes = (one.sum(axis=0) - one for one in (self.numerators, self.denominators))
        wholes[wholes <= _SAME * self.denominators.sum(axis=0)] = 0  # what is left of a ratio that one group has alone
        left = mean_ratio(parts, wholes)
        return float(np.sqrt((len(self.groups) - 1) * np.nanvar(left)))

    def _studentized(self, estimate: float, *, tail: float, draws: int, seed: int) -> tuple[float, float]:
        """The interval of the bootstrap-t, whose standard errors are those of the linearized statistic."""
        count = len(self.groups)
        error = self._linear_errors(np.ones((1, count)))[0]
        picks = np.random.default_rng(seed).integers(count, size=(draws, count)) + count * np.arange(draws)[:, None]
        times = np.bincount(picks.ravel(), minlength=draws * count).reshape(draws, count).astype(np.float64)
        errors = self._linear_errors(times)
        spread = errors > _SAME_ERROR * error  # else one group was drawn again and again, or its equals
        deviations = np.where(spread, self._statistic(times) - estimate, 0) / np.where(spread, errors, 1)
        low, high = np.nanquantile(deviations, (tail, 1 - tail))
        return estimate - float(high) * error, estimate - float(low) * error

    def _linear_errors(self, times: Values) -> Values:
        """The standard error of the statistic of each draw (draws,), by the delta method over its groups."""
        count = len(self.groups)
        center = self.numerators.sum(axis=0) / np.maximum(self.denominators.sum(axis=0), 1e-300)
        residuals = self.numerators - center * self.denominators  # small, so that squares of them lose no digits
        numerators, denominators = times @ residuals, times @ self.denominators
        known = denominators > 0
        whole = np.where(known, denominators, 1)
        share = known / np.maximum(known.sum(axis=1, keepdims=True), 1) / whole
        gradient = np.concatenate([share, -share * numerators / whole], axis=1)  # (draws, 2 · ratios)
        both = np.concatenate([residuals, self.denominators], axis=1)
        products = (both[:, :, None] * both[:, None, :]).reshape(count, -1)
        moments = (times @ products).reshape(len(times), both.shape[1], both.shape[1])
        squares = np.einsum("di,dij,dj->d", gradient, moments, gradient)
        return np.asarray(np.sqrt(np.maximum(squares, 0) * count / (count - 1)))


def mean_interval(
    values: Sequence[float] | Values,
    groups: Sequence[Hashable],
    *,
    bounds: tuple[float, float] = SHARE,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """The mean of a score over cases, with its interval over groups. See `Sums.interval` for the method.

    Parameters
    ----------
    values
        One per case; NaN is left out.
    groups
        The group of each case.
    bounds
        The least and the largest value that the score can have.
    level
        The share of intervals that should hold the true mean.
    draws
        How often groups are drawn.
    seed
        Of the draws.

    Returns
    -------
    Interval
        The mean with its interval, or with the reason why there is none.

    Raises
    ------
    UlnaError
        When the lengths differ.

    Examples
    --------
    >>> print(mean_interval([0.8, 0.9, 1.0], ["a", "b", "c"]))
    0.900
    """
    numbers, own = _known(values, groups)
    sums = Sums.of(own, numbers, np.ones(len(numbers)))
    return sums.interval(cases=len(numbers), bounds=bounds, level=level, draws=draws, seed=seed)


def median_interval(values: Sequence[float] | Values, groups: Sequence[Hashable], *, level: float = LEVEL) -> Interval:
    """The median of a score over cases, with its interval over groups.

    The interval of the share of values below the median, ½ ± t · its standard error over groups, is read off the
    ordered values. With one case per group this is close to the exact interval of the sign test.

    Parameters
    ----------
    values
        One per case; NaN is left out.
    groups
        The group of each case.
    level
        The share of intervals that should hold the true median.

    Returns
    -------
    Interval
        The median with its interval, or with the reason why there is none.

    Raises
    ------
    UlnaError
        When the lengths differ.

    References
    ----------
    Woodruff 1952, Confidence intervals for medians and other position measures, J. Am. Stat. Assoc. 47:635.

    Examples
    --------
    >>> print(median_interval([0.2, 0.9, 0.8, 0.7, 0.95], "abcde"))
    0.800 (0.200 to 0.950)
    """
    numbers, own = _known(values, groups)
    names = dict.fromkeys(own)
    if not names:
        return _nothing()
    estimate, size, count = float(np.median(numbers)), len(numbers), len(names)
    if count < MIN_GROUPS:
        parts = {str(name): [v for v, group in zip(numbers, own, strict=True) if group == name] for name in names}
        return _too_few(estimate, size, {name: float(np.median(part)) for name, part in parts.items()})
    if np.ptp(numbers) <= _SAME * max(abs(estimate), _SAME):
        return _same(estimate, size, count)
    below = Sums.of(own, (numbers <= estimate) - 0.5, np.full(size, 1 / size)).numerators[:, 0] / size
    error = math.sqrt(count / (count - 1) * float(below @ below))
    reach = float(stdtrit(count - 1, (1 + level) / 2)) * error
    ordered = np.sort(numbers)
    first = max(math.ceil((0.5 - reach) * size), 1)
    last = min(math.floor((0.5 + reach) * size) + 1, size)
    return Interval(estimate, float(ordered[first - 1]), float(ordered[last - 1]), size, count)


def mean_ratio(numerators: Values, denominators: Values) -> Values:
    """The mean over the last axis of the ratios that exist.

    Parameters
    ----------
    numerators, denominators
        Of one shape.

    Returns
    -------
    Values
        Without the last axis; NaN where no ratio exists.
    """
    known = denominators > 0
    ratios = np.where(known, numerators, 0) / np.where(known, denominators, 1)
    count = known.sum(axis=-1)
    return np.where(count > 0, ratios.sum(axis=-1) / np.maximum(count, 1), np.nan)


def _known(values: Sequence[float] | Values, groups: Sequence[Hashable]) -> tuple[Values, list[Hashable]]:
    """The values that are not NaN, and their groups."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or len(numbers) != len(groups):
        raise UlnaError(f"{numbers.size} values need as many groups, not {len(groups)}")
    known = ~np.isnan(numbers)
    return numbers[known], [group for group, keep in zip(groups, known, strict=True) if keep]


def _transformed_t(estimate: float, error: float, *, t: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Student's interval on a scale without bounds: the logit between two bounds, the logarithm above one."""
    lowest, highest = bounds
    inside = lowest < estimate < highest
    if not inside or (math.isinf(lowest) and math.isinf(highest)):
        return estimate - t * error, estimate + t * error
    if math.isinf(lowest):
        low, high = _transformed_t(-estimate, error, t=t, bounds=(-highest, math.inf))
        return -high, -low
    if math.isinf(highest):
        part = estimate - lowest
        step = min(t * error / part, 700.0)  # beyond this the exponential overflows
        return lowest + part * math.exp(-step), lowest + part * math.exp(step)
    part = (estimate - lowest) / (highest - lowest)
    logit = math.log(part / (1 - part))
    step = min(t * error / (highest - lowest) / (part * (1 - part)), 700.0 - abs(logit))
    low, high = (1 / (1 + math.exp(-logit - sign * step)) for sign in (-1, 1))
    return lowest + (highest - lowest) * low, lowest + (highest - lowest) * high


def _nothing() -> Interval:
    return Interval(math.nan, math.nan, math.nan, 0, 0, "no case has a score")


def _too_few(estimate: float, cases: int, values: dict[str, float]) -> Interval:
    count = len(values)
    reason = f"{count} groups are too few: an interval needs {MIN_GROUPS}" if count > 1 else (
        "one group alone says nothing about how much groups differ"
    )  # fmt: skip
    return Interval(estimate, math.nan, math.nan, cases, count, reason, tuple(values.items()))


def _same(estimate: float, cases: int, groups: int) -> Interval:
    reason = "all groups have the same value, which says nothing about how much others may differ"
    return Interval(estimate, math.nan, math.nan, cases, groups, reason)
