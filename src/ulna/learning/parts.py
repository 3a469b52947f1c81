"""The two parts of a training: many small patches, and at its end fewer large ones.

What a network has learned from small patches it then settles for whole images: instance norm takes its statistics
from what it is shown, and in a small patch those are others than in an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ulna.config import AugmentationConfig, Config
from ulna.learning import augment


@dataclass(frozen=True)
class Part:
    """How patches are cut and varied in a part of the training."""

    patch: tuple[int, ...]
    batch_size: int
    augmentation: AugmentationConfig | None

    @property
    def window(self) -> tuple[int, ...]:
        """What is cut out around each patch, so that augmentation finds what it moves in."""
        return augment.context(self.augmentation, self.patch)


def parts(config: Config) -> tuple[Part, Part]:
    """That in which the network learns, and that in which it settles. A batch has as many pixels in both."""
    training = config.training
    patch = training.settling_patch or training.patch
    batch = max(1, round(training.batch_size * prod(training.patch) / prod(patch)))
    return Part(training.patch, training.batch_size, config.augmentation), Part(patch, batch, config.augmentation)
