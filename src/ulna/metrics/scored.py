"""`Scored`: one case, with the rows that its scores are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ulna.metrics.confused import NOT_CONFUSED, Confusion
from ulna.metrics.errors import NONE_WRONG, Errors
from ulna.metrics.rows import ALL_CLASSES, MEANS, Row, State, of_case


@dataclass(frozen=True)
class Scored:
    """One case that was scored.

    Parameters
    ----------
    name, group
        Of the case.
    rows
        Its rows of the long table.
    errors
        Where its wrong pixels lie.
    confusion
        Which classes were taken for which.
    """

    name: str
    group: str
    rows: tuple[Row, ...]
    errors: Errors = NONE_WRONG
    confusion: Confusion = NOT_CONFUSED

    @classmethod
    def of(
        cls,
        rows: Iterable[Row],
        *,
        name: str,
        group: str,
        errors: Errors = NONE_WRONG,
        confusion: Confusion = NOT_CONFUSED,
    ) -> Scored:
        """From rows without a case, as a task or `measure` gives them.

        Parameters
        ----------
        rows
            Rows without a case, as a task or `measure` gives them.
        name, group
            Of the case.
        errors
            Where its wrong pixels lie.
        confusion
            Which classes were taken for which.

        Returns
        -------
        Scored
            Its rows have the name and the group of the case.
        """
        return cls(name, group, of_case(rows, case=name, group=group), errors, confusion)

    @cached_property
    def _found(self) -> dict[tuple[str, str], Row]:
        return {(row.subject, row.measure): row for row in self.rows}

    @property
    def states(self) -> dict[str, State]:
        """The state of each class."""
        return {row.subject: row.state for row in self.rows if row.subject != ALL_CLASSES}

    def row(self, subject: str, measure: str) -> Row | None:
        """The row of one subject and measure.

        Parameters
        ----------
        subject
            The name of a class, or `ALL_CLASSES`.
        measure
            The key of the measure.

        Returns
        -------
        Row or None
            None where there is none.
        """
        return self._found.get((subject, measure))

    def score(self, measure: str) -> float:
        """A score of the whole case.

        Parameters
        ----------
        measure
            The key of the measure.

        Returns
        -------
        float
            The case's own row, or the mean over the classes that have one; NaN where none has.
        """
        if own := self.row(ALL_CLASSES, measure):
            return own.value
        parts = MEANS.get(measure, (measure,))
        values = [row.value for row in self.rows if row.measure in parts]
        known = [value for value in values if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan

    @property
    def dice(self) -> float:
        """The mean Dice over the classes that have one."""
        return self.score("dice")
