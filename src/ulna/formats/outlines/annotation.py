"""Annotated objects of one image, as outline files hold them: a shape and a class each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ulna.formats.outlines.polygons import Mask, Ring, fill

NAMELESS = "object"
"""What objects without a class are called where others have one."""


@dataclass(frozen=True)
class Annotation:
    """One object.

    Parameters
    ----------
    pieces : sequence of sequences of ndarray
        The object is all of its pieces together. A piece is a number of rings (corners x and y, (N, 2)): what lies
        within an odd number of them.
    name : str
        Its class; empty where the file says none.
    mask : ndarray of bool, optional
        The object's pixels (Y, X) in place of pieces, as far as it reaches.
    corner : (int, int)
        The row and the column of the mask's first pixel in the image.
    """

    pieces: tuple[tuple[Ring, ...], ...] = ()
    name: str = ""
    mask: Mask | None = None
    corner: tuple[int, int] = (0, 0)

    def part(self, shape: Sequence[int]) -> tuple[tuple[slice, slice], Mask]:
        """Where the object lies in an image of a shape (Y, X), and its pixels there; what lies outside is cut off."""
        if self.mask is not None:
            rows, columns = (
                slice(start, min(start + n, side))
                for start, n, side in zip(self.corner, self.mask.shape, shape, strict=True)
            )
            return (rows, columns), self.mask[: max(rows.stop - rows.start, 0), : max(columns.stop - columns.start, 0)]
        sides = np.array(shape)
        corners = np.concatenate([np.zeros((0, 2)), *(ring for rings in self.pieces for ring in rings)])[:, ::-1]
        low = np.clip(np.floor(corners.min(axis=0, initial=np.inf)), 0, sides).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0, initial=-np.inf)) + 1, low, sides).astype(int)
        found = np.zeros(high - low, np.bool_)
        for rings in self.pieces if found.size else ():
            found |= fill([ring - low[::-1] for ring in rings], found.shape)
        return (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))), found

    def pixels(self, shape: Sequence[int]) -> Mask:
        """The object's pixels in an image of a shape (Y, X)."""
        whole = np.zeros(shape, np.bool_)
        box, found = self.part(shape)
        whole[box] = found
        return whole


@dataclass(frozen=True)
class Annotations:
    """All objects of one image.

    Parameters
    ----------
    objects : sequence of Annotation
        In the order of the file.
    image : str
        The name of the image's file; empty where the outlines do not say it.
    shape : (int, int), optional
        The height and width of the image, where the file says them.
    skipped : sequence of str
        What the file holds beside areas, and why it is no object: "3 points", "1 line".
    unread : sequence of str
        Names of objects from which no class was read.
    """

    objects: tuple[Annotation, ...]
    image: str = ""
    shape: tuple[int, int] | None = None
    skipped: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Painted:
    """Objects as pixels: numbers (Y, X) from 1 in their order, their classes, and what was lost.

    `overlapping` counts pixels that several objects claim: they belong to the last one. `lost` lists the numbers of
    objects that have no pixel of their own: outside the image, smaller than a pixel, or hidden by others.
    """

    numbers: npt.NDArray[np.int32]
    names: tuple[str, ...]
    overlapping: int
    lost: tuple[int, ...]


def paint(objects: Sequence[Annotation], shape: Sequence[int]) -> Painted:
    """The objects on the pixels of an image of a shape (Y, X), later ones above earlier ones."""
    numbers = np.zeros(shape, np.int32)
    twice = np.zeros(shape, np.bool_)
    for number, one in enumerate(objects, start=1):
        box, mask = one.part(shape)
        twice[box] |= mask & (numbers[box] > 0)
        numbers[box][mask] = number
    areas = np.bincount(numbers.ravel(), minlength=len(objects) + 1)[1:]
    lost = tuple(int(number) for number in np.flatnonzero(areas == 0) + 1)
    return Painted(numbers, tuple(one.name for one in objects), int(np.count_nonzero(twice)), lost)
