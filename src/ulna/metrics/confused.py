"""Which classes were taken for which: pixels and, where objects are told apart, objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ulna.image import Array, Labels
from ulna.metrics.objects import FOUND, compare, countable
from ulna.metrics.overlap import Counts, confusion
from ulna.numbering import consecutive

Matrix = tuple[tuple[int, ...], ...]
"""Counts: true classes are rows, predicted ones columns."""

FEWEST = 3
"""Classes, the background included, from which on there is something to confuse: of one alone precision and recall
say all."""


@dataclass(frozen=True)
class Confusion:
    """Counts of what was taken for what; true classes are rows, predicted ones columns.

    Parameters
    ----------
    pixels
        (K, K), the background first; empty where there is one class.
    objects
        (K, K) objects; the first row holds false positives, the first column what was missed. Empty where objects are
        not told apart.
    """

    pixels: Matrix = ()
    objects: Matrix = ()

    def __add__(self, other: Confusion) -> Confusion:
        """Both counted together."""
        return Confusion(_sum(self.pixels, other.pixels), _sum(self.objects, other.objects))

    @classmethod
    def of(cls, found: Labels, truth: Labels, classes: int, *, apart: int | None = None) -> Confusion:
        """Count what the classes of a prediction are in truth.

        A predicted object is compared with the true one that it has an intersection over union above .5 with, whatever
        the class of both: one that was found and given another class is counted as that, not as missed. The class of an
        object is that of most of its pixels. What is not annotated counts for nothing.

        Parameters
        ----------
        found, truth
            Labels of one shape.
        classes
            How many classes there are, the background included.
        apart
            The axis along which objects are those of single planes; None: they go on.

        Returns
        -------
        Confusion
            Empty for fewer than three classes.

        Examples
        --------
        >>> truth, found = (Labels(np.array(one, np.uint8)) for one in ([0, 1, 2, 2], [0, 1, 1, 2]))
        >>> Confusion.of(found, truth, 3).pixels
        ((1, 0, 0), (0, 1, 0), (0, 1, 1))
        """
        if classes < FEWEST:
            return cls()
        pixels = confusion(found.classes, truth.classes, classes)
        if found.objects is None or truth.objects is None:
            return cls(_matrix(pixels))
        if apart is None:
            return cls(_matrix(pixels), _matrix(_objects(found, truth, classes)))
        planes = range(found.grid.shape[apart])  # as in the scores: these objects do not go on from plane to plane
        counts = sum(_objects(found.plane(one, apart), truth.plane(one, apart), classes) for one in planes)
        return cls(_matrix(pixels), _matrix(np.asarray(counts)))

    @classmethod
    def from_json(cls, words: dict[str, Any]) -> Confusion:
        """What `dataclasses.asdict` wrote, read back from JSON.

        Parameters
        ----------
        words
            Lists of lists by name; what is missing is empty.

        Returns
        -------
        Confusion
            As it was.
        """
        return cls(*(tuple(map(tuple, words.get(name, ()))) for name in ("pixels", "objects")))

    def as_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """What `metrics.json` holds.

        Parameters
        ----------
        classes
            Names of the class indices, the background first.

        Returns
        -------
        dict
            Empty where there is nothing to confuse.
        """
        if not self.pixels:
            return {}
        found = {"classes": list(classes), "pixels": [list(row) for row in self.pixels]}
        return found | ({"objects": [list(row) for row in self.objects]} if self.objects else {})


NOT_CONFUSED = Confusion()


def _objects(found: Labels, truth: Labels, classes: int) -> Counts:
    true = np.where(truth.annotated, np.asarray(truth.objects), 0)
    seen = countable(np.asarray(found.objects), true, truth.annotated)
    overlap = compare(seen, true)
    there, here = (_classes(*pair, classes) for pair in ((true, truth.classes), (seen, found.classes)))
    matched = overlap.matched(FOUND)
    own, other = overlap.true_index[matched], overlap.found_index[matched]
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (there[own], here[other]), 1)
    np.add.at(counts[:, 0], np.delete(there, own), 1)
    np.add.at(counts[0], np.delete(here, other), 1)
    return counts


def _classes(objects: Array, labels: Array, classes: int) -> Array:
    """The class of each object, in the order of their numbers: that of most of its pixels, never the background."""
    numbers, places = consecutive(objects)
    inside = (places > 0) & (labels > 0) & (labels < classes)
    pairs = places[inside].astype(np.int64) * classes + labels[inside]
    counts = np.bincount(pairs, minlength=(len(numbers) + 1) * classes).reshape(-1, classes)
    return np.asarray(1 + counts[1:, 1:].argmax(axis=1))


def _matrix(counts: Counts) -> Matrix:
    return tuple(tuple(row) for row in counts.tolist())


def _sum(one: Matrix, other: Matrix) -> Matrix:
    """Of cases without a matrix that of the others."""
    return _matrix(np.asarray(one) + np.asarray(other)) if one and other else one or other
