"""Fixtures that every room uses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from command_line import CommandLine
from golden_values import Golden

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores: one thread each, set before torch is loaded
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--data", default=None, help="folder with the real data sets (default: ../shared/data)")
    parser.addoption("--new-golden", action="store_true", help="write golden values, texts and thumbnails anew")


@pytest.fixture(scope="session")
def data(request: pytest.FixtureRequest) -> Path:
    """The folder with the real data sets; tests that need it are skipped where it is absent."""
    named = request.config.getoption("--data")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder} (name their folder with --data)")
    return folder


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny data set: eight simulated images of 64 by 64 pixels with their masks."""
    from ulna.synthetic import write_dataset

    folder = tmp_path_factory.mktemp("data") / "cells"
    write_dataset(folder, 8, size=(64, 64))
    return folder


@pytest.fixture(scope="session")
def run(cells: Path) -> Path:
    """A run trained on `cells` in no time; tests leave it as it is."""
    from ulna.jobs.train import train

    small = {"training.steps": 3, "network.widths": [4, 8], "training.patch": [32, 32], "training.batch_size": 2}
    return train(cells, cells.parent / "run", epochs=2, changes=small).run


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Holds what a test computes to what it computed before."""
    return Golden(request.path.parent / "golden", rewrite=request.config.getoption("--new-golden"))


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Types commands within this process."""
    return CommandLine(monkeypatch, capsys)
