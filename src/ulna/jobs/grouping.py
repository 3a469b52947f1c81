"""Which cases belong together, by what is stated, by names and by pixels: read, reported and shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from ulna.caselist import Names, choose
from ulna.dataset import Case, Dataset, Problem, Progress, load_image
from ulna.figures.contact import Couple, couples_picture
from ulna.groups import HOW_TO_STATE, decide
from ulna.leaks import ADJACENT, DUPLICATE, NEAR_DUPLICATE, OVERLAP, Fingerprint, Leaks, fingerprint_of, unite
from ulna.text import listed, plural

SHOWN = 8
"""Groups in the table of the terminal; `check.json` has all."""


STRENGTHS = {
    DUPLICATE: "correlation",
    NEAR_DUPLICATE: "correlation",
    OVERLAP: "shared patches",
    ADJACENT: "clearness",
}
"""What the strength of a pair of each kind is."""

PICTURED = 24
"""Pairs at most in the picture of what was joined."""


def with_groups(
    dataset: Dataset, stated: str, cases: Names | None = None, except_: Names | None = None
) -> tuple[Dataset, str]:
    """The cases that are chosen, each in its group by statement, layout or name; and how these were decided.

    Groups are decided with all cases at hand, so that `cases` may name them; what is stated must name a group for
    those that are chosen. Raises UlnaError as `ulna.caselist.choose` and `ulna.groups.decide` do.
    """
    decided = decide(dataset.cases, stated, complete=False)
    chosen = choose(_in(dataset, decided.groups), cases, except_)
    if stated:
        decided = decide(chosen.cases, stated)
        chosen = _in(chosen, decided.groups)
    return replace(chosen, problems=(*chosen.problems, *decided.problems)), decided.how


def _in(dataset: Dataset, groups: Sequence[str]) -> Dataset:
    pairs = zip(dataset.cases, groups, strict=True)
    return replace(dataset, cases=tuple(replace(case, group=group) for case, group in pairs))


def fingerprints(cases: Sequence[Case], progress: Progress) -> list[Fingerprint]:
    """What is needed of the image of each case to compare it with others; each image is read once."""
    return [fingerprint_of(load_image(case)) for case in progress(cases, "Looking for leaks")]


def joined_by(cases: Sequence[Case], leaks: Leaks) -> tuple[Case, ...]:
    """The cases with groups that are united by leaks."""
    groups = unite([case.group or case.name for case in cases], leaks)
    return tuple(replace(case, group=group) for case, group in zip(cases, groups, strict=True))


def leak_problems(cases: Sequence[Case], leaks: Leaks, how: str) -> list[Problem]:
    """What is to be said of the groups that pixels join, and of one group alone.

    `cases` are in their final groups, in the order of `leaks`; `how` says how groups were decided without pixels.
    """
    found = []
    if leaks.joined:
        members = sum(len(group) for group in leaks.joined)
        kinds = Counter(pair.kind for pair in leaks.pairs)
        counts = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        over_stated = " also where other groups were stated," if how.startswith("stated") else ""
        what = (
            f"{members} cases are near-duplicates or overlapping tiles (data leakage) and were joined to "
            f"{plural(len(leaks.joined), 'group')},{over_stated} each of which stays on one side of every split "
            f"({counts})"
        )
        where = tuple(" = ".join(leaks.names[member] for member in group) for group in leaks.joined)
        largest = max(len(group) for group in leaks.joined)
        much = len(cases) > 2 and 2 * largest > len(cases)
        if much:
            what += (
                f". One of these groups has {largest} of {len(cases)} cases: where the images have a frame or a "
                "background in common but show different things, this is a mistake; 'ulna check --out FOLDER' writes "
                "joined.png, which shows what was joined, and data.leaks=false joins nothing"
            )
        found.append(Problem(what, where, "warning" if much else "note"))
    if len(cases) > 1 and len({case.group for case in cases}) == 1:
        what = (
            "all cases belong to one group, so validation by group is not possible: cases will be held out "
            f"in blocks of neighbors, and such scores are optimistically biased. {HOW_TO_STATE}"
        )
        found.append(Problem(what, (cases[0].group,)))
    return found


def table_of_groups(cases: Sequence[Case]) -> Table | None:
    """The largest groups with the number of their cases and examples; None where each case is its own."""
    members: dict[str, list[str]] = {}
    for case in cases:
        members.setdefault(case.group, []).append(case.name)
    joined = [group for group in members if len(members[group]) > 1]
    if not joined:
        return None
    table = Table(box=None, pad_edge=False)
    for heading in ("group", "cases", "examples"):
        table.add_column(heading, justify="right" if heading == "cases" else "left", overflow="fold")
    joined.sort(key=lambda group: -len(members[group]))
    for group in joined[:SHOWN]:
        table.add_row(escape(group), str(len(members[group])), escape(listed(members[group])))
    rest = [len(members[group]) for group in joined[SHOWN:]]
    single = len(members) - len(joined)
    if rest:
        table.add_row(f"{len(rest)} more", str(sum(rest)), "")
    if single:
        table.add_row("one case each", str(single), "")
    return table


def joined_picture(path: Path, cases: Sequence[Case], leaks: Leaks) -> None:
    """Write a picture of the pairs that pixels join, the least clear of each kind first; `cases` as in `leaks`."""
    pairs = sorted(leaks.pairs, key=lambda pair: pair.strength)
    by_kind = [[pair for pair in pairs if pair.kind == kind] for kind in dict.fromkeys(pair.kind for pair in pairs)]
    share = PICTURED // len(by_kind)
    couples = [
        Couple(
            f"{pair.kind} ({STRENGTHS[pair.kind]} {pair.strength:.3g})",
            (cases[pair.first].name, cases[pair.second].name),
            (load_image(cases[pair.first]).array, load_image(cases[pair.second]).array),
        )
        for of_kind in by_kind
        for pair in of_kind[:share]
    ]
    couples_picture(path, couples)
