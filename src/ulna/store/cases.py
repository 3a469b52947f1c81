"""What a store knows of each case beside its arrays."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ulna.image import Array, Grid
from ulna.normalization import Scaling
from ulna.store.intensities import Intensities


@dataclass(frozen=True)
class Block:
    """Where an array lies in a flat file: its first byte, its shape and the type of its numbers."""

    start: int
    shape: tuple[int, ...]
    dtype: str

    def within(self, file: npt.NDArray[np.uint8]) -> Array:
        """The array, read-only and without a copy where the file is mapped."""
        size = prod(self.shape) * np.dtype(self.dtype).itemsize
        return file[self.start : self.start + size].view(self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class StoredCase:
    """What a store knows of a case beside its arrays.

    Parameters
    ----------
    name, group
        As the data set has them.
    digest
        The sha256 of the image as it was read (after `data.channels`) and of the labels, whatever the files' names,
        places and containers.
    image, truth
        Where they lie: (C, *spatial) in the file's own dtype, and labels (L, *spatial): class indices and, with L = 2,
        numbers of objects.
    coordinates
        By class, where the flat indices of (some of) its pixels lie.
    counts
        The number of pixels of each class index, the background included, those to ignore left out.
    scalings
        By the name of a normalization, how it scales this image.
    grid, intensities, suffix, files
        Where the pixels lie, the intensity fingerprint, and from what kind and number of files the image comes.
    plane
        Of a volume that is looked at plane by plane, which this is: the axis that planes follow on, and the place.
    channels
        The names of all channels of the image as it lies, of which `image` may hold some.
    """

    name: str
    group: str
    digest: str
    image: Block
    truth: Block
    coordinates: dict[int, Block]
    counts: dict[int, int]
    scalings: dict[str, Scaling]
    grid: Grid
    intensities: Intensities
    suffix: str = ""
    files: int = 1
    plane: tuple[int, int] | None = None
    channels: tuple[str, ...] = ()

    def cut(self, array: Array) -> Array:
        """Of an array (C, *spatial) of the whole case what belongs to this plane of it: a view."""
        if self.plane is None:
            return array
        axis, place = self.plane
        cut: tuple[Any, ...] = (*(slice(None),) * (1 + axis), place)
        plane: Array = array[cut]
        return plane

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (C, *spatial) of the image."""
        return (self.image.shape[0], *self.grid.shape)

    def as_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, words: dict[str, Any]) -> StoredCase:
        """The inverse of `as_json`."""
        grid = {key: _tuples(value) for key, value in words["grid"].items()}
        parsed = {
            "image": _block(words["image"]),
            "truth": _block(words["truth"]),
            "coordinates": {int(label): _block(block) for label, block in words["coordinates"].items()},
            "counts": {int(label): count for label, count in words["counts"].items()},
            "scalings": {how: Scaling(**_tuples_of(value)) for how, value in words["scalings"].items()},
            "grid": Grid(**grid),
            "intensities": Intensities.from_json(words["intensities"]),
            "plane": None,
            "channels": tuple(words.get("channels", ())),
        }
        return cls(**(words | parsed))


def _block(words: dict[str, Any]) -> Block:
    return Block(words["start"], tuple(words["shape"]), words["dtype"])


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _tuples_of(words: dict[str, Any]) -> dict[str, Any]:
    return {key: _tuples(value) for key, value in words.items()}
