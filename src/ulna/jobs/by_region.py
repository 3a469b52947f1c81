"""Masks of images that are not in memory as a whole: written as they come, or once all that they need is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ulna.config import InferenceConfig
from ulna.dataset import Case, Progress, named, quiet
from ulna.errors import UlnaError
from ulna.formats import Reader, create, open_reader
from ulna.formats.base import GRAY
from ulna.formats.beside import companions
from ulna.image import Array, Grid, Image, Region
from ulna.inference import room
from ulna.inference.engines.compiled import weights_hash
from ulna.inference.kept import Kept
from ulna.inference.room import check_room
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
    return model.task.pixelwise and not model.task.one_piece and all(_takes(model, frame) for frame in frames)


def is_large(model: Model, frames: Sequence[Case], suffix: str) -> bool:
    """Whether what is computed of an image is kept on the disk until its mask, of this suffix, is whole."""
    if len(frames) > 1 or not _takes(model, frames[0]):
        return False
    numbers = model.task.finds_objects and suffix == ".png"  # how many there are is known at the end
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
            with _reading(case) as reader:
                if reader.grid.shape != frame.shape:
                    raise UlnaError("its frames differ in size, and one file holds frames of one size", where=case.name)
                try:
                    for region, mask in model.large.masks(reader, progress=progress):
                        spread = mask.reshape(len(mask), *(1,) * len(plane), *mask.shape[1:])
                        writer.write((*plane, *region), spread)
                except UlnaError as error:
                    raise type(error)(error.what, where=error.where or case.images[0], hint=error.hint) from None


def write_large(
    model: Model,
    case: Case,
    target: Path,
    *,
    found: Callable[[list[Listed] | None], None],
    ahead: Callable[[], Iterable[str]] = tuple,
    progress: Progress,
) -> list[str]:
    """Write the mask of a large image. `found` is given its objects before it appears; None of a model of classes.

    What the network says is kept in a hidden folder beside the mask, with which the same command goes on if this
    process is killed; it goes when the mask is whole. `ahead` is called when the folder is there: what it has other
    processes do there by `help_with`, whose lists it names, is not done again. Returns what is to be said of the mask.
    """
    with _opened(case) as reader, _begun(model, reader, case, target) as kept:
        if model.task.one_piece:
            check_room((2, *kept.shape[1:]))  # in memory as a whole, with the numbers of components
        if not kept.complete:
            names: Iterable[str] = ()
            try:
                names = ahead()
            finally:  # also where it is stopped: what is there stays
                kept.look(names)
        if not kept.complete:
            _fill(model, reader, kept, kept.done, progress)
        if model.task.finds_objects:
            return _objects(model, reader, case, kept, target, found, progress)
        _classes(model, reader, kept, target, progress)
        found(None)
        return []


def help_with(model: Model, case: Case, target: Path, band: tuple[float, float]) -> str:
    """Compute a band of a large image whose mask another process writes: from one share of its planes to another.

    Bands lie along the first axis along which regions are not as long as the image. Returns the name of the list of
    what is kept.
    """
    with _opened(case) as reader, _begun(model, reader, case, target, helps=True) as kept:
        if not model.large.divisible(reader):  # with the memory of this machine; the other process does it
            return kept.name

        def elsewhere(region: Region) -> bool:
            pairs = list(zip(region, kept.shape[1:], strict=True))
            part, side = next((pair for pair in pairs if pair[0].stop - pair[0].start < pair[1]), pairs[0])
            return not band[0] <= (part.start + part.stop) / (2 * side) < band[1] or kept.done(region)

        _fill(model, reader, kept, elsewhere, quiet)
        return kept.name


def divisible(model: Model, case: Case) -> bool:
    """Whether parts of a large image can be computed without the others."""
    with _opened(case) as reader:
        return model.large.divisible(reader)


def film_grid(case: Case, count: int, shape: tuple[int, ...]) -> Grid:
    """The place of a whole film: that of its file, if it has as many planes as were predicted."""
    source = case.images[0]
    with open_reader(replace(source, page=None, region=())) as reader:
        grid = reader.grid
    if source.region and grid.ndim == 1 + len(source.region):
        grid = grid.crop((slice(0, grid.shape[0]), *(slice(*part) for part in source.region)))
    return grid if grid.shape == (count, *shape) else Grid((count, *shape))


def _takes(model: Model, case: Case) -> bool:
    if len(case.images) > 1:
        return False
    with _reading(case) as reader:
        return model.large.takes(reader)


def _values(model: Model) -> Image:
    """A pixel of a mask, for its type and channels."""
    return Image(model.classes.to_values(np.zeros((1, 1, 1), np.uint8)))


@contextmanager
def _reading(case: Case) -> Iterator[Reader]:
    """The reader of an image, whose channels are called as its data set says."""
    with open_reader(case.images[0]) as reader:
        yield replace(reader, channels=named(reader.channels, case.channels))


@contextmanager
def _opened(case: Case) -> Iterator[Reader]:
    """An image; errors name it where they name no place."""
    source = case.images[0]
    with _reading(case) as reader:
        try:
            yield reader
        except UlnaError as error:
            raise type(error)(error.what, where=error.where or source, hint=error.hint) from None


def _fill(model: Model, reader: Reader, kept: Kept, skip: Callable[[Region], bool], progress: Progress) -> None:
    """Compute what is not to be skipped: labels as the file lies, or of objects what they are found in."""
    compute = model.large.outputs if model.task.finds_objects else model.large.masks
    for region, numbers in compute(reader, skip=skip, progress=progress):
        kept.put(region, numbers)


def _classes(model: Model, reader: Reader, kept: Kept, target: Path, progress: Progress) -> None:
    read = kept.read
    if model.task.one_piece:
        whole = _in_one_piece(model, kept, reader.grid)

        def read(region: Region) -> Array:
            return model.classes.to_values(whole[region][None])

    with create(target, reader.grid, dtype=kept.dtype, channels=_values(model).channels, labels=True) as writer:
        for band in progress(bands(reader.grid.shape, BAND), "writing"):
            writer.write(band, read(band))


def _in_one_piece(model: Model, kept: Kept, grid: Grid) -> npt.NDArray[np.uint8]:
    """Class indices (*spatial) of what is kept, in memory as a whole, as the components of classes are found in it."""
    count, shape = len(model.classes.names), kept.shape[1:]
    written = model.classes.to_values(np.arange(count, dtype=np.uint8).reshape(1, count, *(1,) * (len(shape) - 1)))
    classes = np.zeros(shape, np.uint8)
    for band in bands(shape, BAND):
        values = kept.read(band)
        for index in range(1, count):
            classes[band][(values == written[:, index : index + 1]).all(axis=0)] = index
    return model.in_one_piece(classes, grid)


def _objects(
    model: Model,
    reader: Reader,
    case: Case,
    kept: Kept,
    target: Path,
    found: Callable[[list[Listed] | None], None],
    progress: Progress,
) -> list[str]:
    turn, listing, parts = orientation(reader.grid), list[Listed](), list[int]()
    grid = turn.grid(reader.grid)
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


def _begun(model: Model, reader: Reader, case: Case, target: Path, *, helps: bool = False) -> Kept:
    """What earlier processes have kept of the same image, by the same model in the same way, or nothing yet."""
    config = model.config
    by = version("ulna"), [weights_hash(network) for network in model.saved.networks]
    how = model.engine.precision == "int8", *_unchanged(config.inference), config.data.model_dump()
    origin = repr((*by, *how, model.classes, *_as_it_is([case])))
    if model.task.finds_objects:
        shape = model.task.outputs, *orientation(reader.grid).grid(reader.grid).shape
        return Kept(kept_beside(target), shape, np.dtype(np.float16), origin, helps=helps)
    values = _values(model).array
    return Kept(kept_beside(target), (len(values), *reader.grid.shape), values.dtype, origin, helps=helps)


def _unchanged(settings: InferenceConfig) -> list[tuple[str, object]]:
    """The settings of prediction by which masks differ by more than rounding."""
    return sorted((name, value) for name, value in settings.model_dump().items() if name not in HOW)


def _as_it_is(cases: Sequence[Case]) -> list[object]:
    """Which images these are, and in which state: place, size and time of all of their files."""
    sources = [source for case in cases for source in case.images]
    own = dict.fromkeys(part.path for source in sources for part in source.parts)
    files = [path for part in own for path in (part, *companions(part))]
    facts = [(path.name, *_state(path)) for path in files]
    return [*(replace(source, path=source.path.absolute()) for source in sources), *facts]


def _state(path: Path) -> tuple[int, ...]:
    """Size and time of a file; of a folder how many files it holds at any depth, their size and last change."""
    found = path.stat()
    if not path.is_dir():
        return found.st_size, found.st_mtime_ns
    inside = [(Path(folder) / name).stat() for folder, _, names in os.walk(path) for name in names]
    return len(inside), sum(one.st_size for one in inside), max((one.st_mtime_ns for one in inside), default=0)


def made_of(by: str, frames: Sequence[Case]) -> str:
    """A word for what made a mask and of which images: masks of one word are alike."""
    try:
        return sha256(repr((by, _as_it_is(frames))).encode()).hexdigest()[:16]
    except OSError:  # it is not there: predicting it says so
        return ""


def made_by(model: Model, region: tuple[tuple[int, int], ...], level: int) -> str:
    """A word for the model and the way in which it predicts."""
    weights = [weights_hash(network) for network in model.saved.networks]
    task = model.config.task
    pieces = [task.largest_component] if task.largest_component else []
    rough = ["int8"] if model.engine.precision == "int8" else []
    how = _unchanged(model.config.inference), task.decoding, *pieces, *rough, region, level
    data = model.config.data.model_dump()
    chosen = [(name, data[name]) for name in ("time", "scene", "channel_names") if data[name] not in (None, ())]
    return sha256(repr((version("ulna"), weights, *how, *chosen)).encode()).hexdigest()[:16]
