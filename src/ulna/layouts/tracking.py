"""The Cell Tracking Challenge's layout: `02/t010.tif`, `02_GT/SEG/man_seg010.tif`, `02_GT/TRA/man_track010.tif`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from ulna.dataset import Dataset, Problem
from ulna.layouts.build import CaseDraft, make_cases
from ulna.layouts.listing import Entry, Listing
from ulna.text import plural

EXAMPLE = "sequences of the Cell Tracking Challenge:  02/t010.tif  02_GT/SEG/man_seg010.tif"
_FRAME = re.compile(r"t(\d+)")
_SEGMENTED = re.compile(r"man_seg_?(\d+)")
_PLANE = re.compile(r"man_seg_\d+_\d+")  # a person segmented one plane of a volume
_MARKED = re.compile(r"man_track(\d+)")
_SILVER = "ST"  # truth that programs made: taken where no person segmented a frame

Frame = tuple[tuple[str, ...], int]
"""The folders of a sequence, and the number of a frame."""


def read(listing: Listing) -> Dataset | None:
    """The data set, where folders of segmentations belong to folders of frames.

    People segment a few cells of a frame, and set a marker (`TRA`) in all of them: what lies around a marker without a
    segmentation is not annotated. Frames without a segmentation have no truth.

    References
    ----------
    https://celltrackingchallenge.net/annotations
    """
    frames = {
        (entry.folders, int(match[1])): entry for entry in listing.images if (match := _FRAME.fullmatch(entry.stem))
    }
    masks = _truths(listing, _SEGMENTED, "SEG")
    markers = _truths(listing, _MARKED, "TRA")
    paired = {place: masks[place] for place in frames if place in masks}
    if not paired:
        return None
    drafts = [
        CaseDraft(
            (entry,),
            _best(masks[place]) if place in paired else (),
            objects=place in paired,
            name="_".join((*place[0], entry.stem)),
            numbered=place in paired,
            markers=_best(markers[place]) if place in paired and place in markers else (),
        )
        for place, entry in frames.items()
    ]
    cases, problems = make_cases(drafts)
    # frames that follow each other show the same cells
    sequence = {(entry.source.path, entry.source.inside): "/".join(place[0]) for place, entry in frames.items()}
    cases = tuple(replace(case, group=sequence[case.images[0].path, case.images[0].inside]) for case in cases)
    sequences = len({folders for folders, _ in paired})
    silver = sum("GT" not in found for found in paired.values())
    made = f", {silver} of them by programs (ST)" if silver else ""
    sentence = (
        f"{plural(len(paired), 'segmented frame')} of {plural(sequences, 'sequence')} in the layout of the Cell "
        f"Tracking Challenge{made}"
    )
    used = {entry for draft in drafts for entry in (*draft.truth, *draft.markers)}
    return Dataset(cases, sentence, (*problems, *_unmarked(drafts), *_left(listing, used)))


def _truths(listing: Listing, name: re.Pattern[str], folder: str) -> dict[Frame, dict[str, Entry]]:
    """By frame, the files of a kind in the folders of ground truth: `02_GT/SEG`, `02_ST/SEG`."""
    found: dict[Frame, dict[str, Entry]] = defaultdict(dict)
    for entry in listing.images:
        match = name.fullmatch(entry.stem)
        if match and len(entry.folders) > 1 and entry.folders[-1].upper() == folder:
            sequence, _, kind = entry.folders[-2].rpartition("_")
            if kind.upper() in ("GT", _SILVER):
                found[(*entry.folders[:-2], sequence), int(match[1])][kind.upper()] = entry
    return found


def _unmarked(drafts: Sequence[CaseDraft]) -> list[Problem]:
    """The problem that segmented frames have no markers: whether all of their cells are segmented is not known."""
    where = tuple(draft.images[0].path for draft in drafts if draft.truth and not draft.markers)
    if not where:
        return []
    what = (
        f"{plural(len(where), 'segmented frame has', 'segmented frames have')} no markers of all cells (TRA): cells "
        "that are not segmented there are taken for background"
    )
    return [Problem(what, where)]


def _left(listing: Listing, used: set[Entry]) -> list[Problem]:
    """Which files of the ground truth are not used."""
    rest = [entry for entry in listing.images if entry not in used]
    planes = [entry for entry in rest if _PLANE.fullmatch(entry.stem)]
    kinds = {
        "with markers of frames that are not segmented": [e for e in rest if e.folders[-1:] == ("TRA",)],
        "segmented by programs, where a person has segmented, too,": [
            e for e in rest if e.folders[-1:] == ("SEG",) and e not in planes
        ],
        "with single segmented planes of volumes": planes,
    }
    return [
        Problem(f"{plural(len(entries), 'file')} {what} left out", tuple(entry.path for entry in entries), "note")
        for what, entries in kinds.items()
        if entries
    ]


def _best(found: dict[str, Entry]) -> tuple[Entry]:
    """What a person made before what programs made."""
    return (found.get("GT") or found[_SILVER],)
