"""The loop as a whole: module, callbacks, checkpoints."""

from __future__ import annotations

import csv
import math
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from ulna import networks, tasks
from ulna.config import Config, DataConfig
from ulna.dataset import load_truth
from ulna.errors import UlnaError
from ulna.labels.classes import infer
from ulna.layouts import read_dataset
from ulna.store import Store, build
from ulna.training.batches import Batch, Batches
from ulna.training.callbacks import COLUMNS, CollapseMonitor, DeadlineKeeper, MetricsLogger
from ulna.training.fit import AFTERWARDS, fit, picture_of_augmentation
from ulna.training.module import Learner
from ulna.training.schedule import Budget

SMALL = Config().changed(
    {
        "data.channels": 1,
        "network.widths": [4, 8],
        "training.patch": [32, 32],
        "training.batch_size": 2,
        "training.steps": 2,
        "training.epochs": 2,
        "training.precision": "float32",
    }
)


@pytest.fixture(scope="module")
def stores(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    cases = read_dataset(cells).cases
    classes = infer([load_truth(case).array for case in cases], DataConfig())
    folder = tmp_path_factory.mktemp("cache")
    words: dict[str, Any] = {"config": DataConfig(), "classes": classes}
    return build(folder / "train", cases[:6], **words), build(folder / "validation", cases[6:], **words)


def fresh(config: Config = SMALL) -> tuple[nn.Module, tasks.Task]:
    torch.manual_seed(0)
    return networks.build(config.network, 1, 1), tasks.build(config.task, ("background", "cell"))


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("optimizer", ["muon", "adamw", "adam", "sgd"])
def test_it_learns_and_leaves_a_table_and_checkpoints(
    optimizer: str, stores: tuple[Store, Store], tmp_path: Path
) -> None:
    config = SMALL.changed({"training.optimizer": optimizer})
    net, task = fresh()
    before = [weights.clone() for weights in net.parameters()]
    handler = signal.getsignal(signal.SIGINT)
    fit(net, task, config, stores=stores, run=tmp_path, deadline=None, resume=False)
    assert any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    table = rows(tmp_path)
    assert tuple(table[0]) == COLUMNS
    assert [(row["epoch"], row["step"]) for row in table] == [("0", "2"), ("1", "4")]
    assert all(math.isfinite(float(row[name])) for row in table for name in COLUMNS)
    assert kept(tmp_path, "last", net)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    ("changes", "which"),
    [({}, "last"), ({"training.schedule": "constant"}, "best"), ({"training.patience": 9}, "best")],
)
def test_the_last_weights_or_the_best(
    changes: dict[str, Any], which: str, stores: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worse(learner: Learner, index: torch.Tensor, number: int) -> None:
        learner.log("val_dice", 1 / (1 + learner.current_epoch), batch_size=1)
        learner.log("val_loss", 0.0, batch_size=1)

    monkeypatch.setattr(Learner, "validation_step", worse)
    net, task = fresh()
    fit(net, task, SMALL.changed(changes), stores=stores, run=tmp_path, deadline=None, resume=False)
    assert [kept(tmp_path, name, net) for name in ("last", "best")] == [which == "last", which == "best"]


@pytest.mark.parametrize("moved", [False, True])
def test_a_resumed_run_takes_no_worse_epoch_for_the_best(
    moved: bool, stores: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    dice = [0.5, 0.8, 0.7]
    monkeypatch.setattr(
        Learner, "validation_step", lambda self, *_: self.log("val_dice", dice[self.current_epoch], batch_size=1)
    )
    for epochs, resume in ((2, False), (3, True)):
        config = SMALL.changed({"training.schedule": "constant", "training.epochs": epochs})
        net, task = fresh()
        fit(net, task, config, stores=stores, run=run, deadline=None, resume=resume)
        if epochs == 2 and moved:
            run = run.rename(tmp_path / "elsewhere")
        if epochs == 2:
            best = {name: weights.clone() for name, weights in net.state_dict().items()}
    assert all(torch.equal(best[name], weights) for name, weights in net.state_dict().items())


def kept(run: Path, checkpoint: str, net: nn.Module) -> bool:
    """Whether the network has the weights of a checkpoint."""
    saved = torch.load(run / "checkpoints" / f"{checkpoint}.ckpt", weights_only=True)["state_dict"]
    return all(torch.equal(saved[f"network.{name}"], weights) for name, weights in net.state_dict().items())


def test_without_validation_the_last_weights_stay(stores: tuple[Store, Store], tmp_path: Path) -> None:
    net, task = fresh()
    fit(net, task, SMALL, stores=(stores[0], None), run=tmp_path, deadline=None, resume=False)
    assert rows(tmp_path)[-1]["val_dice"] == ""


def test_by_the_clock_it_ends_in_time(stores: tuple[Store, Store], tmp_path: Path) -> None:
    config = SMALL.changed({"training.epochs": None, "training.minutes": 0.2})
    net, task = fresh()
    deadline = time.monotonic() + 12
    fit(net, task, config, stores=stores, run=tmp_path, deadline=deadline, resume=False)
    over = time.monotonic() - deadline + AFTERWARDS  # that much is left for what comes after
    assert -2 < over < 2  # of a test that others run beside; benchmarks/quality.py tells how well minutes are kept
    assert float(rows(tmp_path)[-1]["learning_rate"]) < config.training.learning_rate / 100


def test_it_stops_early_when_nothing_is_gained(
    stores: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = [0.3, 0.5, 0.4, 0.4, 0.9]
    monkeypatch.setattr(
        Learner, "validation_step", lambda self, *_: self.log("val_dice", dice[self.current_epoch], batch_size=1)
    )
    config = SMALL.changed({"training.epochs": 5, "training.patience": 2})
    net, task = fresh()
    fit(net, task, config, stores=stores, run=tmp_path, deadline=None, resume=False)
    assert [row["val_dice"] for row in rows(tmp_path)] == ["0.30000", "0.50000", "0.40000", "0.40000"]
    assert kept(tmp_path, "best", net)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_the_bar_goes_away_when_a_training_fails(
    error: type[BaseException] | OSError,
    stores: tuple[Store, Store],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped: list[bool] = []

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Learner, "validation_step", fail)
    monkeypatch.setattr("rich.progress.Progress.stop", lambda self: stopped.append(True))
    net, task = fresh()
    with pytest.raises((KeyboardInterrupt, UlnaError)):
        fit(net, task, SMALL, stores=stores, run=tmp_path, deadline=None, resume=False)
    assert stopped


@pytest.mark.parametrize(
    "words", ["CUDA out of memory. Tried to allocate", "DefaultCPUAllocator: can't allocate memory"]
)
def test_too_little_memory_is_said_with_what_to_do(
    words: str, stores: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr(Learner, "training_step", fail)
    net, task = fresh()
    with pytest.raises(UlnaError, match="memory") as caught:
        fit(net, task, SMALL, stores=stores, run=tmp_path, deadline=None, resume=False)
    assert "training.batch_size=1" in caught.value.hint


@pytest.mark.parametrize(("clip", "clipped"), [(1e-3, True), (None, False)])
def test_the_gradient_is_clipped_where_that_is_asked_for(
    clip: float | None, clipped: bool, stores: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []

    def seen(learner: Learner, optimizer: torch.optim.Optimizer) -> None:
        norms.append(float(torch.nn.utils.get_total_norm([w.grad for w in learner.parameters() if w.grad is not None])))

    monkeypatch.setattr(Learner, "on_before_zero_grad", seen)
    net, task = fresh()
    config = SMALL.changed({"training.clip": clip})
    fit(net, task, config, stores=stores, run=tmp_path, deadline=None, resume=False)
    steps = [norm for norm in norms if norm > 0]
    assert steps
    assert all(norm <= 1.01e-3 for norm in steps) == clipped


def test_what_goes_wrong_in_the_thread_of_the_logs_is_said_once(
    stores: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
    hook = threading.excepthook
    net, task = fresh()
    with pytest.raises(UlnaError, match="the disk is full"):
        fit(net, task, SMALL, stores=stores, run=tmp_path, deadline=None, resume=False)
    assert "Traceback" not in capfd.readouterr().err
    assert threading.excepthook is hook


def test_ctrl_c_stays_what_it_is(stores: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Learner, "validation_step", stopped)
    handler = signal.getsignal(signal.SIGINT)
    net, task = fresh()
    with pytest.raises(KeyboardInterrupt):
        fit(net, task, SMALL, stores=stores, run=tmp_path, deadline=None, resume=False)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_collapse_is_said_while_it_happens(stores: tuple[Store, Store], tmp_path: Path) -> None:
    net, task = fresh()
    config = SMALL.changed({"training.learning_rate": 1e30, "training.steps": 20})
    with pytest.raises(UlnaError, match="collapsed: the loss of step") as caught:
        fit(net, task, config, stores=stores, run=tmp_path, deadline=None, resume=False)
    assert "training.learning_rate=2.5e+29" in caught.value.hint


def test_masks_that_stay_empty_are_warned_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    watch = CollapseMonitor(patience=2)
    for found in (0.0, 0.1, 0.0, 0.0, 0.0):
        metrics = {"val_foreground": torch.tensor(found)}
        watch.on_validation_end(SimpleNamespace(callback_metrics=metrics, sanity_checking=False), None)  # type: ignore[arg-type]
    assert capsys.readouterr().err.count("everything was called background") == 1
    for warned, found in ((1, 0.0), (0, 0.1)):  # a training of one epoch
        short = CollapseMonitor(patience=2)
        short.on_validation_end(
            SimpleNamespace(callback_metrics={"val_foreground": torch.tensor(found)}, sanity_checking=False),  # type: ignore[arg-type]
            None,
        )
        short.on_train_end(None, None)  # type: ignore[arg-type]
        assert capsys.readouterr().err.count("everything was called background") == warned


def test_the_clock_leaves_time_for_what_comes_after() -> None:
    clock = DeadlineKeeper(time.monotonic() + 100, share=3.0, after=8.0)
    module: Any = SimpleNamespace(budget=Budget(seconds=1000))
    module.budget.start()
    clock.on_train_start(None, module)  # type: ignore[arg-type]
    assert module.budget.seconds == pytest.approx(92, abs=0.5)
    clock._since = time.monotonic() - 5  # a validation of 5 seconds; the one at the end is 3 times as long
    clock.on_validation_end(None, module)  # type: ignore[arg-type]
    assert module.budget.seconds == pytest.approx(100 - 8 - 4 * 5, abs=0.5)


def test_a_table_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    assert MetricsLogger(tmp_path / "metrics.csv").read() == []


def test_augmentation_is_the_same_for_the_same_step(stores: tuple[Store, Store]) -> None:
    net, task = fresh()
    learner = Learner(net, task, SMALL, budget=Budget(steps=4, epoch_steps=2))
    batch = Batches(stores[0], SMALL.training, phases=learner.phases, steps=range).batch(3)
    first, second = learner.augmented(batch), learner.augmented(batch)
    assert first.images.shape == (2, 1, 32, 32)
    assert torch.equal(first.images, second.images)
    assert not torch.equal(first.images, learner.augmented(batch._replace(step=4)).images)


def test_at_the_end_it_settles_on_larger_patches(
    stores: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"training.final_phase": 0.3, "training.final_patch": [64, 64], "training.steps": 5}
    config = SMALL.changed(changes)
    seen: list[tuple[int, bool, tuple[int, ...]]] = []
    step = Learner.training_step

    def noted(learner: Learner, batch: Batch, index: int) -> torch.Tensor:
        seen.append((batch.step, batch.final, tuple(batch.images.shape)))
        return step(learner, batch, index)

    monkeypatch.setattr(Learner, "training_step", noted)
    net, task = fresh()
    fit(net, task, config, stores=stores, run=tmp_path, deadline=None, resume=False)
    learned = [(k, False, (2, 1, 32, 32)) for k in range(8)]
    assert seen == [*learned, (8, True, (1, 1, 64, 64)), (9, True, (1, 1, 64, 64))]


def test_the_picture_of_augmentation_is_written(stores: tuple[Store, Store], tmp_path: Path) -> None:
    picture_of_augmentation(tmp_path / "augmented.png", SMALL, stores[0])
    assert (tmp_path / "augmented.png").stat().st_size > 10_000
