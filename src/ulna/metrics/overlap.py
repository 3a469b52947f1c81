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
    """How one class of one mask fits the ground truth, in pixels (voxels in 3D).

    `tp`, `fp`, `fn` and `tn` count the pixels of "this class or not"; every score follows from them. A score
    that would be 0/0 is NaN: nothing can be said about it, and it is no part of a mean.
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
        """The scores of the class as rows of the long table, then the counts that they come from."""
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
    """One record a class, the background (class 0) left out.

    `mask` and `truth` hold class indices (any integer dtype, or bool) and have the same shape, of any
    number of axes; `classes` names every index, the background first. Raises UlnaError as `confusion` does.
    """
    return records(confusion(mask, truth, len(classes)), classes)


def records(matrix: Counts, classes: Sequence[str]) -> list[Overlap]:
    """The records of a confusion matrix (K, K) as `confusion` gives it, the background (class 0) left out."""
    total = int(matrix.sum())
    there, found = matrix.sum(axis=1), matrix.sum(axis=0)
    made = []
    for index, name in enumerate(classes[1:], start=1):
        tp = int(matrix[index, index])
        fp, fn = int(found[index]) - tp, int(there[index]) - tp
        made.append(Overlap(name, tp=tp, fp=fp, fn=fn, tn=total - tp - fp - fn))
    return made


def confusion(mask: Array, truth: Array, classes: int) -> Counts:
    """Pixels of each true class (row) that were given each class (column): int64 (K, K), K = `classes`.

    Pixels whose truth is `IGNORE` (not annotated) are not counted, whatever the mask holds there.

    Raises UlnaError when the shapes differ, when a dtype is not an integer, or when a value is no index of a
    class.
    """
    if mask.shape != truth.shape:
        raise UlnaError(f"the mask's shape {mask.shape} is not that of the truth, {truth.shape}")
    _check(mask, classes, "mask")
    _check(truth, classes, "truth", ignore=True)
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


def _check(array: Array, classes: int, what: str, *, ignore: bool = False) -> None:
    if array.dtype.kind not in "iub":
        raise UlnaError(f"the {what} must hold whole numbers (class indices), not {array.dtype}")
    if ignore and array.size and int(array.max()) == IGNORE:
        array = array[array != IGNORE]
    if array.size and (int(array.min()) < 0 or int(array.max()) >= classes):
        low, high = int(array.min()), int(array.max())
        raise UlnaError(f"the {what} holds values from {low} to {high}, but the classes are 0 to {classes - 1}")
