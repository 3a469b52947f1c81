"""Lists of cases: names, groups, slabs of volumes, frames of films; what fits nothing names the nearest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from ulna.caselist import choose
from ulna.dataset import Case, Dataset, Part, load_image
from ulna.errors import UlnaError
from ulna.image import Source
from ulna.truth import load_truth


def film(name: str, pages: int, part: Part = "") -> list[Case]:
    source = Source(Path(f"{name}.tif"))
    return [
        Case(f"{name}_{page:04d}", (Source(source.path, page=page),), group=name, part=part) for page in range(pages)
    ]


def patient(name: str, *cases: str, part: Part = "") -> list[Case]:
    return [Case(case, (Source(Path(f"{case}.png")),), group=name, part=part) for case in cases]


DATA = Dataset((*film("train-volume", 30), *patient("p1", "a", "b"), *patient("p2", "c", "p1_x")), "")


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
def test_ranges_beyond_a_film_say_how_many_frames_it_has(words: str) -> None:
    with pytest.raises(UlnaError, match=r"has no frames .*\nIt has 30 frames: 'train-volume\[0:30\]'"):
        names([f"train-volume{words}"])


@pytest.fixture
def volumes(tmp_path: Path) -> Dataset:
    """Two volumes of ten planes, whose planes hold their numbers."""
    planes = np.repeat(np.arange(10, dtype=np.uint8), 20).reshape(10, 4, 5)
    for name in ("v", "w"):
        tifffile.imwrite(tmp_path / f"{name}.tif", planes, photometric="minisblack")
    sources = [Source(tmp_path / f"{name}.tif") for name in ("v", "w")]
    return Dataset(tuple(Case(one.stem, (one,), (one,), one.stem) for one in sources), "")


@pytest.mark.parametrize(
    ("cases", "except_", "expected"),
    [
        (["v[0:4]"], None, {"v[0:4]": range(4)}),
        (["v[2:5]", "v[4:7]", "v[9]", "w"], None, {"v[2:7]": range(2, 7), "v[9:10]": [9], "w": range(10)}),
        (["v", "v[0:2]"], None, {"v": range(10)}),
        (None, ["v[3:6]", "w"], {"v[0:3]": range(3), "v[6:10]": range(6, 10)}),
        (["v[2:9]"], ["v[2:9]"], None),
        (["v[-2:]"], None, {"v[8:10]": [8, 9]}),
    ],
)
def test_slabs_of_volumes(
    volumes: Dataset, cases: list[str] | None, except_: list[str] | None, expected: dict[str, list[int]] | None
) -> None:
    if expected is None:
        with pytest.raises(UlnaError, match="every case is left out"):
            choose(volumes, cases, except_)
        return
    found = choose(volumes, cases, except_).cases
    assert [case.name for case in found] == list(expected)
    for case in found:
        assert load_image(case).array[0, :, 0, 0].tolist() == list(expected[case.name])
        assert load_truth(case).array.shape == load_image(case).array.shape
        assert case.group == case.name[0]
    # the names of slabs name them again
    assert choose(volumes, [case.name for case in found]).cases == found


def test_slabs_of_a_slab_are_counted_within_the_volume(volumes: Dataset) -> None:
    """Both sides of a run on one volume are one slab when they are named together."""
    together = choose(volumes, ["v[2:6]", "v[6:9]"])
    assert [case.name for case in together.cases] == ["v[2:9]"]
    for name, planes in (("v[2:6]", range(2, 6)), ("v[6:9]", range(6, 9)), ("v[4]", [4]), ("v[5:]", range(5, 9))):
        (case,) = choose(together, [name]).cases
        assert load_image(case).array[0, :, 0, 0].tolist() == list(planes)
        assert case.name == f"v[{planes[0]}:{planes[-1] + 1}]"
    for name in ("v[0:4]", "v[8:10]", "w[2:4]"):
        with pytest.raises(UlnaError, match="no case or group"):
            choose(together, [name])


def test_planes_beyond_a_volume(volumes: Dataset) -> None:
    for words in ("[0:11]", "[10]", "[5:5]", "[-11:]"):
        with pytest.raises(UlnaError, match=r"'v' has no planes .*\nIt has 10 planes: 'v\[0:10\]'"):
            choose(volumes, [f"v{words}"])


def test_a_case_named_like_a_range_is_a_case() -> None:
    odd = Dataset((*patient("x", "v[0:2]"), *film("v", 3)), "")
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
