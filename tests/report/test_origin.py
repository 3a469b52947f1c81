"""When, where and from what a run was made, and how it is repeated."""

from __future__ import annotations

from typing import Any

from ulna.config import Config
from ulna.report.origin import commands, origin, repeating

RECORD: dict[str, Any] = {
    "started": "2026-03-04T05:06:07+01:00",
    "ended": "2026-03-04T05:16:07+01:00",
    "machine": {"system": "Linux 6.1, x86_64", "processor": "Some CPU", "cores": 8, "memory": "32.0 GiB"},
    "device": "Some GPU, 80.0 GiB, CUDA 12.8",
    "versions": {"ulna": "1.2.3", "torch": "2.13.0"},
    "data": "/data/my cells",
    "data_hash": "9f86d081",
    "validation_hash": "abc",
    "seed": 7,
    "parameters": 1234567,
    "command": "ulna train 'my cells' --out run",
}


def test_all_that_is_known_is_told() -> None:
    assert dict(origin(RECORD)) == {
        "started": "2026-03-04 05:06:07 +01:00",
        "ended": "2026-03-04 05:16:07 +01:00",
        "machine": "Some CPU, 8 cores, 32.0 GiB of memory, Linux 6.1, x86_64",
        "network ran on": "Some GPU, 80.0 GiB, CUDA 12.8",
        "software": "ulna 1.2.3, torch 2.13.0",
        "parameters": "1,234,567",
        "data": "/data/my cells",
        "fingerprint of the images trained on": "9f86d081",
        "fingerprint of the images held out": "abc",
        "seed": "7",
    }
    assert origin({}) == []
    assert origin({"machine": "Linux x86_64", "started": 3}) == [("started", "3"), ("machine", "Linux x86_64")]


def test_a_run_that_went_on_elsewhere_says_so() -> None:
    same = {"date": "2026-03-05T00:00:00+01:00", **{key: RECORD[key] for key in ("machine", "device", "versions")}}
    told = dict(origin(RECORD | {"resumed": [same, same | {"device": "cpu"}, "?"]}))
    assert told["resumed 1"] == "2026-03-05 00:00:00 +01:00"
    assert told["resumed 2"] == "2026-03-05 00:00:00 +01:00 (other device: cpu)"
    assert told["resumed 3"] == "?"


def test_commands_can_be_typed() -> None:
    assert commands(RECORD, "my run") == [
        "ulna train 'my cells' --out run",
        "ulna evaluate 'my run' '/data/my cells' --cases 'my run/validation.txt' --out scores",
    ]
    for other in ({"data": "arrays in memory"}, {"folds": 5}, {"validation_hash": ""}):
        assert commands(RECORD | other, "run") == ["ulna train 'my cells' --out run"]
    assert commands({}, "run") == repeating({}, "run", None, []) == []


def test_what_repeats_exactly_and_what_does_not() -> None:
    timed = Config().changed({"training.minutes": 5})
    assert "(this one made 40 steps)" in " ".join(repeating(RECORD, "run", timed, [{"step": "40"}]))
    counted = " ".join(repeating(RECORD, "run", Config().changed({"training.epochs": 5}), [{"step": "40"}]))
    assert "when its time is over" not in counted
    assert "The seed fixes the split" in counted
