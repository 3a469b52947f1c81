from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from ulna import runfolder as runs
from ulna.config import Config
from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.report import write_report

CASES = ((Case("a", ()), Case("b", ())), (Case("c", ()),))


def begun(run: Path) -> Path:
    run.mkdir()
    runs.begin(run, Config(), cases=CASES, asked=Config().model_dump(mode="json"), plan=["words"])
    return run


def test_a_run_tells_what_it_began_with(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    assert runs.config(run) == Config()
    assert runs.names(run) == (("a", "b"), ("c",))
    runs.note(run, seconds=3.5)
    told = runs.words(run)
    assert (told["state"], told["seconds"], told["plan"]) == ("training", 3.5, ["words"])
    assert set(told["versions"]) >= {"ulna", "torch", "python"}
    assert runs.seconds_used(run) == 0
    runs.record_used(run, 2.345)
    assert runs.seconds_used(run) == pytest.approx(2.345, abs=0.01)


def test_names_that_are_no_proper_text_are_kept(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    names = ("M\udcfcller", "two\u2028lines\x85here")
    runs.begin(run, Config(), cases=(tuple(Case(name, ()) for name in names), ()))
    assert runs.names(run) == (names, ())
    assert "M\\udcfcller" in write_report(run).read_text("utf-8")


def fails(run: Path, work: Callable[[], object], why: str) -> None:
    with runs.prepared(run, resume=False) as going_on:
        assert not going_on
        (run / "cache").mkdir()
        work()
        raise UlnaError(why)


def test_an_error_before_the_plan_leaves_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(UlnaError, match="bad data"):
        fails(run, lambda: (run / "check.json").write_text("{}"), "bad data")
    assert not run.exists()
    run.mkdir()
    with pytest.raises(UlnaError, match="bad data"), runs.prepared(run, resume=False):
        raise UlnaError("bad data")
    assert run.is_dir()  # it was there before


def test_who_comes_second_takes_nothing_away_from_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where both found no folder, and the first has just begun in it."""
    run = tmp_path / "run"
    first = FileLock(run / runs.LOCK)

    def meanwhile(*_: object, **__: object) -> None:
        run.mkdir()
        first.acquire()
        (run / "check.json").write_text("{}")

    monkeypatch.setattr(runs, "_check_place", meanwhile)
    with pytest.raises(UlnaError, match="another training is at work"), runs.prepared(run, resume=False):
        pytest.fail("it was taken")
    assert (run / "check.json").exists()
    first.release()


def test_an_error_after_the_plan_keeps_the_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(UlnaError, match="late"):
        fails(run, lambda: runs.begin(run, Config(), cases=CASES), "late")
    with runs.prepared(run, resume=True) as going_on:
        assert going_on


def test_foreign_folders_are_refused(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("")
    for place, resume, said in (
        (run, False, "holds another run"),
        (tmp_path / "other", False, "not empty"),
        (tmp_path / "other", True, "no run in this folder"),
        (tmp_path / "other" / "mine.txt", False, "a file, not a folder"),
    ):
        with pytest.raises(UlnaError, match=said), runs.prepared(place, resume=resume):
            pytest.fail("it was taken")
    runs.note(run, state="finished")
    with pytest.raises(UlnaError, match="has finished"), runs.prepared(run, resume=True):
        pytest.fail("it was taken")


def test_what_was_stopped_before_its_plan_can_go_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "check.json").write_text("{}")
    with pytest.raises(UlnaError, match="--resume"), runs.prepared(run, resume=False):
        pytest.fail("it was taken")
    with runs.prepared(run, resume=True) as going_on:
        assert not going_on


@pytest.mark.parametrize("name", [".run.part-7.json", ".samples.part-7.png", ".scores.part-x"])
def test_what_a_kill_left_half_written_is_cleared(tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / name).mkdir() if name.startswith(".scores") else (run / name).write_text("{")
    with runs.prepared(run, resume=True) as going_on:
        assert not going_on
        assert not (run / name).exists()


def test_a_run_goes_on_with_its_own_settings(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    plain, other = Config(), Config().changed({"training.epochs": 7})
    assert runs.going_on_with(run, plain, plain) == Config()
    with pytest.raises(UlnaError, match=r"training\.epochs None, not 7"):
        runs.going_on_with(run, other, plain)
    (run / "run.json").write_text(json.dumps(runs.words(run) | {"asked": other.model_dump(mode="json")}))
    assert runs.going_on_with(run, other, plain) == Config()
    assert runs.going_on_with(run, plain, plain) == Config()  # a command without settings
    several = {"training.devices": 4}
    assert runs.going_on_with(run, other.changed(several), plain) == Config().changed(several)
    assert runs.going_on_with(run, plain.changed(several), plain) == Config().changed(several)
    with pytest.raises(UlnaError, match=r"training\.epochs 7, not 8"):
        runs.going_on_with(run, other.changed(several | {"training.epochs": 8}), plain)
    off = Config().changed({"augmentation": None})
    with pytest.raises(UlnaError, match=r"augmentation\.flip True, not None"):
        runs.going_on_with(run, off, plain)


@pytest.mark.parametrize("name", ["config.yaml", "run.json", "train.txt"])
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    run = begun(tmp_path / "run")
    (run / name).write_bytes(b"\xff\xfe{")
    if name == "train.txt":  # which may hold any bytes
        (run / name).unlink()
        (run / name).mkdir()
    reader = {"config.yaml": runs.config, "run.json": runs.words, "train.txt": runs.names}[name]
    with pytest.raises(UlnaError, match=name):
        reader(run)
