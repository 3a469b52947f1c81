"""Which cases are pictured, and what is written above them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ulna.dataset import Case, load_image
from ulna.figures.orthogonal import Orthogonal
from ulna.figures.results import Comparison
from ulna.image import Array
from ulna.jobs.sides import true_labels
from ulna.labels.classes import Classes
from ulna.metrics import Primary, Scored, label


def examples(scored: Sequence[Scored], primary: Primary) -> list[tuple[str, str]]:
    """Titles and names of the worst, median and best cases by a measure; two of each where there are many."""
    measure = primary.measure
    values = {one.name: one.score(measure) for one in scored}
    known = [one for one in scored if not math.isnan(values[one.name])]
    ranked = sorted(known, key=lambda one: primary.rank(values[one.name]))
    if not ranked:
        return [(f"{one.name}: empty, predicted empty", one.name) for one in scored[:1]]
    last, middle = len(ranked) - 1, (len(ranked) - 1) // 2
    places = {0: "worst", last: "best", middle: "median"} if last > 1 else {0: "worst", last: "best"}
    if last == 0:
        places = {0: "the only case with a score"} if len(scored) > 1 else {0: "the only case"}
    if last >= 11:
        places |= {1: "second worst", middle + 1: "next to the median", last - 1: "second best"}
    chosen = [(place, ranked[place]) for place in sorted(places)]
    return [(f"{places[place]}: {_title(one, measure, values[one.name])}", one.name) for place, one in chosen]


def _title(case: Scored, measure: str, value: float) -> str:
    """Name and score of a case, and which of its classes are false positives or missed."""
    odd = [f"{name}: {state}" for name, state in case.states.items() if state in ("false positive", "missed")]
    return f"{case.name} — {label(measure)} {value:.3f}" + (f" ({', '.join(odd)})" if odd else "")


def comparison(case: Case, title: str, mask: Array, classes: Classes) -> Comparison | Orthogonal:
    """A row of the picture; its image and its truth are read again. Of a volume no more is kept than is drawn."""
    image = load_image(case) if case.images else None
    truth = true_labels(case, classes)
    grid = truth.grid if image is None else image.grid
    row = Comparison(title, None if image is None else image.array, truth.to_array(), mask, grid)
    return row.reduced(classes.names)
