"""`Model`: a trained network that predicts masks; the one noun to hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Image as PillowImage
from torch import Tensor, nn

from ulna import modelfile
from ulna.config import Config, InferenceConfig
from ulna.console import say
from ulna.data_section import SELECTION
from ulna.dataset import Progress, quiet
from ulna.errors import UlnaError
from ulna.formats import open_reader
from ulna.image import Array, Channel, Grid, Image, Labels, Source
from ulna.inference.background import nothing
from ulna.inference.devices import choose_device, device_of
from ulna.inference.engines import Choice, choose_engine, quantized_in
from ulna.inference.inputs import as_image, is_several, source_of
from ulna.inference.large import Large
from ulna.inference.making import Decoder, Maker, by_answer, by_region
from ulna.inference.network_input import channels_of
from ulna.inference.pipeline import Pipeline
from ulna.inference.views import View
from ulna.labels.classes import Classes
from ulna.layouts import Patterns
from ulna.maskfiles import real_paths, write_masks
from ulna.measurement import Table
from ulna.modelfile import Saved
from ulna.networks.summary import NetworkSummary, summarize_network
from ulna.orientation import orientation
from ulna.prediction import Prediction
from ulna.sections import DecodingConfig
from ulna.tasks import Task, build
from ulna.tasks.components import keep_largest
from ulna.text import listed

Given = str | Path | Source | Image | Array | Tensor | PillowImage
"""What can be predicted: a file, an image that was read, a NumPy array, a PyTorch tensor or a PIL image."""

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class Model:
    """A trained model; `ulna.load` reads one. It may be used by several threads at once.

    Parameters
    ----------
    saved
        What a model file holds.

    Raises
    ------
    UlnaError
        If the network's outputs are not those that the task needs for the classes.

    Examples
    --------
    >>> model = ulna.load("run")
    >>> model.channels, model.classes.names
    (1, ('background', 'foreground'))
    """

    saved: Saved

    def __post_init__(self) -> None:
        if self.task.outputs != self.saved.outputs:
            raise UlnaError(
                f"the parts of this model contradict each other: the network has {self.saved.outputs} output channels, "
                f"the task '{self.config.task.name}' needs {self.task.outputs} for {listed(self.classes.names, 8)}"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {"saved": self.saved}  # not what is compiled, which a copy makes for itself

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

    @property
    def network(self) -> nn.Module:
        """The PyTorch network: normalized images (N, C, *spatial) → logits (N, K, *spatial); of folds the first."""
        return self.saved.network

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return device_of(self.network)

    @cached_property
    def task(self) -> Task:
        """The question that it answers."""
        return build(self.config.task, self.classes.names, self.classes.regions)

    @cached_property
    def engine(self) -> Choice:
        """What runs the network, in which precision, and why: it prints itself.

        Raises
        ------
        UlnaError
            Where `inference.engine` or `inference.precision` name what cannot be had here.

        Examples
        --------
        >>> print(ulna.load("run", device="cpu").changed({"inference.engine": "torch"}).engine)
        PyTorch runs the network in float32.
        """
        config = self.config.inference
        if config.precision == "int8" and self.saved.others:
            what = f"these are {len(self.saved.networks)} models, and quantized is one alone"
            raise UlnaError(what, where="inference.precision=int8", hint="Name the folder of one fold.")
        return choose_engine(config, self.device, quantized_in(self.saved.folder))

    @cached_property
    def _pipeline(self) -> Pipeline:
        saved, choice = self.saved, self.engine
        return Pipeline(
            saved.network,
            self.config,
            saved.outputs,
            engine=choice.engine,
            precision=choice.precision,
            others=saved.others,
            average=self.task.average,
            blank=nothing(self.task) if self.config.inference.skip_background else (),
        )

    @cached_property
    def large(self) -> Large:
        """Its way through images that need not be in memory as a whole."""
        return Large(self._pipeline, self.task, self.classes)

    def changed(self, changes: dict[str, Any]) -> Model:
        """The same model with other settings of `inference`: how it predicts, not what it has learned.

        `data.time` and `data.scene`, which say what is read of files that hold several images, can be changed, too, and
        `data.channel_names`, by which channels are put into the order that was learned.

        Of a model that finds objects the constants by which these are made of the network's outputs can be changed,
        too: `{"task.decoding.smallest": 40}` leaves out what has fewer pixels. Of a model of classes it can be changed
        of which only the largest component is kept: `{"task.largest_component": ["liver"]}`.

        Parameters
        ----------
        changes
            Values by dotted keys, `{"inference.mirror": True}`.

        Returns
        -------
        Model
            With the same network.

        Raises
        ------
        UlnaError
            For unknown values, and for any setting that training has fixed.

        Examples
        --------
        >>> ulna.load("run").changed({"inference.tile": 512}).config.inference.tile
        512
        """
        decoding = ["task.decoding."] if self.task.finds_objects else ["task.largest_component"]
        own = ("inference.", *SELECTION, *decoding)
        fixed = [key for key in changes if not key.startswith(own)]
        if fixed:
            known = [f"inference.{key}" for key in InferenceConfig.model_fields]
            known += [f"task.decoding.{key}" for key in DecodingConfig.model_fields] if self.task.finds_objects else []
            known += [] if self.task.finds_objects else decoding
            known += SELECTION
            raise UlnaError(
                f"{fixed[0]} is fixed by training: of a trained model only how it predicts can be changed",
                where="changes",
                hint="Known here: " + ", ".join(known) + ".",
            )
        return Model(replace(self.saved, config=self.config.changed(changes, where="changes")))

    def summary(self, size: Sequence[int] | None = None) -> NetworkSummary:
        """The layers of the network as a table.

        Parameters
        ----------
        size
            The spatial size of the input; by default that of training.

        Returns
        -------
        NetworkSummary
            It prints itself.

        Raises
        ------
        UlnaError
            For a size that does not suit the network.

        Examples
        --------
        >>> ulna.load("run").summary((64, 64)).input
        (1, 64, 64)
        """
        default = self.config.data.resize or self.config.training.patch
        return summarize_network(self.network, self.config.network.name, size=size, default=default)

    def save(self, path: str | Path) -> Path:
        """Write the model into one file that `ulna.load` reads; a file that is there is replaced.

        Parameters
        ----------
        path
            A file whose name ends in .safetensors, or a folder, in which it is then called model.safetensors.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        UlnaError
            For another suffix, and where the file cannot be written.

        Examples
        --------
        >>> ulna.load("run").save("cells.safetensors").name
        'cells.safetensors'
        """
        target = Path(path).expanduser()
        if target.is_dir():
            target /= modelfile.NAME
        if target.suffix != ".safetensors":
            raise UlnaError(
                "a model is written as .safetensors", where=target, hint=f"Name it {target.stem}.safetensors"
            )
        modelfile.save(target, self.saved)
        return target

    @overload
    def predict(self, image: Given, *, progress: Progress = ...) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, image: Iterable[Any], *, progress: Progress = ...) -> Iterator[Prediction]: ...

    @overload
    def predict(
        self, image: Given | Iterable[Any], *, out: str | Path, overwrite: bool = ..., progress: Progress = ...
    ) -> list[Path]: ...

    def predict(
        self,
        image: Given | Iterable[Any],
        *,
        out: str | Path | None = None,
        overwrite: bool = False,
        progress: Progress = quiet,
    ) -> Prediction | Iterator[Prediction] | list[Path]:
        """The class of each pixel of an image, or of several, of any size.

        Parameters
        ----------
        image
            A file, an `Image`, a NumPy array, a PyTorch tensor or a PIL image; arrays are (Y, X), (C, Y, X) or
            (Y, X, C). Or several: a list, a generator or another iterable of these.
        out
            A folder for the masks, as files with the values that the training masks had. They are named by the files
            of the images, or else by their numbers: 0000.png.
        overwrite
            Whether masks that are there may be replaced.
        progress
            What shows how far it is: `ulna.console.track` is a bar.

        Returns
        -------
        Prediction, iterator of Prediction, or list of Path
            One prediction for one image. For several an iterator, which predicts when it is asked for the next. With
            `out` the files that were written. A volume gives one prediction (Z, Y, X), also of a network that sees its
            planes one by one.

        Raises
        ------
        UlnaError
            For what is no image, an image with other channels than the model was trained on, and files in the way.

        Examples
        --------
        >>> model = ulna.load("run")
        >>> mask = model.predict("cells.png")
        >>> mask.shape == model.predict(np.asarray(mask, np.float32)).shape
        True
        >>> [path.name for path in model.predict(["cells.png"], out="masks")]
        ['cells.png']
        """
        several = is_several(image)
        if out is not None:
            given = image if several else [image]
            return self._write(given, Path(out).expanduser(), overwrite=overwrite, progress=progress)  # type: ignore[arg-type]
        if not several:
            return self._predict(image, progress)
        return (prediction for _, prediction in self._predict_several(image, progress))  # type: ignore[arg-type]

    def measure(self, image: Given) -> Table:
        """Find the objects of an image and measure them.

        Parameters
        ----------
        image
            An image without further pages, as for `predict`.

        Returns
        -------
        dict
            Columns of one length by their names, see `ulna.measurement.measure_objects`.

        Raises
        ------
        UlnaError
            As `predict` does, and where the model finds no objects.
        """
        stated = Patterns.of(self.config.data)
        given = stated.place(Path(image).expanduser()) if isinstance(image, str | Path) else image
        read_image = as_image(
            given, ndim=self.config.network.ndim, channels=self.channels, missing=self.config.data.missing
        )
        return self.predict(read_image).measure(read_image)

    def probabilities(self, image: Given, *, progress: Progress = quiet) -> Image:
        """The probability of each class, or of each region where these were learned.

        Parameters
        ----------
        image
            An image, as for `predict`.
        progress
            What shows how far it is.

        Returns
        -------
        Image
            (classes, *spatial) float32, the background first, or (regions, *spatial). A stack of pages gives
            (classes, Z, Y, X).

        Raises
        ------
        UlnaError
            As `predict` does.

        Examples
        --------
        >>> per_class = ulna.load("run").probabilities("cells.png")
        >>> bool(np.allclose(per_class.array.sum(axis=0), 1))
        True
        """
        return self._named(self._made(self._image(image), [self._class_probabilities], progress)[0])

    def mask_and_probabilities(self, image: Image, *, progress: Progress = quiet) -> tuple[Prediction, Image]:
        """Both at the price of one: what `predict` and `probabilities` return.

        Parameters
        ----------
        image
            An image that was read, without further pages.
        progress
            What shows how far it is.

        Returns
        -------
        tuple of Prediction and Image
            The mask, and the probability of each class or region.

        Raises
        ------
        UlnaError
            As `predict` does.
        """
        decoder = Decoder(self.task)
        mask, per_class = self._made(image, [decoder, self._class_probabilities], progress)
        return self._prediction(mask, decoder), self._named(per_class)

    def _predict(self, image: Any, progress: Progress) -> Prediction:
        decoder = Decoder(self.task)
        return self._prediction(self._made(self._image(image), [decoder], progress)[0], decoder)

    def _class_probabilities(self, logits: Logits, _grid: Grid) -> Logits:
        return self.task.activate(logits)[: len(self.task.probable)]

    def _named(self, per_class: Image) -> Image:
        return replace(per_class, channels=tuple(Channel(name) for name in self.task.probable))

    def _prediction(self, labels: Image, decoder: Decoder) -> Prediction:
        found = Labels.from_array(labels.array, labels.grid, self.classes.names)
        found = replace(found, classes=self.in_one_piece(found.classes, found.grid))
        scores = decoder.scores
        if found.objects is not None:  # small ones may have no pixel on the image's own, coarser grid
            scores = tuple(scores[number - 1] for number in np.unique(found.objects) if number)
        return Prediction(replace(found, scores=scores), self.classes, labels.source)

    def in_one_piece(self, classes: npt.NDArray[np.uint8], grid: Grid) -> npt.NDArray[np.uint8]:
        """Keep only the largest component of the classes that are one piece.

        Parameters
        ----------
        classes
            (*spatial) class indices of an image or a volume; the pages of a stack, which a network of images sees one
            by one, are images of their own.
        grid
            Where its pixels lie.

        Returns
        -------
        ndarray of uint8
            (*spatial).
        """
        pieces = self.task.one_piece
        if not pieces:
            return classes
        if classes.ndim > self.config.network.ndim and self.config.data.slices is None:
            axis = orientation(grid).order[0]
            return np.stack([keep_largest(page, pieces) for page in np.moveaxis(classes, axis, 0)], axis)
        return keep_largest(classes, pieces)

    def _predict_several(self, images: Iterable[Any], progress: Progress) -> Iterator[tuple[int, Prediction]]:
        """Each prediction with its number; an error says which image it was."""
        shown = progress(images, "predicting") if isinstance(images, Sequence) else images
        for number, image in enumerate(shown):
            try:
                if is_several(image):
                    raise UlnaError("is a list within the list", hint="Give numbers as an array: np.asarray(image).")
                prediction = self._predict(image, quiet)
            except UlnaError as error:
                where = f"image {number} of those given" + (f", {error.where}" if error.where else "")
                raise UlnaError(error.what, where=where, hint=error.hint) from None
            yield number, prediction

    def _write(self, images: Iterable[Any], folder: Path, *, overwrite: bool, progress: Progress) -> list[Path]:
        inputs = real_paths(images) if isinstance(images, Sequence) else set()
        wide = self.classes.to_values(np.zeros((1, 1, 1), np.uint8)).dtype.itemsize > 2
        found = self._predict_several(images, progress)
        return write_masks(found, folder, inputs=inputs, wide=wide, overwrite=overwrite)

    def _image(self, given: Any) -> Image:
        """What can be predicted as an image; what its file leaves open is said."""
        if isinstance(given, str | Path):
            given = source_of(Patterns.of(self.config.data).place(Path(given).expanduser()))
        if isinstance(given, Source):
            with open_reader(given) as reader:
                for said in filter(None, (reader.assumed, reader.chosen)):
                    say(f"{given}: {said}")
        return as_image(given, ndim=self.config.network.ndim, channels=self.channels, missing=self.config.data.missing)

    def _made(self, image: Image, makers: Sequence[Maker], progress: Progress) -> list[Image]:
        """What each of some functions makes of the logits of an image, on its own grid.

        Volumes are turned as in training, and turned back. Where the answer at a pixel depends on others, it is made of
        what the network sees at a time, and brought to the image's own grid afterwards.
        """
        if image.ndim < self.config.network.ndim:
            what = f"the image has {image.ndim} spatial axes, this model takes {self.config.network.ndim}"
            raise UlnaError(what, where=image.source)
        turn = orientation(image.grid)
        grid = turn.grid(image.grid)
        view = View.of(turn.apply(self._channels(image)))
        make = by_region if self.task.pixelwise else by_answer
        whole = make(self._pipeline, view, grid, makers, progress=progress)
        return [image.with_array(np.ascontiguousarray(turn.undo(one))) for one in whole]

    def _channels(self, image: Image) -> Array:
        """The image (C, *spatial) with the channels of the network."""
        array, notes = channels_of(image, self.config.data)
        for note in notes:
            say(f"{image.source or 'the image'}: {note}")
        return array

    def __repr__(self) -> str:
        network, ndim = self.config.network, self.config.network.ndim
        images = f"{self.channels}-channel {ndim}D images"
        count = f"{len(self.saved.networks)} × " if self.saved.others else ""
        return f"<Model {count}{network.name} on {self.device}: {images} → {listed(self.classes.names, 8)}>"

    def _repr_html_(self) -> str:
        note = f"<br>{escape(self.saved.note)}" if self.saved.note else ""
        return f"<div>{escape(repr(self))}{note}</div>"


def load(run: str | Path, *, device: str | None = None) -> Model:
    """The trained model of a run.

    Of a training that has not ended the best checkpoint is taken, or where none is kept the last, and that is said. Of
    a folder of folds the probabilities of all that are trained are averaged.

    Parameters
    ----------
    run
        A run's folder, or the model file itself.
    device
        Where it runs: "cpu", "cuda", "cuda:1" or "mps" (Apple's GPU, untested); by default the CUDA GPU if there is
        one, else the CPU.

    Returns
    -------
    Model
        Ready to predict.

    Raises
    ------
    UlnaError
        For a file that is none, that a newer version wrote or whose parts contradict each other, and for a device that
        is not there.

    Examples
    --------
    >>> model = ulna.load("run", device="cpu")
    >>> model.device
    device(type='cpu')
    """
    place = choose_device(device)
    if not isinstance(run, str | Path):
        raise UlnaError(f"{type(run).__name__} is no path", where="run", hint="Give a run's folder or a model file.")
    saved = modelfile.load(run)
    try:
        model = Model(saved)
    except UlnaError as error:
        raise UlnaError(error.what, where=run, hint=error.hint) from None
    if saved.note:
        say(saved.note)
    for network in saved.networks:
        network.to(place)
    return model
