"""`find_images`: the images of a place that are to be predicted, and which files there are none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ulna import formats
from ulna.dataset import Case
from ulna.errors import ReadError, UlnaError
from ulna.formats.archive import is_archive
from ulna.formats.dicom.series import maybe_dicom
from ulna.image import Source
from ulna.layouts import chosen, modalities
from ulna.layouts import patterns as stated
from ulna.layouts.build import CaseDraft, make_cases
from ulna.layouts.listing import Entry, Listing, existing, is_junk, list_place, natural
from ulna.layouts.matching import by_modality
from ulna.layouts.own import is_own
from ulna.layouts.patterns import NO_PATTERNS, Patterns
from ulna.layouts.reading import understood
from ulna.layouts.unknown import HOW_TO_USE_OWN, image_suffixes, maybe_images
from ulna.text import listed, plural

MAX_INSPECTED = 7

Place = str | Path | Sequence[str | Path]
"""Where images lie; several places are image files, as a shell makes them of a pattern."""


@dataclass(frozen=True)
class Found:
    """The images of a place as cases.

    And the files that are none: of formats that are not known, masks that `ulna` itself wrote, and what the layout of a
    data set leaves out.
    """

    cases: tuple[Case, ...]
    passed_over: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def find(
    place: Place,
    *,
    channels: int = 0,
    choosing: bool = False,
    patterns: Patterns = NO_PATTERNS,
    own: bool = False,
    plain: bool = False,
) -> Found:
    """All images of a place as cases, with their masks where it has some; for prediction.

    Parameters
    ----------
    place : path, str or sequence of them
        A data set as `read_dataset` takes it (its masks are then no images), or any image file, several image files,
        a folder, zip or glob pattern. Zips within a place are looked into only if it holds no images itself: an old
        training set beside scans is not what is to be predicted.
    channels : int
        Files ``case_0000``, ``case_0001`` without a mask are one case where they have so many channels together, and
        so are ``case-t1n``, ``case-t2f``.
    choosing : bool
        Whether the latter are one case however many there are, for the model chooses its channels among them.
    patterns : Patterns
        Those of a model's training data; they count where they fit.
    own : bool
        Whether masks that `ulna` predicted are asked for; else they are left out where they lie in a folder.
    plain : bool
        Whether every image file counts by itself, though the place may look like a data set.

    Returns
    -------
    Found
        A stack of pages is one case per page, in one group.

    Raises
    ------
    UlnaError
        Where there is no image.
    """

    def cases_of(entries: Sequence[Entry]) -> tuple[Case, ...]:
        entries = _stated(entries, patterns)
        drafts, rest = ([], entries) if plain else modalities.joined(entries, channels, choosing=choosing)
        return make_cases([*drafts, *_drafts(rest, channels)])[0]

    if not isinstance(place, str | Path):
        place = _paths(place)
        if not place:
            raise UlnaError("there is no image here", hint=image_suffixes())
        if len(place) > 1:
            return Found(cases_of(_several(place)))
        place = place[0]
    text = str(place)
    if not Path(place).exists() and any(character in text for character in "*?["):
        images, others, left = _glob(text, own=own)
    else:
        path = existing(place)
        if (path.is_file() and not is_archive(Source(path))) or formats.is_folder(Source(path)):
            return Found(cases_of([_single(path)]))
        listing = list_place(patterns.place(path), masks=own)
        cases = () if plain else _of_dataset(listing, patterns)
        if cases:
            own_masks = tuple(entry.path for entry in listing.own)
            left_out = () if patterns or patterns.labels else _left_out(listing, cases)
            return Found(cases, maybe_images(listing.others), own_masks, left_out)
        images, others, left = (list(side) for side in (listing.images, listing.others, listing.own))
    cases = cases_of(images)
    found = Found(cases, maybe_images(others), tuple(entry.path for entry in left))
    if not cases:
        raise _no_image(place, found)
    return found


def find_cases(place: Place, *, channels: int = 0, patterns: Patterns = NO_PATTERNS) -> tuple[Case, ...]:
    """The cases of `find`."""
    return find(place, channels=channels, patterns=patterns).cases


def find_images(place: str | Path, *, own: bool = False) -> tuple[Source, ...]:
    """The images alone of `find`: one source per image or page, masks left out."""
    return tuple(source for case in find(place, own=own).cases for source in case.images)


def _of_dataset(listing: Listing, patterns: Patterns) -> tuple[Case, ...]:
    """The cases of a data set, those without masks too; none where no layout is recognized."""
    if patterns and stated.fits(listing, patterns):
        return stated.read(listing, patterns).cases
    if patterns.labels and chosen.holds(listing, patterns.labels):
        return chosen.read(listing, patterns.labels).cases
    found = understood(replace(listing, archives=()) if listing.images else listing, depth=2)
    return found.cases if found else ()


def _left_out(listing: Listing, cases: Sequence[Case]) -> tuple[str, ...]:
    """Images that belong to no case: of a patient who lacks a modality, for example."""
    used = {part for case in cases for source in (*case.images, *case.truth, *case.markers) for part in _files(source)}
    return tuple(entry.path for entry in listing.images if not used & set(_files(entry.source)))


def _files(source: Source) -> list[tuple[Path, tuple[str, ...]]]:
    return [(part.path, part.inside) for part in source.parts]


def _no_image(place: str | Path, found: Found) -> UlnaError:
    if found.own:
        what = f"there is no image here, but {plural(len(found.own), 'file')} that 'ulna predict' wrote"
        return UlnaError(what, where=place, hint=HOW_TO_USE_OWN)
    what = f"there is no image here that can be read, but {listed(found.passed_over)}"
    return UlnaError(what if found.passed_over else "there is no image here", where=place, hint=image_suffixes())


def _stated(entries: Sequence[Entry], patterns: Patterns) -> list[Entry]:
    return [replace(entry, source=entry.source.like(patterns.place(entry.source.path))) for entry in entries]


def _drafts(entries: Sequence[Entry], channels: int) -> list[CaseDraft]:
    """A draft an image; modalities are joined where that makes images of so many channels, and only then.

    Frames of a film may be numbered in the same way: a few files are read to tell.
    """
    joined = by_modality(entries)
    several = [files for files in joined if 1 < len(files) <= channels]
    if not any(_makes(files, channels) for files in several[:MAX_INSPECTED]):
        return [CaseDraft((entry,)) for entry in entries]
    return [
        CaseDraft(images)
        for files in joined
        for images in ([files] if len(files) <= channels else [(entry,) for entry in files])
    ]


def _makes(files: Sequence[Entry], channels: int) -> bool:
    """Whether files are the modalities 0000, 0001, … of one image, with so many channels together."""
    if [entry.stem[-4:] for entry in files] != [f"{k:04d}" for k in range(len(files))]:
        return False
    try:
        return sum(len(formats.read(replace(entry.source, page=0)).channels) for entry in files) == channels
    except ReadError:
        return False  # said when it is predicted


def _glob(pattern: str, *, own: bool) -> tuple[list[Entry], list[Entry], list[Entry]]:
    """The images that a pattern names, other files, and those that `ulna` wrote, in natural order.

    The part before the first wildcard is the place.
    """
    parts = Path(pattern).parts
    for part in parts:
        if "**" in part and part != "**":
            raise UlnaError(
                "'**' stands for whole folders and must be alone between two slashes",
                where=pattern,
                hint=f"Write {pattern.replace('**', '**/*', 1)} for files in all sub-folders too.",
            )
    first = next(i for i, part in enumerate(parts) if any(character in part for character in "*?["))
    place = Path(*parts[:first])
    images: list[Entry] = []
    others: list[Entry] = []
    left: list[Entry] = []
    for path in place.glob("/".join(parts[first:])):
        within = path.relative_to(place).parts
        if is_junk(within) or not (path.is_file() or formats.is_folder(Source(path))):
            continue
        side = left if not own and is_own(path, place) else images if formats.recognizes(Source(path)) else others
        side.append(Entry(within[:-1], Source(path)))
    for side in (images, others, left):
        side.sort(key=lambda entry: natural(entry.path))
    return images, others, left


def _single(path: Path) -> Entry:
    source = Source(path)
    if not formats.recognizes(source) and maybe_dicom(source):
        source = replace(source, files=(path.name,), title=path.name)
    if not formats.recognizes(source):
        raise UlnaError("is no image of a kind that is known here", where=path, hint=image_suffixes())
    return Entry((), source)


def _paths(places: Any) -> list[str | Path]:
    """The paths in a list, or in another iterable. Raises UlnaError for what is none, or holds anything else."""
    paths = list(places) if isinstance(places, Iterable) and not isinstance(places, Mapping | bytes) else [places]
    for path in paths:
        if not isinstance(path, str | Path):
            raise UlnaError(
                f"{type(path).__name__} is no path",
                hint="Give the path of images or a list of paths; for arrays: ulna.load(RUN).predict(ARRAY).",
            )
    return paths


def _several(places: Sequence[str | Path]) -> list[Entry]:
    """Image files that were named one by one; their folders are told from the deepest that holds all of them."""
    paths = [existing(place) for place in dict.fromkeys(places)]
    for path in paths:
        if (path.is_dir() and not formats.is_folder(Source(path))) or is_archive(Source(path)):
            raise UlnaError("of several places, each must be an image file", where=path, hint="Name this one alone.")
    whole = [path.absolute() for path in paths]
    try:
        root = Path(os.path.commonpath([path.parent for path in whole]))
    except ValueError:
        raise UlnaError("these images lie on different drives", hint="Name those of each drive alone.") from None
    return [
        Entry(full.parent.relative_to(root).parts, _single(path).source)
        for path, full in zip(paths, whole, strict=True)
    ]
