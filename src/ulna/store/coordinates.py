"""Where the foreground of a case lies: places to center patches on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ulna.image import IGNORE, Array

Coordinates = dict[int, npt.NDArray[np.int64]]
"""By class, flat indices of (some of) its pixels."""

MAX_COORDINATES = 4096
"""So many pixels per class and case are remembered, at most; a large class is represented by a random choice."""

AT_ONCE = 1 << 22
"""Pixels that are searched at once, which bounds the memory."""


def foreground_coordinates(labels: Array, *, most: int = MAX_COORDINATES) -> tuple[dict[int, int], Coordinates]:
    """How many pixels each class has, and where those of the foreground lie.

    Parameters
    ----------
    labels
        (*spatial) class indices; 0 is the background, `IGNORE` counts for nothing.
    most
        Of a class with more pixels, so many are chosen at random, always the same ones.

    Returns
    -------
    counts
        The number of pixels of each class that is present, the background included.
    coordinates
        For each foreground class that is present, flat indices into `labels`, rising. Where some pixels are to be
        ignored, also for the background: patches must not be centered anywhere.

    Examples
    --------
    >>> counts, coordinates = foreground_coordinates(np.array([[0, 2, 1], [0, 1, 0]], np.uint8))
    >>> counts
    {0: 3, 1: 2, 2: 1}
    >>> {label: places.tolist() for label, places in coordinates.items()}
    {1: [2, 4], 2: [1]}
    """
    flat = labels.reshape(-1)
    parts = range(0, flat.size, AT_ONCE)
    found = sum(
        (np.bincount(flat[start : start + AT_ONCE], minlength=IGNORE + 1) for start in parts),
        np.zeros(IGNORE + 1, np.int64),
    )
    counts = {int(label): int(found[label]) for label in np.flatnonzero(found) if label != IGNORE}
    wanted = [label for label in counts if label or found[IGNORE]]
    ranks = {label: _ranks(counts[label], most, label) for label in wanted}
    coordinates: dict[int, list[npt.NDArray[np.int64]]] = {label: [] for label in ranks}
    seen = dict.fromkeys(ranks, 0)
    for start in parts:
        part = flat[start : start + AT_ONCE]
        for label in np.flatnonzero(np.bincount(part, minlength=IGNORE + 1)).tolist():
            if label in ranks:
                places = np.flatnonzero(part == label)
                low, high = np.searchsorted(ranks[label], (seen[label], seen[label] + len(places)))
                coordinates[label].append(start + places[ranks[label][low:high] - seen[label]])
                seen[label] += len(places)
    return counts, {label: np.concatenate(places) for label, places in coordinates.items()}


def _ranks(count: int, most: int, label: int) -> npt.NDArray[np.int64]:
    """Which of the pixels of a class, counted from 0, are remembered."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng((label, count)).choice(count, most, replace=False))
