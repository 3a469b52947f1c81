"""What `check` says about objects: how many, numbers in several pieces, masks of two kinds, interpolated numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ulna.classfiles import CLASS_STEP
from ulna.config import DataConfig
from ulna.dataset import Case, Problem
from ulna.errors import UlnaError
from ulna.image import IGNORE
from ulna.jobs.inspection import Inspection
from ulna.jobs.volume_checks import small_objects
from ulna.labels.classes import Classes
from ulna.labels.inference import Inference
from ulna.labels.touching import find_touching
from ulna.text import listed, plural
from ulna.truth import load_truth

MAX_INSPECTED = 100  # masks in which pieces that touch are looked for, evenly taken
MIN_PIECES = 3  # large pieces of its only value that a binary mask has at least, to be told from a single object
MIN_NUMBERS = 5  # values of a mask that may number objects though they are taken for classes


@dataclass(frozen=True)
class _Shown:
    """A case and which of its mask's values (n,) are foreground, and which not annotated."""

    look: Inspection
    foreground: npt.NDArray[np.bool_]
    ignored: npt.NDArray[np.bool_]

    @property
    def name(self) -> str:
        return self.look.case.name

    @property
    def numbers(self) -> int:
        return int(np.count_nonzero(self.foreground))

    @property
    def split(self) -> npt.NDArray[np.bool_]:
        """Which values (n,) are foreground in several pieces."""
        return self.foreground & (self.look.pieces.counts > 1)

    @property
    def only(self) -> int:
        """The place of the only value beside the background, where it lies in several large pieces; else -1."""
        places = np.flatnonzero(self.foreground | self.ignored)
        single = len(places) == 1 and self.look.pieces.large[places[0]] >= MIN_PIECES
        return int(places[0]) if single else -1


def object_problems(inspections: Sequence[Inspection], inference: Inference, config: DataConfig) -> list[Problem]:
    """What is wrong with the numbers of objects.

    Parameters
    ----------
    inspections
        The cases that were read.
    inference
        What their values mean.
    config
        What is set of them.

    Returns
    -------
    list of Problem
    """
    shown = _shown(inspections, inference.classes)
    mixed = _two_kinds(shown, inference.classes, config)
    pieces = [] if any(problem.severity == "fatal" for problem in mixed) else _in_pieces(shown, inference.classes)
    return [*mixed, *pieces, *_interpolated(inspections, inference), *_small(shown, inference.classes)]


def counts(inspections: Sequence[Inspection], classes: Classes) -> dict[str, str]:
    """The row of the table of facts that counts objects.

    Parameters
    ----------
    inspections
        The cases that were read.
    classes
        What the values of their masks mean.

    Returns
    -------
    dict
        Where masks of one class do not number objects, the row counts the connected pieces, if some look like several
        objects; of other masks there is no row.
    """
    shown = [one for one in _shown(inspections, classes) if one.numbers]
    if not shown or (not classes.numbers_objects and len(classes.names) > 2):
        return {}
    if classes.numbers_objects:
        numbers = [one.numbers for one in shown]
        return {"objects": f"{sum(numbers):,} in all, {min(numbers)} to {max(numbers)} per image"}
    places = np.linspace(0, len(shown) - 1, min(len(shown), MAX_INSPECTED)).round().astype(int)
    masks = (classes.to_indices(load_truth(shown[place].look.case).array)[0] for place in places)
    found = find_touching(np.where(mask == IGNORE, 0, mask) for mask in masks)
    return {"objects": f"not numbered: {found}"} if found.suspected else {}


def _shown(inspections: Sequence[Inspection], classes: Classes) -> list[_Shown]:
    """Without the masks that hold values of no class: these are named elsewhere."""
    shown = []
    for look in inspections:
        try:
            indices = classes.to_indices(look.values).ravel()
        except UlnaError:
            continue
        ignored = indices == IGNORE
        shown.append(_Shown(look, (indices != 0) & ~ignored, ignored))
    return shown


def _small(shown: Sequence[_Shown], classes: Classes) -> list[Problem]:
    if not classes.numbers_objects:
        return []
    return small_objects([(one.name, one.look.counts[one.foreground]) for one in shown if one.look.volume])


def _two_kinds(shown: Sequence[_Shown], classes: Classes, config: DataConfig) -> list[Problem]:
    """That some masks number their objects, and others show them all with one value."""
    files = [one for one in shown if not one.look.case.truth_classes and _as_written(one.look.case)]
    if config.values or classes.kind == "channels":
        return []
    binary = [one for one in files if one.only >= 0]
    if classes.numbers_objects:
        numbered = [one for one in files if one.numbers > 1]
    else:
        numbered = [one for one in files if one.numbers >= MIN_NUMBERS and not one.split.any()]
    usual = {_value(one, one.only) for one in binary}
    if not classes.numbers_objects and any(_value(one, at) not in usual for one in files for at in _places(one.split)):
        return []  # a class in several pieces
    if any(_value(one, at) in usual for one in numbered for at in _places(one.ignored)):
        binary = [one for one in binary if not one.ignored.any()]  # what is not annotated is so in these, too
    if not binary or not numbered:
        return []
    what = (
        f"masks seem to be of two kinds: {plural(len(numbered), 'mask numbers its', 'masks number their')} objects, "
        f"{plural(len(binary), 'shows', 'show')} one value in several pieces, as binary masks do. Number the objects "
        "in all masks, or leave those of one kind out with --except. If "
    )
    if classes.numbers_objects:
        what += f"each value is one object all the same, set:\n{replace(classes, ignore=config.ignore).yaml()}"
    else:
        what += f"values are classes all the same, set:\n{classes.yaml()}"
    kinds = {"binary": binary, "numbered": numbered}
    where = tuple(f"{kind}: {', '.join(one.name for one in masks)}" for kind, masks in kinds.items())
    return [Problem(what, where, "fatal" if classes.numbers_objects else "warning")]


def _as_written(case: Case) -> bool:
    """Whether the numbers of a mask are those of a file."""
    return case.numbered or not case.objects


def _value(one: _Shown, place: int) -> tuple[int, ...]:
    return tuple(one.look.values[:, 0, place].tolist())


def _places(flags: npt.NDArray[np.bool_]) -> list[int]:
    return np.flatnonzero(flags).tolist()


def _in_pieces(shown: Sequence[_Shown], classes: Classes) -> list[Problem]:
    """That numbers lie in several pieces, and how they are read; a warning where pieces are far apart."""
    split = [one for one in shown if one.split.any()]
    if not classes.numbers_objects or not split:
        return []
    count = sum(int(np.count_nonzero(one.split)) for one in split)
    far = sum(int(np.count_nonzero(one.split & (one.look.pieces.distant > 0))) for one in split)
    what = (
        f"{count:,} of {plural(sum(one.numbers for one in shown), 'object')} "
        f"{'lies' if count == 1 else 'lie'} in several connected pieces, in {plural(len(split), 'mask')}"
        f"{f'; the pieces of {far:,} are far apart' if far else ''}. A number is scored as one object, and its "
        "pieces are learned as objects of their own"
    )
    if not far:
        return [Problem(what, _names(split), "note")]
    what += ". If they are several objects, give each a number of its own"
    tops = {np.iinfo(one.look.truth_dtype).max for one in split if _reaches_top(one.look)}
    if tops:
        what += (
            f". Numbers reach {max(tops):,}, the largest that these files can hold: beyond it they begin again, with 0 "
            "for an object that then is background. Save masks of so many objects as TIFF of 32 bits"
        )
    return [Problem(what, _names(split))]


def _names(split: Sequence[_Shown]) -> tuple[str, ...]:
    """The cases with the values that lie in several pieces; of masks made of files or outlines, with their places."""
    named = []
    for one in split:
        step = CLASS_STEP if one.look.case.objects else 1 << 32
        values = [",".join(str(part % step) for part in _value(one, at)) for at in _places(one.split)]
        named.append(f"{one.name}: {listed(values, 8)}")
    return tuple(named)


def _reaches_top(look: Inspection) -> bool:
    """Whether the largest number of a mask is the largest of its type, as where numbers began again."""
    kind = np.dtype(look.truth_dtype)
    return kind.kind in "ui" and kind.itemsize < 4 and int(look.values.max()) == np.iinfo(kind).max


def _interpolated(inspections: Sequence[Inspection], inference: Inference) -> list[Problem]:
    """That numbers were interpolated, where the reading of the masks does not say so."""
    names = tuple(look.case.name for look in inspections if look.interpolated)
    if not names or any("JPEG" in doubt.what for doubt in inference.doubts):
        return []
    what = (
        f"along the edges in {plural(len(names), 'mask')} lie thin rims of values between those of both sides, as a "
        "smooth resize makes them: there, pixels belong to the wrong object or class. Resize the original masks "
        "by nearest neighbor"
    )
    return [Problem(what, names)]
