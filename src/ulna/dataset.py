"""`Case` and `Dataset`: what a layout found, how it is loaded and how it is split."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

import numpy as np
import psutil

from ulna import formats
from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.formats.palette import check_palette
from ulna.image import Array, Image, Source
from ulna.normalization import to_channels

T = TypeVar("T")
R = TypeVar("R")

NESTED = 0.98  # share of a class's pixels that must lie within another's for the class to lie within it
MAX_CLASSES = 254

Part = Literal["", "train", "validation", "test"]
"""The part of a ready-made split that a case belongs to; "" where the data come without one."""


class Progress(Protocol):
    """What shows how far a long job is: wraps a sequence and passes its items on."""

    def __call__(self, items: Sequence[T], what: str, /) -> Iterable[T]:
        """Give the items one by one.

        Parameters
        ----------
        items
            What is done.
        what
            Names the work, for the bar.

        Returns
        -------
        iterable
            The items in their order.
        """


def quiet(items: Sequence[T], _what: str, /) -> Iterable[T]:
    """The progress that shows nothing.

    Parameters
    ----------
    items
        What is done.
    _what
        Names the work; not shown.

    Returns
    -------
    iterable
        The items.
    """
    return items


@dataclass(frozen=True)
class Case:
    """One image with its truth.

    Parameters
    ----------
    name
        Unique within the data set.
    images
        One source per modality; their channels are stacked.
    truth
        Empty where there is none; one mask; several masks that are united; many files of one object each; or files of
        one class each.
    group
        What must stay on one side of every split: a patient, a stack, a picture that tiles were cut from, duplicates.
    objects
        Whether each file of the truth shows one object.
    truth_classes
        The class that each file of the truth shows, where each shows one.
    classes
        All classes of the data set without the background, in the order of their indices, where files show one class
        each.
    part
        The case's part of a ready-made split.
    """

    name: str
    images: tuple[Source, ...]
    truth: tuple[Source, ...] = ()
    group: str = ""
    objects: bool = False
    truth_classes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    part: Part = ""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the data.

    Parameters
    ----------
    what
        In words.
    where
        Names of cases or files.
    severity
        "fatal" (training cannot go on), "warning" or "note".
    """

    what: str
    where: tuple[str, ...] = ()
    severity: str = "warning"  # "fatal", "warning" or "note"


@dataclass(frozen=True)
class Dataset:
    """What a layout found.

    Parameters
    ----------
    cases
        The cases, in natural order of their names.
    sentence
        How the layout was understood.
    problems
        What was wrong with it.
    """

    cases: tuple[Case, ...]
    sentence: str
    problems: tuple[Problem, ...] = ()


def in_parallel(
    work: Callable[[T], R], items: Sequence[T], *, weigh: Callable[[T], int] | None = None, budget: int = 0
) -> Iterator[R]:
    """The results of `work` in the order of the items, a few of them ahead in threads.

    For reading and decoding, which leave Python's lock alone. No more than a few results wait in memory.

    Parameters
    ----------
    work
        What is done with each item.
    items
        What it is done with.
    weigh
        How many bytes an item takes in memory; by default items are not weighed.
    budget
        How many bytes may be in flight together (one item always may); 0: a quarter of the free memory.
    """
    workers = min(8, os.cpu_count() or 1)
    budget = budget or int(psutil.virtual_memory().available) // 4
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[Future[R], int]] = deque()
        load = 0
        try:
            for item in items:
                weight = weigh(item) if weigh else 0
                while waiting and (len(waiting) > workers or load + weight > budget):
                    future, done = waiting.popleft()
                    yield future.result()
                    load -= done
                waiting.append((pool.submit(work, item), weight))
                load += weight
            while waiting:
                yield waiting.popleft()[0].result()
        finally:
            for future, _ in waiting:
                future.cancel()


def case_bytes(case: Case) -> int:
    """How much memory a case takes while it is read, by the headers of its images; 0 for what cannot be opened.

    The image as it is decoded and as 32-bit numbers, and two maps of the same size for its mask.
    """
    total = 0
    for source in case.images:
        try:
            with formats.open_reader(source) as reader:
                samples = reader.nbytes // reader.dtype.itemsize
                total += reader.nbytes + 4 * samples + 8 * (samples // len(reader.channels))
        except UlnaError:
            continue  # said when it is read
    return total


def load_image(case: Case, *, channels: int = 0) -> Image:
    """The image of a case: its modalities stacked on the channel axis, in their order.

    Parameters
    ----------
    case
        A case with one image or several.
    channels
        How many channels it is to have, as `to_channels` brings them about; 0: as it is.

    Returns
    -------
    Image
        (C, Y, X) or (C, Z, Y, X) in the files' own dtype.

    Raises
    ------
    ReadError
        For a file that cannot be read.
    UlnaError
        Where modalities differ in size, have other channels, or an alpha that varies.
    """
    image = _stacked(case)
    try:
        array = to_channels(image.array, channels or len(image.array), image.channels)
    except UlnaError as error:
        raise UlnaError(error.what, where=case.name, hint=error.hint) from None
    return image if array is image.array else image.with_array(array)


def _stacked(case: Case) -> Image:
    images = [formats.read(source) for source in case.images]
    if len(images) == 1:
        return images[0]
    for other in images[1:]:
        if other.shape != images[0].shape:
            raise UlnaError(
                f"its images differ in size: {_size(images[0].shape)} and {_size(other.shape)}",
                where=case.name,
            )
    channels = tuple(channel for image in images for channel in image.channels)
    return replace(images[0], array=np.concatenate([image.array for image in images]), channels=channels)


@dataclass(frozen=True)
class Overlap:
    """Pixels that two files of a case's truth claim: `first` and `second` are classes, or "" for objects or lesions.

    `nested`: the smaller of the two classes lies within the other, and is painted on top of it.
    """

    first: str
    second: str
    pixels: int
    nested: bool = False


def load_truth(case: Case) -> Image:
    """The mask of a case.

    Parameters
    ----------
    case
        A case with truth.

    Returns
    -------
    Image
        (C, Y, X) as it was read, or made of several files (see `merged_truth`).

    Raises
    ------
    ReadError
        For a file that cannot be read.
    UlnaError
        For a case that has no mask.
    """
    return merged_truth(case)[0]


def merged_truth(case: Case) -> tuple[Image, tuple[Overlap, ...]]:
    """The mask of a case, and which of its files overlap.

    One file is taken as it is, (C, Y, X). Files of one object each become a label map (1, Y, X) int32, files of one
    class each a map of class indices (1, Y, X) uint8 in the order of `case.classes`, other files one mask that holds
    the largest value of each pixel. Raises as `load_truth`, and UlnaError where files differ in size
    or a palette shows two values in one color.
    """
    if not case.truth:
        raise UlnaError("this case has no mask", where=case.name)
    if case.objects:
        labels, pixels = merge_objects(case)
        return Image(labels, source=case.truth[0]), (Overlap("", "", pixels),) if pixels else ()
    first = formats.read(case.truth[0])
    if case.truth_classes:
        indices, overlaps = _merge_classes(case)
        return first.with_array(indices), overlaps
    for source in case.truth:
        check_palette(source)
    if len(case.truth) == 1:
        return first, ()
    return _united(case, first)


def inside(mask: Array) -> Array:
    """Where a mask of one thing, (C, *spatial), shows it: (*spatial) bool.

    Every value but 0 counts, of color any channel. Where most of what is not 0 is 255 and other values lie between
    (JPEG, a smooth resize), the nearer of 0 and 255 counts.
    """
    gray = mask.max(axis=0)
    if mask.dtype == np.uint8:
        counts = np.bincount(gray.ravel(), minlength=256)
        if counts[1:].argmax() == 254 and counts[1:255].any():
            return np.asarray(gray >= 128)
    return np.asarray(gray != 0)


def read_mask(source: Source) -> Array:
    """A mask of one thing without its alpha channel, (C, *spatial); the alpha alone where the rest shows nothing."""
    image = formats.read(source)
    signal = [index for index, channel in enumerate(image.channels) if channel.role != "alpha"]
    array = image.array[signal]
    flat = len(signal) < len(image.channels) and all(np.ptp(channel) == 0 for channel in array)
    return np.delete(image.array, signal, axis=0) if flat or not signal else array


def _same_size(masks: Sequence[Array], sources: Sequence[Source]) -> None:
    for mask, source in zip(masks, sources, strict=True):
        if mask.shape[1:] != masks[0].shape[1:]:
            raise UlnaError(
                f"this mask is {_size(mask.shape[1:])}, the first of its case is {_size(masks[0].shape[1:])}",
                where=source,
            )


def _united(case: Case, first: Image) -> tuple[Image, tuple[Overlap, ...]]:
    masks = [first.array, *(formats.read(source).array for source in case.truth[1:])]
    _same_size(masks, case.truth)
    for mask, source in zip(masks, case.truth, strict=True):
        if mask.shape != first.array.shape:
            what = f"this mask has {len(mask)} channels, the first of its case has {len(first.array)}"
            raise UlnaError(what, where=source, hint="Save them all as gray images.")
    claims = np.sum([inside(mask) for mask in masks], axis=0)
    pixels = int(np.count_nonzero(claims > 1))
    united = first.with_array(np.maximum.reduce(masks))
    return united, (Overlap("", "", pixels),) if pixels else ()


def _merge_classes(case: Case) -> tuple[Array, tuple[Overlap, ...]]:
    """Class indices (1, *spatial) of files of one class each; the smaller of two that overlap is painted last."""
    if len(case.classes) > MAX_CLASSES:
        raise UlnaError(f"{len(case.classes)} classes are too many: at most {MAX_CLASSES}", where=case.name)
    masks = [read_mask(source) for source in case.truth]
    _same_size(masks, case.truth)
    shown: dict[str, Array] = {}
    for name, mask in zip(case.truth_classes, masks, strict=True):
        shown[name] = inside(mask) | shown[name] if name in shown else inside(mask)
    sizes = {name: int(np.count_nonzero(mask)) for name, mask in shown.items()}
    order = sorted(shown, key=lambda name: -sizes[name])
    indices = np.zeros(masks[0].shape[1:], np.uint8)
    for name in order:
        indices[shown[name]] = case.classes.index(name) + 1
    overlaps = []
    for k, outer in enumerate(order):
        for inner in order[k + 1 :]:
            both = int(np.count_nonzero(shown[outer] & shown[inner]))
            if both:
                nested = both >= NESTED * sizes[inner] and sizes[inner] < sizes[outer]
                overlaps.append(Overlap(outer, inner, both, nested))
    return indices[None], tuple(overlaps)


def stated_classes(config: DataConfig, cases: Sequence[Case]) -> DataConfig:
    """The settings, with names and values of the classes where each file of truth shows one of them."""
    names = next((case.classes for case in cases if case.classes), ())
    if not names or config.values:
        return config
    values = tuple((index,) for index in range(len(names) + 1))
    return config.model_copy(update={"classes": config.classes or ("background", *names), "values": values})


def with_classes(cases: Sequence[Case], names: Sequence[str]) -> tuple[Case, ...]:
    """The cases with class indices as a model has them, whose classes are `names` with the background first.

    Raises UlnaError where files of truth show a class that is not among them.
    """
    for case in cases:
        strange = [name for name in case.truth_classes if name not in names[1:]]
        if strange:
            raise UlnaError(
                f"its truth shows the class '{strange[0]}', the classes are {', '.join(names)}", where=case.name
            )
    return tuple(replace(case, classes=tuple(names[1:])) if case.truth_classes else case for case in cases)


def merge_objects(case: Case) -> tuple[Array, int]:
    """One label map of many files of one object each, and how many pixels two objects claim.

    Returns (1, Y, X) int32, where the k-th file's object is k, counted from 1, and 0 is background. A pixel
    that several files claim belongs to the first of them. Raises UlnaError where sizes differ, or a file has
    several pages.
    """
    labels: Array = np.empty((0, 0), np.int32)
    overlapping = 0
    for number, source in enumerate(case.truth, start=1):
        mask = read_mask(source)
        if mask.ndim != 3:
            raise UlnaError(
                f"this file of one object has {mask.shape[1]} pages",
                where=source,
                hint="Save each page as a file of its own, or the objects of all pages as one stack of masks.",
            )
        shown = inside(mask)
        if number == 1:
            labels = np.zeros(shown.shape, np.int32)
        if shown.shape != labels.shape:
            raise UlnaError(
                f"this mask is {_size(shown.shape)}, the first of its case is {_size(labels.shape)}",
                where=source,
            )
        # Only the object's own rectangle is touched: most files are nearly empty.
        rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
        if not len(rows):
            continue
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        free = labels[box] == 0
        overlapping += int(np.count_nonzero(shown[box] & ~free))
        labels[box][shown[box] & free] = number
    return labels[None], overlapping


def split_by_group(cases: Sequence[Case], share: float, seed: int) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Keep out about `share` of the cases, whole groups at a time; returns (rest, held out), in their order.

    Groups are taken in a random order (drawn from `seed`) as long as each brings the number of cases closer
    to the share; both sides get at least one group. Raises UlnaError where there is only one group.
    """
    if seed < 0:
        raise UlnaError(f"a seed is a whole number from 0 on, not {seed}")
    sizes = Counter(_group(case) for case in cases)
    if len(sizes) < 2:
        raise UlnaError(
            f"{len(cases)} cases in {len(sizes)} group cannot be split: at least two groups are needed",
            hint="Add images of other patients, samples or stacks.",
        )
    names = sorted(sizes)
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    wanted = share * len(cases)
    kept: set[str] = set()
    count = 0
    for name in order:
        closer = abs(count + sizes[name] - wanted) < abs(count - wanted)
        if closer and len(kept) + 1 < len(names):
            kept.add(name)
            count += sizes[name]
    kept = kept or {min(order, key=lambda name: sizes[name])}
    rest = tuple(case for case in cases if _group(case) not in kept)
    return rest, tuple(case for case in cases if _group(case) in kept)


def plain_name(name: str) -> str:
    """A name as lists of cases compare it: without white space around it, accents composed."""
    return unicodedata.normalize("NFC", name.strip())


def _group(case: Case) -> str:
    return case.group or case.name


def _size(shape: Sequence[int]) -> str:
    return " × ".join(str(n) for n in shape)
