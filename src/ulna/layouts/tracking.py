"""The Cell Tracking Challenge's layout: `02/t010.tif`, `02_GT/SEG/man_seg010.tif`, `02_GT/TRA/man_track010.tif`."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

from ulna.dataset import Dataset, Problem
from ulna.layouts.build import CaseDraft, make_cases
from ulna.layouts.listing import Entry, Listing
from ulna.text import plural

EXAMPLE = "sequences of the Cell Tracking Challenge:  02/t010.tif  02_GT/SEG/man_seg010.tif"
_FRAME = re.compile(r"t(\d+)")
_SEGMENTED = re.compile(r"man_seg_?(\d+)")
_SILVER = "ST"  # truth that programs made: taken where no person segmented a frame


def read(listing: Listing) -> Dataset | None:
    """The data set, where folders of segmentations belong to folders of frames.

    The markers of tracks (`TRA`) are no masks: they are left out. Frames without a segmentation have no truth; those
    of which a person segmented some cells alone are not told from others.
    """
    frames = {
        (entry.folders, int(match[1])): entry for entry in listing.images if (match := _FRAME.fullmatch(entry.stem))
    }
    masks: dict[tuple[tuple[str, ...], int], dict[str, Entry]] = defaultdict(dict)
    for entry in listing.images:
        match = _SEGMENTED.fullmatch(entry.stem)
        if match and len(entry.folders) > 1 and entry.folders[-1].upper() == "SEG":
            name, _, kind = entry.folders[-2].rpartition("_")
            if kind.upper() in ("GT", _SILVER):
                masks[(*entry.folders[:-2], name), int(match[1])][kind.upper()] = entry
    paired = {place: masks[place] for place in frames if place in masks}
    if not paired:
        return None
    drafts = [
        CaseDraft((entry,), _truth(masks[place]) if place in paired else (), name="_".join((*place[0], entry.stem)))
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
    return Dataset(cases, sentence, (*problems, *_left(listing, {entry for draft in drafts for entry in draft.truth})))


def _left(listing: Listing, used: set[Entry]) -> list[Problem]:
    """Which files of the ground truth are not used."""
    kinds = {"TRA": "with the markers of tracks", "SEG": "segmented by programs, where a person has segmented, too,"}
    found = []
    for folder, what in kinds.items():
        paths = tuple(e.path for e in listing.images if e.folders[-1:] == (folder,) and e not in used)
        if paths:
            found.append(Problem(f"{plural(len(paths), 'file')} {what} left out", paths, "note"))
    return found


def _truth(found: dict[str, Entry]) -> tuple[Entry]:
    """What a person segmented before what programs made."""
    return (found.get("GT") or found[_SILVER],)
