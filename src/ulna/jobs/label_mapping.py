"""What the values of masks mean where they are compared: the true ones, and those that were predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Generic, TypeVar, overload

import numpy as np
from scipy import ndimage

from ulna.alignment import rounded
from ulna.classfiles import stated_classes
from ulna.config import DataConfig
from ulna.dataset import Case
from ulna.errors import ReadError, UlnaError
from ulna.image import Array, Labels
from ulna.labels.classes import Classes
from ulna.labels.inference import Inference, infer, interpret
from ulna.labels.readings import binary
from ulna.text import listed, plural
from ulna.truth import merged_truth

T = TypeVar("T")


class Arrays(Sequence[Array], Generic[T]):
    """Images or masks, each read when it is asked for."""

    def __init__(self, places: Sequence[T], load: Callable[[T], Array]) -> None:
        self._places = places
        self._load = load

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Array]: ...
    def __getitem__(self, index: int | slice) -> Array | Sequence[Array]:
        if isinstance(index, slice):
            return Arrays(self._places[index], self._load)
        return self._load(self._places[index])


def _truths(cases: Sequence[Case]) -> Arrays[Case]:
    return Arrays(cases, lambda case: rounded(merged_truth(case)[0].array)[0])


def infer_truth(cases: Sequence[Case], config: DataConfig, *, chosen: Sequence[Case]) -> Inference:
    """What the values of all true masks mean; of those that are not `chosen`, the ones that cannot be read are left."""
    wanted = {case.name for case in chosen}
    known = [case for case in cases if case.truth]
    names: list[str] = []  # of the masks as they are passed on, in step with them

    def masks() -> Iterator[Array]:
        for case in known:
            try:
                mask = rounded(merged_truth(case)[0].array)[0]
            except ReadError:
                if case.name in wanted:
                    raise
                continue
            names.append(case.name)
            yield mask

    objects = any(case.objects for case in known)
    return interpret(masks(), stated_classes(config, known), objects=objects, names=names)


def of_truth(cases: Sequence[Case], classes: Classes, config: DataConfig) -> Classes:
    """How true masks are written that the classes were not learned from: as was stated, or as is inferred."""
    stated = stated_classes(config, cases)
    if not stated.values:
        own = own_values(_truths(cases), classes, stated, numbered=any(case.objects for case in cases))
        added = tuple(value for value in stated.ignore if value not in own.ignore)
        if not added:
            return own
        sentence = f"{own.sentence} {listed(added)} is not annotated."
        return replace(own, ignore=(*own.ignore, *added), sentence=sentence)
    told = infer((), stated)
    if len(told.names) != len(classes.names):
        named = plural(len(told.names), "class", "classes")
        raise UlnaError(f"it names {named}, the masks have {len(classes.names)}", where="data.values")
    return told


def own_values(masks: Sequence[Array], classes: Classes, config: DataConfig, *, numbered: bool = False) -> Classes:
    """How masks are written: as `classes` says or, with one class, in their own way (0/1).

    Where objects of several classes are numbered, masks without objects hold the numbers of the classes. Where objects
    of one class are numbered, masks of one value in several pieces are of a class, and where values are ranges of gray,
    masks may number objects all the same. `numbered` says that they certainly do, out of a file per object.
    """
    if len(classes.names) != 2:
        plain = _by_number(classes.names)
        return plain if classes.numbers_objects and all(fits(mask, plain) for mask in masks) else classes
    try:
        if classes.numbers_objects and not numbered and (value := _one_value(masks)):
            return binary(0, (value,))
        suits = all(fits(mask, classes) for mask in masks)
        if suits and (config.values or not _of_gray(classes)):
            return classes
        own = infer(masks, config.model_copy(update={"regions": ()}))
    except UlnaError:  # the masks at fault are named when they are scored
        return classes
    return own if len(own.names) == 2 and (own.numbers_objects or not suits) else classes


def _one_value(masks: Sequence[Array]) -> int:
    """The value beside 0 that is the only one of all masks, one of which shows several pieces; 0 if there is none."""
    value, pieces = 0, False
    for mask in masks:
        own = np.unique(mask[mask != 0])
        if len(mask) > 1 or len(own) > 1 or not np.isfinite(own).all():
            return 0
        if len(own) and (own[0] != int(own[0]) or value not in (0, own[0])):
            return 0
        value = int(own[0]) if len(own) else value
        pieces = pieces or bool(ndimage.label(mask[0], np.ones((3,) * (mask.ndim - 1)))[1] > 1)  # also by corners
    return value if pieces else 0


def _of_gray(classes: Classes) -> bool:
    """Whether the background and the class are ranges of gray, as they are found in masks that were scaled or JPEG."""
    return all(any(".." in str(value) for value in values) for values in classes.values)


def _by_number(names: Sequence[str]) -> Classes:
    parts = [f"{index} is '{name}'" for index, name in enumerate(names) if index]
    sentence = f"Masks hold the numbers of the classes: {', '.join(parts)}."
    return Classes(tuple(names), tuple((index,) for index in range(len(names))), "classes", sentence)


def fits(mask: Array, classes: Classes) -> bool:
    """Whether its values are those of the classes; a mask of ones that would all be background does not."""
    try:
        indices = classes.to_indices(mask)
    except UlnaError:
        return False
    return int(mask.max(initial=0)) != 1 or bool(indices.any())


def labels_of(mask: Array, classes: Classes, *, where: object) -> Labels:
    """Classes and objects of a mask; what is wrong with its values is said with its place."""
    try:
        return classes.to_labels(mask)
    except UlnaError as error:
        raise UlnaError(error.what, where=where, hint=error.hint) from error
