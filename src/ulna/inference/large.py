"""`Large`: a model's way through images that need not be in memory as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ulna.config import Config
from ulna.dataset import Progress, quiet
from ulna.formats import Reader
from ulna.image import Array, Grid, Labels, Region
from ulna.inference.making import Decoder, rounded
from ulna.inference.network_input import as_it_lies, view_of
from ulna.inference.pipeline import Pipeline, none
from ulna.inference.views import View
from ulna.labels.classes import Classes
from ulna.orientation import Orientation, orientation
from ulna.resampling import planned_shape
from ulna.tasks import Task, build
from ulna.tasks.blocks import Band, count_bands, decoded_bands


@dataclass(frozen=True)
class Large:
    """A model's way through images that need not be in memory as a whole.

    Parameters
    ----------
    pipeline
        The network.
    task
        What its outputs mean.
    classes
        How masks are written.
    """

    pipeline: Pipeline
    task: Task
    classes: Classes

    def takes(self, reader: Reader) -> bool:
        """Whether an image can be predicted region by region.

        Parameters
        ----------
        reader
            The image, opened.

        Returns
        -------
        bool
            False where its channels have to be made, where it has to be resized, and for objects also where they are
            found on another grid than that of the image.
        """
        if not as_it_lies(reader, self._config):
            return False
        grid, data = orientation(reader.grid).grid(reader.grid), self._config.data
        whole = grid.ndim == self._config.network.ndim and planned_shape(grid, data) == grid.shape
        return self.task.pixelwise or whole

    def divisible(self, reader: Reader) -> bool:
        """Whether regions of an image can be left to others: `skip` of `masks` and `outputs` is asked.

        Parameters
        ----------
        reader
            An image that `takes` takes.

        Returns
        -------
        bool
            As `Pipeline.divisible` says.
        """
        return self.pipeline.divisible(orientation(reader.grid).grid(reader.grid))

    def masks(
        self, reader: Reader, *, skip: Callable[[Region], bool] = none, progress: Progress = quiet
    ) -> Iterator[tuple[Region, Array]]:
        """The mask of an image region by region, of a task in which no pixel's label needs others.

        Parameters
        ----------
        reader
            An image that `takes` takes.
        skip
            Says of a region that its mask is known already.
        progress
            Shows how far it is.

        Yields
        ------
        tuple of Region and Array
            A region of the file, and its mask with the values of the training masks, as `ulna.formats.Writer.write`
            takes them.

        Raises
        ------
        UlnaError
            As `Pipeline.regions` does.
        """
        decoder = Decoder(self.task)
        turn, grid, view = self._turned(reader)

        def known(region: Region) -> bool:
            return skip(turn.before(region, grid.shape))

        for region, logits in self.pipeline.regions(view, grid, skip=known, progress=progress):
            mask = self.classes.to_values(decoder(logits, grid.crop(region)))
            yield turn.before(region, grid.shape), turn.undo(mask)

    def outputs(
        self, reader: Reader, *, skip: Callable[[Region], bool] = none, progress: Progress = quiet
    ) -> Iterator[tuple[Region, Array]]:
        """What the network says of an image region by region, for `objects`.

        Parameters
        ----------
        reader
            An image that `takes` takes.
        skip
            Says of a region that its outputs are known already.
        progress
            Shows how far it is.

        Yields
        ------
        tuple of Region and Array
            A region of the image with its axes in the order of the world, and logits (K, *region) of 16 bits.

        Raises
        ------
        UlnaError
            As `Pipeline.regions` does.
        """
        _, grid, view = self._turned(reader)
        for region, logits in self.pipeline.regions(view, grid, skip=skip, progress=progress):
            yield region, rounded(logits)

    def objects(
        self,
        read: Callable[[Region], Array],
        grid: Grid,
        *,
        cut: Callable[[int], None] = lambda _count: None,
        progress: Progress = quiet,
    ) -> Iterator[Band]:
        """The objects of an image band by band, each whole and once, numbered on and on.

        Parameters
        ----------
        read
            Gives what `outputs` gave of any region.
        grid
            Of the image, its axes in the order of the world.
        cut
            Is told how many objects are too large to be numbered as a whole.
        progress
            Shows how far it is.

        Yields
        ------
        Band
            As of `ulna.tasks.blocks.decoded_bands`.
        """
        found = self._config.task.decoding
        any_size = None if found is None else found.model_copy(update={"smallest": 0})
        task = build(
            self._config.task.model_copy(update={"decoding": any_size}), self.classes.names, self.classes.regions
        )

        def decode(logits: Array, own: Grid) -> Labels:
            return task.decode(task.activate(logits.astype("f4")), own)

        smallest = (found.smallest or 0) if found else 0
        bands = decoded_bands(read, grid, decode, smallest=smallest, cut=cut)
        for _, band in zip(progress(range(count_bands(grid)), "finding objects"), bands, strict=True):
            yield band

    def _turned(self, reader: Reader) -> tuple[Orientation, Grid, View]:
        """How an image is turned, and where its pixels lie, and what they are, when it is."""
        turn = orientation(reader.grid)
        return turn, turn.grid(reader.grid), view_of(reader, self._config.data, turn)

    @property
    def _config(self) -> Config:
        return self.pipeline.config
