"""Where the wrong pixels lie: what a score alone does not tell."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ulna.image import IGNORE, Array

NEAR = 2
"""Up to so many pixels from a true outline, an error may be a matter of where one draws it."""


@dataclass(frozen=True)
class Errors:
    """Wrong pixels by where they lie; each is counted once.

    A region is a connected component of the foreground, all classes together, diagonal neighbors included.

    Parameters
    ----------
    outline
        Within two pixels of a true outline, in none of the regions below.
    missed
        In true regions of which nothing was found.
    false_positive
        In predicted regions where the truth has nothing.
    other
        All others.
    """

    outline: int = 0
    missed: int = 0
    false_positive: int = 0
    other: int = 0

    def __add__(self, other: Errors) -> Errors:
        """Both counted together."""
        return Errors(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def total(self) -> int:
        """All wrong pixels."""
        return sum(astuple(self))

    def sentence(self) -> str:
        """The shares in words, the largest first.

        Returns
        -------
        str
            Without the shares below one half per cent; "" where nothing is wrong.

        Examples
        --------
        >>> Errors(outline=75, missed=25).sentence()
        'Wrong pixels: 75% within 2 pixels of a true outline, 25% in missed regions.'
        """
        words = {
            "outline": f"within {NEAR} pixels of a true outline",
            "missed": "in missed regions",
            "false_positive": "in false-positive regions",
            "other": "other",
        }
        if not self.total:
            return ""
        ranked = sorted(asdict(self).items(), key=lambda one: -one[1])
        shares = [(f"{count / self.total:.0%}", words[place]) for place, count in ranked]
        return f"Wrong pixels: {', '.join(' '.join(share) for share in shares if share[0] != '0%')}."


NONE_WRONG = Errors()


def locate(mask: Array, truth: Array) -> Errors:
    """Count the wrong pixels of a mask by where they lie.

    Pixels whose truth is `IGNORE` (not annotated) are background in both: what the mask holds there does not matter.

    Parameters
    ----------
    mask
        (1, *spatial) class indices, 0 the background.
    truth
        The same for the ground truth.

    Returns
    -------
    Errors
        The counts.
    """
    ignored = truth == IGNORE
    if ignored.any():
        mask, truth = np.where(ignored, 0, mask), np.where(ignored, 0, truth)
    wrong = mask[0] != truth[0]
    if not wrong.any():
        return NONE_WRONG
    missed = wrong & _untouched(truth[0], mask[0])
    false_positive = wrong & _untouched(mask[0], truth[0])
    apart = missed | false_positive
    side = 2 * NEAR + 1
    near = ndimage.maximum_filter(truth[0], side) != ndimage.minimum_filter(truth[0], side)
    outline = int((wrong & ~apart & near).sum())
    counts = int(missed.sum()), int(false_positive.sum())
    return Errors(outline, *counts, other=int(wrong.sum()) - outline - sum(counts))


def _untouched(regions: Array, others: Array) -> npt.NDArray[np.bool_]:
    """The pixels of those regions that have no pixel of the others' foreground."""
    labels, count = ndimage.label(regions > 0, ndimage.generate_binary_structure(regions.ndim, regions.ndim))
    touched = np.zeros(count + 1, dtype=bool)
    touched[labels[others > 0]] = True
    touched[0] = True  # the background is no region
    return np.asarray(~touched[labels])
