"""Lists of cases: names of cases, names of groups, and ranges of a stack, as `--cases` and `--except` take them."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ulna import formats
from ulna.dataset import Case, Dataset, Problem, plain_name
from ulna.errors import UlnaError
from ulna.text import listed, plural

Names = str | Path | Sequence[str]
"""A text file with one name per line, or the names themselves."""

_RANGE = re.compile(r"(?P<stack>.+)\[(?:(?P<page>\d+)|(?P<start>-?\d*):(?P<stop>-?\d*))\]")


def choose(dataset: Dataset, cases: Names | None = None, except_: Names | None = None) -> Dataset:
    """The cases that are named, without those that are excepted, in the data set's order.

    Parameters
    ----------
    dataset : Dataset
        All cases.
    cases, except_ : path or sequence of str, optional
        A text file with one name per line, or the names: of cases, of groups (all their cases), or a range of the
        pages of a stack, ``train-volume[0:18]``, counted from 0 with the end left out. None: all cases, no case.

    Returns
    -------
    Dataset
        Whoever names cases of the test part of a ready-made split uses them like the others; a problem says so.

    Raises
    ------
    UlnaError
        For a name that fits nothing (the nearest is named), for a file that cannot be read, and where no case is
        left.
    """
    if cases is not None:
        dataset = _used_by_name(select(dataset, case_names(cases)))
    if except_ is None:
        return dataset
    left_out = _resolve(dataset.cases, case_names(except_))
    rest = tuple(case for index, case in enumerate(dataset.cases) if index not in left_out)
    if not rest:
        raise UlnaError("every case is left out, and none is left", where="--except")
    return replace(dataset, cases=rest)


def select(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The cases that are named, see `choose`. Raises UlnaError for names that fit nothing and for an empty list.

    White space around a name does not count, nor how its accents are composed (macOS parts them from their letters).
    """
    wanted = _resolve(dataset.cases, names)
    if not wanted:
        raise UlnaError("the list of cases is empty", hint="Write one case name per line.")
    return replace(dataset, cases=tuple(case for index, case in enumerate(dataset.cases) if index in wanted))


def case_names(cases: Names) -> tuple[str, ...]:
    """Names as they are, or those in a text file, one per line. Raises UlnaError for a file that cannot be read.

    A byte-order mark, as Windows' Notepad writes it, is no part of the first name.
    """
    if not isinstance(cases, str | Path):
        names = tuple(cases) if isinstance(cases, Iterable) else (cases,)
        if not all(isinstance(name, str) for name in names):
            raise UlnaError(f"names of cases are a list of str, not {cases!r}", where="cases")
        return names
    try:
        text = Path(cases).read_text("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise UlnaError(f"the list of cases cannot be read ({error})", where=cases) from None
    if "\0" in text:
        raise UlnaError("the list of cases cannot be read (it is no text in UTF-8)", where=cases)
    return tuple(line.strip() for line in text.split("\n") if line.strip())


def write_names(path: Path, cases: Iterable[Case]) -> None:
    """Write the names of cases, one per line, as `case_names` reads them; also names that are no proper UTF-8."""
    with formats.atomic_write(path) as beside:
        beside.write_text("".join(f"{case.name}\n" for case in cases), "utf-8", "surrogateescape")


def _resolve(cases: Sequence[Case], names: Sequence[str]) -> set[int]:
    """The indices of the cases that are named; a case's own name comes before a group's, and both before a range."""
    by_case, by_group = _indexed(cases)
    found: set[int] = set()
    unknown: list[str] = []
    for name in dict.fromkeys(plain_name(name) for name in names if name.strip()):
        exact = by_case.get(name) or by_group.get(name)
        in_range = None if exact else _pages(cases, name)
        if not exact and in_range is None:
            unknown.append(name)
        found |= set(exact or in_range or ())
    if unknown:
        raise _no_such(unknown, [*by_case, *by_group])
    return found


def _indexed(cases: Sequence[Case]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    by_case, by_group = defaultdict(list), defaultdict(list)
    for index, case in enumerate(cases):
        by_case[plain_name(case.name)].append(index)
        by_group[plain_name(case.group or case.name)].append(index)
    return dict(by_case), dict(by_group)


def _pages(cases: Sequence[Case], name: str) -> list[int] | None:
    """The cases in a range of a stack's pages, ``volume[0:18]``; None where the name is no range of a stack here."""
    told = _RANGE.fullmatch(name)
    by_page = _stack(cases, told["stack"]) if told else {}
    if told is None or not by_page:
        return None
    count = max(by_page) + 1
    bounds = [int(told[key]) if told[key] else None for key in ("start", "stop")]
    wanted = [int(told["page"])] if told["page"] else list(range(*slice(*bounds).indices(count)))
    beyond = [bound for bound in (*bounds, int(told["page"] or -1) + 1) if bound is not None and abs(bound) > count]
    found = [by_page[page] for page in wanted if page in by_page]
    if beyond or not found:
        raise UlnaError(
            f"the stack '{told['stack']}' has no pages '{name}'",
            hint=f"It has {plural(count, 'page')}: '{told['stack']}[0:{count}]' names all of them.",
        )
    return found


def _stack(cases: Sequence[Case], name: str) -> dict[int, int]:
    """The case of each page of the stack of this name."""
    found = {}
    for index, case in enumerate(cases):
        page = case.images[0].page if case.images else None
        if page is not None and plain_name(case.name.removesuffix(f"_{page:04d}")) == plain_name(name):
            found[page] = index
    return found


def _no_such(unknown: Sequence[str], known: Sequence[str]) -> UlnaError:
    close = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.3)
    return UlnaError(
        f"there is no case or group {listed(unknown, quoted=True)}",
        hint=f"Did you mean '{close[0]}'?" if close else f"Names look like '{min(known, default='')}'.",
    )


def _used_by_name(found: Dataset) -> Dataset:
    """Training and validation cases keep their split; where cases of the test part are named too, nothing is split."""
    parts = {case.part for case in found.cases}
    if parts <= {"train", "validation"} and len(parts) == 2:
        return found
    problems = found.problems
    test = tuple(case.name for case in found.cases if case.part == "test")
    if test and len(parts) > 1:
        what = (
            f"{plural(len(test), 'case')} of the test part of the ready-made split {'is' if len(test) == 1 else 'are'} "
            "named in the list of cases, and used like the others"
        )
        problems = (*problems, Problem(what, test))
    return replace(found, cases=tuple(replace(case, part="") for case in found.cases), problems=problems)
