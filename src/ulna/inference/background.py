"""Tiles that hold nothing but background, and what a network would say of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ulna.normalization import Floats
from ulna.tasks import Task

SURE = 20.0
"""The logit of what is there for certain."""

SHARE = 0.15
"""A tile in which the values of each channel spread over less than this share of the image's is background."""

BLOCK = 4
"""Rows and columns whose means are looked at, in which noise is less."""

LOW, HIGH = 0.5, 99.5
"""The percentiles between which values spread."""


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


def spreads(windows: Iterable[Floats]) -> Floats:
    """Over how wide a range the values of each channel spread.

    Parameters
    ----------
    windows
        (C, *size) each, from all over an image.

    Returns
    -------
    ndarray of float32
        (C,).

    Examples
    --------
    >>> spreads([np.arange(64, dtype=np.float32).reshape(1, 8, 8)]).round(1).tolist()
    [35.6]
    """
    values = np.concatenate([_means(window) for window in windows], axis=1)
    low, high = np.percentile(values, (LOW, HIGH), axis=1)
    return np.asarray(high - low, np.float32)


def is_blank(window: Floats, spread: Floats) -> bool:
    """Whether a window holds nothing but background: no channel varies much.

    Parameters
    ----------
    window
        (C, *size).
    spread
        Of the whole image, as `spreads` gives it.

    Returns
    -------
    bool
        Always False for an image without any variation.
    """
    return bool((spreads([window]) < SHARE * spread).all())


def _means(window: Floats) -> Floats:
    """The means of blocks of rows and columns, (C, blocks)."""
    height, width = (max(side // BLOCK, 1) * min(side, BLOCK) for side in window.shape[-2:])
    tall, wide = (min(side, BLOCK) for side in window.shape[-2:])
    cut = window[..., :height, :width].reshape(*window.shape[:-2], height // tall, tall, width // wide, wide)
    return cut.mean(axis=(-3, -1)).reshape(len(window), -1)
