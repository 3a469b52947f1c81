"""Masks that number objects, as `measure` reads them from files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import label

from ulna.dataset import Case
from ulna.errors import ReadError
from ulna.formats import open_reader, read
from ulna.image import Array, Labels, Source
from ulna.inference.windows import bands
from ulna.labels.packed import counted
from ulna.labels.pieces import pieces_of
from ulna.numbering import go_on
from ulna.objectlist import ObjectLists, class_maps
from ulna.text import listed

ROWS = 1 << 22
"""So many pixels of a mask are looked at together."""


def planes_apart(cases: Sequence[Case]) -> tuple[list[Case], list[str]]:
    """The cases, with volumes whose objects are those of single planes taken apart, and notes on either.

    A mask of several planes is that of a volume where objects go on from one to the next.
    """
    made: list[Case] = []
    whole, apart, frames = [], [], []
    depths = [_planes(case.images[0]) for case in cases]
    kinds = [_goes_on(case.images[0]) if depth > 1 else None for case, depth in zip(cases, depths, strict=True)]
    alone = False in kinds and True not in kinds  # volumes without objects are what the others are
    for case, planes, goes_on in zip(cases, depths, kinds, strict=True):
        source = case.images[0]
        frames += [source.path.name] * (source.frame is not None)
        if planes == 1 or goes_on or (goes_on is None and not alone):
            made.append(case)
            whole += [source.name] * (planes > 1)
        else:
            made += [
                replace(case, name=f"{case.name}_{place:04d}", images=(replace(source, page=place),))
                for place in range(planes)
            ]
            apart.append(source.name)
    notes = []
    if whole:
        notes.append(f"measured as volumes, since objects go on from plane to plane: {listed(whole)}")
    if apart:
        notes.append(f"each plane is measured by itself: {listed(apart)}")
    if frames:
        notes.append(f"each frame is measured by itself: {listed(list(dict.fromkeys(frames)))}")
    return made, notes


def _planes(source: Source) -> int:
    with open_reader(source) as reader:
        return reader.grid.shape[0] if reader.grid.ndim == 3 else 1


def _goes_on(source: Source) -> bool | None:
    """Whether objects go on from plane to plane, None of none; several channels are said where it is measured."""
    mask = read(source).array
    if len(mask) > 1:
        return True
    return go_on(mask[0]) if mask[0].any() else None


def are_of_one_value(cases: Sequence[Case]) -> bool:
    """Whether no mask holds more than one value beside 0, and one of them shows several pieces: masks of a class."""
    pieces = False
    for case in cases:
        count = _count_values(case.images[0])
        if count > 1:
            return False
        if count and not pieces:
            mask = read(case.images[0]).array
            if len(mask) > 1:
                return False
            pieces = ndimage.label(mask[0])[1] > 1
    return pieces


def _count_values(source: Source) -> int:
    """How many values a mask holds beside 0: none, one, or two where there are more; it is not read as a whole."""
    values = np.zeros(0)
    with open_reader(source) as reader:
        for band in bands(reader.grid.shape, ROWS):
            values = np.union1d(values, np.unique(reader.read(band)))
            if len(values[values != 0]) > 1:
                return 2
    return len(values[values != 0])


def read_objects(
    case: Case, lists: ObjectLists, doubts: Counter[str], *, connected: bool, meant: Mapping[int, str] | None = None
) -> Labels:
    """The objects of a mask, with their classes; of a mask of classes (`meant`) the connected regions of each."""
    mask = read(case.images[0])
    if len(mask.array) > 1:
        what = f"a mask of objects has one channel, this one has {len(mask.array)}"
        raise ReadError(what, where=case.images[0], hint="Give label images: one number per object.")
    numbers = as_numbers(mask.array[0], case.images[0])
    regions = connected or meant is not None
    objects = np.asarray(label(numbers, connectivity=1), np.int32) if regions else numbers  # type: ignore[no-untyped-call]
    classes = lists.classes(case.images[0]) if meant is None else _by_values(objects, numbers, meant)
    indices, names = class_maps(objects, classes or {})
    present = np.unique(objects[objects > 0])
    doubts["objects"] += len(present)
    doubts["pieces"] += in_pieces(objects)
    if classes is not None:
        doubts["unlisted"] += sum(int(number) not in classes for number in present)
    return Labels(indices, objects, mask.grid, names)


def as_numbers(values: Array, where: Source) -> npt.NDArray[np.int32]:
    """The numbers of objects that the pixels of a mask hold; raises ReadError where they are none."""
    if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
        raise ReadError("holds numbers that are not whole: it is no mask", where=where)
    if values.size and (values.min() < 0 or values.max() > np.iinfo(np.int32).max):
        what = "holds numbers that are negative or too large for those of objects"
        raise ReadError(what, where=where, hint="Number objects from 1 to 2,147,483,647, the background 0.")
    return np.asarray(values, np.int32)


def _by_values(objects: Array, values: Array, meant: Mapping[int, str]) -> dict[int, str]:
    """The class of each region of one value."""
    numbers, places = np.unique(objects, return_index=True)
    own = values.ravel()[places]
    return {int(n): meant.get(int(value), str(value)) for n, value in zip(numbers, own, strict=True) if n}


def in_pieces(objects: Array) -> int:
    """How many objects have several pieces that do not even touch by a corner."""
    return int(np.count_nonzero(pieces_of(objects, counted(objects)[0]).counts > 1))
