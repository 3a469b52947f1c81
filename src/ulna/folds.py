"""Folds: the cases in parts, by group, each of which is held out once. What a run of folds keeps of them."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.formats import atomic_write
from ulna.text import listed, plural

FILE = "folds.csv"
"""The table that makes a folder one of folds: a line per case, with its group and the fold that holds it out."""

COLUMNS = ("case", "group", "fold")


@dataclass(frozen=True)
class Folds:
    """Which fold holds out which case.

    Parameters
    ----------
    names, groups
        Of the cases, in the order of the data set.
    numbers
        The fold that holds each out, counted from 0.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    numbers: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many folds there are."""
        return max(self.numbers) + 1

    def places(self, fold: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The cases that a fold learns from, and those that it holds out, by their places.

        Parameters
        ----------
        fold
            Its number.

        Returns
        -------
        tuple of tuple of int
            Two lists, which together are all cases.
        """
        held_out = [number == fold for number in self.numbers]
        rest = tuple(place for place, out in enumerate(held_out) if not out)
        return rest, tuple(place for place, out in enumerate(held_out) if out)

    def check_same(self, cases: Sequence[Case], *, where: object) -> None:
        """Raise UlnaError unless these are the cases, in the groups, that were split.

        Parameters
        ----------
        cases
            Of the data set as it is now.
        where
            The run's folder.

        Raises
        ------
        UlnaError
            With the names of those that are new, missing or of another group.
        """
        before = dict(zip(self.names, self.groups, strict=True))
        now = {case.name: _group(case) for case in cases}
        changes = {
            "are missing": [name for name in before if name not in now],
            "are new": [name for name in now if name not in before],
            "are of another group": [name for name in before if now.get(name, before[name]) != before[name]],
        }
        found = [f"{len(names)} {what} ({listed(names)})" for what, names in changes.items() if names]
        if found:
            raise UlnaError(
                f"the data are not those that were split into these folds: of the cases {', '.join(found)}",
                where=where,
                hint="Put them back, or name another --out to train anew.",
            )


def split_into_folds(cases: Sequence[Case], count: int, seed: int) -> Folds:
    """Split cases into folds of about as many cases, whole groups at a time.

    The groups are taken from the largest to the smallest, those of one size in a random order, each into the fold that
    has the fewest cases so far.

    Parameters
    ----------
    cases
        Cases with their groups; one without a group is a group of its own.
    count
        How many folds.
    seed
        Of the order.

    Returns
    -------
    Folds
        Every fold holds out one group at least.

    Raises
    ------
    UlnaError
        For fewer than two folds, and for more folds than groups.

    Examples
    --------
    >>> cases = [Case(name, (), group=name[0]) for name in ("a1", "a2", "b1", "c1")]
    >>> folds = split_into_folds(cases, 2, seed=0)
    >>> folds.numbers
    (0, 0, 1, 1)
    """
    if count < 2:
        raise UlnaError(f"a cross-validation has two folds at least, not {count}", where="--folds")
    sizes = Counter(_group(case) for case in cases)
    if len(sizes) < count:
        what = f"{plural(len(cases), 'case')} in {plural(len(sizes), 'group')} cannot be split into {count} folds"
        hint = f"Write --folds {len(sizes)} at most: what belongs together stays in one fold."
        if len(sizes) < 2:
            hint = "At least two groups are needed: add images of other patients, samples or stacks."
        raise UlnaError(what, where="--folds", hint=hint)
    names = sorted(sizes)
    order = [names[place] for place in np.random.default_rng(seed).permutation(len(names))]
    filled = [0] * count
    fold_of: dict[str, int] = {}
    for name in sorted(order, key=lambda name: -sizes[name]):
        fold_of[name] = filled.index(min(filled))
        filled[fold_of[name]] += sizes[name]
    groups = tuple(_group(case) for case in cases)
    return Folds(tuple(case.name for case in cases), groups, tuple(fold_of[group] for group in groups))


def write_folds(run: Path, folds: Folds) -> None:
    """Write the table of a run of folds.

    Parameters
    ----------
    run
        Its folder.
    folds
        What is written.

    Raises
    ------
    UlnaError
        Where it cannot be written.
    """
    with (
        atomic_write(run / FILE) as beside,
        beside.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        csv.writer(file).writerows([COLUMNS, *zip(folds.names, folds.groups, folds.numbers, strict=True)])


def read_folds(run: Path) -> Folds:
    """The table of a run of folds.

    Parameters
    ----------
    run
        Its folder.

    Returns
    -------
    Folds
        As they were written.

    Raises
    ------
    UlnaError
        For a table that cannot be read or is none of folds.
    """
    path = run / FILE
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            head, *lines = csv.reader(file)
        if tuple(head) != COLUMNS:
            raise ValueError(f"its columns are {', '.join(head)}, not {', '.join(COLUMNS)}")
        names, groups, numbers = zip(*lines, strict=True)
        folds = Folds(names, groups, tuple(int(number) for number in numbers))
        if set(folds.numbers) != set(range(folds.count)):
            raise ValueError("a fold holds out nothing")
    except (OSError, ValueError, csv.Error) as error:
        reason = str(error).partition("\n")[0]
        raise UlnaError(f"this table of folds cannot be read: {reason}", where=path) from None
    return folds


def holds_folds(run: Path) -> bool:
    """Whether a folder is one of folds.

    Parameters
    ----------
    run
        Any path.

    Returns
    -------
    bool
        False also for what is not there.
    """
    return (run / FILE).is_file()


def fold_folder(run: Path, fold: int) -> Path:
    """The folder of one fold, which is a run like any other.

    Parameters
    ----------
    run
        That of all folds.
    fold
        Its number.

    Returns
    -------
    Path
        Within `run`.
    """
    return run / f"fold{fold}"


def fold_folders(run: Path) -> Iterator[Path]:
    """The folders of all folds, in order, whether they are there or not.

    Parameters
    ----------
    run
        That of all folds.

    Yields
    ------
    Path
        Within `run`.
    """
    for fold in range(read_folds(run).count):
        yield fold_folder(run, fold)


def _group(case: Case) -> str:
    return case.group or case.name
