"""The picture of augmentation: what the network is shown."""

from __future__ import annotations

from pathlib import Path

import torch

from ulna.config import AugmentationConfig, Config
from ulna.figures.augmented import augmented_picture
from ulna.store import Store
from ulna.training.augmentation import Draw, apply, draw
from ulna.training.batches import Batch, Batches
from ulna.training.phases import phases


def picture_of_augmentation(path: Path, config: Config, store: Store, *, rows: int = 4, draws: int = 5) -> None:
    """Write a picture of some training patches beside what augmentation makes of them."""
    config = config.changed({"training.batch_size": rows, "training.foreground": 1.0})
    training = config.training
    batch = Batches(store, training, phases=phases(config)).batch(0)
    plain = apply(_draw(None, config, batch, seed=0), batch.images, batch.truth, size=training.patch)
    varied = [
        apply(
            _draw(config.augmentation, config, batch, seed=seed),
            batch.images,
            batch.truth,
            size=training.patch,
        )
        for seed in range(draws)
    ]
    samples = [[(image.numpy(), truth.numpy()) for image, truth in zip(*one, strict=True)] for one in (plain, *varied)]
    augmented_picture(path, samples[0], [[one[row] for one in samples[1:]] for row in range(rows)])


def _draw(augmentation: AugmentationConfig | None, config: Config, batch: Batch, *, seed: int) -> Draw:
    return draw(
        augmentation,
        batch=len(batch.images),
        ndim=config.network.ndim,
        size=config.training.patch,
        channels=config.data.inputs,
        generator=torch.Generator().manual_seed(seed),
        spacings=batch.spacings,
    )
