"""The fields of names."""

from __future__ import annotations

import pytest

from ulna.names import fields, series


@pytest.mark.parametrize(
    ("stem", "texts"),
    [
        ("P00_slice03", ["P00", "slice03"]),
        ("tile_0_256_img 3", ["tile_0_256", "img", "3"]),
        ("patient-07.b", ["patient_07", "b"]),
        ("P1s2", ["P1", "s2"]),
        ("a_2020-03-04T11:12:13_1", ["a", "20200304111213", "1"]),
        ("TCGA-A7-A13E-01Z", ["TCGA-A7-A13E", "01Z"]),
        ("12ab3f45", ["12ab3f45"]),
    ],
)
def test_fields(stem: str, texts: list[str]) -> None:
    assert [field.text for field in fields(stem)] == texts


def test_kinds_of_fields() -> None:
    counter, subject, well, year, word = fields("frame7_case2_B03_2019_x")
    assert (counter.counter, subject.subject, well.well, year.neutral) == (True, True, True, True)
    assert (counter.distinguishes, subject.distinguishes, well.distinguishes) == (True, True, True)
    assert not year.distinguishes
    assert not word.distinguishes


def test_what_differs_first_ends_the_series() -> None:
    names = [fields(name) for name in ("a_1_5_1", "a_1_6_1", "b_1_5_2")]
    assert series(names) == ["a_1_5", "a_1_6", "b_1_5"]
    assert series([fields("liver_slice1"), fields("spleen_slice1")]) == ["liver", "spleen"]


def test_dates_are_of_nobody() -> None:
    assert series([fields(f"20200{k}01_P{k}_2") for k in (1, 2)]) == ["P1", "P2"]
    assert series([fields(f"20200{k}01_{k}_2") for k in (1, 2)]) == ["1", "2"]
    assert series([fields(f"20200{k}01_7") for k in (1, 2)]) == ["20200101_7", "20200201_7"]
