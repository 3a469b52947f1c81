"""Masks of classes: which class is each pixel?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax
from torch import Tensor

from ulna.config import TaskConfig
from ulna.image import Array
from ulna.metrics import Overlap, overlap
from ulna.networks.losses import LOSSES, Loss


class Semantic:
    """One foreground class is a sigmoid on one channel; more are a softmax over all classes."""

    def __init__(self, config: TaskConfig, classes: Sequence[str], loss: Loss | None = None) -> None:
        self.classes = tuple(classes)
        self.outputs = 1 if len(self.classes) == 2 else len(self.classes)
        self._threshold = config.threshold
        self._loss = loss or LOSSES[config.loss]

    def targets(self, truth: Tensor) -> Tensor:
        """Labels (N, L, *spatial): the class indices (N, 1, *spatial), as they are."""
        return truth[:, :1]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss that the configuration names, or the function that was passed."""
        return self._loss(outputs, targets)

    def probabilities(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits (K, *spatial) → probabilities (classes, *spatial), the background first; they sum to 1."""
        if self.outputs == 1:
            foreground = expit(outputs)
            return np.concatenate([1 - foreground, foreground])
        return np.asarray(softmax(outputs, axis=0), np.float32)

    def decode(self, outputs: npt.NDArray[np.float32]) -> Array:
        """Logits (K, *spatial) → class indices (1, *spatial) uint8."""
        if self.outputs == 1:
            # the logit of the threshold: no exponential for every pixel
            return np.asarray(outputs > np.log(self._threshold / (1 - self._threshold)), np.uint8)
        return np.asarray(outputs.argmax(axis=0, keepdims=True), np.uint8)

    def scores(self, mask: Array, truth: Array) -> list[Overlap]:
        """One `Overlap` a foreground class."""
        return overlap(mask, truth[:1], self.classes)
