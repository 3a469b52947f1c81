from __future__ import annotations

import io
import json
import os
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ulna import modelfile
from ulna.config import RENAMED
from ulna.errors import UlnaError
from ulna.model import load


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


def contradiction(saved: modelfile.Saved, path: Path, **changes: object) -> str:
    """What is said of a file with some parts replaced."""
    modelfile.save(path, replace(saved, **changes))  # type: ignore[arg-type]
    with pytest.raises(UlnaError, match="contradict each other") as caught:
        modelfile.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_parts_that_contradict_each_other_are_refused(run: Path, tmp_path: Path) -> None:
    saved, path = modelfile.load(run), tmp_path / "a.safetensors"
    classes = saved.classes
    assert "size mismatch" in contradiction(saved, path, outputs=3) or "Error" in contradiction(saved, path, outputs=3)
    assert "0 output channels" in contradiction(saved, path, outputs=0)
    assert "values of 1" in contradiction(saved, path, classes=replace(classes, values=((0,),)))
    twice = replace(classes, names=("cell", "cell"))
    assert "the classes cell, cell" in contradiction(saved, path, classes=twice)
    alone = replace(classes, names=("background",), values=((0,),))
    assert "the classes background" in contradiction(saved, path, classes=alone)
    named = saved.config.changed({"data.classes": ["background", "other"]})
    assert "data.classes background, other" in contradiction(saved, path, config=named)
    assert "channels" in contradiction(saved, path, config=saved.config.changed({"data.channels": 0}))
    contradiction(saved, path, config=saved.config.changed({"data.channels": 3}))
    contradiction(saved, path, config=saved.config.changed({"network.widths": [4, 9]}))
    contradiction(saved, path, config=saved.config.changed({"network.norm": "batch"}))


def test_weights_that_are_no_numbers_are_refused(run: Path, tmp_path: Path) -> None:
    saved = modelfile.load(run)
    with torch.no_grad():
        next(saved.network.parameters()).view(-1)[0] = torch.nan
    assert "holds NaN" in contradiction(saved, tmp_path / "a.safetensors")


@pytest.fixture
def stopped(run: Path, tmp_path: Path) -> Path:
    """The run as it was before its training had ended: the last epoch's weights are doubled, the best's are not."""
    folder = tmp_path / "stopped"
    folder.mkdir()
    for name in ("config.yaml", "run.json", "fingerprints.npz"):
        (folder / name).write_bytes((run / name).read_bytes())
    weights = modelfile.load(run).network.state_dict()
    (folder / "checkpoints").mkdir()
    torch.save({"network": weights}, folder / "checkpoints" / "best.ckpt")
    torch.save(
        {"network": {name: 2 * tensor for name, tensor in weights.items()}}, folder / "checkpoints" / "last.ckpt"
    )
    return folder


def test_a_stopped_run_is_its_best_checkpoint(run: Path, stopped: Path) -> None:
    whole, saved = modelfile.load(run), modelfile.load(stopped)
    assert whole.short.startswith("The training was short")
    assert replace(saved, network=whole.network, note="", versions={}, scores={}) == replace(
        whole, versions={}, scores={}, short=""
    )
    assert saved.note == f"The training of {stopped} has not ended: these are the weights of its best epoch so far."
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(saved.network.state_dict()[name], tensor)
    assert not saved.network.training


def test_or_else_its_last_one(run: Path, stopped: Path) -> None:
    (stopped / "checkpoints" / "best.ckpt").unlink()
    saved = modelfile.load(stopped)
    assert "of its last epoch" in saved.note
    for name, tensor in modelfile.load(run).network.state_dict().items():
        assert torch.equal(saved.network.state_dict()[name], 2 * tensor)


def test_loading_a_stopped_run_says_so(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load(stopped)
    assert "has not ended" in capsys.readouterr().err
    assert "has not ended" in model._repr_html_()


def test_a_checkpoint_that_cannot_be_used_says_how_to_go_on(stopped: Path) -> None:
    (stopped / "checkpoints" / "best.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(UlnaError, match="--resume"):
        modelfile.load(stopped)
    (stopped / "run.json").write_text("{", "utf-8")
    with pytest.raises(UlnaError, match=r"run\.json.*cannot be read"):
        modelfile.load(stopped)


class Harmful:
    """What a pickle may hold: reading it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("name", ["checkpoints/best.ckpt", modelfile.NAME])
def test_no_file_runs_code(name: str, stopped: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    torch.save({"network": Harmful(made)}, stopped / name)
    with pytest.raises(UlnaError):
        modelfile.load(stopped)
    assert not made.exists()
    torch.load(io.BytesIO((stopped / name).read_bytes()), weights_only=False)  # it would have
    assert made.is_dir()


def test_the_checkpoints_of_a_real_training_are_read(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns(modelfile.NAME))
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    (folder / "checkpoints" / "best.ckpt").unlink(missing_ok=True)
    model, whole = load(folder), load(run)  # both hold the weights of the end
    image = np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)
    np.testing.assert_allclose(model.probabilities(image).array, whole.probabilities(image).array, atol=1e-5)
    assert model.classes == whole.classes


@pytest.mark.parametrize("part", ["config", "classes", "outputs", "versions", "scores"])
@pytest.mark.parametrize("value", [None, 3, "text", [1]])
def test_metadata_of_another_kind_are_refused(run: Path, tmp_path: Path, part: str, value: object) -> None:
    with safe_open(run / modelfile.NAME, framework="pt") as file:
        facts = json.loads(file.metadata()["ulna"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    changed = json.dumps(facts | {part: value})
    save_file(weights, tmp_path / "a.safetensors", metadata={"ulna": changed})
    with pytest.raises(UlnaError):
        load(tmp_path / "a.safetensors")


def test_files_that_are_no_model_are_refused(run: Path, tmp_path: Path) -> None:
    whole = (run / modelfile.NAME).read_bytes()
    path = tmp_path / "a.safetensors"
    for content in (b"", b"text", whole[:-100], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UlnaError, match=r"a\.safetensors"):
            modelfile.load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(UlnaError, match="not written by ulna"):
        modelfile.load(path)
    save_file({"a": torch.zeros(1)}, path, metadata={"ulna": json.dumps({"format": modelfile.FORMAT + 1})})
    with pytest.raises(UlnaError, match="newer ulna"):
        modelfile.load(path)
    save_file({"a": torch.zeros(1)}, path, metadata={"ulna": json.dumps({"format": modelfile.FORMAT})})
    with pytest.raises(UlnaError, match="lacks classes, config"):
        modelfile.load(path)


def test_earlier_names_of_settings_are_converted(run: Path, tmp_path: Path) -> None:
    with safe_open(run / modelfile.NAME, framework="pt") as file:
        facts = json.loads(file.metadata()["ulna"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for before, now in RENAMED.items():
        section, name = now.split(".")
        if section in facts["config"] and name in facts["config"][section]:
            facts["config"][section][before.partition(".")[2]] = facts["config"][section].pop(name)
    facts["format"] = 1
    save_file(weights, tmp_path / "a.safetensors", metadata={"ulna": json.dumps(facts)})
    assert modelfile.load(tmp_path / "a.safetensors").config == modelfile.load(run).config
