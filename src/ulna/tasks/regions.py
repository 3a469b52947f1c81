"""Regions, one within the other: does each pixel lie in the tumor, in its core, in the part that takes up contrast?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from ulna.config import TaskConfig
from ulna.errors import UlnaError
from ulna.image import IGNORE, Grid, Labels
from ulna.labels.classes import Regions
from ulna.metrics.overlap import overlap
from ulna.metrics.rows import Primary, Row
from ulna.metrics.surfaces import surface_rows
from ulna.tasks.averaging import average
from ulna.tasks.base import Maps
from ulna.tasks.components import refuse

if TYPE_CHECKING:
    from torch import Tensor

    from ulna.networks.losses import Loss


class NestedRegions:
    """A sigmoid for each region.

    Regions are learned and scored instead of the classes that they are made of: a part that is hard to tell from
    another does not matter to the region that holds both.

    Parameters
    ----------
    config
        The name of the loss, and the threshold of each region.
    classes
        Names of the classes, the background first.
    regions
        Names of the regions, each with the indices of its classes: two are apart, or one lies within the other.
    loss
        As of `Semantic`; it is taken of each region, with K = 1.

    Raises
    ------
    UlnaError
        Where there are no regions, and for weights of borders.

    References
    ----------
    Isensee, Jäger, Full, Vollmuth, Maier-Hein: nnU-Net for brain tumor segmentation. BrainLes 2020: training on
    regions, and classes painted from the outer region to the inner one.

    Examples
    --------
    >>> names, regions = ("background", "edema", "core"), (("whole", (1, 2)), ("core", (2,)))
    >>> task = NestedRegions(TaskConfig(), names, regions)
    >>> task.decode(np.array([[[0.9, 0.9, 0.1]], [[0.2, 0.8, 0.1]]], np.float32), Grid((1, 3))).classes.tolist()
    [[1, 2, 0]]
    """

    primary = Primary("dice")
    pixelwise = True
    finds_objects = False
    fits_volumes = False
    one_piece: tuple[tuple[int, ...], ...] = ()
    exclusive = 0
    fits = 0.0

    def __init__(self, config: TaskConfig, classes: Sequence[str], regions: Regions, loss: Loss | None = None) -> None:
        if not regions:
            hint = "Name them with their mask values, the outer one first: data.regions={whole: [1, 2, 3], core: [3]}"
            raise UlnaError("it is not known which regions there are", where="task.name=regions", hint=hint)
        if config.border_weight or config.borders is not None:
            raise UlnaError(
                "regions have no borders between cells",
                where="task.borders" if config.borders is not None else "task.border_weight",
                hint="Leave this setting away, or set task.name=semantic.",
            )
        refuse(config, "regions")
        self.classes = tuple(classes)
        self.probable = tuple(name for name, _ in regions)
        self.outputs = len(regions)
        self._config = config
        self._loss = loss
        self._inside = np.zeros((len(regions), 256), np.uint8)
        for place, (_, indices) in enumerate(regions):
            self._inside[place, list(indices)] = 1
        self._inside[:, IGNORE] = IGNORE
        sizes = [len(indices) for _, indices in regions]
        self._outer_first = sorted(range(len(regions)), key=lambda place: -sizes[place])
        self._own = [_own_class(place, regions) for place in range(len(regions))]
        self._parts = [_parts(place, regions) for place in range(len(regions))]

    def maps(self, labels: Tensor, grid: Grid) -> Tensor:
        """Labels (N, L, *spatial) → for each region whether a pixel lies in it, (N, K, *spatial) uint8, or `IGNORE`."""
        import torch  # who scores masks that lie in files needs none

        table = torch.from_numpy(self._inside).to(labels.device)
        return table[:, labels[:, 0].long()].transpose(0, 1).contiguous()

    def losses(self, outputs: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """A term per region, over the number of regions: the loss that is named or was passed, as of one class."""
        from ulna.networks.losses import LOSSES

        loss = self._loss or LOSSES[self._config.loss]
        return {
            name: loss(outputs[:, place, None], maps[:, place, None]) / self.outputs
            for place, name in enumerate(self.probable)
        }

    def activate(self, logits: Maps) -> Maps:
        """Logits (K, *spatial) → the probability of each region, (K, *spatial)."""
        return np.asarray(expit(logits), np.float32)

    def average(self, several: Iterable[Maps]) -> Maps:
        """Logits of the mean probabilities of several networks."""
        return average(several, self.exclusive)

    def decode(self, activated: Maps, grid: Grid) -> Labels:
        """The innermost region decides: classes are painted from the outer regions to the inner ones.

        A region without a class of its own, since others make it up, is painted as the likeliest of these. Of regions
        that are apart the smaller one, in classes, is painted later, and of two alike the one that is named later.
        """
        classes = np.zeros(grid.shape, np.uint8)
        for place in self._outer_first:
            inside = activated[place] > self._config.threshold
            own = self._own[place]
            if own is not None:
                classes[inside] = own
            else:
                parts, painted = self._parts[place]
                classes[inside] = painted[activated[parts][:, inside].argmax(axis=0)]
        return Labels(classes, grid=grid, names=self.classes)

    def fit(self, answers: Iterable[tuple[Maps, Labels]], truth: Iterable[Labels]) -> dict[str, Any]:
        """Nothing: the threshold is a setting."""
        return {}

    def fit_volumes(self, pairs: Iterable[tuple[Labels, Labels]]) -> dict[str, Any]:
        """Nothing."""
        return {}

    def evaluate(self, labels: Labels, truth: Labels, *, briefly: bool = False, apart: int | None = None) -> list[Row]:
        """How far each region overlaps the true one, and how far their surfaces (in 2D outlines) lie apart."""
        overlaps, surfaces = [], []
        known = truth.annotated
        for name, inside in zip(self.probable, self._inside, strict=True):
            found, there = inside[labels.classes], inside[truth.classes]
            overlaps += [row for one in overlap(found, there, ("", name)) for row in one.rows()]
            if not briefly:
                surfaces += surface_rows(
                    found == 1,
                    there == 1,
                    name,
                    spacing=truth.grid.spacing,
                    unit=truth.grid.unit,
                    tolerance=self._config.tolerance,
                    known=None if known.all() else known,
                )
        return [*surfaces, *overlaps]


def _own_class(place: int, regions: Regions) -> int | None:
    """The class of a region that is in no region within it, if there is one."""
    mine = set(regions[place][1])
    within = [set(indices) for _, indices in regions if set(indices) < mine]
    return min(mine.difference(*within), default=None)


def _parts(place: int, regions: Regions) -> tuple[list[int], npt.NDArray[np.uint8]]:
    """The regions within a region that have a class of their own, and these classes."""
    mine = set(regions[place][1])
    within = [other for other, (_, indices) in enumerate(regions) if set(indices) < mine]
    own = {other: found for other in within if (found := _own_class(other, regions)) is not None}
    return list(own), np.array(list(own.values()), np.uint8)
