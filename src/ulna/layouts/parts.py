"""Ready-made splits: which part of a data set a case belongs to, from the names of folders and files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from ulna.dataset import Case, Dataset, Part, Problem
from ulna.layouts.matching import folder_role, words
from ulna.text import plural

WORDS: dict[Part, re.Pattern[str]] = {
    "train": re.compile(r"train(ing|val)?"),
    "validation": re.compile(r"val(id(ation)?)?|dev"),
    "test": re.compile(r"test(ing)?|eval(uation)?"),
}
# Short forms mean a part only beside a word for images or masks: `imagesTs`.
SHORT: dict[Part, re.Pattern[str]] = {
    "train": re.compile("tr"),
    "validation": re.compile("va|vl"),
    "test": re.compile("ts|te"),
}


def part_of(name: str) -> Part:
    """The part that a folder or file is named after; "" where it names none, or several.

    Examples
    --------
    >>> part_of("imagesTs"), part_of("ISIC2018_Task1_Training_GroundTruth"), part_of("trainval"), part_of("testimony")
    ('test', 'train', 'train', '')
    """
    tokens = words(name)
    patterns = [WORDS, SHORT] if folder_role(name) else [WORDS]
    found = [part for part in WORDS if any(pattern[part].fullmatch(token) for pattern in patterns for token in tokens)]
    if found == ["train", "validation"]:  # `train_val`: what there is beside the test
        return "train"
    return found[0] if len(found) == 1 else ""


def parts_of(places: Sequence[tuple[tuple[str, ...], str]]) -> list[Part]:
    """The part of each case, from its folders and its stem.

    The deepest folder that names a part decides. Where no folder does, the stems do if all of them name one.
    """
    by_folder = [_deepest(folders) for folders, _ in places]
    if any(by_folder):
        return by_folder
    by_stem = [part_of(stem) for _, stem in places]
    return by_stem if all(by_stem) else by_folder


def _deepest(folders: tuple[str, ...]) -> Part:
    for name in reversed(folders):
        part = part_of(name)
        if part:
            return part
    return ""


def with_parts(found: Dataset) -> Dataset:
    """The data set with its ready-made split, which its sentence then says; without parts where it has none.

    A split has cases to train on and others. Cases that lie in no part are trained on.
    """
    counts = Counter(case.part for case in found.cases)
    if not counts["validation"] and not counts["test"]:
        return _undivided(found)
    if not counts["train"] and not counts[""]:
        return _undivided(found) if len(counts) == 1 else _without_training(found)
    cases = tuple(replace(case, part=case.part or "train") for case in found.cases)
    unnamed = f" (of these {counts['']} in no part)" if counts["train"] and counts[""] else ""
    told = [f"{counts['train'] + counts['']} for training{unnamed}"]
    told += [f"{counts['validation']} for validation"] * bool(counts["validation"])
    told += [f"{counts['test']} for test, left out of training"] * bool(counts["test"])
    return replace(found, cases=cases, sentence=f"{found.sentence}; a ready-made split: {', '.join(told)}")


def _undivided(found: Dataset) -> Dataset:
    return replace(found, cases=tuple(replace(case, part="") for case in found.cases))


def _without_training(found: Dataset) -> Dataset:
    what = (
        "the folders name cases for validation and for test and none for training: this is not taken for a "
        "ready-made split, and all cases are used alike"
    )
    return replace(_undivided(found), problems=(*found.problems, Problem(what)))


def across_parts(cases: Sequence[Case]) -> tuple[Problem, ...]:
    """The problem that cases of one group lie in several parts of a ready-made split, if there are any."""
    parts: dict[str, dict[Part, str]] = {}
    for case in cases:
        if case.part:
            parts.setdefault(case.group or case.name, {}).setdefault(case.part, case.name)
    both = [found for found in parts.values() if len(found) > 1]
    if not both:
        return ()
    what = (
        f"{plural(len(both), 'group lies', 'groups lie')} in several parts of the ready-made split (data leakage): "
        "scores on them are optimistically biased. 'ulna split DATA --test 0.2' makes a split by group"
    )
    where = tuple(" and ".join(f"{found[part]} ({part})" for part in get_args(Part) if part in found) for found in both)
    return (Problem(what, where),)
