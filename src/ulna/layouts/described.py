"""`dataset.json` of the Medical Segmentation Decathlon and of nnU-Net: what values of masks and channels are called."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ulna.dataset import Case, Dataset, Problem
from ulna.errors import UlnaError
from ulna.formats.archive import opened
from ulna.layouts.listing import Entry, Listing
from ulna.text import listed, plural

NAME = "dataset.json"
IGNORED = "ignore"
"""What nnU-Net calls the label of what is not annotated."""

FOURTH_AXIS = re.compile(
    r"(; )?its fourth axis, (\d+) volumes, is taken for channels; if it is time, data\.time picks one"
)
"""The words in which it is doubted that a fourth axis holds channels: where so many have names, it does."""

CHANNEL = re.compile(r"_\d{4}(?=\.[^/]*$)")
"""What nnU-Net's lists leave out of the names of images."""

Values = tuple[tuple[str, int], ...]
Regions = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Described:
    """What a `dataset.json` says.

    Parameters
    ----------
    values, ignored, regions, channels
        As those of `Case`.
    files
        The images and labels for training that it lists, as paths relative to it.
    pairs
        By such an image its label.
    counted
        How many cases for training it says that there are (`numTraining`); None where it does not.
    entries
        How many cases for training it lists; None where it lists none.
    """

    values: Values
    ignored: tuple[int, ...] = ()
    regions: Regions = ()
    channels: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    counted: int | None = None
    entries: int | None = None

    def applied(self, case: Case) -> Case:
        """A case with all that is said of it."""
        return replace(
            case,
            values=self.values,
            ignored=self.ignored,
            regions=self.regions,
            channels=self.channels or case.channels,
        )

    def sentence(self) -> str:
        """What it says, in words."""
        parts = [f"{value} is '{name}'" for name, value in self.values]
        said = f"says that {listed(parts, 8)}"
        if self.ignored:
            said += f", and that {listed(self.ignored)} is not annotated"
        if self.regions:
            shown = [f"'{name}' ({', '.join(map(str, values))})" for name, values in self.regions]
            said += f"; it names the regions {listed(shown, 8)}"
        return said + (f"; the channels are {listed(self.channels, 8)}" if len(self.channels) > 1 else "")


def with_described(found: Dataset, listing: Listing) -> Dataset:
    """The data set with the names of its classes and channels, where a `dataset.json` says them.

    Parameters
    ----------
    found
        Any data set whose masks are files of class values.
    listing
        What lies in the place.

    Returns
    -------
    Dataset
        A copy whose sentence says so; the same where there is no such file, or the layout names classes itself.
    """
    entries = [entry for entry in listing.others if entry.source.name == NAME]
    plain = [case for case in found.cases if case.truth and not (case.objects or case.truth_classes)]
    if not entries or not plain:
        return found
    entry = min(entries, key=lambda one: len(one.folders))
    try:
        told = described(_content(entry))
    except (UlnaError, ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"{entry.path} is not used: it says nothing that can be read of labels ({error})"
        return replace(found, problems=(*found.problems, Problem(what, (entry.path,))))
    differing = [one for one in entries if one != entry and _says_otherwise(one, told)]
    if differing:
        what = f"{1 + len(differing)} files {NAME} say different things: name the folder of one data set"
        problem = Problem(what, tuple(one.path for one in (entry, *differing)), "fatal")
        return replace(found, problems=(*found.problems, problem))
    bare = [case for case in found.cases if not case.truth]
    cases = tuple(
        told.applied(case) if case in plain else replace(case, channels=told.channels) if case in bare else case
        for case in found.cases
    )
    problems = found.problems
    if len(told.channels) > 1:
        problems = _without_doubt(problems, told.channels)
    problems = (
        *problems,
        *_missing(told, entry, listing),
        *_other_pairs(told, entry, listing, plain),
        *_other_number(told, entry, plain),
        *_unlisted(told, entry, listing, plain),
    )
    return replace(found, cases=cases, problems=problems, sentence=f"{found.sentence}; {NAME} {told.sentence()}")


def _without_doubt(problems: Sequence[Problem], channels: Sequence[str]) -> tuple[Problem, ...]:
    """Problems without the doubt whether a fourth axis holds channels, where there are as many as have names."""
    made = []
    for problem in problems:
        found = FOURTH_AXIS.search(problem.what)
        if found is None:
            made.append(problem)
        elif int(found[2]) == len(channels):
            what = FOURTH_AXIS.sub("", problem.what).replace(": ; ", ": ", 1)
            made += [] if what.endswith(": ") else [replace(problem, what=what)]
        else:
            names = f"{NAME} names {plural(len(channels), 'channel')} ({listed(channels, 8)})"
            made.append(replace(problem, what=f"{problem.what}; {names}, which are not used"))
    return tuple(made)


def _says_otherwise(entry: Entry, told: Described) -> bool:
    """Whether another file says something else of values and channels; one that says nothing of them does not."""
    try:
        own = described(_content(entry))
    except (UlnaError, ValueError, TypeError, KeyError, AttributeError):
        return False
    names = ("values", "ignored", "regions", "channels")
    return any(getattr(own, name) != getattr(told, name) for name in names)


def described(content: Mapping[str, Any]) -> Described:
    """What the content of a `dataset.json` says.

    The Decathlon writes ``"labels": {"1": "liver"}`` and ``"modality": {"0": "CT"}``, nnU-Net ``{"liver": 1}``, of
    regions ``{"whole tumor": [1, 2, 3]}``, and ``"channel_names": {"0": "CT"}``.

    Parameters
    ----------
    content
        As it was read.

    Returns
    -------
    Described

    Raises
    ------
    KeyError, ValueError, TypeError, AttributeError
        Where it has no labels, two names have one value, or 0 has none.

    Examples
    --------
    >>> told = described({"labels": {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}})
    >>> told.regions, told.ignored
    ((('whole', (1, 2)), ('core', (2,))), (3,))
    >>> told.values
    (('background', 0), ('label 1', 1), ('core', 2))
    """
    labels = content["labels"]
    pairs = [(name, key) if str(key).lstrip("-").isdecimal() else (key, name) for key, name in labels.items()]
    groups = [(str(name), _numbers(value)) for name, value in pairs]
    ignored = tuple(value for name, values in groups if name.casefold() == IGNORED for value in values)
    named = [(name, values) for name, values in groups if name.casefold() != IGNORED]
    if any(len(values) > 1 for _, values in named):
        regions = tuple((name, values) for name, values in named if values != (0,))
        _check_order(content, regions)
    else:
        regions = ()
    kept = _exclusive(named) if regions else [(name, values[0]) for name, values in named]
    kept.sort(key=lambda one: one[1] != 0)
    if len({value for _, value in kept}) < len(kept) or not kept or kept[0][1] != 0:
        raise ValueError("two names have one value, or 0 has none")
    counted, listing = content.get("numTraining"), content.get("training")
    return Described(
        tuple(kept),
        ignored,
        regions,
        _channels(content),
        *_files(content),
        counted=counted if type(counted) is int else None,
        entries=len(listing) if isinstance(listing, list) else None,
    )


def _numbers(value: Any) -> tuple[int, ...]:
    """The values of a label: one, or those of a region."""
    numbers = tuple(map(int, value)) if isinstance(value, list) else (int(value),)
    if not numbers:
        raise ValueError("a region has no values")
    return numbers


def _exclusive(named: list[tuple[str, tuple[int, ...]]]) -> list[tuple[str, int]]:
    """A class for each value that regions are made of, named after the region of this value alone."""
    alone = {values[0]: name for name, values in named if len(values) == 1}
    every = sorted({value for _, values in named for value in values} | {0})
    return [(alone.get(value, "background" if value == 0 else f"label {value}"), value) for value in every]


def _check_order(content: Mapping[str, Any], regions: Regions) -> None:
    order = content.get("regions_class_order", ())
    if order and len(order) != len(regions):
        raise ValueError(f"its regions_class_order has {plural(len(order), 'value')} for {len(regions)} regions")


def _channels(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the channels in their order; none where they are not counted from 0."""
    names = content.get("channel_names") or content.get("modality") or {}
    if not isinstance(names, Mapping) or sorted(map(str, names)) != sorted(str(k) for k in range(len(names))):
        return ()
    return tuple(name for _, name in sorted((int(key), str(name)) for key, name in names.items()))


def _files(content: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The files that are listed, and those of them that are image and label."""
    listing = content.get("training")
    items = [item for item in listing if isinstance(item, Mapping)] if isinstance(listing, list) else []
    files = [
        tuple(
            file.replace("\\", "/").removeprefix("./")
            for key in ("image", "label")
            if isinstance(file := item.get(key), str)
        )
        for item in items
    ]
    return sum(files, ()), tuple((one[0], one[1]) for one in files if len(one) == len(("image", "label")))


def _missing(told: Described, entry: Entry, listing: Listing) -> tuple[Problem, ...]:
    """The problem that files which are listed are not there. nnU-Net's lists leave out the channel: `case.nii.gz`."""
    here = {image.path for image in listing.images}
    short = {"/".join((*image.folders, image.stem[:-5] + image.source.suffix)) for image in listing.images}
    top = "".join(f"{folder}/" for folder in entry.folders)
    missing = tuple(file for file in told.files if top + file not in here and top + file not in short)
    if not missing:
        return ()
    return (Problem(f"{entry.path} lists {plural(len(missing), 'file')} for training that are not there", missing),)


def _other_pairs(told: Described, entry: Entry, listing: Listing, cases: Sequence[Case]) -> tuple[Problem, ...]:
    """The problem that images are listed with other labels than those of their names, which are used."""
    top = "".join(f"{folder}/" for folder in entry.folders)
    label = {top + image: top + mask for image, mask in told.pairs}
    path = {(one.source.path, one.source.inside): one.path for one in listing.images}
    other = []
    for case in cases:
        image, mask = (path.get((one.path, one.inside), "") for one in (case.images[0], case.truth[0]))
        stated = label.get(image) or label.get(_without_channel(image))
        if stated not in (None, mask) and stated in path.values():
            other.append(f"{image}: {stated}, and not {mask}")
    if not other:
        return ()
    what = (
        f"{entry.path} lists {plural(len(other), 'image')} with another label than that of the same name, which is used"
    )
    return (Problem(f"{what}. Correct the list, or name the files alike", tuple(other)),)


def _other_number(told: Described, entry: Entry, cases: Sequence[Case]) -> tuple[Problem, ...]:
    """The note that `numTraining` is not the number of the cases that are listed or, without a list, are there."""
    here = sum(case.part != "test" for case in cases)
    number, verb = (here, "there are") if told.entries is None else (told.entries, "it lists")
    if told.counted in (None, number):
        return ()
    what = f"{entry.path} says {plural(told.counted or 0, 'case')} for training (numTraining), {verb} {number}"
    return (Problem(f"{what}; the {here} that are there are used", (), "note"),)


def _unlisted(told: Described, entry: Entry, listing: Listing, cases: Sequence[Case]) -> tuple[Problem, ...]:
    """The note that images with labels are there which are not listed: they are used."""
    top = "".join(f"{folder}/" for folder in entry.folders)
    known = {top + file for file in told.files}
    path = {(one.source.path, one.source.inside): one.path for one in listing.images}
    images = [path.get((case.images[0].path, case.images[0].inside), "") for case in cases if case.part != "test"]
    unlisted = tuple(image for image in images if not {image, _without_channel(image)} & known)
    if not known or not unlisted:
        return ()
    images_with = plural(len(unlisted), "image with a label, which is", "images with labels, which are")
    what = f"{entry.path} leaves out {images_with} used, too"
    return (Problem(what, unlisted, "note"),)


def _without_channel(path: str) -> str:
    """The path of `case.nii.gz` for `case_0000.nii.gz`."""
    return CHANNEL.sub("", path)


def _content(entry: Entry) -> Mapping[str, Any]:
    with opened(entry.source) as stream:
        content = json.loads(stream.read().decode("utf-8-sig"))
    if not isinstance(content, dict):
        raise ValueError("it holds no names and values")
    return content
