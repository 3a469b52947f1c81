"""The record of an evaluation: its table on the terminal, what stands below it, and its one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ulna.jobs.evaluation import Evaluation
from ulna.metrics import Row, Scored, measure, summarize
from ulna.metrics.objects import compare

CLASSES = ("background", "cytoplasm", "nucleus")


def _evaluation(cases: list[Scored], *notes: str) -> Evaluation:
    return Evaluation(tuple(cases), summarize(cases), CLASSES, notes, Path("scores"))


def _random(count: int, groups: int) -> list[Scored]:
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=(count, 60))
    mask = np.where(rng.random(truth.shape) < rng.random((count, 1)), truth, rng.integers(3, size=truth.shape))
    return [
        Scored.of(measure(m, t, CLASSES), name=f"{k}", group=f"g{k % groups}")
        for k, (m, t) in enumerate(zip(mask, truth, strict=True))
    ]


def test_a_line_per_class_and_one_for_all():
    found = _evaluation(_random(12, 6), "a [note]")
    title, head, *lines = str(found).splitlines()
    assert title.rstrip() == "Means over 12 images in 6 groups"
    assert head.split("  ")[0] == "class"
    assert head.split()[1:] == [
        "Dice", "(95", "%", "interval)", "median", "IoU", "precision", "recall", "accuracy", "images",
    ]  # fmt: skip
    scores = {one.name: one.scores for one in (found.summary.overall, *found.summary.classes)}
    for line, (name, own) in zip(lines, scores.items(), strict=False):
        rest = [own[measure].mean.estimate for measure in ("iou", "precision", "recall", "accuracy")]
        shown = [f"{value:.3f}" for value in (own["dice"].median.estimate, *rest)]
        assert line.split() == [*name.split(), *str(own["dice"].mean).split(), *shown, "12"]
    assert lines[3] == f"Dice with the pixels of all images together (pooled): {scores['all classes']['dice'].pooled}"
    assert lines[4] == f"Dice with all pixels of a group together, mean over groups: {found.summary.by_group}"
    assert lines[5:] == ["a [note]", "written to scores: scores.csv, metrics.json, cases.png, gallery"]


def test_a_terminal_of_80_columns_holds_the_numbers():
    table = str(_evaluation(_random(12, 6))).splitlines()[:5]
    assert max(len(line.rstrip()) for line in table) <= 80


def test_with_one_class_there_is_one_line():
    cases = [Scored.of([Row("cell", "dice", k, 10)], name=f"{k}", group=f"{k}") for k in range(1, 8)]
    lines = str(_evaluation(cases)).splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["cell", "Dice"]
    assert not any("all classes" in line or "mean over groups" in line for line in lines)


def test_one_image_needs_no_pooled_score():
    cases = [Scored.of([Row("cell", "dice", 1, 2)], name="a", group="a")]
    found = _evaluation(cases)
    assert "pooled" not in str(found)
    assert repr(found) == "<Evaluation: 1 image in 1 group, Dice 0.500; scores>"


def test_a_class_without_the_first_measure_has_dashes():
    cases = [
        Scored.of([Row("cell", "dice", k, 10), Row("objects", "pq", k, 9)], name=f"{k}", group=f"{k}")
        for k in range(1, 7)
    ]
    lines = str(_evaluation(cases)).splitlines()
    assert lines[1].split()[-3:] == ["median", "PQ", "images"]
    assert lines[4].split() == ["objects", "–", "–", "0.389", "0"]
    assert lines[3].split()[-2:] == ["–", "6"]


def test_images_without_an_object_have_dashes():
    nothing = np.zeros((8, 8), np.int64)
    found = _evaluation([Scored.of(compare(nothing, nothing).rows("cell"), name="a", group="a")])
    assert "at IoU .50 .55 … .90: – – – – – – – – –" in str(found)
    assert "nan" not in str(found)


def test_nothing_scored():
    assert repr(_evaluation([])) == "<Evaluation: 0 images in 0 groups; scores>"
    assert "0 images in 0 groups" in str(_evaluation([]))
    assert _evaluation([]).columns()["case"] == []


def test_json_has_classes_notes_and_what_is_left_out():
    found = _evaluation(_random(6, 3), "a note").as_json()
    assert found["classes"] == list(CLASSES)
    assert found["notes"] == ["a note"]
    assert "3 groups are too few" in found["left_out"][0]
    assert found["cases"] == 6
