"""What many cases say together: means, medians, pooled scores and their intervals, for all classes and for each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

import numpy as np

from ulna.metrics.errors import NONE_WRONG, Errors
from ulna.metrics.intervals import (
    DRAWS,
    LEVEL,
    METHOD,
    MIN_GROUPS,
    SHARE,
    Interval,
    Sums,
    Values,
    mean_interval,
    mean_ratio,
    median_interval,
)
from ulna.metrics.rows import ALL_CLASSES, MEANS, Primary, Row, State, label
from ulna.metrics.scored import Scored
from ulna.text import listed


@dataclass(frozen=True)
class Spread:
    """One score over the cases, each estimate with its interval over groups.

    Parameters
    ----------
    mean, median
        Over cases.
    pooled
        Of the pixels or objects of all cases together: the sum of numerators over that of denominators. Of several
        classes it is the mean of theirs.
    """

    mean: Interval
    median: Interval
    pooled: Interval

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, as `metrics.json` has them.

        Returns
        -------
        dict
            None stands for a number that does not exist.
        """
        parts = {"mean": self.mean, "median": self.median, "pooled": self.pooled}
        estimates = {key: value for name, one in parts.items() for key, value in _as_json(name, one).items()}
        return estimates | {"cases": self.mean.cases, "groups": self.mean.groups, "reason": self.mean.reason}


@dataclass(frozen=True)
class ClassSummary:
    """The scores of all classes together or of one.

    Parameters
    ----------
    name
        Of the class, or `ALL_CLASSES`.
    scores
        A `Spread` per measure.
    states
        How often each state was met.
    """

    name: str
    scores: dict[str, Spread]
    states: dict[State, int]

    def as_json(self) -> dict[str, Any]:
        """The scores and the counts of masks that are empty in truth, prediction or both.

        Returns
        -------
        dict
            As `metrics.json` has them.
        """
        return {name: spread.as_json() for name, spread in self.scores.items()} | {
            "empty_predicted_empty": self.states["empty, predicted empty"],
            "false_positives": self.states["false positive"],
            "missed": self.states["missed"],
        }


@dataclass(frozen=True)
class Summary:
    """All that is said about a set of cases.

    Parameters
    ----------
    overall
        The mean over cases of each case's mean over classes.
    classes
        The same per class.
    by_group
        The mean over groups of each group's pooled score of the first measure (all pixels of a patient's slices or of a
        picture's tiles together), so that each group counts once.
    measures
        The keys of all measures, the one that ranks cases first.
    judged_by
        That one, which way it is better, and what it counts.
    cases, groups
        How many there are.
    errors
        The wrong pixels of all cases, by where they lie.
    units
        Of the measures that have one; several, where cases differ.
    """

    overall: ClassSummary
    classes: tuple[ClassSummary, ...]
    by_group: Interval
    measures: tuple[str, ...]
    judged_by: Primary
    cases: int
    groups: int
    errors: Errors = NONE_WRONG
    units: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def primary(self) -> str:
        """The measure that comes first: cases are ranked by it."""
        return self.measures[0] if self.measures else ""

    @property
    def joined(self) -> bool:
        """Whether some groups hold several cases, so that scores by group say something of their own."""
        return 1 < self.groups < self.cases

    def left_out(self) -> list[str]:
        """What the means leave out, what counts as 0 in them, and why an interval is missing.

        Returns
        -------
        list of str
            Sentences.
        """
        states = self.overall.states
        zero = f": {label(self.primary)} 0" if self.primary and self.judged_by.higher_is_better else ""
        messages: tuple[tuple[State, str], ...] = (
            ("empty, predicted empty", "empty and predicted empty: counted here, and no part of the means"),
            ("false positive", f"empty, but something was found{zero} (a false positive)"),
            ("missed", f"not empty, but nothing was found{zero} (missed)"),
        )
        judged = [one for one in self.classes if self.primary in one.scores]
        pair = "" if len(judged) == 1 else " (an image and class each)"
        lines = [
            f"{states[state]} {'mask' if states[state] == 1 else 'masks'}{pair} {words}"
            for state, words in messages
            if states[state]
        ]
        return [*lines, *self._without_surface(), *self._mixed(), *self._without_interval()]

    def _without_surface(self) -> list[str]:
        """Of how many images the means of distances are: where one of two surfaces is missing there is none."""
        lines = []
        for one in self.classes:
            if self.primary not in one.scores:
                continue
            judged = one.scores[self.primary].mean.cases
            fewer = {
                label(name): one.scores[name].mean.cases
                for name in ("hd95", "asd")
                if name in one.scores and one.scores[name].mean.cases < judged
            }
            if fewer:
                what = listed(list(fewer), 8) + (f" of {one.name}" if len(self.classes) > 1 else "")
                count = min(fewer.values())
                lines.append(f"{what}: means over {count} of {judged} images, for the others lack one of both surfaces")
        return lines

    def _mixed(self) -> list[str]:
        """Which means are of lengths in several units."""
        mixed = [name for name, units in self.units.items() if len(units) > 1]
        if not mixed:
            return []
        kinds = listed(self.units[mixed[0]], 8)
        return [f"cases are in several units ({kinds}): means of {listed(map(label, mixed), 8)} say nothing"]

    def titled(self, measure: str) -> str:
        """What a table calls a measure, with its unit.

        Parameters
        ----------
        measure
            Its key.

        Returns
        -------
        str
            "HD95 [mm]".
        """
        units = self.units.get(measure, ())
        return f"{label(measure)} [{', '.join(units)}]" if units else label(measure)

    def _without_interval(self) -> list[str]:
        """Why the first score has no interval, with the values of the groups where these are few."""
        means = {one.name: one.scores[self.primary].mean for one in self.classes if self.primary in one.scores}
        if self.primary in self.overall.scores and len(means) != 1:
            means = {self.overall.name: self.overall.scores[self.primary].mean} | means
        lines = []
        for name, mean in means.items():
            if mean.reason:
                line = f"no confidence interval{f' of {name}' if len(means) > 1 else ''}: {mean.reason}"
                if len(mean.group_values) > 1:
                    values = ", ".join(f"{group} {value:.3f}" for group, value in mean.group_values)
                    line += f". Mean {label(self.primary)} of each group: {values}"
                lines.append(line)
        return lines

    def as_json(self) -> dict[str, Any]:
        """The part of `metrics.json` that is about scores.

        Returns
        -------
        dict
            None stands for a number that does not exist.
        """
        return {
            "cases": self.cases,
            "groups": self.groups,
            "primary": asdict(self.judged_by),
            "measures": {name: label(name) for name in self.measures},
            "overall": self.overall.as_json(),
            "per_class": {one.name: one.as_json() for one in self.classes},
            "by_group": {self.primary: _as_json("mean", self.by_group)} if self.primary else {},
            "wrong_pixels": {**asdict(self.errors), "sentence": self.errors.sentence()},
            "interval": {"level": LEVEL, "method": METHOD, "draws": DRAWS, "min_groups": MIN_GROUPS},
        } | ({"units": {name: ", ".join(units) for name, units in self.units.items()}} if self.units else {})


def summarize(cases: Sequence[Scored], primary: Primary | None = None, *, seed: int = 0) -> Summary:
    """Means, medians and pooled scores with 95 % intervals over groups, of all measures that the cases have.

    The intervals are described at `Sums.interval` and `median_interval`.

    Parameters
    ----------
    cases
        The cases, in any order.
    primary
        The measure that comes first; by default the one that the cases have first, of which more is better.
    seed
        Of the bootstrap: the same seed gives the same intervals.

    Returns
    -------
    Summary
        For all classes together and for each.

    Examples
    --------
    >>> rows = [Row("cell", "dice", 6, 8)]
    >>> summary = summarize([Scored.of(rows, name=name, group=name) for name in ("a", "b")])
    >>> print(summary.overall.scores["dice"].mean)
    0.750
    """
    every = [row for case in cases for row in case.rows]
    units = {row.measure: row.unit for row in every if not row.counted}
    units |= {name: "" for name, parts in MEANS.items() if set(parts) <= set(units)}
    if primary is None or primary.measure not in units:
        primary = Primary(next(iter(units), ""))
    measures = tuple(sorted(units, key=lambda name: name != primary.measure))
    subjects = tuple(dict.fromkeys(row.subject for row in every if row.subject != ALL_CLASSES))
    groups = [case.group for case in cases]

    def scores(names: Sequence[str], own: Sequence[str] = ()) -> dict[str, Spread]:
        parts = {name: _ratios(cases, own, name) or _ratios(cases, names, name) for name in measures}
        return {name: _spread(ratios, groups, unit=units[name], seed=seed) for name, ratios in parts.items() if ratios}

    first = _ratios(cases, subjects, primary.measure)
    judged = [name for name in subjects if _ratios(cases, [name], primary.measure)]
    return Summary(
        overall=ClassSummary(ALL_CLASSES, scores(subjects, own=[ALL_CLASSES]), _count(cases, judged)),
        classes=tuple(ClassSummary(name, scores([name]), _count(cases, [name])) for name in subjects),
        by_group=_by_group(first, groups, seed=seed),
        measures=measures,
        cases=len(cases),
        groups=len(set(groups)),
        errors=sum((case.errors for case in cases), NONE_WRONG),
        judged_by=primary,
        units=_units(every),
    )


def _units(rows: Sequence[Row]) -> dict[str, tuple[str, ...]]:
    """The units of the measures that are no counts."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.unit and not row.counted:
            found.setdefault(row.measure, {})[row.unit] = None
    return {name: tuple(sorted(units)) for name, units in found.items()}


def number(value: float) -> float | None:
    """A float as JSON may hold it.

    Parameters
    ----------
    value
        Any float.

    Returns
    -------
    float or None
        None for NaN and infinity.
    """
    return value if math.isfinite(value) else None


def _as_json(name: str, interval: Interval) -> dict[str, Any]:
    """An estimate and its interval under `name`, or the values of the groups where these are too few."""
    found: dict[str, Any] = {
        name: number(interval.estimate),
        f"{name}_interval": [number(interval.low), number(interval.high)],
    }
    if interval.group_values:
        found[f"{name}_of_groups"] = {group: number(value) for group, value in interval.group_values}
    return found


Ratios = tuple[Values, Values]  # numerators and denominators, both (cases, subjects); 0/0 where there is no row


def _ratios(cases: Sequence[Scored], subjects: Sequence[str], measure: str) -> Ratios | None:
    """The parts of one measure of all cases, (cases, subjects); None where no case has it.

    Of a measure that is the mean of others there is a column for each of these.
    """
    wanted = [(subject, part) for subject in subjects for part in MEANS.get(measure, (measure,))]
    rows = [[case.row(*one) for one in wanted] for case in cases]
    if not any(row for line in rows for row in line):
        return None
    parts = [[(row.numerator, row.denominator) if row else (0, 0) for row in line] for line in rows]
    both = np.asarray(parts, dtype=np.float64)
    return both[..., 0], both[..., 1]


def _spread(ratios: Ratios, groups: Sequence[str], *, unit: str, seed: int) -> Spread:
    values = mean_ratio(*ratios)
    known = values[~np.isnan(values)]
    bounds = _bounds(known, unit)
    return Spread(
        mean=mean_interval(values, groups, bounds=bounds, seed=seed),
        median=median_interval(values, groups),
        pooled=Sums.of(groups, *ratios).interval(cases=known.size, bounds=bounds, seed=seed),
    )


def _bounds(values: Values, unit: str) -> tuple[float, float]:
    """What a measure can be, as its unit and values show: a share, a number that is not negative, or any."""
    if (values < 0).any():
        return -math.inf, math.inf
    return SHARE if not unit and (values <= 1).all() else (0.0, math.inf)


def _by_group(ratios: Ratios | None, groups: Sequence[str], *, seed: int) -> Interval:
    """The mean over groups of each one's pooled score."""
    if ratios is None:
        return mean_interval([], [])
    alone = Sums.of(groups, *ratios).alone()
    return mean_interval(list(alone.values()), list(alone), seed=seed)


def _count(cases: Sequence[Scored], subjects: Sequence[str]) -> dict[State, int]:
    met = Counter(state for case in cases for subject, state in case.states.items() if subject in subjects)
    return {state: met[state] for state in get_args(State)}
