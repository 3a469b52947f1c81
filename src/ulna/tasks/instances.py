"""Instance segmentation: which object is each pixel? Classes, and the distance from each object's border."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from skimage.measure import label

from ulna.config import TaskConfig
from ulna.image import IGNORE, Array, Grid, Labels
from ulna.metrics.objects import compare, countable
from ulna.metrics.rows import Primary, Row, added
from ulna.numbering import consecutive
from ulna.tasks.averaging import average
from ulna.tasks.base import Maps
from ulna.tasks.components import refuse
from ulna.tasks.decoding import Decoding, Example, decode, filled, fit
from ulna.tasks.semantic import Semantic
from ulna.tasks.targets import apart, distances, neighbor_distances

if TYPE_CHECKING:
    from torch import Tensor

    from ulna.networks.losses import Loss


class Instances:
    """Objects by seeds and a watershed on a learned distance map.

    Beside the classes, as in `Semantic`, the network has one more output: the distance from the border of the object
    that a pixel belongs to, divided by the object's largest one. Where it is large objects are apart, also those that
    touch; they grow from there, by a watershed, to all of the foreground. With `task.target: neighbors` a second map
    says how near another object is, which makes seeds of touching objects smaller.

    Parameters
    ----------
    config, classes, loss
        As of `Semantic`; the loss is that of the classes.

    References
    ----------
    Naylor, Laé, Reyal, Walter: Segmentation of nuclei in histopathology images by deep regression of the distance map.
    IEEE TMI 38(2), 2019.
    Scherr, Löffler, Böhland, Mikut: Cell segmentation and tracking using CNN-based distance predictions and a
    graph-based matching strategy. PLoS ONE 15(12), 2020.
    """

    primary = Primary("ap", counts="objects")
    pixelwise = False
    finds_objects = True
    fits_volumes = False
    one_piece: tuple[tuple[int, ...], ...] = ()

    @property
    def fits(self) -> float:
        """As measured on images of 256×256; nothing where all constants are set."""
        return 0.0 if len(self._given) == len(fields(Decoding)) else 3.0

    def __init__(self, config: TaskConfig, classes: Sequence[str], loss: Loss | None = None) -> None:
        self.classes = self.probable = tuple(classes)
        refuse(config, "classes of objects")
        self._semantic = Semantic(config, classes, loss)
        self._targets = {"distance": ("distance",), "neighbors": ("distance", "neighbors"), "none": ()}[config.target]
        self.outputs = self._semantic.outputs + len(self._targets)
        self.exclusive = self._semantic.exclusive
        self._given = config.decoding.known() if config.decoding else {}
        self._decoding = Decoding(**self._given)

    def maps(self, labels: Tensor, grid: Grid) -> Tensor:
        """Labels (N, L, *spatial) → the maps of the classes, then one per target, (N, M, *spatial) float32.

        With L = 1, objects are the connected regions of each class. Without a target a line of background is put
        between objects that touch, as in the U-Net paper: nothing else could part them.
        """
        import torch  # who scores masks that lie in files needs none

        numbers = [_connected(_numbers(one)) for one in labels.cpu().numpy()]
        if not self._targets:
            lines = np.stack([(one > 0) & ~apart(one) for one in numbers])
            return self._semantic.maps(labels * ~torch.from_numpy(lines).to(labels.device)[:, None], grid)
        classes = self._semantic.maps(labels, grid)
        unknown = (labels[:, 0] == IGNORE).cpu().numpy()
        made = np.stack([self._distances(*one, grid) for one in zip(numbers, unknown, strict=True)])
        return torch.cat([classes.float(), torch.from_numpy(made).to(labels.device)], dim=1)

    def _distances(self, numbers: npt.NDArray[np.int64], unknown: npt.NDArray[np.bool_], grid: Grid) -> list[Maps]:
        """The targets of objects (*spatial), some of which may go on where nothing is annotated."""
        within = distances(numbers, grid.spacing, unknown if unknown.any() else None)
        return [within] if len(self._targets) == 1 else [within, neighbor_distances(numbers, grid.spacing)]

    def losses(self, outputs: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """The loss of the classes, and the mean absolute error of each target where it is known of the foreground."""
        count = len(self._targets)
        kept = outputs.shape[1] - count
        classes = maps[:, : maps.shape[1] - count]
        terms = self._semantic.losses(outputs[:, :kept], classes)
        inside = (classes[:, :1] != 0) & (classes[:, :1] != IGNORE)
        for place, name in enumerate(self._targets):
            seen, true = outputs[:, kept + place, None], maps[:, maps.shape[1] - count + place, None]
            known = inside & (true >= 0)
            error = (seen.float().sigmoid() - true).abs() * known
            terms[name] = error.sum() / known.sum().clamp(min=1)
        return terms

    def activate(self, logits: Maps) -> Maps:
        """Logits (K, *spatial) → probabilities of the classes and the targets, (classes + targets, *spatial)."""
        kept = len(logits) - len(self._targets)
        return np.concatenate([self._semantic.activate(logits[:kept]), expit(logits[kept:])])

    def average(self, several: Iterable[Maps]) -> Maps:
        """Logits of the mean probabilities of the classes, and of the mean targets, of several networks."""
        return average(several, self.exclusive)

    def decode(self, activated: Maps, grid: Grid) -> Labels:
        """Objects numbered from 1, each of the class that is the most probable on its pixels, 0 beside them."""
        objects = decode(*self._foreground(activated), self._decoding)
        inside = (objects > 0).astype(np.uint8)
        classes = inside if len(self.classes) == 2 else _likeliest(objects, activated[1 : len(self.classes)])
        return Labels(classes, objects, grid, self.classes, _scores(objects, classes, activated))

    def fit(self, answers: Iterable[tuple[Maps, Labels]], truth: Iterable[Labels]) -> dict[str, Any]:
        """The constants of decoding that are not set, from what the network says of images held out and their truth.

        The sizes of objects, and how many have holes, come from `truth`, the labels of training images.
        """
        areas, holed = [np.zeros(0, int)], 0
        for labels in truth:
            objects = consecutive(_numbers(labels.to_array()))[1]
            areas.append(np.bincount(objects.ravel())[1:])
            holed += _holed(objects)
        sizes = np.concatenate(areas)
        examples = [
            Example(*self._foreground(said), _numbers(labels.to_array()), labels.annotated) for said, labels in answers
        ]
        found = fit(examples, sizes, holed=holed / max(1, len(sizes)), given=self._given)
        return {f"task.decoding.{key}": value for key, value in vars(found).items()}

    def fit_volumes(self, pairs: Iterable[tuple[Labels, Labels]]) -> dict[str, Any]:
        """Nothing."""
        return {}

    def evaluate(self, labels: Labels, truth: Labels, *, briefly: bool = False, apart: int | None = None) -> list[Row]:
        """The rows of the objects of each class, then those of its pixels.

        Objects of a volume that do not go on from plane to plane, as a network finds them that sees one at a time, are
        compared plane by plane.
        """
        if apart is None:
            rows = self._compared(labels, truth)
        else:
            places = range(labels.grid.shape[apart])
            planes = ((labels.plane(place, apart), truth.plane(place, apart)) for place in places)
            rows = added(self._compared(*plane) for plane in planes)
        return [*rows, *self._semantic.evaluate(labels, truth, briefly=briefly)]

    def _compared(self, labels: Labels, truth: Labels) -> list[Row]:
        """The rows of the objects of each class."""
        there, found = (_numbers(one.to_array()) for one in (truth, labels))
        rows = []
        for index, name in enumerate(self.classes[1:], start=1):
            true, seen = (np.where(one.classes == index, n, 0) for one, n in ((truth, there), (labels, found)))
            rows += compare(countable(seen, true, truth.annotated), true).rows(name)
        return rows

    def _foreground(self, activated: Maps) -> tuple[Maps, Maps]:
        """The probability that a pixel is of any object, and how deep within one it lies."""
        probability = 1 - activated[0]
        count = len(self.classes)
        if not self._targets:
            return probability, probability
        if len(self._targets) == 1:
            return probability, activated[count]
        return probability, activated[count] * (1 - activated[count + 1])


def _numbers(labels: Array) -> npt.NDArray[np.int64]:
    """Labels (L, *spatial) → the number of each pixel's object; with L = 1 objects are connected regions of a class."""
    annotated = labels[0] != IGNORE
    if len(labels) > 1:
        return np.where(annotated, labels[1], 0).astype(np.int64)
    return _connected(np.where(annotated, labels[0], 0))


def _holed(objects: npt.NDArray[np.integer]) -> int:
    """How many objects have holes."""
    whole = filled(objects)
    return len(np.unique(whole[whole != objects]))


def _connected(values: Array) -> npt.NDArray[np.int64]:
    """Regions of one value other than 0 whose pixels share faces, numbered from 1."""
    return np.asarray(label(values, connectivity=1), np.int64)  # type: ignore[no-untyped-call]


def _likeliest(objects: npt.NDArray[np.int32], probabilities: Maps) -> npt.NDArray[np.uint8]:
    """The foreground class with the highest sum of probabilities over each object, at each of its pixels."""
    sums = np.stack([np.bincount(objects.ravel(), one.ravel()) for one in probabilities])
    winners = 1 + sums.argmax(axis=0)
    winners[0] = 0
    return np.asarray(winners[objects], np.uint8)


def _scores(objects: npt.NDArray[np.int32], classes: npt.NDArray[np.uint8], activated: Maps) -> tuple[float, ...]:
    """The mean probability of each object's class over its pixels, in the order of their numbers."""
    own = np.take_along_axis(activated, classes[None].astype(np.intp), axis=0)[0]
    sums, areas = np.bincount(objects.ravel(), own.ravel())[1:], np.bincount(objects.ravel())[1:]
    return tuple((sums / areas).tolist())
