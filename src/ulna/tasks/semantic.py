"""Semantic segmentation: which class is each pixel?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import expit, softmax

from ulna.config import TaskConfig, nearest
from ulna.errors import UlnaError
from ulna.image import IGNORE, Array, Grid, Labels
from ulna.metrics.borders import border_rows
from ulna.metrics.overlap import measure
from ulna.metrics.rows import ALL_CLASSES, Primary, Row
from ulna.metrics.surfaces import surface_rows
from ulna.numbering import consecutive
from ulna.tasks.averaging import average
from ulna.tasks.base import Maps
from ulna.tasks.components import indices_of, single
from ulna.tasks.targets import border_weights

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

    Raises
    ------
    UlnaError
        When `task.borders` or `task.largest_component` names no class.
    """

    primary = Primary("dice")
    pixelwise = True
    finds_objects = False
    fits = 0.0

    def __init__(self, config: TaskConfig, classes: Sequence[str], loss: Loss | None = None) -> None:
        self.classes = self.probable = tuple(classes)
        self.outputs = 1 if len(self.classes) == 2 else len(self.classes)
        self.exclusive = 0 if self.outputs == 1 else self.outputs
        self._config = config
        self._loss = loss
        if config.borders is not None and config.borders not in self.classes:
            known = nearest(config.borders, self.classes)
            raise UlnaError(f"there is no class '{config.borders}'.{known}", where="task.borders")
        self.fits_volumes = config.largest_component is None
        self.one_piece = tuple(indices_of(name, self.classes) for name in config.largest_component or ())

    def maps(self, labels: Tensor, grid: Grid) -> Tensor:
        """Labels (N, L, *spatial) → class indices (N, 1, *spatial); with border weights, these behind them, as floats.

        Where objects are not known (L = 1) the connected regions of the foreground are taken for objects.
        """
        if not self._config.border_weight:
            return labels[:, :1]
        import torch

        made = [_weights(one, self._config, grid) for one in labels.cpu().numpy()]
        return torch.cat([labels[:, :1].float(), torch.from_numpy(np.stack(made)[:, None]).to(labels.device)], dim=1)

    def losses(self, outputs: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """One term: the loss that the configuration names, or the function that was passed."""
        from ulna.networks.losses import LOSSES, WEIGHTED  # who scores masks that lie in files needs no torch

        truth = maps[:, :1].byte()
        if self._config.border_weight:
            return {"classes": WEIGHTED[self._config.loss](outputs, truth, maps[:, 1:2])}
        loss = self._loss or LOSSES[self._config.loss]
        return {"classes": loss(outputs, truth)}

    def activate(self, logits: Maps) -> Maps:
        """Logits (K, *spatial) → probabilities (classes, *spatial), the background first; they sum to 1."""
        if self.outputs == 1:
            foreground = expit(logits)
            return np.concatenate([1 - foreground, foreground])
        return np.asarray(softmax(logits, axis=0), np.float32)

    def average(self, several: Iterable[Maps]) -> Maps:
        """Logits of the mean probabilities of several networks."""
        return average(several, self.exclusive)

    def decode(self, activated: Maps, grid: Grid) -> Labels:
        """Probabilities (classes, *spatial) → the likeliest class; a single one from its threshold on."""
        if self.outputs == 1:
            return Labels(np.asarray(activated[1] > self._config.threshold, np.uint8), grid=grid, names=self.classes)
        return Labels(np.asarray(activated.argmax(axis=0), np.uint8), grid=grid, names=self.classes)

    def fit(self, answers: Iterable[tuple[Maps, Labels]], truth: Iterable[Labels]) -> dict[str, Any]:
        """Nothing: the likeliest class needs no constants."""
        return {}

    def fit_volumes(self, pairs: Iterable[tuple[Labels, Labels]]) -> dict[str, Any]:
        """Of which classes only the largest component is kept."""
        names = single(pairs, self.classes)
        return {"task.largest_component": names} if names else {}

    def evaluate(self, labels: Labels, truth: Labels, *, briefly: bool = False, apart: int | None = None) -> list[Row]:
        """How far each class overlaps the truth; of volumes how far their surfaces lie apart, too, in their unit.

        Where `task.borders` asks for it, how well borders part cells comes first.
        """
        rows = measure(labels.classes, truth.classes, self.classes)
        return rows if briefly else [*self._borders(labels, truth), *self._surfaces(labels, truth), *rows]

    def _borders(self, labels: Labels, truth: Labels) -> list[Row]:
        if self._config.borders is None:
            return []
        borders = self.classes.index(self._config.borders)
        found, there = labels.classes != borders, (truth.classes != borders) & truth.annotated
        return border_rows(
            found, there, self.classes[borders or 1] if borders or len(self.classes) == 2 else ALL_CLASSES
        )

    def _surfaces(self, labels: Labels, truth: Labels) -> list[Row]:
        """Of volumes; a surface where the annotation ends is none of an organ."""
        if truth.classes.ndim != 3:
            return []
        known = None if truth.annotated.all() else truth.annotated
        rows = []
        for index, name in enumerate(self.classes[1:], start=1):
            rows += surface_rows(
                labels.classes == index,
                truth.classes == index,
                name,
                spacing=truth.grid.spacing,
                unit=truth.grid.unit,
                tolerance=self._config.tolerance,
                known=known,
            )
        return rows


def _weights(labels: Array, config: TaskConfig, grid: Grid) -> npt.NDArray[np.float32]:
    """The weight of each pixel (*spatial): that of its class, and more where two objects are close to each other."""
    numbers = np.where(labels[0] == IGNORE, 0, labels[-1])
    objects = consecutive(numbers)[1] if len(labels) > 1 else ndimage.label(numbers)[0]
    pixel = min(grid.spacing)  # sigma is in pixels
    spacing = [side / pixel for side in grid.spacing]
    made = 1 + border_weights(objects, w0=config.border_weight, sigma=config.border_sigma, spacing=spacing)
    if config.class_weights:
        own = np.ones(256, np.float32)
        own[: len(config.class_weights)] = config.class_weights
        made += own[labels[0]] - 1
    return made.astype(np.float32)
