"""What Lightning trains: the network, its task, the augmentation and the schedule."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ulna.config import Config
from ulna.inference.pipeline import Pipeline
from ulna.networks.layers import crop
from ulna.store import Store
from ulna.tasks import Task
from ulna.training.augmentation import apply, draw
from ulna.training.batches import Batch
from ulna.training.optimizers import OPTIMIZERS
from ulna.training.phases import phases
from ulna.training.schedule import SCHEDULES, Budget


class Learner(L.LightningModule):
    """Learns a network for a task within a budget.

    `validation` holds whole images; each is predicted as a user's image would be and judged by its Dice.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        config: Config,
        *,
        budget: Budget,
        validation: Store | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.task = task
        self.config = config
        self.budget = budget
        self.validation = validation
        self.phases = phases(config)
        # on the way, validation may be as fast and as rough as the training is
        self._rough = config.changed({"inference.precision": config.training.precision})
        # CPUs and tensor cores convolve several times faster when a pixel's channels lie side by side
        self._channels_last = torch.channels_last if config.network.ndim == 2 else torch.channels_last_3d
        self.network.to(memory_format=self._channels_last)  # type: ignore[call-overload]

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment where the batch is, in full precision: coordinates in bfloat16 would be off by whole pixels."""
        return self.augmented(batch) if isinstance(batch, Batch) else batch

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Run the network on a batch of patches and judge its output. Returns the loss, a scalar."""
        torch.manual_seed(self._seed(batch.step, 1))  # of dropout, so that a resumed run draws the same
        outputs = self.network(batch.images.contiguous(memory_format=self._channels_last))
        loss = self.task.loss(outputs, crop(self.task.targets(batch.truth), outputs.shape[2:]))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.images))
        return loss

    def augmented(self, batch: Batch) -> Batch:
        """Patches (N, C, *patch) and truth (N, 1, *patch): the same for the same step, whenever it comes."""
        phase = self.phases[batch.final]
        generator = torch.Generator().manual_seed(self._seed(batch.step, 0))
        drawn = draw(
            phase.augmentation,
            batch=len(batch.images),
            ndim=self.config.network.ndim,
            size=phase.patch,
            channels=batch.images.shape[1],
            generator=generator,
        )
        drawn = drawn.to(batch.images.device)
        images, truth = apply(drawn, batch.images, batch.truth, size=phase.patch)
        return batch._replace(images=images, truth=truth)

    def final(self, step: int) -> bool:
        """Whether the training is in its final phase (see `training.phases`)."""
        return self.budget.progress(step) > 1 - self.config.training.final_phase

    def _seed(self, step: int, purpose: int) -> int:
        state = np.random.SeedSequence((self.config.training.seed, step, purpose)).generate_state(1, np.uint64)
        return int(state[0] >> np.uint64(1))

    def validation_step(self, index: Tensor, number: int) -> None:
        """Predict one whole image; log its loss and the mean Dice over its classes."""
        if self.validation is None:
            return
        case = int(index)
        image, truth = self.validation.image(case), self.validation.truth(case)
        pipeline = Pipeline(self.network, self._rough, self.task.outputs)
        logits = pipeline.normalized(np.asarray(image))
        tensors = torch.from_numpy(logits)[None], self.task.targets(torch.from_numpy(np.array(truth))[None])
        self.log("val_loss", self.task.loss(*tensors), batch_size=1)
        mask = self.task.decode(logits)
        dice = [score.dice for score in self.task.scores(mask, np.asarray(truth))]
        judged = [value for value in dice if np.isfinite(value)]
        if judged:  # an image that is empty and predicted empty says nothing
            self.log("val_dice", float(np.mean(judged)), batch_size=1)
        if np.any(truth):
            self.log("val_foreground", float((mask > 0).mean()), batch_size=1)

    def configure_optimizers(self) -> Any:
        """The optimizer that the configuration names; the learning rate follows the budget, step by step."""
        training = self.config.training
        optimizer = OPTIMIZERS[training.optimizer](self.parameters(), training)
        factor = SCHEDULES[training.schedule]
        scheduler = LambdaLR(optimizer, lambda step: factor(self.budget.progress(step)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: Optimizer, *args: Any, **keywords: Any) -> None:
        """Clip the norm of the gradient, over all weights: a rare steep batch must not throw the weights away."""
        most = self.config.training.clip
        if most is not None:
            self.clip_gradients(optimizer, gradient_clip_val=most, gradient_clip_algorithm="norm")

    def on_train_start(self) -> None:
        """The clock runs from the first step."""
        self.budget.start()

    def on_train_epoch_end(self) -> None:
        """The end, when the budget is used up."""
        if self.budget.progress(self.trainer.global_step) >= 1:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember how much of the time is used."""
        checkpoint["seconds_used"] = self.budget.elapsed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with what is left of the time."""
        self.budget.used = float(checkpoint["seconds_used"])
