"""`Fingerprint`: what the plan knows of the data and of the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ulna.config import DataConfig
from ulna.image import IGNORE, Array, Grid
from ulna.labels.classes import Regions
from ulna.labels.touching import Touching, find_touching
from ulna.memory import free_memory
from ulna.numbering import consecutive
from ulna.resampling import planned_shape
from ulna.store import Intensities, Store
from ulna.store.intensities import ChannelIntensities, channel_intensities

MAX_INSPECTED = 100
"""In how many masks objects are counted, at most."""

MAX_POOLED, MAX_VALUES = 400, 4000
"""In how many images the foreground is measured, and how many of its pixels in each, at most."""


@dataclass(frozen=True)
class Fingerprint:
    """The facts that the plan decides on.

    Parameters
    ----------
    channels
        The number of channels of every image.
    shapes, spacings, unit
        Per image, the spatial shape and the distance of its pixels, in this unit; "" where images have several.
    classes
        Names of the classes, the background first.
    objects
        How many objects an image has, the median of those that have any. Where masks do not number them, an object is
        a connected region of foreground.
    numbered
        Whether the masks number their objects.
    touching
        Where they do not, how many connected pieces were counted, and how many look like several objects.
    object_sizes
        Pixels of the objects: the 5th, 50th and 95th percentile; empty where there is none.
    class_shares
        The share of the annotated pixels that each class has.
    regions
        The names of regions, where some are stated, with the indices of the classes of each.
    groups
        The number of groups of images.
    foreground
        The intensities of the annotated foreground of all images together; None where there is none.
    intensities, suffixes, files
        The intensity fingerprint of each image, the kinds of its files, and how many files make one image at most.
    names
        Of the channels of an image as it lies in its files, of which `channels` may be used.
    channel_names
        The same where all images name them alike; else empty.
    memory, cores
        Free bytes and processor cores of this machine.
    """

    channels: int
    shapes: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]
    objects: float
    numbered: bool = False
    touching: Touching | None = None
    object_sizes: tuple[float, ...] = ()
    class_shares: tuple[float, ...] = ()
    regions: Regions = ()
    spacings: tuple[tuple[float, ...], ...] = ()
    unit: str = "pixel"
    groups: int = 0
    foreground: ChannelIntensities | None = None
    intensities: tuple[Intensities, ...] = ()
    suffixes: tuple[str, ...] = ()
    files: int = 1
    names: tuple[str, ...] = ()
    channel_names: tuple[str, ...] = ()
    memory: int = 0
    cores: int = 1

    @property
    def region_shares(self) -> tuple[tuple[str, float], ...]:
        """The share of the annotated pixels that each region has."""
        return tuple((name, sum(self.class_shares[index] for index in indices)) for name, indices in self.regions)

    def at(self, target: tuple[float, ...] | None, unit: str) -> Fingerprint:
        """The facts of the same images at another spacing, in a unit; 0 leaves an axis as it is."""
        if not target:
            return self
        seen = DataConfig(target_spacing=target, unit=unit)
        grids = [Grid(shape, own, self.unit) for shape, own in zip(self.shapes, self.spacings, strict=True)]
        both = [grid.resampled(shape=planned_shape(grid, seen)) for grid in grids]
        shapes, spacings = (tuple(getattr(grid, name) for grid in both) for name in ("shape", "spacing"))
        return replace(self, shapes=shapes, spacings=spacings)

    @classmethod
    def of(cls, store: Store, classes: tuple[str, ...], regions: Regions = ()) -> Fingerprint:
        """The facts of the images to be learned from; objects are counted in at most `MAX_INSPECTED` of them."""
        inspected = np.linspace(0, len(store) - 1, min(len(store), MAX_INSPECTED)).round().astype(int).tolist()
        sizes = [_object_sizes(store.truth(case)) for case in inspected]
        pixels = np.concatenate(sizes)
        numbered = any(len(store.truth(case)) > 1 for case in inspected)
        units = {case.grid.unit for case in store.cases}
        totals = np.array([sum(case.counts.get(label, 0) for case in store.cases) for label in range(len(classes))])
        return cls(
            channels=store.shapes[0][0],
            shapes=tuple(shape[1:] for shape in store.shapes),
            classes=classes,
            objects=float(np.median([len(found) for found in sizes if len(found)] or [0])),
            numbered=numbered,
            touching=None if numbered else find_touching(_annotated(store.truth(case)) for case in inspected),
            object_sizes=tuple(np.percentile(pixels, (5, 50, 95)).tolist()) if len(pixels) else (),
            class_shares=tuple((totals / max(totals.sum(), 1)).tolist()),
            regions=regions,
            spacings=tuple(case.grid.spacing for case in store.cases),
            unit=units.pop() if len(units) == 1 else "",
            groups=len(set(store.groups)),
            foreground=_foreground(store),
            intensities=tuple(case.intensities for case in store.cases),
            suffixes=tuple(sorted({case.suffix for case in store.cases})),
            files=max(case.files for case in store.cases),
            names=store.cases[0].channels,
            channel_names=store.cases[0].channels if len({case.channels for case in store.cases}) == 1 else (),
            memory=free_memory(),
            cores=os.cpu_count() or 1,
        )


def _object_sizes(labels: Array) -> npt.NDArray[np.int64]:
    """Pixels of each object of labels (L, *spatial): those with a number, or connected regions of foreground.

    Where little is annotated, as by strokes, pieces are of one object that no annotated background parts.
    """
    inside = _annotated(labels) > 0
    sparse = 2 * np.count_nonzero(labels[0] == IGNORE) > labels[0].size
    numbers = labels[1] if len(labels) > 1 else ndimage.label(labels[0] > 0 if sparse else inside)[0]
    return np.bincount(consecutive(np.where(inside, numbers, 0))[1].ravel())[1:]


def _foreground(store: Store) -> ChannelIntensities | None:
    """The intensities of the foreground of at most `MAX_POOLED` images, each with at most `MAX_VALUES` pixels."""
    shown = np.array([index for index, case in enumerate(store.cases) if any(case.counts)])
    found = []
    for index in _evenly(shown, MAX_POOLED).tolist():
        coordinates, counts = store.coordinates(index), store.cases[index].counts
        total = sum(counts[label] for label in coordinates if label)
        raw = store.raw(index)
        for label, places in coordinates.items():
            if label:
                share = max(1, round(MAX_VALUES * counts[label] / total))
                found.append(raw.reshape(len(raw), -1)[:, _evenly(places, share)].ravel())
    return channel_intensities(np.concatenate(found).astype(np.float64)) if found else None


def _evenly(values: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """At most so many of the values, evenly."""
    places = np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int)
    return np.asarray(values[places])


def _annotated(labels: Array) -> Array:
    """The classes of labels (L, *spatial), with background for what is not annotated."""
    return np.where(labels[0] == IGNORE, 0, labels[0])
