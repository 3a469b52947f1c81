"""The two phases of a training: many small patches, and in the final phase fewer large ones.

Instance norm takes its statistics from what it is shown, and a small patch has other statistics than a whole image.
The final phase adapts the network to whole images.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ulna.config import AugmentationConfig, Config
from ulna.training.augmentation import context


@dataclass(frozen=True)
class Phase:
    """How patches are cut and augmented in one phase of the training."""

    patch: tuple[int, ...]
    batch_size: int
    augmentation: AugmentationConfig | None

    @property
    def window(self) -> tuple[int, ...]:
        """What is cut out around each patch, so that augmentation finds what it moves in."""
        return context(self.augmentation, self.patch)


def phases(config: Config) -> tuple[Phase, Phase]:
    """The main phase and the final phase. A batch has the same number of pixels in both."""
    training = config.training
    patch = training.final_patch or training.patch
    batch = max(1, round(training.batch_size * prod(training.patch) / prod(patch)))
    return Phase(training.patch, training.batch_size, config.augmentation), Phase(patch, batch, config.augmentation)
