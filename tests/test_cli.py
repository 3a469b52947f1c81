from __future__ import annotations

import pytest

from typed import Door

COMMANDS = ("check", "split", "train", "predict", "evaluate", "summary", "demo")


def test_help_names_every_command(door: Door) -> None:
    said = door("--help")
    assert said.code == 0
    assert all(name in said.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, door: Door) -> None:
    said = door(name, "--help")
    assert said.code == 0
    assert f"ulna {name}" in said.out


@pytest.mark.parametrize("words", [["fly"], ["train"], ["train", "--no-such"], ["check"]])
def test_words_that_are_no_command(words: list[str], door: Door) -> None:
    said = door(*words)
    assert said.code == 2
    assert "Usage" in said.err


def test_a_fault_of_ulna_itself_comes_through(door: Door) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    door.monkeypatch.setattr("ulna.jobs.summary.summary", broken)
    with pytest.raises(RuntimeError, match="a fault"):
        door("summary", "paper")


def test_ctrl_c_is_answered_in_words(door: Door) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    door.monkeypatch.setattr("ulna.jobs.summary.summary", stopped)
    said = door("summary", "paper")
    assert (said.code, "--resume" in said.err) == (130, True)
