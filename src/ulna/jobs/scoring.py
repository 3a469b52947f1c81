"""Score cases one by one; what is wrong with several of them is said at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ulna.dataset import Case, Progress
from ulna.errors import UlnaError
from ulna.grid import check_same_place
from ulna.image import Labels
from ulna.jobs.sides import Sides, true_labels
from ulna.metrics import Confusion, Scored, locate
from ulna.metrics.kept import KeptMasks
from ulna.text import size

_FAULTS = 20  # reported at once


def score_cases(cases: Sequence[Case], sides: Sides, *, kept: KeptMasks, progress: Progress) -> tuple[Scored, ...]:
    """Score every case and keep its mask; what is wrong with several is said at once."""
    scored: list[Scored] = []
    faults: list[UlnaError] = []
    axes, empty = list[int](), dict[int, Case]()
    for case in progress(cases, "scoring"):
        try:
            truth = true_labels(case, sides.truth, sides.placed)
            found = sides.predicted(case)
            _check_shape(case, found, truth)
            axis = sides.apart(found)
            one = _scored(case, found, truth, sides, apart=axis)
        except UlnaError as fault:
            faults.append(fault)
            if len(faults) == _FAULTS:
                break
            continue
        if axis is not None:
            axes.append(axis)
        elif found.objects is not None and found.objects.ndim == 3 and not found.objects.any():
            empty[len(scored)] = case
        scored.append(one)
        kept.keep(case.name, found.to_array())
    for place, case in empty.items() if axes and not faults else ():  # by planes, as the others
        truth = true_labels(case, sides.truth)
        nothing = np.zeros_like(truth.classes)
        found = Labels(nothing, nothing.astype(np.int32), truth.grid, truth.names)
        scored[place] = _scored(case, found, truth, sides, apart=axes[0])
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise UlnaError(f"{len(faults)} masks cannot be scored:\n" + "\n".join(str(fault) for fault in faults))
    return tuple(scored)


def _scored(case: Case, found: Labels, truth: Labels, sides: Sides, *, apart: int | None = None) -> Scored:
    """The scores of a case; `apart` is the axis along which objects are those of single planes, where it is known."""
    rows = sides.task.evaluate(found, truth, apart=apart)
    errors = locate(found.classes[None], truth.classes[None])
    confusion = Confusion.of(found, truth, len(sides.names), apart=apart)
    return Scored.of(rows, name=case.name, group=case.group or case.name, errors=errors, confusion=confusion)


def in_order(scored: Sequence[Scored], cases: Sequence[Case]) -> tuple[Scored, ...]:
    """In the order of the cases, whatever the order in which they were scored."""
    places = {case.name: place for place, case in enumerate(cases)}
    return tuple(sorted(scored, key=lambda one: places[one.name]))


def short_of_time(scored: Sequence[Scored], cases: Sequence[Case]) -> tuple[str, ...]:
    """What is to be said where the time was over before all cases were scored."""
    if len(scored) == len(cases):
        return ()
    return (
        f"Only {len(scored)} of {len(cases)} cases, evenly spread, were scored, for the time was over: "
        "'ulna evaluate' scores all.",
    )


def _check_shape(case: Case, found: Labels, truth: Labels) -> None:
    if found.classes.shape != truth.classes.shape:
        sizes = [size(labels.classes.shape) for labels in (found, truth)]
        raise UlnaError(
            f"the mask is {sizes[0]} pixels, the truth {sizes[1]}",
            where=case.name,
            hint="Scores are taken at the image's own resolution: scale the masks back to its size.",
        )
    check_same_place(case.name, [("the mask", found.grid), ("the truth", truth.grid)])
