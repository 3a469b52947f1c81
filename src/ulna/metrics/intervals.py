"""How sure a mean is: the bootstrap over groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError

Values = npt.NDArray[np.float64]
Times = npt.NDArray[np.intp]
Statistic = Callable[[Values], float]


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval; `low` and `high` are NaN where none can be given (`reason` says why).

    `cases` and `groups` count what the estimate stands on: values that are not NaN, and their groups.
    """

    estimate: float
    low: float
    high: float
    cases: int
    groups: int
    reason: str = ""

    def __str__(self) -> str:
        if not self.cases:
            return "–"
        if math.isnan(self.low):
            return f"{self.estimate:.3f}"
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


def mean(values: Values) -> float:
    """The arithmetic mean of a 1D array."""
    return float(np.mean(values))


def median(values: Values) -> float:
    """The median of a 1D array."""
    return float(np.median(values))


def bootstrap(
    values: Sequence[float] | Values,
    groups: Sequence[Hashable],
    *,
    statistic: Statistic = mean,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The estimate of a statistic over all values, and its bootstrap interval over groups.

    Images of one group (a patient, one slide cut in tiles) resemble each other; drawing single images would
    promise more than the data hold. So whole groups are drawn with replacement, as many as there are, and the
    statistic is taken over all their cases (the cluster bootstrap: Davison & Hinkley 1997, section 3.8; Field
    & Welsh 2007, J. R. Stat. Soc. B 69:369); the interval is that of the percentiles (Efron & Tibshirani
    1993, chapter 13). With fewer than about ten groups it tends to be too narrow.

    `values` is one number a case (NaN: no score, left out), `groups` the group of each case. The same seed
    gives the same interval. With one group, `low` and `high` are NaN and `reason` says why. Raises UlnaError
    when the lengths differ.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or len(numbers) != len(groups):
        raise UlnaError(f"{numbers.size} values need as many groups, not {len(groups)}")
    known = ~np.isnan(numbers)
    scored = numbers[known]
    own = [group for group, keep in zip(groups, known, strict=True) if keep]
    places = {group: place for place, group in enumerate(dict.fromkeys(own))}
    cases, count = int(scored.size), len(places)
    nan = float("nan")
    if not cases:
        return Interval(nan, nan, nan, 0, 0, "no case has a score")
    estimate = float(statistic(scored))
    if count < 2:
        return Interval(estimate, nan, nan, cases, 1, "one group alone says nothing about how much groups differ")
    picks = np.random.default_rng(seed).integers(count, size=(draws, count))
    times = np.stack([np.bincount(pick, minlength=count) for pick in picks])
    spread = _resampled(scored, times[:, [places[group] for group in own]], statistic)
    tail = (1 - level) / 2
    low, high = np.quantile(spread, (tail, 1 - tail))
    return Interval(estimate, float(low), float(high), cases, count)


def _resampled(values: Values, times: Times, statistic: Statistic) -> Values:
    """The statistic of each draw, (draws,), where draw d holds value v `times[d, v]` times."""
    if statistic is mean:
        return np.asarray((times @ values) / times.sum(axis=1))
    if statistic is median:
        order = np.argsort(values)
        reached = times[:, order].cumsum(axis=1)  # how many drawn values are no larger than this one
        total = reached[:, -1:]
        low, high = ((reached > middle).argmax(axis=1) for middle in ((total - 1) // 2, total // 2))
        return np.asarray((values[order][low] + values[order][high]) / 2)
    return np.array([statistic(np.repeat(values, drawn)) for drawn in times])
