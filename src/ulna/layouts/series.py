"""DICOM files in a listing: the slices of a series become one image, and segmentations find their series."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ulna.errors import UlnaError
from ulna.formats import dicom
from ulna.formats.dicom.headers import is_segmentation, read_header
from ulna.formats.dicom.segmentation import segments_of
from ulna.formats.dicom.series import Found, maybe_dicom, together
from ulna.image import Source

if TYPE_CHECKING:
    from ulna.layouts.listing import Entry


@dataclass(frozen=True)
class Images:
    """The images of a place, once DICOM files are put together.

    Parameters
    ----------
    entries
        All files, with one entry for each series.
    left
        DICOM files that hold no image, and what they are.
    """

    entries: list[Entry]
    left: tuple[tuple[Entry, str], ...] = ()


def with_series(entries: Sequence[Entry], place: Source) -> Images:
    """Put the slices of each DICOM series together to one image.

    A series that is alone in its folder has the folder's name; of several in a folder each has the name that its header
    says.

    Parameters
    ----------
    entries
        All files of a place.
    place
        What was listed; a series that lies in none of its folders has its name.

    Returns
    -------
    Images
        In the order of the first file of each image.
    """
    folders: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        if entry.source.suffix in dicom.SUFFIXES or maybe_dicom(entry.source):
            folders.setdefault(entry.folders, []).append(entry)
    if not folders:
        return Images(list(entries))
    crowd = Counter(entry.folders for entry in entries)
    made: dict[Source, Entry] = {}
    gone: set[Source] = set()
    left: list[tuple[Entry, str]] = []
    for folder, files in folders.items():
        found, without = together([entry.source for entry in files])
        kinds = dict(without)
        left += [(entry, kinds[entry.source]) for entry in files if entry.source in kinds]
        alone = len(found) == 1 and crowd[folder] == len(files)
        gone |= {entry.source for entry in files}
        made |= _entries(found, files[0], place, alone=alone)
    kept = [made.get(entry.source, entry) for entry in entries if entry.source in made or entry.source not in gone]
    return Images(kept, tuple(left))


def _entries(found: Sequence[Found], first: Entry, place: Source, *, alone: bool) -> dict[Source, Entry]:
    """The entry of each image of a folder, by the first of its files."""
    folder = first.folders[-1] if first.folders else place.stem or place.path.resolve().name
    names = [_title(one, folder, alone=alone, single=len(found) == 1) for one in found]
    result = {}
    for number, (one, name) in enumerate(zip(found, names, strict=True)):
        source = one.source
        if one.several or source.suffix not in dicom.SUFFIXES:
            unique = name if names.count(name) == 1 else f"{name}_{names[:number].count(name) + 1}"
            own = source.inside[-1] if source.inside else source.path.name
            source = replace(source, files=source.files or (own,), title=unique)
        up = alone and one.several
        result[one.source.parts[0]] = replace(first, folders=first.folders[:-1] if up else first.folders, source=source)
    return result


def _title(found: Found, folder: str, *, alone: bool, single: bool) -> str:
    """What an image is called: as its folder where it is the only one there, else as its header or its file says."""
    if not found.several:
        return found.source.stem if found.source.suffix in dicom.SUFFIXES else found.source.name
    if alone or single:
        return folder
    return re.sub(r"[^\w.+-]+", "_", found.name).strip("_.") or "series"


def referring(entries: Sequence[Entry]) -> dict[Source, list[Source]]:
    """The segmentations of each series, on its grid.

    Parameters
    ----------
    entries
        Images of a place.

    Returns
    -------
    dict
        By the series, the segmentations whose headers name it.
    """
    masks: list[tuple[Source, str]] = []
    series: dict[str, Source] = {}
    for entry in entries:
        if entry.source.suffix not in dicom.SUFFIXES:
            continue
        try:
            data = read_header(entry.source.parts[0])
        except (UlnaError, ValueError):
            continue  # said when it is read
        if is_segmentation(data):
            masks += [(entry.source, str(one.SeriesInstanceUID)) for one in data.get("ReferencedSeriesSequence") or ()]
        else:
            series.setdefault(str(data.get("SeriesInstanceUID", "")), entry.source)
    found: dict[Source, list[Source]] = {}
    for mask, uid in masks:
        if uid in series:
            found.setdefault(series[uid], []).append(_on_grid_of(mask, series[uid]))
    return found


def _on_grid_of(mask: Source, series: Source) -> Source:
    """A segmentation with the files of its series, on whose grid it is read."""
    if mask.path.parent == series.path.parent and not mask.inside:
        others = [part.path.name for part in series.parts]
    elif mask.inside and mask.path == series.path:
        others = [part.inside[-1] for part in series.parts]
    else:
        others = [os.path.relpath(part.path, mask.path.parent) for part in series.parts]
    own = mask.inside[-1] if mask.inside else mask.path.name
    return replace(mask, files=(own, *others), title=mask.stem)


def segments(mask: Source) -> tuple[tuple[int, str], ...]:
    """Number and label of each segment of a segmentation."""
    return segments_of(read_header(mask.parts[0]))
