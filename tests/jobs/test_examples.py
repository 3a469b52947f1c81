"""Which cases are pictured, and their titles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ulna.dataset import Case
from ulna.figures.orthogonal import Orthogonal
from ulna.figures.results import Comparison
from ulna.formats import write
from ulna.image import Grid, Image, Source
from ulna.jobs.examples import comparison, examples
from ulna.labels.classes import Classes
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


def test_of_a_volume_planes_are_kept_in_its_own_proportions(tmp_path: Path) -> None:
    known = Classes(("background", "cell"), ((0,), (1,)), "binary", "")
    truth = np.zeros((1, 6, 20, 30), np.uint8)
    truth[0, 2:4, 4:9, 4:9] = 1
    for name, array, grid in (
        ("v", truth, Grid((6, 20, 30), (5.0, 1.0, 1.0), "mm")),
        ("i", truth[:, 3], Grid((20, 30))),
    ):
        paths = tmp_path / f"{name}.tif", tmp_path / f"{name}_mask.tif"
        for path in paths:
            write(path, Image(array, grid))
        row = comparison(Case(name, (Source(paths[0]),), (Source(paths[1]),)), "best", array * 0, known)
        if name == "v":
            assert isinstance(row, Orthogonal)
            assert row.sections[0].views[1].size == (30.0, 30.0)
            assert row.sections[1].title == "largest wrong region: 250 mm³, missed"
        else:
            assert isinstance(row, Comparison)
