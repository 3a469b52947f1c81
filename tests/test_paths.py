"""`~` is the user's home in every path that a job takes, and what is no path is refused."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ulna
from command_line import CommandLine
from ulna.caselist import Names
from ulna.errors import UlnaError
from ulna.layouts import Place, find
from ulna.paths import expand_home
from ulna.preset import settings

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
    made_here = {path.name for path in home.iterdir()} - {".cache"}  # of compiled networks
    assert made_here == {"cells", "found", "masks", "one.txt", "scores", "typed"}
    assert not Path("~").exists()


WRONG = {
    "check": [5, None, b"cells", {}],
    "split": [5, None, b"cells", []],
    "train": [5, None],
    "predict": [5, None, b"run", {}],
    "evaluate": [5, None, b"masks", ["masks"]],
    "summary": [5, None, b"default"],
    "demo": [5, None, b"demo", [], {}],
}


@pytest.mark.parametrize("job", JOBS)
def test_what_is_no_path_is_refused(job: str, home: Path) -> None:
    more = {"predict": ("images",), "evaluate": ("data",), "train": ("out",)}.get(job, ())
    options = {"out": "out"} if job in ("split", "predict", "evaluate") else {}
    for wrong in WRONG[job]:
        with pytest.raises(UlnaError, match=f"{type(wrong).__name__} |a path is needed"):
            getattr(ulna, job)(wrong, *more, **options)
    assert list(home.parent.iterdir()) == [home]


def test_paths_of_other_kinds_are_paths(home: Path) -> None:
    class Place:
        def __fspath__(self) -> str:
            return "~/a"

    assert given(Place(), Place())[:2] == (home / "a", home / "a")  # type: ignore[arg-type]
    with pytest.raises(UlnaError, match="cases: int is no path"):
        given("a", cases=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "images", [[np.zeros((9, 9))], np.zeros((9, 9)), {"a": 1}, [["a.png"]], [b"a.png"]], ids=range(5)
)
def test_images_that_are_no_paths_are_refused(images: Any) -> None:
    with pytest.raises(UlnaError, match=f"{type(next(iter(images), '')).__name__}|dict is no path"):
        find(images)


def test_a_generator_of_paths_is_a_list(cells: Path) -> None:
    paths = sorted((cells / "images").iterdir())
    assert find(path for path in paths) == find(paths)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", ["training.steps=3", ["training.steps=3"], {5: 3}], ids=str)
def test_settings_that_are_no_dictionary_are_refused(changes: Any) -> None:
    with pytest.raises(UlnaError, match="settings are a dictionary"):
        settings(changes=changes)
    with pytest.raises(UlnaError, match="a path or a Config, not a dict"):
        settings(config={"training": {}})  # type: ignore[arg-type]
    with pytest.raises(UlnaError, match="no preset 'None'"):
        settings(None)  # type: ignore[arg-type]


def test_names_of_cases_are_text(cells: Path) -> None:
    with pytest.raises(UlnaError, match="names of cases are a list of str"):
        ulna.check(cells, cases=[5])  # type: ignore[list-item]
