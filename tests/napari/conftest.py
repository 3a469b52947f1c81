"""napari without a screen, and with the plugin as it is here, installed or not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is loaded

MANIFEST = Path(__file__).parents[2] / "src" / "ulna" / "napari" / "napari.yaml"


@pytest.fixture(autouse=True)
def plugin() -> Iterator[None]:
    """napari knows the plugin by its manifest."""
    pytest.importorskip("napari.layers", reason="napari is not installed: pip install -e '.[napari]'")
    npe2 = pytest.importorskip("npe2")
    manager = npe2.PluginManager.instance()
    known = "ulna" in manager
    if not known:
        manager.register(npe2.PluginManifest.from_file(MANIFEST))
    yield
    if not known:
        manager.unregister("ulna")


@pytest.fixture
def finished(run: Path, cells: Path, tmp_path: Path) -> Path:
    """A copy of the run whose record says where its data lie."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(record | {"data": str(cells.absolute())}))
    return copy
