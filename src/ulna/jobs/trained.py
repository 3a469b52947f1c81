"""What a training gave: the record that `train` returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape

from ulna import modelfile
from ulna.console import Printed
from ulna.jobs.evaluation import Evaluation
from ulna.model import Model
from ulna.text import clock as as_clock
from ulna.text import plural


@dataclass(frozen=True)
class Fold:
    """What one fold of a cross-validation gave.

    Parameters
    ----------
    number
        Of the fold, counted from 0.
    run
        Its folder.
    cases, groups
        How many it held out and scored.
    measure
        What is measured, in words.
    score
        The mean over its cases.
    seconds
        How long it took.
    """

    number: int
    run: Path
    cases: int
    groups: int
    measure: str
    score: float
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """What the record of the run says of it.

        Returns
        -------
        dict
            Plain numbers; the folder by its name.
        """
        score = self.score if math.isfinite(self.score) else None
        return {
            "number": self.number,
            "name": self.run.name,
            "cases": self.cases,
            "groups": self.groups,
            "measure": self.measure,
            "score": score,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        """One line."""
        counted = f"{plural(self.cases, 'image')} in {plural(self.groups, 'group')}"
        return f"fold {self.number}: {self.measure} {self.score:.3f} ({counted}), {as_clock(self.seconds)}: {self.run}"


@dataclass(frozen=True)
class Trained(Printed):
    """What a training gave; it prints itself.

    Parameters
    ----------
    run
        The run's folder.
    model
        The trained model.
    scores
        Of the cases that were held out; None where none were.
    seconds
        How long it took.
    report
        The HTML page.
    short
        Says whether a longer training is likely to do better; "" if not.
    chose
        Says what the cases that were scored had a say in; "" if in nothing.
    folds
        Of a cross-validation what each fold gave.
    whole
        Of one fold that was the last to finish: what all folds together gave.
    """

    run: Path
    model: Model
    scores: Evaluation | None
    seconds: float
    report: Path
    short: str = ""
    chose: str = ""
    folds: tuple[Fold, ...] = ()
    whole: Trained | None = None

    def __repr__(self) -> str:
        return f"<Trained: {self.run}, {as_clock(self.seconds)}; {self.scores!r}>"

    def __rich__(self) -> Group:
        """The scores, and where to look."""
        lines: list[Any] = [self.scores] if self.scores else ["No case was held out, so there are no scores."]
        lines += [escape(str(fold)) for fold in self.folds]
        if self.scores and self.chose:
            lines.append(escape(self.chose))
        if self.short:
            lines.append(f"[yellow]{escape(self.short)}[/]")
        model = self.run if self.folds else self.run / modelfile.NAME
        lines.append(f"Trained in {as_clock(self.seconds)}: {escape(str(model))}")
        link = self.report.resolve().as_uri()
        lines.append(f"Report: [link={link}]{link}[/link]")
        return Group(*lines, *([self.whole] if self.whole else ()))
