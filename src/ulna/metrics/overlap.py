"""How far a mask and the ground truth overlap: Dice, IoU, precision, recall and accuracy per class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.image import IGNORE, Array
from ulna.metrics.rows import ALL_CLASSES, Row, State, state

Counts = npt.NDArray[np.int64]

_AT_ONCE = 1 << 24  # pixels counted at once: bounds the memory of the sums below at 128 MiB
NAN = float("nan")


RATIOS: dict[str, Callable[[int, int, int, int], tuple[int, int]]] = {
    "dice": lambda tp, fp, fn, tn: (2 * tp, 2 * tp + fp + fn),
    "iou": lambda tp, fp, fn, tn: (tp, tp + fp + fn),
    "precision": lambda tp, fp, fn, tn: (tp, tp + fp),
    "recall": lambda tp, fp, fn, tn: (tp, tp + fn),
    "accuracy": lambda tp, fp, fn, tn: (tp + tn, tp + fp + fn + tn),
}
"""The scores of a class: numerator and denominator from the counts TP, FP, FN, TN. The first ranks cases."""


@dataclass(frozen=True)
class Overlap:
    """How one class of one mask fits the ground truth.

    Every score follows from the counts. A score that would be 0/0 is NaN: nothing can be said about it, and it is no
    part of a mean.

    Parameters
    ----------
    name
        The name of the class.
    tp, fp, fn, tn
        True positives, false positives, false negatives and true negatives of "this class or not": pixels, in 3D
        voxels.

    References
    ----------
    Dice 1945, Measures of the amount of ecologic association between species, Ecology 26:297. Jaccard 1912, The
    distribution of the flora in the alpine zone, New Phytologist 11:37.

    Examples
    --------
    >>> one = Overlap("cell", tp=30, fp=10, fn=10, tn=50)
    >>> one.dice, one.iou
    (0.75, 0.6)
    """

    name: str
    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def dice(self) -> float:
        """2·TP / (2·TP + FP + FN) (Dice 1945); NaN if both are empty, 0 for a false positive or a miss."""
        return self._score("dice")

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN) (Jaccard 1912); D / (2 − D) for a Dice score D; NaN if both are empty."""
        return self._score("iou")

    @property
    def precision(self) -> float:
        """TP / (TP + FP): which share of what was found is right; NaN when nothing was found."""
        return self._score("precision")

    @property
    def recall(self) -> float:
        """TP / (TP + FN): which share of what is there was found; NaN when nothing is there."""
        return self._score("recall")

    @property
    def accuracy(self) -> float:
        """(TP + TN) / all: the share of pixels where "this class or not" is right."""
        return self._score("accuracy")

    @property
    def state(self) -> State:
        """Whether the class is in the truth and in the mask, in one of them or in neither, as a word."""
        return state(present=self.tp + self.fn > 0, found=self.tp + self.fp > 0)

    def rows(self) -> list[Row]:
        """The class as rows of the long table of scores.

        Returns
        -------
        list of Row
            Its scores, then the counts that they come from.
        """
        counts = {"tp": self.tp, "fp": self.fp, "fn": self.fn, "tn": self.tn}
        ratios = {name: ratio(*counts.values()) for name, ratio in RATIOS.items()}
        return [
            *(Row(self.name, name, part, whole, state=self.state) for name, (part, whole) in ratios.items()),
            *(Row(self.name, name, count, unit="pixels", state=self.state) for name, count in counts.items()),
        ]

    def _score(self, name: str) -> float:
        part, whole = RATIOS[name](self.tp, self.fp, self.fn, self.tn)
        return part / whole if whole else NAN


def overlap(mask: Array, truth: Array, classes: Sequence[str]) -> list[Overlap]:
    """How each class of a mask fits the ground truth.

    Parameters
    ----------
    mask
        Class indices, of any integer dtype or bool, and of any number of axes.
    truth
        The same for the ground truth; `IGNORE` (255) is not annotated.
    classes
        The name of every index, the background first.

    Returns
    -------
    list of Overlap
        One record per class, the background left out.

    Raises
    ------
    UlnaError
        As `confusion` does.

    Examples
    --------
    >>> (cell,) = overlap(np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0]), ("background", "cell"))
    >>> cell.tp, cell.fp, cell.fn, cell.tn
    (1, 1, 1, 1)
    """
    return records(confusion(mask, truth, len(classes)), classes)


def records(matrix: Counts, classes: Sequence[str]) -> list[Overlap]:
    """The records of a confusion matrix.

    Parameters
    ----------
    matrix
        (K, K) as `confusion` gives it.
    classes
        The name of every index, the background first.

    Returns
    -------
    list of Overlap
        One record per class, the background left out.
    """
    total = int(matrix.sum())
    there, found = matrix.sum(axis=1), matrix.sum(axis=0)
    made = []
    for index, name in enumerate(classes[1:], start=1):
        tp = int(matrix[index, index])
        fp, fn = int(found[index]) - tp, int(there[index]) - tp
        made.append(Overlap(name, tp=tp, fp=fp, fn=fn, tn=total - tp - fp - fn))
    return made


def confusion(mask: Array, truth: Array, classes: int) -> Counts:
    """Count the pixels of each true class that were given each class.

    Pixels whose truth is `IGNORE` (not annotated) are not counted, whatever the mask holds there.

    Parameters
    ----------
    mask
        Class indices, of any integer dtype or bool, and of any number of axes.
    truth
        The same for the ground truth.
    classes
        The number of classes, K.

    Returns
    -------
    Counts
        int64 (K, K): true classes are rows, predicted classes columns.

    Raises
    ------
    UlnaError
        When the shapes differ, when a dtype is not an integer, or when a value is no index of a class.

    Examples
    --------
    >>> confusion(np.array([1, 1, 0]), np.array([1, 0, 255]), 2)
    array([[0, 1],
           [0, 1]])
    """
    if mask.shape != truth.shape:
        raise UlnaError(f"the mask's shape {mask.shape} is not that of the truth, {truth.shape}")
    check_indices(mask, classes, "mask")
    check_indices(truth, classes, "truth", ignore=True)
    matrix = np.zeros(classes * classes, dtype=np.int64)
    flat_truth, flat_mask = truth.reshape(-1), mask.reshape(-1)
    for start in range(0, truth.size, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        there, found = flat_truth[part], flat_mask[part]
        annotated = there != IGNORE
        if not annotated.all():
            there, found = there[annotated], found[annotated]
        pairs = there.astype(np.intp) * classes + found.astype(np.intp)
        matrix += np.bincount(pairs, minlength=classes * classes)
    return matrix.reshape(classes, classes)


def measure(mask: Array, truth: Array, classes: Sequence[str]) -> list[Row]:
    """The rows of a semantic mask: per class its overlap with the truth, then the pixel accuracy of all classes.

    Parameters
    ----------
    mask, truth : ndarray of int
        Class indices of one shape, of any number of axes.
    classes : sequence of str
        The name of every index, the background first.

    Returns
    -------
    list of Row
        Without the name of the case and its group; `rows.of_case` adds these.

    Raises
    ------
    UlnaError
        As `confusion` does.

    Examples
    --------
    >>> rows = measure(np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0]), ("background", "cell"))
    >>> {row.measure: row.value for row in rows if row.subject == "cell" and not row.counted}["dice"]
    0.5
    """
    matrix = confusion(mask, truth, len(classes))
    rows = [row for record in records(matrix, classes) for row in record.rows()]
    return [*rows, Row(ALL_CLASSES, "accuracy", int(np.trace(matrix)), int(matrix.sum()))]


def check_indices(array: Array, classes: int, what: str, *, ignore: bool = False) -> None:
    """Raise UlnaError unless an array, called `what`, holds indices of so many classes, or with `ignore` `IGNORE`."""
    if array.dtype.kind not in "iub":
        raise UlnaError(f"the {what} must hold whole numbers (class indices), not {array.dtype}")
    if ignore and array.size and int(array.max()) == IGNORE:
        array = array[array != IGNORE]
    if array.size and (int(array.min()) < 0 or int(array.max()) >= classes):
        low, high = int(array.min()), int(array.max())
        raise UlnaError(f"the {what} holds values from {low} to {high}, but the classes are 0 to {classes - 1}")
