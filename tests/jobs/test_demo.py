from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from command_line import all_files
from ulna.errors import UlnaError
from ulna.jobs import demo as room
from ulna.jobs.demo import demo


def test_the_demonstration_makes_everything_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "TRAINING", 6)
    monkeypatch.setattr(room, "UNSEEN", 2)
    done = demo(tmp_path / "demo", minutes=0.05, seed=1)
    made = all_files(tmp_path / "demo")
    assert made >= {"run/model.safetensors", "run/report.html", "scores/cases.png", "masks/overlays/cells_000.png"}
    assert made >= {"masks/outlines/cells_000.zip", "masks/outlines/cells_000.geojson", "masks/objects.csv"}
    assert made >= {"measured/table.csv", "measured/objects.png", "measured/sizes.png"}
    with (console := Console(width=200)).capture() as told:
        console.print(done)
    for words in ("scores/cases.png", "report.html", "ulna train YOUR_FOLDER", "true objects"):
        assert words in told.get()
    assert "median area" in told.get() or "0 objects" in told.get()


def test_what_is_wrong_is_said_before_anything_is_made(tmp_path: Path) -> None:
    for minutes, seed in ((-1, 0), (1, -1)):
        with pytest.raises(UlnaError):
            demo(tmp_path / "demo", minutes=minutes, seed=seed)
    assert not (tmp_path / "demo").exists()
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(UlnaError, match="not empty"):
        demo(tmp_path)
