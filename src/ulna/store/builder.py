"""Build a store: read every case once, measure it, and write it into flat files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ulna.channels import choose
from ulna.config import DataConfig
from ulna.dataset import Case, Progress, case_bytes, load_image, quiet
from ulna.errors import UlnaError, in_memory
from ulna.formats.atomic import cannot_write
from ulna.formats.base import guard_memory
from ulna.formats.beside import companions
from ulna.image import Array, Grid, Labels, Region
from ulna.labels.classes import Classes
from ulna.normalization import NORMALIZATIONS, Scaling, common_channels, fixed_scaling, has_range, scaling
from ulna.orientation import orientation
from ulna.parallel import in_parallel
from ulna.resampling import across, planned_shape, resampled_bands, resize_labels
from ulna.store.cases import Block, StoredCase
from ulna.store.coordinates import Coordinates, foreground_coordinates
from ulna.store.intensities import measure
from ulna.store.mapped import COORDINATES, IMAGES, INDEX, TRUTHS, Store
from ulna.truth import placed_truth

VERSION = 5

RESAMPLED = "resampled"
"""The folder, within that of a store, of the second stage: the same cases at other sizes."""

ALIGNMENT = 64
"""Arrays begin at multiples of so many bytes."""

IDENTITY = Scaling((0.0,), (1.0,))
NOWHERE = Block(0, (0,), "|u1")
"""The place of an array that is not written yet."""


def build(
    folder: Path,
    cases: Sequence[Case],
    *,
    config: DataConfig,
    classes: Classes,
    progress: Progress = quiet,
    shared: bool = False,
) -> Store:
    """Decode and measure cases into a store, or open the one that is there.

    Parameters
    ----------
    folder
        Where it is written, atomically. A store is used again if its cases, the content of their files, the classes
        and `config.channels` agree.
    cases
        What to read, at least one.
    config
        With `channels` 0 the images' own channels are kept; gray images among color ones are then made color.
        `normalization`, `resize` and `target_spacing` are applied as in `planned`.
    classes
        What the values of masks mean.
    progress
        Sees every case.
    shared
        Whether other processes may be at work with a store in this folder: each store then has a folder of its own in
        it, and none is replaced.

    Returns
    -------
    Store
        The cases in their order.

    Raises
    ------
    UlnaError
        For files that cannot be read, labels of another size than their image, and a full disk.
    """
    if not cases:
        raise UlnaError("there are no cases to make a store of", where=folder)

    def fill(beside: Path) -> dict[str, Any]:
        return _read_all(beside, cases, config, classes, progress) | {"normalization": config.normalization}

    key = _key(cases, config, classes)
    place = folder / key[:16] if shared else folder
    _made_once(place, key, fill)
    return planned(Store.open(place, config.normalization), config)


def planned(store: Store, config: DataConfig) -> Store:
    """The cases of a store, or of a view of one, as the plan wants them: normalized, and resampled if it says so.

    Where cases change their size, a second stage holds them, normalized before; it is written once per size and
    normalization. Raises UlnaError when the disk is full.
    """
    if store.folder.name == RESAMPLED:
        store = Store.open(store.folder.parent, selection=store.selection)
    how, fixed = config.normalization, fixed_scaling(config)
    whole = Store.open(store.folder, how).normalized(how, fixed)
    sizes = [planned_shape(case.grid, config) for case in whole.cases]
    if all(case.grid.shape == size for case, size in zip(whole.cases, sizes, strict=True)):
        return store.normalized(how, fixed)
    words = {"digest": whole.digest, "sizes": sizes, "normalization": how, "fixed": fixed, "version": VERSION}

    def fill(beside: Path) -> dict[str, Any]:
        with _Writer(beside) as writer:
            cases = [_resampled(writer, whole, index, size).as_json() for index, size in enumerate(sizes)]
        return {"cases": cases, "normalization": config.normalization}

    _made_once(store.folder / RESAMPLED, _hash(words), fill)
    return Store.open(store.folder / RESAMPLED, config.normalization, store.selection)


def _made_once(folder: Path, key: str, fill: Callable[[Path], dict[str, Any]]) -> None:
    """Let `fill` write files into a folder that takes this name when all went well, unless it is there already."""
    if _built_from(folder) == key:
        return
    beside = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        index = fill(beside) | {"key": key, "sizes": _sizes(beside)}
        (beside / INDEX).write_text(json.dumps(index), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        beside.replace(folder)
    except OSError as error:
        raise cannot_write(error, folder) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


class _Writer:
    """The three flat files of a store while it is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._streams: dict[str, BinaryIO] = {}

    def __enter__(self) -> _Writer:
        for name in (IMAGES, TRUTHS, COORDINATES):
            self._streams[name] = self._stack.enter_context((self._folder / name).open("wb"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, case: StoredCase, image: Array, truth: Array, coordinates: Coordinates) -> StoredCase:
        """Append a case's arrays; returns its record with their places."""
        return replace(
            case,
            image=self._append(IMAGES, image),
            truth=self._append(TRUTHS, truth),
            coordinates={label: self._append(COORDINATES, places) for label, places in coordinates.items()},
        )

    def _append(self, name: str, array: Array) -> Block:
        stream = self._streams[name]
        stream.write(b"\0" * (-stream.tell() % ALIGNMENT))
        block = Block(stream.tell(), tuple(array.shape), array.dtype.str)
        _append(stream, array)
        return block


def _append(stream: BinaryIO, array: Array) -> None:
    stream.write(np.ascontiguousarray(array).data)


@dataclass(frozen=True)
class _Loaded:
    """A case as it was read: its record without the places of the arrays, and these."""

    record: StoredCase
    image: Array
    truth: Array
    coordinates: Coordinates


def _read_all(
    folder: Path, cases: Sequence[Case], config: DataConfig, classes: Classes, progress: Progress
) -> dict[str, Any]:
    """Write all cases; again with common channels if they turn out to be mixed."""

    def load(case: Case) -> _Loaded:
        return _load(case, config, classes)

    with _Writer(folder) as writer:
        loaded = in_parallel(load, cases, weigh=case_bytes)
        records = [_written(writer, next(loaded)) for _ in progress(cases, "reading images")]
    channels = {record.image.shape[0] for record in records}
    if len(channels) > 1:
        common = config.model_copy(update={"channels": common_channels(channels)})
        return _read_all(folder, cases, common, classes, progress)
    return {"version": VERSION, "cases": [record.as_json() for record in records]}


def _written(writer: _Writer, loaded: _Loaded) -> StoredCase:
    return writer.write(loaded.record, loaded.image, loaded.truth, loaded.coordinates)


def _load(case: Case, config: DataConfig, classes: Classes) -> _Loaded:
    with in_memory("Cut the image into parts, or close other programs.", where=case.name):
        use = config.use_channels
        whole = load_image(case, channels=0 if use else config.channels)
        image = choose(whole, use, where=case.name)
        guard_memory(4 * image.array.size, case.name, shape=image.array.shape)  # as 32-bit numbers while validating
        truth = _truth(case, classes, image.grid).to_array()
        turn = orientation(image.grid)
        if turn.changes:
            array, truth = (np.ascontiguousarray(turn.apply(one)) for one in (image.array, truth))
            image = replace(image, array=array, grid=turn.grid(image.grid))
        counts, coordinates = foreground_coordinates(truth[0])
        foreground = [places for label, places in coordinates.items() if label]
        places = np.concatenate([np.zeros(0, np.int64), *foreground])
        record = StoredCase(
            name=case.name,
            group=case.group or case.name,
            digest=_digest(image.array, truth),
            image=NOWHERE,
            truth=NOWHERE,
            coordinates={},
            counts=counts,
            scalings=_scalings(image.array, config, where=case.name),
            grid=image.grid,
            intensities=measure(image.array, places),
            suffix=case.images[0].suffix,
            files=len(case.images),
            channels=tuple(channel.name for channel in whole.channels),
        )
        return _Loaded(record, image.array, truth, coordinates)


def _scalings(array: Array, config: DataConfig, *, where: str) -> dict[str, Scaling]:
    """How each normalization scales an image; "range" only where there is one, or it is wanted."""
    names = [how for how in NORMALIZATIONS if how == config.normalization or how != "range" or has_range(array)]
    try:
        return {how: scaling(array, how, config.counts) for how in names}
    except UlnaError as error:
        raise UlnaError(error.what, where=where, hint=error.hint) from None


def _truth(case: Case, classes: Classes, grid: Grid) -> Labels:
    """The labels of a case; faults are named with their place."""
    truth = placed_truth(case, grid).image
    try:
        return replace(classes.to_labels(truth.array), grid=grid)
    except UlnaError as error:
        raise UlnaError(error.what, where=error.where or case.name, hint=error.hint) from None


def _digest(*arrays: Array) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _resampled(writer: _Writer, whole: Store, index: int, to: tuple[int, ...]) -> StoredCase:
    """Write a case at another size: its image normalized before, so that no rounding comes between."""
    case, raw = whole.cases[index], whole.raw(index)

    def read(region: Region) -> Array:
        return whole.scale(index, raw[(slice(None), *region)])

    image = np.empty((len(raw), *to), np.float32)
    for rows, band in resampled_bands(read, case.grid.shape, to, across(case.grid)):
        image[:, rows] = band
    truth = resize_labels(whole.truth(index), to)
    counts, coordinates = foreground_coordinates(truth[0])
    grid, scalings = case.grid.resampled(shape=to), {whole.normalization: IDENTITY}
    return writer.write(replace(case, grid=grid, scalings=scalings, counts=counts), image, truth, coordinates)


def _key(cases: Sequence[Case], config: DataConfig, classes: Classes) -> str:
    """What a store depends on, as one sha256: cases, the content of their files, channels, and what labels mean."""
    sources = {source for case in cases for source in (*case.images, *case.truth, *case.markers)}
    own = {part.path for source in sources for part in source.parts}
    paths = sorted(own.union(*map(companions, own)))
    meaning = {key: value for key, value in asdict(classes).items() if key != "sentence"}
    return _hash(
        {
            "version": VERSION,
            "channels": config.channels,
            "counts": config.counts,
            "range": config.normalization == "range",
            "use": config.use_channels,
            "classes": meaning,
            "cases": [asdict(case) for case in cases],
            "files": list(zip(map(str, paths), in_parallel(_content, paths), strict=True)),
        }
    )


def _hash(words: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(words, sort_keys=True, default=str).encode()).hexdigest()


def _content(path: Path) -> str:
    """The sha256 of a file, or of all files of a folder; "" where it cannot be read: reading the case says why."""
    try:
        files: Iterable[Path] = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else (path,)
        digest = hashlib.sha256()
        for file in files:
            digest.update(str(file.relative_to(path)).encode("utf-8", "surrogateescape"))
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    except OSError:
        return ""
    return digest.hexdigest()


def _sizes(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_size for name in (IMAGES, TRUTHS, COORDINATES)}


def _built_from(folder: Path) -> str:
    """The key of the store in a folder; "" where there is none, or its files are cut off, as a power failure leaves."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return str(index.get("key", "")) if index.get("sizes") == _sizes(folder) else ""
    except (OSError, ValueError):
        return ""
