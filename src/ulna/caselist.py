"""Lists of cases: names of cases, names of groups, and slabs of a volume, as `--cases` and `--except` take them."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ulna import formats
from ulna.dataset import Case, Dataset, Problem, plain_name, planes_of, slab
from ulna.errors import UlnaError
from ulna.text import listed, plural

Names = str | Path | Sequence[str]
"""A text file with one name per line, or the names themselves."""

_RANGE = re.compile(r"(?P<stack>.+)\[(?:(?P<page>\d+)|(?P<start>-?\d*):(?P<stop>-?\d*))\]")

Chosen = dict[int, set[int] | None]
"""By the place of a case, which planes of it are meant; None for the whole case."""


def choose(dataset: Dataset, cases: Names | None = None, except_: Names | None = None) -> Dataset:
    """The cases that are named, without those that are excepted, in the data set's order.

    Parameters
    ----------
    dataset : Dataset
        All cases.
    cases, except_ : path or sequence of str, optional
        A text file with one name per line, or the names: of cases, of groups (all their cases), or a slab of a volume
        or some frames of a film, ``train-volume[0:18]``, counted from 0 with the end left out. None: all cases, no
        case.

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
    rest: list[Case] = []
    for index, case in enumerate(dataset.cases):
        planes = left_out.get(index, set())
        if planes is not None:
            rest += _slabs(case, set(range(planes_of(case))) - planes) if planes else [case]
    if not rest:
        raise UlnaError("every case is left out, and none is left", where="--except")
    return replace(dataset, cases=tuple(rest))


def select(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The cases that are named, see `choose`. Raises UlnaError for names that fit nothing and for an empty list.

    White space around a name does not count, nor how its accents are composed (macOS parts them from their letters).
    """
    wanted = _resolve(dataset.cases, names)
    if not wanted:
        raise UlnaError("the list of cases is empty", hint="Write one case name per line.")
    chosen: list[Case] = []
    for index, case in enumerate(dataset.cases):
        if index in wanted:
            planes = wanted[index]
            chosen += [case] if planes is None else _slabs(case, planes)
    return replace(dataset, cases=tuple(chosen))


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


def _resolve(cases: Sequence[Case], names: Sequence[str]) -> Chosen:
    """The cases that are named; a case's own name comes before a group's, and both before a range."""
    by_case, by_group = _indexed(cases)
    found: Chosen = {}
    unknown: list[str] = []
    for name in dict.fromkeys(plain_name(name) for name in names if name.strip()):
        exact = by_case.get(name) or by_group.get(name)
        in_range = None if exact else _in_range(cases, name)
        if not exact and in_range is None:
            unknown.append(name)
        for index, planes in (in_range or dict.fromkeys(exact or ())).items():
            before = found.get(index, set())
            found[index] = None if planes is None or before is None else before | planes
    if unknown:
        raise _no_such(unknown, [*by_case, *by_group])
    return found


def _slabs(case: Case, planes: set[int]) -> list[Case]:
    """The case of some of its planes: one slab for each run of planes without a gap."""
    ordered = sorted(planes)
    starts = [plane for plane in ordered if plane - 1 not in planes]
    ends = [plane + 1 for plane in ordered if plane + 1 not in planes]
    return [slab(case, first, last) for first, last in zip(starts, ends, strict=True)]


def _indexed(cases: Sequence[Case]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    by_case, by_group = defaultdict(list), defaultdict(list)
    for index, case in enumerate(cases):
        by_case[plain_name(case.name)].append(index)
        by_group[plain_name(case.group or case.name)].append(index)
    return dict(by_case), dict(by_group)


def _in_range(cases: Sequence[Case], name: str) -> Chosen | None:
    """The planes of a volume in a range, ``volume[0:18]``, or the frames of a film; None where it is none of these."""
    told = _RANGE.fullmatch(name)
    if told is None:
        return None
    frames, volume = _film(cases, told["stack"]), _volume(cases, told["stack"])
    if not frames and volume is None:
        return _in_slab(cases, told)
    count = max(frames) + 1 if frames else planes_of(cases[volume]) if volume is not None else 0
    if count < 2:
        return None
    bounds = [int(told[key]) if told[key] else None for key in ("start", "stop")]
    wanted = [int(told["page"])] if told["page"] else list(range(*slice(*bounds).indices(count)))
    beyond = [bound for bound in (*bounds, int(told["page"] or -1) + 1) if bound is not None and abs(bound) > count]
    found: Chosen = {frames[place]: None for place in wanted if place in frames}
    if volume is not None and not frames and wanted:
        found = {volume: set(wanted)}
    if beyond or not found:
        kind = "frame" if frames else "plane"
        raise UlnaError(
            f"'{told['stack']}' has no {kind}s '{name}'",
            hint=f"It has {plural(count, kind)}: '{told['stack']}[0:{count}]' names all of them.",
        )
    return found


def _in_slab(cases: Sequence[Case], told: re.Match[str]) -> Chosen | None:
    """The planes of a slab of a volume, counted within the volume; None where no slab holds them all."""
    for index, case in enumerate(cases):
        span = case.images[0].slab if case.images else None
        if span is None or plain_name(case.name.rpartition("[")[0]) != plain_name(told["stack"]):
            continue
        first, last = (int(told[key] or own) for key, own in zip(("start", "stop"), span, strict=True))
        if told["page"]:
            first, last = int(told["page"]), int(told["page"]) + 1
        if span[0] <= first < last <= span[1]:
            return {index: {plane - span[0] for plane in range(first, last)}}
    return None


def _volume(cases: Sequence[Case], name: str) -> int | None:
    """The case of this name."""
    return next((k for k, case in enumerate(cases) if case.images and plain_name(case.name) == plain_name(name)), None)


def _film(cases: Sequence[Case], name: str) -> dict[int, int]:
    """The case of each frame of the film of this name."""
    found = {}
    for index, case in enumerate(cases):
        frame = case.images[0].frame if case.images else None
        if frame is not None and plain_name(case.name.removesuffix(f"_{frame:04d}")) == plain_name(name):
            found[frame] = index
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
