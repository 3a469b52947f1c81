"""What an evaluation found: the scores of all cases, their summary, and a table of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from ulna.console import Printed
from ulna.errors import UlnaError
from ulna.metrics import Interval, Row, Scored, Summary, label
from ulna.metrics.confused import NOT_CONFUSED
from ulna.metrics.objects import TRUE_FATES, counted, sentence
from ulna.metrics.rows import DETAILS, MEANS
from ulna.metrics.summary import ClassSummary
from ulna.metrics.table import Cell, columns
from ulna.text import plural

#: The files that an evaluation writes, all of them into one folder; the last one is a folder of pictures.
FILES = ("scores.csv", "metrics.json", "cases.png", "gallery")
_COLUMNS = 5  # measures that a terminal of 80 columns holds


@dataclass(frozen=True, repr=False)
class Evaluation(Printed):
    """The scores of an evaluation; it prints itself.

    Parameters
    ----------
    cases
        Per case its group, its rows of the long table of scores, and where its wrong pixels lie.
    summary
        Means, medians and pooled scores with their confidence intervals, for all classes and for each.
    classes
        Names of the classes, the background first.
    notes
        What is to be known about how the scores were obtained.
    folder
        Where `scores.csv`, `metrics.json`, `cases.png` and the folder `gallery` are.
    """

    cases: tuple[Scored, ...]
    summary: Summary
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    folder: Path

    @property
    def rows(self) -> tuple[Row, ...]:
        """The long table: a row per case, class and measure."""
        return tuple(row for case in self.cases for row in case.rows)

    def columns(self) -> dict[str, list[Cell]]:
        """The table of `scores.csv`: a line per case and class.

        Returns
        -------
        dict
            Lists of one length by the names of the columns; NaN for no score.
        """
        return columns(self.rows)

    def to_pandas(self) -> Any:
        """The table of `scores.csv` as a `pandas.DataFrame`.

        Returns
        -------
        DataFrame
            A line per case and class.

        Raises
        ------
        UlnaError
            Where pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise UlnaError("pandas is not installed", hint="pip install pandas, or use .columns()") from error
        return pandas.DataFrame(self.columns())

    def as_json(self) -> dict[str, Any]:
        """The content of `metrics.json`.

        Returns
        -------
        dict
            None stands for a number that does not exist.
        """
        first = {"classes": list(self.classes), "notes": list(self.notes), "left_out": self.summary.left_out()}
        confusion = sum((case.confusion for case in self.cases), NOT_CONFUSED).as_json(self.classes)
        groups: dict[str, list[Row]] = {}
        for case in self.cases:
            groups.setdefault(case.group, []).extend(case.rows)
        by_group = {group: counted(rows) for group, rows in groups.items()}
        objects = {"counts": counted(self.rows), "sentences": self._objects(), "by_group": by_group}
        last = {"confusion": confusion} if confusion else {}
        return first | self.summary.as_json() | ({"objects": objects} if objects["counts"] else {}) | last

    def _objects(self) -> list[str]:
        """What became of the objects, and AP at each threshold, of the objects of all images together."""
        scores = self.summary.overall.scores
        pooled = [scores[name].pooled.estimate for name in MEANS["ap"] if name in scores]
        if not pooled:
            return []
        values = " ".join("–" if math.isnan(value) else f"{value:.3f}" for value in pooled)
        lines = [sentence(self.rows), f"AP with all objects together, at IoU .50 .55 … .90: {values}"]
        fates = {fate: scores[fate].pooled for fate in (*TRUE_FATES, "false positive") if fate in scores}
        if fates and not any(one.reason for one in fates.values()):
            shares = ", ".join(f"{fate} {share}" for fate, share in fates.items())
            lines.append(f"Shares with 95 % intervals over groups: {shares} (of the predicted ones)")
        return lines

    def __repr__(self) -> str:
        summary = self.summary
        spread = summary.overall.scores.get(summary.primary)
        score = f", {label(summary.primary)} {spread.mean}" if spread else ""
        return f"<Evaluation: {_counted(summary)}{score}; {self.folder}>"

    def __rich__(self) -> Group:
        """A table for the terminal: a line per class, means with their intervals; below it what was left out."""
        summary = self.summary
        wrong = [summary.errors.sentence()] if summary.errors.total else []
        written = f"written to {self.folder}: {', '.join(FILES)}"
        lines = [*_pooled(summary), *self._objects(), *wrong, *self.notes, *summary.left_out(), written]
        return Group(_table(summary), *(escape(line) for line in lines))


def _table(summary: Summary) -> Table:
    # without lines, and only names give way: the numbers must be whole on a terminal of 80 columns
    title = f"Means over {_counted(summary)}"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("class", overflow="fold")
    first, *others = [name for name in summary.measures if name not in DETAILS][:_COLUMNS] or ["dice"]
    table.add_column(f"{label(first)} (95 % interval)", no_wrap=True)
    for head in ("median", *(escape(summary.titled(name)) for name in others), "images"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in summary.classes if len(summary.classes) == 1 else (summary.overall, *summary.classes):
        table.add_row(escape(one.name), *_cells(one, first, others))
    return table


def _cells(one: ClassSummary, first: str, others: Sequence[str]) -> list[str]:
    spread = one.scores.get(first)
    means = [_shown(one.scores[name].mean) if name in one.scores else "–" for name in others]
    if spread is None:
        return ["–", "–", *means, "0"]
    return [str(spread.mean), _shown(spread.median), *means, str(spread.mean.cases)]


def _pooled(summary: Summary) -> list[str]:
    """The first score with everything together, and by group, where these say something of their own."""
    spread = summary.overall.scores.get(summary.primary)
    if spread is None or spread.mean.cases < 2:
        return []
    name, counts = label(summary.primary), summary.judged_by.counts
    lines = [f"{name} with the {counts} of all images together (pooled): {spread.pooled}"]
    if summary.joined:
        lines.append(f"{name} with all {counts} of a group together, mean over groups: {summary.by_group}")
    return lines


def _counted(summary: Summary) -> str:
    return f"{plural(summary.cases, 'image')} in {plural(summary.groups, 'group')}"


def _shown(interval: Interval) -> str:
    return f"{interval.estimate:.3f}" if interval.cases else "–"
