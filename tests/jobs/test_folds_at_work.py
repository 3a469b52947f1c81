"""Folds at work: the time for all together, kills, several processes, other data, weights to start from, volumes."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

import ulna
from command_line import CommandLine, command
from small_clock import TestClock
from ulna import folds, modelfile
from ulna import runfolder as runs
from ulna.errors import UlnaError
from ulna.folds import fold_folder, read_folds
from ulna.jobs import cross_validation
from ulna.jobs.train import train
from ulna.model import Model
from ulna.run import Run
from ulna.store import builder
from ulna.training.batches import Batch
from ulna.training.learner import Learner

TINY = {"training.patch": [32, 32], "training.batch_size": 2, "network.widths": [4, 8], "augmentation": None}
TINY |= {"inference.margin": 0}  # by this clock, a case takes as long as a step
SMALL = TINY | {"training.steps": 2}


def weights(run: Path, folds: int) -> list[dict[str, torch.Tensor]]:
    return [load_file(fold_folder(run, number) / "model.safetensors") for number in range(folds)]


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def straight(cells: Path) -> Path:
    """A run of two folds that nothing disturbed; tests leave it as it is."""
    return train(cells, cells.parent / "straight", epochs=2, folds=2, changes=SMALL).run


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> TestClock:
    """A simulated machine on which steps, validations and predictions take time."""
    clock = TestClock(0.0)

    def costly(owner: type, name: str, seconds: float) -> None:
        plain = getattr(owner, name)

        def slow(*given: Any, **words: Any) -> Any:
            clock.move(seconds)
            return plain(*given, **words)

        monkeypatch.setattr(owner, name, slow)

    costly(Learner, "forward", 0.5)
    costly(Learner, "validate", 0.4)
    costly(Model, "predict", 0.4)
    return clock


def test_the_minutes_are_for_all_folds_together(cells: Path, tmp_path: Path, machine: TestClock) -> None:
    trained = train(cells, tmp_path / "run", minutes=0.8, folds=2, changes=TINY, clock=machine)
    assert 0.75 * 48 < trained.seconds <= 1.02 * 48
    each = [runs.words(fold_folder(tmp_path / "run", number))["seconds"] for number in range(2)]
    assert max(each) - min(each) < 12  # what one leaves of its share, those after it have
    assert sum(each) <= trained.seconds
    assert runs.config(tmp_path / "run").training.minutes == pytest.approx(0.4)


def test_a_killed_run_goes_on_with_its_fold_in_the_time_that_is_left(
    cells: Path, tmp_path: Path, machine: TestClock
) -> None:
    run, forward = tmp_path / "run", Learner.forward

    def killed(learner: Learner, batch: Batch) -> torch.Tensor:
        if machine.now() > 35:  # in the second fold, after an epoch of it
            raise KeyboardInterrupt
        return forward(learner, batch)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Learner, "forward", killed)
        with pytest.raises(KeyboardInterrupt):
            train(cells, run, minutes=0.8, folds=2, changes=TINY, clock=machine)
    first = load_file(fold_folder(run, 0) / "model.safetensors")
    assert [runs.has_finished(fold_folder(run, number)) for number in range(2)] == [True, False]
    rows = (fold_folder(run, 1) / "metrics.csv").read_text().splitlines()
    machine.move(100_000)
    trained = train(cells, run, resume=True, clock=machine)
    assert 0.75 * 48 < trained.seconds <= 1.02 * 48
    assert equal(load_file(fold_folder(run, 0) / "model.safetensors"), first)
    assert (fold_folder(run, 1) / "metrics.csv").read_text().splitlines()[: len(rows)] == rows
    assert len(trained.folds) == 2
    assert not list(run.rglob(runs.USED))


def test_one_fold_has_its_own_minutes(cells: Path, tmp_path: Path, machine: TestClock) -> None:
    for number in range(2):
        trained = train(cells, tmp_path / "run", minutes=0.4, folds=2, fold=number, changes=TINY, clock=machine)
        assert 0.6 * 24 < trained.seconds <= 1.02 * 24
        assert (trained.whole is None) == (number == 0)


def test_a_killed_fold_comes_to_the_same_weights(cells: Path, straight: Path, tmp_path: Path) -> None:
    run, forward = tmp_path / "run", Learner.forward
    calls = iter(range(99))

    def killed(learner: Learner, batch: Batch) -> torch.Tensor:
        if next(calls) == 7:  # in the second epoch of the second fold
            raise KeyboardInterrupt
        return forward(learner, batch)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Learner, "forward", killed)
        with pytest.raises(KeyboardInterrupt):
            train(cells, run, epochs=2, folds=2, changes=SMALL)
    with pytest.raises(UlnaError, match="adding --resume"):
        train(cells, run, epochs=2, folds=2, changes=SMALL)
    with pytest.raises(UlnaError, match=r"fold 1 of this run was begun"):
        train(cells, run, epochs=2, folds=2, fold=1, changes=SMALL)
    with pytest.raises(UlnaError, match=r"fold 0 of this run has finished"):
        train(cells, run, folds=2, fold=0, resume=True)
    with pytest.raises(UlnaError, match=r"training\.steps 2, not 5"):
        train(cells, run, folds=2, resume=True, changes=SMALL | {"training.steps": 5}, epochs=2)
    train(cells, run, resume=True)
    assert all(equal(*pair) for pair in zip(weights(run, 2), weights(straight, 2), strict=True))
    assert read_folds(run) == read_folds(straight)
    assert (run / "scores" / "scores.csv").read_bytes() == (straight / "scores" / "scores.csv").read_bytes()


def test_a_run_that_was_killed_at_its_table_writes_it(cells: Path, tmp_path: Path) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ulna.jobs.cross_validation.summarize_folds", killed)
        with pytest.raises(KeyboardInterrupt):
            train(cells, tmp_path / "run", epochs=1, folds=2, changes=SMALL)
    assert not (tmp_path / "run" / "report.html").exists()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ulna.run.fit", lambda *_, **__: pytest.fail("it was trained again"))
        trained = train(cells, tmp_path / "run", resume=True)
    assert trained.scores is not None
    assert len(trained.scores.cases) == 8
    assert trained.report.is_file()


def test_folds_one_by_one_share_what_the_first_has_made(
    cells: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, read = tmp_path / "run", builder._read_all
    calls: list[object] = []
    monkeypatch.setattr(builder, "_read_all", lambda *given: calls.append(given) or read(*given))
    first = train(cells, run, epochs=2, folds=2, fold=1, changes=SMALL)
    assert (first.run, first.whole) == (fold_folder(run, 1), None)
    whole = runs.words(run)["command"]
    assert "--folds 2" in whole
    assert "--fold " not in whole
    assert "--folds 2 --fold 1" in runs.words(first.run)["command"]
    assert "1 fold of 2 not finished yet: 0" in capsys.readouterr().err
    assert (run / "cache").is_dir()
    with pytest.raises(UlnaError, match=r"training\.epochs 2, not 1"):
        train(cells, run, epochs=1, folds=2, fold=0, changes=SMALL)
    last = train(cells, run, epochs=2, folds=2, fold=0, changes=SMALL)
    assert len(calls) == 1
    assert last.whole is not None
    assert last.whole.scores is not None
    assert len(last.whole.scores.cases) == 8
    assert runs.has_finished(run)
    assert not (run / "cache").exists()
    assert all(equal(*pair) for pair in zip(weights(run, 2), weights(straight, 2), strict=True))


def test_who_trains_all_folds_leaves_those_of_others_to_them(
    cells: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, alone = tmp_path / "run", cross_validation._train
    asked: list[int] = []

    def beside_others(work: Run, shared: Any, number: int, **words: Any) -> Any:
        asked.append(number)
        if number == 0:
            alone(work, shared, 1, **words)  # as another process, meanwhile
            return alone(work, shared, 0, **words)
        fold_folder(run, 2).mkdir()
        with FileLock(fold_folder(run, 2) / runs.LOCK):
            return alone(work, shared, number, **words)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cross_validation, "_train", beside_others)
        with pytest.raises(UlnaError, match="other processes are at work on folds of this run"):
            train(cells, run, epochs=1, folds=3, changes=SMALL)
    assert asked == [0, 2]
    assert "at work on fold 2: it is left to that one" in " ".join(capsys.readouterr().err.split())
    assert len(train(cells, run, resume=True).folds) == 3


def test_processes_that_begin_together_share_a_folder(cells: Path, straight: Path, tmp_path: Path) -> None:
    words = ["--epochs", "2", "--folds", "2"]
    for key, value in SMALL.items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    started = [
        subprocess.Popen(
            command("train", cells, "--out", tmp_path / "run", *words, "--fold", str(number)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert runs.has_finished(tmp_path / "run")
    assert (tmp_path / "run" / "report.html").is_file()
    assert all(equal(*pair) for pair in zip(weights(tmp_path / "run", 2), weights(straight, 2), strict=True))


def test_who_comes_later_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []
    within, left = threading.Event(), threading.Event()

    def first() -> None:
        with runs.shared(tmp_path / "run"):
            within.set()
            left.wait(30)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert within.wait(30)
    told = runs.say

    def say(words: str) -> None:
        told(words)
        left.set()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runs, "say", say)
        with runs.shared(tmp_path / "run"):
            order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert "this one waits for it" in " ".join(capsys.readouterr().err.split())


def test_other_data_are_refused(cells: Path, tmp_path: Path) -> None:
    data, run = shutil.copytree(cells, tmp_path / "data"), tmp_path / "run"
    train(data, run, epochs=1, folds=2, fold=0, changes=SMALL)
    for kind in ("images", "masks"):
        shutil.copy(data / kind / "cells_000.png", data / kind / "new.png")
    with pytest.raises(UlnaError, match=r"1 are new \(new\)"):
        train(data, run, epochs=1, folds=2, fold=1, changes=SMALL | {"data.leaks": True})
    for kind in ("images", "masks"):
        (data / kind / "new.png").unlink()
    shutil.copy(data / "masks" / "cells_001.png", data / "masks" / "cells_002.png")
    with pytest.raises(UlnaError, match="the train images or masks are not those"):
        train(data, run, epochs=1, folds=2, fold=1, changes=SMALL)
    (data / "images" / "cells_003.png").unlink()
    (data / "masks" / "cells_003.png").unlink()
    with pytest.raises(UlnaError, match="no case or group 'cells_003'"):
        train(data, run, resume=True)


def test_all_folds_start_from_one_model_also_after_a_kill(
    cells: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun: list[dict[str, torch.Tensor]] = []
    new = Run._new

    def noted(work: Run, prepared: Any) -> Any:
        saved = new(work, prepared)
        begun.append({name: tensor.clone() for name, tensor in saved.network.state_dict().items()})
        return saved

    monkeypatch.setattr(Run, "_new", noted)
    crossed, small = tmp_path / "run", {"training.patch": [32, 32], "training.steps": 1, "augmentation": None}
    train(cells, crossed, epochs=1, folds=2, fold=0, changes=small, start_from=run)
    said = " ".join(capsys.readouterr().err.split())
    assert "was trained on 7 of the 8 images: scores of the folds that hold these out are optimistically biased" in said
    with pytest.raises(UlnaError, match="began with another --start-from"):
        train(cells, crossed, epochs=1, folds=2, fold=1, changes=small)
    trained = train(cells, crossed, resume=True)
    assert all(equal(one, load_file(run / "model.safetensors")) for one in begun)
    assert len(begun) >= 2
    assert not (crossed / runs.START).exists()
    assert ulna.load(crossed).config.network == ulna.load(run).config.network == trained.model.config.network


@pytest.fixture
def killed(cells: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of folds that start from a model, and were killed just before their plan was written."""

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "begin_folds", kill)
        with pytest.raises(KeyboardInterrupt):
            train(cells, tmp_path / "run", epochs=1, folds=3, fold=0, changes=SMALL, start_from=run)
    assert {runs.START, folds.FILE} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert not (tmp_path / "run" / runs.WORDS).exists()
    return tmp_path / "run"


def test_weights_of_folds_that_were_killed_before_their_plan_are_not_those_of_others(cells: Path, killed: Path) -> None:
    train(cells, killed, epochs=1, folds=2, fold=0, changes=SMALL)  # from fresh weights, and two folds
    assert read_folds(killed).count == 2
    assert not (killed / runs.START).exists()


def test_folds_that_were_killed_before_their_plan_make_way_for_a_run(cells: Path, run: Path, killed: Path) -> None:
    small = {"training.patch": [32, 32], "training.steps": 1, "augmentation": None}
    with pytest.raises(UlnaError, match="this folder is not empty") as caught:
        train(cells, killed, epochs=1, changes=small, start_from=run)
    assert "--resume" in caught.value.hint
    done = train(cells, killed, epochs=1, changes=small, start_from=run, resume=True).run  # as the hint says
    assert any("It starts from the weights" in sentence for sentence in runs.words(done)["plan"])
    assert not {runs.START, folds.FILE} & {path.name for path in done.iterdir()}
    with pytest.raises(UlnaError, match="a run that is resumed has weights of its own"):
        train(cells, killed, epochs=1, changes=small, start_from=run, resume=True)


def test_arrays_in_memory_are_split_by_their_groups(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 255, (40, 40), np.uint8) for _ in range(6)]
    pairs = [(image, np.uint8(image > 200), f"p{k % 3}") for k, image in enumerate(images)]
    trained = train(pairs, tmp_path / "run", epochs=1, folds=3, changes=SMALL)
    assert set(read_folds(trained.run).groups) == {"p0", "p1", "p2"}
    assert "folds=3" in runs.words(trained.run)["command"]
    assert not (trained.run / runs.PAIRS).exists()
    assert all(ulna.load(fold_folder(trained.run, number)).config.data.groups == "" for number in range(3))


def test_volumes_are_split_alike(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for k in range(4):
        array = draw.normal(0, 1, (16, 16, 12)).astype(np.float32)
        array[4:10, 5:11, 3:8] += 5
        for kind, one in (("images", array), ("masks", (array > 3).astype(np.uint8))):
            (tmp_path / "data" / kind).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(one, np.eye(4)), tmp_path / "data" / kind / f"v{k}.nii.gz")  # type: ignore[attr-defined, no-untyped-call]
    small = {"network.ndim": 3, "network.widths": [4, 8], "training.patch": [8, 8, 8], "training.batch_size": 1}
    small |= {"training.steps": 1, "training.final_patch": [8, 8, 8]}
    trained = train(tmp_path / "data", tmp_path / "run", epochs=1, folds=2, changes=small | {"augmentation": None})
    assert trained.scores is not None
    assert [case.name for case in trained.scores.cases] == ["v0", "v1", "v2", "v3"]
    assert "hd95" in trained.scores.summary.measures
    done = ulna.predict(trained.run, tmp_path / "data" / "images", out=tmp_path / "masks")
    assert len(done.masks) == 4


def test_constants_of_folds_are_combined(straight: Path, tmp_path: Path) -> None:
    run = shutil.copytree(straight, tmp_path / "run")
    fitted = (
        {"foreground": 0.3, "seed": 0.7, "depth": 0.0, "smallest": 9, "holes": True},
        {"foreground": 0.5, "seed": 0.3, "depth": 0.1, "smallest": 4, "holes": False},
    )
    for number, constants in enumerate(fitted):
        path = fold_folder(run, number) / "model.safetensors"
        saved = modelfile.load(path)
        config = saved.config.changed({f"task.decoding.{key}": value for key, value in constants.items()})
        modelfile.save(path, replace(saved, config=config))
    found = ulna.load(run).config.task.decoding
    assert found is not None
    # seed and depth are a pair that one fold has chosen
    assert found.model_dump() == {"foreground": 0.3, "seed": 0.7, "depth": 0.0, "smallest": 4, "holes": False}


def test_classes_are_in_one_piece_where_most_folds_say_so(straight: Path, tmp_path: Path) -> None:
    run = shutil.copytree(straight, tmp_path / "run")
    configs = [modelfile.load(fold_folder(run, number) / "model.safetensors").config for number in range(2)]
    for names, expected in ((("a", "b"), ("b",)), (("b",), ("b",)), (("a",), ())):
        own = [
            config.changed({"task.largest_component": one})
            for config, one in zip(configs, (("b",), names), strict=True)
        ]
        assert modelfile._middle(own)["task.largest_component"] == expected
    five = (("a+b", "b"), ("a+b", "b"), ("b",), (), ())
    own = [configs[0].changed({"task.largest_component": one}) for one in five]
    assert modelfile._middle(own)["task.largest_component"] == ()  # 'b' was mostly chosen after 'a+b', which goes
    own = [configs[0].changed({"task.largest_component": one}) for one in (*five[:2], five[0], *five[2:4])]
    assert modelfile._middle(own)["task.largest_component"] == ("a+b", "b")


def test_folds_from_the_command_line(cells: Path, tmp_path: Path, cli: CommandLine) -> None:
    words = ["--epochs", "1", "--folds", "2"]
    for key, value in SMALL.items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    said = cli("train", cells, "--out", tmp_path / "run", *words)
    assert (said.code, "fold 1: Dice" in said.out) == (0, True), said
    assert cli("predict", tmp_path / "run", cells / "images", "--out", tmp_path / "masks").code == 0
    said = cli("train", cells, "--out", tmp_path / "run2", *words, "--fold", "2")
    assert (said.code, "there is no fold 2" in said.err) == (2, True), said
    assert "--folds 2" in runs.words(tmp_path / "run")["command"]
