"""Files of masks that show one thing, or number objects: where they show it, and what two of them claim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ulna import formats
from ulna.alignment import rounded
from ulna.errors import UlnaError
from ulna.formats.base import equal_channels
from ulna.formats.palette import check_palette
from ulna.image import Array, Source

NESTED = 0.98  # share of a class's pixels that must lie within another's for the class to lie within it


@dataclass(frozen=True)
class Overlap:
    """Pixels that two files of a case's truth claim.

    Parameters
    ----------
    first, second
        The classes that the files show, the same for two objects of a class, or "" for objects or lesions.
    pixels
        How many.
    nested
        Whether the smaller of the two classes lies within the other, and is painted on top of it.
    objects
        How many objects the pixels are taken from; 0 where that is not counted.
    """

    first: str
    second: str
    pixels: int
    nested: bool = False
    objects: int = 0


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
        if np.isin(gray.ravel()[:: max(1, gray.size // 64)], (0, 255)).all() and ((gray == 0) | (gray == 255)).all():
            return np.asarray(gray != 0)  # as most files are, and quicker than to count
        counts = np.bincount(gray.ravel(), minlength=256)
        if counts[1:].argmax() == 254 and counts[1:255].any():
            return np.asarray(gray >= 128)
    return np.asarray(gray != 0)


def read_mask(source: Source, floats: list[Source] | None = None) -> Array:
    """A mask of one thing without its alpha channel; the alpha alone where the rest shows nothing.

    Parameters
    ----------
    source
        The file.
    floats
        Where the file is noted if its numbers are floating-point ones.

    Returns
    -------
    Array
        (C, *spatial), with whole numbers where they were whole but for rounding.

    Raises
    ------
    ReadError
        For a file that cannot be read.
    """
    image = formats.read(source)
    if floats is not None and image.array.dtype.kind == "f":
        floats.append(source)
    signal = [index for index, channel in enumerate(image.channels) if channel.role != "alpha"]
    array = rounded(image.array[signal])[0]
    flat = len(signal) < len(image.channels) and all(np.ptp(channel) == 0 for channel in array)
    return np.delete(image.array, signal, axis=0) if flat or not signal else array


def read_numbers(source: Source, most: int = np.iinfo(np.int32).max, floats: list[Source] | None = None) -> Array:
    """The numbers of the objects in a label image.

    Parameters
    ----------
    source
        The file.
    most
        The largest number that is allowed.
    floats
        As of `read_mask`.

    Returns
    -------
    ndarray of int32
        (*spatial), 0 beside the objects.

    Raises
    ------
    ReadError
        For a file that cannot be read.
    UlnaError
        For colors, and for numbers that are not whole, negative or too large.
    """
    check_palette(source)
    mask = read_mask(source, floats)
    if not equal_channels(mask):
        raise UlnaError(
            f"this file of numbered objects has {len(mask)} different channels, and numbers are gray",
            where=source,
            hint="Save a gray label image: one number per object, 0 beside them.",
        )
    numbers = mask[0]
    if numbers.dtype.kind == "f" and not np.array_equal(numbers, np.rint(numbers)):
        raise UlnaError("holds numbers that are not whole, which number no objects", where=source)
    if int(numbers.min()) < 0:
        raise UlnaError(f"holds {int(numbers.min())}, and objects are numbered from 1 on", where=source)
    if int(numbers.max()) > most:
        raise too_many(f"object numbers up to {int(numbers.max()):,}", most, source)
    return np.array(numbers, np.int32)  # a copy, which may be written into


def on_top(shown: dict[str, Array]) -> tuple[Array, tuple[Overlap, ...]]:
    """Paint the maps of classes on each other, the smallest last.

    Parameters
    ----------
    shown
        The map of each class (*spatial), not 0 where it is.

    Returns
    -------
    ndarray, tuple of Overlap
        (1, *spatial), and which classes overlap.
    """
    sizes = {name: int(np.count_nonzero(values)) for name, values in shown.items()}
    order = sorted(shown, key=lambda name: -sizes[name])
    painted = np.zeros_like(shown[order[0]])
    for name in order:
        painted = np.where(shown[name] != 0, shown[name], painted)
    overlaps = []
    for k, outer in enumerate(order):
        for inner in order[k + 1 :]:
            both = int(np.count_nonzero((shown[outer] != 0) & (shown[inner] != 0)))
            if both:
                nested = both >= NESTED * sizes[inner] and sizes[inner] < sizes[outer]
                overlaps.append(Overlap(outer, inner, both, nested))
    return painted[None], tuple(overlaps)


def too_many(what: str, most: int, where: object) -> UlnaError:
    """The error that objects are more than can be told apart.

    Parameters
    ----------
    what
        How many there are, in words.
    most
        The largest number that an object may have.
    where
        The file or the case.

    Returns
    -------
    UlnaError
        To raise.
    """
    hint = "Number the objects of each image from 1 on, or cut the image."
    return UlnaError(f"{what} are too many: numbers of objects go up to {most:,} here", where=where, hint=hint)
