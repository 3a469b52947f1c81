"""Semantic segmentation: which class is each pixel?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, softmax

from ulna.config import TaskConfig
from ulna.image import Grid, Labels
from ulna.metrics.overlap import measure
from ulna.metrics.rows import Primary, Row
from ulna.tasks.base import Maps

if TYPE_CHECKING:
    from torch import Tensor

    from ulna.networks.losses import Loss


class Semantic:
    """One foreground class is a sigmoid on one channel; more are a softmax over all classes.

    Parameters
    ----------
    config
        The names of the loss and the threshold of a single class.
    classes
        Names of the classes, the background first.
    loss
        A function of logits (N, K, *spatial) and class indices (N, 1, *spatial), in place of the one that is named.
    """

    primary = Primary("dice")
    pixelwise = True

    def __init__(self, config: TaskConfig, classes: Sequence[str], loss: Loss | None = None) -> None:
        self.classes = tuple(classes)
        self.outputs = 1 if len(self.classes) == 2 else len(self.classes)
        self._config = config
        self._loss = loss

    def maps(self, labels: Tensor, grid: Grid) -> Tensor:
        """Labels (N, L, *spatial) → class indices (N, 1, *spatial)."""
        return labels[:, :1]

    def losses(self, outputs: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """One term: the loss that the configuration names, or the function that was passed."""
        from ulna.networks.losses import LOSSES  # who scores masks that lie in files needs no torch

        loss = self._loss or LOSSES[self._config.loss]
        return {"classes": loss(outputs, maps)}

    def activate(self, logits: Maps) -> Maps:
        """Logits (K, *spatial) → probabilities (classes, *spatial), the background first; they sum to 1."""
        if self.outputs == 1:
            foreground = expit(logits)
            return np.concatenate([1 - foreground, foreground])
        return np.asarray(softmax(logits, axis=0), np.float32)

    def decode(self, activated: Maps, grid: Grid) -> Labels:
        """Probabilities (classes, *spatial) → the likeliest class; a single one from its threshold on."""
        if self.outputs == 1:
            return Labels(np.asarray(activated[1] > self._config.threshold, np.uint8), grid=grid, names=self.classes)
        return Labels(np.asarray(activated.argmax(axis=0), np.uint8), grid=grid, names=self.classes)

    def evaluate(self, labels: Labels, truth: Labels) -> list[Row]:
        """How far each class overlaps with the truth."""
        return measure(labels.classes, truth.classes, self.classes)
