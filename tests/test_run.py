"""A run at work: starting from a trained model, the time promise from the data to the report, what a resume counts."""

from __future__ import annotations

import json
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import load_file
from torch import nn

import ulna
from small_clock import TestClock
from small_data import put
from ulna import runfolder as runs
from ulna.config import Config, DataConfig, dotted
from ulna.dataset import Case, Dataset, quiet
from ulna.errors import UlnaError
from ulna.grid import Grid
from ulna.jobs.evaluate import evaluate
from ulna.jobs.train import train
from ulna.labels.classes import Classes
from ulna.labels.inference import infer
from ulna.layouts import read_dataset
from ulna.model import Model
from ulna.modelfile import Saved
from ulna.run import Data, Run
from ulna.store import builder
from ulna.training.batches import Batch
from ulna.training.learner import Learner
from ulna.training.log import read_rows
from ulna.training.starting import as_started, at_spacing
from ulna.training.timer import Timer
from ulna.truth import load_truth

TINY = {"training.patch": [32, 32], "training.batch_size": 2}
SMALL = TINY | {"training.steps": 2, "network.widths": [4, 8]}


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def first_weights(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """The weights with which trainings begin; none of them changes any."""
    seen: list[dict[str, torch.Tensor]] = []
    new = Run._new

    def noted(run: Run, prepared: Any) -> Any:
        saved = new(run, prepared)
        seen.append({name: tensor.clone() for name, tensor in saved.network.state_dict().items()})
        return saved

    monkeypatch.setattr(Run, "_new", noted)
    return seen


def test_it_starts_from_a_trained_model(
    run: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = first_weights(monkeypatch)
    trained = train(cells, tmp_path / "run", epochs=1, changes=TINY | {"training.steps": 1}, start_from=run)
    assert all(torch.equal(seen[0][name], tensor) for name, tensor in weights(run).items())
    assert trained.model.config.network == ulna.load(run).config.network
    assert "starts from the weights of a trained model of the same classes" in capsys.readouterr().err


def test_other_classes_get_a_new_last_layer(
    run: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = first_weights(monkeypatch)
    changes = TINY | {"training.steps": 1, "data.classes": ["background", "glands"], "data.values": [[0], [255]]}
    train(cells, tmp_path / "run", epochs=1, changes=changes, start_from=run / "model.safetensors")
    differ = {name for name, tensor in weights(run).items() if not torch.equal(seen[0][name], tensor)}
    assert differ == {"head.weight", "head.bias"}
    assert "its last layer is new, for glands instead of" in capsys.readouterr().err


def test_a_start_brings_the_constants_of_its_training_set() -> None:
    theirs = {"data.normalization": "ct", "data.window": (-90.0, 200.0), "data.center": 30.0, "data.scale": 55.0}
    start = Saved(nn.Identity(), Config().changed(theirs), Classes(("background", "a"), ((0,), (1,)), "classes", ""), 1)
    started = dotted(as_started(Config(), start).model_dump())
    assert {key: started[key] for key in theirs} == theirs
    with pytest.raises(UlnaError, match=r"has data\.center 30"):
        as_started(Config().changed({"data.center": 31}), start)


def test_a_model_that_does_not_suit_is_no_start(run: Path, cells: Path, tmp_path: Path) -> None:
    for index in range(6):
        gray = np.asarray(Pillow.open(cells / "images" / f"cells_{index:03d}.png"))
        color = np.stack([gray, gray // 2, 255 - gray], axis=-1)
        put(tmp_path / "color", f"c{index}", color, np.asarray(Pillow.open(cells / "masks" / f"cells_{index:03d}.png")))
    with pytest.raises(UlnaError, match="takes images of 1 channel, these have 3"):
        train(tmp_path / "color", tmp_path / "run", epochs=1, changes=TINY, start_from=run)
    with pytest.raises(UlnaError, match=r"network\.widths"):
        train(cells, tmp_path / "run", epochs=1, changes=TINY | {"network.widths": [8, 16]}, start_from=run)
    with pytest.raises(UlnaError, match="weights of its own"):
        train(cells, run, start_from=run, resume=True)
    with pytest.raises(UlnaError, match="no device 'abacus'"):
        train(cells, tmp_path / "run", device="abacus")
    assert not (tmp_path / "run").exists()


def test_patience_without_a_validation_is_said_to_end_nothing(cells: Path, tmp_path: Path) -> None:
    changes = TINY | {"training.steps": 1, "training.patience": 1, "data.validation": 0}
    trained = train(cells, tmp_path / "run", epochs=2, changes=changes)
    assert "training.patience ends nothing" in " ".join(runs.words(trained.run)["plan"])
    assert len(read_rows(trained.run)) == 2


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> TestClock:
    """A simulated machine on which steps and predictions take time, twice as much from `slow` on."""
    clock = TestClock(0.0)
    forward, validate, predict = Learner.forward, Learner.validate, Model.predict

    def cost(seconds: float) -> None:
        clock.move(seconds * (2.0 if clock.now() >= getattr(clock, "slow", np.inf) else 1.0))

    def step(learner: Learner, batch: Batch) -> torch.Tensor:
        cost(0.5)
        return forward(learner, batch)

    def validated(learner: Learner, *given: Any) -> dict[str, float]:
        cost(0.4)
        return validate(learner, *given)

    def predicted(model: Model, *given: Any, **words: Any) -> Any:
        cost(0.4)
        return predict(model, *given, **words)

    monkeypatch.setattr(Learner, "forward", step)
    monkeypatch.setattr(Learner, "validate", validated)
    monkeypatch.setattr(Model, "predict", predicted)
    monkeypatch.setattr("ulna.run.write_report", lambda *_: cost(1), raising=False)
    return clock


BY_TIME = {"network.widths": [4, 8], "data.validation": 0.4} | TINY


@pytest.mark.parametrize("slow", [np.inf, 20.0, 33.0])
def test_the_whole_run_keeps_its_promise_when_the_speed_halves(
    slow: float, cells: Path, tmp_path: Path, machine: TestClock
) -> None:
    machine.slow = slow  # type: ignore[attr-defined]
    trained = train(cells, tmp_path / "run", minutes=0.7, changes=BY_TIME, clock=machine)
    assert 0.85 * 42 < trained.seconds <= 1.05 * 42
    assert runs.words(tmp_path / "run")["seconds"] == pytest.approx(trained.seconds, abs=0.1)
    assert "Expected length: about" in " ".join(runs.words(tmp_path / "run")["plan"])


def test_fewer_cases_are_scored_where_the_time_is_over_and_it_is_said(
    cells: Path, tmp_path: Path, machine: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Model.predict

    def slowly(model: Model, *given: Any, **words: Any) -> Any:
        machine.move(30)
        return predict(model, *given, **words)

    monkeypatch.setattr(Model, "predict", slowly)
    trained = train(cells, tmp_path / "run", minutes=0.7, changes=BY_TIME, clock=machine)
    assert trained.scores is not None
    assert len(trained.scores.cases) == 1
    assert any("Only 1 of 3 cases, evenly spread, were scored" in note for note in trained.scores.notes)
    assert "Only 1 of 3 cases" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_a_killed_run_counts_all_that_it_used_and_keeps_its_promise(
    cells: Path, tmp_path: Path, machine: TestClock
) -> None:
    run, forward = tmp_path / "run", Learner.forward

    def killed(learner: Learner, batch: Batch) -> torch.Tensor:
        if machine.now() > 25:
            raise KeyboardInterrupt
        return forward(learner, batch)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Learner, "forward", killed)
        with pytest.raises(KeyboardInterrupt):
            train(cells, run, minutes=0.7, changes=BY_TIME, clock=machine)
    assert json.loads((run / runs.USED).read_text())["seconds"] == pytest.approx(25, abs=1.5)
    machine.move(100_000)
    trained = train(cells, run, resume=True, clock=machine)
    assert 0.85 * 42 < trained.seconds <= 1.05 * 42
    assert not (run / runs.USED).exists()
    rates = [float(line.split(",")[3]) for line in (run / "metrics.csv").read_text().splitlines()[1:]]
    peak = rates.index(max(rates))
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_a_training_that_was_too_short_says_so(cells: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = train(cells, tmp_path / "run", epochs=1, changes=SMALL)
    assert "The training was short: it had too few steps" in trained.short
    assert runs.words(tmp_path / "run")["length"] == trained.short
    assert "The training was short" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "Expected length: 2 steps" in capsys.readouterr().err


def test_the_sides_of_a_split_are_views_of_one_store(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    load = builder.load_image

    def noted(case: Case, **words: Any) -> Any:
        read.append(case.name)
        return load(case, **words)

    monkeypatch.setattr(builder, "load_image", noted)
    cases = read_dataset(cells).cases
    classes = infer([load_truth(case).array for case in cases], DataConfig())
    data = Data(Dataset(cases, ""), classes, (cases[2:], cases[:2]), cells)
    run = Run(tmp_path, Timer(TestClock()), device=torch.device("cpu"), progress=quiet)
    for resize in (None, [24, 24]):
        config = Config().changed({"data.resize": resize} | SMALL | {"training.epochs": 1})
        prepared = run.prepare(data, config, command="")
        (fold,) = prepared.folds
        assert fold.validation is not None
        assert fold.train.folder == fold.validation.folder
        assert (fold.train.names, fold.validation.names) == tuple(
            tuple(case.name for case in side) for side in data.sides
        )
        assert resize is None or {shape[1:] for shape in fold.train.shapes} == {(24, 24)}
    assert sorted(read) == sorted(case.name for case in cases)  # each once
    words = runs.words(tmp_path)
    assert words["data_hash"] != words["validation_hash"]
    prepared.close()


def test_scores_of_a_part_come_in_the_order_of_the_data(run: Path, cells: Path, tmp_path: Path) -> None:
    times = chain([True, True], repeat(False))  # once over, time stays over: the gallery asks, too
    scores = evaluate(run, cells, out=tmp_path / "scores", until=lambda: next(times))
    assert [case.name for case in scores.cases] == ["cells_000", "cells_002", "cells_004"]
    assert any("Only 3 of 8 cases" in note for note in scores.notes)
    whole = evaluate(run, cells, out=tmp_path / "whole")
    assert not any("Only" in note for note in whole.notes)


def test_a_start_brings_its_target_spacing() -> None:
    theirs = DataConfig(target_spacing=(0, 2, 2), unit="mm")
    grids = [Grid((9, 9, 9), (3000, 500, 500), "µm")] * 2
    asked = at_spacing(Config(), theirs, grids).data
    assert (asked.target_spacing, asked.unit) == ((0, 2, 2), "mm")
    asked = at_spacing(Config().changed({"data.unit": "µm"}), theirs, grids).data
    assert (asked.target_spacing, asked.unit) == ((0, 2000, 2000), "µm")
    for own, other in (({"data.target_spacing": (0, 1, 1)}, grids), ({}, [Grid((9, 9, 9))]), ({}, [Grid((9, 9))])):
        config = Config().changed(own)
        assert at_spacing(config, theirs, other) == config
