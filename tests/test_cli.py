from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from command_line import CommandLine, command
from small_data import healthy
from ulna.cli import _began

COMMANDS = ("check", "split", "train", "predict", "evaluate", "summary", "settings", "demo")


def test_help_names_every_command(cli: CommandLine) -> None:
    said = cli("--help")
    assert said.code == 0
    assert all(name in said.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, cli: CommandLine) -> None:
    said = cli(name, "--help")
    assert said.code == 0
    assert f"ulna {name}" in said.out


@pytest.mark.parametrize("words", [["fly"], ["train"], ["train", "--no-such"], ["check"]])
def test_words_that_are_no_command(words: list[str], cli: CommandLine) -> None:
    said = cli(*words)
    assert said.code == 2
    assert "Usage" in said.err


def test_a_fault_of_ulna_itself_comes_through(cli: CommandLine) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    cli.monkeypatch.setattr("ulna.jobs.summary.summary", broken)
    with pytest.raises(RuntimeError, match="a fault"):
        cli("summary", "paper")


def test_ctrl_c_is_answered_in_words(cli: CommandLine) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    cli.monkeypatch.setattr("ulna.jobs.summary.summary", stopped)
    cli.monkeypatch.setattr("ulna.jobs.train.train", stopped)
    cli.monkeypatch.setattr("ulna.jobs.predict.predict", stopped)
    goes_on_with = ("train", "data", "--out", "run"), ("predict", "run", "images", "--out", "masks")
    for words, goes_on in ((("summary", "paper"), False), *((words, True) for words in goes_on_with)):
        said = cli(*words)
        assert (said.code, "Stopped." in said.err, "--resume" in said.err) == (130, True, goes_on)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_the_signals_of_a_cluster_stop_a_command_as_by_hand(cli: CommandLine, name: str) -> None:
    def over(*_: object, **__: object) -> None:
        os.kill(os.getpid(), getattr(signal, name))

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)
    cli.monkeypatch.setattr("ulna.jobs.train.train", over)
    try:
        said = cli("train", "data", "--out", "run")
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGUSR1, before[1])
    assert said.code == 130
    assert "--resume" in said.err


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_names_are_printed_whatever_the_terminal_can_show(encoding: str, tmp_path: Path) -> None:
    data = healthy(tmp_path / "細胞", 3)
    (data / "images" / "cell02.png").rename(data / "images" / "ł.png")
    for words, code in ((("check", data), 0), (("summary", data / "ł"), 2), (("--help",), 0)):
        done = subprocess.run(
            command(*words),
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
            capture_output=True,
            timeout=100,
            check=False,
        )
        assert (done.returncode, b"Traceback" in done.stderr) == (code, False), done.stderr
        assert words == ("--help",) or rb"\u0142" in done.stdout + done.stderr


def test_it_is_a_module_too() -> None:
    done = subprocess.run([sys.executable, "-m", "ulna", "--version"], capture_output=True, timeout=100, check=False)
    assert (done.returncode, done.stdout.decode().strip()) == (0, version("ulna"))


def test_a_place_that_may_not_be_looked_into_is_said(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, **_: object) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refused)
    said = cli("check", "/locked/data")
    assert said.code == 2
    assert "Permission denied" in said.err
    assert "/locked/data" in said.err


def test_cases_can_be_left_out_of_a_split(cli: CommandLine, tmp_path: Path) -> None:
    data = healthy(tmp_path / "data", 6)
    (data / "images" / "cell03.png").write_bytes(b"")
    assert "--cases" in cli("split", data, "--out", tmp_path / "lists").err
    (tmp_path / "use.txt").write_text("cell00\ncell01\ncell02\ncell05\n")
    said = cli("split", data, "--out", tmp_path / "lists", "--test", "0.5", "--cases", tmp_path / "use.txt")
    assert said.code == 0, said.err
    names = [(tmp_path / "lists" / name).read_text().split() for name in ("train.txt", "test.txt")]
    assert [len(side) for side in names] == [2, 2]
    assert sorted(names[0] + names[1]) == ["cell00", "cell01", "cell02", "cell05"]


@pytest.mark.parametrize(("age", "known"), [(2.0, 2.0), (-3600.0, 0.0), (1e6, 0.0)])
def test_a_clock_that_was_set_costs_and_gains_no_time(
    age: float, known: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e9)
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: 1e9 - age)
    assert 1e9 - _began() == pytest.approx(known)


def test_every_command_prints_its_result(cli: CommandLine, run: Path, cells: Path, tmp_path: Path) -> None:
    for words, shown in (
        (("check", cells), "8 with masks"),
        (("split", cells, "--out", tmp_path / "lists"), "Written:"),
        (("predict", run, cells, "--out", tmp_path / "masks"), "8 masks written to"),
        (("evaluate", run, cells, "--out", tmp_path / "scores"), "Means over 8 images"),
        (("summary", run), "multiply-adds"),
        (("settings", "training"), "training.seed"),
    ):
        said = cli(*words)
        assert (said.code, shown in " ".join(said.out.split())) == (0, True), (words, said)
