"""Several masks per image: which image each belongs to, and what its name adds to the image's (its label)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ulna.layouts.listing import Entry
from ulna.layouts.matching import EITHER_WORD, FOLDER_ROLES, MASK_WORD, PART, folder_role, is_mask_name, tokens, words
from ulna.layouts.pairs import place
from ulna.layouts.parts import part_of

Folders = tuple[str, ...]


@dataclass(frozen=True)
class Labeled:
    """A mask of an image, and its label: a name, and the numbers that count masks of one name.

    `by_word` says that a word for masks stands in the file's name: `a_mask_1` is more surely a mask of `a` than `a_1`.
    """

    image: Entry
    mask: Entry
    name: str = ""
    number: str = ""
    by_word: bool = False


def by_folders(images: Sequence[Entry], masks: Sequence[Entry]) -> list[Labeled]:
    """The masks in folders of masks that belong to an image by folder and name, in the masks' order.

    `masks/liver/a.png` and `masks_liver/a.png` are masks of `images/a.png` with the label `liver`, and so is
    `masks/a_liver.png`. The only image of a case's own folder needs no name that agrees, nor do masks in a folder that
    has the image's name.
    """
    index = _Index(images, {_highest(mask) for mask in masks})
    found = (_in_folders(mask, index) for mask in masks)
    return [one for one in found if one]


def by_names(entries: Sequence[Entry]) -> list[Labeled]:
    """The masks beside their images: a word for masks is in their names, `a_mask.png`, `a_mask_1.png`."""
    masks = [entry for entry in entries if is_mask_name(entry.stem)]
    known = set(masks)
    images = [entry for entry in entries if entry not in known]
    stems = {(entry.folders, tuple(words(entry.stem))) for entry in images}
    # `a_mask_1` ends with no word for masks, and is one if `a` is an image
    more = [entry for entry in images if _mask_of_another(entry, stems)]
    masks = sorted((*masks, *more), key=entries.index) if more else masks
    images = [entry for entry in images if entry not in set(more)]
    index = _Index(images, set())
    found = (_beside(mask, index) for mask in masks)
    return [one for one in found if one]


def by_extension(entries: Sequence[Entry]) -> list[Labeled]:
    """The files whose names are those of others with more behind them, `a_L` of `a`, where all others have such.

    Names alone do not say that these are masks: their content must.
    """
    known = {(entry.folders, tuple(words(entry.stem))): entry for entry in entries}
    found = []
    for entry in entries:
        spelled = tokens(entry.stem)
        shorter = [known.get((entry.folders, tuple(words(entry.stem))[:k])) for k in range(len(spelled) - 1, 0, -1)]
        image = next((other for other in shorter if other), None)
        if image:
            found.append(_labeled(image, entry, "", spelled[len(tokens(image.stem)) :]))
    images, masks = {one.image for one in found}, {one.mask for one in found}
    return found if len(images) > 1 and not images & masks and images | masks == set(entries) else []


class _Index:
    """Images by the folders that they share with their masks, and by the words of their names."""

    def __init__(self, images: Sequence[Entry], depths: set[int | None]) -> None:
        depth = next(iter(depths)) if len(depths) == 1 else None
        self._by_name: dict[tuple[Folders, Folders], list[Entry]] = defaultdict(list)
        self._by_folder: dict[Folders, list[Entry]] = defaultdict(list)
        for image in images:
            for folders in _image_folders(image, depth):
                self._by_folder[folders].append(image)
                spelled = tuple(words(image.stem))
                for name in dict.fromkeys((spelled, _bare(spelled, EITHER_WORD))):
                    self._by_name[folders, name].append(image)

    def named(self, folders: Folders, spelled: Sequence[str]) -> tuple[Entry, list[str]] | None:
        """The image whose name a mask's begins with, or else ends with; and the other words of the mask's name.

        A number at the end of a name that holds others says nothing: `task-1-annotation-5-tag-cell-0` of Label Studio.
        """
        name = [word.casefold() for word in spelled]
        for length in range(len(name), 0, -1):
            for start in (0, len(name) - length):
                own = tuple(name[start : start + length])
                image = self._only(folders, own)
                counted = start and all(map(str.isdecimal, own)) and any(map(str.isdecimal, name[:start]))
                if image and not counted:
                    return image, [*spelled[:start], *spelled[start + length :]]
        return None

    def alone(self, folders: Folders) -> Entry | None:
        """The only image of a case's own folder."""
        images = self._by_folder.get(folders, [])
        return images[0] if folders and len(images) == 1 else None

    def _only(self, folders: Folders, name: Folders) -> Entry | None:
        images = self._by_name.get((folders, name), [])
        return images[0] if len(images) == 1 else None


def _image_folders(image: Entry, depth: int | None) -> Iterator[Folders]:
    """The folders of an image without the one that tells its role, or that lies beside the folders of masks."""
    at = place(image)
    if at is None and depth is not None and len(image.folders) > depth:
        at = depth
    yield _key(image.folders, at)


def _key(folders: Folders, at: int | None) -> Folders:
    """Folders without the one at `at`, of which only its part stays: `train_images` shares `train`."""
    if at is None:
        return tuple(name.casefold() for name in folders)
    part = [part_of(folders[at])] if part_of(folders[at]) else []
    return tuple(name.casefold() for name in (*folders[:at], *part, *folders[at + 1 :]))


def _in_folders(mask: Entry, index: _Index) -> Labeled | None:
    at = place(mask)
    if at is None:
        return None
    role = _role_label(mask.folders[at])
    ways = [(mask.folders, at, role)]
    for k in (*range(at + 1, len(mask.folders)), *range(at)):  # the folder of a class, or of all masks
        rest = (*mask.folders[:k], *mask.folders[k + 1 :])
        name = mask.folders[k]
        says_role = folder_role(name) and name.casefold() not in FOLDER_ROLES
        label = _role_label(name) if says_role else _class_folder(name)
        ways.append((rest, at - (k < at), " ".join(filter(None, (role, label)))))
    spelled = tokens(mask.stem)
    for folders, place_, label in ways:
        found = index.named(_key(folders, place_), spelled) or index.named(
            _key(folders, place_), _bare(spelled, EITHER_WORD)
        )
        if found:
            return _labeled(found[0], mask, label, found[1])
    for folders, place_, label in ways:
        image = index.alone(_key(folders, place_))
        if image:
            return _labeled(image, mask, label, spelled)
    return _in_folder_of_image(mask, at, index)


def _in_folder_of_image(mask: Entry, at: int, index: _Index) -> Labeled | None:
    """A mask in a folder that is named as its image, and maybe in one of a class: `masks/tumor/a/1.png`."""
    for k in (k for k in range(len(mask.folders)) if k != at):
        rest, place_ = (*mask.folders[:k], *mask.folders[k + 1 :]), at - (k < at)
        spelled = [*tokens(mask.folders[k]), *tokens(mask.stem)]
        for j in (None, *(j for j in range(len(rest)) if j != place_)):
            if j is None:
                folders, label = _key(rest, place_), ""
            else:
                folders, label = _key((*rest[:j], *rest[j + 1 :]), place_ - (j < place_)), _class_folder(rest[j])
            found = index.named(folders, spelled)
            if found:
                return _labeled(found[0], mask, label, found[1])
    return None


def _highest(mask: Entry) -> int | None:
    """The highest folder that is named after masks: `ManualMask/leftMask/a.png` → 0."""
    return next((k for k, name in enumerate(mask.folders) if folder_role(name) == "mask"), None)


def _beside(mask: Entry, index: _Index) -> Labeled | None:
    folders, spelled = tuple(name.casefold() for name in mask.folders), tokens(mask.stem)
    found = index.named(folders, spelled) or index.named(folders, _bare(spelled, EITHER_WORD))
    if found:
        return _labeled(found[0], mask, "", found[1])
    image = index.alone(folders)
    return _labeled(image, mask, "", spelled) if image else None


def _labeled(image: Entry, mask: Entry, folder: str, extra: Sequence[str]) -> Labeled:
    """A mask with its label out of the folder's name, or else of the words that its own name has beyond the image's."""
    own = [word for word in extra if not MASK_WORD.fullmatch(word.casefold())]
    name = folder or " ".join(word for word in own if not word.isdecimal())
    number = " ".join(word for word in own if word.isdecimal())
    return Labeled(image, mask, name, number, by_word=len(own) < len(extra))


def _role_label(name: str) -> str:
    """What the name of a folder of masks adds: `masks_liver` → liver; `masks2`, `masks_observer1` → all of it."""
    spelled = tokens(name)
    rest = [word for word in spelled if not _says_role(word)]
    if not rest or all(word.isdecimal() for word in rest):
        return name if spelled and spelled[-1].isdecimal() else ""
    while len(rest) > 1 and rest[0].isdecimal():
        rest = rest[1:]
    return name if any(word.isdecimal() for word in rest) else " ".join(rest)


def _says_role(word: str) -> bool:
    word = word.casefold()
    return bool(EITHER_WORD.fullmatch(word) or PART.fullmatch(word)) or bool(folder_role(word))


def _class_folder(name: str) -> str:
    """The name of a class's folder without a number before it: `1. Microaneurysms`."""
    return re.sub(r"^\d+[\s._)-]+(?=[^\W\d])", "", name)


def _mask_of_another(entry: Entry, stems: set[tuple[Folders, tuple[str, ...]]]) -> bool:
    """Whether the name is another image's with a word for masks and more behind it: `benign (2)_mask_1`."""
    name = words(entry.stem)
    return any(
        MASK_WORD.fullmatch(word) and (entry.folders, tuple(name[:at])) in stems for at, word in enumerate(name) if at
    )


def _bare(name: Iterable[str], strip: re.Pattern[str]) -> tuple[str, ...]:
    """The words of a name without those to strip at its beginning and end; never without all of them."""
    name = tuple(name)
    while len(name) > 1 and strip.fullmatch(name[-1].casefold()):
        name = name[:-1]
    while len(name) > 1 and strip.fullmatch(name[0].casefold()):
        name = name[1:]
    return name
