"""Tiles that hold nothing but background, and what a network would say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ulna.normalization import Floats
from ulna.tasks import Task

SURE = 20.0
"""The logit of what is there for certain."""

SHARE = 0.15
"""A tile in which the values of each channel spread over less than this share of the image's range is flat."""

BLOCK = 4
"""Rows and columns whose means are looked at, in which noise is less."""

LOW, HIGH = 0.5, 99.5
"""The percentiles between which the values of an image spread."""


def nothing(task: Task) -> tuple[float, ...]:
    """The logits of background.

    Parameters
    ----------
    task
        What the outputs mean.

    Returns
    -------
    tuple of float
        One for each output.
    """
    first = (SURE,) if task.exclusive else (-SURE,)
    return (*first, *(-SURE,) * (task.outputs - 1))


@dataclass(frozen=True)
class Ground:
    """What the background of an image looks like.

    Parameters
    ----------
    spread
        Over how wide a range the values of each channel of the image spread, (C,).
    level
        The middle of the levels of flat tiles, (C,); None where none was seen, and then nothing is background.
    """

    spread: Floats
    level: Floats | None

    @classmethod
    def of(cls, windows: Sequence[Floats]) -> Ground:
        """That of an image.

        Parameters
        ----------
        windows
            (C, *size) each, from all over the image.

        Returns
        -------
        Ground
            For `holds`.
        """
        means = [_means(window) for window in windows]
        low, high = np.percentile(np.concatenate(means, axis=1), (LOW, HIGH), axis=1)
        spread = np.asarray(high - low, np.float32)
        flat = [one.mean(axis=1) for one in means if _is_flat(one, spread)]
        return cls(spread, np.median(flat, axis=0) if flat else None)

    def holds(self, window: Floats) -> bool:
        """Whether a window holds nothing but background: no channel varies much, and all are as in other flat ones.

        Parameters
        ----------
        window
            (C, *size).

        Returns
        -------
        bool
            Always False for an image without any variation.

        Examples
        --------
        >>> cells = np.zeros((1, 64, 64), np.float32)
        >>> cells[:, 8:24, 8:40] = 1
        >>> ground = Ground.of([cells, 0 * cells, 0 * cells])
        >>> ground.holds(0 * cells), ground.holds(cells), ground.holds(0 * cells + 1)
        (True, False, False)
        """
        means = _means(window)
        if self.level is None or not _is_flat(means, self.spread):
            return False
        return bool((np.abs(means.mean(axis=1) - self.level) < SHARE * self.spread).all())


def _is_flat(means: Floats, spread: Floats) -> bool:
    """Whether means of blocks (C, blocks) differ by little: from the lowest to the highest, for a cell may be small."""
    return bool((means.max(axis=1) - means.min(axis=1) < SHARE * spread).all())


def _means(window: Floats) -> Floats:
    """The means of blocks of rows and columns, (C, blocks)."""
    height, width = (max(side // BLOCK, 1) * min(side, BLOCK) for side in window.shape[-2:])
    tall, wide = (min(side, BLOCK) for side in window.shape[-2:])
    cut = window[..., :height, :width].reshape(*window.shape[:-2], height // tall, tall, width // wide, wide)
    return np.asarray(cut.mean(axis=(-3, -1)).reshape(len(window), -1), np.float32)
