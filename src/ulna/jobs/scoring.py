"""Score cases one by one; what is wrong with several of them is said at once."""

from __future__ import annotations

from collections.abc import Sequence

from ulna.dataset import Case, Progress
from ulna.errors import UlnaError
from ulna.image import Array
from ulna.jobs.sides import Sides, true_indices
from ulna.metrics import Scored, locate
from ulna.metrics.kept import KeptMasks

_FAULTS = 20  # reported at once


def score_cases(cases: Sequence[Case], sides: Sides, *, kept: KeptMasks, progress: Progress) -> tuple[Scored, ...]:
    """Score every case and keep its mask; what is wrong with several is said at once."""
    scored: list[Scored] = []
    faults: list[UlnaError] = []
    for case in progress(cases, "scoring"):
        try:
            truth = true_indices(case, sides.truth)
            mask = sides.predicted(case)
            _check_shape(case, mask, truth)
            rows = sides.measure(mask, truth)
        except UlnaError as fault:
            faults.append(fault)
            if len(faults) == _FAULTS:
                break
            continue
        group = case.group or case.name
        scored.append(Scored.of(rows, name=case.name, group=group, errors=locate(mask, truth)))
        kept.keep(case.name, mask)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise UlnaError(f"{len(faults)} masks cannot be scored:\n" + "\n".join(str(fault) for fault in faults))
    return tuple(scored)


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


def _check_shape(case: Case, mask: Array, truth: Array) -> None:
    if mask.shape != truth.shape:
        sizes = [" × ".join(str(n) for n in array.shape[1:]) for array in (mask, truth)]
        raise UlnaError(
            f"the mask is {sizes[0]} pixels, the truth {sizes[1]}",
            where=case.name,
            hint="Scores are taken at the image's own resolution: scale the masks back to its size.",
        )
