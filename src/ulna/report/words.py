"""Values of records as the report writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ulna.runfiles import as_list, inner
from ulna.text import plural


def in_words(value: Any) -> str:
    """Any JSON value on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {in_words(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        shown = ", ".join(in_words(item) for item in value[:12])
        return f"{shown} and {len(value) - 12} more" if len(value) > 12 else shown
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def facts(record: dict[str, Any], *, leave: Iterable[str]) -> list[tuple[str, str]]:
    """Names and values of a record, as two columns."""
    left = set(leave)
    shown = [(name.replace("_", " "), in_words(value)) for name, value in record.items() if name not in left]
    return [(name, value) for name, value in shown if value]


def number(value: Any) -> str:
    """A score with three digits, or a dash."""
    return f"{value:.3f}" if isinstance(value, int | float) else "–"


def counted(count: Any, noun: str, nouns: str = "") -> str:
    """A number with its noun; the record may lack it."""
    return plural(count, noun, nouns) if isinstance(count, int) else f"? {nouns or noun + 's'}"


def interval(part: dict[str, Any], name: str = "mean") -> str:
    """The confidence interval of an estimate; where groups are too few for one, what each group says."""
    ends = [end for end in as_list(part.get(f"{name}_interval")) if isinstance(end, int | float)]
    if len(ends) == 2:
        return f"{number(ends[0])}–{number(ends[1])}"
    alone = inner(part, f"{name}_of_groups")
    return " · ".join(number(value) for value in alone.values()) if len(alone) > 1 else ""


def short(cell: str) -> str:
    """A cell of a table: numbers with fractions to three digits."""
    value = as_float(cell)
    return f"{value:.3f}" if "." in cell and math.isfinite(value) else cell


def as_float(cell: str) -> float:
    """A cell as a number; NaN where it is none."""
    try:
        return float(cell)
    except ValueError:
        return math.nan
