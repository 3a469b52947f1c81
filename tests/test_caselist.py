"""Lists of cases: names, groups, ranges of stacks; what fits nothing names the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest

from ulna.caselist import choose
from ulna.dataset import Case, Dataset, Part
from ulna.errors import UlnaError
from ulna.image import Source


def volume(name: str, pages: int, part: Part = "") -> list[Case]:
    source = Source(Path(f"{name}.tif"))
    return [
        Case(f"{name}_{page:04d}", (Source(source.path, page=page),), group=name, part=part) for page in range(pages)
    ]


def patient(name: str, *cases: str, part: Part = "") -> list[Case]:
    return [Case(case, (Source(Path(f"{case}.png")),), group=name, part=part) for case in cases]


DATA = Dataset((*volume("train-volume", 30), *patient("p1", "a", "b"), *patient("p2", "c", "p1_x")), "")


def names(cases: list[str] | None = None, except_: list[str] | None = None) -> list[str]:
    return [case.name for case in choose(DATA, cases, except_).cases]


def test_a_group_names_all_its_cases_and_a_stack_is_one() -> None:
    assert names(["p1"]) == ["a", "b"]
    assert names(["c", "p1"]) == ["a", "b", "c"]
    assert len(names(["train-volume"])) == 30
    assert names(["train-volume_0007"]) == ["train-volume_0007"]


@pytest.mark.parametrize(
    ("words", "pages"),
    [
        ("[0:18]", range(18)),
        ("[18:]", range(18, 30)),
        ("[:2]", range(2)),
        ("[5]", [5]),
        ("[-2:]", [28, 29]),
        ("[0:30]", range(30)),
        ("[:]", range(30)),
    ],
)
def test_ranges_count_from_0_and_leave_their_end_out(words: str, pages: list[int]) -> None:
    assert names([f"train-volume{words}"]) == [f"train-volume_{page:04d}" for page in pages]
    rest = names(None, [f"train-volume{words}", "p1", "p2", "a"]) if len(pages) < 30 else []
    assert rest == [f"train-volume_{page:04d}" for page in range(30) if page not in pages]


@pytest.mark.parametrize("words", ["[0:31]", "[30]", "[5:5]", "[9:3]", "[-31:]"])
def test_ranges_beyond_the_stack_say_how_many_pages_it_has(words: str) -> None:
    with pytest.raises(UlnaError, match=r"has no pages .*\nIt has 30 pages: 'train-volume\[0:30\]'"):
        names([f"train-volume{words}"])


def test_a_case_named_like_a_range_is_a_case() -> None:
    odd = Dataset((*patient("x", "v[0:2]"), *volume("v", 3)), "")
    assert [case.name for case in choose(odd, ["v[0:2]"]).cases] == ["v[0:2]"]


def test_a_name_that_fits_nothing_names_the_nearest() -> None:
    for words in (["train-volum"], ["train-volum[0:3]"], ["train-volumes"]):
        with pytest.raises(UlnaError, match=r"no case or group 'train-volum(.|\n)*Did you mean 'train-volume"):
            names(words)
    with pytest.raises(UlnaError, match=r"no case or group 'p3'\nDid you mean 'p[12]"):
        names(None, ["p3"])
    with pytest.raises(UlnaError, match="every case is left out"):
        names(["p1"], ["a", "b"])


def test_except_leaves_out_of_what_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("b\n\ntrain-volume\n")
    assert [case.name for case in choose(DATA, None, tmp_path / "bad.txt").cases] == ["a", "c", "p1_x"]
    assert names(["p1", "p2"], ["p1"]) == ["c", "p1_x"]
    assert names(["p1"], []) == ["a", "b"]


def test_the_parts_of_a_ready_made_split_when_cases_are_named() -> None:
    parts = patient("g", "a", "b", part="train") + patient("h", "v", part="validation") + patient("i", "t", part="test")
    ready = Dataset(tuple(parts), "")

    def chosen(cases: list[str] | None, except_: list[str] | None = None) -> tuple[list[str], int]:
        found = choose(ready, cases, except_)
        return [case.part for case in found.cases], len(found.problems)

    assert chosen(["a", "v"]) == (["train", "validation"], 0)
    assert chosen(["a", "b"]) == (["", ""], 0)
    assert chosen(["t"]) == ([""], 0)
    assert chosen(["a", "t"]) == (["", ""], 1)
    assert choose(ready, ["a", "t"]).problems[0].where == ("t",)
    assert chosen(None, ["a"]) == (["train", "validation", "test"], 0)
