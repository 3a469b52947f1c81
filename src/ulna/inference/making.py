"""What is made of a network's answers, by functions, on the image's own grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ulna.dataset import Progress
from ulna.image import Array, Grid
from ulna.inference.pipeline import Pipeline
from ulna.inference.room import empty
from ulna.inference.views import View
from ulna.normalization import Floats
from ulna.resampling import resize
from ulna.tasks import Task

Maker = Callable[[Floats, Grid], Array]
"""From the logits (K, *region) of a region, on its grid, to an array (…, *region)."""


def by_region(
    pipeline: Pipeline, view: View, grid: Grid, makers: Sequence[Maker], *, progress: Progress
) -> list[Array]:
    """What some functions make of the logits of an image, region by region: where no pixel's answer needs others.

    Parameters
    ----------
    pipeline
        The network.
    view
        The image.
    grid
        Where its pixels lie.
    makers
        The functions.
    progress
        Shows how far it is.

    Returns
    -------
    list of Array
        (…, *spatial) of each function.

    Raises
    ------
    UlnaError
        As `Pipeline.regions` does, and where the memory does not hold what is made.
    """
    whole: list[Array] = []
    for region, logits in pipeline.regions(view, grid, progress=progress):
        parts = [make(logits, grid.crop(region)) for make in makers]
        whole = whole or [empty((len(part), *grid.shape), part.dtype) for part in parts]
        for one, part in zip(whole, parts, strict=True):
            one[(slice(None), *region)] = part
    return whole


def by_answer(
    pipeline: Pipeline, view: View, grid: Grid, makers: Sequence[Maker], *, progress: Progress
) -> list[Array]:
    """The same of what the network sees at a time, on the grid on which it sees it, brought to that of the image."""
    answers = pipeline.answers(view, grid, progress=progress)
    parts = [[make(logits, own) for make in makers] for own, logits in answers]
    axis = 1 + (pipeline.config.data.slices or 0)
    whole = [one[0] if one[0].ndim == 1 + grid.ndim else np.stack(one, axis) for one in zip(*parts, strict=True)]
    return [resize(one, grid.shape, smooth=one.dtype.kind == "f") for one in whole]


def rounded(logits: Floats) -> npt.NDArray[np.float16]:
    """Logits in 16 bits, three decimals, as they are kept where objects are found in blocks."""
    most = float(np.finfo(np.float16).max)
    return logits.clip(-most, most).astype(np.float16)


class Decoder:
    """Gives labels (L, *spatial) of logits: class indices and, where the task finds objects, their numbers.

    These go on from one call to the next, so that an object of a page has a number of its own in the stack. `scores`
    are those of all objects so far.
    """

    def __init__(self, task: Task) -> None:
        self.scores: tuple[float, ...] = ()
        self._task = task
        self._count = 0

    def __call__(self, logits: Floats, grid: Grid) -> Array:
        """Labels (L, *region) of logits (K, *region)."""
        if self._task.finds_objects:
            logits = rounded(logits).astype(np.float32)  # as those of large images are kept, for the same objects
        labels = self._task.decode(self._task.activate(logits), grid).numbered_after(self._count)
        if labels.objects is not None:
            self._count = max(self._count, int(labels.objects.max(initial=0)))
            self.scores += labels.scores
        return labels.to_array()
