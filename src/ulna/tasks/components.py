"""Connected components: a class that is one piece in every true mask is one piece in a predicted one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ulna.config import TaskConfig
from ulna.errors import UlnaError
from ulna.image import Labels

Classes = npt.NDArray[np.uint8]

ONE_PIECE = 0.99
"""A class is one piece where its largest component has this share of its pixels; the rest are slips of the pen."""


def keep_largest(classes: Classes, indices: Sequence[int]) -> Classes:
    """Make background of all but the largest component of some classes.

    Components touch by faces, edges or corners, as in nnU-Net.

    Parameters
    ----------
    classes
        (*spatial) class indices.
    indices
        Of the classes that are one piece.

    Returns
    -------
    Classes
        (*spatial), a copy.

    References
    ----------
    Isensee, Jaeger, Kohl, Petersen, Maier-Hein: nnU-Net. Nature Methods 18, 2021: "non-largest component suppression".

    Examples
    --------
    >>> keep_largest(np.array([[1, 1, 0, 1, 0, 2, 0, 2]], np.uint8), [1]).tolist()
    [[1, 1, 0, 0, 0, 2, 0, 2]]
    """
    kept, boxes = classes.copy(), ndimage.find_objects(classes)
    for index in indices:
        box = boxes[index - 1] if index <= len(boxes) else None
        if box is not None:  # components are numbered within it, which takes four bytes per pixel
            own = classes[box] == index
            kept[box][own & ~_largest(own)] = 0
    return kept


def single(pairs: Iterable[tuple[Labels, Labels]], names: Sequence[str]) -> tuple[str, ...]:
    """Which classes are better for it if only their largest component is kept.

    Parameters
    ----------
    pairs
        Predicted and true labels of images that were held out of training.
    names
        Of the classes, the background first.

    Returns
    -------
    tuple of str
        Those that are one piece in each true mask that shows them, and whose mean Dice rises. None where something is
        not annotated: it is not known how many pieces there are.
    """
    gains: dict[int, list[float]] = {index: [] for index in range(1, len(names))}
    for found, truth in pairs:
        if not truth.annotated.all():
            return ()
        for index in list(gains):
            there, before = truth.classes == index, found.classes == index
            if np.count_nonzero(_largest(there)) < ONE_PIECE * np.count_nonzero(there):
                del gains[index]
            elif there.any():
                gains[index].append(_dice(_largest(before), there) - _dice(before, there))
    return tuple(names[index] for index, gained in gains.items() if gained and np.mean(gained) > 0)


def refuse(config: TaskConfig, what: str) -> None:
    """Raise UlnaError where only the largest component of a class is to be kept, by a task that has none of this."""
    if config.largest_component:
        hint = "Leave this setting away, or set task.name=semantic."
        raise UlnaError(f"{what} may be in several pieces", where="task.largest_component", hint=hint)


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest component of a mask (*spatial); of several that are as large the first."""
    numbers, count = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, mask.ndim))
    if count < 2:
        return mask
    sizes = sum(np.bincount(plane.ravel(), minlength=count + 1) for plane in numbers)  # each copies what it counts
    return np.asarray(numbers == 1 + int(np.asarray(sizes)[1:].argmax()))


def _dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return 2 * float(np.count_nonzero(one & other)) / float(np.count_nonzero(one) + np.count_nonzero(other))
