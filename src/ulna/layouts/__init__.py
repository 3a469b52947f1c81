"""Ways to lay out a data set, found out by looking. One file a layout; a new one is a line in `LAYOUTS`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ulna import formats
from ulna.dataset import Case, Dataset, Problem
from ulna.errors import ReadError, UlnaError
from ulna.formats.archive import is_archive
from ulna.image import Source
from ulna.layouts import by_content, dsb2018, pairs, several, sibling_folders, suffix_pairs
from ulna.layouts import patterns as patterns_
from ulna.layouts.build import CaseDraft, make_cases, name_key
from ulna.layouts.listing import Entry, Listing, is_junk, list_place, natural
from ulna.layouts.matching import by_modality, words
from ulna.layouts.parts import with_parts
from ulna.layouts.patterns import Patterns
from ulna.layouts.unknown import image_suffixes, unknown_layout

__all__ = ["LAYOUTS", "Patterns", "find_cases", "find_images", "read_dataset"]

MAX_INSPECTED = 7
NO_PATTERNS = Patterns()
STACKS = "multi-page TIFF stacks, as any of these:  train-volume.tif  train-labels.tif"


@dataclass(frozen=True)
class Layout:
    """One way to lay out a data set: an example, and what reads it, or gives None where it is laid out otherwise."""

    example: str
    read: Callable[[Listing], Dataset | None]


# The first that can read a place reads it: from the most particular to the most general.
LAYOUTS: tuple[Layout, ...] = (
    Layout(dsb2018.EXAMPLE, dsb2018.read),
    Layout(several.EXAMPLE, several.read),
    Layout(pairs.EXAMPLE, pairs.read),
    Layout(suffix_pairs.EXAMPLE, suffix_pairs.read),
    Layout(by_content.EXAMPLE, by_content.read),
    Layout(sibling_folders.EXAMPLE, sibling_folders.read),
    Layout(several.AFFIXED, several.read_affixed),
)


def read_dataset(place: str | Path, patterns: Patterns = NO_PATTERNS) -> Dataset:
    """Find out how images and masks lie in a folder or zip, and list them as cases.

    Where no layout fits the place itself, zips within it are looked into (Kaggle's outer zip); of several the
    one for training is taken, and the sentence says so. Images without masks, masks without images, and images
    and zips that were passed over become problems. `patterns` say which files are images and which masks. Raises
    UlnaError if the place does not exist or holds no layout that is known.
    """
    path = _existing(place)
    if path.is_file() and not is_archive(Source(path)):
        raise UlnaError("is one file, not a data set", where=path, hint="Name the folder or zip that holds it.")
    listing = list_place(Source(path, axes=patterns.axes))
    found = _stated(listing, patterns, depth=2) if patterns else _understood(listing, depth=2)
    if found is None:
        raise unknown_layout(Path(place), listing, [*(layout.example for layout in LAYOUTS), STACKS])
    with_truth = tuple(case for case in found.cases if case.truth)
    without = tuple(case.name for case in found.cases if not case.truth)
    problems = found.problems
    if without:
        have = "1 image has" if len(without) == 1 else f"{len(without)} images have"
        problems = (*problems, Problem(f"{have} no mask and {'is' if len(without) == 1 else 'are'} left out", without))
    return with_parts(replace(found, cases=with_truth, problems=problems))


Place = str | Path | Sequence[str | Path]
"""Where images lie; several places are image files, as a shell makes them of a pattern."""


def find_cases(place: Place, *, channels: int = 0, patterns: Patterns = NO_PATTERNS) -> tuple[Case, ...]:
    """All images of a place as cases, with their masks where it has some; for prediction.

    `place` is a data set as `read_dataset` takes it (its masks are then no images), or any image file, several
    image files, a folder, zip or glob pattern. Zips within a place are looked into only if it holds no images
    itself: an old training set beside scans is not what is to be predicted. A stack of pages is one case a page, in
    one group. Files `case_0000`, `case_0001` without a mask are one case where they have `channels` channels
    together. `patterns` are those of a model's training data, and count where they fit.
    Raises UlnaError where there is no image.
    """
    if not isinstance(place, str | Path):
        if not place:
            raise UlnaError("there is no image here", hint=image_suffixes())
        if len(place) > 1:
            return make_cases(_drafts(_with_axes(_several(place), patterns.axes), channels))[0]
        place = place[0]
    text = str(place)
    if not Path(place).exists() and any(character in text for character in "*?["):
        entries = _glob(text)
    else:
        path = _existing(place)
        if path.is_file() and not is_archive(Source(path)):
            entries = [_single(path)]
        else:
            listing = list_place(Source(path, axes=patterns.axes))
            if patterns and patterns_.fits(listing, patterns):
                return patterns_.read(listing, patterns).cases
            found = _understood(replace(listing, archives=()) if listing.images else listing, depth=2)
            if found is not None:
                return found.cases
            entries = list(listing.images)
    cases, _ = make_cases(_drafts(_with_axes(entries, patterns.axes), channels))
    if not cases:
        raise UlnaError("there is no image here", where=place, hint=image_suffixes())
    return cases


def _with_axes(entries: Sequence[Entry], axes: str) -> list[Entry]:
    return [replace(entry, source=replace(entry.source, axes=axes)) for entry in entries]


def find_images(place: str | Path) -> tuple[Source, ...]:
    """The images alone of `find_cases`: one source an image or page, masks left out."""
    return tuple(source for case in find_cases(place) for source in case.images)


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


def _understood(listing: Listing, *, depth: int) -> Dataset | None:
    """The data set of a listing, or of an archive within it; None if no layout recognizes any."""
    for layout in LAYOUTS:
        dataset = layout.read(listing)
        if dataset is not None:
            return _with_notes(_with_others(_paged(dataset), listing), listing)
    if not depth:
        return None
    for archive in sorted(listing.archives, key=lambda source: "train" not in words(source.stem)):
        found = _understood(list_place(archive), depth=depth - 1)
        if found is not None:
            others = [source.name for source in listing.archives if source != archive]
            left = f", left out: {', '.join(others)}" if others else ""
            found = replace(found, sentence=f"{found.sentence}; read from '{archive.name}' within{left}")
            return _with_warning(found, listing, archive)
    return None


def _stated(listing: Listing, patterns: Patterns, *, depth: int) -> Dataset | None:
    """The data set as the patterns say, of the place itself or of a zip within it."""
    if listing.images or not listing.archives or not depth:
        return _with_notes(_with_others(_paged(patterns_.read(listing, patterns)), listing), listing)
    inner = sorted(listing.archives, key=lambda source: "train" not in words(source.stem))[0]
    found = _stated(list_place(inner), patterns, depth=depth - 1)
    return replace(found, sentence=f"{found.sentence}; read from '{inner.name}' within") if found else None


def _with_others(found: Dataset, listing: Listing) -> Dataset:
    """The data set with a case, without mask, for each image that its layout passed over.

    So it is predicted, and named where masks are needed. Its name has its folders, and leaves the others' alone.
    """
    used = {replace(source, page=None) for case in found.cases for source in (*case.images, *case.truth)}
    told = {place for problem in found.problems for place in problem.where}
    names = {name_key(case.name) for case in found.cases}
    passed = [e for e in listing.images if e.source not in used and not told & {e.path, str(e.source)}]
    short = {entry: "/".join((*entry.folders, entry.stem)) for entry in passed}
    drafts = [CaseDraft((e,), name=short[e] if name_key(short[e]) not in names else e.path) for e in passed]
    cases, _ = make_cases(drafts)
    return replace(found, cases=(*found.cases, *cases))


def _with_notes(found: Dataset, listing: Listing) -> Dataset:
    """The data set, and which archives beside it were not looked into."""
    if not listing.archives:
        return found
    names = tuple(source.name for source in listing.archives)
    what = "1 zip beside the images was" if len(names) == 1 else f"{len(names)} zips beside the images were"
    return replace(found, problems=(*found.problems, Problem(f"{what} not looked into", names, "note")))


def _with_warning(found: Dataset, listing: Listing, archive: Source) -> Dataset:
    """The data set of an archive, and which images beside the archive are no part of it."""
    if not listing.images:
        return found
    count = "1 image" if len(listing.images) == 1 else f"{len(listing.images)} images"
    what = f"{count} beside '{archive.name}' left out: only what lies in the zip has masks"
    return replace(found, problems=(*found.problems, Problem(what, tuple(entry.path for entry in listing.images))))


def _paged(found: Dataset) -> Dataset:
    paged = [case for case in found.cases if case.images[0].page is not None]
    if not paged:
        return found
    stacks = len({(case.images[0].path, case.images[0].inside) for case in paged})
    noun = "stack" if stacks == 1 else "stacks"
    return replace(found, sentence=f"{found.sentence}; {len(paged)} pages of {stacks} {noun}, one group a stack")


def _existing(place: str | Path) -> Path:
    path = Path(place)
    if path.exists():
        return path
    folder = next((parent for parent in path.parents if parent.is_dir()), Path())
    missing = path.relative_to(folder).parts[0] if path != folder else path.name
    close = difflib.get_close_matches(missing, [entry.name for entry in folder.iterdir()], n=1)
    hint = f"Did you mean '{folder / close[0]}'?" if close else f"'{folder}' exists, but holds no '{missing}'."
    raise UlnaError("there is no such folder or file", where=place, hint=hint)


def _glob(pattern: str) -> list[Entry]:
    """The images that a pattern names, in natural order; the part before the first wildcard is the place."""
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
    entries = [
        Entry(path.relative_to(place).parts[:-1], Source(path))
        for path in place.glob("/".join(parts[first:]))
        if not is_junk(path.relative_to(place).parts) and formats.recognizes(Source(path)) and path.is_file()
    ]
    return sorted(entries, key=lambda entry: natural(entry.path))


def _single(path: Path) -> Entry:
    source = Source(path)
    if not formats.recognizes(source):
        raise UlnaError("is no image of a kind that is known here", where=path, hint=image_suffixes())
    return Entry((), source)


def _several(places: Sequence[str | Path]) -> list[Entry]:
    """Image files that were named one by one; their folders are told from the deepest that holds all of them."""
    paths = [_existing(place) for place in dict.fromkeys(places)]
    for path in paths:
        if path.is_dir() or is_archive(Source(path)):
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
