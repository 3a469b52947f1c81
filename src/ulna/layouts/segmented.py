"""DICOM series with DICOM segmentations, joined by what these refer to and not by their names."""

from __future__ import annotations

from dataclasses import replace

from ulna.dataset import Dataset, Problem
from ulna.errors import UlnaError
from ulna.image import Source
from ulna.layouts.build import CaseDraft, make_cases
from ulna.layouts.listing import Entry, Listing
from ulna.layouts.series import referring, segments
from ulna.text import listed, plural

EXAMPLE = "DICOM series and segmentations that refer to them, in any folders:  p1/ct/1.dcm  p1/seg.dcm"


def read(listing: Listing) -> Dataset | None:
    """The data set, where a segmentation refers to a series that is there.

    Raises UlnaError where one number is another segment in another file.
    """
    masks = referring(listing.images)
    if not masks:
        return None
    of = {entry.source: entry for entry in listing.images}
    drafts = [CaseDraft((of[series],), (Entry(of[series].folders, found[0]),)) for series, found in masks.items()]
    values = _values([found[0] for found in masks.values()])
    cases, problems = make_cases(drafts)
    if values:
        cases = tuple(replace(case, values=values) for case in cases)
    several = tuple(str(mask.parts[0]) for found in masks.values() for mask in found[1:])
    more: tuple[Problem, ...] = ()
    if several:
        what = f"{plural(len(several), 'further segmentation')} of a series not used: the first is"
        more = (Problem(what, several),)
    sentence = plural(len(cases), "DICOM series with its segmentation", "DICOM series with their segmentations")
    if values:
        names = [f"{number} is '{name}'" for name, number in values[1:]]
        sentence += f"; their headers say that {listed(names, 8)}"
    return Dataset(cases, sentence, (*problems, *more))


def _values(masks: list[Source]) -> tuple[tuple[str, int], ...]:
    """Names and numbers of the segments, the background first; none where a segment has no name."""
    names: dict[int, tuple[str, Source]] = {}
    for mask in masks:
        for number, label in segments(mask):
            known, first = names.setdefault(number, (label, mask))
            if known != label:
                raise UlnaError(
                    f"segment {number} is '{label}' here and '{known}' in {first}",
                    where=mask,
                    hint="Number the segments alike in all files, or leave cases out with --except.",
                )
    labels = [label for label, _ in names.values()]
    if not all(labels) or len(set(labels)) < len(labels):
        return ()
    return (
        ("background", 0),
        *sorted(((label, number) for number, (label, _) in names.items()), key=lambda one: one[1]),
    )
