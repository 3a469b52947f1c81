"""Several masks per image: one per class, one per lesion (united), or drawings of several observers (one is taken)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median

import numpy as np

from ulna.dataset import Dataset, Problem
from ulna.errors import UlnaError
from ulna.formats.base import equal_channels
from ulna.image import Array
from ulna.labels.packed import MAX_COLORS
from ulna.layouts.build import CaseDraft, left_over, make_cases
from ulna.layouts.by_content import holds_masks
from ulna.layouts.classed import by_class, each_an_object, numbers_objects
from ulna.layouts.labeled import Labeled, by_extension, by_folders, by_names
from ulna.layouts.listing import Entry, Listing, natural
from ulna.layouts.matching import words
from ulna.layouts.pairs import drawn_by_hand, sides
from ulna.masks import inside, read_mask
from ulna.text import listed, plural

EXAMPLE = (
    "several masks per image, one per class or lesion:  images/a.png  masks/liver/a.png  masks/kidney/a.png  "
    "(or a.png  a_mask_liver.png  a_mask_kidney.png)"
)
AFFIXED = "masks whose names add the same to their images' names:  images/a.png  masks/a_cp_masks.png"
SAY_CLASSES = "For classes set data.masks, for example 'masks/{case}_{class}.png'"
SAY_WHICH = "data.masks says which to use, for example 'SegmentationObject/{case}.png' for objects"
MAX_INSPECTED = 7
MAX_SIDE = 256  # pixels of the thumbnails on which masks are compared
MAX_COMPARED = 8  # masks of one image that are compared with each other
MIN_AGREEMENT = 0.5  # Dice from which two masks of one image are drawings of the same
NESTED = 0.98  # share of the smaller mask from which it lies within the other

OBSERVER = re.compile(
    r"observers?|annotators?|raters?|readers?|experts?|graders?|manual|doctors?|consensus|st|nd|ho|user", re.IGNORECASE
)
PICTURE = re.compile(r"colou?r(s|ed|map)?|rgb|vis|visuali[sz](ed|ations?)|previews?|overlays?|dist|distances?|weights?")
# Several files of the same annotation (PASCAL VOC's SegmentationClass and SegmentationObject), the best one first.
SAME = ("", "class", "semantic", "binary", "instance", "instances", "inst", "object", "objects")

Groups = Mapping[Entry, Sequence[Labeled]]


@dataclass(frozen=True)
class Reading:
    """How the masks of images are to be read: drafts of the cases, a sentence, and what is to be said."""

    drafts: tuple[CaseDraft, ...]
    sentence: str
    problems: tuple[Problem, ...] = ()


def read(listing: Listing) -> Dataset | None:
    """The data set, where at least one image has several masks that can be told apart by their names."""
    images, masks, found = _found(listing)
    groups, unclear = _grouped(found)
    if not any(len(of_one) > 1 for of_one in groups.values()):
        return None
    return _as_dataset(_reading(groups), images, masks, unclear)


def read_affixed(listing: Listing) -> Dataset | None:
    """The data set where each image has one mask, whose name adds something to the image's: `a_cp_masks.png`.

    Where no name says which files are masks (`a.png`, `a_L.png`), their content must.
    """
    images, masks, found = _found(listing)
    groups, unclear = _grouped(found)
    if not groups:
        found = by_extension(listing.images)
        groups, unclear = _grouped(found)
        masks = [one.mask for one in found]
        images = [entry for entry in listing.images if entry not in set(masks)]
        if not groups or not holds_masks([(image, of_one[0].mask) for image, of_one in groups.items()]):
            return None
    several = any(len(of_one) > 1 for of_one in groups.values())
    return _as_dataset(_reading(groups) if several else _affixed(groups), images, masks, unclear)


def _affixed(groups: Groups) -> Reading:
    drafts = tuple(CaseDraft((image,), (of_one[0].mask,)) for image, of_one in groups.items())
    added = tuple(dict.fromkeys(label for of_one in groups.values() if (label := _label(of_one[0]))))
    adds = f" whose names add {listed(added, quoted=True)}" if added else ""
    sentence = f"{plural(len(groups), 'image')} with one mask each{adds}"
    guess = f"names of masks add different words to their images' names. {SAY_CLASSES}"
    return Reading(drafts, sentence, (Problem(guess, added),) if len(added) > 1 else ())


def _found(listing: Listing) -> tuple[list[Entry], list[Entry], list[Labeled]]:
    """The images, the masks, and which mask belongs to which image; nothing where one folder is drawn by hand."""
    images, masks = sides(listing)
    if drawn_by_hand(masks):
        return images, masks, []
    found = by_folders(images, masks) if masks else by_names(listing.images)
    taken = {one.mask for one in found}
    return [entry for entry in images if entry not in taken], masks or list(taken), found


def _grouped(found: Sequence[Labeled]) -> tuple[dict[Entry, list[Labeled]], list[Entry]]:
    """The masks of each image, and masks that cannot be told apart: two of one label, or of images that are missing."""
    by_image: dict[Entry, list[Labeled]] = defaultdict(list)
    for one in found:
        by_image[one.image].append(one)
    spelled = {tuple(words(image.stem)) for image in by_image}
    numbered = any(name[:-1] in spelled and name[-1].isdecimal() for name in spelled)
    groups: dict[Entry, list[Labeled]] = {}
    unclear: list[Entry] = []
    for image, masks in by_image.items():
        often = Counter((one.name, one.number) for one in masks)
        # where `a` and `a_2` are images, the mask `a_3` may be that of an image which is missing
        clear = [
            one
            for one in masks
            if often[one.name, one.number] == 1 and (one.by_word or one.name or not (one.number and numbered))
        ]
        unclear += [one.mask for one in masks if one not in clear]
        if clear:
            groups[image] = clear
    return groups, unclear


def _reading(groups: Groups) -> Reading:
    names = {one.name for of_one in groups.values() for one in of_one}
    pictures = {name for name in names if name and all(PICTURE.fullmatch(word) for word in words(name))}
    if pictures and pictures != names:
        why = "they are named as pictures of masks"
        return _without(groups, lambda one: one.name not in pictures, why)
    shots = {name for name in names if len(names) > 1 and _are_pictures(groups, name)}
    if shots and shots != names:
        photographs = listed(sorted(shots), quoted=True)
        why = f"those named {photographs} hold colors as photographs do"
        return _without(groups, lambda one: one.name not in shots, why)
    if any(OBSERVER.fullmatch(word) for name in names for word in words(name)):
        first = min((_label(one) for of_one in groups.values() for one in of_one), key=natural)
        return _without(groups, lambda one: _label(one) == first, _of_observers(first))
    if len(names) > 1 and {name.casefold() for name in names} <= set(SAME):
        best = min(names, key=lambda name: SAME.index(name.casefold()))
        return _without(
            groups, lambda one: one.name == best, f"they show the same as those named '{best}' ({SAY_WHICH})"
        )
    if len(names) == 1:
        alike = _agreeing(groups, _label)
        if alike:
            first = min((_label(one) for of_one in groups.values() for one in of_one), key=natural)
            return _without(groups, lambda one: _label(one) == first, f"{alike}; {_of_observers(first)}")
        return _united(groups)
    if "" in names:
        others = sorted((name for name in names if name), key=natural)
        why = f"their names add {listed(others, quoted=True)} to those of the masks that are used. {SAY_CLASSES}"
        return _without(groups, lambda one: not one.name, why)
    alike = _agreeing(groups, lambda one: one.name)
    if alike:
        first = min(names, key=natural)
        return _without(groups, lambda one: one.name == first, f"{alike}; {_of_observers(first)}")
    return _by_class(groups)


def _label(one: Labeled) -> str:
    return " ".join(filter(None, (one.number, one.name))) if one.number else one.name


def _of_observers(first: str) -> str:
    return (
        f"they seem to be drawn by several observers, which are not merged: those of '{first}' are used "
        "(data.masks says which, for example 'masks_observer2/{case}.png'; '{class}' in it stands for classes)"
    )


def _without(groups: Groups, keep: Callable[[Labeled], bool], why: str) -> Reading:
    """The reading of the masks to keep, and the problem that the others are not used."""
    kept = {image: [one for one in of_one if keep(one)] for image, of_one in groups.items()}
    rest = [one.mask.path for of_one in groups.values() for one in of_one if not keep(one)]
    kept = {image: of_one for image, of_one in kept.items() if of_one}
    several = any(len(of_one) > 1 for of_one in kept.values())
    reading = _reading(kept) if several else _plain(kept)
    problem = Problem(f"{plural(len(rest), 'mask is', 'masks are')} left out: {why}", tuple(rest))
    return replace(reading, problems=(problem, *reading.problems))


def _plain(groups: Groups) -> Reading:
    drafts = tuple(CaseDraft((image,), (of_one[0].mask,)) for image, of_one in groups.items())
    return Reading(drafts, f"{plural(len(groups), 'image')} with one mask each")


def _united(groups: Groups) -> Reading:
    """The masks of an image are of several objects or lesions: each is one, they number theirs, or become one mask."""
    several = {image: of_one for image, of_one in groups.items() if len(of_one) > 1}
    masks = [[one.mask for one in of_one] for of_one in groups.values()]
    objects = each_an_object(masks)
    numbered = not objects and numbers_objects(masks).sure
    drafts = tuple(
        CaseDraft((image,), tuple(files), objects or numbered, numbered=numbered)
        for image, files in zip(groups, masks, strict=True)
    )
    count = plural(len(several), "image has several masks", "images have several masks")
    first = next(iter(several.values()))
    shown = " and ".join(f"'{one.mask.source.name}'" for one in first[:2])
    become = "each of which is taken for one object" if objects else "which are united to one"
    if numbered:
        become = "which number objects: those of all of them are taken, and numbered on from file to file"
    where = tuple(image.path for image in several)
    sure = all(one.by_word or not one.number for of_one in several.values() for one in of_one)
    numbers = {tuple(sorted(_label(one) for one in of_one)) for of_one in groups.values()}
    if len(numbers) == 1 < len(groups):
        sure, become = False, f"{become}, although all images have the same numbers"
    problem = Problem(f"{count} ({shown}), {become}. {SAY_CLASSES}", where, "note" if sure else "warning")
    images, files = plural(len(groups), "image"), sum(map(len, masks))
    if objects:
        return Reading(drafts, f"{images} with {files:,} masks, one file per object", (problem,))
    if numbered:
        return Reading(drafts, f"{images} with {files:,} masks, whose values number objects", (problem,))
    return Reading(drafts, f"{images} with their masks; of {len(several)} several masks are united", (problem,))


def _by_class(groups: Groups) -> Reading:
    """Each name is a class, and its masks show where it is, or its objects."""
    found = by_class(
        [
            CaseDraft((image,), tuple(one.mask for one in of_one), truth_classes=tuple(one.name for one in of_one))
            for image, of_one in groups.items()
        ]
    )
    return Reading(found.drafts, f"{plural(len(groups), 'image')} with {found.sentence}", found.problems)


def _as_dataset(reading: Reading, images: Sequence[Entry], masks: Sequence[Entry], unclear: Sequence[Entry]) -> Dataset:
    """The cases of a reading, those of images without mask, and what of the masks was left over."""
    used = {entry for draft in reading.drafts for entry in (*draft.images, *draft.truth)}
    bare = [CaseDraft((image,)) for image in images if image not in used]
    order = {entry: index for index, entry in enumerate(images)}
    drafts = sorted((*reading.drafts, *bare), key=lambda draft: order.get(draft.images[0], -1))
    made, problems = make_cases(drafts)
    said = {path for problem in reading.problems for path in problem.where}
    rest = [mask for mask in (*masks, *unclear) if mask not in used and mask.path not in said]
    return Dataset(made, reading.sentence, (*reading.problems, *problems, *left_over(list(dict.fromkeys(rest)))))


def _agreeing(groups: Groups, key: Callable[[Labeled], str]) -> str:
    """What says that masks of different names show the same; "" where they do not, as classes should not."""
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    several = [of_one for of_one in groups.values() if len({key(one) for one in of_one}) > 1]
    step = max(1, len(several) // MAX_INSPECTED)
    for of_one in several[::step][:MAX_INSPECTED]:
        shown = {key(one): _thumbnail(one.mask) for one in of_one[:MAX_COMPARED]}
        names = sorted(shown, key=natural)
        for first, second in combinations(names, 2):
            scores[first, second].append(_agreement(shown[first], shown[second]))
    for pair, found in scores.items():
        if median(found) >= MIN_AGREEMENT:
            return f"'{pair[0]}' and '{pair[1]}' overlap with a Dice of {median(found):.2f}"
    return ""


def _are_pictures(groups: Groups, name: str) -> bool:
    """Whether masks of a name are pictures drawn on the images (Supervisely's `masks_human`)."""
    entries = [one.mask for of_one in groups.values() for one in of_one if one.name == name]
    return all(_is_picture(entry) for entry in entries[:: max(1, len(entries) // MAX_INSPECTED)][:MAX_INSPECTED])


def _is_picture(entry: Entry) -> bool:
    try:
        array = read_mask(entry.source)
    except UlnaError:
        return False  # said when the case is read
    if len(array) != 3 or equal_channels(array):
        return False
    step = tuple(slice(None, None, max(1, size // MAX_SIDE)) for size in array.shape[1:])
    return len(np.unique(array[(slice(None), *step)].reshape(3, -1), axis=1).T) > MAX_COLORS


def _thumbnail(entry: Entry) -> Array | None:
    try:
        array = read_mask(entry.source)
    except UlnaError:
        return None  # said when the case is read
    step = tuple(slice(None, None, max(1, size // MAX_SIDE)) for size in array.shape[1:])
    return inside(array[(slice(None), *step)])


def _agreement(first: Array | None, second: Array | None) -> float:
    """The Dice of two masks; 0 where one lies within the other, as classes do."""
    if first is None or second is None or first.shape != second.shape or not first.any() or not second.any():
        return 0.0
    both = int(np.count_nonzero(first & second))
    smaller, larger = sorted((int(np.count_nonzero(first)), int(np.count_nonzero(second))))
    return 0.0 if both >= NESTED * smaller and smaller < NESTED * larger else 2 * both / (smaller + larger)
