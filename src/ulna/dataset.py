"""`Case` and `Dataset`: what a layout found, how it is loaded and how it is split."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

import numpy as np

from ulna import formats
from ulna.errors import UlnaError
from ulna.formats.base import RGB
from ulna.grid import check_same_place
from ulna.image import Channel, Image, Source
from ulna.normalization import to_channels
from ulna.text import size

T = TypeVar("T")


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
        Whether the files of the truth are known to tell objects apart: each shows one, numbers several, or holds the
        outlines of several.
    truth_classes
        The class that each file of the truth shows, where each shows one.
    classes
        All classes of the data set without the background, in the order of their indices, where files of truth name
        them.
    part
        The case's part of a ready-made split.
    numbered
        Whether, of `objects`, each file numbers those that it shows, of its class where files show one class each.
    markers
        A mask with a marker for every object, also for those that the truth leaves out; empty where there is none.
    object_classes
        The number and the class of each object, where a list beside the truth says them.
    values
        Names and mask values of the classes, the background first, where a file beside the data says them.
    ignored
        The mask values that such a file says are not annotated.
    regions
        Names and mask values of regions that may overlap (whole tumor ⊃ tumor core), in the order of such a file, where
        it names some that unite several values. `values` then has a class for each value that they are made of.
    channels
        What the channels of the image show, one name each, where such a file or the names of the image's files say it.
    """

    name: str
    images: tuple[Source, ...]
    truth: tuple[Source, ...] = ()
    group: str = ""
    objects: bool = False
    truth_classes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    part: Part = ""
    numbered: bool = False
    markers: tuple[Source, ...] = ()
    object_classes: tuple[tuple[int, str], ...] = ()
    values: tuple[tuple[str, int], ...] = ()
    ignored: tuple[int, ...] = ()
    regions: tuple[tuple[str, tuple[int, ...]], ...] = ()
    channels: tuple[str, ...] = ()


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
        Which layout was found.
    problems
        What was wrong with it.
    """

    cases: tuple[Case, ...]
    sentence: str
    problems: tuple[Problem, ...] = ()

    def __str__(self) -> str:
        """What errors name: the sentence, and not all of its cases."""
        return self.sentence or "data"


def case_bytes(case: Case) -> int:
    """How much memory a case takes while it is read, by the headers of its images; 0 for what cannot be opened.

    The image as it is decoded and as 32-bit numbers, and two maps of the same size for its mask.

    Parameters
    ----------
    case
        Any case.

    Returns
    -------
    int
        Bytes.
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
        Where modalities differ in size or place, have other channels, or an alpha that varies.
    """
    image = _stacked(case)
    image = replace(image, channels=named(image.channels, case.channels))
    try:
        array = to_channels(image.array, channels or len(image.array), image.channels)
    except UlnaError as error:
        raise UlnaError(error.what, where=case.name, hint=error.hint) from None
    return image if array is image.array else image.with_array(array)


def named(channels: tuple[Channel, ...], names: tuple[str, ...]) -> tuple[Channel, ...]:
    """Channels by the names that a data set has for them: where there are several, and the file declares no colors.

    Parameters
    ----------
    channels
        As the file has them.
    names
        Of the case.

    Returns
    -------
    tuple of Channel
        The same where there are other numbers of names.
    """
    declared = channels == RGB or any(channel.role == "alpha" for channel in channels)
    return channels if len(names) != len(channels) or len(names) < 2 or declared else tuple(map(Channel, names))


def _stacked(case: Case) -> Image:
    images = [formats.read(source) for source in case.images]
    if len(images) == 1:
        return images[0]
    for other in images[1:]:
        if other.shape != images[0].shape:
            raise UlnaError(
                f"its images differ in size: {size(images[0].shape)} and {size(other.shape)}",
                where=case.name,
            )
    check_same_place(case.name, [(source, image.grid) for source, image in zip(case.images, images, strict=True)])
    channels = tuple(channel for image in images for channel in image.channels)
    return replace(images[0], array=np.concatenate([image.array for image in images]), channels=channels)


def planes_of(case: Case) -> int:
    """How many planes the volume of a case has.

    Parameters
    ----------
    case
        Any case with images.

    Returns
    -------
    int
        1 for an image of two dimensions.

    Raises
    ------
    ReadError
        For a file that cannot be opened.
    """
    with formats.open_reader(case.images[0]) as reader:
        return reader.grid.shape[0] if reader.grid.ndim == 3 else 1


def slab(case: Case, first: int, last: int) -> Case:
    """A part of a volume as a case: some of its planes.

    Parameters
    ----------
    case
        A case that is a volume, or a slab of one.
    first, last
        The planes from the first on, up to and without the last, counted within the case.

    Returns
    -------
    Case
        It has the name ``volume[first:last]``, counted within the volume, and is of the volume's group.
    """
    begin = case.images[0].slab[0] if case.images[0].slab else 0
    bounds = (begin + first, begin + last)
    whole = case.name.rpartition("[")[0] if case.images[0].slab else case.name

    def cut(sources: tuple[Source, ...]) -> tuple[Source, ...]:
        return tuple(replace(source, slab=bounds) for source in sources)

    return replace(
        case,
        name=f"{whole}[{bounds[0]}:{bounds[1]}]",
        images=cut(case.images),
        truth=cut(case.truth),
        markers=cut(case.markers),
        group=case.group or whole,
    )


def split_by_group(cases: Sequence[Case], share: float, seed: int) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Hold out a share of the cases, whole groups at a time.

    Groups are taken in a random order as long as each brings the number of cases closer to the share; both sides get at
    least one group.

    Parameters
    ----------
    cases
        Cases with their groups; one without a group is a group of its own.
    share
        The share to hold out, between 0 and 1.
    seed
        Of the order.

    Returns
    -------
    tuple of Case, tuple of Case
        The rest and those that are held out, in their order.

    Raises
    ------
    UlnaError
        Where there is only one group, and for a negative seed.

    Examples
    --------
    >>> cases = [Case(name, (), group=name[0]) for name in ("a1", "a2", "b1", "c1")]
    >>> rest, held_out = split_by_group(cases, 0.25, seed=0)
    >>> len(rest), len(held_out)
    (3, 1)
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
    """A name as lists of cases compare it.

    Parameters
    ----------
    name
        Of a case or a group.

    Returns
    -------
    str
        Without white space around it, accents composed.
    """
    return unicodedata.normalize("NFC", name.strip())


def _group(case: Case) -> str:
    return case.group or case.name
