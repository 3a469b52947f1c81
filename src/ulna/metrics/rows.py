"""One long table of scores: a row per case, subject and measure, each a ratio of counts that add up over cases."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

State = Literal["scored", "empty, predicted empty", "false positive", "missed"]

ALL_CLASSES = "all classes"
"""The subject of rows that are about all classes together."""

COUNTED = ("pixels", "voxels", "objects")
"""Units of plain counts: such rows are totalled over cases, not averaged."""

MEANS = {"ap": tuple(f"ap_{threshold}" for threshold in range(50, 95, 5))}
"""Measures that are the mean of others: AP is that at intersections over union of .50, .55, … .90."""

DETAILS = frozenset(
    (
        *MEANS["ap"][1:],
        "asd",
        "volume_difference",
        "f1",
        "sq",
        "aji",
        "seg",
        "kaggle",
        "found",
        "split",
        "merged",
        "missed",
        "false positive",
    )
)
"""Measures that files hold, and a terminal has no room for."""

LABELS = {
    "dice": "Dice",
    "iou": "IoU",
    "ap": "AP",
    "f1": "F1",
    "pq": "PQ",
    "sq": "SQ",
    "aji": "AJI",
    "seg": "SEG",
    "rand": "Rand",
    "hd95": "HD95",
    "surface_dice": "surface Dice",
    "kaggle": "AP as Kaggle has it",
}
"""What tables call the measures whose key is no word."""


@dataclass(frozen=True)
class Row:
    """One measurement of one subject of one case: `numerator` / `denominator`.

    Both add up over cases. So the mean of a score over cases is the mean of the rows' values, and the pooled score
    (all pixels or objects together) is the sum of the numerators over the sum of the denominators.

    Parameters
    ----------
    subject : str
        What was measured: the name of a class, of its objects, or `ALL_CLASSES`.
    measure : str
        The key of the measure, as in the header of a table: "dice", "ap_50", "tp".
    numerator, denominator : float
        Parts of the value. A value that is no ratio has the denominator 1. Where the denominator is 0, the value is
        NaN: nothing can be said, and the case is no part of the mean.
    unit : str
        "" for a plain ratio, one of `COUNTED` for a count, otherwise a unit such as "mm".
    state : State
        Whether the subject is in the truth and in the prediction, in one of them or in neither.
    case, group : str
        Filled in by whoever knows the case; see `of_case`.

    Examples
    --------
    >>> row = Row("nucleus", "dice", numerator=2 * 30, denominator=2 * 30 + 10 + 10)
    >>> row.value
    0.75
    """

    subject: str
    measure: str
    numerator: float
    denominator: float = 1
    unit: str = ""
    state: State = "scored"
    case: str = ""
    group: str = ""

    @property
    def value(self) -> float:
        """The numerator over the denominator; NaN where that is 0/0."""
        return self.numerator / self.denominator if self.denominator else math.nan

    @property
    def counted(self) -> bool:
        """Whether this is a count of pixels or objects rather than a score."""
        return self.unit in COUNTED


@dataclass(frozen=True)
class Primary:
    """The measure that comes first: by it cases are ranked and the best epoch of a training is chosen.

    Parameters
    ----------
    measure : str
        As rows name it.
    higher_is_better : bool
        Which way is better.
    counts : str
        What it counts, in words: "pixels" or "objects".

    Examples
    --------
    >>> Primary("distance", higher_is_better=False).rank(3.0)
    -3.0
    """

    measure: str
    higher_is_better: bool = True
    counts: str = "pixels"

    def rank(self, value: float) -> float:
        """A number that is the larger the better the value is.

        Parameters
        ----------
        value
            Of the measure.

        Returns
        -------
        float
            To compare cases with.
        """
        return value if self.higher_is_better else -value


def of_case(rows: Iterable[Row], *, case: str, group: str) -> tuple[Row, ...]:
    """The rows with the name of their case and its group.

    Parameters
    ----------
    rows
        Rows without a case.
    case
        The name of the case.
    group
        The group of the case.

    Returns
    -------
    tuple of Row
        The same rows in the same order.
    """
    return tuple(replace(row, case=case, group=group) for row in rows)


def added(parts: Iterable[Iterable[Row]]) -> list[Row]:
    """Rows of the parts of a case, such as the planes of a volume, as those of the case.

    Parameters
    ----------
    parts
        The rows of each part.

    Returns
    -------
    list of Row
        A row per subject and measure, in the order in which they were first seen.

    Examples
    --------
    >>> added([[Row("cell", "dice", 6, 8)], [Row("cell", "dice", 0, 4, state="missed")]])[0].value
    0.5
    """
    found: dict[tuple[str, str], Row] = {}
    for row in (row for part in parts for row in part):
        before = found.get((row.subject, row.measure))
        if before is None:
            found[row.subject, row.measure] = row
            continue
        states = {before.state, row.state}
        found[row.subject, row.measure] = replace(
            before,
            numerator=before.numerator + row.numerator,
            denominator=before.denominator if row.counted else before.denominator + row.denominator,
            state=state(present=bool(states & {"scored", "missed"}), found=bool(states & {"scored", "false positive"})),
        )
    return list(found.values())


def state(*, present: bool, found: bool) -> State:
    """The state of a subject, as a word.

    Parameters
    ----------
    present
        Whether it is in the ground truth.
    found
        Whether it was predicted.

    Returns
    -------
    State
        "scored" where both hold.
    """
    if present:
        return "scored" if found else "missed"
    return "false positive" if found else "empty, predicted empty"


def label(measure: str) -> str:
    """What tables and pictures call a measure.

    Parameters
    ----------
    measure
        Its key.

    Returns
    -------
    str
        Its own name, or the key with spaces.

    Examples
    --------
    >>> label("dice"), label("ap_50"), label("surface_distance")
    ('Dice', 'AP 50', 'surface distance')
    """
    first, *rest = measure.split("_")
    return LABELS.get(measure) or " ".join((LABELS.get(first, first), *rest))
