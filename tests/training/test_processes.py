"""The processes of a training: what they give back, and that none is waited for in vain."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import small_processes
from ulna.errors import UlnaError
from ulna.training.processes import ERROR, _cause, in_processes


def test_a_process_that_is_killed_ends_all() -> None:
    with pytest.raises(UlnaError) as caught:
        in_processes(small_processes.dying, 2, "cpu")
    assert str(caught.value) == (
        "training.devices: process 1 of the 2 of this training was ended (signal 9)\n"
        "A memory that is full ends processes so. Go on by adding --resume."
    )


def test_what_can_be_fixed_comes_first_then_a_death_then_what_was_said_first(tmp_path: Path) -> None:
    (tmp_path / f"0{ERROR}").write_bytes(pickle.dumps(RuntimeError("the other one has gone")))
    assert "process 1 of the 2 of this training was ended (exit code 3)" in str(_cause([1, 3], tmp_path))
    assert "process 1 of the 2 of this training was ended (signal 9)" in str(_cause([1, -9], tmp_path))
    assert str(_cause([1, 0], tmp_path)) == "the other one has gone"
    (tmp_path / f"2{ERROR}").write_bytes(pickle.dumps(UlnaError("too little memory", where="here", hint="Buy more.")))
    cause = _cause([1, -9, 1], tmp_path)
    assert isinstance(cause, UlnaError)
    assert (cause.what, cause.where, cause.hint) == ("too little memory", "here", "Buy more.")
