"""The connected pieces of each value of a mask: is a number one object, one in pieces, or used several times?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import label

from ulna.image import Array
from ulna.labels.packed import Codes, replaced

DISTANT = 2
LARGE = 0.1  # a piece that has this share of its value's largest one is no crumb


@dataclass(frozen=True)
class Pieces:
    """How many connected pieces each value of a mask has; pixels that share a corner are connected.

    Parameters
    ----------
    counts
        (n,) pieces of each of the mask's values, in their order; 0 for the value 0.
    large
        (n,) those that are no crumbs: at least `LARGE` of the value's largest piece.
    distant
        (n,) of these the ones that lie further than `DISTANT` times its length from the largest one.
    """

    counts: Codes
    large: Codes
    distant: Codes


def pieces_of(codes: Array, found: Codes) -> Pieces:
    """Count the connected pieces of each value.

    Parameters
    ----------
    codes
        (*spatial), a whole number per pixel.
    found
        (n,) the distinct ones, in order.

    Returns
    -------
    Pieces
        One entry per distinct value.

    Examples
    --------
    >>> codes = np.array([[1, 0, 2, 0, 0, 0, 1], [1, 0, 0, 2, 0, 0, 1]])
    >>> found = pieces_of(codes, np.array([0, 1, 2]))
    >>> found.counts.tolist(), found.distant.tolist()
    ([0, 2, 1], [0, 1, 0])
    """
    places = replaced(codes, found, np.where(found == 0, 0, 1 + np.arange(len(found), dtype=np.int32)))
    numbered: Array = label(places, background=0, connectivity=codes.ndim)  # type: ignore[no-untyped-call]
    sizes = np.bincount(numbered.ravel())[1:]
    owner_of = np.zeros(len(sizes) + 1, np.int64)
    owner_of[numbered.ravel()] = places.ravel() - 1  # all pixels of a piece have the same
    owners = owner_of[1:]
    counts = np.bincount(owners, minlength=len(found))
    order = np.argsort(sizes)
    largest = np.zeros(len(found), np.int64)
    largest[owners[order]] = order  # of each value the piece that is assigned last
    boxes = np.array([[(part.start, part.stop) for part in box] for box in ndimage.find_objects(numbered)], np.int64)
    boxes = boxes.reshape(-1, codes.ndim, 2)
    main = boxes[largest[owners]] if len(boxes) else boxes
    gap = np.maximum(boxes[:, :, 0] - main[:, :, 1], main[:, :, 0] - boxes[:, :, 1]).max(axis=1, initial=0)
    large = sizes >= LARGE * sizes[largest[owners]]
    distant = large & (gap > DISTANT * (main[:, :, 1] - main[:, :, 0]).max(axis=1, initial=0))
    return Pieces(counts, *(np.bincount(owners[kind], minlength=len(found)) for kind in (large, distant)))
