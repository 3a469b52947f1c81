"""Instance segmentation: which object is each pixel? Classes, and the distance from each object's border."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from skimage.measure import label
from skimage.segmentation import watershed

from ulna.config import TaskConfig
from ulna.image import IGNORE, Array, Grid, Labels
from ulna.metrics.rows import Primary, Row, state
from ulna.tasks.base import Maps
from ulna.tasks.semantic import Semantic
from ulna.tasks.targets import distances

if TYPE_CHECKING:
    from torch import Tensor

    from ulna.networks.losses import Loss

SEED = 0.5
"""From this share of an object's largest distance on, a pixel is a seed of an object."""

MATCHED = 0.5
"""A predicted object is the true one that it overlaps with by more than this intersection over union."""


class Instances:
    """Objects by seeds and a watershed on a learned distance map.

    Beside the classes, as in `Semantic`, the network has one more output: the distance from the border of the object
    that a pixel belongs to, divided by the object's largest one. Where it is large objects are apart, also those that
    touch; they grow from there, by a watershed, to all of the foreground.

    Parameters
    ----------
    config, classes, loss
        As of `Semantic`; the loss is that of the classes.

    References
    ----------
    Naylor, Laé, Reyal, Walter: Segmentation of nuclei in histopathology images by deep regression of the distance map.
    IEEE TMI 38(2), 2019.
    """

    primary = Primary("ap_50", counts="objects")
    pixelwise = False

    def __init__(self, config: TaskConfig, classes: Sequence[str], loss: Loss | None = None) -> None:
        self.classes = tuple(classes)
        self._semantic = Semantic(config, classes, loss)
        self.outputs = self._semantic.outputs + 1

    def maps(self, labels: Tensor, grid: Grid) -> Tensor:
        """Labels (N, L, *spatial) → class indices and distances, (N, 2, *spatial) float32.

        With L = 1, objects are the connected regions of each class.
        """
        import torch  # who scores masks that lie in files needs none

        made = [distances(_objects(one), grid.spacing) for one in labels.cpu().numpy()]
        found = torch.from_numpy(np.stack(made)).to(labels.device)
        return torch.cat([labels[:, :1].float(), found[:, None]], dim=1)

    def losses(self, outputs: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """The loss of the classes, and the mean absolute error of the distance within the annotated foreground."""
        classes = maps[:, :1].byte()
        inside = (classes != 0) & (classes != IGNORE)
        error = (outputs[:, -1:].float().sigmoid() - maps[:, 1:]).abs() * inside
        distance = error.sum() / inside.sum().clamp(min=1)
        return self._semantic.losses(outputs[:, :-1], classes) | {"distance": distance}

    def activate(self, logits: Maps) -> Maps:
        """Logits (K, *spatial) → probabilities of the classes and the distance, (classes + 1, *spatial)."""
        return np.concatenate([self._semantic.activate(logits[:-1]), expit(logits[-1:])])

    def decode(self, activated: Maps, grid: Grid) -> Labels:
        """Classes as in `Semantic`; objects numbered from 1, each of the class that most of its pixels have."""
        classes = self._semantic.decode(activated[:-1], grid).classes
        foreground, distance = classes != 0, activated[-1]
        seeds = _connected(foreground & (distance >= SEED))
        objects = np.asarray(watershed(-distance, seeds, mask=foreground))  # type: ignore[no-untyped-call]
        rest = _connected(foreground & (objects == 0))  # regions without a seed
        objects = np.where(rest > 0, rest + objects.max(initial=0), objects).astype(np.int32)
        if len(self.classes) > 2:
            classes = _majority(objects, classes, len(self.classes))
        return Labels(classes, objects, grid, self.classes)

    def evaluate(self, labels: Labels, truth: Labels) -> list[Row]:
        """The rows of the classes, and for the objects of all classes TP / (TP + FP + FN) at an IoU of .5."""
        kept = truth.annotated
        there, found = (_objects(one.to_array()) * kept for one in (truth, labels))
        matched = _matches(found, there)
        false, missed = (len(np.unique(one[one > 0])) - matched for one in (found, there))
        said = state(present=matched + missed > 0, found=matched + false > 0)
        objects = Row("objects", "ap_50", matched, matched + false + missed, state=said)
        return [*self._semantic.evaluate(labels, truth), objects]


def _connected(values: Array) -> npt.NDArray[np.int64]:
    """Regions of one value other than 0 whose pixels share faces, numbered from 1."""
    return np.asarray(label(values, connectivity=1), np.int64)  # type: ignore[no-untyped-call]


def _objects(labels: Array) -> npt.NDArray[np.int64]:
    """Labels (L, *spatial) → the number of each pixel's object, from 1 on; what is not connected is not one object."""
    numbers = labels[-1] if len(labels) > 1 else labels[0]
    return _connected(np.where(labels[0] == IGNORE, 0, numbers))


def _majority(objects: npt.NDArray[np.int32], classes: Array, count: int) -> npt.NDArray[np.uint8]:
    """The foreground class that most pixels of each object have, at each of its pixels."""
    pairs = objects.ravel().astype(np.int64) * count + classes.ravel()
    table = np.bincount(pairs, minlength=count * (int(objects.max(initial=0)) + 1)).reshape(-1, count)
    winners = 1 + table[:, 1:].argmax(axis=1)
    winners[0] = 0
    return np.asarray(winners[objects], np.uint8)


def _matches(found: npt.NDArray[np.int64], there: npt.NDArray[np.int64]) -> int:
    """How many predicted objects overlap with a true one by more than `MATCHED`; above .5 no two match the same."""
    width = int(there.max(initial=0)) + 1
    pairs, shared = np.unique(found.ravel() * width + there.ravel(), return_counts=True)
    first, second = pairs // width, pairs % width
    union = np.bincount(found.ravel())[first] + np.bincount(there.ravel())[second] - shared
    return int(np.count_nonzero((first > 0) & (second > 0) & (shared > MATCHED * union)))
