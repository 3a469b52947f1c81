"""The cases of a training, decoded once: normalized images and class indices, mapped into memory."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ulna.config import DataConfig
from ulna.dataset import Case, Progress, in_parallel, load_image, load_truth, quiet
from ulna.errors import UlnaError, in_memory
from ulna.formats.atomic import cannot_write
from ulna.formats.base import guard_memory
from ulna.image import Array
from ulna.labels.classes import Classes
from ulna.normalization import common_channels, normalize, resize

VERSION = 2
INDEX, IMAGES, TRUTHS = "index.json", "images.float32", "truths.uint8"


@dataclass(frozen=True)
class Store:
    """Images and truths of some cases, as flat files and an index.

    `shapes` are those of the images, (C, *spatial); `digest` is the sha256 of the images as they were read
    (after `data.channels`) and of the class indices, whatever the files' names, places and containers.
    """

    folder: Path
    names: tuple[str, ...]
    groups: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    digest: str
    _images: npt.NDArray[np.float32]
    _truths: npt.NDArray[np.uint8]
    _image_starts: tuple[int, ...]
    _truth_starts: tuple[int, ...]

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Map a store that was built. Raises UlnaError if there is none."""
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            images = np.memmap(folder / IMAGES, np.float32, mode="r")
            truths = np.memmap(folder / TRUTHS, np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise UlnaError(f"holds no store of images ({error})", where=folder) from None
        shapes = tuple(tuple(shape) for shape in index["shapes"])
        words = (tuple(index["names"]), tuple(index["groups"]), shapes, index["digest"])
        return cls(
            folder,
            *words,
            images,
            truths,
            tuple(accumulate((prod(shape) for shape in shapes), initial=0)),
            tuple(accumulate((prod(shape[1:]) for shape in shapes), initial=0)),
        )

    def __len__(self) -> int:
        return len(self.names)

    def close(self) -> None:
        """Let go of the files, so that they can be deleted (Windows keeps what is mapped); it holds nothing then."""
        for name, dtype in (("_images", np.float32), ("_truths", np.uint8)):
            object.__setattr__(self, name, np.zeros(0, dtype))

    def __reduce__(self) -> tuple[Any, ...]:
        # What a worker process gets is the place, not a copy of all images.
        return Store.open, (self.folder,)

    def image(self, index: int) -> npt.NDArray[np.float32]:
        """The normalized image (C, *spatial) of a case, float32, read-only."""
        start, end = self._image_starts[index : index + 2]
        return self._images[start:end].reshape(self.shapes[index])

    def truth(self, index: int) -> npt.NDArray[np.uint8]:
        """The class indices (1, *spatial) of a case, uint8, read-only."""
        start, end = self._truth_starts[index : index + 2]
        return self._truths[start:end].reshape(1, *self.shapes[index][1:])


def build(
    folder: Path, cases: Sequence[Case], *, config: DataConfig, classes: Classes, progress: Progress = quiet
) -> Store:
    """Decode, normalize and (`config.resize`) resize the cases into a store, or open the one that is there.

    A store is used again if cases, files (size and time of change), classes and what matters of `config`
    agree. It is written atomically. With `config.channels` 0 the images' own channels are kept; gray
    images among color ones are then made color. Raises UlnaError for files that cannot be read, masks
    of another size than their image, and a full disk.
    """
    if not cases:
        raise UlnaError("there are no cases to make a store of", where=folder)
    key = _key(cases, config, classes)
    if _built_from(folder) == key:
        return Store.open(folder)
    beside = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        index = _fill(beside, cases, config, classes, progress)
        (beside / INDEX).write_text(json.dumps(index | {"key": key}), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        beside.replace(folder)
    except OSError as error:
        raise cannot_write(error, folder) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Store.open(folder)


def _fill(
    folder: Path, cases: Sequence[Case], config: DataConfig, classes: Classes, progress: Progress
) -> dict[str, Any]:
    """Write images and truths; again with common channels if they turn out to be mixed."""
    digest = hashlib.sha256()
    shapes: list[tuple[int, ...]] = []

    def load(case: Case) -> tuple[Array, Array, Array]:
        return _load(case, config, classes)

    with (folder / IMAGES).open("wb") as images, (folder / TRUTHS).open("wb") as truths:
        loaded = in_parallel(load, cases)
        for _ in progress(cases, "reading images"):
            read, image, truth = next(loaded)
            for array in (read, truth):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
            _append(images, image)
            _append(truths, truth)
            shapes.append(image.shape)
    channels = {shape[0] for shape in shapes}
    if len(channels) > 1:
        common = config.model_copy(update={"channels": common_channels(channels)})
        return _fill(folder, cases, common, classes, progress)
    return {
        "version": VERSION,
        "names": [case.name for case in cases],
        "groups": [case.group or case.name for case in cases],
        "shapes": shapes,
        "digest": digest.hexdigest(),
    }


def _load(case: Case, config: DataConfig, classes: Classes) -> tuple[Array, Array, Array]:
    """The image as read, the image as the network takes it, and the class indices."""
    with in_memory("Cut the image into parts, or close other programs.", where=case.name):
        return _made(case, config, classes)


def _made(case: Case, config: DataConfig, classes: Classes) -> tuple[Array, Array, Array]:
    read, truth = load_image(case, channels=config.channels).array, load_truth(case).array
    guard_memory(4 * read.size, case.name, shape=read.shape)  # as 32-bit numbers, and a copy of them
    if read.shape[1:] != truth.shape[1:]:
        sizes = " and ".join("×".join(str(n) for n in array.shape[1:]) for array in (read, truth))
        raise UlnaError(f"image and mask differ in size: {sizes}", where=case.name)
    try:
        indices = classes.to_indices(truth)
    except UlnaError as error:
        raise UlnaError(error.what, where=error.where or case.name, hint=error.hint) from None
    image: Array = normalize(read, config.normalization)
    if config.resize is not None:
        image, indices = (
            resize(image, config.resize, smooth=True),
            resize(indices, config.resize, smooth=False),
        )
    return read, image, indices


def _append(stream: BinaryIO, array: Array) -> None:
    stream.write(np.ascontiguousarray(array).data)


def _key(cases: Sequence[Case], config: DataConfig, classes: Classes) -> str:
    """What a store depends on, as one sha256."""
    what = {
        "version": VERSION,
        "config": config.model_dump(mode="json", include={"channels", "normalization", "resize"}),
        "values": classes.values,
        "ignore": classes.ignore,
        "cases": [asdict(case) for case in cases],
        "files": {str(path): _state(path) for path in {s.path for c in cases for s in (*c.images, *c.truth)}},
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()


def _state(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0  # reading it says what is wrong
    return stat.st_size, stat.st_mtime_ns


def _built_from(folder: Path) -> str:
    try:
        return str(json.loads((folder / INDEX).read_text(encoding="utf-8")).get("key", ""))
    except (OSError, ValueError):
        return ""
