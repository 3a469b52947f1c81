"""How well membranes part cells: the foreground-restricted Rand and information scores of the ISBI 2012 challenge."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.stats import entropy
from skimage.metrics import adapted_rand_error, variation_of_information
from skimage.morphology import skeletonize

from ulna.errors import UlnaError
from ulna.image import Array
from ulna.metrics.rows import Row

Ints = npt.NDArray[np.int64]


def regions(cells: npt.NDArray[np.bool_]) -> Ints:
    """The cells of a plane (Y, X), numbered from 1, after their borders were thinned to lines of one pixel.

    Thick and thin borders then part the same cells at the same places. Pixels that share an edge are of one cell.
    """
    if cells.all():
        return np.ones(cells.shape, np.int64)
    # borders go on beyond the image: otherwise their ends would be thinned away there, and cells on both sides merge
    width = int(np.ceil(ndimage.distance_transform_edt(~cells).max())) + 1 if cells.any() else 0
    lines = np.asarray(skeletonize(np.pad(~cells, width, mode="edge")))  # type: ignore[no-untyped-call]
    inner = tuple(slice(width, width + side) for side in cells.shape)
    return np.asarray(ndimage.label(~lines[inner])[0], np.int64)


def border_rows(found: Array, truth: Array, subject: str = "cells") -> list[Row]:
    """Rand and information scores of a segmentation into cells.

    Parameters
    ----------
    found, truth : ndarray
        Planes (Y, X), or stacks of them (Z, Y, X) that are judged plane by plane; not 0 within cells, 0 on the borders
        between them. Borders of both are thinned, see `regions`; true cells are then those pixels that the truth
        itself has as cells.

    Returns
    -------
    list of Row
        "rand" and "information", each between 0 and 1, 1 the best: the means of how well cells are kept apart and
        how well they are kept whole. Only pixels within true cells count. A border that was predicted
        within a cell is a segment of its own for every pixel.

    Raises
    ------
    UlnaError
        When the shapes differ.

    References
    ----------
    Arganda-Carreras et al.: Crowdsourcing the creation of image segmentation algorithms for connectomics. Frontiers in
    Neuroanatomy 9:142, 2015.
    """
    if found.shape != truth.shape:
        raise UlnaError(f"the shape of the prediction, {found.shape}, is not that of the truth, {truth.shape}")
    planes = (one.reshape(-1, *one.shape[-2:]) != 0 for one in (found, truth))
    pairs = [(regions(seen), np.where(there, regions(there), 0)) for seen, there in zip(*planes, strict=True)]
    scores = [scores for seen, there in pairs if (scores := rand_and_information(seen, there)) is not None]
    sums = np.sum(scores, axis=0) if scores else np.zeros(2)
    return [
        Row(subject, name, float(total), len(scores)) for name, total in zip(("rand", "information"), sums, strict=True)
    ]


def rand_and_information(found: Ints, truth: Ints) -> tuple[float, float] | None:
    """The two scores of labels of any shape, 0 the border; None where the truth has no cell."""
    inside = truth > 0
    if not inside.any():
        return None
    seen, there = found[inside], truth[inside]
    border = seen == 0
    seen = np.where(border, seen.max(initial=0) + np.cumsum(border), seen)  # every pixel of a border by itself
    error, *_ = adapted_rand_error(there, seen, ignore_labels=())  # type: ignore[no-untyped-call]
    whole = sum(float(entropy(np.unique(one, return_counts=True)[1], base=2)) for one in (seen, there))
    lost = float(np.sum(variation_of_information(there, seen)))  # type: ignore[no-untyped-call]
    # one cell that was found whole has no information to lose
    return 1 - float(error), 1 - lost / whole if whole > 0 else 1.0
