"""What one case says: its rows by subject and measure, and its score as a whole."""

from __future__ import annotations

import math

import pytest

from ulna.metrics import ALL_CLASSES, Row, Scored
from ulna.metrics.errors import NONE_WRONG

CASE = Scored.of(
    [
        Row("a", "dice", 1, 2),
        Row("b", "dice", 0, 0, state="empty, predicted empty"),
        Row("c", "dice", 0, 4, state="missed"),
        Row(ALL_CLASSES, "accuracy", 3, 4),
        Row("a", "accuracy", 1, 4),
    ],
    name="1",
    group="patient",
)


def test_rows_are_found_and_have_the_name_and_the_group_of_the_case() -> None:
    row = CASE.row("a", "dice")
    assert row is not None
    assert (row.case, row.group, row.value) == ("1", "patient", 0.5)
    assert CASE.row("a", "iou") is None
    assert CASE.states == {"a": "scored", "b": "empty, predicted empty", "c": "missed"}
    assert CASE.errors == NONE_WRONG


def test_the_score_of_a_case_is_its_own_or_the_mean_over_the_classes_that_have_one() -> None:
    assert CASE.dice == CASE.score("dice") == pytest.approx((0.5 + 0) / 2)
    assert CASE.score("accuracy") == 0.75
    assert math.isnan(CASE.score("iou"))
