"""Ready-made splits by lists: text files named train, val and test that name the cases of each part (PASCAL VOC)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ulna import formats
from ulna.dataset import Case, Dataset, Part, Problem, plain_name
from ulna.errors import UlnaError
from ulna.formats.archive import opened
from ulna.layouts.listing import Entry, Listing
from ulna.layouts.matching import words
from ulna.layouts.parts import part_of
from ulna.text import listed, plural

SUFFIXES = (".txt", ".lst", ".csv")
BESIDES = re.compile(r"ids?|lists?|files?|filenames?|images?|names?|cases?|samples?|splits?|sets?|data")
BOTH = re.compile(r"trainval|train_?val(id(ation)?)?", re.IGNORECASE)  # what the lists of both hold together
MAX_BYTES = 1 << 24
MIN_FITTING = 0.5  # share of the names in a list that must be those of images


@dataclass(frozen=True)
class _List:
    """A file that names cases of a part: the cases that it names, and names that fit none."""

    entry: Entry
    part: Part
    cases: frozenset[int]
    strange: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether it is a list of these cases."""
        return len(self.cases) >= MIN_FITTING * (len(self.cases) + len(self.strange)) and bool(self.cases)


def with_lists(found: Dataset, listing: Listing) -> Dataset:
    """The data set with its cases in the parts that lists name.

    Lists count where neither folders nor files name parts. Of several folders with lists, those count that name the
    most cases. What is not used, fits no image or contradicts itself becomes a problem.
    """
    lists = _lists(found.cases, listing)
    fitting = [one for one in lists if one.fits]
    if not fitting:
        return replace(found, problems=(*found.problems, *_not_used(lists, "their names are not those of images")))
    if any(case.part for case in found.cases):
        return replace(found, problems=(*found.problems, *_not_used(fitting, "folders or files name the parts")))
    chosen = _best(fitting)
    if {one.part for one in chosen} == {"train"}:
        why = "they name cases for training and none for validation or test"
        return replace(found, problems=(*found.problems, *_not_used(chosen, why)))
    parts, twice = _parts(chosen)
    cases = tuple(replace(case, part=parts.get(index, "")) for index, case in enumerate(found.cases))
    problems = [*found.problems, *_strange(chosen)]
    if twice:
        what = f"{plural(len(twice), 'case is', 'cases are')} in several lists of the ready-made split (data leakage)"
        what += ", and used in the first of training, validation and test"
        problems.append(Problem(what, tuple(found.cases[index].name for index in twice)))
    sentence = f"{found.sentence}; parts by {listed((one.entry.path for one in chosen), quoted=True)}"
    return replace(found, cases=cases, sentence=sentence, problems=tuple(problems))


def _lists(cases: Sequence[Case], listing: Listing) -> list[_List]:
    entries = [(entry, _part(entry)) for entry in listing.others if entry.source.suffix in SUFFIXES]
    entries = [(entry, part) for entry, part in entries if part]
    if not entries:
        return []
    index = _index(cases)
    return [_read(entry, part, index) for entry, part in entries]


def _part(entry: Entry) -> Part:
    """The part that a list is named after, whose name says nothing else: `test_ids.txt`, but not `cat_val.txt`."""
    rest = [word for word in words(entry.stem) if not BESIDES.fullmatch(word)]
    part = part_of(" ".join(rest))
    return part if part and all(part_of(word) for word in rest) else ""


def _index(cases: Sequence[Case]) -> dict[str, list[int]]:
    """Which cases a list may mean by a name: its own, or that of an image file, where no other file has it."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, case in enumerate(cases):
        for name in dict.fromkeys(plain_name(name) for name in (case.name, *(one.stem for one in case.images))):
            found[name].append(number)

    def of_one_file(numbers: list[int]) -> bool:
        return len({(cases[number].images[0].path, cases[number].images[0].inside) for number in numbers}) == 1

    return {name: numbers for name, numbers in found.items() if of_one_file(numbers)}


def _read(entry: Entry, part: Part, index: dict[str, list[int]]) -> _List:
    try:
        with opened(entry.source) as stream:
            text = stream.read(MAX_BYTES).decode("utf-8-sig", "surrogateescape")
    except (OSError, UlnaError):
        text = ""
    cases: set[int] = set()
    strange: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        meant = next((index[name] for name in _names(line) if name in index), [])
        cases.update(meant)
        strange += [] if meant else [line]
    return _List(entry, part, frozenset(cases), tuple(strange))


def _names(line: str) -> Iterable[str]:
    """What a line may name: all of it or its first field, with or without folders and suffix."""
    for text in (line, re.split(r"[\s,;]", line)[0]):
        path = plain_name(text.strip("\"'")).replace("\\", "/").lstrip("./")
        suffix = next((suffix for suffix in formats.SUFFIXES if path.lower().endswith(suffix)), "")
        bare = path[: len(path) - len(suffix)]
        parts = bare.split("/")
        yield from ("/".join(parts[start:]) for start in range(len(parts)))


def _best(lists: Sequence[_List]) -> list[_List]:
    """The lists of the folder that names the most cases; without those of training and validation in one."""
    folders: dict[tuple[str, ...], list[_List]] = defaultdict(list)
    for one in lists:
        folders[one.entry.folders].append(one)

    def rank(of_folder: Sequence[_List]) -> tuple[int, int]:
        return len(frozenset().union(*(one.cases for one in of_folder))), -sum(len(one.strange) for one in of_folder)

    best = max(folders.values(), key=rank)
    single = [one for one in best if not BOTH.fullmatch(one.entry.stem)]
    return single if any(one.part == "train" for one in single) else best


def _parts(lists: Sequence[_List]) -> tuple[dict[int, Part], list[int]]:
    """The part of each case that is named, and the cases that lists of several parts name."""
    parts: dict[int, Part] = {}
    order: tuple[Part, ...] = ("train", "validation", "test")
    for one in sorted(lists, key=lambda one: order.index(one.part)):
        for case in one.cases:
            parts.setdefault(case, one.part)
    twice = {case for one in lists for case in one.cases if parts[case] != one.part}
    return parts, sorted(twice)


def _strange(lists: Sequence[_List]) -> list[Problem]:
    names = [f"{one.entry.path}: {name}" for one in lists for name in one.strange]
    what = (
        f"{plural(len(names), 'name')} in lists of the ready-made split {'fits' if len(names) == 1 else 'fit'} no image"
    )
    return [Problem(what, tuple(names))] if names else []


def _not_used(lists: Sequence[_List], why: str) -> list[Problem]:
    names = tuple(one.entry.path for one in lists)
    be = "1 file looks like a list" if len(names) == 1 else f"{len(names)} files look like lists"
    return [Problem(f"{be} of a ready-made split and no split is made by it: {why}", names, "note")] if names else []
