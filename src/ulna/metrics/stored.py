"""Scores of cases as a file, from which tables of several evaluations are put together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ulna.errors import UlnaError
from ulna.formats import atomic_write
from ulna.metrics.confused import Confusion
from ulna.metrics.errors import Errors
from ulna.metrics.rows import Row
from ulna.metrics.scored import Scored

_ROW = ("subject", "measure", "numerator", "denominator", "unit", "state")


def write_scored(path: Path, cases: Sequence[Scored]) -> None:
    """Write the rows of cases, with all that `read_scored` needs.

    Parameters
    ----------
    path
        A JSON file.
    cases
        What was scored.

    Raises
    ------
    UlnaError
        Where it cannot be written.
    """
    words = [
        {
            "name": case.name,
            "group": case.group,
            "rows": [[getattr(row, name) for name in _ROW] for row in case.rows],
            "errors": asdict(case.errors),
            "confusion": asdict(case.confusion),
        }
        for case in cases
    ]
    with atomic_write(path) as beside:
        text = json.dumps(words, default=lambda number: number.item())  # of numpy
        beside.write_text(text, encoding="utf-8")


def read_scored(path: Path) -> tuple[Scored, ...]:
    """What `write_scored` wrote.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    tuple of Scored
        The cases, in their order.

    Raises
    ------
    UlnaError
        For a file that cannot be read or is none of scores.
    """
    try:
        return tuple(
            Scored.of(
                [Row(**dict(zip(_ROW, row, strict=True))) for row in one["rows"]],
                name=one["name"],
                group=one["group"],
                errors=Errors(**one["errors"]),
                confusion=Confusion.from_json(one["confusion"]),
            )
            for one in json.loads(path.read_text("utf-8"))
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise UlnaError(f"these scores cannot be read: {reason}", where=path) from None
