"""`split`: a list of cases to train on and one to test with; what belongs together stays on one side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from ulna.caselist import Names, write_names
from ulna.config import Config
from ulna.console import Printed
from ulna.dataset import Case, Progress, quiet, split_by_group
from ulna.errors import UlnaError
from ulna.jobs.check import Check, check
from ulna.paths import expand_home
from ulna.text import plural

FILES = ("train.txt", "test.txt")
SHARE = 0.1  # of the cases for the test, where none is named and the data come without a split


@dataclass(frozen=True)
class Split(Printed):
    """The cases on either side; it prints itself.

    Parameters
    ----------
    train, test
        The cases on either side.
    folder
        The folder that holds their lists.
    sentence
        What became of a ready-made split; "" where there is none.
    """

    train: tuple[Case, ...]
    test: tuple[Case, ...]
    folder: Path
    sentence: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Numbers of cases and groups on each side.

        Returns
        -------
        dict
            By "train" and "test".
        """
        return {
            name: {"cases": len(side), "groups": _groups(side)}
            for name, side in (("train", self.train), ("test", self.test))
        }

    def __repr__(self) -> str:
        return f"<Split: {plural(len(self.train), 'case')} to train, {len(self.test)} to test; {self.folder}>"

    def __rich__(self) -> Group:
        """A table with a row per side, and where the lists are."""
        table = Table(box=None, pad_edge=False)
        for heading in ("", "cases", "groups"):
            table.add_column(heading, justify="right" if heading else "left")
        for name, side in (("train", self.train), ("test", self.test)):
            table.add_row(name, str(len(side)), str(_groups(side)))
        lists = " and ".join(str(self.folder / name) for name in FILES)
        return Group(table, *([self.sentence] if self.sentence else []), f"Written: {escape(lists)}")


@expand_home
def split(
    data: str | Path,
    *,
    test: float | None = None,
    out: str | Path,
    cases: Names | None = None,
    except_: Names | None = None,
    seed: int = 0,
    config: str | Path | Config | None = None,
    changes: dict[str, Any] | None = None,
    progress: Progress = quiet,
) -> Split:
    """Write `train.txt` and `test.txt`, one case name per line; groups stay together.

    Patients, stacks, duplicates and tiles of one picture are groups (see `check`).

    Parameters
    ----------
    data
        A folder, archive or file of any known layout.
    test
        The share of the cases to hold out for the test, which whole groups come as close to as they can. By default a
        ready-made split of the data (folders named train and test) is written down as it is, or a tenth is held out.
    out
        The folder for the two lists.
    cases, except_
        Names of the cases to use, and of those to leave out, or text files with one per line; see `ulna.caselist`.
    seed
        The same seed gives the same split.
    config, changes
        Settings, as for `check`.
    progress
        Goes through the cases and shows how far it is.

    Returns
    -------
    Split
        The cases on either side.

    Raises
    ------
    UlnaError
        For a share that is not between 0 and 1, for data that cannot be used or have one group only, and where `out`
        holds such lists already.

    Examples
    --------
    >>> sides = ulna.split("cells", test=0.25, out="lists")
    >>> sides.as_dict()["test"]["cases"]
    2
    """
    if test is not None and not 0 < test < 1:
        raise UlnaError(f"the share for the test must lie between 0 and 1, not be {test:g}", where="--test")
    folder = Path(out)
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise UlnaError(f"there is a {there[0]} already", where=folder, hint="Name another folder, or remove it.")
    found = check(data, cases=cases, except_=except_, config=config, changes=changes, progress=progress)
    _stop_if_fatal(found, data)
    rest, kept, sentence = _sides(found.dataset.cases, test, seed)
    for name, side in zip(FILES, (rest, kept), strict=True):
        write_names(folder / name, side)
    return Split(rest, kept, folder, sentence)


def _sides(cases: tuple[Case, ...], test: float | None, seed: int) -> tuple[tuple[Case, ...], tuple[Case, ...], str]:
    """Cases to train on, cases to test with, and how they were told apart where the data come with a split."""
    ready = tuple(case for case in cases if case.part == "test")
    if ready and test is None:
        rest = tuple(case for case in cases if case.part != "test")
        return rest, ready, "These are the parts of the ready-made split; --test SHARE makes another."
    sentence = "The ready-made split of the data was set aside, as a share was named." if ready else ""
    return *split_by_group(cases, SHARE if test is None else test, seed), sentence


def _stop_if_fatal(found: Check, data: str | Path) -> None:
    wrong = [problem.what for problem in found.problems if problem.severity == "fatal"]
    if wrong:
        raise UlnaError("\n".join(wrong), where=data, hint="'ulna check' lists all that was found.")


def _groups(cases: Sequence[Case]) -> int:
    return len({case.group for case in cases})
