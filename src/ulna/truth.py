"""The truth of a case: one mask as it is, or several files united to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ulna import formats
from ulna.alignment import SAME, Verdict, aligned, is_unset, points_elsewhere, rounded, same_planes
from ulna.classfiles import CLASS_STEP, NOT_ANNOTATED, numbered_in_class
from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.formats.outlines.annotation import paint
from ulna.formats.outlines.reading import is_outline, read_annotations
from ulna.formats.palette import check_palette
from ulna.grid import MAX_APART, apart, described
from ulna.image import Array, Grid, Image, Source
from ulna.markers import not_annotated, unsegmented
from ulna.masks import Overlap, inside, on_top, read_mask, read_numbers, too_many
from ulna.objectlist import class_indices
from ulna.text import size

MAX_CLASSES = 254


@dataclass(frozen=True)
class Truth:
    """The mask of a case on the grid of its image.

    Parameters
    ----------
    image
        (C, *spatial), with whole numbers where they were whole but for rounding.
    overlaps
        Which of its files overlap.
    verdict
        How it lay on its image.
    dtype
        The type of its values as they were read.
    off
        By how much values were off whole numbers that were rounded.
    """

    image: Image
    overlaps: tuple[Overlap, ...]
    verdict: Verdict
    dtype: str
    off: float = 0.0


def load_truth(case: Case) -> Image:
    """The mask of a case, on the grid of its image.

    Parameters
    ----------
    case
        A case with truth.

    Returns
    -------
    Image
        (C, *spatial) as it was read, or made of several files (see `merged_truth`).

    Raises
    ------
    ReadError
        For a file that cannot be read.
    UlnaError
        For a case that has no mask, and a mask that lies elsewhere than its image.
    """
    return placed_truth(case).image


def placed_truth(case: Case, grid: Grid | None = None) -> Truth:
    """The mask of a case on the grid of its image, and what was done to it (see `ulna.alignment`).

    Parameters
    ----------
    case
        A case with truth. A plane that has no image stays where it is.
    grid
        That of its image, where it is known.

    Returns
    -------
    Truth
        The mask, on the grid of the image, with what was done.

    Raises
    ------
    ReadError
        For a file that cannot be read.
    UlnaError
        For a case that has no mask.
    Misplaced
        For a mask that does not lie on its image.
    """
    floats: list[Source] = []
    slab = case.images[0].slab if case.images else None
    whole = _whole_grid(case) if slab and case.truth else None
    if whole is not None and not same_planes(_grid(replace(case.truth[0], slab=None)), whole):
        everywhere = replace(case, truth=tuple(replace(one, slab=None) for one in case.truth))
        image, overlaps = merged_truth(everywhere, floats)
        image, verdict = aligned(image, whole, where=case.name)
        image = replace(image, array=image.array[:, slice(*slab or ())], grid=_grid(case.images[0]))
    else:
        image, overlaps = merged_truth(case, floats)
        verdict = SAME
        if grid is None and image.ndim == 3 and case.images:  # of planes, size and place are compared by those who ask
            grid = _grid(case.images[0])
        if grid is not None:
            image, verdict = aligned(image, grid, where=case.name)
    array, off = rounded(image.array)
    merged = len(case.truth) > 1 or case.objects or case.truth_classes
    off = max((rounded(formats.read(source).array)[1] for source in floats), default=0.0) if merged else off
    return Truth(replace(image, array=array), overlaps, verdict, str(image.array.dtype), off)


def _whole_grid(case: Case) -> Grid:
    return _grid(replace(case.images[0], slab=None))


def _grid(source: Source) -> Grid:
    with formats.open_reader(source) as reader:
        return reader.grid


def merged_truth(case: Case, floats: list[Source] | None = None) -> tuple[Image, tuple[Overlap, ...]]:
    """The mask of a case, and which of its files overlap.

    One file is taken as it is, (C, Y, X). Files of objects become a label map (1, Y, X) int32 (see `merge_objects`),
    files of one class each a map of class indices (1, Y, X) uint8 in the order of `case.classes`, other files one mask
    that holds the largest value of each pixel. What lies around markers without an object is `NOT_ANNOTATED`.

    Parameters
    ----------
    case
        A case with truth.
    floats
        Where files of several are noted whose numbers are floating-point ones, which were rounded.

    Returns
    -------
    Image, tuple of Overlap
        The mask, and what is claimed twice.

    Raises
    ------
    ReadError
        For a file that cannot be read.
    UlnaError
        For a case that has no mask, where files differ in size or lie elsewhere, and where a palette shows two values
        in one color.
    """
    if not case.truth:
        raise UlnaError("this case has no mask", where=case.name)
    if case.objects and is_outline(case.truth[0]):
        labels, pixels = _painted(case)
        return Image(labels, source=case.truth[0]), (Overlap("", "", pixels),) if pixels else ()
    _same_place(case.truth)
    if case.objects:
        labels, overlaps = merge_objects(case, floats)
        for source in case.markers:
            labels[0, not_annotated(labels[0], _markers(source, labels.shape[1:]))] = NOT_ANNOTATED
        if case.numbered:
            return formats.read(case.truth[0]).with_array(labels), overlaps
        return Image(labels, source=case.truth[0]), overlaps
    first = formats.read(case.truth[0])
    if case.truth_classes:
        indices, overlaps = _merge_classes(case, floats)
        return first.with_array(indices), overlaps
    for source in case.truth:
        check_palette(source)
    if len(case.truth) == 1:
        return first, ()
    return _united(case, first, floats)


def _same_place(sources: Sequence[Source]) -> None:
    """Raise UlnaError where files of one volume, which are united voxel by voxel, say that they lie elsewhere."""
    if len(sources) < 2 or (first := _grid(sources[0])).ndim < 3:
        return
    for source in sources[1:]:
        own = _grid(source)
        silent = is_unset(first) or is_unset(own)
        if own.shape == first.shape and not silent and (apart(first, own) > MAX_APART or points_elsewhere(first, own)):
            raise UlnaError(
                f"this mask lies elsewhere than the first of its case: {described(own)}, and {described(first)}",
                where=source,
                hint="Bring them onto one grid, or, if these words are wrong, correct or remove them.",
            )


def _same_size(masks: Sequence[Array], sources: Sequence[Source]) -> None:
    for mask, source in zip(masks, sources, strict=True):
        if mask.shape[1:] != masks[0].shape[1:]:
            raise UlnaError(
                f"this mask is {size(mask.shape[1:])}, the first of its case is {size(masks[0].shape[1:])}",
                where=source,
            )


def _united(case: Case, first: Image, floats: list[Source] | None) -> tuple[Image, tuple[Overlap, ...]]:
    arrays = [first.array, *(formats.read(source).array for source in case.truth[1:])]
    if floats is not None:
        floats += [source for source, one in zip(case.truth, arrays, strict=True) if one.dtype.kind == "f"]
    masks = [rounded(one)[0] for one in arrays]
    _same_size(masks, case.truth)
    for mask, source in zip(masks, case.truth, strict=True):
        if mask.shape != first.array.shape:
            what = f"this mask has {len(mask)} channels, the first of its case has {len(first.array)}"
            raise UlnaError(what, where=source, hint="Save them all as gray images.")
    claims = np.sum([inside(mask) for mask in masks], axis=0)
    pixels = int(np.count_nonzero(claims > 1))
    united = first.with_array(np.maximum.reduce(masks))
    return united, (Overlap("", "", pixels),) if pixels else ()


def _merge_classes(case: Case, floats: list[Source] | None) -> tuple[Array, tuple[Overlap, ...]]:
    """Class indices (1, *spatial) of files of one class each; the smaller of two that overlap is painted last."""
    if len(case.classes) > MAX_CLASSES:
        raise UlnaError(f"{len(case.classes)} classes are too many: at most {MAX_CLASSES}", where=case.name)
    masks = [read_mask(source, floats) for source in case.truth]
    _same_size(masks, case.truth)
    shown: dict[str, Array] = {}
    for name, mask in zip(case.truth_classes, masks, strict=True):
        index = inside(mask).astype(np.uint8) * np.uint8(case.classes.index(name) + 1)
        shown[name] = np.maximum(index, shown[name]) if name in shown else index
    return on_top(shown)


def stated_objects(case: Case) -> int:
    """How many objects the truth of a case states, whether they have pixels of their own or not.

    Parameters
    ----------
    case
        A case whose truth are objects.

    Returns
    -------
    int
        Files of one object each, outlines, or numbers in files.

    Raises
    ------
    ReadError
        For a file that cannot be read.
    """
    if case.numbered:
        return sum(len(np.setdiff1d(read_mask(source), 0)) for source in case.truth)
    return len(read_annotations(case.truth[0]).objects) if is_outline(case.truth[0]) else len(case.truth)


def unsegmented_objects(case: Case) -> int:
    """How many objects of a case have a marker, and no segmentation.

    Parameters
    ----------
    case
        A case with truth.

    Returns
    -------
    int
        0 for a case without markers.

    Raises
    ------
    ReadError
        For a file that cannot be read.
    """
    if not case.markers:
        return 0
    objects = merge_objects(case)[0][0]
    return sum(len(unsegmented(objects, _markers(source, objects.shape))) for source in case.markers)


def _markers(source: Source, shape: tuple[int, ...]) -> Array:
    markers = read_numbers(source)
    if markers.shape != shape:
        what = f"the markers are {size(markers.shape)}, the mask is {size(shape)}"
        raise UlnaError(what, where=source)
    return markers


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
    if case.classes and len(painted.names) >= CLASS_STEP:
        raise too_many(f"{len(painted.names):,} outlines", CLASS_STEP - 1, case.truth[0])
    steps = np.zeros(len(painted.names) + 1, np.int64)
    steps[1:] = [numbered_in_class(case, name) for name in painted.names]
    return (painted.numbers + steps[painted.numbers]).astype(np.int32)[None], painted.overlapping


def merge_objects(case: Case, floats: list[Source] | None = None) -> tuple[Array, tuple[Overlap, ...]]:
    """One label map of the files of objects, and which pixels two of them claim.

    A pixel that several objects of a class claim belongs to the first of them; where classes overlap, the smaller one
    is painted on top.

    Parameters
    ----------
    case
        A case whose truth are files of one object each, or files that number their objects.
    floats
        As of `merged_truth`.

    Returns
    -------
    ndarray of int32, tuple of Overlap
        The map (1, *spatial), 0 is the background: the object of the k-th file is k, counted from 1, and those of files
        that number them have their own numbers, after those of the files before of the same class. Where files show one
        class each, `CLASS_STEP` times the class is added. What is claimed twice.

    Raises
    ------
    ReadError
        For a file that cannot be read.
    UlnaError
        Where sizes differ, a file of one object has several pages, or numbers are none of objects or too large.
    """
    shown: dict[str, Array] = {}
    losses: dict[str, tuple[int, int]] = {}
    shape: tuple[int, ...] = ()
    most = CLASS_STEP - 1 if case.classes else np.iinfo(np.int32).max
    if len(case.truth) > most:
        raise too_many(f"{len(case.truth):,} files of one object each", most, case.name)
    for k, (source, name) in enumerate(zip(case.truth, case.truth_classes or ("",) * len(case.truth), strict=True), 1):
        numbers = read_numbers(source, most, floats) if case.numbered else _one_object(source, floats)
        shape = shape or numbers.shape
        if numbers.shape != shape:
            what = f"this mask is {size(numbers.shape)}, the first of its case is {size(shape)}"
            raise UlnaError(what, where=source)
        labels = shown.setdefault(name, np.zeros(shape, np.int32))
        before = int(labels.max()) if case.numbered else k - 1
        if case.numbered and before + int(numbers.max()) > most:
            what = f"with those of the files before, {before + int(numbers.max()):,} object numbers"
            raise too_many(what, most, source)
        taken = _add(numbers, labels, before)
        pixels, objects = losses.get(name, (0, 0))
        losses[name] = pixels + len(taken), objects + len(np.unique(taken))
    for name, numbers in shown.items():
        if name:
            numbers[numbers > 0] += numbered_in_class(case, name)
        elif case.classes:
            numbers += _steps(case, numbers)
    labels, overlaps = on_top(shown)
    within = tuple(Overlap(name, name, pixels, objects=n) for name, (pixels, n) in losses.items() if pixels)
    return labels, (*within, *overlaps)


def _steps(case: Case, numbers: Array) -> Array:
    """What is added to numbers of objects (*spatial) whose classes a list says."""
    try:
        indices = class_indices(numbers, dict(case.object_classes), ("background", *case.classes))
    except UlnaError as error:
        raise UlnaError(error.what, where=case.truth[0], hint=error.hint) from None
    return CLASS_STEP * indices.astype(np.int32)


def _add(numbers: Array, labels: Array, before: int) -> Array:
    """Add objects, numbered on, where no object is yet; for each pixel that is taken already, its object's number."""
    # Only the objects' own box is touched: most files are nearly empty.
    spans = [np.flatnonzero(numbers.any(axis=tuple({*range(numbers.ndim)} - {axis}))) for axis in range(numbers.ndim)]
    if not len(spans[0]):
        return np.zeros(0, np.int32)
    box = tuple(slice(span[0], span[-1] + 1) for span in spans)
    own, there = numbers[box], labels[box]
    claimed, free = own != 0, there == 0
    there[claimed & free] = own[claimed & free].astype(np.int32) + np.int32(before)
    return np.asarray(own[claimed & ~free])


def _one_object(source: Source, floats: list[Source] | None) -> Array:
    """Where a file shows its object, (Y, X)."""
    mask = read_mask(source, floats)
    if mask.ndim != 3:
        raise UlnaError(
            f"this file of one object has {mask.shape[1]} pages",
            where=source,
            hint="Save each page as a file of its own, or the objects of all pages as one stack of masks.",
        )
    return inside(mask)
