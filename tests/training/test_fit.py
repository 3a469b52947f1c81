"""The loop as a whole."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from small_clock import TestClock
from ulna import networks, tasks
from ulna.config import Config, TaskConfig
from ulna.errors import UlnaError
from ulna.metrics import Primary
from ulna.store import Store
from ulna.training import checkpoints, log
from ulna.training import fit as loop
from ulna.training.batches import Batch, Batches
from ulna.training.budget import Ending
from ulna.training.checkpoints import BEST, LAST, State, load_best, load_last
from ulna.training.constants import spread
from ulna.training.fit import SLOWER, ending, fit
from ulna.training.learner import Learner
from ulna.training.log import COLUMNS
from ulna.training.optimizers import OPTIMIZERS
from ulna.training.schedule import one_cycle
from ulna.training.timer import Timer

Stores = tuple[Store, Store]

SMALL = Config().changed(
    {
        "data.channels": 1,
        "network.widths": [4, 8],
        "network.dropout": 0.2,
        "training.patch": [32, 32],
        "training.batch_size": 2,
        "training.steps": 2,
        "training.epochs": 2,
        "training.precision": "float32",
    }
)


def fresh(config: Config = SMALL) -> tuple[nn.Module, tasks.Task]:
    torch.manual_seed(0)
    return networks.build(config.network, 1, 1), tasks.build(config.task, ("background", "cell"))


def trained(
    stores: tuple[Store, Store | None], run: Path, config: Config = SMALL, *, resume: bool = False, **more: Any
) -> tuple[nn.Module, State]:
    net, task = fresh()
    timer = more.pop("timer", None) or Timer(TestClock())
    return net, fit(net, task, config, stores=stores, run=run, timer=timer, resume=resume, **more)


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def equal(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def kept(run: Path, checkpoint: Path, net: nn.Module) -> bool:
    """Whether the network has the weights of a checkpoint."""
    saved = torch.load(run / checkpoint, weights_only=True)["network"]
    return all(torch.equal(saved[name], weights) for name, weights in net.state_dict().items())


@pytest.mark.parametrize("optimizer", ["muon", "adamw", "adam", "sgd"])
def test_it_learns_and_leaves_a_table_and_checkpoints(optimizer: str, stores: Stores, tmp_path: Path) -> None:
    before = fresh()[0]
    net, state = trained(stores, tmp_path, SMALL.changed({"training.optimizer": optimizer}))
    assert not equal(before, net)
    table = rows(tmp_path)
    assert tuple(table[0]) == (*COLUMNS, "val_dice")
    assert [(row["epoch"], row["step"]) for row in table] == [("1", "2"), ("2", "4")]
    assert load_best(tmp_path)[0].epoch in (1, 2)  # type: ignore[index]
    assert all(math.isfinite(float(row[name])) for row in table for name in table[0])
    assert float(table[-1]["learning_rate"]) == pytest.approx(1e-4 * SMALL.training.learning_rate)
    assert float(table[1]["train_loss"]) == pytest.approx(sum(state.losses[2:]) / 2, abs=1e-5)
    assert kept(tmp_path, LAST, net)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert (state.epoch, state.step, state.progress, len(state.losses)) == (2, 4, 1.0, 4)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("optimizer", ["muon", "adamw", "sgd"])
def test_its_steps_are_those_of_a_loop_written_by_hand(
    optimizer: str, precision: str, stores: Stores, tmp_path: Path
) -> None:
    config = SMALL.changed({"training.optimizer": optimizer, "training.precision": precision, "training.clip": 0.5})
    net, state = trained((stores[0], None), tmp_path, config)
    wanted, task = fresh()
    learner = Learner(wanted, task, config)
    batches = Batches(stores[0], config.training, phases=learner.phases)
    make = OPTIMIZERS[optimizer](wanted.parameters(), config.training)
    losses = []
    for step in range(4):
        for group in make.param_groups:
            group["lr"] = config.training.learning_rate * one_cycle(step / 4)
        final = step / 4 > 1 - config.training.final_phase
        batch = learner.augmented(batches.batch(step)._replace(final=final))
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            torch.manual_seed(learner.seed(step, 1))
            images = batch.images.contiguous(memory_format=torch.channels_last)
            loss = task.losses(wanted(images), batch.truth[:, :1])["classes"]
        make.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([w for group in make.param_groups for w in group["params"]], 0.5)
        make.step()
        losses.append(float(loss.detach()))
    assert state.losses == losses
    assert equal(net, wanted)


MOMENTS: list[tuple[object, str]] = [
    (Batches, "batch"),
    (Learner, "augmented"),
    (Learner, "forward"),
    (torch.Tensor, "backward"),
    (nn.utils, "clip_grad_norm_"),
    (Learner, "validate"),
    (log, "atomic_write"),
    (checkpoints, "save_best"),
    (checkpoints, "torch.save"),
    (os, "replace"),
]


def interrupted(monkeypatch: pytest.MonkeyPatch, place: object, name: str, call: int) -> None:
    """The call of this number is interrupted; it is made no more."""
    if name == "save_best":
        place = __import__("ulna.training.fit", fromlist=["fit"])
    if name == "torch.save":
        place, name = torch, "save"
    if place is os:
        place = Path
    real: Callable[..., object] = getattr(place, name)
    calls = count(1)

    def stop(*given: Any, **words: Any) -> object:
        if next(calls) == call:
            raise KeyboardInterrupt
        return real(*given, **words)

    monkeypatch.setattr(place, name, stop)


def stop(stores: Stores, run: Path, config: Config, *, before: tuple[str, int], **more: Any) -> None:
    """Train until a method of the learner is called for this time."""
    with pytest.MonkeyPatch.context() as patched:
        interrupted(patched, Learner, *before)
        with pytest.raises(KeyboardInterrupt):
            trained(stores, run, config, **more)


@pytest.fixture(scope="module")
def straight(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, State, list[dict[str, str]]]:
    """A training that nothing disturbs."""
    run = tmp_path_factory.mktemp("straight")
    return *trained(stores, run, CHOOSES), rows(run)


CHOOSES = SMALL.changed({"training.schedule": "constant", "training.epochs": 3})


@pytest.mark.parametrize("call", [1, 2, 3, 5, 6])
@pytest.mark.parametrize(("place", "name"), MOMENTS, ids=[name for _, name in MOMENTS])
def test_it_can_be_interrupted_at_every_moment(
    place: object,
    name: str,
    call: int,
    straight: tuple[nn.Module, State, list[dict[str, str]]],
    stores: Stores,
    tmp_path: Path,
) -> None:
    """And goes on to the same weights, the same losses and the same table."""
    with pytest.MonkeyPatch.context() as patched:
        interrupted(patched, place, name, call)
        try:
            trained(stores, tmp_path, CHOOSES)
        except KeyboardInterrupt:
            stopped = True
        else:
            stopped = False
    assert stopped or call > 2
    net, state = trained(stores, tmp_path, CHOOSES, resume=True)
    wanted, its_state, its_rows = straight
    assert equal(net, wanted)
    assert state == its_state
    assert rows(tmp_path) == its_rows
    assert not [path for path in tmp_path.rglob("*") if ".part-" in path.name]


def test_a_moved_run_goes_on(
    straight: tuple[nn.Module, State, list[dict[str, str]]], stores: Stores, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    stop(stores, run, CHOOSES, before=("forward", 5))
    run = run.rename(tmp_path / "elsewhere")
    assert equal(trained(stores, run, CHOOSES, resume=True)[0], straight[0])
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_network_is_refused(stores: Stores, tmp_path: Path) -> None:
    stop(stores, tmp_path, SMALL, before=("forward", 4))
    other = SMALL.changed({"network.widths": [4, 12]})
    net, task = fresh(other)
    with pytest.raises(UlnaError, match=r"last\.ckpt: this checkpoint is not of the network"):
        fit(net, task, other, stores=stores, run=tmp_path, timer=Timer(TestClock()), resume=True)


def values(monkeypatch: pytest.MonkeyPatch, *dice: float) -> None:
    """Validation gives these values, one per epoch: `losses` tell the epoch."""
    epochs = iter(dice)

    def validate(learner: Learner, store: Store, case: int) -> dict[str, float]:
        if case == 0:
            validate.now = next(epochs)  # type: ignore[attr-defined]
        return {"val_loss": 0.0, "val_dice": validate.now}  # type: ignore[attr-defined]

    monkeypatch.setattr(Learner, "validate", validate)


@pytest.mark.parametrize(
    ("changes", "which"),
    [({}, LAST), ({"training.schedule": "constant"}, BEST), ({"training.patience": 9}, BEST)],
)
def test_the_last_weights_or_the_best(
    changes: dict[str, Any], which: Path, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values(monkeypatch, 1.0, 0.5)
    net, _ = trained(stores, tmp_path, SMALL.changed(changes))
    assert [kept(tmp_path, name, net) for name in (LAST, BEST)] == [which == LAST, which == BEST]


def test_a_resumed_run_takes_no_worse_epoch_for_the_best(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values(monkeypatch, 0.5, 0.8, 0.7)
    config = SMALL.changed({"training.schedule": "constant"})
    best, _ = trained(stores, tmp_path, config)
    net, _ = trained(stores, tmp_path, config.changed({"training.epochs": 3}), resume=True)
    assert equal(net, best)
    assert [row["val_dice"] for row in rows(tmp_path)] == ["0.50000", "0.80000", "0.70000"]


@pytest.mark.parametrize("again", [False, True])
def test_it_stops_early_when_nothing_is_gained(
    again: bool, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values(monkeypatch, 0.3, 0.5, 0.4, 0.4, 0.9)
    config = SMALL.changed({"training.epochs": 5, "training.patience": 2})
    if again:  # stopped before the third validation
        stop(stores, tmp_path, config, before=("forward", 5))
    net, _ = trained(stores, tmp_path, config, resume=again)
    assert [row["val_dice"] for row in rows(tmp_path)] == ["0.30000", "0.50000", "0.40000", "0.40000"]
    assert kept(tmp_path, BEST, net)


def test_a_lower_loss_is_better_where_no_foreground_is_validated(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ulna.training.fit._monitor", lambda *_: Primary("loss", higher_is_better=False))
    losses = iter([0.5, 0.5, 0.2, 0.2, 0.9, 0.9])
    monkeypatch.setattr(Learner, "validate", lambda *_: {"val_loss": next(losses), "val_dice": math.nan})
    trained(stores, tmp_path, CHOOSES)
    assert load_best(tmp_path)[0] == checkpoints.Best(2, 0.2)  # type: ignore[index]


@pytest.mark.parametrize(("higher", "best"), [(True, 2), (False, 3)])
def test_the_primary_measure_of_the_task_tells_the_best_epoch(
    higher: bool, best: int, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = iter([0.5, 0.8, 0.2])
    monkeypatch.setattr(tasks.Semantic, "primary", Primary("distance", higher_is_better=higher))
    monkeypatch.setattr(Learner, "validate", lambda *_: {"val_loss": 0.0, "val_distance": next(epochs)})
    trained((stores[0], stores[1].subset([0])), tmp_path, CHOOSES)
    assert load_best(tmp_path)[0].epoch == best  # type: ignore[index]
    assert [row["val_distance"] for row in rows(tmp_path)] == ["0.50000", "0.80000", "0.20000"]
    assert "val_dice" not in rows(tmp_path)[0]


@pytest.mark.parametrize(("by", "best"), [("score", 2), ("loss", 3)])
def test_what_tells_the_best_epoch_can_be_said(
    by: str, best: int, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = iter([(0.4, 0.5), (0.3, 0.8), (0.2, 0.6)])
    monkeypatch.setattr(Learner, "validate", lambda *_: dict(zip(("val_loss", "val_dice"), next(epochs), strict=True)))
    trained((stores[0], stores[1].subset([0])), tmp_path, CHOOSES.changed({"training.best": by}))
    assert load_best(tmp_path)[0].epoch == best  # type: ignore[index]


def test_without_validation_the_last_weights_stay(stores: Stores, tmp_path: Path) -> None:
    net, _ = trained((stores[0], None), tmp_path)
    assert rows(tmp_path)[-1]["val_dice"] == ""
    assert kept(tmp_path, LAST, net)
    assert not (tmp_path / BEST).exists()


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClock]:
    """The clock of learners whose steps take half a second."""
    clock = TestClock()
    forward, validate = Learner.forward, Learner.validate

    def slow(learner: Learner, batch: Batch) -> Tensor:
        clock.move(0.5)
        return forward(learner, batch)

    def slower(learner: Learner, store: Store, case: int) -> dict[str, float]:
        clock.move(0.2)
        return validate(learner, store, case)

    monkeypatch.setattr(Learner, "forward", slow)
    monkeypatch.setattr(Learner, "validate", slower)
    return clock


BY_TIME = SMALL.changed({"training.epochs": None, "training.minutes": 1})


def test_by_time_it_ends_in_time(stores: Stores, tmp_path: Path, costly: TestClock) -> None:
    timer = Timer(costly, used=4.0, limit=60.0)
    _, state = trained(stores, tmp_path, BY_TIME, timer=timer, afterwards=5.0)
    assert timer.seconds == pytest.approx(60 - 5 - 2 * 0.2, abs=0.5)  # figures, and two cases to score
    table = rows(tmp_path)
    assert state.progress == 1
    assert float(table[-1]["learning_rate"]) < BY_TIME.training.learning_rate / 1000
    assert float(table[-1]["seconds"]) == pytest.approx(timer.seconds, abs=0.1)
    counts = [int(row["step"]) for row in table]
    assert min(b - a for a, b in pairwise([0, *counts])) >= 5


def test_a_killed_training_by_time_goes_on_with_its_time_and_its_learning_rate(
    stores: Stores, tmp_path: Path, costly: TestClock
) -> None:
    stop(stores, tmp_path, BY_TIME, before=("augmented", 61), timer=Timer(costly, limit=60.0))
    before = load_last(tmp_path)
    assert before is not None
    assert 0.4 < before[0].progress < 0.6
    costly.move(10_000)
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def seen(optimizer: torch.optim.AdamW, *given: Any) -> Any:
        rates.append(optimizer.param_groups[0]["lr"])
        return step(optimizer, *given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", seen)
        timer = Timer(costly, used=32.0, limit=60.0)
        _, state = trained(stores, tmp_path, BY_TIME, timer=timer, resume=True)
    assert timer.seconds == pytest.approx(60 - 0.4, abs=0.5)
    assert rates[0] == pytest.approx(BY_TIME.training.learning_rate * one_cycle(before[0].progress))
    assert rates == sorted(rates, reverse=True)
    assert state.losses[: before[0].step] == before[0].losses
    assert len(state.losses) == state.step
    counts = [int(row["step"]) for row in rows(tmp_path)]
    assert min(b - a for a, b in pairwise(counts)) >= 5


def test_a_training_by_time_is_gone_on_with_in_the_middle_of_a_long_epoch(
    stores: Stores, tmp_path: Path, costly: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVED", 5.0)  # ten steps
    long = BY_TIME.changed({"training.minutes": 600})
    for call, expected in ((26, 20), (16, 30)):
        timer = Timer(costly, used=float(expected), limit=36_000.0)
        stop(stores, tmp_path, long, before=("augmented", call), timer=timer, resume=True)
        last = load_last(tmp_path)
        assert last is not None
        assert (last[0].epoch, last[0].step, len(last[0].losses)) == (0, expected, expected)
        assert 0 < last[0].progress < 0.01
    assert not (tmp_path / "metrics.csv").exists() or not rows(tmp_path)


def test_a_training_by_steps_is_gone_on_with_between_epochs_alone(
    stores: Stores, tmp_path: Path, costly: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVED", 0.0)
    stop(stores, tmp_path, SMALL, before=("augmented", 2), timer=Timer(costly))
    assert load_last(tmp_path) is None


def test_a_run_whose_time_is_over_keeps_what_it_has(stores: Stores, tmp_path: Path, costly: TestClock) -> None:
    stop(stores, tmp_path, BY_TIME, before=("augmented", 61), timer=Timer(costly, limit=60.0))
    net, _ = trained(stores, tmp_path, BY_TIME, timer=Timer(costly, used=61.0, limit=60.0), resume=True)
    assert kept(tmp_path, LAST, net)
    last = load_last(tmp_path)
    assert last is not None
    assert len(rows(tmp_path)) == last[0].epoch


def test_the_time_used_is_recorded_while_it_trains_and_validates(
    stores: Stores, tmp_path: Path, costly: TestClock
) -> None:
    recorded: list[float] = []
    trained(stores, tmp_path, BY_TIME, timer=Timer(costly, used=7.0, limit=60.0, record=recorded.append))
    assert recorded[0] == 7.5
    assert max(b - a for a, b in pairwise(recorded)) <= 1.5
    assert recorded[-1] > 58


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_the_bar_goes_away_when_a_training_fails(
    error: type[BaseException] | OSError, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[bool] = []

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Learner, "validate", fail)
    monkeypatch.setattr("rich.progress.Progress.stop", lambda self: stopped.append(True))
    with pytest.raises((KeyboardInterrupt, UlnaError)):
        trained(stores, tmp_path)
    assert stopped


@pytest.mark.parametrize(
    "words", ["CUDA out of memory. Tried to allocate", "DefaultCPUAllocator: can't allocate memory"]
)
def test_too_little_memory_is_said_with_what_to_do(
    words: str, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr(Learner, "forward", fail)
    with pytest.raises(UlnaError, match="memory") as caught:
        trained(stores, tmp_path)
    assert "training.batch_size=1" in caught.value.hint


def test_a_full_disk_is_said(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
    with pytest.raises(UlnaError, match="the disk is full"):
        trained(stores, tmp_path)


@pytest.mark.parametrize(("clip", "clipped"), [(1e-3, True), (None, False)])
def test_the_gradient_is_clipped_where_that_is_asked_for(
    clip: float | None, clipped: bool, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    step = torch.optim.SGD.step

    def seen(optimizer: torch.optim.SGD, *given: Any) -> Any:
        gradients = [w.grad for group in optimizer.param_groups for w in group["params"]]
        norms.append(float(torch.nn.utils.get_total_norm(gradients)))
        return step(optimizer, *given)

    monkeypatch.setattr(torch.optim.SGD, "step", seen)
    trained(stores, tmp_path, SMALL.changed({"training.clip": clip, "training.optimizer": "sgd"}))
    assert len(norms) == 4
    assert all(norm <= 1.01e-3 for norm in norms) == clipped


def test_a_collapse_is_said_while_it_happens(stores: Stores, tmp_path: Path) -> None:
    config = SMALL.changed({"training.learning_rate": 1e30, "training.steps": 20})
    with pytest.raises(UlnaError, match=r"collapsed: the (loss|gradient) of step") as caught:
        trained(stores, tmp_path, config)
    assert "training.learning_rate=2.5e+29" in caught.value.hint


@pytest.mark.parametrize("clip", [1.0, None])
def test_a_gradient_that_is_no_number_spoils_no_weights(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: float | None
) -> None:
    """Though the loss is one: the root of 0 has none."""
    learned: list[nn.Module] = []
    forward = Learner.forward

    def steep(learner: Learner, batch: Batch) -> Tensor:
        learned.append(learner.network)
        loss = forward(learner, batch)
        return loss + (loss - loss.detach()).abs().sqrt()

    monkeypatch.setattr(Learner, "forward", steep)
    with pytest.raises(UlnaError, match="collapsed: the gradient of step 0 is not a number"):
        trained(stores, tmp_path, SMALL.changed({"training.clip": clip}))
    assert all(bool(weight.isfinite().all()) for weight in learned[0].parameters())


def test_masks_that_stay_empty_are_warned_of_over_a_resume(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Learner, "validate", lambda *_: {"val_loss": 1.0, "val_foreground": 0.0})
    trained(stores, tmp_path)
    assert "in the last 2 validations running, everything was called background" in capsys.readouterr().err
    trained(stores, tmp_path, SMALL.changed({"training.epochs": 4}), resume=True)
    assert capsys.readouterr().err.count("in the last 3 validations running") == 1


def test_its_last_steps_are_on_larger_patches(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SMALL.changed({"training.final_patch": [64, 64], "training.steps": 5})
    seen: list[tuple[int, bool, tuple[int, ...]]] = []
    forward = Learner.forward

    def noted(learner: Learner, batch: Batch) -> Tensor:
        seen.append((batch.step, batch.final, tuple(batch.images.shape)))
        return forward(learner, batch)

    monkeypatch.setattr(Learner, "forward", noted)
    trained(stores, tmp_path, config)
    first = [(k, False, (2, 1, 32, 32)) for k in range(8)]
    assert seen == [*first, (8, True, (1, 1, 64, 64)), (9, True, (1, 1, 64, 64))]


def test_the_mean_loss_of_an_epoch_weighs_batches_by_their_size(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SMALL.changed({"training.final_patch": [64, 64], "training.steps": 4, "training.epochs": 1})
    _, state = trained(stores, tmp_path, config)
    a, b, c, d = state.losses  # the last is of one patch
    assert float(rows(tmp_path)[0]["train_loss"]) == pytest.approx((2 * (a + b + c) + d) / 7, abs=1e-5)


def test_the_callers_random_numbers_are_left_alone(stores: Stores, tmp_path: Path) -> None:
    net, task = fresh()
    torch.manual_seed(77)
    wanted = torch.rand(3)
    torch.manual_seed(77)
    fit(net, task, SMALL, stores=stores, run=tmp_path, timer=Timer(TestClock()))
    assert torch.equal(torch.rand(3), wanted)


def test_dropout_is_drawn_from_the_step(stores: Stores, tmp_path: Path) -> None:
    """So a resumed run drops what it would have dropped, whatever was drawn before."""
    config = SMALL.changed({"training.epochs": 1, "training.steps": 1})
    losses = []
    for seed, prob in ((0, 0.2), (0, 0.2), (1, 0.2), (0, 0.5)):
        changed = config.changed({"network.dropout": prob})
        net, task = fresh(changed)
        torch.manual_seed(seed * 100 + 7)
        learner = Learner(net, task, changed.changed({"training.seed": seed}))
        batch = Batches(stores[0], config.training, phases=learner.phases).batch(0)
        batch = Learner(net, task, config).augmented(batch)
        losses.append(float(learner(batch).detach()))
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3


def test_what_a_training_by_time_leaves_room_for(stores: Stores) -> None:
    validation = stores[1]  # two images of 64 × 64
    classes, objects = (
        tasks.build(TaskConfig(name=name), ("background", "cell")) for name in ("semantic", "instances")
    )
    net, around = fresh(SMALL)[0], 64 + 2 * SMALL.inference.margin
    assert ending(net, SMALL, validation, 7.0, task=classes) == Ending(2, 2, 1.0, 7.0, around**2, 2 * 32 * 32)
    assert ending(net, SMALL, validation, 7.0, task=objects).scored == 2 + 3 * 2
    fast = ending(net, SMALL.changed({"training.precision": "bf16"}), validation, 7.0, task=classes)
    assert fast == Ending(2, 2, SLOWER, 7.0, around**2, 2 * 32 * 32)
    assert SLOWER == 2.0
    assert ending(net, SMALL, None, 7.0, task=objects) == Ending(seconds=7.0, batch_pixels=2 * 32 * 32)


def test_cases_are_spread_evenly() -> None:
    assert spread(3, 10) == [0, 1, 2]
    assert spread(100, 4) == [0, 33, 66, 99]
    assert spread(7, 1) == [0]
