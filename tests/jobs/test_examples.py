"""Which cases are pictured, and their titles."""

from __future__ import annotations

import numpy as np

from ulna.jobs.examples import examples
from ulna.metrics import Primary, Row, Scored


def _pictured(dice: list[float]) -> list[str]:
    """Which of the cases with these scores are pictured, and as what."""
    scored = [
        Scored.of([Row("cell", "dice", value, 0 if np.isnan(value) else 1)], name=f"{k}", group=f"{k}")
        for k, value in enumerate(dice)
    ]
    return [f"{title.split(':')[0]}: {name}" for title, name in examples(scored, Primary("dice"))]


def test_which_cases_are_pictured():
    assert _pictured([0.5, 0.1, np.nan, 0.9]) == ["worst: 1", "median: 0", "best: 3"]
    assert _pictured([0.5, 0.1]) == ["worst: 1", "best: 0"]
    assert _pictured([0.5]) == ["the only case: 0"]
    assert _pictured([np.nan, 0.5]) == ["the only case with a score: 1"]
    assert _pictured([np.nan, np.nan]) == ["0: 0"]
    assert _pictured([k / 11 for k in range(11)]) == ["worst: 0", "median: 5", "best: 10"]
    assert _pictured([k / 12 for k in range(12)]) == [
        "worst: 0", "second worst: 1", "median: 5", "next to the median: 6", "second best: 10", "best: 11",
    ]  # fmt: skip


def test_the_title_names_classes_that_are_missed():
    rows = [Row("cell", "dice", 1, 2), Row("nucleus", "dice", 0, 2, state="missed")]
    scored = Scored.of([*rows, Row("rim", "dice", 0, 1, state="false positive")], name="a", group="a")
    assert examples([scored], Primary("dice")) == [
        ("the only case: a — Dice 0.167 (nucleus: missed, rim: false positive)", "a"),
    ]


def test_the_worst_is_the_highest_where_lower_is_better():
    scored = [
        Scored.of([Row("cell", "distance", value, unit="mm")], name=f"{value:.0f}", group="")
        for value in (2.0, 9.0, 5.0)
    ]
    found = examples(scored, Primary("distance", higher_is_better=False))
    assert [title.split(" —")[0] for title, _ in found] == ["worst: 9", "median: 5", "best: 2"]
