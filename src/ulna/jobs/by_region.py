"""Masks of images that are not in memory as a whole: written as they come, or once all that they need is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ulna.config import InferenceConfig
from ulna.dataset import Case, Progress
from ulna.errors import UlnaError
from ulna.formats import Reader, create, open_reader
from ulna.formats.base import GRAY
from ulna.image import Array, Grid, Image, Source
from ulna.inference import room
from ulna.inference.engines.compiled import weights_hash
from ulna.inference.kept import Kept
from ulna.inference.windows import bands
from ulna.model import Model
from ulna.objectlist import Listed
from ulna.orientation import orientation
from ulna.tasks.blocks import MOST
from ulna.text import plural

BAND = 1 << 24
"""So many pixels of a mask are copied at a time."""

HOW = ("engine", "precision")
"""Settings of prediction by which masks do not differ, but for rounding."""


def streams(model: Model, frames: Sequence[Case]) -> bool:
    """Whether the mask of a file can be written as it comes: where no pixel's label needs others."""
    return model.task.pixelwise and all(_takes(model, frame) for frame in frames)


def is_large(model: Model, frames: Sequence[Case], target: Path) -> bool:
    """Whether what is computed of an image is kept on the disk until its mask is whole."""
    if len(frames) > 1 or not _takes(model, frames[0]):
        return False
    numbers = model.task.finds_objects and target.suffix == ".png"  # how many there are is known at the end
    with open_reader(frames[0].images[0]) as reader:
        return room.is_large(reader.grid.shape) and not numbers


def stream(model: Model, frames: Sequence[Case], target: Path, *, progress: Progress) -> None:
    """Write the mask of an image, or of the frames of a film, as it comes."""
    with open_reader(frames[0].images[0]) as reader:
        frame = reader.grid
    film = len(frames) > 1
    grid = film_grid(frames[0], len(frames), frame.shape) if film else frame
    values = _values(model)
    with create(target, grid, dtype=values.array.dtype, channels=values.channels, labels=True) as writer:
        for number, case in enumerate(frames):
            plane = (slice(number, number + 1),) if film else ()
            with open_reader(case.images[0]) as reader:
                if reader.grid.shape != frame.shape:
                    raise UlnaError("its frames differ in size, and one file holds frames of one size", where=case.name)
                try:
                    for region, mask in model.large.masks(reader, progress=progress):
                        spread = mask.reshape(len(mask), *(1,) * len(plane), *mask.shape[1:])
                        writer.write((*plane, *region), spread)
                except UlnaError as error:
                    raise UlnaError(error.what, where=error.where or case.images[0], hint=error.hint) from None


def write_large(
    model: Model, case: Case, target: Path, *, found: Callable[[list[Listed] | None], None], progress: Progress
) -> list[str]:
    """Write the mask of a large image. `found` is given its objects before it appears; None of a model of classes.

    What the network says is kept in a hidden folder beside the mask, with which the same command goes on if this
    process is killed; it goes when the mask is whole. Returns what is to be said of the mask.
    """
    source = case.images[0]
    with open_reader(source) as reader:
        try:
            if model.task.finds_objects:
                return _objects(model, reader, case, target, found, progress)
            _classes(model, reader, case, target, progress)
            found(None)
            return []
        except UlnaError as error:
            raise type(error)(error.what, where=error.where or source, hint=error.hint) from None


def film_grid(case: Case, count: int, shape: tuple[int, ...]) -> Grid:
    """The place of a whole film: that of its file, if it has as many planes as were predicted."""
    source = case.images[0]
    with open_reader(replace(source, page=None, region=(), level=0)) as reader:
        grid = reader.grid
    if source.region and grid.ndim == 1 + len(source.region) and not source.level:
        grid = grid.crop((slice(0, grid.shape[0]), *(slice(*part) for part in source.region)))
    return grid if grid.shape == (count, *shape) else Grid((count, *shape))


def _takes(model: Model, case: Case) -> bool:
    if len(case.images) > 1:
        return False
    with open_reader(case.images[0]) as reader:
        return model.large.takes(reader)


def _values(model: Model) -> Image:
    """A pixel of a mask, for its type and channels."""
    return Image(model.classes.to_values(np.zeros((1, 1, 1), np.uint8)))


def _classes(model: Model, reader: Reader, case: Case, target: Path, progress: Progress) -> None:
    values = _values(model)
    shape, dtype = reader.grid.shape, values.array.dtype
    with _kept(model, case.images[0], target, (len(values.array), *shape), dtype) as kept:
        if not kept.done(tuple(slice(0, side) for side in shape)):
            for region, mask in model.large.masks(reader, skip=kept.done, progress=progress):
                kept.put(region, mask)
        with create(target, reader.grid, dtype=dtype, channels=values.channels, labels=True) as writer:
            for band in progress(bands(shape, BAND), "writing"):
                writer.write(band, kept.read(band))


def _objects(
    model: Model,
    reader: Reader,
    case: Case,
    target: Path,
    found: Callable[[list[Listed] | None], None],
    progress: Progress,
) -> list[str]:
    turn = orientation(reader.grid)
    grid = turn.grid(reader.grid)
    shape, listing, parts = (model.task.outputs, *grid.shape), list[Listed](), list[int]()
    with _kept(model, case.images[0], target, shape, np.dtype(np.float16)) as kept:
        if not kept.done(tuple(slice(0, side) for side in grid.shape)):
            for region, logits in model.large.outputs(reader, skip=kept.done, progress=progress):
                kept.put(region, logits)
        with create(target, reader.grid, dtype=np.dtype(np.int32), channels=GRAY, labels=True) as writer:
            for band in model.large.objects(kept.read, grid, cut=parts.append, progress=progress):
                numbers: Array = np.asarray(band.labels.objects)[None]
                writer.write(turn.before(band.region, grid.shape), turn.undo(numbers))
                each = enumerate(zip(band.classes, band.labels.scores, strict=True), len(listing) + 1)
                listing += [Listed(case.name, number, model.classes.names[k], score) for number, (k, score) in each]
            found(listing)
    if not parts:
        return []
    many = plural(sum(parts), "object is", "objects are")
    return [f"{case.name}: {many} so large that only the part in a window of {MOST:,} pixels was numbered"]


def kept_beside(target: Path) -> Path:
    """The hidden folder in which is kept what is computed of an image whose mask goes to a file."""
    return target.with_name(f".{target.name}.part-kept")


def _kept(model: Model, source: Source, target: Path, shape: tuple[int, ...], dtype: np.dtype) -> Kept:
    """What an earlier process has kept of the same image, by the same model in the same way, or nothing yet."""
    facts, config = source.path.stat(), model.config
    by = version("ulna"), [weights_hash(network) for network in model.saved.networks]
    how = model.engine.name, model.engine.precision, *_unchanged(config.inference), config.data.model_dump()
    place = replace(source, path=source.path.absolute())
    origin = (*by, *how, model.classes, place, facts.st_size, facts.st_mtime_ns)
    return Kept(kept_beside(target), shape, dtype, repr(origin))


def _unchanged(settings: InferenceConfig) -> list[tuple[str, object]]:
    """The settings of prediction by which masks differ by more than rounding."""
    return sorted((name, value) for name, value in settings.model_dump().items() if name not in HOW)


def made_by(model: Model, region: tuple[tuple[int, int], ...], level: int) -> str:
    """A word for the model and the way in which it predicts: masks of one word are alike."""
    weights = [weights_hash(network) for network in model.saved.networks]
    how = _unchanged(model.config.inference), model.config.task.decoding, region, level
    data = model.config.data.model_dump()
    chosen = [(name, data[name]) for name in ("time", "scene") if data[name] is not None]
    return sha256(repr((weights, *how, *chosen)).encode()).hexdigest()[:16]
