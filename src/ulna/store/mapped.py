"""`Store`: images and labels mapped into memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.image import IGNORE, Array, Grid
from ulna.normalization import Scaling
from ulna.store.cases import StoredCase

INDEX = "index.json"
IMAGES, TRUTHS, COORDINATES = "images.bin", "truths.bin", "coordinates.bin"


@dataclass(frozen=True)
class Store:
    """Images and labels of some cases, mapped into memory. `ulna.store.build` makes one.

    A store holds images as they were read. How they are normalized is a property of the view, and is applied to what
    is cut out: one store serves all folds (`subset`) and all plans (`normalized`).

    Parameters
    ----------
    folder
        Where its files lie.
    cases
        What is known of each case, in order.
    normalization
        By which normalization images are scaled.
    fixed
        How all images are scaled alike; None: each has a scaling of its own.
    """

    folder: Path
    cases: tuple[StoredCase, ...]
    normalization: str
    selection: tuple[int, ...] = ()
    fixed: Scaling | None = None
    _files: dict[str, npt.NDArray[np.uint8]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path, normalization: str = "", selection: Sequence[int] | None = None) -> Store:
        """Map a store that was built.

        Parameters
        ----------
        folder
            Its folder.
        normalization
            How images are normalized; by default as was asked when it was built.
        selection
            The numbers of some of its cases; by default all.

        Raises
        ------
        UlnaError
            If there is no store.
        """
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            cases = tuple(StoredCase.from_json(words) for words in index["cases"])
            files = {name: _mapped(folder / name) for name in (IMAGES, TRUTHS, COORDINATES)}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UlnaError(f"holds no store of images ({error})", where=folder) from None
        numbers = tuple(range(len(cases)))
        whole = cls(folder, cases, normalization or index["normalization"], numbers, _files=files)
        return whole if selection is None else whole.subset(selection)

    def __len__(self) -> int:
        return len(self.cases)

    def __reduce__(self) -> tuple[Any, ...]:
        # What a worker process gets is the place, not a copy of all images.
        planes = tuple(case.plane for case in self.cases)
        return _opened, (self.folder, self.normalization, self.selection, planes, self.fixed)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the cases."""
        return tuple(case.name for case in self.cases)

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each case."""
        return tuple(case.group for case in self.cases)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape (C, *spatial) of each image."""
        return tuple(case.shape for case in self.cases)

    @property
    def digest(self) -> str:
        """The sha256 of all images and labels, in order; of the planes of a volume that of the volume, once."""
        before: list[int | None] = [None, *self.selection[:-1]]
        pairs = zip(before, self.selection, self.cases, strict=True)
        parts = [case.digest for last, number, case in pairs if not (case.plane and last == number)]
        return sha256("".join(parts).encode()).hexdigest()

    def subset(self, selection: Sequence[int]) -> Store:
        """The cases of these numbers, in this order: the same files, for a fold or a side of a split."""
        numbers = tuple(self.selection[k] for k in selection)
        return replace(self, cases=tuple(self.cases[k] for k in selection), selection=numbers)

    def normalized(self, normalization: str, fixed: Scaling | None = None) -> Store:
        """The same files, with images normalized in another way: `fixed`, all alike."""
        return replace(self, normalization=normalization, fixed=fixed)

    def planes(self, axis: int = 0) -> Store:
        """The planes of volumes along an axis as cases of their own, for networks that see one at a time.

        A plane has the scaling and the intensities of its volume, and is of its group.
        """
        cases, selection = [], []
        for index, case in enumerate(self.cases):
            grids = case.grid.slices(axis)
            cases += [self._plane(index, (axis, place), grid) for place, grid in enumerate(grids)]
            selection += [self.selection[index]] * len(grids)
        return replace(self, cases=tuple(cases), selection=tuple(selection))

    def _plane(self, index: int, plane: tuple[int, int], grid: Grid) -> StoredCase:
        case = self.cases[index]
        cut = replace(case, name=f"{case.name}[{plane[1]}]", grid=grid, plane=plane)
        found = np.bincount(cut.cut(self.truth(index))[0].ravel(), minlength=IGNORE + 1)
        return replace(cut, counts={label: int(found[label]) for label in case.counts if found[label]})

    def close(self) -> None:
        """Let go of the files, so that they can be deleted (Windows keeps what is mapped), for all views of them."""
        for name in self._files:
            self._files[name] = np.zeros(0, np.uint8)

    def raw(self, index: int) -> Array:
        """The image (C, *spatial) of a case as it was read, in the file's own dtype, read-only."""
        return self.cases[index].cut(self.cases[index].image.within(self._files[IMAGES]))

    def image(self, index: int) -> npt.NDArray[np.float32]:
        """The normalized image (C, *spatial) of a case, float32."""
        return self.scale(index, self.raw(index))

    def scale(self, index: int, part: Array) -> npt.NDArray[np.float32]:
        """A part (C, *size) that was cut out of the raw image of a case, normalized as the whole image is."""
        return (self.fixed or self.cases[index].scalings[self.normalization]).apply(part)

    def truth(self, index: int) -> Array:
        """The labels (L, *spatial) of a case, read-only: class indices and, with L = 2, numbers of objects."""
        return self.cases[index].cut(self.cases[index].truth.within(self._files[TRUTHS]))

    def coordinates(self, index: int) -> dict[int, npt.NDArray[np.int64]]:
        """By class, flat indices into a case's spatial axes of (some of) its pixels; see `foreground_coordinates`."""
        case, file = self.cases[index], self._files[COORDINATES]
        found = {label: block.within(file) for label, block in case.coordinates.items()}
        if case.plane is None:
            return found
        axis, place = case.plane
        cut = {label: _in_plane(places, case.image.shape[1:], axis, place) for label, places in found.items()}
        return {label: places for label, places in cut.items() if len(places)}


def _opened(
    folder: Path,
    normalization: str,
    selection: tuple[int, ...],
    planes: tuple[tuple[int, int] | None, ...],
    fixed: Scaling | None,
) -> Store:
    store = Store.open(folder, normalization, selection).normalized(normalization, fixed)
    cases = tuple(
        store._plane(k, plane, case.grid.slices(plane[0])[plane[1]]) if plane else case
        for k, (case, plane) in enumerate(zip(store.cases, planes, strict=True))
    )
    return replace(store, cases=cases)


def _in_plane(places: npt.NDArray[np.int64], shape: tuple[int, ...], axis: int, place: int) -> npt.NDArray[np.int64]:
    """Of flat indices into a volume those within a plane, as indices into the plane."""
    index = list(np.unravel_index(places, shape))
    there = index.pop(axis) == place
    sides = [side for k, side in enumerate(shape) if k != axis]
    return np.asarray(np.ravel_multi_index([one[there] for one in index], sides), np.int64)


def _mapped(path: Path) -> npt.NDArray[np.uint8]:
    return np.memmap(path, np.uint8, mode="r") if path.stat().st_size else np.zeros(0, np.uint8)
