"""`metrics.csv`: one row per epoch; and the same numbers for TensorBoard, where it is installed."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path

from ulna.formats import atomic_write
from ulna.metrics import Primary

TABLE = "metrics.csv"
COLUMNS = ("epoch", "step", "seconds", "learning_rate", "train_loss", "val_loss")
"""Its columns; that of the task's primary measure follows."""
EVENTS = "events.out.tfevents.ulna"

Row = dict[str, float]


def validation_column(primary: Primary) -> str:
    """The column of the primary measure: `val_dice`."""
    return f"val_{primary.measure}"


def read_rows(run: Path) -> list[dict[str, str]]:
    """The rows written so far."""
    path = run / TABLE
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_row(run: Path, row: Row, primary: Primary) -> None:
    """Add an epoch's row; those of the same epoch and later ones, from before a kill, are replaced."""
    columns = (*COLUMNS, validation_column(primary))
    rows = [old for old in read_rows(run) if int(old["epoch"]) < row["epoch"]]
    with atomic_write(run / TABLE) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows([*rows, {name: _cell(name, row[name]) for name in columns if name in row}])
    if find_spec("tensorboard") is not None:
        _write_events(run / EVENTS, {name: row[name] for name in columns if name in row})


def _cell(name: str, value: float) -> str:
    forms = {"epoch": "d", "step": "d", "seconds": ".1f", "learning_rate": ".3g"}
    return format(value, forms.get(name, ".5f"))


def _write_events(path: Path, row: Row) -> None:
    """One event per epoch, written at once: TensorBoard's own writer does it in a thread, whose errors get lost."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    values = [Summary.Value(tag=name, simple_value=row[name]) for name in row if name not in COLUMNS[:2]]
    event = Event(step=int(row["step"]), wall_time=row["seconds"], summary=Summary(value=values))
    new = not path.exists()
    with path.open("ab") as file:
        writer = RecordWriter(file)
        if new:
            writer.write(Event(file_version="brain.Event:2").SerializeToString())
        writer.write(event.SerializeToString())
