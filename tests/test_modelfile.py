from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from ulna import modelfile
from ulna.errors import UlnaError


def test_a_model_survives_being_saved(run: Path, tmp_path: Path) -> None:
    first = modelfile.load(run)
    modelfile.save(tmp_path / "copy.safetensors", first)
    second = modelfile.load(tmp_path / "copy.safetensors")
    assert replace(second, network=first.network) == first
    inputs = torch.randn(1, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(first.network(inputs), second.network(inputs))
    assert not second.network.training
    assert [path.name for path in tmp_path.iterdir()] == ["copy.safetensors"]


def test_the_file_says_all_there_is_to_say(run: Path) -> None:
    with safe_open(run / modelfile.NAME, framework="np") as file:
        words = json.loads(file.metadata()["ulna"])
        assert all(np.isfinite(file.get_tensor(name)).all() for name in file.keys())  # noqa: SIM118
    assert words["format"] == modelfile.FORMAT
    assert words["config"]["data"]["channels"] == 1
    assert words["classes"]["names"] == ["background", "foreground"]
    assert words["versions"]["torch"] == version("torch")
    assert words["scores"]["overall"]
    assert len(words["data_hash"]) == 64


def test_find(run: Path, tmp_path: Path) -> None:
    assert modelfile.find(run) == modelfile.find(run / modelfile.NAME) == run / modelfile.NAME
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UlnaError, match="--resume"):
        modelfile.find(tmp_path)
