"""What many cases say together: means, medians and their intervals, over all classes and for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ulna.metrics.errors import NONE_WRONG, Errors
from ulna.metrics.intervals import Interval, bootstrap, mean, median
from ulna.metrics.overlap import NAN, SCORES, Counts, Overlap, pixel_accuracy, records
from ulna.metrics.rows import State

LEVEL, DRAWS = 0.95, 2000


@dataclass(frozen=True)
class Scored:
    """One case that was scored: its group, one record a class, the share of its pixels that are right, and
    where the others lie.
    """

    name: str
    group: str
    overlaps: tuple[Overlap, ...]
    accuracy: float
    errors: Errors = NONE_WRONG

    @classmethod
    def of(
        cls, matrix: Counts, classes: Sequence[str], *, name: str, group: str, errors: Errors = NONE_WRONG
    ) -> Scored:
        """From a confusion matrix (K, K) as `confusion` gives it; `classes` has the background first."""
        return cls(name, group, tuple(records(matrix, classes)), pixel_accuracy(matrix), errors)

    def score(self, name: str) -> float:
        """A score of the whole image: the mean over the classes that have one, NaN where none has.

        Accuracy is the share of pixels whose class is right, with the background.
        """
        if name == "accuracy":
            return self.accuracy
        return _mean([getattr(overlap, name) for overlap in self.overlaps])

    @property
    def dice(self) -> float:
        """The mean Dice over the classes that have one."""
        return self.score("dice")

    def rows(self) -> list[dict[str, str | int | float]]:
        """A row of `scores.csv` for each class."""
        return [{"case": self.name, "group": self.group, **overlap.columns()} for overlap in self.overlaps]


@dataclass(frozen=True)
class Spread:
    """Mean and median of one score over the cases, each with its interval over groups."""

    mean: Interval
    median: Interval

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, None where there is none."""
        return {
            "mean": number(self.mean.estimate),
            "mean_interval": [number(self.mean.low), number(self.mean.high)],
            "median": number(self.median.estimate),
            "median_interval": [number(self.median.low), number(self.median.high)],
            "cases": self.mean.cases,
            "groups": self.mean.groups,
            "reason": self.mean.reason,
        }


@dataclass(frozen=True)
class Part:
    """The scores of all classes together or of one: a `Spread` a score, and how often which state was met."""

    name: str
    scores: dict[str, Spread]
    states: dict[State, int]

    def as_json(self) -> dict[str, Any]:
        """Every score's spread, and the counts of what is named and not scored."""
        told = {name: spread.as_json() for name, spread in self.scores.items()}
        return told | {
            "empty_predicted_empty": self.states["empty, predicted empty"],
            "false_positives": self.states["false positive"],
            "missed": self.states["missed"],
        }


@dataclass(frozen=True)
class Summary:
    """All that is said about a set of cases.

    `overall` has the mean over images of each image's mean over classes; `classes` the same a class;
    `by_group` the same for Dice with all pixels of a group (a patient's slices, a picture's tiles) taken
    together, so that each group counts once. `errors` are the wrong pixels of all cases, by where they lie.
    """

    overall: Part
    classes: tuple[Part, ...]
    by_group: Spread
    cases: int
    groups: int
    errors: Errors = NONE_WRONG

    @property
    def joined(self) -> bool:
        """Whether some groups hold several cases, so that scores by group say something of their own."""
        return 1 < self.groups < self.cases

    def left_out(self) -> list[str]:
        """In words what the means leave out, what counts as 0 in them, and why an interval is missing."""
        states, dice = self.overall.states, self.overall.scores["dice"].mean
        told: tuple[tuple[State, str], ...] = (
            ("empty, predicted empty", "empty and predicted empty: named here, and no part of the means"),
            ("false positive", "empty, but something was found: Dice 0 (a false positive)"),
            ("missed", "not empty, but nothing was found: Dice 0 (missed)"),
        )
        pair = "" if len(self.classes) == 1 else " (an image and class each)"
        lines = [
            f"{states[state]} {'mask' if states[state] == 1 else 'masks'}{pair} {words}"
            for state, words in told
            if states[state]
        ]
        if dice.reason:
            lines.append(f"no interval: {dice.reason}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """The content of `metrics.json` that is about scores."""
        return {
            "cases": self.cases,
            "groups": self.groups,
            "overall": self.overall.as_json(),
            "per_class": {part.name: part.as_json() for part in self.classes},
            "by_group": {"dice": self.by_group.as_json()},
            "wrong_pixels": {**asdict(self.errors), "sentence": self.errors.sentence()},
            "interval": {
                "level": LEVEL,
                "draws": DRAWS,
                "method": "percentiles of the bootstrap over groups",
            },
        }


def summarize(cases: Sequence[Scored], *, seed: int = 0) -> Summary:
    """Means, medians and bootstrap 95 % intervals over groups. All cases have the same classes, in order."""
    groups = [case.group for case in cases]

    def part(name: str, take: Callable[[Scored], Sequence[Overlap]], score: Callable[[Scored, str], float]) -> Part:
        spreads = {what: _spread([score(case, what) for case in cases], groups, seed=seed) for what in SCORES}
        return Part(name, spreads, _states([overlap for case in cases for overlap in take(case)]))

    def single(k: int, name: str) -> Part:
        return part(name, lambda case: [case.overlaps[k]], lambda case, what: float(getattr(case.overlaps[k], what)))

    names = [overlap.name for overlap in cases[0].overlaps] if cases else []
    return Summary(
        overall=part("all classes", lambda case: case.overlaps, lambda case, what: case.score(what)),
        classes=tuple(single(k, name) for k, name in enumerate(names)),
        by_group=_by_group(cases, seed=seed),
        cases=len(cases),
        groups=len(set(groups)),
        errors=sum((case.errors for case in cases), NONE_WRONG),
    )


def number(value: float) -> float | None:
    """A float as JSON may hold it: None for NaN."""
    return None if math.isnan(value) else value


def _by_group(cases: Sequence[Scored], *, seed: int) -> Spread:
    sums: dict[str, Any] = {}
    for case in cases:
        counts = np.array([[o.tp, o.fp, o.fn] for o in case.overlaps], dtype=np.int64)
        sums[case.group] = sums.get(case.group, 0) + counts
    dice = []
    for counts in sums.values():
        made = [Overlap("", tp=int(tp), fp=int(fp), fn=int(fn), tn=0).dice for tp, fp, fn in counts]
        dice.append(_mean(made))
    return _spread(dice, list(sums), seed=seed)


def _spread(values: Sequence[float], groups: Sequence[str], *, seed: int) -> Spread:
    return Spread(
        bootstrap(values, groups, statistic=mean, draws=DRAWS, seed=seed, level=LEVEL),
        bootstrap(values, groups, statistic=median, draws=DRAWS, seed=seed, level=LEVEL),
    )


def _states(overlaps: Sequence[Overlap]) -> dict[State, int]:
    counts: dict[State, int] = {"scored": 0, "empty, predicted empty": 0, "false positive": 0, "missed": 0}
    for overlap in overlaps:
        counts[overlap.state] += 1
    return counts


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else NAN
