"""Tasks: one file a question asked of an image. Nothing outside this room asks which task it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ulna.config import TaskConfig
from ulna.image import Array
from ulna.metrics import Overlap
from ulna.tasks.semantic import Semantic


class Task(Protocol):
    """What training, prediction and evaluation need to know of a question.

    `outputs` is the number of the network's output channels, K.
    """

    outputs: int

    def targets(self, truth: Tensor) -> Tensor:
        """Class indices (N, 1, *spatial) → what `loss` compares with, (N, any, *spatial)."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Logits (N, K, *spatial) and targets → a number to make small."""
        ...

    def probabilities(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits (K, *spatial) → probabilities, one channel a class, the background first."""
        ...

    def decode(self, outputs: npt.NDArray[np.float32]) -> Array:
        """Logits (K, *spatial) → class indices (1, *spatial) uint8."""
        ...

    def scores(self, mask: Array, truth: Array) -> list[Overlap]:
        """Two arrays of class indices (1, *spatial) → one record a class."""
        ...


TASKS: dict[str, Callable[[TaskConfig, Sequence[str]], Task]] = {"semantic": Semantic}


def build(config: TaskConfig, classes: Sequence[str]) -> Task:
    """The task that a configuration names, for these classes (background first)."""
    return TASKS[config.name](config, classes)
