"""One step of learning and one validation, without a loop around them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ulna.config import Config
from ulna.image import IGNORE, Grid, Labels, is_foreground
from ulna.inference.pipeline import Pipeline
from ulna.metrics import Scored
from ulna.networks.layers import crop
from ulna.store import Store
from ulna.tasks import Task
from ulna.training.augmentation import apply, draw
from ulna.training.batches import Batch
from ulna.training.log import validation_column
from ulna.training.phases import phases
from ulna.training.ranks import ALONE, JointDropout, Rank
from ulna.training.validated import part


class Learner(nn.Module):
    """A network with the task that it learns. Called with an augmented batch, it returns the loss.

    The loss is that of the whole batch, in every process that computes a part of it: no loss need be a mean over
    patches. What each process has of the gradient sums up to that of the whole batch.
    """

    def __init__(self, network: nn.Module, task: Task, config: Config, rank: Rank = ALONE) -> None:
        super().__init__()
        self.rank = rank
        self.network = network
        self.task = task
        self.config = config
        self.phases = phases(config)
        # on the way, validation may be as fast and as rough as the training is
        self._rough = config.changed({"inference.precision": config.training.precision, "inference.mirror": False})
        # CPUs and tensor cores convolve several times faster when a pixel's channels lie side by side
        self._channels_last: Any = torch.channels_last if config.network.ndim == 2 else torch.channels_last_3d
        self.network.to(memory_format=self._channels_last)  # type: ignore[call-overload]

    def forward(self, batch: Batch) -> Tensor:
        """The loss, a scalar, of the network's outputs for patches (N, C, *patch) against their truth.

        Where it has outputs at several levels, each weighs half as much as the one above.
        """
        torch.manual_seed(self.seed(batch.step, 1))  # of dropout, so that a resumed run draws the same
        with self._dropout(batch):
            outputs = self.network(batch.images.contiguous(memory_format=self._channels_last))
        if isinstance(outputs, Tensor):
            return self._loss(outputs, batch)
        strides = cast("tuple[tuple[int, ...], ...]", self.network.supervised)
        losses = [self._loss(one, subsampled(batch, by)) for one, by in zip(outputs, strides, strict=True)]
        weights = torch.tensor([0.5**level for level in range(len(losses))], device=losses[0].device)
        return (torch.stack(losses) * weights).sum() / weights.sum()

    def _loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        maps = crop(self._maps(batch), outputs.shape[2:])
        return total(self.task.losses(*(self.rank.joined(part, batch.size) for part in (outputs, maps))))

    def _dropout(self, batch: Batch) -> AbstractContextManager[object]:
        """Within, dropout is drawn as for the whole batch."""
        dropped = batch.rows and self.config.network.dropout
        return JointDropout(batch.rows, batch.size) if dropped else nullcontext()

    def _maps(self, batch: Batch) -> Tensor:
        """What is to be learned from each patch, on its own grid."""
        shape = tuple(batch.truth.shape[2:])
        pairs = zip(batch.truth, batch.own_spacings, strict=True)
        return torch.cat([self.task.maps(truth[None], Grid(shape, spacing)) for truth, spacing in pairs])

    def augmented(self, batch: Batch) -> Batch:
        """Windows cut and varied to patches (N, C, *patch) and truth (N, L, *patch).

        The same for the same step, whenever it comes. In full precision: coordinates in bfloat16 would be off by
        whole pixels.
        """
        phase = self.phases[batch.final]
        generator = torch.Generator().manual_seed(self.seed(batch.step, 0))
        drawn = draw(
            phase.augmentation,
            batch=batch.size,
            ndim=self.config.network.ndim,
            size=phase.patch,
            channels=batch.images.shape[1],
            generator=generator,
            spacings=batch.spacings,
        )
        if batch.rows:
            drawn = drawn.rows(torch.tensor(batch.rows))
        drawn = drawn.to(batch.images.device)
        images, truth = apply(drawn, batch.images, batch.truth, size=phase.patch)
        return batch._replace(images=images, truth=truth)

    def seed(self, step: int, purpose: int) -> int:
        """The seed of what is drawn in a step: 0 for augmentation, 1 for dropout."""
        state = np.random.SeedSequence((self.config.training.seed, step, purpose)).generate_state(1, np.uint64)
        return int(state[0] >> np.uint64(1))

    def validate(self, store: Store, case: int) -> dict[str, float]:
        """Predict one whole image as a user's would be, or of a huge one the part around its foreground.

        Returns `val_loss`; the task's primary measure (`val_dice`), the mean over the classes, unless the image is
        empty and predicted empty; and `val_foreground`, the share of pixels that were found, where there is something
        to find.
        """
        region = (slice(None), *part(store.truth(case), self.task.outputs))
        image, truth = store.scale(case, store.raw(case)[region]), store.truth(case)[region]
        pipeline = Pipeline(self.network, self._rough, self.task.outputs)
        logits = pipeline.normalized(np.asarray(image))
        grid = store.cases[case].grid.crop(region[1:])
        maps = self.task.maps(torch.from_numpy(np.array(truth))[None], grid)
        measured = {"val_loss": float(total(self.task.losses(torch.from_numpy(logits)[None], maps)))}
        labels = self.task.decode(self.task.activate(logits), grid)
        name = store.names[case]
        rows = self.task.evaluate(labels, Labels.from_array(truth, grid), briefly=True)
        score = Scored.of(rows, name=name, group=name).score(self.task.primary.measure)
        if np.isfinite(score):
            measured[validation_column(self.task.primary)] = score
        if is_foreground(truth[0]).any():
            measured["val_foreground"] = float((labels.classes > 0)[truth[0] != IGNORE].mean())
        return measured

    def weights(self) -> dict[str, Tensor]:
        """The network's weights, as checkpoints hold them."""
        return cast("dict[str, Tensor]", self.network.state_dict())


def subsampled(batch: Batch, strides: Sequence[int]) -> Batch:
    """A batch whose truth is that of the middle of every so many pixels: labels are never averaged.

    What is learned of them, of objects their distances, is derived from these.
    """
    truth = batch.truth
    for axis, stride in enumerate(strides, start=2):
        if stride > 1:
            side = truth.shape[axis]
            middles = torch.arange(-(-side // stride), device=truth.device) * stride + stride // 2
            truth = truth.index_select(axis, middles.clamp(max=side - 1))
    spacings = tuple(
        tuple(step * stride for step, stride in zip(spacing, strides, strict=True)) for spacing in batch.spacings
    )
    return batch._replace(truth=truth, spacings=spacings)


def total(losses: dict[str, Tensor]) -> Tensor:
    """The sum of the terms of a loss."""
    return torch.stack(list(losses.values())).sum() if len(losses) > 1 else next(iter(losses.values()))
