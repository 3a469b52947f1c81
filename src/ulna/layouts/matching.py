"""Which file is an image, which a mask, and which mask belongs to which image: told from names alone."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ulna.layouts.listing import Entry

IMAGE_WORD = re.compile(r"images?|imgs?|im|raws?|inputs?|originals?|scans?|photos?|pictures?|frames?|vol(umes?)?")
MASK_WORD = re.compile(
    r"masks?|labels?|lbls?|labell?ed|segs?|segm|segmentations?|gts?|groundtruths?|truth|targets?|"
    r"anns?|anno|annot(ated|ations?)?|manual"
)
EITHER_WORD = re.compile(f"{IMAGE_WORD.pattern}|{MASK_WORD.pattern}")
# Words that part a data set, and say nothing about whom an image is of.
PART = re.compile(
    r"train(ing|val)?|tr|val(id(ation)?)?|test(ing)?|ts|dev|eval(uation)?|sets?|data(sets?)?|all|folds?|batch"
)
# Words that mean a role only as the whole name of a folder.
FOLDER_ROLES = {"x": "image", "y": "mask"}
SEPARATOR = re.compile(r"[\s_.,()-]+")
GROUND_TRUTH = re.compile(r"ground[\s_.-]*truths?", re.IGNORECASE)
# Words that CamVid and others write as one: `trainannot`, `testmasks`.
GLUED = re.compile(r"(?i)\b(train|val|test)(?=(annot|mask|label|image|img|gt|seg)s?\b)")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")


@dataclass(frozen=True)
class Pairing:
    """Images with their masks, and what was left over. An image may have several files: modalities."""

    pairs: tuple[tuple[tuple[Entry, ...], Entry], ...]
    images: tuple[Entry, ...] = ()
    masks: tuple[Entry, ...] = ()


def words(name: str) -> list[str]:
    """The words of a name in lower case: `imagesTr` → images, tr; `img01` → img, 01; `JPEGImages`, `Ground Truth`."""
    return [token.casefold() for token in tokens(name)]


def tokens(name: str) -> list[str]:
    """The words of a name as they are written, with accents composed."""
    name = unicodedata.normalize("NFC", name)
    name = GLUED.sub(r"\1 ", CAMEL.sub(" ", GROUND_TRUTH.sub(" groundtruth ", SEPARATOR.sub(" ", name))))
    return name.split()


def folder_role(name: str) -> str:
    """'image', 'mask' or '' for a folder of this name."""
    parts = words(name)
    if len(parts) == 1 and parts[0] in FOLDER_ROLES:
        return FOLDER_ROLES[parts[0]]
    if any(MASK_WORD.fullmatch(part) for part in parts):  # before images: `image_labels`, `raw_masks`
        return "mask"
    return "image" if any(IMAGE_WORD.fullmatch(part) for part in parts) else ""


def is_mask_name(stem: str) -> bool:
    """Whether a name begins or ends with a word for masks, or is one: `a_mask`, `label-01`, `mask`."""
    name = words(stem)
    return bool(name) and (_without(name, MASK_WORD) != name or bool(MASK_WORD.fullmatch(name[0])))


def pair(images: Iterable[Entry], masks: Iterable[Entry], where: Callable[[Entry], tuple[str, ...]]) -> Pairing:
    """Join images and masks of the same `where` (folders that both share) whose names agree.

    In this order: the same name, to the letter; the same words; the mask's without its word for masks; both
    without the words for masks and images; the image's without a four-digit channel at its end (nnU-Net's
    `case_0000`), which joins several images to one mask; DRIVE's `21_training` and `21_manual1`; numbers padded with
    zeros on one side only. But for channels,
    a name that two files share joins nothing.
    """
    loose_images, loose_masks = list(images), list(masks)
    pairs: list[tuple[tuple[Entry, ...], Entry]] = []
    for image_key, mask_key, channels in RULES:
        by_image = _by_key(loose_images, image_key, where)
        by_mask = _by_key(loose_masks, mask_key, where)
        joined = [
            (tuple(found), by_mask[key][0])
            for key, found in by_image.items()
            if len(by_mask.get(key, ())) == 1 and (channels or len(found) == 1)
        ]
        used = {entry for found, mask in joined for entry in (*found, mask)}
        loose_images = [entry for entry in loose_images if entry not in used]
        loose_masks = [entry for entry in loose_masks if entry not in used]
        pairs += joined
    return Pairing(tuple(pairs), tuple(loose_images), tuple(loose_masks))


def by_modality(images: Iterable[Entry]) -> list[tuple[Entry, ...]]:
    """The files of each image: those of a folder whose names differ by the four-digit channel at their end alone."""
    found: dict[tuple[object, ...], list[Entry]] = defaultdict(list)
    for entry in images:
        name = _without_channel(entry.stem)
        found[(entry.folders, entry.source.suffix, tuple(name)) if name else (entry,)].append(entry)
    return [tuple(files) for files in found.values()]


Key = tuple[tuple[str, ...], tuple[str, ...]]
Rule = Callable[[str], list[str]]


def _by_key(entries: Iterable[Entry], rule: Rule, where: Callable[[Entry], tuple[str, ...]]) -> dict[Key, list[Entry]]:
    found: dict[Key, list[Entry]] = defaultdict(list)
    for entry in entries:
        name = rule(entry.stem)
        if name:
            found[where(entry), tuple(name)].append(entry)
    return found


def _to_the_letter(stem: str) -> list[str]:
    return [unicodedata.normalize("NFC", stem).casefold()]


def _without_mask_word(stem: str) -> list[str]:
    return _without(words(stem), MASK_WORD)


def _without_role(stem: str) -> list[str]:
    return _without(words(stem), EITHER_WORD)


def _without_channel(stem: str) -> list[str]:
    """The words of a name without nnU-Net's channel at its end; none where there is none."""
    name = words(stem)
    return name[:-1] if len(name) > 1 and re.fullmatch(r"\d{4}", name[-1]) else []


def _without_part(stem: str) -> list[str]:
    return _without(words(stem), PART)


def _without_observer(stem: str) -> list[str]:
    """The words of `21_manual1` before the word and the observer's number; none of a name without these."""
    name = words(stem)
    return name[:-2] if len(name) > 2 and name[-2] == "manual" and name[-1].isdecimal() else []


def _unpadded(stem: str) -> list[str]:
    """The words of a name without those for roles, numbers without zeros before them: `img_1` and `mask_001`."""
    return [word.lstrip("0") or "0" if word.isdecimal() else word for word in _without_role(stem)]


# What of an image's name and of a mask's must agree, and whether several images may: the strictest first.
RULES: tuple[tuple[Rule, Rule, bool], ...] = (
    (_to_the_letter, _to_the_letter, False),
    (words, words, False),
    (words, _without_mask_word, False),
    (_without_role, _without_role, False),
    (_without_channel, _without_mask_word, True),
    (_without_part, _without_observer, False),
    (_unpadded, _unpadded, False),
)


def _without(name: list[str], strip: re.Pattern[str]) -> list[str]:
    """The words of a name without those to strip at its beginning and its end; never without all of them."""
    while len(name) > 1 and strip.fullmatch(name[-1]):
        name = name[:-1]
    while len(name) > 1 and strip.fullmatch(name[0]):
        name = name[1:]
    return name
