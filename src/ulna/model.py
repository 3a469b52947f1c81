"""`Model`: a trained network that predicts masks; the one noun to hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ulna import modelfile
from ulna.config import Config
from ulna.dataset import Progress, quiet
from ulna.errors import UlnaError
from ulna.formats import check_finite, pages, read
from ulna.image import Array, Grid, Image, Source
from ulna.inference.pipeline import Pipeline
from ulna.labels.classes import Classes
from ulna.modelfile import Saved
from ulna.normalization import to_channels
from ulna.tasks import Task, build

Given = str | Path | Source | Image | Array
"""What can be predicted: a file, an image that was read, or an array."""


@dataclass(frozen=True)
class Model:
    """A trained model. `load` reads one from a run or a model file; it needs nothing else."""

    saved: Saved

    @property
    def config(self) -> Config:
        """Every choice of the run that made it."""
        return self.saved.config

    @property
    def channels(self) -> int:
        """How many channels its images have."""
        return self.config.data.channels

    @property
    def classes(self) -> Classes:
        """The classes it tells apart, and how masks of them are written."""
        return self.saved.classes

    @cached_property
    def task(self) -> Task:
        """The question that it answers."""
        return build(self.config.task, self.classes.names)

    @cached_property
    def _pipeline(self) -> Pipeline:
        return Pipeline(self.saved.network, self.config, self.saved.outputs)

    def predict(self, image: Given, *, progress: Progress = quiet) -> Image:
        """The mask of an image of any size: class indices (1, *spatial) uint8, 0 the background.

        An array is (Y, X), (C, Y, X) or (Y, X, C); a file may hold several pages, whose masks are then stacked
        to (1, pages, Y, X). `mask.classes` names the indices; `model.classes.to_values(mask.array)` gives the values
        that the training masks had. Raises UlnaError for an image with other channels than it was trained on.
        """

        def mask(one: Image) -> Image:
            return one.with_array(self.task.decode(self._logits(one, progress)), self.classes.names)

        return self._each(image, mask)

    def probabilities(self, image: Given, *, progress: Progress = quiet) -> Image:
        """The probability of each class, (classes, *spatial) float32, the background first; stacks as in `predict`."""
        return self._each(image, lambda one: one.with_array(self.task.probabilities(self._logits(one, progress))))

    def mask_and_probabilities(self, image: Image, *, progress: Progress = quiet) -> tuple[Image, Image]:
        """Both at the price of one: what `predict` and `probabilities` return."""
        logits = self._logits(image, progress)
        mask = image.with_array(self.task.decode(logits), self.classes.names)
        return mask, image.with_array(self.task.probabilities(logits))

    def _each(self, image: Given, make: Callable[[Image], Image]) -> Image:
        """What `make` makes of an image, or of every page of a stack, put together behind the first axis."""
        if isinstance(image, str | Path):
            image = Source(Path(image), axes=self.config.data.axes)
        if not isinstance(image, Source) or image.page is not None or (count := pages(image)) == 1:
            return make(self._image(image))
        made = [make(read(replace(image, page=page))) for page in range(count)]
        array = np.stack([one.array for one in made], axis=1)
        return Image(array, Grid.stacked([one.grid for one in made]), source=image, classes=made[0].classes)

    def _logits(self, image: Image, progress: Progress) -> npt.NDArray[np.float32]:
        axes = self.config.network.ndim
        if len(image.shape) != axes:
            raise UlnaError(
                f"the image has {len(image.shape)} spatial axes, this model takes {axes}",
                where=image.source,
                hint="Give it the planes one by one." if len(image.shape) > axes else "",
            )
        try:
            array = to_channels(image.array, self.channels, image.channels)
        except UlnaError as error:
            raise UlnaError(error.what, where=image.source, hint=error.hint) from None
        return self._pipeline.raw(array, progress=progress)

    def _image(self, image: Given) -> Image:
        if isinstance(image, np.ndarray):
            image = Image(self._channels_first(image.astype(np.uint8) if image.dtype == bool else image))
        if isinstance(image, Image):
            check_finite(image.array, image.source or "the image")
            return image
        return read(image if isinstance(image, Source) else Source(Path(image)))

    def _channels_first(self, array: Array) -> Array:
        ndim, channels = self.config.network.ndim, self.channels
        if array.ndim == ndim:
            return array[None]
        if array.ndim == ndim + 1:
            if array.shape[0] in (channels, 1):
                return array
            if array.shape[-1] in (channels, 1, 3, 4):
                return np.moveaxis(array, -1, 0)
        raise UlnaError(
            f"an array of shape {array.shape} is no image for this model",
            hint=f"It takes {ndim} spatial axes, with {channels} channels before or after them.",
        )


def load(run: str | Path) -> Model:
    """The trained model of a run (its folder, or the model file itself), on the machine's accelerator if it has one.

    Raises UlnaError for a file that is none, or that a newer version wrote.
    """
    saved = modelfile.load(run)
    saved.network.to(device())
    return Model(saved)


def device() -> torch.device:
    """Where networks run: the machine's GPU if there is one that PyTorch can use, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
