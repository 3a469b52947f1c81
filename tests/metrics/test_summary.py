"""What many cases say together: means over images and classes, what is left out, what is counted."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ulna.metrics import Scored, confusion, number, summarize

CLASSES = ("background", "cytoplasm", "nucleus")


def _case(name: str, group: str, mask: list[int], truth: list[int]) -> Scored:
    return Scored.of(confusion(np.array(mask), np.array(truth), 3), CLASSES, name=name, group=group)


@pytest.fixture
def cases() -> list[Scored]:
    return [
        _case("half", "a", [1, 1, 2, 0], [1, 0, 2, 1]),  # cytoplasm 0.5, nucleus 1
        _case("no nucleus", "a", [1, 1, 0, 0], [1, 1, 0, 0]),  # cytoplasm 1, nucleus in neither
        _case("alarm", "b", [1, 2, 0, 0], [1, 1, 0, 0]),  # cytoplasm 2/3, nucleus a false positive
        _case("empty", "c", [0, 0, 0, 0], [0, 0, 0, 0]),
        _case("missed", "c", [1, 0, 0, 0], [1, 0, 0, 2]),  # cytoplasm 1, nucleus missed
    ]


def test_means_leave_out_what_is_empty_in_both(cases):
    told = summarize(cases)
    dice = [0.75, 1.0, 1 / 3, 0.5]
    assert told.overall.scores["dice"].mean.estimate == pytest.approx(np.mean(dice))
    assert told.overall.scores["dice"].median.estimate == pytest.approx(np.median(dice))
    assert told.overall.scores["dice"].mean.cases == 4
    cytoplasm, nucleus = told.classes
    assert cytoplasm.scores["dice"].mean.estimate == pytest.approx(np.mean([0.5, 1, 2 / 3, 1]))
    assert nucleus.scores["dice"].mean.estimate == pytest.approx(np.mean([1, 0, 0]))
    assert told.overall.scores["accuracy"].mean.estimate == pytest.approx(np.mean([0.5, 1, 0.75, 1, 0.75]))
    assert (told.cases, told.groups) == (5, 3)


def test_states_are_counted(cases):
    told = summarize(cases)
    _, nucleus = told.classes
    assert nucleus.states == {"scored": 1, "empty, predicted empty": 2, "false positive": 1, "missed": 1}
    assert told.overall.states == {"scored": 5, "empty, predicted empty": 3, "false positive": 1, "missed": 1}


def test_by_group_takes_all_pixels_of_a_group_together(cases):
    # a: cytoplasm tp 3 fp 1 fn 1, nucleus tp 1; b: cytoplasm 2/3, nucleus 0; c: cytoplasm 1, nucleus 0
    by_group = summarize(cases).by_group
    assert by_group.mean.estimate == pytest.approx(np.mean([(0.75 + 1) / 2, (2 / 3 + 0) / 2, 0.5]))
    assert (by_group.mean.cases, by_group.mean.groups) == (3, 3)


def test_json_holds_no_nan(cases):
    told = json.loads(json.dumps(summarize(cases).as_json(), allow_nan=False))
    assert told["overall"]["dice"]["cases"] == 4
    assert told["overall"]["empty_predicted_empty"] == 3
    assert told["per_class"]["nucleus"]["false_positives"] == 1
    low, high = told["overall"]["dice"]["mean_interval"]
    assert low <= told["overall"]["dice"]["mean"] <= high
    alone = json.loads(json.dumps(summarize(cases[:1]).as_json(), allow_nan=False))
    assert alone["overall"]["dice"]["mean_interval"] == [None, None]
    assert "one group" in alone["overall"]["dice"]["reason"]
    assert number(math.nan) is None


def test_nothing_at_all():
    told = summarize([])
    assert (told.cases, told.classes) == (0, ())
    assert told.overall.scores["dice"].mean.reason == "no case has a score"


def test_rows_name_case_group_and_class(cases):
    first, second = cases[0].rows()
    assert (first["case"], first["group"], first["class"], first["dice"]) == ("half", "a", "cytoplasm", 0.5)
    assert second["class"] == "nucleus"
