"""`read_dataset`: which layout a place has, what its cases are, and what was left out of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ulna.dataset import Case, Dataset, Problem
from ulna.errors import UlnaError
from ulna.formats import is_folder
from ulna.formats.archive import is_archive
from ulna.formats.outlines.reading import is_outline
from ulna.image import Source
from ulna.layouts import (
    arrays,
    by_content,
    chosen,
    dsb2018,
    modalities,
    outlined,
    pairs,
    segmented,
    several,
    sibling_folders,
    suffix_pairs,
    tracking,
)
from ulna.layouts import patterns as stated
from ulna.layouts.build import CaseDraft, make_cases, name_key
from ulna.layouts.described import with_described
from ulna.layouts.given import as_given
from ulna.layouts.listed import with_listed
from ulna.layouts.listing import Listing, existing, list_place
from ulna.layouts.matching import words
from ulna.layouts.parts import with_parts
from ulna.layouts.patterns import NO_PATTERNS, Patterns
from ulna.layouts.split_lists import with_lists
from ulna.layouts.unknown import left_out, no_images, passed_over, unknown_layout
from ulna.text import plural

STACKS = "volumes and films, as any of these:  train-volume.tif  train-labels.tif"


@dataclass(frozen=True)
class Layout:
    """One way to lay out a data set.

    Parameters
    ----------
    example
        A few names, as they are shown to a user whose data have no known layout.
    read
        The data set of a listing; None where it is laid out otherwise.
    """

    example: str
    read: Callable[[Listing], Dataset | None]


# The first that can read a place reads it: from the most particular to the most general.
LAYOUTS: tuple[Layout, ...] = (
    Layout(dsb2018.EXAMPLE, dsb2018.read),
    Layout(tracking.EXAMPLE, tracking.read),
    Layout(segmented.EXAMPLE, segmented.read),
    Layout(arrays.EXAMPLE, arrays.read),
    Layout(modalities.EXAMPLE, modalities.read),
    Layout(several.EXAMPLE, several.read),
    Layout(pairs.EXAMPLE, pairs.read),
    Layout(suffix_pairs.EXAMPLE, suffix_pairs.read),
    Layout(outlined.EXAMPLE, outlined.read),
    Layout(by_content.EXAMPLE, by_content.read),
    Layout(sibling_folders.EXAMPLE, sibling_folders.read),
    Layout(several.AFFIXED, several.read_affixed),
)


def read_dataset(place: str | Path | Dataset, patterns: Patterns = NO_PATTERNS) -> Dataset:
    """Find out how images and masks lie in a folder or zip, and list them as cases.

    Where no layout fits the place itself, zips within it are looked into (Kaggle's outer zip); of several the one for
    training is taken, and the sentence says so. Images without masks, masks without images, and images and zips that
    were passed over become problems.

    Parameters
    ----------
    place
        A folder, archive or stack; or a `Dataset` that a user's own code has made, whose cases are taken as they are.
    patterns
        Which files are images and which masks, or in which folder the labels lie, where a user says it.

    Returns
    -------
    Dataset
        Cases that have truth, and problems.

    Raises
    ------
    UlnaError
        If the place does not exist or holds no layout that is known, and as `as_given` does.

    Examples
    --------
    >>> len(read_dataset("cells").cases)
    8
    """
    if isinstance(place, Dataset):
        return _usable(as_given(place, patterns))
    path = existing(place)
    if (path.is_file() and not is_archive(Source(path))) or is_folder(Source(path)):
        raise UlnaError("is one file, not a data set", where=path, hint="Name the folder or zip that holds it.")
    listing = list_place(patterns.place(path))
    found = _stated(listing, patterns, depth=2) if patterns or patterns.labels else understood(listing, depth=2)
    if found is None:
        raise unknown_layout(Path(place), listing, [*(layout.example for layout in LAYOUTS), STACKS])
    return _usable(found)


def _usable(found: Dataset) -> Dataset:
    """The cases that have truth, in the parts of their ready-made split; that others are left out is a problem."""
    with_truth = tuple(case for case in found.cases if case.truth)
    without = tuple(case.name for case in found.cases if not case.truth)
    problems = found.problems
    if without:
        have = plural(len(without), "image has", "images have")
        problems = (*problems, Problem(f"{have} no mask and {'is' if len(without) == 1 else 'are'} left out", without))
        problems = (*_of_one_name([case for case in found.cases if not case.truth]), *problems)
    return with_parts(replace(found, cases=with_truth, problems=problems))


def _of_one_name(cases: Sequence[Case]) -> tuple[Problem, ...]:
    """The problem that images of one folder have one name: `a.nii` beside `a.nii.gz`. No mask is joined with either."""
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for source in (source for case in cases for source in case.images if source.frame is None):
        folder = str(source.path.parent) if not source.inside else source.inside[-1].rpartition("/")[0]
        alike[folder, source.stem.casefold()].append(source.name)
    names = tuple(" and ".join(files) for files in alike.values() if len(files) > 1)
    if not names:
        return ()
    what = plural(len(names), "name is that of several images", "names are those of several images each")
    return (Problem(f"{what}: which of them a mask belongs to is not known. Remove or rename the others", names),)


def understood(listing: Listing, *, depth: int) -> Dataset | None:
    """The data set of a listing, or of an archive within it.

    Parameters
    ----------
    listing
        What lies in a place.
    depth
        So many levels of archives are looked into.

    Returns
    -------
    Dataset or None
        None if no layout recognizes any.
    """
    for layout in LAYOUTS:
        dataset = layout.read(listing)
        if dataset is not None:
            return _finished(dataset, listing)
    if not depth:
        return None
    for archive in sorted(listing.archives, key=lambda source: "train" not in words(source.stem)):
        found = understood(list_place(archive), depth=depth - 1)
        if found is not None:
            others = [source.name for source in listing.archives if source != archive]
            left = f", left out: {', '.join(others)}" if others else ""
            found = replace(found, sentence=f"{found.sentence}; read from '{archive.name}' within{left}")
            return _with_warning(found, listing, archive)
    return None


def _stated(listing: Listing, patterns: Patterns, *, depth: int) -> Dataset | None:
    """The data set as the patterns or the folder of the labels say, of the place itself or of a zip within it."""
    if listing.images or not listing.archives or not depth:
        found = stated.read(listing, patterns) if patterns else chosen.read(listing, patterns.labels)
        return _finished(found, listing)
    inner = sorted(listing.archives, key=lambda source: "train" not in words(source.stem))[0]
    within = _stated(list_place(inner), patterns, depth=depth - 1)
    return replace(within, sentence=f"{within.sentence}; read from '{inner.name}' within") if within else None


def _finished(found: Dataset, listing: Listing) -> Dataset:
    """The data set of a layout with what lies beside: other images, lists of a split, files that are no part."""
    framed = _framed(found)
    framed = replace(framed, problems=(*framed.problems, *chosen.other_labels(framed, listing)))
    described = with_described(with_listed(_with_others(framed, listing)), listing)
    return _with_notes(with_lists(described, listing), listing)


def _with_others(found: Dataset, listing: Listing) -> Dataset:
    """The data set with a case, without mask, for each image that its layout passed over.

    So it is predicted, and named where masks are needed. Its name has its folders, and leaves the others' alone.
    """
    used = {source.file for case in found.cases for source in (*case.images, *case.truth, *case.markers)}
    places = {place for problem in found.problems for place in problem.where}
    told = places | {place.partition(" (")[0] for place in places}  # a path, and what is said of the file
    names = {name_key(case.name) for case in found.cases}
    passed = [e for e in listing.images if e.source.file not in used and not told & {e.path, str(e.source)}]
    short = {entry: "/".join((*entry.folders, entry.stem)) for entry in passed}
    drafts = [CaseDraft((e,), name=short[e] if name_key(short[e]) not in names else e.path) for e in passed]
    cases, _ = make_cases(drafts)
    return replace(found, cases=(*found.cases, *cases))


def _with_notes(found: Dataset, listing: Listing) -> Dataset:
    """The data set, and which files and archives beside it are no part of it."""
    truths = [source for case in found.cases for source in case.truth]
    beside = () if any(map(is_outline, truths)) else outlined.unused(listing)
    others = (*passed_over(listing), *left_out(listing), *no_images(listing))
    found = replace(found, problems=(*found.problems, *beside, *others))
    truth = {source.file for source in truths}  # a zip of regions is one
    names = tuple(source.name for source in listing.archives if source.file not in truth)
    if not names:
        return found
    what = plural(len(names), "zip beside the images was", "zips beside the images were")
    return replace(found, problems=(*found.problems, Problem(f"{what} not opened", names, "note")))


def _with_warning(found: Dataset, listing: Listing, archive: Source) -> Dataset:
    """The data set of an archive, and which images beside the archive are no part of it."""
    if not listing.images:
        return found
    what = (
        f"{plural(len(listing.images), 'image')} beside '{archive.name}' left out: only what lies in the zip has masks"
    )
    return replace(found, problems=(*found.problems, Problem(what, tuple(entry.path for entry in listing.images))))


def _framed(found: Dataset) -> Dataset:
    framed = [case for case in found.cases if case.images[0].frame is not None]
    if not framed:
        return found
    films = len({(case.images[0].path, case.images[0].inside) for case in framed})
    sentence = f"{found.sentence}; {plural(len(framed), 'frame')} of {plural(films, 'film')}, one group per film"
    return replace(found, sentence=sentence)
