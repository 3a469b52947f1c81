from __future__ import annotations

from pathlib import Path

import pytest
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

import ulna
from small_data import healthy
from ulna import console
from ulna.console import Printed, say, track, track_parts
from ulna.jobs.demo import Demo

SMALL = {"training.steps": 3, "network.widths": [4, 8], "training.patch": [32, 32], "training.batch_size": 2}


def test_everything_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    say("[bold]one[/] line that is longer than any terminal is wide: " + 20 * "word ")
    assert list(track([1, 2, 3], "counting")) == [1, 2, 3]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[0].startswith("one line that")
    assert shown.err.count("word") == 20
    assert len(shown.err.splitlines()[0]) > 100


def test_parts_of_items_have_a_bar_below(monkeypatch: pytest.MonkeyPatch) -> None:
    bars, made = list[Progress](), console.bar
    monkeypatch.setattr(console, "bar", lambda: bars.append(made()) or bars[-1])
    seen = []
    for item, parts in track_parts(["a", "bc"], "images"):
        for letter in parts(item, "tiles"):
            seen.append((letter, [(task.description, task.total) for task in bars[0].tasks]))
        assert [task.description for task in bars[0].tasks] == ["images"]
    assert seen == [(letter, [("images", 2), ("tiles", count)]) for letter, count in (("a", 1), ("b", 2), ("c", 2))]


class Wide(Printed):
    def __repr__(self) -> str:
        return "<Wide>"

    def __rich__(self) -> Table:
        table = Table("name", "value")
        table.add_row(Text("a < b", style="bold red"), "x" * 60)
        return table


def test_a_record_is_the_same_table_with_print_and_in_jupyter(capsys: pytest.CaptureFixture[str]) -> None:
    text, html = str(Wide()), Wide()._repr_html_()
    assert "a < b" in text
    assert "x" * 60 in text
    assert "\x1b" not in text
    assert text == text.rstrip()
    assert html.startswith('<pre style="white-space:pre')
    assert html.endswith("</pre>")
    assert "a &lt; b" in html
    assert "font-weight: bold" in html
    assert "x" * 60 in html
    assert repr(Wide()) == "<Wide>"
    shown = capsys.readouterr()
    assert shown.out == shown.err == ""


def test_every_record_has_a_short_repr_and_a_table(run: Path, cells: Path, tmp_path: Path) -> None:
    evaluated = ulna.evaluate(run, cells, out=tmp_path / "scores")
    measured = ulna.measure(cells / "masks", out=tmp_path / "measured")
    records = {
        "<Check: 6 cases in 6 groups; 1 warning>": ulna.check(healthy(tmp_path / "data", 6)),
        "<Split: 4 cases to train, 2 to test; ": ulna.split(tmp_path / "data", test=0.3, out=tmp_path / "lists"),
        "<Settings: ": ulna.settings("training"),
        "<Predicted: 8 masks, 0 failed; ": ulna.predict(run, cells / "images", out=tmp_path / "masks"),
        "<preset default: ": ulna.summary("default"),
        "<Evaluation: 8 images in ": evaluated,
        "<Measured: ": measured,
        "<Trained: ": ulna.train(cells, tmp_path / "run", epochs=1, changes=SMALL),
    }
    for start, record in records.items():
        assert repr(record).startswith(start), repr(record)
        assert len(repr(record).splitlines()) == 1
        assert str(record) != repr(record)
        assert str(record)
        assert record._repr_html_().startswith("<pre"), start
    trained = records["<Trained: "]
    assert "<Evaluation: " in repr(trained)
    assert repr(Demo(tmp_path, trained, evaluated, measured)).startswith(f"<Demo: {tmp_path}; <Evaluation")
