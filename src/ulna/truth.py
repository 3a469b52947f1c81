"""The truth of a case: one mask as it is, or several files united to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ulna import formats
from ulna.dataset import CLASS_STEP, Case
from ulna.errors import UlnaError
from ulna.formats.outlines.annotation import NAMELESS, paint
from ulna.formats.outlines.reading import is_outline, read_annotations
from ulna.formats.palette import check_palette
from ulna.image import Array, Image, Source
from ulna.text import size

NESTED = 0.98  # share of a class's pixels that must lie within another's for the class to lie within it
MAX_CLASSES = 254


@dataclass(frozen=True)
class Overlap:
    """Pixels that two files of a case's truth claim.

    Parameters
    ----------
    first, second
        The classes that the files show, or "" for objects or lesions.
    pixels
        How many.
    nested
        Whether the smaller of the two classes lies within the other, and is painted on top of it.
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
    the largest value of each pixel.

    Parameters
    ----------
    case
        A case with truth.

    Returns
    -------
    Image, tuple of Overlap
        The mask, and what is claimed twice.

    Raises
    ------
    ReadError
        For a file that cannot be read.
    UlnaError
        For a case that has no mask, where files differ in size, and where a palette shows two values in one color.
    """
    if not case.truth:
        raise UlnaError("this case has no mask", where=case.name)
    if case.objects:
        labels, pixels = _painted(case) if is_outline(case.truth[0]) else merge_objects(case)
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
    """Where a mask of one thing shows it.

    Every value but 0 counts, of color any channel. Where most of what is not 0 is 255 and other values lie between
    (JPEG, a smooth resize), the nearer of 0 and 255 counts.

    Parameters
    ----------
    mask
        (C, *spatial).

    Returns
    -------
    ndarray of bool
        (*spatial).

    Examples
    --------
    >>> inside(np.array([[[0, 3, 120, 130, 255, 255]]], np.uint8)).tolist()
    [[False, False, False, True, True, True]]
    """
    gray = mask.max(axis=0)
    if mask.dtype == np.uint8:
        counts = np.bincount(gray.ravel(), minlength=256)
        if counts[1:].argmax() == 254 and counts[1:255].any():
            return np.asarray(gray >= 128)
    return np.asarray(gray != 0)


def read_mask(source: Source) -> Array:
    """A mask of one thing without its alpha channel; the alpha alone where the rest shows nothing.

    Parameters
    ----------
    source
        The file.

    Returns
    -------
    Array
        (C, *spatial).

    Raises
    ------
    ReadError
        For a file that cannot be read.
    """
    image = formats.read(source)
    signal = [index for index, channel in enumerate(image.channels) if channel.role != "alpha"]
    array = image.array[signal]
    flat = len(signal) < len(image.channels) and all(np.ptp(channel) == 0 for channel in array)
    return np.delete(image.array, signal, axis=0) if flat or not signal else array


def _same_size(masks: Sequence[Array], sources: Sequence[Source]) -> None:
    for mask, source in zip(masks, sources, strict=True):
        if mask.shape[1:] != masks[0].shape[1:]:
            raise UlnaError(
                f"this mask is {size(mask.shape[1:])}, the first of its case is {size(masks[0].shape[1:])}",
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


def stated_objects(case: Case) -> int:
    """How many objects the truth of a case states, whether they have pixels of their own or not.

    Parameters
    ----------
    case
        A case whose truth are objects.

    Returns
    -------
    int
        Files of one object each, or outlines.

    Raises
    ------
    ReadError
        For a file of outlines that cannot be read.
    """
    return len(read_annotations(case.truth[0]).objects) if is_outline(case.truth[0]) else len(case.truth)


def _painted(case: Case) -> tuple[Array, int]:
    """The label map (1, Y, X) of outlines, and how many pixels two objects claim; later objects lie on earlier ones."""
    with formats.open_reader(case.images[0]) as reader:
        shape = reader.grid.shape
    if len(shape) != 2:
        raise UlnaError("outlines are of planes, and this image is a volume", where=case.name)
    found = read_annotations(case.truth[0])
    if found.shape is not None and found.shape != shape:
        what = f"the outlines are of an image of {size(found.shape)} pixels, this one is {size(shape)}"
        raise UlnaError(what, where=case.truth[0])
    painted = paint(found.objects, shape)
    if found.objects and len(painted.lost) == len(found.objects):
        raise UlnaError("no outline has a pixel within the image", where=case.truth[0])
    steps = np.zeros(len(painted.names) + 1, np.int64)
    if case.classes:
        steps[1:] = [CLASS_STEP * (1 + case.classes.index(name or NAMELESS)) for name in painted.names]
    return (painted.numbers + steps[painted.numbers]).astype(np.int32)[None], painted.overlapping


def merge_objects(case: Case) -> tuple[Array, int]:
    """One label map of many files of one object each, and how many pixels two objects claim.

    A pixel that several files claim belongs to the first of them.

    Parameters
    ----------
    case
        A case whose truth are files of one object each.

    Returns
    -------
    ndarray of int32, int
        The map (1, Y, X): the k-th file's object is k, counted from 1, and 0 is the background. The number of pixels
        that are claimed twice.

    Raises
    ------
    ReadError
        For a file that cannot be read.
    UlnaError
        Where sizes differ, or a file has several pages.
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
                f"this mask is {size(shown.shape)}, the first of its case is {size(labels.shape)}",
                where=source,
            )
        # Only the object's own rectangle is touched: most files are nearly empty.
        rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
        if not len(rows):
            continue
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        free = labels[box] == 0
        overlapping += int(np.count_nonzero(shown[box] & ~free))
        step = CLASS_STEP * (1 + case.classes.index(case.truth_classes[number - 1])) if case.truth_classes else 0
        labels[box][shown[box] & free] = step + number
    return labels[None], overlapping
