"""The long table of scores as people open it: a row per case and class, a column per measure."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path

from ulna.metrics.rows import ALL_CLASSES, Row

Cell = str | float
COLUMNS = ("case", "group", "class", "state")
"""The first columns; the measures follow."""


def columns(rows: Iterable[Row]) -> dict[str, list[Cell]]:
    """The rows as a wide table: a line per case and class, a column per measure, as lists of one length.

    Rows about all classes together are left out: they follow from the others or are in the summary. A measure that
    a class does not have is NaN. Counts are whole numbers.

    Parameters
    ----------
    rows
        Rows of the long table.

    Returns
    -------
    dict
        Lists of one length by the names of the columns.

    Examples
    --------
    >>> columns([Row("cell", "dice", 6, 8, case="a"), Row("cell", "tp", 3, unit="pixels", case="a")])
    {'case': ['a'], 'group': [''], 'class': ['cell'], 'state': ['scored'], 'dice': [0.75], 'tp': [3]}
    """
    lines: dict[tuple[str, str], dict[str, Cell]] = {}
    for row in rows:
        if row.subject == ALL_CLASSES:
            continue
        first = (row.case, row.group, row.subject, row.state)
        line = lines.setdefault((row.case, row.subject), dict(zip(COLUMNS, first, strict=True)))
        line[row.measure] = int(row.value) if row.counted else row.value
    names = dict.fromkeys([*COLUMNS, *(name for line in lines.values() for name in line)])
    return {name: [line.get(name, math.nan) for line in lines.values()] for name in names}


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write `columns` as a CSV file.

    Parameters
    ----------
    path
        Where to.
    rows
        Rows of the long table; a score that does not exist becomes an empty cell.
    """
    table = columns(rows)
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows([_cell(value) for value in line] for line in zip(*table.values(), strict=True))


def _cell(value: Cell) -> Cell:
    return "" if isinstance(value, float) and math.isnan(value) else value
