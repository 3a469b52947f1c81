"""Image and mask of the same name, told apart by format and content: `001.bmp` and `001.png`."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import median

import numpy as np

from ulna import formats
from ulna.dataset import Dataset
from ulna.errors import ReadError
from ulna.image import Source
from ulna.layouts.build import drafts, left_over, make_cases
from ulna.layouts.listing import Entry, Listing
from ulna.layouts.matching import Pairing, pair

EXAMPLE = "image and mask of one name in two formats:  001.bmp  001.png"
MAX_INSPECTED = 7
MAX_MASK_VALUES = 32


def recognizes(listing: Listing) -> str | None:
    """A sentence if names come twice, in two formats of which one holds few distinct values (the masks)."""
    told = _suffixes(listing)
    if told is None:
        return None
    images, masks, count = told
    return f"{count} images ({images}) beside masks of the same names ({masks}: few distinct values)"


def cases(listing: Listing) -> Dataset:
    """The cases of such files, those without a mask too."""
    told = _suffixes(listing)
    pairing = _pairing(listing, *told[:2]) if told is not None else Pairing(())
    made, problems = make_cases(drafts(pairing))
    return Dataset(made, recognizes(listing) or "", (*problems, *left_over(pairing.masks)))


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
    step = max(1, len(alike) // MAX_INSPECTED)
    values: dict[str, list[int]] = defaultdict(list)
    for entry in (entry for found in alike[::step][:MAX_INSPECTED] for entry in found):
        try:
            values[entry.source.suffix].append(_distinct(entry.source))
        except ReadError:
            continue  # `check` reports it; here the others tell
    if len(values) < 2:
        return None
    few, many = sorted(kinds, key=lambda suffix: median(values[suffix]))
    if median(values[few]) > MAX_MASK_VALUES or median(values[few]) >= median(values[many]):
        return None
    return many, few, len(alike)


def _distinct(source: Source) -> int:
    """How many distinct colors a file holds."""
    array = formats.read(source).array
    return len(np.unique(array.reshape(len(array), -1), axis=1).T) if len(array) > 1 else len(np.unique(array))
