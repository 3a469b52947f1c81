"""`Case` and `Dataset`: what a layout found, and how it is split."""

from __future__ import annotations

from dataclasses import dataclass

from ulna.image import Source


@dataclass(frozen=True)
class Case:
    """One image with its truth.

    `images` has one source a modality (their channels are stacked); `truth` is one mask, or many files of one
    object each (`objects` is then True), or empty where there is none. `group` names what must stay on one
    side of every split: a patient, a stack, a picture that tiles were cut from, duplicates.
    """

    name: str
    images: tuple[Source, ...]
    truth: tuple[Source, ...] = ()
    group: str = ""
    objects: bool = False


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the data: what, where (case or file names), and whether training can go on."""

    what: str
    where: tuple[str, ...] = ()
    severity: str = "warning"  # "fatal", "warning" or "note"


@dataclass(frozen=True)
class Dataset:
    """Cases, how their layout was understood (a sentence), and what was found wrong while reading the layout."""

    cases: tuple[Case, ...]
    sentence: str
    problems: tuple[Problem, ...] = ()
