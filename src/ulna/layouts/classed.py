"""Files of one class each: whether they show the class, one object each, or number its objects."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ulna.config import DataConfig
from ulna.dataset import Problem, T
from ulna.errors import UlnaError
from ulna.image import Array
from ulna.labels.classes import Classes
from ulna.labels.inference import SURE, interpret
from ulna.labels.statistics import is_whole
from ulna.layouts.build import CaseDraft
from ulna.layouts.listing import Entry, natural
from ulna.masks import inside, read_mask
from ulna.text import listed, plural

MAX_INSPECTED = 7
MAX_NUMBERED = 20  # images whose files are read to tell whether they number objects
MIN_WHOLE = 0.8  # share of the masks that must be one connected component for each to be an object
MAX_VALUES = 5  # of a mask that may be classes

_BACKGROUND = re.compile("background|bg", re.IGNORECASE)


@dataclass(frozen=True)
class Classed:
    """Drafts of cases whose files show one class each, what the files show in words, and what is to be said."""

    drafts: tuple[CaseDraft, ...]
    sentence: str
    problems: tuple[Problem, ...] = ()


def class_names(names: Iterable[str]) -> list[str]:
    """The names of the classes in natural order, each once, without the background."""
    return sorted({name for name in names if not _BACKGROUND.fullmatch(name)}, key=natural)


def by_class(found: Sequence[CaseDraft]) -> Classed:
    """Cases out of drafts whose masks name their classes; the background needs no mask.

    Where images have several files of a class that show one object each, each is an object. Where files number
    objects, these keep their numbers within their class. Else a file shows where its class is.

    Parameters
    ----------
    found
        Drafts with `truth_classes`, in any order.

    Returns
    -------
    Classed
        The drafts in the same order, the masks of each in the order of the classes.
    """
    classes = class_names(name for draft in found for name in draft.truth_classes)
    drafts = [_in_order(draft, classes) for draft in found]
    shown = listed(classes, 8, quoted=True)
    masks = sum(len(draft.truth) for draft in drafts)
    of_one = [[mask for _, mask in of_it] for draft in drafts for of_it in _of_classes(draft)]
    several = any(len(files) > 1 for files in of_one)
    if several and each_an_object(of_one):
        made = tuple(replace(draft, objects=bool(draft.truth)) for draft in drafts)
        return Classed(made, f"{masks:,} masks, one file per object, of the classes {shown}", absent(made))
    numbering = numbers_objects([draft.truth for draft in drafts])
    if numbering.objects:
        made = tuple(replace(draft, objects=bool(draft.truth), numbered=bool(draft.truth)) for draft in drafts)
        said = (*numbering.problems, *_in_pieces(made))
        return Classed(made, f"one mask per class, whose values number objects: {shown}", (*said, *absent(made)))
    united = _united([draft for draft in drafts if len(draft.truth) > len(set(draft.truth_classes))])
    problems = (*numbering.problems, *united, *absent(drafts))
    return Classed(tuple(drafts), f"one mask per class: {shown}", problems)


def absent(drafts: Sequence[CaseDraft]) -> tuple[Problem, ...]:
    """The note that some cases have no file for some classes."""
    short = [draft for draft in drafts if draft.truth and len(set(draft.truth_classes)) < len(draft.classes)]
    if not short:
        return ()
    what = f"{plural(len(short), 'image has', 'images have')} no file for some classes: these are taken to be absent"
    return (Problem(what, tuple(draft.images[0].path for draft in short), "note"),)


def each_an_object(cases: Sequence[Sequence[Entry]]) -> bool:
    """Whether the masks of each case show one object each: one value, in one connected component."""
    chosen: list[Entry] = []
    for side in ([one for one in cases if len(one) > 1], [one for one in cases if len(one) == 1]):
        chosen += (mask for masks in _some(side, MAX_INSPECTED) for mask in masks)
    single = []
    for mask in chosen:
        try:
            array = read_mask(mask.source)
        except UlnaError:
            continue  # said when the case is read
        shown = inside(array)
        values = np.unique(array.max(axis=0)[shown])
        lossy = len(values) > MAX_VALUES and values[0] >= 128  # by JPEG
        if array.ndim != 3 or (len(values) > 1 and not lossy):
            return False  # a stack, or classes
        single.append(is_whole(shown))
    return bool(single) and sum(single) >= MIN_WHOLE * len(single)


@dataclass(frozen=True)
class Numbering:
    """Whether files number the objects that they show, and what is to be said of it."""

    objects: bool
    problems: tuple[Problem, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether they do, and nothing speaks against it."""
        return self.objects and not self.problems


NO_NUMBERS = Numbering(objects=False)


def numbers_objects(cases: Sequence[Sequence[Entry]]) -> Numbering:
    """Whether masks of one thing, several per case, number its objects; those of some cases are read.

    Parameters
    ----------
    cases
        The masks of each case.
    """
    several: list[Array] = []
    where: list[str] = []
    for mask in (mask for masks in _some(cases, MAX_NUMBERED) for mask in masks):
        try:
            array = read_mask(mask.source)
        except UlnaError:
            continue  # said when the case is read
        if len(np.setdiff1d(array, 0)) > 1:
            several.append(array)
            where.append(mask.path)
    if not several:
        return NO_NUMBERS
    try:
        found = interpret(several, DataConfig())
    except UlnaError as error:
        what = f"masks of one class hold many values ({error.what}): all but 0 are taken for the class"
        return Numbering(False, (Problem(what, tuple(where)),))
    ignored = _ignored(found.classes, where)
    if not found.classes.numbers_objects:
        if len(found.classes.names) == 2:
            return Numbering(False, ignored)
        what = "masks of one class hold several values, which are taken for the same: all but 0 are the class"
        return Numbering(False, (Problem(what, tuple(where)),))
    if ignored or found.certainty >= SURE:
        return Numbering(True, ignored)
    what = (
        f"masks of one class seem to number their objects ({found.certainty:.0%} sure). If they do not, "
        "--set data.objects=false takes each mask for its class"
    )
    return Numbering(True, (Problem(what, tuple(where)),))


def _ignored(classes: Classes, where: Sequence[str]) -> tuple[Problem, ...]:
    """The problem that a value of masks of one class seems to mean "not annotated", which no such file can say."""
    if not classes.ignore:
        return ()
    what = (
        f"masks of one class hold {listed(classes.ignore)}, which seems to mean 'not annotated' and is taken for "
        f"{'an object' if classes.numbers_objects else 'the class'} here. Set such pixels to 0"
    )
    return (Problem(what, tuple(where)),)


def _in_pieces(drafts: Sequence[CaseDraft]) -> tuple[Problem, ...]:
    """The problem that, of some classes, no file numbers objects, and some show several pieces."""
    files: dict[str, list[Entry]] = defaultdict(list)
    for draft in _some([draft for draft in drafts if draft.truth], MAX_NUMBERED):
        for name, mask in zip(draft.truth_classes, draft.truth, strict=True):
            files[name].append(mask)
    pieces = [name for name, masks in files.items() if _one_value_in_pieces(masks)]
    if not pieces:
        return ()
    what = (
        f"the masks of {listed(pieces, 8, quoted=True)} do not number their objects, and those of other classes do: "
        "all that a file shows is taken for one object, in several pieces. Number the objects of each class, from 1 on"
    )
    return (Problem(what, tuple(mask.path for name in pieces for mask in files[name])),)


def _one_value_in_pieces(masks: Sequence[Entry]) -> bool:
    pieces = False
    for mask in masks:
        try:
            array = read_mask(mask.source)
        except UlnaError:
            continue  # said when the case is read
        if len(np.setdiff1d(array, 0)) > 1:
            return False
        pieces = pieces or (bool(array.any()) and not is_whole(inside(array)))
    return pieces


def _united(several: Sequence[CaseDraft]) -> tuple[Problem, ...]:
    """The note that images have several masks of one class, which are united."""
    if not several:
        return ()
    what = plural(len(several), "image has several masks of one class", "images have several masks of one class")
    return (Problem(f"{what}, which are united", tuple(draft.images[0].path for draft in several), "note"),)


def _in_order(draft: CaseDraft, classes: Sequence[str]) -> CaseDraft:
    """The draft with its masks in the order of the classes, those of the background left out."""
    masks = zip(draft.truth_classes, draft.truth, strict=True)
    kept = sorted((one for one in masks if one[0] in classes), key=lambda one: classes.index(one[0]))
    return replace(
        draft,
        truth=tuple(entry for _, entry in kept),
        truth_classes=tuple(name for name, _ in kept),
        classes=tuple(classes),
    )


def _of_classes(draft: CaseDraft) -> list[list[tuple[str, Entry]]]:
    """The masks of a draft, those of each class together."""
    masks = list(zip(draft.truth_classes, draft.truth, strict=True))
    return [[one for one in masks if one[0] == name] for name in dict.fromkeys(draft.truth_classes)]


def _some(items: Sequence[T], most: int) -> Sequence[T]:
    return items[:: max(1, len(items) // most)][:most]
