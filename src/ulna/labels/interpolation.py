"""Whether numbers of a mask were interpolated, as a smooth resize does: between two objects lie numbers of others."""

from __future__ import annotations

import numpy as np

from ulna.image import Array
from ulna.labels.packed import Codes, counted

MIN_STEPS = 4  # so many different steps over a value between two others: one kind of border makes one or two
MAX_ALIKE = 0.6  # share of these places that one step has at most
MIN_SHARE = 0.04  # share of the edges that have such a step


def is_interpolated(codes: Array, found: Codes) -> bool:
    """Whether edges of a mask go over values in between, one pixel wide, that belong to other objects or classes.

    Between background and object 7 a smooth resize leaves pixels of 2 and 5. A border that somebody drew, one pixel
    wide, has the same value everywhere; and steps over the next value are not counted, for levels (of depth, of a
    dose) have these, too.

    Parameters
    ----------
    codes
        (*spatial), a whole number per pixel.
    found
        (n,) the distinct ones, in order.

    Returns
    -------
    bool
        False also for masks of two values.

    Examples
    --------
    >>> sharp = np.kron(np.array([[0, 7, 0, 3, 0, 9, 5, 0, 4]]), np.ones((1, 4), int))
    >>> smooth = np.rint((sharp[:, :-2] + sharp[:, 1:-1] + sharp[:, 2:]) / 3).astype(int)
    >>> is_interpolated(sharp, np.unique(sharp)), is_interpolated(smooth, np.unique(smooth))
    (False, True)
    """
    if len(found) < 4:
        return False
    edges, kinds = 0, []
    for axis in range(codes.ndim):
        across = np.moveaxis(codes, axis, 0)
        before, here, after = across[:-2], across[1:-1], across[2:]
        edges += int(np.count_nonzero((here != before) | (here != after)))
        between = ((before < here) & (here < after)) | ((before > here) & (here > after))
        low, high = np.minimum(before, after)[between], np.maximum(before, after)[between]
        start, middle, end = (np.searchsorted(found, values) for values in (low, here[between], high))
        kinds.append(((start * len(found) + middle) * len(found) + end)[end - start > 2])
    steps, counts = counted(np.concatenate(kinds))
    total = int(counts.sum())
    return len(steps) >= MIN_STEPS and total >= MIN_SHARE * edges and int(counts.max()) <= MAX_ALIKE * total
