"""Trainings with a loss and a data set that a user's own code has made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import ulna
from command_line import CommandLine
from ulna.dataset import Case, Dataset
from ulna.errors import UlnaError
from ulna.image import Source
from ulna.networks.losses import cross_entropy, dice

SMALL = {"training.steps": 3, "network.widths": [4, 8], "training.patch": [32, 32], "training.batch_size": 2}


def own_dice(outputs: Tensor, truth: Tensor) -> Tensor:
    return dice(outputs, truth)


def flat(outputs: Tensor, truth: Tensor) -> Tensor:
    return outputs.detach().mean()


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "model.safetensors")


def written_apart(cells: Path) -> Dataset:
    """The cells, in two groups that no name tells."""
    images = sorted((cells / "images").iterdir())
    cases = [
        Case(f"c{n}", (Source(image),), (Source(cells / "masks" / image.name),), group="ab"[n % 2])
        for n, image in enumerate(images)
    ]
    return Dataset(tuple(cases), "cells of two dishes")


def test_a_loss_of_ones_own_learns_what_the_same_loss_by_its_name_does(cells: Path, tmp_path: Path) -> None:
    named = ulna.train(cells, tmp_path / "named", epochs=1, changes=SMALL | {"task.loss": "dice"})
    own = ulna.train(cells, tmp_path / "own", epochs=1, changes=SMALL, loss=own_dice)
    first, second = weights(named.run), weights(own.run)
    assert all(torch.equal(first[name], second[name]) for name in first)

    record = json.loads((own.run / "run.json").read_text("utf-8"))
    name = f"{own_dice.__module__}.own_dice"
    assert record["loss"] == name
    assert f"The loss is the function {name}, which the training was given." in record["plan"]
    assert f"loss={name}" in record["command"]
    assert "task.loss" not in record["command"]
    model = ulna.load(own.run)
    assert model.config.task.loss == "own"
    assert model.predict(cells / "images" / "cells_000.png").shape == (64, 64)


def test_objects_learn_their_classes_by_it(cells: Path, tmp_path: Path) -> None:
    called: list[int] = []

    def loss(outputs: Tensor, truth: Tensor) -> Tensor:
        called.append(outputs.shape[1])
        return cross_entropy(outputs, truth)

    changes = SMALL | {"task.name": "instances"}
    ulna.train(cells, tmp_path / "run", epochs=1, changes=changes, loss=loss)
    assert set(called) == {1}


def test_it_is_needed_again_where_a_run_goes_on(cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr("ulna.run.fit", stopped)
        with pytest.raises(KeyboardInterrupt):
            ulna.train(cells, run, epochs=1, changes=SMALL, loss=own_dice)
    with pytest.raises(UlnaError, match="function, which is not given"):
        ulna.train(cells, run, resume=True)
    with pytest.raises(UlnaError, match="began with the loss"):
        ulna.train(cells, run, resume=True, loss=cross_entropy)
    assert ulna.train(cells, run, resume=True, loss=own_dice).model.config.task.loss == "own"


def test_folds_learn_by_it(cells: Path, tmp_path: Path) -> None:
    ulna.train(cells, tmp_path / "run", epochs=1, changes=SMALL, loss=own_dice, folds=2)
    for place in (tmp_path / "run", tmp_path / "run" / "fold1"):
        assert json.loads((place / "run.json").read_text("utf-8"))["loss"].endswith("own_dice")


def test_a_loss_without_a_gradient_is_an_error_that_names_it(cells: Path, tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match=r"flat: this loss does not depend on the outputs"):
        ulna.train(cells, tmp_path / "run", epochs=1, changes=SMALL, loss=flat)


def test_the_command_line_asks_for_the_function(cells: Path, tmp_path: Path, cli: CommandLine) -> None:
    said = cli("train", cells, "--out", tmp_path / "run", "--epochs", 1, "--set", "task.loss=own")
    assert said.code == 2
    assert "the loss is a function, which is not given" in said.err


def test_a_dataset_is_checked_trained_on_and_evaluated(cells: Path, tmp_path: Path) -> None:
    data = written_apart(cells)
    found = ulna.check(data)
    assert found.dataset.sentence == "cells of two dishes"
    assert {case.group for case in found.dataset.cases} == {"a", "b"}
    trained = ulna.train(data, tmp_path / "run", epochs=1, changes=SMALL)
    sides = [(trained.run / f"{name}.txt").read_text().split() for name in ("train", "validation")]
    assert sorted(map(len, sides)) == [4, 4]
    assert {int(name[1:]) % 2 for name in sides[0]} != {int(name[1:]) % 2 for name in sides[1]}
    command = json.loads((trained.run / "run.json").read_text("utf-8"))["command"]
    assert command.startswith("From Python, with a Dataset of your own: ulna.train(dataset, ")
    scores = ulna.evaluate(trained.model, data, out=tmp_path / "scores")
    assert len(scores.cases) == 8


def test_a_dataset_is_gone_on_with(cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ulna.run.fit", stopped)
        with pytest.raises(KeyboardInterrupt):
            ulna.train(written_apart(cells), tmp_path / "run", epochs=1, changes=SMALL)
    assert ulna.train(written_apart(cells), tmp_path / "run", resume=True).scores is not None


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    for data in ({}, [1], object()):
        with pytest.raises(UlnaError, match="is no path"):
            ulna.check(data)  # type: ignore[arg-type]
