"""Which of several folders of labels is used: as `data.labels` says, or by their names; the others are named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from ulna.dataset import Dataset, Problem
from ulna.errors import UlnaError
from ulna.layouts.build import drafts, left_over, make_cases
from ulna.layouts.listing import Entry, Listing, natural
from ulna.layouts.matching import folder_role, pair, words
from ulna.layouts.pairs import place
from ulna.text import listed, plural

Folders = tuple[str, ...]


def holds(listing: Listing, folder: str) -> bool:
    """Whether images lie in a folder of this name, or path.

    Parameters
    ----------
    listing
        What lies in the place.
    folder
        As `data.labels` names it.

    Returns
    -------
    bool
    """
    return any(_within(entry, folder) is not None for entry in listing.images)


def read(listing: Listing, folder: str) -> Dataset:
    """The data set whose labels lie in a folder that is named.

    Parameters
    ----------
    listing
        What lies in the place.
    folder
        The name of the folder of the labels, or its path within the place.

    Returns
    -------
    Dataset
        Images are joined with the labels of their names; other folders of labels are not used, which is said.

    Raises
    ------
    UlnaError
        Where nothing lies in such a folder, and where no image has the name of a label in it.
    """
    masks = [entry for entry in listing.images if _within(entry, folder) is not None]
    if not masks:
        names = sorted({"/".join(entry.folders) for entry in listing.images if entry.folders}, key=natural)
        hint = f"Folders with images are {listed(names, 8, quoted=True)}." if names else ""
        raise UlnaError(f"no image file lies in a folder '{folder}'", where="data.labels", hint=hint)
    rest = [entry for entry in listing.images if _within(entry, folder) is None]
    images, others = _sides(rest)
    pairing = pair(images, masks, lambda entry: _around(entry, folder))
    if not pairing.pairs:
        raise UlnaError(
            f"no image has the name of a file in '{folder}'",
            where="data.labels",
            hint=f"Images are called {listed((entry.path for entry in images), quoted=True)}, labels "
            f"{listed((entry.path for entry in masks), quoted=True)}.",
        )
    made, problems = make_cases(drafts(pairing))
    said = tuple(
        Problem(f"no file in '{name}' is used ({len(found)} left out), as data.labels names '{folder}'", paths, "note")
        for name, found in _by_folder(others).items()
        for paths in [tuple(entry.path for entry in found)]
    )
    sentence = f"{plural(len(pairing.pairs), 'image')} with their masks in '{folder}', as data.labels says"
    return Dataset(made, sentence, (*problems, *said, *left_over(pairing.masks)))


def other_labels(found: Dataset, listing: Listing) -> tuple[Problem, ...]:
    """The problem that a folder may hold labels, too: its files have the names of images, and it has no name for them.

    Parameters
    ----------
    found
        A data set whose images lie in folders of images.
    listing
        What lies in the place.

    Returns
    -------
    tuple of Problem
        One per folder, with the paths of its files.
    """
    images = {source.file for case in found.cases for source in case.images}
    masks = {source.file for case in found.cases for source in case.truth}
    ours = [entry for entry in listing.images if entry.source.file in images]
    if not ours or not all(_is_of_images(entry) for entry in ours):
        return ()
    stems = {tuple(words(entry.stem)) for entry in ours}
    taken = sorted(
        {entry.folders[-1] for entry in listing.images if entry.source.file in masks and entry.folders}, key=natural
    )
    used = images | masks
    rest = [entry for entry in listing.images if entry.source.file not in used and place(entry) is None]
    problems = []
    for name, entries in _by_folder(rest).items():
        if name and all(tuple(words(entry.stem)) in stems for entry in entries):
            last = entries[0].folders[-1]
            what = (
                f"no file in '{name}' is used ({len(entries)} left out): the masks in {listed(taken, 3, quoted=True)} "
                f"are. If they are labels of the same images, --set data.labels={last} takes them"
            )
            problems.append(Problem(what, tuple(entry.path for entry in entries)))
    return tuple(problems)


def _within(entry: Entry, folder: str) -> int | None:
    """After how many of an entry's folders a folder, given by name or path, ends; None where it is not in it."""
    parts = PurePosixPath(folder.replace("\\", "/")).parts
    ends = range(len(parts), len(entry.folders) + 1)
    return next((end for end in ends if entry.folders[end - len(parts) : end] == parts), None)


def _around(entry: Entry, folder: str) -> Folders:
    """The folders of an entry without the one that tells its role."""
    end = _within(entry, folder)
    at = place(entry) if end is None else end - 1
    at = len(entry.folders) - 1 if at is None else at
    return tuple(name.casefold() for k, name in enumerate(entry.folders) if k != at)


def _sides(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The images, and the files in folders named after masks. If some lie in folders of images, these count alone."""
    masks = [
        entry for entry in entries if (at := place(entry)) is not None and folder_role(entry.folders[at]) == "mask"
    ]
    other = set(masks)
    images = [entry for entry in entries if entry not in other]
    named = [entry for entry in images if _is_of_images(entry)]
    return named or images, masks


def _is_of_images(entry: Entry) -> bool:
    at = place(entry)
    return at is not None and folder_role(entry.folders[at]) == "image"


def _by_folder(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        found["/".join(entry.folders)].append(entry)
    return found
