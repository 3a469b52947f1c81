"""A `Dataset` that a user's own code has made, where no layout of files says what the cases are."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ulna.dataset import Case, Dataset
from ulna.errors import UlnaError
from ulna.image import Source
from ulna.layouts.patterns import Patterns
from ulna.layouts.selection import problems_of, selected
from ulna.text import listed


def as_given(found: Dataset, patterns: Patterns) -> Dataset:
    """The data set, checked, with what the settings state of files that do not say it themselves.

    Parameters
    ----------
    found
        Cases with unique names, each with at least one image.
    patterns
        What is stated of files: their axes, spacing, unit, what NaN is read as, which scene and time point are read. A
        source that has one keeps it.

    Returns
    -------
    Dataset
        The same cases.

    Raises
    ------
    UlnaError
        Where two cases have one name, a case has no image, and where settings say which files are images or masks.

    Examples
    --------
    >>> from pathlib import Path
    >>> one = Case("a", (Source(Path("a.tif")),), (Source(Path("a_mask.tif")),))
    >>> as_given(Dataset((one,), ""), Patterns(axes="CYX")).cases[0].images[0].axes
    'CYX'
    """
    if patterns or patterns.labels:
        hint = "Leave data.images, data.masks and data.labels away, or give the path of the data."
        raise UlnaError("this data set says itself which files are images and masks", where="data", hint=hint)
    twice = [name for name, count in Counter(case.name for case in found.cases).items() if count > 1]
    if twice:
        what = f"two cases of this data set have one name: {listed(twice, quoted=True)}"
        raise UlnaError(what, where="data", hint="Give each case a name of its own.")
    without = [case.name for case in found.cases if not case.images]
    if without:
        what = f"a case of this data set has no image: {listed(without, quoted=True)}"
        raise UlnaError(what, where="data", hint="Give each case a tuple of sources: images=(Source(path),).")
    cases, said = [], []
    for case in (_stated(case, patterns) for case in found.cases):
        chosen = selected(case.images, (*case.truth, *case.markers))
        masks = chosen.masks[: len(case.truth)], chosen.masks[len(case.truth) :]
        cases.append(replace(case, images=chosen.images, truth=masks[0], markers=masks[1]))
        if chosen.said:
            said.append((chosen.said, list(map(str, case.truth))))
    return replace(found, cases=tuple(cases), problems=(*found.problems, *problems_of(said)))


def _stated(case: Case, patterns: Patterns) -> Case:
    def sources(own: tuple[Source, ...]) -> tuple[Source, ...]:
        return tuple(
            replace(
                source,
                axes=source.axes or patterns.axes,
                spacing=source.spacing or patterns.spacing,
                unit=source.unit if source.spacing else patterns.unit,
                missing=patterns.missing if source.missing is None else source.missing,
                scene=patterns.scene if source.scene is None else source.scene,
                at=patterns.time if source.frame is None else None,
            )
            for source in own
        )

    return replace(case, images=sources(case.images), truth=sources(case.truth), markers=sources(case.markers))
