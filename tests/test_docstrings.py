"""The examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import ulna

MODULES = sorted(module.name for module in pkgutil.walk_packages(ulna.__path__, "ulna."))
"""The plugin for napari among them, which is not imported here: it needs napari."""

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture
def workplace(tmp_path: Path, cells: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which examples run: a data set `cells`, a run `run` trained on it, and one image `cells.png`."""
    shutil.copytree(cells, tmp_path / "cells")
    shutil.copytree(run, tmp_path / "run")
    shutil.copy(cells / "images" / "cells_000.png", tmp_path / "cells.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def examples(module: str) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder().find(importlib.import_module(module)) if test.examples]


def source(module: str) -> str:
    spec = find_spec(module)
    return Path(str(spec and spec.origin)).read_text("utf-8")


@pytest.mark.parametrize("name", [name for name in MODULES if ">>>" in source(name)])
def test_examples_run(name: str, workplace: Path) -> None:
    for test in examples(name):
        test.globs.update(ulna=ulna, np=np)
        output: list[str] = []
        failed, _ = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=output.append)
        assert not failed, "".join(output)
