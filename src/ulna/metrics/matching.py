"""Which predicted mask belongs to which case: by name alone."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.image import Source
from ulna.text import listed

#: What is often added to the name of an image to name its mask; it is ignored where names are compared.
_ADDED = re.compile(r"(?i)([ ._-]+(cp|simple))?[ ._-]+(pred(icted|iction)?|masks?|segm?(entation)?|labels?|gt|truth)$")
_AT_MOST = 20  # names shown at once


def match(
    cases: Sequence[Case], masks: Sequence[Source], *, where: object, words: tuple[str, str] = ("case", "mask")
) -> dict[str, Source]:
    """The mask of every case, by the case's name.

    A mask belongs to the case whose name, or whose image's or true mask's file name, is the mask's file name
    without suffix, with as many folders before it as are needed to tell cases apart. Endings such as `_mask`
    or `_pred` may differ. Masks of no case are ignored: they were not asked for. `words` are what messages call both.

    Raises UlnaError that names all cases without a mask, or a mask that would suit several cases.
    """
    case_word, mask_word = words
    known: dict[str, list[Source]] = defaultdict(list)
    for mask in masks:
        for tail in _tails(_way(mask)):
            known[tail].append(mask)
    found = {case.name: _only(case, known) for case in cases}
    missing = [name for name, mask in found.items() if mask is None]
    if missing:
        there = listed([mask.name for mask in masks])
        raise UlnaError(
            f"{len(missing)} of {len(cases)} {case_word}s have no {mask_word} here: {listed(missing, _AT_MOST)}",
            where=where,
            hint=f"A mask needs the file name of its image. The {mask_word}s found are called: {there}.",
        )
    made = {name: mask for name, mask in found.items() if mask is not None}
    owners: dict[Source, str] = {}
    for name, mask in made.items():
        if mask in owners:
            raise UlnaError(
                f"this {mask_word} would belong to two {case_word}s, {owners[mask]} and {name}",
                where=mask,
                hint="Keep masks in folders that are named as those of the images.",
            )
        owners[mask] = name
    return made


def _only(case: Case, known: dict[str, list[Source]]) -> Source | None:
    """The one mask that suits the case: the fullest of its names that one mask alone has decides."""
    apart = case.objects and not case.numbered  # an object's file names no image
    files = case.images if apart else (*case.truth, *case.images)  # a folder of both may hold images of these names
    ways = [unicodedata.normalize("NFC", case.name), *(_way(source) for source in files)]
    tails = sorted(dict.fromkeys(tail for way in ways for tail in _tails(way)), key=lambda tail: -tail.count("/"))
    baselines: list[Source] = []
    for tail in tails:
        masks = _highest(known.get(tail, []))
        if len(masks) == 1:
            return masks[0]
        baselines = baselines or masks
    if baselines:
        raise UlnaError(
            f"several masks could belong to the case {case.name}: {', '.join(str(mask) for mask in baselines)}",
            hint="Name the masks as their images, one mask per image.",
        )
    return None


def _highest(masks: list[Source]) -> list[Source]:
    """Those in the highest folder: pictures made of masks often lie in folders below them."""
    depth = min((_way(mask).count("/") for mask in masks), default=0)
    return [mask for mask in masks if _way(mask).count("/") == depth]


def _way(source: Source) -> str:
    """The file's folders and stem: `/data/masks/a_mask.png` → `/data/masks/a_mask`."""
    folders = source.path.parent.parts
    if source.inside:
        folders = (*folders, source.path.name, *PurePosixPath(source.inside[-1]).parts[:-1])
    stem = re.sub(r"(?i)\.ome(?=(_\d{4})?$)", "", source.stem)
    return unicodedata.normalize("NFC", "/".join((*folders, stem)))


def _tails(way: str) -> Iterator[str]:
    """`a/b/c_mask` → `c_mask`, `c`, `b/c_mask`, `b/c`, …: all that may name it, without regard to case."""
    *folders, stem = way.casefold().split("/")
    for own in dict.fromkeys((stem, _bare(stem))):
        for start in range(len(folders), -1, -1):
            yield "/".join((*folders[start:], own))


def _bare(stem: str) -> str:
    return _ADDED.sub("", stem) or stem
