"""The picture of a data set: a few images, and the same images with their true masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy.cluster import hierarchy

from ulna.figures.annotated import annotated
from ulna.figures.colors import color, shade
from ulna.figures.common import Rgb, darkened, elided, flatness, new_figure, outlined, save_figure, show, to_rgb, words
from ulna.figures.orthogonal import Orthogonal, orthogonal
from ulna.figures.planes import fullest, is_crowded
from ulna.figures.sections import page
from ulna.grid import UNPLACED, Grid
from ulna.image import IGNORE, Array, is_foreground
from ulna.numbering import consecutive
from ulna.text import size

COLUMNS = 4
VOLUMES = 2  # beside each other
MOST = 1000  # cases that are compared at most


@dataclass(frozen=True)
class Sample:
    """One case to show.

    Parameters
    ----------
    name
        Of the case.
    image
        (C, *spatial).
    mask
        (1, *spatial) class indices.
    objects
        (1, *spatial) numbered objects, where they are known: each is then outlined by itself.
    grid
        Where the pixels lie; by default a grid of unit pixels.
    shape
        The size that is named; by default that of the image.
    """

    name: str
    image: Array
    mask: Array
    objects: Array | None = None
    grid: Grid = UNPLACED
    shape: tuple[int, ...] = ()

    def reduced(self, classes: Sequence[str]) -> Sample | Orthogonal:
        """What is drawn of it, for which no volume has to stay in memory.

        Parameters
        ----------
        classes
            Names of the class indices, the background first.

        Returns
        -------
        Sample or Orthogonal
            Of an image itself; of a volume planes with outlines or, where these would hide it, its fullest plane.
        """
        if self.image.ndim == 3:
            return self
        drawn = is_foreground(self.mask[0])
        if not is_crowded(drawn if self.objects is None else drawn * self.objects[0]):
            return self.in_planes(classes)
        at = fullest(drawn)
        objects = None if self.objects is None else self.objects[:, at].copy()
        return Sample(self.name, self.image[:, at].copy(), self.mask[:, at].copy(), objects, shape=self.mask.shape[1:])

    def in_planes(self, classes: Sequence[str]) -> Orthogonal:
        """The same as planes with outlines.

        Parameters
        ----------
        classes
            Names of the class indices, the background first.

        Returns
        -------
        Orthogonal
            Of an image it is the only plane.
        """
        grid = self.grid if self.grid.shape else Grid(self.mask.shape[1:])
        truth = self.mask if self.objects is None else np.concatenate([self.mask, self.objects])
        return orthogonal(f"{self.name}, {size(grid.shape)}", self.image, grid, truth=truth, names=classes)


def samples_picture(path: Path, samples: Sequence[Sample | Orthogonal], classes: Sequence[str]) -> Path:
    """Write a picture of samples, image and mask side by side.

    Of volumes three planes are shown through the largest region of the mask, with its outlines; where these would hide
    the image, as those of membranes do, the plane that holds most of the mask.

    Parameters
    ----------
    path
        Where to.
    samples
        The cases to show.
    classes
        Names of the class indices, the background first.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    UlnaError
        Where the file cannot be written.
    """
    return save_figure(samples_figure(samples, classes), path)


def samples_figure(samples: Sequence[Sample | Orthogonal], classes: Sequence[str]) -> Figure:
    """The figure of `samples_picture`.

    Parameters
    ----------
    samples
        The cases to show.
    classes
        Names of the class indices, the background first.

    Returns
    -------
    Figure
        It belongs to no window.
    """
    samples = [sample.reduced(classes) if isinstance(sample, Sample) else sample for sample in samples]
    flat = [sample for sample in samples if isinstance(sample, Sample)]
    if len(flat) < len(samples):
        drawn = [sample.in_planes(classes) if isinstance(sample, Sample) else sample for sample in samples]
        across = min(VOLUMES, len(drawn))
        return page(drawn, classes, width=6.6 * across, columns=across)
    columns = min(COLUMNS, max(len(flat), 1))
    rows = max(ceil(len(flat) / columns), 1)
    tallest = max((flatness(sample.image.shape) for sample in flat), default=1.0)
    figure = new_figure(3.3 * columns, (1.55 * tallest + 0.3) * rows + (0.35 if len(classes) > 2 else 0.05))
    for index, sample in enumerate(flat):
        left, right = (figure.add_subplot(rows, 2 * columns, 2 * index + side) for side in (1, 2))
        plain, masked = _pair(sample)
        show(left, plain, elided(sample.name), size=7)
        show(right, masked, size(sample.shape or sample.image.shape[1:]), size=7)
    if len(classes) > 2:
        patches = [
            Patch(facecolor=shade(color(index)), edgecolor="black", linewidth=0.5, label=words(name))
            for index, name in enumerate(classes)
            if index
        ]
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=8)
    return figure


def _pair(sample: Sample) -> tuple[Rgb, Rgb]:
    plain = to_rgb(sample.image)
    mask = sample.mask[0]
    if sample.objects is None:
        return plain, annotated(plain, mask, opacity=0.4)
    names, objects = consecutive(np.where(is_foreground(mask), sample.objects[0], 0))
    classes = np.zeros(len(names) + 1, np.intp)
    classes[objects] = mask  # of the pixels of an object any: they are of one class
    classes[0] = 0
    tinted = np.array([color(int(index)) for index in classes])
    width = max(1, round(max(mask.shape) / 256))  # samples are shown small
    return plain, outlined(darkened(plain, mask == IGNORE), objects, tinted, opacity=0.4, width=width)


def spread(features: Array, count: int) -> list[int]:
    """Cases that stand for all: the middle of each cluster.

    Clusters on standardized features, the largest first. The same features give the same choice. Of more than 1,000
    cases, 1,000 evenly chosen ones are compared.

    Parameters
    ----------
    features
        (cases, features).
    count
        So many are chosen at most.

    Returns
    -------
    list of int
        Rows of `features`.

    References
    ----------
    Ward 1963, Hierarchical grouping to optimize an objective function, J. Am. Stat. Assoc. 58:236.
    """
    chosen = np.unique(np.linspace(0, len(features) - 1, min(len(features), MOST)).round().astype(int))
    if len(chosen) <= count:
        return [int(index) for index in chosen]
    values = features[chosen].astype(np.float64)
    values = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-9)
    labels = hierarchy.fcluster(hierarchy.linkage(values, "ward"), count, "maxclust")
    middles = []
    for label in sorted(np.unique(labels), key=lambda label: (-int((labels == label).sum()), int(label))):
        members = np.flatnonzero(labels == label)
        distance = ((values[members] - values[members].mean(axis=0)) ** 2).sum(axis=1)
        middles.append(int(chosen[members[distance.argmin()]]))
    return middles
