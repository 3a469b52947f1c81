"""The Data Science Bowl's layout: `<id>/images/<id>.png` and `<id>/masks/<any>.png`, one object a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ulna.dataset import Dataset
from ulna.layouts.build import CaseDraft, left_over, make_cases
from ulna.layouts.listing import Entry, Listing
from ulna.layouts.matching import folder_role

EXAMPLE = "one file an object (2018 Data Science Bowl):  <id>/images/<id>.png  <id>/masks/<any>.png"
Folders = tuple[str, ...]


def recognizes(listing: Listing) -> str | None:
    """A sentence if each folder of images holds one image, and the folder of masks beside it several, at least once.

    One mask an image is a usual mask with classes of its own, whatever it is named: that is for pairs to read.
    """
    found = _found(listing)
    if not any(len(draft.truth) > 1 for draft in found) or any(len(draft.images) > 1 for draft in found):
        return None
    objects = sum(len(draft.truth) for draft in found)
    return (
        f"{sum(bool(draft.truth) for draft in found)} images with {objects:,} masks, one file an object "
        "(the layout of the 2018 Data Science Bowl)"
    )


def cases(listing: Listing) -> Dataset:
    """The cases of such folders; each is named after its folder."""
    found = _found(listing)
    used = {entry for draft in found for entry in draft.truth}
    made, problems = make_cases(found)
    orphans = [entry for entry in listing.images if _role(entry) == "mask" and entry not in used]
    return Dataset(made, recognizes(listing) or "", (*problems, *left_over(orphans)))


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
