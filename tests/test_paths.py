"""`~` is the user's home in every path that a job takes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import ulna
from command_line import CommandLine
from ulna.caselist import Names
from ulna.layouts import Place
from ulna.paths import expand_home

JOBS = ("check", "split", "train", "predict", "evaluate", "summary", "demo")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@expand_home
def given(place: Place, other: str | Path = "", *, cases: Names | None = None, seed: str = "~", **more: Any) -> Any:
    return place, other, cases, seed, more


def test_paths_are_expanded_and_nothing_else(home: Path) -> None:
    assert given("~/a") == (str(home / "a"), "", None, "~", {})
    assert given(Path("~/a"), "~", cases="~/list.txt")[:3] == (home / "a", str(home), str(home / "list.txt"))
    assert given(["~/a", Path("~/b"), "c"])[0] == [str(home / "a"), home / "b", "c"]
    assert given("x~/a", "a/~", cases=["~case"], seed="~/a")[:4] == ("x~/a", "a/~", ["~case"], "~/a")
    assert given("~no such user/a", "~tmp")[:2] == ("~no such user/a", "~tmp")
    with pytest.raises(TypeError, match="missing a required argument"):
        given()  # type: ignore[call-arg]


@pytest.mark.parametrize("job", JOBS)
def test_every_job_expands_its_paths_and_keeps_its_signature(job: str) -> None:
    function = getattr(ulna, job)
    inner = inspect.unwrap(function)
    assert function is not inner
    assert inspect.signature(function) == inspect.signature(inner)
    assert function.__doc__ == inner.__doc__


def test_from_python_and_typed(home: Path, run: Path, cells: Path, cli: CommandLine) -> None:
    (home / "cells").symlink_to(cells, target_is_directory=True)
    (home / "one.txt").write_text("cells_000\n")
    assert ulna.check("~/cells", cases="~/one.txt", out="~/found").folder == home / "found"
    made = ulna.predict(run, "~/cells/images/*.png", out="~/masks", except_="~/one.txt")
    assert (made.folder, len(made.masks)) == (home / "masks", 7)
    assert cli("predict", run, "~/cells/images/cells_000.png", "--out=~/typed").code == 0
    assert cli("evaluate", "~/typed", "~/cells", "--cases=~/one.txt", "--out=~/scores").code == 0
    assert sorted(path.name for path in home.iterdir()) == ["cells", "found", "masks", "one.txt", "scores", "typed"]
    assert not Path("~").exists()
