"""The wide table of scores: what it holds, and that a CSV reader gets it back."""

from __future__ import annotations

import csv
import math

import numpy as np

from ulna.metrics import Row, Scored, measure
from ulna.metrics.table import columns, write_table

CLASSES = ("background", "cytoplasm", "nucleus")


def _rows(mask: list[int], truth: list[int], name: str = "a") -> tuple[Row, ...]:
    return Scored.of(measure(np.array(mask), np.array(truth), CLASSES), name=name, group="patient 1").rows


def test_a_line_per_case_and_class():
    found = columns([*_rows([1, 1, 0, 0], [1, 0, 0, 1]), *_rows([0, 0], [0, 2], "b")])
    assert list(found) == [
        "case", "group", "class", "state", "dice", "iou", "precision", "recall", "accuracy", "tp", "fp", "fn", "tn",
    ]  # fmt: skip
    assert found["case"] == ["a", "a", "b", "b"]
    assert found["group"] == ["patient 1"] * 4
    assert found["class"] == ["cytoplasm", "nucleus"] * 2
    assert found["state"] == ["scored", "empty, predicted empty", "empty, predicted empty", "missed"]
    assert found["dice"][0] == 0.5
    assert math.isnan(found["dice"][1])
    assert found["tp"] == [1, 0, 0, 0]
    assert all(isinstance(count, int) for count in found["tn"])


def test_the_file_has_empty_cells_for_what_does_not_exist(tmp_path):
    write_table(tmp_path / "scores.csv", _rows([1, 1, 0, 0], [1, 0, 0, 1], 'a,"b"'))
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["case"], first["dice"], first["fn"]) == ('a,"b"', "0.5", "1")
    assert (second["dice"], second["tn"]) == ("", "4")


def test_measures_that_only_some_classes_have():
    found = columns([Row("cell", "dice", 1, 2, case="a"), Row("objects", "pq", 1, 4, case="a")])
    assert found["class"] == ["cell", "objects"]
    assert found["pq"][1] == 0.25
    assert math.isnan(found["pq"][0])


def test_no_rows_are_a_table_without_lines(tmp_path):
    assert columns([]) == {"case": [], "group": [], "class": [], "state": []}
    write_table(tmp_path / "scores.csv", [])
    assert (tmp_path / "scores.csv").read_text().split() == ["case,group,class,state"]
