"""How a training is repeated, as it is said: both forms do the same again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

import ulna
from ulna.config import Config
from ulna.dataset import Dataset
from ulna.jobs.repetition import Request, repetition
from ulna.preset import settings

RUN = Path("my run")


def called(text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a call passes."""
    passed: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(ulna, "train", lambda *given, **words: passed.append((given, words)), raising=False)
    eval(text.split(": ", 1)[1], {"ulna": ulna, "pairs": "pairs"})
    return passed[0]


def wanted() -> Config:
    return settings("fcn8", changes={"training.batch_size": 3, "data.values": [[0], ["1..9"]]}, epochs=4, seed=2)


def test_what_is_in_files_is_repeated_by_a_command() -> None:
    asked = Request(Path("my data"), wanted(), Path("train.txt"), None, "old run")
    words = shlex.split(repetition(asked, RUN, 7))
    assert words[:7] == ["ulna", "train", "my data", "--out", "my run", "--preset", "fcn8"]
    assert words[words.index("--cases") + 1] == "train.txt"
    assert words[words.index("--start-from") + 1] == "old run"
    assert words[words.index("--epochs") + 1] == "4"
    assert "training.batch_size=3" in words


@pytest.mark.parametrize("data", [iter([]), Path("data")])
def test_what_was_in_memory_is_repeated_by_a_call(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Request(data, wanted(), ["a", "b"], "left.txt", None)
    said = repetition(asked, RUN, 7)
    assert said.startswith("From Python, with 7 pairs" if not isinstance(data, Path) else "From Python: ")
    given, words = called(said, monkeypatch)
    assert given == ("data" if isinstance(data, Path) else "pairs", "my run")
    assert (words.pop("cases"), words.pop("except_")) == (["a", "b"], "left.txt")
    assert settings(**words) == wanted()


def test_long_lists_are_counted() -> None:
    asked = Request("data", wanted(), [f"{k}" for k in range(21)], None, None)
    assert "cases=[21 names]" in repetition(asked, RUN, 21)


def test_a_loss_and_a_dataset_of_ones_own_are_repeated_by_a_call() -> None:
    own = wanted().changed({"task.loss": "own"})
    said = repetition(Request(Path("data"), own, None, None, None, loss="losses.tversky"), RUN, 7)
    assert said.startswith("From Python: ulna.train('data', 'my run', loss=losses.tversky, preset='fcn8', ")
    assert "task.loss" not in said
    said = repetition(Request(Dataset((), "wells"), wanted(), None, None, None), RUN, 7)
    assert said.startswith("From Python, with a Dataset of your own: ulna.train(dataset, 'my run', ")
