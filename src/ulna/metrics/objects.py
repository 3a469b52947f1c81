"""How well predicted objects fit the true ones: found, missed, split or merged, and the scores made of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.image import Array
from ulna.metrics.rows import Row, state
from ulna.numbering import consecutive
from ulna.text import plural

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

THRESHOLDS = tuple(range(50, 95, 5))
"""Intersections over union, in percent, of which the primary score is the mean: .50, .55, … .90."""

KAGGLE_THRESHOLDS = tuple(range(50, 100, 5))
"""Those of the 2018 Data Science Bowl: .50, .55, … .95."""

TRUE_FATES = ("found", "split", "merged", "missed")
"""What may become of a true object; they exclude each other."""

FOUND = 50
"""In percent: a true object is found where a predicted one has a larger intersection over union with it."""


@dataclass(frozen=True)
class ObjectOverlap:
    """Which predicted and true objects overlap, and by how many pixels (voxels in 3D).

    Parameters
    ----------
    true_areas, found_areas : ndarray of int
        The pixels of each true object and of each predicted one, in the order of their numbers.
    true_index, found_index, shared : ndarray of int, all of one length
        The pairs that overlap: their places in the arrays of areas, and the pixels that they share.
    """

    true_areas: Ints
    found_areas: Ints
    true_index: Ints
    found_index: Ints
    shared: Ints

    @cached_property
    def iou(self) -> Floats:
        """The intersection over union of each pair."""
        union = self.true_areas[self.true_index] + self.found_areas[self.found_index] - self.shared
        return self.shared / union

    def matched(self, threshold: int) -> npt.NDArray[np.bool_]:
        """The pairs whose IoU in percent is above a threshold of 50 or more: no object is in two of them."""
        # in whole numbers: an IoU of exactly .55 is not above .55
        union = self.true_areas[self.true_index] + self.found_areas[self.found_index] - self.shared
        return np.asarray(100 * self.shared > threshold * union)

    def counts(self, threshold: int = FOUND) -> tuple[int, int, int]:
        """TP, FP and FN at a threshold in percent."""
        tp = int(np.count_nonzero(self.matched(threshold)))
        return tp, len(self.found_areas) - tp, len(self.true_areas) - tp

    def precision(self, threshold: int) -> tuple[int, int]:
        """Average precision as the field of nuclei uses the word: TP and TP + FP + FN."""
        tp, fp, fn = self.counts(threshold)
        return tp, tp + fp + fn

    def fates(self) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.str_]]:
        """What became of each true object, and what each predicted one is.

        Returns
        -------
        true : ndarray of str
            "found" (IoU above .5), or else "merged" (more than half of it lies in a predicted object that holds more
            than half of another true object too), "split" (two or more predicted objects lie in it with more than
            half of their pixels), or "missed".
        found : ndarray of str
            "found", or else "merged" (it holds more than half of two or more true objects), "split" (a piece of a
            true object that is split), or "false positive".
        """
        matched = self.matched(FOUND)
        covered = 2 * self.shared > self.true_areas[self.true_index]
        pieces = 2 * self.shared > self.found_areas[self.found_index]
        held = np.bincount(self.found_index[covered], minlength=len(self.found_areas))
        parts = np.bincount(self.true_index[pieces], minlength=len(self.true_areas))
        true = np.full(len(self.true_areas), "missed", dtype="<U14")
        found = np.full(len(self.found_areas), "false positive", dtype="<U14")
        of_split = pieces & (parts[self.true_index] > 1)
        true[parts > 1] = "split"
        true[self.true_index[covered & (held[self.found_index] > 1)]] = "merged"
        true[self.true_index[matched]] = "found"
        # a piece belongs to a split only where its true object counts as split
        found[self.found_index[of_split & (true[self.true_index] == "split")]] = "split"
        found[held > 1] = "merged"
        found[self.found_index[matched]] = "found"
        return true, found

    def rows(self, subject: str = "objects") -> list[Row]:
        """The rows of the long table: scores, what became of the objects, and how many there are.

        AP at each of `THRESHOLDS` (TP / (TP + FP + FN)), F1 and panoptic quality (Kirillov et al. 2019) at .5 with its
        parts, the aggregated Jaccard index (Kumar et al. 2017), SEG of the Cell Tracking Challenge (Maška et al. 2014),
        and Kaggle's mean of AP at .50 to .95. All but the last add up over cases. Shares of the true objects that were
        found, split, merged and missed, and of the predicted ones that are false positives.
        """
        tp, fp, fn = self.counts()
        said = state(present=len(self.true_areas) > 0, found=len(self.found_areas) > 0)
        quality = float(self.iou[self.matched(FOUND)].sum())
        true, found = self.fates()
        ratios = {f"ap_{threshold}": self.precision(threshold) for threshold in THRESHOLDS}
        scores: dict[str, tuple[float, float]] = {
            **ratios,
            "f1": (2 * tp, 2 * tp + fp + fn),
            "pq": (2 * quality, 2 * tp + fp + fn),
            "sq": (quality, tp),
            "aji": self._aggregated_jaccard(),
            "seg": self._seg(),
            "kaggle": self._kaggle(),
        }
        shares = {fate: (int(np.count_nonzero(true == fate)), len(true)) for fate in TRUE_FATES}
        shares["false positive"] = int(np.count_nonzero(found == "false positive")), len(found)
        counts = {"true": len(true), "predicted": len(found)}
        return [
            *(Row(subject, name, part, whole, state=said) for name, (part, whole) in (scores | shares).items()),
            *(Row(subject, name, count, unit="objects", state=said) for name, count in counts.items()),
        ]

    def _kaggle(self) -> tuple[float, float]:
        """The mean of AP over thresholds of one image; nothing where it has no object at all."""
        ratios = [self.precision(threshold) for threshold in KAGGLE_THRESHOLDS]
        if not ratios[0][1]:
            return 0, 0
        return float(np.mean([part / whole for part, whole in ratios])), 1

    def _aggregated_jaccard(self) -> tuple[int, int]:
        """Each true object with the predicted one of the largest IoU; what was used by none counts as union."""
        best = np.full(len(self.true_areas), -1)
        order = np.lexsort((-self.found_index, self.iou))
        best[self.true_index[order]] = order  # the last one written has the largest IoU, and the first number
        pairs = best[best >= 0]
        used = np.zeros(len(self.found_areas), bool)
        used[self.found_index[pairs]] = True
        union = self.true_areas.sum() + self.found_areas[self.found_index[pairs]].sum() - self.shared[pairs].sum()
        return int(self.shared[pairs].sum()), int(union + self.found_areas[~used].sum())

    def _seg(self) -> tuple[float, int]:
        """The mean over true objects of the IoU with the predicted object that holds more than half of it."""
        covered = 2 * self.shared > self.true_areas[self.true_index]
        return float(self.iou[covered].sum()), len(self.true_areas)


def counted(rows: Iterable[Row]) -> dict[str, int]:
    """How many objects there are, and what became of them, in many cases together.

    Parameters
    ----------
    rows
        Those of `ObjectOverlap.rows`, of one case or many.

    Returns
    -------
    dict
        Counts of "true", of `TRUE_FATES` and of "false positive"; empty where no row tells them.
    """
    counts: Counter[str] = Counter()
    for row in rows:
        if row.measure in ("true", *TRUE_FATES, "false positive"):
            counts[row.measure] += int(row.numerator)
    return dict(counts) if "found" in counts else {}


def sentence(rows: Iterable[Row]) -> str:
    """`counted` in words.

    Parameters
    ----------
    rows
        As of `counted`.

    Returns
    -------
    str
        Empty where no row tells it.
    """
    counts = counted(rows)
    if not counts:
        return ""
    rest = ", ".join(f"{counts[fate]:,} {fate}" for fate in TRUE_FATES[1:])
    share = f" ({100 * counts['found'] / counts['true']:.1f} %)" if counts["true"] else ""
    return (
        f"Of {counts['true']:,} true objects {counts['found']:,} were found{share}, {rest}; "
        f"{plural(counts['false positive'], 'false positive')}."
    )


def compare(found: Array, truth: Array) -> ObjectOverlap:
    """The overlaps of predicted and true objects.

    Parameters
    ----------
    found, truth : ndarray of int
        Numbers of objects, 0 the background, of one shape and any number of axes. Numbers may have gaps.

    Returns
    -------
    ObjectOverlap

    Raises
    ------
    UlnaError
        When the shapes differ, or an array does not hold whole numbers from 0 on.

    Examples
    --------
    >>> overlap = compare(np.array([1, 1, 1, 2]), np.array([7, 7, 9, 9]))
    >>> overlap.counts()
    (1, 1, 1)
    """
    if found.shape != truth.shape:
        raise UlnaError(
            f"the shape of the predicted objects, {found.shape}, is not that of the true ones, {truth.shape}"
        )
    (true_areas, there), (found_areas, seen) = (_compact(one) for one in (truth, found))
    width = len(found_areas) + 1
    both = np.flatnonzero((there > 0) & (seen > 0))
    pairs, shared = np.unique(there[both] * width + seen[both], return_counts=True)
    return ObjectOverlap(true_areas, found_areas, pairs // width - 1, pairs % width - 1, shared)


def countable(found: Array, truth: Array, annotated: npt.NDArray[np.bool_]) -> Array:
    """The predicted objects that can be right or wrong where only a part of an image is annotated.

    Pixels that are not annotated are left out. So are objects that lie there with more than half of their pixels,
    unless a true object is found by what is left: what they are nobody has said (Kirillov et al. 2019, void labels).

    Parameters
    ----------
    found, truth : ndarray of int
        As of `compare`; the truth is 0 where it is not annotated.
    annotated : ndarray of bool
        Of the same shape.

    Returns
    -------
    ndarray of int
        The numbers of `found`, 0 elsewhere.

    Examples
    --------
    >>> countable(np.array([1, 1, 1, 0, 2]), np.zeros(5, int), np.array([0, 0, 1, 1, 1], bool)).tolist()
    [0, 0, 0, 0, 2]
    """
    if annotated.all():
        return found
    inside: Array = np.where(annotated, found, 0)
    numbers, places = consecutive(found)
    whole, within = (np.bincount(one.ravel(), minlength=len(numbers) + 1)[1:] for one in (places, places * annotated))
    hidden = numbers[2 * within < whole]
    if not hidden.size:
        return inside
    overlap = compare(inside, truth)
    right = numbers[within > 0][overlap.found_index[overlap.matched(FOUND)]]
    return np.where(np.isin(inside, np.setdiff1d(hidden, right)), 0, inside)


def _compact(numbers: Array) -> tuple[Ints, Ints]:
    """The areas of the objects, and the flat array with objects numbered from 1 without gaps."""
    if numbers.dtype.kind not in "iub":
        raise UlnaError(f"numbers of objects must be whole numbers, not {numbers.dtype}")
    if numbers.size and int(numbers.min()) < 0:
        raise UlnaError(f"numbers of objects start at 1, and 0 is the background; here is {int(numbers.min())}")
    found, objects = consecutive(numbers)
    flat = objects.ravel().astype(np.int64)
    return np.bincount(flat, minlength=len(found) + 1)[1:], flat
