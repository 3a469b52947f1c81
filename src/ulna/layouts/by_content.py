"""Image and mask of the same name, told apart by format and content: `001.bmp` and `001.png`."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import median

import numpy as np

from ulna import formats
from ulna.dataset import Dataset
from ulna.errors import ReadError
from ulna.image import Source
from ulna.layouts.build import drafts, left_over, make_cases
from ulna.layouts.listing import Entry, Listing
from ulna.layouts.matching import Pairing, pair
from ulna.layouts.selection import unselected

EXAMPLE = "image and mask of one name in two formats:  001.bmp  001.png"
MAX_INSPECTED = 7
MAX_MASK_VALUES = 32
MAX_SIDE = 64  # pixels of a thumbnail's side: enough to tell a photograph from a mask


def read(listing: Listing) -> Dataset | None:
    """The data set, where names come twice, in two formats of which one holds few distinct values (the masks)."""
    told = _suffixes(listing)
    if told is None:
        return None
    images, masks, count = told
    pairing = _pairing(listing, images, masks)
    sentence = f"{count} images ({images}) beside masks of the same names ({masks}: few distinct values)"
    made, problems = make_cases(drafts(pairing))
    return Dataset(made, sentence, (*problems, *left_over(pairing.masks)))


def _pairing(listing: Listing, images: str, masks: str) -> Pairing:
    return pair(
        [entry for entry in listing.images if entry.source.suffix == images],
        [entry for entry in listing.images if entry.source.suffix == masks],
        lambda entry: entry.folders,
    )


def _suffixes(listing: Listing) -> tuple[str, str, int] | None:
    """The suffix of the images, that of the masks, and how many pairs; None if the content does not tell."""
    by_name: dict[tuple[tuple[str, ...], str], list[Entry]] = defaultdict(list)
    for entry in listing.images:
        by_name[entry.folders, entry.stem.casefold()].append(entry)
    twice = [found for found in by_name.values() if len({entry.source.suffix for entry in found}) == 2 == len(found)]
    if not twice:
        return None
    (kinds, _), *_ = Counter(tuple(sorted(e.source.suffix for e in found)) for found in twice).most_common(1)
    alike = [found for found in twice if tuple(sorted(e.source.suffix for e in found)) == kinds]
    first, second = _medians([tuple(sorted(found, key=lambda entry: entry.source.suffix)) for found in alike])
    if _are_masks(second, images=first):
        return kinds[0], kinds[1], len(alike)
    return (kinds[1], kinds[0], len(alike)) if _are_masks(first, images=second) else None


def holds_masks(pairs: Sequence[tuple[Entry, Entry]]) -> bool:
    """Whether the second files of pairs hold few distinct values, and the first ones more: image and mask."""
    images, masks = _medians(pairs)
    return _are_masks(masks, images=images)


def _are_masks(values: float, *, images: float) -> bool:
    """Whether so many distinct values are those of masks, as images have so many; infinite: none could be read."""
    return values <= MAX_MASK_VALUES and values < images < math.inf


def _medians(pairs: Sequence[tuple[Entry, ...]]) -> tuple[float, float]:
    """The medians of the distinct values of the first and of the second files of pairs, over a few of them."""
    step = max(1, len(pairs) // MAX_INSPECTED)
    values: tuple[list[int], list[int]] = ([], [])
    for pair_ in pairs[::step][:MAX_INSPECTED]:
        for entry, found in zip(pair_, values, strict=True):
            try:
                found.append(_distinct(entry.source))
            except ReadError:
                continue  # `check` reports it; here the others tell
    first, second = (float(median(found)) if found else math.inf for found in values)
    return first, second


def _distinct(source: Source) -> int:
    """How many distinct colors a thumbnail of a file holds: evenly taken pixels, so that no color is mixed."""
    array = formats.read(unselected(source)).array
    steps = tuple(slice(None, None, max(1, size // MAX_SIDE)) for size in array.shape[1:])
    pixels = array[(slice(None), *steps)].reshape(len(array), -1)
    return len(np.unique(pixels, axis=1).T)
