"""The training loop."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor, nn

from ulna.config import Config, TrainingConfig
from ulna.errors import UlnaError, in_memory
from ulna.formats.atomic import cannot_write
from ulna.image import is_foreground
from ulna.inference.devices import check_count, device_of
from ulna.inference.mirroring import flips
from ulna.inference.pipeline import Pipeline
from ulna.metrics import Primary, label
from ulna.store import Store
from ulna.tasks import Task
from ulna.training.batches import Batches
from ulna.training.budget import Budget, Ending, StepBudget, TimeBudget
from ulna.training.checkpoints import HINT, LAST, Best, State, load_best, load_last, save_best, save_last
from ulna.training.constants import fitting, spread
from ulna.training.learner import Learner
from ulna.training.log import validation_column, write_row
from ulna.training.monitors import ProgressBar, check_loss, count_empty, warn_at_end
from ulna.training.optimizers import OPTIMIZERS
from ulna.training.processes import in_processes
from ulna.training.ranks import ALONE, Rank
from ulna.training.schedule import SCHEDULES
from ulna.training.timer import Timer
from ulna.training.validated import validated

VALIDATE = 32
"""At most so many images are validated after each epoch, spread evenly; all of them are scored at the end."""

SAVED = 300.0
"""Seconds after which a training by time leaves a checkpoint within an epoch, for a job of a cluster that is ended."""

SLOWER = 2.0
"""How much longer than one on the way, in bf16, an image of the scoring at the end takes."""

SMALLER = "Try smaller batches or patches: --set training.batch_size=1, --set training.patch=[64,64]"


def fit(
    network: nn.Module,
    task: Task,
    config: Config,
    *,
    stores: tuple[Store, Store | None],
    run: Path,
    timer: Timer,
    afterwards: float = 0.0,
    resume: bool = False,
) -> State:
    """Train `network` in place and leave in it the weights that are kept: the last, or those of the best epoch.

    The best epoch is that of the best primary measure of the task, or of the lowest loss where `training.best` says so
    or the images that are validated hold no foreground; `training.chooses` says whether it is taken.

    Parameters
    ----------
    network, task, config
        What learns, what it is asked, and every choice.
    stores
        The cases to learn from, and those held out.
    run
        Folder for `checkpoints` and `metrics.csv`.
    timer
        Seconds that the run has used, and their limit, which bounds a training by time.
    afterwards
        Seconds to leave, in a training by time, for figures and the report.
    resume
        Go on from the last checkpoint, if there is one.

    Returns
    -------
    State
        How far the training came, with the loss of every step.

    Raises
    ------
    UlnaError
        Where the loss is no number, the memory is too small, or the disk is full.
    """
    words: dict[str, Any] = {"stores": stores, "run": run, "timer": timer, "afterwards": afterwards, "resume": resume}
    count = config.training.devices
    if count == 1:
        state = _trained(ALONE, network=network, task=task, config=config, **words)
    else:
        place = device_of(network)
        check_count(place, count)
        work = partial(_trained, network=network.cpu(), task=task, config=config, **words)
        torch.cuda.empty_cache()  # what was measured on the first GPU has left memory there
        in_processes(work, count, place.type)
        last = load_last(run)
        assert last is not None  # the first process has written it
        state, weights, _ = last
        network.load_state_dict(weights)
        network.to(place)
    warn_at_end(state.empty)
    best = load_best(run)
    if config.training.chooses and best is not None:
        network.load_state_dict(best[1])
    return state


def _trained(rank: Rank, *, network: nn.Module, task: Task, config: Config, run: Path, **words: Any) -> State:
    """Train in this process, which may be one of several."""
    with _seeded(config.training.seed), _quiet(), _writing(run), in_memory(SMALLER):
        loop = Loop(Learner(network, task, config, rank), folder=run, **words)
        loop.run()
    return loop.state


class Loop:
    """Epochs of steps, each followed by a validation, a row of the table and a checkpoint.

    Whatever it is interrupted by, and wherever: the checkpoint on the disk is the end of a whole epoch, and what
    comes after it is repeated in the same way when the run is resumed. Of a training by time, whose epochs may take
    an hour, it is at most `SAVED` seconds and a step old.

    Of several processes the first one does this, and the others take the steps that it announces.
    """

    def __init__(
        self,
        learner: Learner,
        stores: tuple[Store, Store | None],
        folder: Path,
        *,
        timer: Timer,
        afterwards: float = 0.0,
        resume: bool = False,
    ) -> None:
        training = learner.config.training
        self.learner = learner
        self._rank = learner.rank
        self.folder = folder
        self.timer = timer
        self.validation = stores[1]
        self.state = State()
        self._primary = learner.task.primary
        self.bar = ProgressBar(label(self._primary.measure), training.epochs)
        self._training = training
        self._progress = 0.0
        self._saved = timer.seconds
        self._fabric = _fabric(learner, training)
        self._optimizer = OPTIMIZERS[training.optimizer](learner.parameters(), training)
        self._best = self._resume() if resume else None
        self._model, _ = self._fabric.setup(learner, self._optimizer)
        self.budget = _budget(learner, stores, self.state, timer=timer, afterwards=afterwards)
        self._batches = Batches(stores[0], training, phases=learner.phases, final=self._final, rank=self._rank)
        self._monitor = _monitor(self.validation, self._primary, training.best)

    def _resume(self) -> Best | None:
        last = load_last(self.folder)
        if last is None:
            return None
        self.state, weights, optimizer = last
        try:
            self.learner.network.load_state_dict(weights)
            self._optimizer.load_state_dict(optimizer)
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:  # as PyTorch says it
            what = "this checkpoint is not of the network and the optimizer that the run's config.yaml names"
            raise UlnaError(what, where=self.folder / LAST, hint=HINT) from error
        best = load_best(self.folder)
        return best[0] if best else None

    @property
    def _number(self) -> int:
        """The number of the epoch at work, from 1: in the table, the bar, the curves and of the best one alike."""
        return self.state.epoch + 1

    def run(self) -> None:
        """Train until the budget is used up, or nothing was gained for `training.patience` epochs."""
        if self._rank.number:
            while (announced := self._rank.announced()) is not None:
                self._learn(*announced)
            return
        with self.bar:
            while not self._finished():
                self._epoch()
        self._rank.announce(None)

    def _finished(self) -> bool:
        patience, best = self._training.patience, self._best
        if patience is not None and best is not None and self.state.epoch - best.epoch >= patience:
            return True
        return self.budget.progress(self.state.step) >= 1

    def _epoch(self) -> None:
        """One epoch. The order of what is written matters: the checkpoint to go on from comes last."""
        total, patches = 0.0, 0
        for step in self.budget.epoch(self.state.step):
            loss, size = self._step(step)
            total, patches = total + loss * size, patches + size
        measured = {"train_loss": total / patches} | self._validate()
        state = self.state
        state.progress = self.budget.progress(state.step)
        state.empty = count_empty(state.empty, measured.get("val_foreground"))
        row = {"epoch": self._number, "step": state.step, "seconds": self.timer.seconds}
        row |= {"learning_rate": self._set_rate(state.progress)}
        write_row(self.folder, row | measured, self._primary)
        score, left = measured.get(validation_column(self._primary)), self.budget.left(state.step)
        self.bar.epoch(score, epoch=self._number, left=left)
        self._keep_best(measured)
        state.epoch += 1
        self._save()

    def _save(self) -> None:
        self.state.progress = self.budget.progress(self.state.step)
        save_last(self.folder, self.state, self.learner.weights(), self._optimizer.state_dict())
        self._saved = self.timer.seconds

    def _step(self, step: int) -> tuple[float, int]:
        """One step; its loss, and how many patches its batch had."""
        began = self.timer.seconds
        progress = self.budget.progress(step)
        self._rank.announce(step, progress)
        loss, size = self._learn(step, progress)
        value = float(loss.detach())
        check_loss(value, step=step, learning_rate=self._training.learning_rate)
        self.state.step = step + 1
        self.state.losses.append(value)
        self.budget.stepped(self.timer.seconds - began)
        self.timer.beat()
        progress, left = self.budget.progress(step + 1), self.budget.left(step + 1)
        self.bar.step(value, epoch=self._number, progress=progress, left=left)
        if not self.budget.exact and self.timer.seconds - self._saved >= SAVED:
            self._save()
        return value, size

    def _learn(self, step: int, progress: float) -> tuple[Tensor, int]:
        """What all processes do in a step: the loss of the batch, its gradient, new weights."""
        self._progress = progress
        self._set_rate(progress)
        batch = self.learner.augmented(self._fabric.to_device(self._batches.batch(step)))
        loss = self._model(batch)
        self._optimizer.zero_grad()
        # DDP takes the mean over the processes, and the gradient of the batch is the sum
        self._fabric.backward(loss if self._rank == ALONE else loss * self._rank.count)
        # a rare steep batch must not throw the weights away, nor one whose gradient is not a number
        weights = [one for group in self._optimizer.param_groups for one in group["params"]]
        clip = self._training.clip
        norm = float(nn.utils.clip_grad_norm_(weights, math.inf if clip is None else clip))
        check_loss(norm, step=step, learning_rate=self._training.learning_rate, what="gradient")
        self._optimizer.step()
        return loss, batch.size

    def _set_rate(self, progress: float) -> float:
        rate = self._training.learning_rate * SCHEDULES[self._training.schedule](progress)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _final(self, step: int) -> bool:
        """Whether the step at work is in the final phase of the training (see `training.phases`)."""
        return self._progress > 1 - self._training.final_phase

    def _validate(self) -> dict[str, float]:
        """The mean over the images of what is measured; in 32-bit numbers, as it always was."""
        store = self.validation
        if store is None:
            return {}
        began = self.timer.seconds
        cases = spread(len(store), self.budget.cases(min(len(store), VALIDATE)))
        measured: dict[str, list[float]] = {}
        self.learner.eval()
        with torch.inference_mode():
            for case in cases:
                for name, value in self.learner.validate(store, case).items():
                    measured.setdefault(name, []).append(value)
                self.timer.beat()
        self.learner.train()
        self.state.validated = len(cases)
        self.budget.validated(self.timer.seconds - began, len(cases))
        return {name: float(np.mean(values)) for name, values in measured.items()}

    def _keep_best(self, measured: dict[str, float]) -> None:
        monitor = self._monitor
        value = measured.get(validation_column(monitor))
        if value is None or math.isnan(value):
            return
        if self._best is None or monitor.rank(value) > monitor.rank(self._best.value):
            self._best = Best(self._number, value)
            save_best(self.folder, self._best, self.learner.weights())


def _fabric(learner: Learner, training: TrainingConfig) -> Any:
    """Where it is computed; of several processes each has a device of its own, to which the learner is brought."""
    precision: Any = "bf16-mixed" if training.precision == "bf16" else "32-true"
    rank = learner.rank
    if rank != ALONE:
        here = LightningEnvironment()  # else it would look for processes that a cluster has started
        fabric = Fabric(accelerator=rank.kind, strategy="ddp", devices=rank.count, precision=precision, plugins=[here])
        fabric.launch()
        learner.to(fabric.device)
        return fabric
    place = device_of(learner)
    devices: Any = 1 if place.type == "cpu" else [place.index or 0]
    return Fabric(accelerator=place.type, devices=devices, precision=precision)


def _budget(
    learner: Learner, stores: tuple[Store, Store | None], state: State, *, timer: Timer, afterwards: float
) -> Budget:
    training, validation = learner.config.training, stores[1]
    if training.epochs is not None:
        return StepBudget(training.epochs * training.steps, training.steps, timer, start=state.step)
    after = ending(learner.network, learner.config, validation, afterwards, task=learner.task)
    return TimeBudget(timer, after, progress=state.progress, chosen=state.validated)


def ending(network: nn.Module, config: Config, validation: Store | None, afterwards: float, *, task: Task) -> Ending:
    """What a training by time leaves room for: the constants of a task, scores of the cases held out, then `afterwards`
    seconds."""
    training = config.training
    batch = training.batch_size * math.prod(training.patch) / training.devices  # on that which validates, as each has
    if validation is None:
        return Ending(seconds=afterwards, batch_pixels=batch)
    pipeline = Pipeline(network, config, task.outputs)
    shapes = Counter(validated(shape[1:], task.outputs) for shape in validation.shapes)
    return Ending(
        validated=min(len(validation), VALIDATE),
        scored=len(validation) + fitting(task, validation),
        slower=len(flips(config)) * (SLOWER if training.precision == "bf16" else 1.0),
        seconds=afterwards,
        case_pixels=sum(count * pipeline.work(shape) for shape, count in shapes.items()) / len(validation),
        batch_pixels=batch,
    )


def _monitor(validation: Store | None, primary: Primary, best: str) -> Primary:
    """What tells the best epoch."""
    if validation is not None and best == "score":
        cases = spread(len(validation), VALIDATE)
        if any(is_foreground(validation.truth(case)[0]).any() for case in cases):
            return primary
    return Primary("loss", higher_is_better=False)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """PyTorch's generators begin with the seed, and the caller's are as they were afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _writing(run: Path) -> Iterator[None]:
    """A disk that fills up, or is taken away, while the logs are written."""
    try:
        yield
    except OSError as error:
        raise cannot_write(error, run) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Fabric announces the precision, which the plan has said."""
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
