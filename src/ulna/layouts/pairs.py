"""Folders of images beside folders of masks: `images/a.png` and `masks/a.png`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ulna.dataset import Dataset
from ulna.layouts.listing import Entry, Listing
from ulna.layouts.making import drafts, left_over, make_cases
from ulna.layouts.matching import EITHER_WORD, FOLDER_ROLES, Pairing, folder_role, pair, words

EXAMPLE = "a folder of images and one of masks:  images/a.png  masks/a.png  (or masks/a_mask.png)"


def recognises(listing: Listing) -> str | None:
    """A sentence if folders are named after images and masks and at least one image finds its mask."""
    pairing, (images, masks) = _pairing(listing)
    if not pairing.pairs:
        return None
    return f"{len(pairing.pairs)} images in '{images}' with their masks in '{masks}'" if images and masks else None


def cases(listing: Listing) -> Dataset:
    """The cases of such folders, those without a mask too."""
    pairing, _ = _pairing(listing)
    made, problems = make_cases(drafts(pairing))
    return Dataset(made, recognises(listing) or "", (*problems, *left_over(pairing.masks)))


def _pairing(listing: Listing) -> tuple[Pairing, tuple[str, str]]:
    by_role: dict[str, list[Entry]] = {"image": [], "mask": [], "": []}
    names: dict[str, set[str]] = {"image": set(), "mask": set(), "": set()}
    for entry in listing.images:
        place = _place(entry)
        role = folder_role(entry.folders[place]) if place is not None else ""
        by_role[role].append(entry)
        if place is not None:
            names[role].add(entry.folders[place])
    if not by_role["image"]:  # `train/a.jpg` and `train_masks/a_mask.gif`, or `a.png` and `masks/a.png`
        by_role["image"] = by_role[""]
        names["image"] = {entry.folders[-1] if entry.folders else "." for entry in by_role[""]}
    pairing = _with_lone(pair(by_role["image"], by_role["mask"], _shared), by_role["image"], by_role["mask"])
    return pairing, (", ".join(sorted(names["image"])), ", ".join(sorted(names["mask"])))


def _with_lone(pairing: Pairing, images: Sequence[Entry], masks: Sequence[Entry]) -> Pairing:
    """The pairing, and joined whatever their names: the only image and the only mask of a case's own folder.

    `p1/image/scan.png` and `p1/label/seg.png`; files right in the place itself need names that agree.
    """
    by_folder: dict[tuple[str, ...], tuple[list[Entry], list[Entry]]] = defaultdict(lambda: ([], []))
    for side, entries in enumerate((images, masks)):
        for entry in entries:
            place = _place(entry)
            if place:
                by_folder[entry.folders[:place]][side].append(entry)
    loose = {*pairing.images, *pairing.masks}
    lone = [
        ((found[0],), of_it[0])
        for found, of_it in by_folder.values()
        if len(found) == len(of_it) == 1 and found[0] in loose and of_it[0] in loose
    ]
    joined = {entry for (image,), mask in lone for entry in (image, mask)}
    return Pairing(
        (*pairing.pairs, *lone),
        tuple(entry for entry in pairing.images if entry not in joined),
        tuple(entry for entry in pairing.masks if entry not in joined),
    )


def _place(entry: Entry) -> int | None:
    """Which of an entry's folders tells its role: the deepest that does."""
    return next((i for i in reversed(range(len(entry.folders))) if folder_role(entry.folders[i])), None)


def _shared(entry: Entry) -> tuple[str, ...]:
    """The folders without the word for the role: `train_images/p1` and `train_masks/p1` share train, p1."""
    place = _place(entry)
    shared: list[str] = []
    for i, name in enumerate(entry.folders):
        shared += [word for word in words(name) if not _is_role(word)] if i == place else [name.casefold()]
    return tuple(shared)


def _is_role(word: str) -> bool:
    return word in FOLDER_ROLES or bool(EITHER_WORD.fullmatch(word))
