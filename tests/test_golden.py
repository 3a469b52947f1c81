"""Models of format 1 predict what they predicted when they were written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import ulna
from ulna import modelfile
from ulna.model import Model

FOLDER = Path(__file__).parent / "golden"
"""Two small models and their outputs, as commit 8828ca9 (format 1) wrote them."""

NEAR = 1e-3
"""How near to the threshold rounding may decide."""


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "expected.npz") as stored:
        return dict(stored)


@pytest.mark.parametrize("name", ["gray", "color"])
@pytest.mark.parametrize("tile", [0, 96])
def test_format_1(name: str, tile: int, expected: dict[str, np.ndarray]) -> None:
    model = ulna.load(FOLDER / f"{name}.safetensors")
    if tile:
        model = Model(replace(model.saved, config=model.config.changed({"inference.tile": tile})))
    probabilities = model.probabilities(expected[f"{name}_image"]).array
    wanted = expected[f"{name}_tiled" if tile else f"{name}_probabilities"]
    np.testing.assert_allclose(probabilities, wanted, atol=1e-5)
    sure = np.diff(np.sort(wanted, axis=0)[-2:], axis=0)[0] > NEAR
    mask = model.predict(expected[f"{name}_image"]).array[0]
    np.testing.assert_array_equal(mask[sure], expected[f"{name}_mask"][0][sure])
    assert sure.mean() > 0.99


@pytest.mark.parametrize("name", ["gray", "color"])
def test_a_model_of_format_1_is_saved_in_the_present_format(name: str, tmp_path: Path) -> None:
    model = ulna.load(FOLDER / f"{name}.safetensors")
    model.save(tmp_path / "model.safetensors")
    for path, version in ((FOLDER / f"{name}.safetensors", 1), (tmp_path / "model.safetensors", modelfile.FORMAT)):
        with safe_open(path, framework="np") as file:
            assert json.loads(file.metadata()["ulna"])["format"] == version
    again = ulna.load(tmp_path / "model.safetensors")
    assert again.config == model.config
    assert again.classes == model.classes
