"""Stores of simulated cells, for the tests of the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ulna.config import DataConfig
from ulna.labels.inference import infer
from ulna.layouts import read_dataset
from ulna.store import Store, build
from ulna.truth import load_truth


@pytest.fixture(scope="session")
def stores(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    cases = read_dataset(cells).cases
    classes = infer([load_truth(case).array for case in cases], DataConfig())
    folder = tmp_path_factory.mktemp("cache")
    words: dict[str, Any] = {"config": DataConfig(), "classes": classes}
    return build(folder / "train", cases[:6], **words), build(folder / "validation", cases[6:], **words)
