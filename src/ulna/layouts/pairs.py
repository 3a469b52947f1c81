"""Folders of images beside folders of masks: `images/a.png` and `masks/a.png`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ulna.dataset import Dataset, Problem
from ulna.layouts.build import drafts, left_over, make_cases
from ulna.layouts.listing import Entry, Listing, natural
from ulna.layouts.matching import EITHER_WORD, FOLDER_ROLES, PART, Pairing, folder_role, pair, words
from ulna.text import listed, plural

EXAMPLE = "a folder of images and one of masks:  images/a.png  masks/a.png  (or masks/a_mask.png)"
MAX_NAMES = 3


def read(listing: Listing) -> Dataset | None:
    """The data set, where folders are named after images and masks and at least one image finds its mask."""
    return as_dataset(_pairing(listing))


def as_dataset(pairing: Pairing) -> Dataset | None:
    """The cases of a pairing of folders, and what of the masks was left over; None where there is no pair."""
    if not pairing.pairs:
        return None
    images = _listed(_folder_name(found[0]) for found, _ in pairing.pairs)
    masks = _listed(_folder_name(mask) for _, mask in pairing.pairs)
    their = "its mask" if len(pairing.pairs) == 1 else "their masks"
    sentence = f"{plural(len(pairing.pairs), 'image')} in {images} with {their} in {masks}"
    made, problems = make_cases(drafts(pairing))
    return Dataset(made, sentence, (*problems, *_left_over(pairing)))


def sides(listing: Listing) -> tuple[list[Entry], list[Entry]]:
    """The files in folders of images, and those in folders of masks.

    Where no folder is named after images, all that lies in no folder of masks is one: `train/a.jpg` and
    `train_masks/a_mask.gif`, or `a.png` and `masks/a.png`.
    """
    by_role: dict[str, list[Entry]] = {"image": [], "mask": [], "": []}
    for entry in listing.images:
        at = place(entry)
        by_role["" if at is None else folder_role(entry.folders[at])].append(entry)
    return by_role["image"] or by_role[""], by_role["mask"]


def drawn_by_hand(masks: Sequence[Entry]) -> list[Entry]:
    """The masks in folders named 'manual', the first such where several people drew; none where none is named so.

    In DRIVE and HRF the folder `mask` beside them holds the field of view, which is no annotation.
    """
    kinds: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for mask in masks:
        kinds[tuple(word for word in words(_folder_name(mask)) if not PART.fullmatch(word))].append(mask)
    manual = sorted(kind for kind in kinds if "manual" in kind)
    return kinds[manual[0]] if manual else []


def place(entry: Entry) -> int | None:
    """Which of an entry's folders tells its role: the deepest that does. `x` and `y` within masks are classes."""
    named = [i for i, name in enumerate(entry.folders) if folder_role(name)]
    letters = {i for i in named if entry.folders[i].casefold() in FOLDER_ROLES}
    masks = [i for i in named if i not in letters and folder_role(entry.folders[i]) == "mask"]
    told = [i for i in named if not (i in letters and masks and masks[0] < i)]
    return told[-1] if told else None


def _pairing(listing: Listing) -> Pairing:
    images, masks = sides(listing)
    by_hand = drawn_by_hand(masks)
    if by_hand and len(by_hand) < len(masks):
        pairing = pair(images, by_hand, _around)
        if pairing.pairs:
            kept = set(by_hand)
            return replace(pairing, masks=(*pairing.masks, *(mask for mask in masks if mask not in kept)))
    return _with_lone(pair(images, masks, _shared), images, masks)


def _left_over(pairing: Pairing) -> tuple[Problem, ...]:
    """The masks without image; where they are all of their folder's, as a problem of their own for the folder."""
    used = {_folder_name(mask).casefold() for _, mask in pairing.pairs}
    unused: dict[str, list[Entry]] = defaultdict(list)
    for mask in pairing.masks:
        if _folder_name(mask).casefold() not in used:
            unused[_folder_name(mask)].append(mask)
    taken = _listed(_folder_name(mask) for _, mask in pairing.pairs)
    folders = tuple(
        Problem(
            f"no mask in '{folder}' is used ({len(masks)} left out): the masks in {taken} are. "
            f"--set data.labels={folder} takes these",
            tuple(mask.path for mask in masks),
        )
        for folder, masks in unused.items()
    )
    return (*folders, *left_over([mask for mask in pairing.masks if _folder_name(mask) not in unused]))


def _listed(names: Iterable[str]) -> str:
    """Names in quotes, in natural order, the first few of them."""
    found = sorted(set(names), key=natural)
    return listed(found, MAX_NAMES, quoted=True)


def _with_lone(pairing: Pairing, images: Sequence[Entry], masks: Sequence[Entry]) -> Pairing:
    """The pairing, and joined whatever their names: the only image and the only mask of a case's own folder.

    `p1/image/scan.png` and `p1/label/seg.png`; files right in the place itself need names that agree.
    """
    by_folder: dict[tuple[str, ...], tuple[list[Entry], list[Entry]]] = defaultdict(lambda: ([], []))
    for side, entries in enumerate((images, masks)):
        for entry in entries:
            at = place(entry)
            if at:
                by_folder[entry.folders[:at]][side].append(entry)
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


def _folder_name(entry: Entry) -> str:
    """The folder that tells the entry's role, or else the one that it lies in; '.' for the place itself."""
    at = place(entry)
    return entry.folders[-1 if at is None else at] if entry.folders else "."


def _around(entry: Entry) -> tuple[str, ...]:
    """The folders without the one that tells the role."""
    at = place(entry)
    return tuple(name.casefold() for i, name in enumerate(entry.folders) if i != at)


def _shared(entry: Entry) -> tuple[str, ...]:
    """The folders without the word for the role: `train_images/p1` and `train_masks/p1` share train, p1."""
    at = place(entry)
    shared: list[str] = []
    for i, name in enumerate(entry.folders):
        shared += [word for word in words(name) if not _is_role(word)] if i == at else [name.casefold()]
    return tuple(shared)


def _is_role(word: str) -> bool:
    return word in FOLDER_ROLES or bool(EITHER_WORD.fullmatch(word))
