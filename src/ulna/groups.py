"""Groups: the cases that belong to one patient, sample or series and stay on one side of every split.

They are stated (`data.groups`), or given by the layout (stacks, folders), or found in the names of the cases.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ulna.dataset import Case, Problem, plain_name
from ulna.errors import UlnaError
from ulna.names import Field, fields, patient_of_visit, series
from ulna.text import listed, plural

FEW = 5
"""Fewer groups than this, where they are a guess, may be no patients but classes, sites or days."""

HOW_TO_STATE = (
    "To say it otherwise, set data.groups to a regular expression whose one capture is the group, as in "
    "data.groups='^([^_]+)_', or to a CSV file of name and group; data.groups='(.+)' makes each image a group"
)


@dataclass(frozen=True)
class Grouping:
    """The group of each case, and how they were decided.

    Parameters
    ----------
    groups
        One name per case; a case without relatives has its own name.
    how
        How the groups were decided, in a sentence.
    problems
        What deserves a look: a guess that joins much, names of one series, rows of a table that fit no case.
    """

    groups: tuple[str, ...]
    how: str
    problems: tuple[Problem, ...] = ()


def decide(cases: Sequence[Case], stated: str = "", *, complete: bool = True) -> Grouping:
    """Decide which cases belong together.

    Parameters
    ----------
    cases
        The cases, with the groups of their layout.
    stated
        The setting `data.groups`: a regular expression with one capture, or a CSV file of name and group. It wins
        over what the layout and the names say.
    complete
        Whether what is stated must give every case a group; if not, others are in their own.

    Raises
    ------
    UlnaError
        Where what is stated cannot be read, or gives some case no group.

    Examples
    --------
    >>> cases = [Case(f"P{p}_slice{s}", ()) for p in (1, 2) for s in (1, 2)]
    >>> decide(cases).groups
    ('P1', 'P1', 'P2', 'P2')
    >>> decide(cases, "slice(.)").groups
    ('1', '2', '1', '2')
    """
    if not stated:
        return _found(cases)
    if Path(stated).suffix.casefold() in (".csv", ".tsv", ".txt"):
        return _from_table(cases, Path(stated).expanduser(), complete=complete)
    return _captured(cases, stated, complete=complete)


def _captured(cases: Sequence[Case], expression: str, *, complete: bool) -> Grouping:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise UlnaError(
            f"'{expression}' is no regular expression ({error})", where="data.groups", hint=HOW_TO_STATE + "."
        ) from None
    if pattern.groups != 1:
        raise UlnaError(
            f"'{expression}' has {plural(pattern.groups, 'capture')}, and one is needed: the group",
            where="data.groups",
            hint="Put what names the group in parentheses, and write other parentheses as (?:…).",
        )
    in_names = [_capture(pattern, case.name) for case in cases]
    in_paths = [_capture(pattern, path) for path in _paths(cases)]
    in_path = not all(in_names) and all(in_paths)
    captures = in_paths if in_path else in_names
    missing = [case.name for case, capture in zip(cases, captures, strict=True) if not capture]
    if missing and complete:
        raise UlnaError(
            f"'{expression}' captures no group in {plural(len(missing), 'name')} of {len(cases)}: "
            f"{listed(missing, quoted=True)}",
            where="data.groups",
            hint="It is searched for in the name of each case (or, where that fits all, in the path of each image).",
        )
    place = "paths of the images" if in_path else "names"
    groups = tuple(capture or case.name for capture, case in zip(captures, cases, strict=True))
    return Grouping(groups, f"stated: data.groups='{expression}', captured in the {place}")


def _capture(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return (found[1] or "") if found else ""


def _paths(cases: Sequence[Case]) -> list[str]:
    """The path of each case's image, from the folder that all share on; with that of the archive's member."""
    whole = (
        [
            (*source.path.parts[:-1], *source.inside) if source.inside else source.path.parts
            for source in (case.images[0] if case.images else case.truth[0] for case in cases)
        ]
        if all(case.images or case.truth for case in cases)
        else [(case.name,) for case in cases]
    )
    shared = 0
    while all(len(parts) > shared + 1 and parts[shared] == whole[0][shared] for parts in whole):
        shared += 1
    return ["/".join(parts[shared:]) for parts in whole]


def _from_table(cases: Sequence[Case], path: Path, *, complete: bool) -> Grouping:
    stated: dict[str, str] = {}
    for line, name, group in _rows(path):
        if stated.setdefault(plain_name(name), group) != group:
            raise UlnaError(
                f"line {line} gives '{name}' the group '{group}', an earlier line '{stated[plain_name(name)]}'",
                where=path,
            )
    used: set[str] = set()
    groups: list[str] = []
    missing: list[str] = []
    for case in cases:
        key = next((key for key in _keys(case) if key in stated), None)
        if key is None:
            missing.append(case.name)
            groups.append(case.name)
        else:
            used.add(key)
            groups.append(stated[key])
    if missing and complete:
        raise UlnaError(
            f"the table of groups lacks {plural(len(missing), 'case')} of {len(cases)}: {listed(missing, quoted=True)}",
            where=path,
            hint="Write one line per case: its name, a comma, its group.",
        )
    unused = [name for name in stated if name not in used]
    problems = (
        (Problem(f"{plural(len(unused), 'row')} of {path.name} fit no case here", tuple(unused), "note"),)
        if unused
        else ()
    )
    return Grouping(tuple(groups), f"stated: the table {path}", problems)


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """The lines of a table, numbered from 1, with name and group; a heading 'name,group' is passed over."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UlnaError(f"the table of groups cannot be read ({error})", where=path, hint=HOW_TO_STATE + ".") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    for line, row in enumerate(csv.reader(text.splitlines(), delimiter=delimiter), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (line == 1 and len(cells) > 1 and cells[1].casefold() == "group"):
            continue
        if len(cells) < 2 or not cells[0] or not cells[1]:
            raise UlnaError(f"line {line} has no name and group: {text.splitlines()[line - 1]!r}", where=path)
        yield line, cells[0], cells[1]


def _keys(case: Case) -> Iterator[str]:
    """What a table may call a case: its name, its file with suffix, its stack."""
    yield plain_name(case.name)
    for source in case.images[:1]:
        yield plain_name(source.name)
        yield plain_name(Path(source.name).stem)


def _found(cases: Sequence[Case]) -> Grouping:
    """The groups of the layout, and those of names where the layout has none but films."""
    given = [case.group or case.name for case in cases]
    in_folders = {i for i, case in enumerate(cases) if _is_folder(case)}
    named = [i for i in range(len(cases)) if i not in in_folders]
    # The frames of a film have its name: what is found in it is found for all of them.
    units = sorted({given[i] for i in named})
    found, alone = _in_names(units)
    groups = tuple(found.get(group, group) if i not in in_folders else group for i, group in enumerate(given))
    reasons = []
    if found:
        reasons.append(f"in names ({_examples(found)})")
    if in_folders:
        reasons.append(
            f"in folders, one group per folder ({listed(sorted({given[i] for i in in_folders}), quoted=True)})"
        )
    if any(given[i] != cases[i].name and given[i] not in found for i in named):
        reasons.append("of films and volumes, one group each")
    how = f"found {', and '.join(reasons)}" if reasons else "none found in names or folders: each image is its own"
    guessed = Counter(groups[i] for i in range(len(cases)) if i in in_folders or given[i] in found)
    return Grouping(groups, how, (*_doubts(guessed, groups, how), *alone))


def _is_folder(case: Case) -> bool:
    """Whether the layout took the group from a folder: it is neither the case's own name nor that of its film."""
    if case.group in ("", case.name):
        return False
    film = case.images and case.images[0].frame is not None and case.name.rpartition("_")[0] == case.group
    slab = case.images and case.images[0].slab is not None and case.name.rpartition("[")[0] == case.group
    return not (film or slab)


def _in_names(units: Sequence[str]) -> tuple[Mapping[str, str], tuple[Problem, ...]]:
    """The group of each name that belongs to a series, where these partition the names; else what is in doubt."""
    visits = {name: patient for name in units if (patient := patient_of_visit(name.rpartition("/")[2]))}
    patients = Counter(visits.values())
    visits = {name: patient for name, patient in visits.items() if patients[patient] > 1}
    if visits:  # however few patients came twice
        others, problems = _in_names([name for name in units if name not in visits])
        return {**visits, **others}, problems
    parsed = {name: fields(name.rpartition("/")[2]) for name in units}
    alike: dict[int, list[str]] = defaultdict(list)
    for name, parts in parsed.items():
        alike[sum(not part.counter for part in parts)].append(name)
    of_name: dict[str, str] = {}
    for members in alike.values():
        for name, group in zip(members, series([parsed[name] for name in members]), strict=True):
            folder = name.rpartition("/")[0]
            of_name[name] = "/".join(filter(None, (folder, group))) or name
    first: dict[str, str] = {}
    of_name = {name: first.setdefault(group.casefold(), group) for name, group in of_name.items()}
    sizes = Counter(of_name.values())
    together = [name for name, group in of_name.items() if sizes[group] > 1]
    named = all(any(part.subject for part in parsed[name]) for name in together)  # they say whom they are of
    if len(sizes) > 1 and together and (named or 2 * len(together) >= len(units)):
        return {name: group for name, group in of_name.items() if sizes[group] > 1}, ()
    return {}, _one_series(list(parsed), list(parsed.values()))


def _one_series(units: Sequence[str], parsed: Sequence[Sequence[Field]]) -> tuple[Problem, ...]:
    """The doubt whether names that differ by a counter of slices, frames or tiles alone are one series."""
    rest = {tuple(part.text.casefold() for part in parts if not part.counter) for parts in parsed}
    if len(units) < 3 or len(rest) > 1 or not all(any(part.counter for part in parts) for parts in parsed):
        return ()
    what = (
        f"the names look like slices, frames or tiles of one series ('{units[0]}'), but each image was taken as "
        "independent, so neighbors may end on both sides of a split. If they are one series, scores are "
        f"optimistically biased: state blocks that belong together. {HOW_TO_STATE}"
    )
    return (Problem(what, tuple(units)),)


def _doubts(guessed: Mapping[str, int], groups: Sequence[str], how: str) -> tuple[Problem, ...]:
    """A warning where groups that were guessed are few, or one of them holds most cases."""
    if not guessed:
        return ()
    largest = max(guessed, key=lambda group: guessed[group])
    if len(set(groups)) >= FEW and 2 * guessed[largest] <= len(groups):
        return ()
    what = (
        f"{plural(sum(guessed.values()), 'case')} were joined to {plural(len(guessed), 'group')}, {how}; the "
        f"largest, '{largest}', has {guessed[largest]}. If these are no patients, samples or series but, say, "
        f"classes or sites, then images are kept together that are independent. {HOW_TO_STATE}"
    )
    return (Problem(what, tuple(sorted(guessed))),)


def _examples(found: Mapping[str, str]) -> str:
    """One example of a name and its group, as in "'P00_slice03' belongs to 'P00'"."""
    name = next(name for name, group in found.items() if name != group)
    return f"'{name}' belongs to '{found[name]}'"
