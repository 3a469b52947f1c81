"""`dataset.json` of the Medical Segmentation Decathlon and of nnU-Net: what the values of masks are called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ulna.dataset import Dataset, Problem
from ulna.errors import UlnaError
from ulna.formats.archive import opened
from ulna.layouts.listing import Entry, Listing
from ulna.text import listed

NAME = "dataset.json"
IGNORED = "ignore"
"""What nnU-Net calls the label of what is not annotated."""


def with_described(found: Dataset, listing: Listing) -> Dataset:
    """The data set with the names of its classes, where a `dataset.json` says them.

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
        values, ignored = _labels(_content(entry))
    except (UlnaError, ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"{entry.path} is not used: it says nothing that can be read of labels ({error})"
        return replace(found, problems=(*found.problems, Problem(what, (entry.path,))))
    cases = tuple(replace(case, values=values, ignored=ignored) if case in plain else case for case in found.cases)
    said = listed([f"{value} is '{name}'" for name, value in values], 8)
    return replace(found, cases=cases, sentence=f"{found.sentence}; {NAME} says that {said}")


def _content(entry: Entry) -> Mapping[str, Any]:
    with opened(entry.source) as stream:
        content = json.loads(stream.read().decode("utf-8-sig"))
    if not isinstance(content, dict):
        raise ValueError("it holds no names and values")
    return content


def _labels(content: Mapping[str, Any]) -> tuple[tuple[tuple[str, int], ...], tuple[int, ...]]:
    """Names with their values, the background first, and the values that are not annotated.

    The Decathlon writes ``{"1": "liver"}``, nnU-Net ``{"liver": 1}``.
    """
    labels = content["labels"]
    pairs = [(name, key) if str(key).lstrip("-").isdecimal() else (key, name) for key, name in labels.items()]
    if any(isinstance(value, list) for _, value in pairs):
        raise ValueError("its labels are regions of several values")
    numbers = [(str(name), int(value)) for name, value in pairs]
    ignored = tuple(value for name, value in numbers if name.casefold() == IGNORED)
    kept = sorted(((name, value) for name, value in numbers if value not in ignored), key=lambda one: one[1] != 0)
    if len({value for _, value in kept}) < len(kept) or not kept or kept[0][1] != 0:
        raise ValueError("two names have one value, or 0 has none")
    return tuple(kept), ignored
