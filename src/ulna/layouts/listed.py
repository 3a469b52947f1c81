"""Masks that number objects, and a list beside them (`objects.csv`) that says the class of each."""

from __future__ import annotations

from dataclasses import replace

from ulna.dataset import Dataset, Problem
from ulna.errors import ReadError
from ulna.layouts.classed import class_names
from ulna.objectlist import NAME, ObjectLists
from ulna.text import listed


def with_listed(found: Dataset) -> Dataset:
    """The data set with the classes of its objects, where a list lies beside its masks, or in a folder above them.

    Parameters
    ----------
    found
        Any data set; cases with one mask each count.

    Returns
    -------
    Dataset
        A copy whose sentence says the classes; the same where nothing is listed.
    """
    lists = ObjectLists()
    classes: dict[str, dict[int, str]] = {}
    try:
        for case in found.cases:
            if len(case.truth) == 1 and not case.truth_classes and (case.numbered or not case.objects):
                own = lists.classes(case.truth[0])
                if own is not None:
                    classes[case.name] = dict(own)
    except ReadError as error:
        what = f"{error.where} is not read: it {error.what}"
        return replace(found, problems=(*found.problems, Problem(what)))
    names = class_names(name for own in classes.values() for name in own.values())
    if not names:
        return found
    cases = tuple(
        case
        if case.name not in classes
        else replace(
            case,
            objects=True,
            numbered=True,
            classes=tuple(names),
            object_classes=tuple(sorted(classes[case.name].items())),
        )
        for case in found.cases
    )
    sentence = f"{found.sentence}; {NAME} says the class of each object: {listed(names, 8, quoted=True)}"
    return replace(found, cases=cases, sentence=sentence)
