"""The core contracts: `Channel`, `Image` and `Labels`; `Grid` and `Source` can be had from here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.grid import UNPLACED, Floats, Grid, OnGrid, Region
from ulna.source import Source

__all__ = [
    "IGNORE",
    "MAX_CLASSES",
    "Array",
    "Channel",
    "Floats",
    "Grid",
    "Image",
    "Labels",
    "Region",
    "Source",
    "checked",
    "is_foreground",
]

Array = npt.NDArray[Any]

IGNORE = 255
"""The class index of pixels that are not annotated: they enter no loss and no score."""
MAX_CLASSES = 255


@dataclass(frozen=True)
class Channel:
    """One channel of an image.

    Parameters
    ----------
    name
        For people.
    role
        Whether it is a signal or a declared alpha (transparency).
    """

    name: str
    role: Literal["signal", "alpha"] = "signal"


@dataclass(frozen=True)
class Image(OnGrid):
    """An image or a mask with what is needed to measure it and to write it back.

    Parameters
    ----------
    array
        (C, Y, X) or (C, Z, Y, X), in the file's own dtype. A mask has one integer channel.
    grid
        Where its pixels lie; by default a grid of unit pixels.
    channels
        One per channel of the array; by default signals that are named by their numbers.
    source
        Where it was read from.
    classes
        Names of the values of a mask of class indices, the background first.

    Raises
    ------
    UlnaError
        For arrays that are no image: other numbers of axes, no pixels, complex numbers or objects, masked values.

    Examples
    --------
    >>> image = Image(np.zeros((3, 40, 60), np.uint8), Grid((40, 60), spacing=(0.5, 0.5), unit="µm"))
    >>> image.shape, image.spacing, len(image.channels)
    ((40, 60), (0.5, 0.5), 3)
    """

    array: Array
    grid: Grid = UNPLACED
    channels: tuple[Channel, ...] = ()
    source: Source | None = None
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", checked(self.array, self.source))
        if not self.grid.shape:
            object.__setattr__(self, "grid", Grid(self.array.shape[1:]))
        if not self.channels:
            object.__setattr__(self, "channels", tuple(Channel(f"channel {k}") for k in range(len(self.array))))
        if self.grid.shape != self.array.shape[1:]:
            raise UlnaError(f"the grid {self.grid.shape} is not that of an array {self.array.shape}", where=self.source)
        if len(self.channels) != len(self.array):
            raise UlnaError(
                f"{len(self.channels)} channels are named, the array has {len(self.array)}", where=self.source
            )

    def plane(self, place: int, axis: int = 0) -> Image:
        """A plane of a volume.

        Parameters
        ----------
        place
            Which one.
        axis
            The axis that planes follow on.

        Returns
        -------
        Image
            (C, *plane), at its place in the world.
        """
        return replace(self, array=np.moveaxis(self.array, 1 + axis, 0)[place], grid=self.grid.plane(place, axis))

    def with_array(self, array: Array, classes: tuple[str, ...] = (), channels: tuple[Channel, ...] = ()) -> Image:
        """The same place in space and on disk, with another array.

        Parameters
        ----------
        array
            (C, *spatial), of the same spatial shape.
        classes
            Names of the class indices, where the array holds these.
        channels
            What the array's channels are; by default they are not known.

        Returns
        -------
        Image
            A copy.

        Raises
        ------
        UlnaError
            For an array of another spatial shape.
        """
        if tuple(array.shape[1:]) != self.shape:
            raise UlnaError(f"the array's shape {array.shape[1:]} is not the image's {self.shape}", where=self.source)
        return replace(self, array=array, classes=classes, channels=channels)


def is_foreground(classes: Array) -> npt.NDArray[np.bool_]:
    """Where class indices are neither background nor `IGNORE`.

    Parameters
    ----------
    classes
        Class indices.

    Returns
    -------
    ndarray of bool
        Of the same shape.

    Examples
    --------
    >>> is_foreground(np.array([0, 1, 7, 255], np.uint8)).tolist()
    [False, True, True, False]
    """
    return np.asarray((classes != 0) & (classes != IGNORE))


@dataclass(frozen=True)
class Labels:
    """The annotation of one image: a class per pixel and, where they are known, the objects.

    Parameters
    ----------
    classes
        (*spatial) uint8 class indices: 0 is the background, `IGNORE` (255) is not annotated.
    objects
        (*spatial) int32 numbers of objects, 0 none; None where objects are not known.
    grid
        Where the pixels lie; by default a grid of unit pixels.
    names
        Names of the class indices, the background first; may be empty.
    scores
        How sure a model is of each object, 0 to 1, in the order of their numbers; empty where nothing is known.

    Raises
    ------
    UlnaError
        For more than 255 classes, a class index without a name, and shapes that differ.

    Examples
    --------
    >>> labels = Labels(np.array([[0, 1], [1, 255]], np.uint8), names=("background", "cell"))
    >>> labels.to_array().shape
    (1, 2, 2)
    """

    classes: npt.NDArray[np.uint8]
    objects: npt.NDArray[np.int32] | None = None
    grid: Grid = UNPLACED
    names: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.grid.shape:
            object.__setattr__(self, "grid", Grid(self.classes.shape))
        shapes = {each.shape for each in (self.grid, self.classes, self.objects) if each is not None}
        if len(shapes) > 1:
            raise UlnaError(f"classes, objects and grid differ in shape: {', '.join(map(str, sorted(shapes)))}")
        if self.classes.dtype != np.uint8 or (self.objects is not None and self.objects.dtype != np.int32):
            raise UlnaError("class indices are uint8 and object numbers int32")
        if len(self.names) > MAX_CLASSES:
            raise UlnaError(
                f"there are {len(self.names)} classes; at most {MAX_CLASSES} can be told apart",
                hint="Unite classes with data.values, or give the numbers of objects as objects.",
            )
        annotated = self.classes[self.classes != IGNORE] if self.names else self.classes[:0]
        if annotated.size and int(annotated.max()) >= len(self.names):
            raise UlnaError(f"the class index {int(annotated.max())} has no name among {len(self.names)}")

    @cached_property
    def annotated(self) -> npt.NDArray[np.bool_]:
        """Which pixels (*spatial) are annotated: all but those to ignore."""
        return np.asarray(self.classes != IGNORE)

    def numbered_after(self, count: int) -> Labels:
        """The same with `count` added to the number of each object.

        Parameters
        ----------
        count
            So many objects come before.

        Returns
        -------
        Labels
            Itself where objects are not known.

        Examples
        --------
        >>> Labels(np.array([0, 1, 1], np.uint8), np.array([0, 1, 2], np.int32)).numbered_after(7).objects.tolist()
        [0, 8, 9]
        """
        if self.objects is None:
            return self
        return replace(self, objects=np.where(self.objects > 0, self.objects + np.int32(count), self.objects))

    def plane(self, place: int, axis: int = 0) -> Labels:
        """A plane of a volume.

        Parameters
        ----------
        place
            Which one.
        axis
            The axis that planes follow on.

        Returns
        -------
        Labels
            Without scores.
        """
        classes = np.moveaxis(self.classes, axis, 0)[place]
        objects = None if self.objects is None else np.moveaxis(self.objects, axis, 0)[place]
        return Labels(classes, objects, self.grid.plane(place, axis), self.names)

    def to_array(self) -> Array:
        """As it is stored.

        Returns
        -------
        Array
            (1, *spatial) uint8 class indices, or (2, *spatial) int32 with the object numbers.
        """
        if self.objects is None:
            return self.classes[None]
        return np.stack([self.classes.astype(np.int32), self.objects])

    @classmethod
    def from_array(cls, array: Array, grid: Grid = UNPLACED, names: tuple[str, ...] = ()) -> Labels:
        """The inverse of `to_array`.

        Parameters
        ----------
        array
            (1, *spatial) or (2, *spatial).
        grid
            Where the pixels lie; by default a grid of unit pixels.
        names
            Names of the class indices, the background first; may be empty.

        Returns
        -------
        Labels
            Classes and, where there are two channels, objects.
        """
        objects = array[1].astype(np.int32) if len(array) > 1 else None
        return cls(array[0].astype(np.uint8), objects, grid, names)


def checked(array: Array, where: object = None) -> Array:
    """An array as an image takes it.

    Parameters
    ----------
    array
        Any array.
    where
        What the error names.

    Returns
    -------
    Array
        Real numbers (C, Y, X) or (C, Z, Y, X).

    Raises
    ------
    UlnaError
        For what cannot be an image: other numbers of axes, no pixels, complex numbers, objects, and masked arrays that
        hide values.
    """
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.getmaskarray(array).any():
            hidden = int(np.ma.getmaskarray(array).sum())
            raise UlnaError(
                f"the array hides {hidden:,} of {array.size:,} values behind its mask",
                where=where,
                hint="Say what stands in their place: array.filled(0), for example.",
            )
        array = array.data
    array = np.asarray(array)
    if array.dtype.kind not in "buif":
        raise UlnaError(
            f"an image of {array.dtype} numbers cannot be used",
            where=where,
            hint="Give real numbers: for complex ones np.abs(array), for example.",
        )
    if array.ndim not in (3, 4):
        raise UlnaError(
            f"an image needs 2 or 3 spatial axes after its channels, this has the shape {array.shape}", where=where
        )
    if not array.size:
        raise UlnaError(f"the image is empty: its shape is {array.shape}", where=where)
    return array
