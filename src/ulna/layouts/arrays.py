"""HDF5 files and Zarr folders that hold image and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ulna.dataset import Dataset, Problem
from ulna.errors import UlnaError
from ulna.formats import hdf5, ome_zarr
from ulna.formats.hdf5 import Arrays
from ulna.layouts.build import CaseDraft, make_cases
from ulna.layouts.listing import Entry, Listing
from ulna.text import listed, plural

EXAMPLE = "image and labels in one file:  a.h5 with 'raw' and 'label'  a.zarr with 'labels/cells'"
SUFFIXES = (*hdf5.SUFFIXES, ome_zarr.SUFFIX)
SAY = "say which with data.images and data.masks, for example '{case}.h5/raw' and '{case}.h5/label'"


def read(listing: Listing) -> Dataset | None:
    """The data set, where files hold an image and one array of labels."""
    found = [(entry, arrays) for entry in listing.images if (arrays := _arrays(entry))]
    if not any(arrays.image and len(arrays.labels) == 1 for _, arrays in found):
        return None
    drafts = [
        CaseDraft(
            (_part(entry, arrays.image),),
            (_part(entry, arrays.labels[0]),) if len(arrays.labels) == 1 else (),
            name=entry.stem,
        )
        for entry, arrays in found
        if arrays.image
    ]
    cases, problems = make_cases(drafts)
    pairs = {
        f"'{draft.images[0].source.array}' with '{draft.truth[0].source.array}'" for draft in drafts if draft.truth
    }
    count = sum(bool(draft.truth) for draft in drafts)
    folders = any(entry.source.suffix == ome_zarr.SUFFIX for entry, _ in found)
    noun = "Zarr folder" if folders else "HDF5 file"
    sentence = f"{plural(count, noun)} of image and labels: {listed(sorted(pairs), 4)}"
    return Dataset(cases, sentence, (*problems, *_unused(found)))


def expanded(listing: Listing, patterns: Sequence[str]) -> Listing:
    """The listing with an entry for each array, where a pattern names arrays as if files were folders of them.

    Parameters
    ----------
    listing
        What lies in a place.
    patterns
        Those of images and masks.

    Returns
    -------
    Listing
        The same where no pattern does.
    """
    if not any(f"{suffix}/" in pattern.lower() for pattern in patterns for suffix in SUFFIXES):
        return listing
    entries: list[Entry] = []
    for entry in listing.images:
        arrays = _arrays(entry)
        entries += [_part(entry, name) for name in arrays.names] if arrays else [entry]
    return replace(listing, images=tuple(entries))


def _arrays(entry: Entry) -> Arrays | None:
    if entry.source.suffix not in SUFFIXES:
        return None
    try:
        holds = ome_zarr.arrays_of if entry.source.suffix == ome_zarr.SUFFIX else hdf5.arrays_of
        return holds(entry.source)
    except UlnaError:
        return None  # said when it is read


def _part(entry: Entry, name: str) -> Entry:
    return replace(entry, source=replace(entry.source, array=name))


def _unused(found: Sequence[tuple[Entry, Arrays]]) -> list[Problem]:
    """What is not clear, and which arrays are neither image nor labels."""
    several = [(entry, arrays) for entry, arrays in found if len(arrays.labels) > 1 or not arrays.image]
    problems = []
    if several:
        names = listed(several[0][1].names, quoted=True)
        what = f"{plural(len(several), 'file')} with several arrays that may be image or labels ({names}): {SAY}"
        problems.append(Problem(what, tuple(entry.path for entry, _ in several)))
    rest = [entry.path for entry, arrays in found if arrays.others and arrays.image and len(arrays.labels) == 1]
    if rest:
        names = listed(sorted({name for _, arrays in found for name in arrays.others}), 5, quoted=True)
        problems.append(Problem(f"further arrays not used: {names}", tuple(rest), "note"))
    return problems
