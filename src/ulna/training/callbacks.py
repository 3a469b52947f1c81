"""What happens around the training: the table of epochs, the progress bar, the watch for a collapse, the clock."""

from __future__ import annotations

import csv
import io
import math
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ulna.console import clock, say, screen
from ulna.errors import UlnaError
from ulna.formats import atomic_write
from ulna.training.module import Learner

COLUMNS = ("epoch", "step", "seconds", "learning_rate", "train_loss", "val_loss", "val_dice")


class MetricsLogger(Callback):
    """One row an epoch in `metrics.csv`; a resumed run goes on in the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        """Append the row; Lightning has validated by now."""
        rows = [row for row in self.read() if int(row["epoch"]) < trainer.current_epoch]
        rows.append(self._row(trainer, module))
        with atomic_write(self._path) as beside, beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def read(self) -> list[dict[str, str]]:
        """The rows written so far."""
        if not self._path.is_file():
            return []
        with self._path.open(newline="") as file:
            return list(csv.DictReader(file))

    @staticmethod
    def _row(trainer: L.Trainer, module: Learner) -> dict[str, Any]:
        numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}
        return {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "seconds": round(module.budget.elapsed, 1),
            "learning_rate": f"{trainer.optimizers[0].param_groups[0]['lr']:.3g}",
            **{name: f"{numbers[name]:.5f}" for name in COLUMNS[4:] if name in numbers},
        }


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are written atomically.

    Lightning's own go by way of the system's folder for temporary files, and moving them from there to another
    disk can be cut short.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write beside `path`, then rename. Raises UlnaError when the disk is full."""
        data = io.BytesIO()
        torch.save(checkpoint, data)
        with atomic_write(Path(path)) as beside:
            beside.write_bytes(data.getbuffer())

    def load_checkpoint(self, path: Any, *args: Any, **keywords: Any) -> dict[str, Any]:
        """Read it. What it remembers of its folder holds for the folder where it lies now: a run may be moved."""
        checkpoint: dict[str, Any] = super().load_checkpoint(path, *args, **keywords)
        states = checkpoint.get("callbacks", {})
        for name, state in states.items():
            if isinstance(state, dict) and state.get("dirpath"):
                states[name] = _moved(state, state["dirpath"], str(Path(path).resolve().parent))
        return checkpoint


def _moved(value: Any, before: str, now: str) -> Any:
    """The same with paths in the folder `now` that lay in the folder `before`."""
    if isinstance(value, dict):
        return {_moved(key, before, now): _moved(item, before, now) for key, item in value.items()}
    return now + value.removeprefix(before) if isinstance(value, str) and value.startswith(before) else value


class ProgressBar(Callback):
    """A bar with the loss, the validation Dice and the time left; a line an epoch where there is no terminal."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
            console=screen,
            transient=True,
            disable=not screen.is_terminal,
        )
        self._task = self._bar.add_task("training", total=1.0, words="", left="–")
        self._loss = math.nan

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        """Show the bar."""
        self._bar.start()

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, index: int) -> None:
        """Move the bar on."""
        loss = float(outputs["loss"])
        self._loss = loss if math.isnan(self._loss) else 0.95 * self._loss + 0.05 * loss
        done, left = module.budget.progress(trainer.global_step), module.budget.left(trainer.global_step)
        self._bar.update(self._task, completed=done, words=self._words(trainer), left=clock(left))

    def _words(self, trainer: L.Trainer) -> str:
        dice = trainer.callback_metrics.get("val_dice")
        judged = "" if dice is None else f"  validation Dice {float(dice):.3f}"
        return f"epoch {trainer.current_epoch + 1}  loss {self._loss:.3f}{judged}"

    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        """Without a terminal, say how far it is."""
        if not screen.is_terminal:
            say(f"{self._words(trainer)}  left {clock(module.budget.left(trainer.global_step))}")

    def teardown(self, trainer: L.Trainer, module: Any, stage: str) -> None:
        """Take the bar away when all went well."""
        self._bar.stop()

    def on_exception(self, trainer: L.Trainer, module: Any, exception: BaseException) -> None:
        """Take the bar away when it did not: Lightning calls one or the other."""
        self._bar.stop()


class CollapseMonitor(Callback):
    """Says so when a run collapses: a loss that is no number ends it, masks that stay empty are warned of."""

    def __init__(self, patience: int = 3) -> None:
        self._patience = patience
        self._empty = 0

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, index: int) -> None:
        """Stop when the loss is no number."""
        if not math.isfinite(float(outputs["loss"])):
            raise UlnaError(
                f"the training has collapsed: the loss of step {trainer.global_step} is not a number",
                hint="Train anew, into another --out, with a lower learning rate: --set training.learning_rate="
                f"{module.config.training.learning_rate / 4:g}",
            )

    def on_validation_end(self, trainer: L.Trainer, module: Any) -> None:
        """Count validations in which nothing at all was found although there was something to find."""
        found = trainer.callback_metrics.get("val_foreground")
        if found is None or trainer.sanity_checking:
            return
        self._empty = 0 if float(found) > 0 else self._empty + 1
        if self._empty == self._patience:
            self._warn()

    def on_train_end(self, trainer: L.Trainer, module: Any) -> None:
        """A training of fewer validations is not left without the warning."""
        if 0 < self._empty < self._patience:
            self._warn()

    def _warn(self) -> None:
        count = "validation" if self._empty == 1 else f"{self._empty} validations running"
        say(
            f"[yellow]Warning:[/] in the last {count}, everything was called background. Look at samples.png (are "
            "the masks right?), train for longer, or try the Dice loss: --set task.loss=dice"
        )


class DeadlineKeeper(Callback):
    """Keeps `--minutes`: leaves time for what comes after the training, as long as a validation has shown.

    `deadline` (of `time.monotonic`) is when everything must be done; `share` is how many times longer the
    validation at the end takes than those on the way; `after` are the seconds for pictures and the report.
    """

    def __init__(self, deadline: float, *, share: float, after: float) -> None:
        self._deadline = deadline
        self._share = share
        self._after = after
        self._validation = 0.0
        self._since = 0.0

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        """Set the end of the training for the first time."""
        self._set(module)

    def on_validation_start(self, trainer: L.Trainer, module: Any) -> None:
        """Begin to time a validation."""
        self._since = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, module: Any) -> None:
        """Set the end of the training anew, now that the length of a validation is known."""
        self._validation = module.budget.validation = time.monotonic() - self._since
        self._set(module)

    def _set(self, module: Learner) -> None:
        # the validation that ends the last epoch belongs to the training; the one with scores comes after
        reserve = self._after + (1 + self._share) * self._validation
        left = max(self._deadline - time.monotonic() - reserve, 0.0)
        module.budget.seconds = max(module.budget.elapsed + left, 1e-3)
