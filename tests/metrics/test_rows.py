"""Rows of the long table: their values, and that sums of them are the scores of everything together."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_jaccard_index

from ulna.metrics import ALL_CLASSES, Primary, Row, measure, of_case, overlap
from ulna.metrics.rows import label, state

CLASSES = ("background", "cytoplasm", "nucleus")


def test_a_value_is_a_ratio_and_nan_where_nothing_can_be_said():
    assert Row("cell", "iou", 3, 4).value == 0.75
    assert Row("cell", "distance", 2.5, unit="mm").value == 2.5
    assert math.isnan(Row("cell", "iou", 0, 0).value)
    assert [Row("cell", "tp", 1, unit=unit).counted for unit in ("", "mm", "pixels", "voxels", "objects")] == [
        False, False, True, True, True,
    ]  # fmt: skip


def test_rows_of_a_mask_hold_the_scores_of_its_overlaps():
    rng = np.random.default_rng(0)
    mask, truth = rng.integers(3, size=(2, 1, 20, 30))
    values = {(row.subject, row.measure): row.value for row in measure(mask, truth, CLASSES)}
    for one in overlap(mask, truth, CLASSES):
        for name in ("dice", "iou", "precision", "recall", "accuracy", "tp", "fp", "fn", "tn"):
            assert values.pop((one.name, name)) == getattr(one, name), name
    assert values == {(ALL_CLASSES, "accuracy"): pytest.approx(np.mean(mask == truth))}


def test_sums_over_cases_are_the_scores_of_all_pixels_together():
    rng = np.random.default_rng(1)
    pairs = [rng.integers(3, size=(2, size)) for size in (30, 7, 200)]
    rows = [row for mask, truth in pairs for row in measure(mask, truth, CLASSES)]
    mask, truth = (torch.from_numpy(np.concatenate(one)) for one in zip(*pairs, strict=True))
    for name, other in (("dice", multiclass_f1_score), ("iou", multiclass_jaccard_index)):
        theirs = other(mask, truth, num_classes=3, average="none")[1:].tolist()
        for subject, expected in zip(CLASSES[1:], theirs, strict=True):
            own = [row for row in rows if (row.subject, row.measure) == (subject, name)]
            pooled = sum(row.numerator for row in own) / sum(row.denominator for row in own)
            assert pooled == pytest.approx(expected, abs=1e-6)


def test_the_states_of_a_class():
    none, some = np.zeros(4, int), np.ones(4, int)
    found = {
        measure(mask, truth, CLASSES[:2])[0].state
        for mask, truth in ((none, none), (some, none), (none, some), (some, some))
    }
    assert found == {"empty, predicted empty", "false positive", "missed", "scored"}
    assert state(present=True, found=False) == "missed"
    assert state(present=False, found=True) == "false positive"


def test_a_rank_is_the_larger_the_better():
    assert Primary("dice").rank(0.3) == 0.3
    assert Primary("distance", higher_is_better=False).rank(0.3) == -0.3
    assert Primary("dice") == Primary("dice", higher_is_better=True, counts="pixels")


def test_rows_are_given_their_case():
    rows = of_case([Row("cell", "dice", 1, 2), Row("cell", "tp", 1, unit="pixels")], case="a", group="patient 1")
    assert {(row.case, row.group) for row in rows} == {("a", "patient 1")}
    assert [row.measure for row in rows] == ["dice", "tp"]


def test_measures_are_called_by_their_usual_names():
    assert [label(name) for name in ("dice", "pq", "precision", "ap_50")] == ["Dice", "PQ", "precision", "AP 50"]
