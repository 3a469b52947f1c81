"""The protocol of a task: what training, prediction and evaluation need to know of a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ulna.image import Grid, Labels
from ulna.metrics.rows import Row

Maps = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Primary:
    """The measure by which networks are compared, as rows name it, and which way is better."""

    measure: str
    higher_is_better: bool = True


class Task(Protocol):
    """A question asked of images.

    Shapes: N patches, L layers of labels (class indices and, with L = 2, numbers of objects), M maps, K `outputs`.
    """

    @property
    def outputs(self) -> int:
        """The number of the network's output channels, K."""
        ...

    @property
    def primary(self) -> Primary:
        """By what it is judged."""
        ...

    def maps(self, labels: Tensor, grid: Grid) -> Tensor:
        """What is learned from labels: (N, L, *spatial), already augmented, → (N, M, *spatial).

        `grid` is that of a patch. An object that augmentation or the patch's border cut in two is two.
        """
        ...

    def losses(self, outputs: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """Logits (N, K, *spatial) and maps → the terms of the loss, whose sum is made small; each a scalar."""
        ...

    def activate(self, logits: Maps) -> Maps:
        """Logits (K, *spatial) → the probability of each class, the background first, then further maps."""
        ...

    def decode(self, activated: Maps, grid: Grid) -> Labels:
        """What `activate` gave, (…, *spatial), → labels on this grid."""
        ...

    def evaluate(self, labels: Labels, truth: Labels) -> list[Row]:
        """Predicted and true labels → rows of the long table, without case and group. `IGNORE` counts for nothing."""
        ...
