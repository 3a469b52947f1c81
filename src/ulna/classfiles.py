"""Classes that the files of truth name: how masks made of them are written, and what a model calls them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ulna.config import DataConfig
from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.formats.outlines.annotation import NAMELESS
from ulna.formats.outlines.reading import is_outline, read_annotations

CLASS_STEP = 1_000_000
"""Masks made of files that name the class of each object hold `CLASS_STEP` times the class index plus its number."""

NOT_ANNOTATED = -1
"""What masks hold around objects that have a marker and no segmentation."""


def stated_classes(config: DataConfig, cases: Sequence[Case]) -> DataConfig:
    """The settings, with what the layout says of the masks: classes, their values, regions, what is not annotated.

    Parameters
    ----------
    config
        The section `data`.
    cases
        The cases of a data set.

    Returns
    -------
    DataConfig
        A copy, or the same where the files of truth say nothing of their values.

    Raises
    ------
    UlnaError
        Where `data.ignore` is set, and files or lists say the classes, so that no values are left that it could mean.
    """
    if any(case.markers for case in cases):
        config = config.model_copy(update={"ignore": tuple(dict.fromkeys((*config.ignore, NOT_ANNOTATED)))})
    nested = next((case for case in cases if case.regions), None)
    theirs = nested if nested and not config.regions else None
    if theirs:
        ignore = config.ignore or theirs.ignored
        config = config.model_copy(update={"regions": theirs.regions, "ignore": ignore})
    told = next((case for case in cases if case.values), None)
    if told and not config.values:
        return config.model_copy(
            update={
                # of regions the classes are their parts, which have no names of their own
                "classes": config.classes or (() if theirs else tuple(name for name, _ in told.values)),
                "values": tuple((value,) for _, value in told.values),
                "ignore": config.ignore or told.ignored,
            }
        )
    names = next((case.classes for case in cases if case.classes), ())
    if not names or config.values:
        return config
    if config.ignore:
        raise UlnaError(
            "data.ignore names values of masks, but here files or lists say the class of what is not 0",
            hint="Leave it away, and set the pixels that are not annotated to 0.",
        )
    classes = config.classes or ("background", *names)
    if any(case.objects for case in cases):
        ranges = [(f"{CLASS_STEP * k}..{CLASS_STEP * (k + 1) - 1}",) for k in range(1, len(names) + 1)]
        return config.model_copy(
            update={"classes": classes, "values": ((0,), *ranges), "objects": config.objects is not False}
        )
    values = tuple((index,) for index in range(len(names) + 1))
    return config.model_copy(update={"classes": classes, "values": values})


def with_classes(cases: Sequence[Case], names: Sequence[str]) -> tuple[Case, ...]:
    """The cases with class indices as a model has them.

    Parameters
    ----------
    cases
        The cases of a data set.
    names
        The classes of the model, the background first.

    Returns
    -------
    tuple of Case
        Copies where files of truth, or lists of objects, name classes.

    Raises
    ------
    UlnaError
        Where the truth shows a class that is not among them, and for outlines that cannot be read.
    """
    return tuple(_with_classes(case, tuple(names[1:])) for case in cases)


def numbered_in_class(case: Case, name: str) -> int:
    """What is added to the numbers of objects of a class in the mask of a case: 0 where files name no classes.

    Parameters
    ----------
    case
        A case whose truth are objects.
    name
        The class; one that is empty is that of nameless outlines.

    Returns
    -------
    int
        `CLASS_STEP` times the index of the class.
    """
    return CLASS_STEP * (1 + case.classes.index(name or NAMELESS)) if case.classes else 0


def _with_classes(case: Case, names: tuple[str, ...]) -> Case:
    shown = case.truth_classes
    outlined = case.objects and bool(case.truth) and is_outline(case.truth[0])
    if case.object_classes or (outlined and (case.classes or len(names) > 1)):
        if len(names) == 1:
            return replace(case, classes=(), object_classes=())  # a model of one class knows objects alone
        shown = tuple(name for _, name in case.object_classes)
    if outlined and len(names) > 1:
        shown = tuple(one.name or NAMELESS for one in read_annotations(case.truth[0]).objects)
    if not shown:
        return case
    strange = [name for name in shown if name not in names]
    if strange:
        raise UlnaError(
            f"its truth shows the class '{strange[0]}', the classes are {', '.join(('background', *names))}",
            where=case.name,
        )
    return replace(case, classes=names)
