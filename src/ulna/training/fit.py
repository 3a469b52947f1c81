"""Lightning, set up: loop, precision, checkpoints, logs, resume."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ulna.config import AugmentationConfig, Config, TrainingConfig
from ulna.errors import in_memory
from ulna.figures.augmented import augmented_picture
from ulna.formats.atomic import cannot_write
from ulna.store import Store
from ulna.tasks import Task
from ulna.training.augmentation import Draw, apply, draw
from ulna.training.batches import Batches
from ulna.training.callbacks import AtomicCheckpoints, CollapseMonitor, DeadlineKeeper, MetricsLogger, ProgressBar
from ulna.training.module import Learner
from ulna.training.phases import phases
from ulna.training.schedule import Budget

VALIDATE = 32
"""At most so many images are validated after each epoch, spread evenly; all of them are at the end."""

SLOWER = 2.0
"""How much longer than one on the way, in bf16, an image of the validation at the end takes."""

AFTERWARDS = 3.0
"""Seconds that pictures and the report take after a training by the clock."""


def fit(
    network: nn.Module,
    task: Task,
    config: Config,
    *,
    stores: tuple[Store, Store | None],
    run: Path,
    deadline: float | None,
    resume: bool,
) -> None:
    """Train `network` in place and leave in it the weights that are kept: the last, or those of the best epoch.

    The best epoch has the highest validation Dice, or the lowest loss where the images that are validated hold no
    foreground; `training.chooses` says whether it is taken. `deadline` (of
    `time.monotonic`) bounds a training by the clock. Checkpoints go to `run`/checkpoints, the table of epochs to
    `run`/metrics.csv, and TensorBoard's events beside it. With `resume` it goes on from the last checkpoint if
    there is one.
    """
    store, validation = stores
    place = next(network.parameters()).device
    table = MetricsLogger(run / "metrics.csv")
    budget = _budget(config.training)
    learner = Learner(network, task, config, budget=budget, validation=validation)
    with _quiet():
        trainer = _trainer(config, learner, run, table=table, deadline=deadline)
    training = config.training
    batches = Batches(
        store,
        training,
        phases=learner.phases,
        steps=lambda: budget.epoch(trainer.global_step),
        final=learner.final,
    )
    last = run / "checkpoints" / "last.ckpt"
    torch.manual_seed(training.seed)
    smaller = "Try smaller batches or patches: --set training.batch_size=1, --set training.patch=[64,64]"
    with _quiet(), _stoppable(trainer), _on_disk(run), in_memory(smaller):
        trainer.fit(
            learner,
            DataLoader(batches, batch_size=None),
            _in_order(_spread(validation)) if validation else None,
            ckpt_path=last if resume and last.is_file() else None,
            weights_only=True,
        )
    (run / "hparams.yaml").unlink(missing_ok=True)  # the logger's, and empty: config.yaml says it all
    best = run / "checkpoints" / "best.ckpt"
    learner.to(place)  # Lightning leaves it on the CPU
    if training.chooses and best.is_file():
        weights = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
        learner.load_state_dict(weights)


def _budget(training: TrainingConfig) -> Budget:
    if training.epochs is not None:
        return Budget(steps=training.epochs * training.steps, epoch_steps=training.steps)
    return Budget(seconds=60 * (training.minutes or 0))


def _spread(validation: Store) -> list[int]:
    count = len(validation.names)
    return [int(i) for i in np.linspace(0, count - 1, min(count, VALIDATE)).round()]


def _in_order(cases: list[int]) -> DataLoader[int]:
    """A loader that hands out the numbers of cases one by one."""
    return DataLoader(cast("Dataset[int]", cases), batch_size=None)


def _trainer(config: Config, learner: Learner, run: Path, *, table: MetricsLogger, deadline: float | None) -> L.Trainer:
    training, validation = config.training, learner.validation
    judged = validation is not None and any(validation.truth(i).any() for i in _spread(validation))
    monitor, mode = ("val_dice", "max") if judged else ("val_loss", "min") if validation else (None, "min")
    # Two of them: with save_last, Lightning writes the last only in epochs that are the best so far. The last comes
    # last: it holds what the other knows of the best, so that a resumed run does not take a worse one for it.
    checkpoint = partial(ModelCheckpoint, run / "checkpoints", enable_version_counter=False)
    callbacks: list[Callback] = [ProgressBar(), CollapseMonitor(), table]
    if monitor is not None:
        callbacks.append(checkpoint(filename="best", monitor=monitor, mode=mode))
    callbacks.append(checkpoint(filename="last"))
    if training.patience is not None and monitor is not None:
        callbacks.append(EarlyStopping(monitor, patience=training.patience, mode=mode))
    if deadline is not None:
        share = len(validation.names) / len(_spread(validation)) if validation else 0.0
        if training.precision == "bf16":
            share *= SLOWER
        callbacks.insert(0, DeadlineKeeper(deadline, share=share, after=AFTERWARDS))
    return L.Trainer(
        accelerator="gpu" if next(learner.network.parameters()).is_cuda else "cpu",
        devices=1,
        precision="bf16-mixed" if training.precision == "bf16" else "32-true",
        max_epochs=-1 if training.epochs is None else training.epochs,
        callbacks=callbacks,
        plugins=[AtomicCheckpoints()],
        logger=TensorBoardLogger(run, name="", version=""),
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@contextmanager
def _stoppable(trainer: L.Trainer) -> Iterator[None]:
    """Ctrl-C stays KeyboardInterrupt, and works again afterwards: Lightning exits, and ignores the signal for good."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


@contextmanager
def _on_disk(run: Path) -> Iterator[None]:
    """A disk that fills up, or is taken away, while the logs are written."""
    before = threading.excepthook
    # TensorBoard writes in a thread, which passes what goes wrong on to the next who logs; it need not shout as well.
    threading.excepthook = lambda args: None if isinstance(args.exc_value, OSError) else before(args)
    try:
        yield
    except OSError as error:
        raise cannot_write(error, run) from error
    finally:
        threading.excepthook = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice on data workers and its announcements are for programmers; ulna says what matters."""
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        logger.setLevel(before)


def picture_of_augmentation(path: Path, config: Config, store: Store, *, rows: int = 4, draws: int = 5) -> None:
    """Write a picture of some training patches beside what augmentation makes of them."""
    config = config.changed({"training.batch_size": rows, "training.foreground": 1.0})
    training = config.training
    batch = Batches(store, training, phases=phases(config), steps=lambda: range(1)).batch(0)
    plain = apply(_draw(None, config, rows, seed=0), batch.images, batch.truth, size=training.patch)
    varied = [
        apply(
            _draw(config.augmentation, config, rows, seed=seed),
            batch.images,
            batch.truth,
            size=training.patch,
        )
        for seed in range(draws)
    ]
    samples = [[(image.numpy(), truth.numpy()) for image, truth in zip(*one, strict=True)] for one in (plain, *varied)]
    augmented_picture(path, samples[0], [[one[row] for one in samples[1:]] for row in range(rows)])


def _draw(augmentation: AugmentationConfig | None, config: Config, batch: int, *, seed: int) -> Draw:
    return draw(
        augmentation,
        batch=batch,
        ndim=config.network.ndim,
        size=config.training.patch,
        channels=config.data.channels,
        generator=torch.Generator().manual_seed(seed),
    )
