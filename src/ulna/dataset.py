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

from ulna import formats
from ulna.errors import UlnaError
from ulna.image import Array, Image, Source
from ulna.normalization import to_channels

T = TypeVar("T")
R = TypeVar("R")

Part = Literal["", "train", "validation", "test"]
"""The part of a ready-made split that a case belongs to; "" where the data come without one."""


class Progress(Protocol):
    """What shows how far a long job is: wraps a sequence and passes its items on."""

    def __call__(self, items: Sequence[T], what: str, /) -> Iterable[T]:
        """Give the items one by one; `what` names the work, for the bar."""


def quiet(items: Sequence[T], _what: str, /) -> Iterable[T]:
    """The progress that shows nothing."""
    return items


@dataclass(frozen=True)
class Case:
    """One image with its truth.

    `images` has one source per modality (their channels are stacked). `truth` is empty where there is none, one
    mask, several masks that are united, many files of one object each (`objects` is then True), or files of one
    class each: `truth_classes` then names the class of each file, and `classes` all classes of the data set
    without the background, in the order of their indices. `group` names what must stay on one side of every
    split: a patient, a stack, a picture that tiles were cut from, duplicates. `part` is the case's part of a
    ready-made split.
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
    """One thing that is wrong with the data: what, where (names), and whether training can go on."""

    what: str
    where: tuple[str, ...] = ()
    severity: str = "warning"  # "fatal", "warning" or "note"


@dataclass(frozen=True)
class Dataset:
    """Cases, how their layout was understood (a sentence), and what was wrong with it."""

    cases: tuple[Case, ...]
    sentence: str
    problems: tuple[Problem, ...] = ()


def in_parallel(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """The results of `work` in the order of the items, a few of them ahead in threads.

    For reading and decoding, which leave Python's lock alone; no more than a few results wait in memory.
    """
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def load_image(case: Case, *, channels: int = 0) -> Image:
    """The image of a case, (C, Y, X): its modalities stacked on the channel axis, in their order.

    With `channels` it has so many, as `to_channels` brings them about. Raises ReadError for a file that cannot be
    read, UlnaError where modalities differ in size, have other channels, or an alpha that varies.
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


def load_truth(case: Case) -> Image:
    """The mask of a case as it was read, (C, Y, X); object files are merged to a label map (1, Y, X) int32.

    Raises ReadError for a file that cannot be read, UlnaError for a case that has no mask.
    """
    if not case.truth:
        raise UlnaError("this case has no mask", where=case.name)
    if case.objects:
        labels, _ = merge_objects(case)
        return Image(labels, source=case.truth[0])
    return formats.read(case.truth[0])


def merge_objects(case: Case) -> tuple[Array, int]:
    """One label map of many files of one object each, and how many pixels two objects claim.

    Returns (1, Y, X) int32, where the k-th file's object is k, counted from 1, and 0 is background. A pixel
    that several files claim belongs to the first of them. Raises UlnaError where sizes differ, or a file has
    several pages.
    """
    labels: Array = np.empty((0, 0), np.int32)
    overlapping = 0
    for number, source in enumerate(case.truth, start=1):
        mask = formats.read(source).array
        if mask.ndim != 3:
            raise UlnaError(
                f"this file of one object has {mask.shape[1]} pages",
                where=source,
                hint="Save each page as a file of its own, or the objects of all pages as one stack of masks.",
            )
        inside: Array = (mask != 0).any(axis=0) if len(mask) > 1 else mask[0] != 0
        if number == 1:
            labels = np.zeros(inside.shape, np.int32)
        if inside.shape != labels.shape:
            raise UlnaError(
                f"this mask is {_size(inside.shape)}, the first of its case is {_size(labels.shape)}",
                where=source,
            )
        # Only the object's own rectangle is touched: most files are nearly empty.
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if not len(rows):
            continue
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        free = labels[box] == 0
        overlapping += int(np.count_nonzero(inside[box] & ~free))
        labels[box][inside[box] & free] = number
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
