"""Mirroring at test time: images are mirrored, predicted, mirrored back, and the answers averaged.

Spatial axes are counted from the last, -1: so they are the same of an image and of a batch of images.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ulna.config import Config
from ulna.inference.engines import Runner, Windows

Axes = tuple[int, ...]


def flips(config: Config) -> tuple[Axes, ...]:
    """The spatial axes along which an image is mirrored, for each of the predictions that are averaged.

    Parameters
    ----------
    config
        Of the model: `inference.mirror`, and along which axes `augmentation.flip` mirrored in training.

    Returns
    -------
    tuple of tuple of int
        The first is empty: the image as it is.

    Examples
    --------
    >>> from ulna.config import Config
    >>> flips(Config())
    ((),)
    >>> flips(Config().changed({"inference.mirror": True}))
    ((), (-2,), (-1,), (-2, -1))
    >>> flips(Config().changed({"inference.mirror": True, "augmentation.flip": [0]}))
    ((), (-2,))
    """
    if not config.inference.mirror or config.augmentation is None or not config.augmentation.flip:
        return ((),)
    flip, ndim = config.augmentation.flip, config.network.ndim
    axes = [axis - ndim for axis in (range(ndim) if isinstance(flip, bool) else sorted(set(flip)))]
    return tuple(some for count in range(len(axes) + 1) for some in combinations(axes, count))


def mirror(windows: Windows, axes: Axes) -> Windows:
    """Mirror arrays along some of their last axes.

    Parameters
    ----------
    windows
        (…, *spatial).
    axes
        Counted from the last, -1; none: the array itself.

    Returns
    -------
    Windows
        Contiguous, for PyTorch takes no other.
    """
    return np.ascontiguousarray(np.flip(windows, axes)) if axes else windows


def mirrored(runner: Runner, axes: Axes) -> Runner:
    """A runner that sees images mirrored, and whose logits are mirrored back.

    Parameters
    ----------
    runner
        The one that runs.
    axes
        Along which spatial axes; none: the runner itself.

    Returns
    -------
    Runner
        Of images that are not mirrored.

    Examples
    --------
    >>> left = lambda windows: windows * (np.arange(4) < 2)
    >>> mirrored(left, (-1,))(np.ones((1, 1, 1, 4), np.float32)).tolist()
    [[[[0.0, 0.0, 1.0, 1.0]]]]
    """
    return (lambda batch: mirror(runner(mirror(batch, axes)), axes)) if axes else runner
