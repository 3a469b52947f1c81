"""The Data Science Bowl's layout: `<id>/images/<id>.png` and `<id>/masks/<any>.png`, one file per object or class."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from ulna.dataset import Dataset
from ulna.layouts.build import CaseDraft, left_over, make_cases
from ulna.layouts.classed import by_class
from ulna.layouts.listing import Entry, Listing
from ulna.layouts.matching import MASK_WORD, folder_role, tokens, words
from ulna.text import plural

EXAMPLE = (
    "one file per object (2018 Data Science Bowl) or per class:  <id>/images/<id>.png  <id>/masks/<any>.png  "
    "(or <id>/masks/liver.png  <id>/masks/kidney.png)"
)
MAX_CLASSES = 30
Folders = tuple[str, ...]


def read(listing: Listing) -> Dataset | None:
    """The data set, where folders of images hold one image each, and at least one folder of masks beside them several.

    One mask per image is a usual mask with classes of its own, whatever it is named: that is for pairs to read. Where
    the names of masks come again from case to case (`liver`, `kidney`), they are classes, else each is an object.
    """
    found = _found(listing)
    if not any(len(draft.truth) > 1 for draft in found) or any(len(draft.images) > 1 for draft in found):
        return None
    if any(len({mask.folders for mask in draft.truth}) > 1 for draft in found):  # `label masks` beside `mask binary`
        return None
    used = {entry for draft in found for entry in draft.truth}
    orphans = [entry for entry in listing.images if _role(entry) == "mask" and entry not in used]
    named = [[(_name(mask, draft), mask) for mask in draft.truth] for draft in found]
    count = sum(bool(draft.truth) for draft in found)
    if _are_classes([name for masks in named for name, _ in masks], count):
        classed = by_class(
            [
                replace(draft, objects=False, truth_classes=tuple(name for name, _ in masks))
                for draft, masks in zip(found, named, strict=True)
            ]
        )
        found, said = classed.drafts, classed.problems
        sentence = f"{plural(count, 'image')} with {classed.sentence}"
    else:
        objects = sum(len(draft.truth) for draft in found)
        sentence = (
            f"{count} images with {objects:,} masks, one file per object (the layout of the 2018 Data Science Bowl)"
        )
        said = ()
    made, problems = make_cases(found)
    return Dataset(made, sentence, (*said, *problems, *left_over(orphans)))


def _name(mask: Entry, draft: CaseDraft) -> str:
    """What the name of a mask says beside the case's name and words for masks, without numbers."""
    known = {*words(draft.images[0].stem), *words(draft.name)}
    return " ".join(
        word
        for word in tokens(mask.stem)
        if word.casefold() not in known and not MASK_WORD.fullmatch(word.casefold()) and not word.isdecimal()
    )


def _are_classes(names: Sequence[str], cases: int) -> bool:
    """Whether the names of masks are those of classes: few, of letters, and they come again; else of objects."""
    different = set(names)
    lettered = all(re.fullmatch(r"[^\W\d_]{2,}( [^\W\d_]+)*", name) for name in different)
    return lettered and 2 <= len(different) <= MAX_CLASSES and (cases == 1 or len(names) >= 2 * len(different))


def _found(listing: Listing) -> Sequence[CaseDraft]:
    images: dict[Folders, list[Entry]] = defaultdict(list)
    masks: dict[Folders, list[Entry]] = defaultdict(list)
    for entry in listing.images:
        role = _role(entry)
        if role and len(entry.folders) > 1:
            (images if role == "image" else masks)[entry.folders[:-1]].append(entry)
    return [
        CaseDraft(tuple(files), tuple(masks.get(folder, ())), objects=True, name=folder[-1])
        for folder, files in images.items()
    ]


def _role(entry: Entry) -> str:
    return folder_role(entry.folders[-1]) if entry.folders else ""
