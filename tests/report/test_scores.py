"""How far scores can be trusted, and which class was taken for which."""

from __future__ import annotations

from typing import Any

import pytest

from ulna.report.scores import FEW_GROUPS, caution, confusions


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (1, "All images scored are of one group"),
        (3, "only 3 groups, too few for a confidence interval. A failure that meets one group in ten is in none of 3"),
        (5, "only 5 groups: the confidence intervals rest on little"),
        (FEW_GROUPS - 1, "in none of 9 groups in 39% of cases."),
    ],
)
def test_few_groups_are_warned_of(groups: int, words: str) -> None:
    assert words in caution(groups)


@pytest.mark.parametrize("groups", [FEW_GROUPS, 200, None, "7"])
def test_many_groups_are_not(groups: Any) -> None:
    assert caution(groups) == ""


MATRIX = [[90, 10, 0], [5, 15, 0], [0, 0, 0]]


def test_shares_are_those_of_the_true_class() -> None:
    names = ["background", "cell", "nucleus"]
    pixels, objects = confusions({"confusion": {"classes": names, "pixels": MATRIX, "objects": MATRIX}})
    assert (pixels["what"], pixels["heads"]) == ("pixels", names)
    assert objects["heads"] == ["no object", "cell", "nucleus"]
    assert pixels["rows"][1]["cells"][0] == {"count": "5", "share": "25.0%", "depth": 0.25}
    assert pixels["rows"][2]["cells"][2] == {"count": "0", "share": "–", "depth": 0.0}


@pytest.mark.parametrize(
    "record",
    [{}, {"confusion": 3}, {"confusion": {"classes": ["a"], "pixels": [["x"]]}}, {"confusion": {"pixels": [1]}}],
)
def test_what_is_no_matrix_is_not_shown(record: dict[str, Any]) -> None:
    assert confusions(record) == []
