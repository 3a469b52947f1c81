from __future__ import annotations

from pathlib import Path

import pytest

from ulna.metrics import Primary
from ulna.training.log import COLUMNS, EVENTS, TABLE, read_rows, write_row

DICE = Primary("dice")


def row(epoch: int, **more: float) -> dict[str, float]:
    return {"epoch": epoch, "step": 10 * epoch, "seconds": 1.25, "learning_rate": 0.0012345, "train_loss": 0.5, **more}


def test_rows_are_written_in_their_form(tmp_path: Path) -> None:
    assert read_rows(tmp_path) == []
    write_row(tmp_path, row(0), DICE)
    write_row(tmp_path, row(1, val_loss=1 / 3, val_dice=0.9, val_foreground=0.1), DICE)
    assert (tmp_path / TABLE).read_text().splitlines() == [
        ",".join((*COLUMNS, "val_dice")),
        "0,0,1.2,0.00123,0.50000,,",
        "1,10,1.2,0.00123,0.50000,0.33333,0.90000",
    ]


def test_rows_from_before_a_kill_are_replaced(tmp_path: Path) -> None:
    for epoch, loss in ((0, 0.0), (1, 1.0), (2, 2.0), (1, 3.0)):
        write_row(tmp_path, row(epoch) | {"train_loss": loss}, DICE)
    assert [float(one["train_loss"]) for one in read_rows(tmp_path)] == [0, 3]


def test_tensorboard_reads_the_same_numbers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epoch in range(3):
        write_row(tmp_path, row(epoch, val_dice=epoch / 4), DICE)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) == {"seconds", "learning_rate", "train_loss", "val_dice"}
    assert [(one.step, one.value) for one in events.Scalars("val_dice")] == [(0, 0), (10, 0.25), (20, 0.5)]


def test_the_file_of_events_says_what_it_is_once(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    for epoch in range(2):
        write_row(tmp_path, row(epoch), DICE)
    events = [Event.FromString(one) for one in RawEventFileLoader(str(tmp_path / EVENTS)).Load()]
    assert [one.file_version for one in events] == ["brain.Event:2", "", ""]
    assert [(one.step, one.wall_time) for one in events[1:]] == [(0, 1.25), (10, 1.25)]


def test_without_tensorboard_the_table_is_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ulna.training.log.find_spec", lambda name: None)
    write_row(tmp_path, row(0), DICE)
    assert (tmp_path / TABLE).is_file()
    assert not (tmp_path / EVENTS).exists()
