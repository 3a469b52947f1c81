"""Masks beside their images, told apart by a word in the name: `a.tif` and `a_mask.tif`, also nested."""

from __future__ import annotations

from ulna.dataset import Dataset
from ulna.layouts.build import drafts, left_over, make_cases
from ulna.layouts.listing import Listing
from ulna.layouts.matching import Pairing, is_mask_name, pair
from ulna.text import plural

EXAMPLE = "masks beside images:  a.png  a_mask.png  (or _label, _seg, _gt …; a sub-folder is one patient)"


def read(listing: Listing) -> Dataset | None:
    """The data set, where some files are named as masks and at least one of them finds its image."""
    pairing = _pairing(listing)
    if not pairing.pairs:
        return None
    folders = {images[0].folders for images, _ in pairing.pairs}
    nested = f", in {len(folders)} folders" if len(folders) > 1 else ""
    images, mask = pairing.pairs[0]
    names = f"'{images[0].source.name}', '{mask.source.name}'"
    sentence = f"{plural(len(pairing.pairs), 'mask beside its image', 'masks beside their images')} ({names}){nested}"
    made, problems = make_cases(drafts(pairing))
    return Dataset(made, sentence, (*problems, *left_over(pairing.masks)))


def _pairing(listing: Listing) -> Pairing:
    masks = [entry for entry in listing.images if is_mask_name(entry.stem)]
    images = [entry for entry in listing.images if not is_mask_name(entry.stem)]
    return pair(images, masks, lambda entry: entry.folders)
