"""The core contracts: `Grid`, `Channel`, `Image`, `Labels` and `Source`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Region = tuple[slice, ...]
"""A box of an image: one slice per spatial axis, without a step."""

IGNORE = 255
"""The class index of pixels that are not annotated: they enter no loss and no score."""
MAX_CLASSES = 255


@dataclass(frozen=True, order=True)
class Source:
    """A file, and what is selected within it.

    Parameters
    ----------
    path
        The file, or the archive that holds it.
    inside
        The way through archives: `("stage1_train.zip", "a/images/a.png")` is a member of a zip that is itself a
        member of the zip at `path`; `()` is the file at `path` itself.
    page
        One plane (Y, X) of a stack, counted from 0 over all axes that are neither channels nor Y and X (of one time
        point, where `time` is given); None for the whole file.
    series, time, channel
        Which of the images that the file holds (None: the first), one time point, one channel (None: all).
    axes
        What the axes of the file mean, where the file does not say it: "CYX", "YXC", "ZYX", …
    """

    path: Path
    inside: tuple[str, ...] = ()
    page: int | None = None
    series: int | None = None
    time: int | None = None
    channel: int | None = None
    axes: str = ""

    @property
    def name(self) -> str:
        """The file's own name with its suffix, without folders."""
        # Some zips from Windows have backslashes between folders, which part nothing on other systems.
        return PurePosixPath(self.inside[-1].replace("\\", "/")).name if self.inside else self.path.name

    @property
    def stem(self) -> str:
        """The file's own name without folders and suffix, with the page where there is one."""
        stem = Path(self.name).stem
        return stem if self.page is None else f"{stem}_{self.page:04d}"

    @property
    def suffix(self) -> str:
        """The suffix in lower case, with its dot: `.png`."""
        return Path(self.name).suffix.lower()

    def __str__(self) -> str:
        text = "!".join((str(self.path), *self.inside))
        selected = [
            f"{name} {number}"
            for name in ("series", "time", "channel", "page")
            if (number := getattr(self, name)) is not None
        ]
        return ", ".join((text, *selected))


@dataclass(frozen=True)
class Grid:
    """Where the pixels of an image lie in the world.

    The center of the pixel at `index` lies at `origin + direction @ (spacing * index)`. A plane cut out of a volume
    keeps its place: its `origin` and the columns of its `direction` then have three numbers for two axes.

    Parameters
    ----------
    shape
        The number of pixels per spatial axis: (Y, X) or (Z, Y, X).
    spacing
        The distance of neighboring pixels per spatial axis, in `unit`; ones by default.
    unit
        "pixel" where the file says nothing; "nm", "µm", "mm", …
    origin
        World coordinates of the center of the first pixel, in `unit`; zeros by default.
    direction
        The rows of a matrix whose columns are the directions of the spatial axes; the identity by default.

    Raises
    ------
    UlnaError
        If the numbers do not suit the axes, or a spacing is not above 0.

    Examples
    --------
    >>> grid = Grid((40, 60), spacing=(2.0, 0.5), unit="µm", origin=(10.0, 0.0))
    >>> grid.crop((slice(5, 20), slice(10, 30)))
    Grid(shape=(15, 20), spacing=(2.0, 0.5), unit='µm', origin=(20.0, 5.0), direction=((1.0, 0.0), (0.0, 1.0)))
    >>> grid.resampled(spacing=1.0).shape
    (80, 30)
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...] = ()
    unit: str = "pixel"
    origin: tuple[float, ...] = ()
    direction: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        n = len(self.shape)
        set_field = object.__setattr__
        set_field(self, "shape", tuple(int(side) for side in self.shape))
        set_field(self, "spacing", tuple(float(s) for s in self.spacing) or (1.0,) * n)
        set_field(self, "origin", tuple(float(o) for o in self.origin) or (0.0,) * (len(self.direction) or n))
        rows = tuple(tuple(float(number) for number in row) for row in self.direction)
        set_field(self, "direction", rows or tuple(tuple(float(i == k) for k in range(n)) for i in range(n)))
        world = len(self.origin)
        if len(self.spacing) != n or world < n or [len(row) for row in self.direction] != [n] * world:
            raise UlnaError(f"spacing, origin and direction must suit {n} spatial axes")
        place = (*self.origin, *sum(rows, ()))
        if not all(0 < s < math.inf for s in self.spacing) or not all(map(math.isfinite, place)):
            raise UlnaError(f"a spacing of {self.spacing} with the origin {self.origin} is no place in space")

    @property
    def ndim(self) -> int:
        """How many spatial axes: 2 or 3."""
        return len(self.shape)

    @property
    def matrix(self) -> Floats:
        """`direction` as an array: one column per spatial axis."""
        return np.array(self.direction, np.float64).reshape(len(self.origin), self.ndim)

    def to_world(self, index: npt.ArrayLike) -> Floats:
        """World coordinates of indices.

        Parameters
        ----------
        index
            (…, spatial axes); may be fractions.

        Returns
        -------
        Floats
            (…, world axes), in `unit`.
        """
        return np.asarray(index, np.float64) * self.spacing @ self.matrix.T + self.origin

    def to_index(self, world: npt.ArrayLike) -> Floats:
        """Indices of world coordinates; the inverse of `to_world`.

        Parameters
        ----------
        world
            (…, world axes), in `unit`.

        Returns
        -------
        Floats
            (…, spatial axes), as fractions.
        """
        return (np.asarray(world, np.float64) - self.origin) @ np.linalg.pinv(self.matrix).T / self.spacing

    def crop(self, region: Region) -> Grid:
        """The grid of `array[region]`.

        Parameters
        ----------
        region
            One slice per spatial axis, without a step.

        Returns
        -------
        Grid
            It keeps its place in the world.

        Raises
        ------
        UlnaError
            For a region that is empty or leads out of the grid.
        """
        if len(region) != self.ndim:
            raise UlnaError(f"a region of {len(region)} axes cannot be cut from {self.ndim} axes")
        spans = [
            (part.start or 0, n if part.stop is None else part.stop) for part, n in zip(region, self.shape, strict=True)
        ]
        inside = all(0 <= start < stop <= n for (start, stop), n in zip(spans, self.shape, strict=True))
        if not inside or {part.step for part in region} - {None, 1}:
            raise UlnaError(f"the region {spans} does not lie within {self.shape}")
        origin = tuple(self.to_world([start for start, _ in spans]).tolist())
        return replace(self, shape=tuple(stop - start for start, stop in spans), origin=origin)

    def resampled(
        self, *, shape: tuple[int, ...] | None = None, spacing: float | tuple[float, ...] | None = None
    ) -> Grid:
        """The grid of the same extent with another number of pixels.

        Parameters
        ----------
        shape
            The new shape.
        spacing
            Instead of a shape: the shape that comes closest to this spacing is taken, and the spacing is adapted, so
            that both grids reach from the same outer edge to the same outer edge.

        Returns
        -------
        Grid
            Of the same extent.
        """
        if shape is None:
            wanted = spacing if isinstance(spacing, tuple) else (spacing or 1.0,) * self.ndim
            shape = tuple(
                max(1, round(n * old / new)) for n, old, new in zip(self.shape, self.spacing, wanted, strict=True)
            )
        step = [old / new for old, new in zip(self.shape, shape, strict=True)]
        first = tuple(self.to_world([(factor - 1) / 2 for factor in step]).tolist())
        adapted = tuple(s * factor for s, factor in zip(self.spacing, step, strict=True))
        return replace(self, shape=shape, spacing=adapted, origin=first)

    def slices(self, axis: int = 0) -> tuple[Grid, ...]:
        """The grids of the planes along an axis of a volume.

        Parameters
        ----------
        axis
            The axis that is taken apart.

        Returns
        -------
        tuple of Grid
            In order; each keeps its place in the world.
        """
        keep = [k for k in range(self.ndim) if k != axis]
        first = replace(
            self,
            shape=tuple(self.shape[k] for k in keep),
            spacing=tuple(self.spacing[k] for k in keep),
            direction=tuple(tuple(row[k] for k in keep) for row in self.direction),
        )
        places = np.zeros((self.shape[axis], self.ndim))
        places[:, axis] = np.arange(self.shape[axis])
        return tuple(replace(first, origin=tuple(place)) for place in self.to_world(places).tolist())

    @staticmethod
    def stacked(planes: Sequence[Grid]) -> Grid:
        """The volume whose `slices` are some planes.

        Planes that do not say where they lie in a volume get a distance of 1.

        Parameters
        ----------
        planes
            Grids (Y, X) in their order.

        Returns
        -------
        Grid
            (Z, Y, X).
        """
        first, last = planes[0], planes[-1]
        depth, corner = 1.0, (0.0, *first.origin[-2:])
        if len(first.origin) == len(last.origin) == 3 and last.origin[0] > first.origin[0]:
            depth, corner = (last.origin[0] - first.origin[0]) / (len(planes) - 1), first.origin
        return Grid((len(planes), *first.shape), (depth, *first.spacing), first.unit, corner)


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
class Image:
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
    grid: Grid = Grid(())
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

    @property
    def ndim(self) -> int:
        """How many spatial axes: 2 or 3."""
        return self.grid.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """The spatial shape: (Y, X) or (Z, Y, X)."""
        return self.grid.shape

    @property
    def spacing(self) -> tuple[float, ...]:
        """The distance of neighboring pixels per spatial axis, in `unit`."""
        return self.grid.spacing

    @property
    def unit(self) -> str:
        """The unit of `spacing` and `origin`."""
        return self.grid.unit

    @property
    def origin(self) -> tuple[float, ...]:
        """World coordinates of the first pixel's center, in `unit`."""
        return self.grid.origin

    @property
    def direction(self) -> Floats:
        """The directions of the spatial axes, as columns."""
        return self.grid.matrix

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
    grid: Grid = Grid(())
    names: tuple[str, ...] = ()

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
    def from_array(cls, array: Array, grid: Grid = Grid(()), names: tuple[str, ...] = ()) -> Labels:
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
