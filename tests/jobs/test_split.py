"""`split` writes two lists that share no group."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from small_data import cells, healthy, put
from ulna.errors import UlnaError
from ulna.jobs.split import split


def test_lists_share_no_case_and_no_group(tmp_path: Path) -> None:
    data = healthy(tmp_path / "data", 10)
    image, mask = cells((96, 192), 50)
    put(data, "left", image[:, :96], mask[:, :96])
    put(data, "right", image[:, 96:], mask[:, 96:])
    for seed in range(3):
        out = tmp_path / f"out{seed}"
        made = split(data, test=0.25, out=out, seed=seed)
        train, test = ((out / name).read_text("utf-8").split() for name in ("train.txt", "test.txt"))
        assert len(train) + len(test) == 12
        assert len(test) == 3
        assert ("left" in train) == ("right" in train)
        assert [case.name for case in made.test] == test
        assert made.as_dict()["test"]["cases"] == 3
    again = split(data, test=0.25, out=tmp_path / "again", seed=0)
    assert (tmp_path / "again" / "test.txt").read_text() == (tmp_path / "out0" / "test.txt").read_text()
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(again)
    assert "train.txt" in console.export_text()


@pytest.mark.parametrize("share", [0, 1, -0.5, 7])
def test_shares_that_are_none(tmp_path: Path, share: float) -> None:
    with pytest.raises(UlnaError, match="between 0 and 1"):
        split(tmp_path, test=share, out=tmp_path / "out")


def test_lists_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "test.txt").write_text("mine\n")
    with pytest.raises(UlnaError, match=r"there is a test\.txt already"):
        split(tmp_path, out=tmp_path / "out")


def test_what_is_fatal_stops_it(tmp_path: Path) -> None:
    put(tmp_path / "one", "a", *cells((64, 64), 0))
    with pytest.raises(UlnaError, match="one case only"):
        split(tmp_path / "one", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_ready_made_split_is_written_down_as_it_is(tmp_path: Path) -> None:
    for part, count in (("train", 5), ("val", 2), ("test", 3)):
        for index in range(count):
            put(tmp_path / "data" / part, f"{part}{index}", *cells((96, 96), index + 10 * count))
    made = split(tmp_path / "data", out=tmp_path / "lists")
    assert (tmp_path / "lists" / "test.txt").read_text().split() == ["test0", "test1", "test2"]
    assert len(made.train) == 7
    assert "ready-made split" in made.sentence
    other = split(tmp_path / "data", test=0.2, out=tmp_path / "other")
    assert len(other.test) == 2
    assert "set aside" in other.sentence
    rest = split(tmp_path / "data", out=tmp_path / "rest", except_=["test0"])
    assert [case.name for case in rest.test] == ["test1", "test2"]
