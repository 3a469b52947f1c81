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

from ulna.figures.common import (
    Rgb,
    annotated,
    color,
    edges,
    elided,
    flatness,
    new_figure,
    plane,
    save_figure,
    show,
    to_rgb,
    words,
)
from ulna.image import Array, is_foreground
from ulna.text import size

COLUMNS = 4
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
    """

    name: str
    image: Array
    mask: Array
    objects: Array | None = None


def samples_picture(path: Path, samples: Sequence[Sample], classes: Sequence[str]) -> Path:
    """Write a picture of samples, image and mask side by side.

    Volumes show the plane that holds most of the mask.

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


def samples_figure(samples: Sequence[Sample], classes: Sequence[str]) -> Figure:
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
    columns = min(COLUMNS, max(len(samples), 1))
    rows = max(ceil(len(samples) / columns), 1)
    tallest = max((flatness(sample.image.shape) for sample in samples), default=1.0)
    figure = new_figure(3.3 * columns, (1.55 * tallest + 0.3) * rows + (0.35 if len(classes) > 2 else 0.05))
    for index, sample in enumerate(samples):
        left, right = (figure.add_subplot(rows, 2 * columns, 2 * index + side) for side in (1, 2))
        plain, masked = _pair(sample)
        show(left, plain, elided(sample.name), size=7)
        show(right, masked, size(sample.image.shape[1:]), size=7)
    if len(classes) > 2:
        patches = [
            Patch(color="#{:02x}{:02x}{:02x}".format(*color(index)), label=words(name))
            for index, name in enumerate(classes)
            if index
        ]
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=8)
    return figure


def _pair(sample: Sample) -> tuple[Rgb, Rgb]:
    at = _fullest(sample.mask)
    plain = to_rgb(plane(sample.image, at))
    mask = plane(sample.mask, at)[0]
    masked = annotated(plain, mask, opacity=0.4)
    if sample.objects is not None:
        inner = edges(plane(sample.objects, at)[0], width=max(1, round(max(mask.shape) / 256)))
        masked[inner & is_foreground(mask)] = color(1)
    return plain, masked


def _fullest(mask: Array) -> int | None:
    """The plane of a volume with most of the mask; None in 2D."""
    return int(is_foreground(mask[0]).sum(axis=(1, 2)).argmax()) if mask.ndim == 4 else None


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
