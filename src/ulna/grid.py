"""`Grid`: where the pixels of an image lie in the world, and whether two grids are one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.text import size
from ulna.units import comparable, factor, spelled

Floats = npt.NDArray[np.float64]
Region = tuple[slice, ...]
"""A box of an image: one slice per spatial axis, without a step."""

MAX_APART = 0.5
"""By so many pixels two grids may lie apart at their far ends: up to there it is rounding."""


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
        "pixel" where the file says nothing; "nm", "µm", "mm", … Other spellings, as "um", become these.
    origin
        World coordinates of the center of the first pixel, in `unit`; zeros by default.
    direction
        The rows of a matrix whose columns are the directions of the spatial axes; the identity by default.
    placed
        False where a NIfTI file leaves origin and direction open: what is written on this grid leaves them open, too.

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
    placed: bool = field(default=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        n = len(self.shape)
        set_field = object.__setattr__
        set_field(self, "shape", tuple(int(side) for side in self.shape))
        set_field(self, "unit", spelled(self.unit))
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
        return tuple(self.plane(place, axis) for place in range(self.shape[axis]))

    def plane(self, place: int, axis: int = 0) -> Grid:
        """The grid of one plane of a volume.

        Parameters
        ----------
        place
            Which one, in the order of `axis`.
        axis
            The axis that planes follow on.

        Returns
        -------
        Grid
            Without that axis; it keeps its place in the world.
        """
        keep = [k for k in range(self.ndim) if k != axis]
        corner = np.zeros(self.ndim)
        corner[axis] = range(self.shape[axis])[place]
        return replace(
            self,
            shape=tuple(self.shape[k] for k in keep),
            spacing=tuple(self.spacing[k] for k in keep),
            origin=tuple(self.to_world(corner).tolist()),
            direction=tuple(tuple(row[k] for k in keep) for row in self.direction),
        )


class OnGrid:
    """What lies on a grid, `grid`, and says of itself what the grid says."""

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        raise NotImplementedError

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


UNPLACED = Grid(())
"""Stands for the grid of unit pixels that suits an array."""


def check_same_place(where: str, grids: Sequence[tuple[object, Grid]]) -> None:
    """Raise UlnaError where images that belong together, pixel by pixel, say that they lie in different places.

    What a file does not say is not compared: a grid of unit pixels, an origin of zeros, and in a volume a distance of
    planes of exactly 1.

    Parameters
    ----------
    where
        The case.
    grids
        What each image is (a file, or in words), and its grid. The shapes are the same.

    Raises
    ------
    UlnaError
        It names the two files and what they say.
    """
    name, first = grids[0]
    for other_name, other in grids[1:]:
        if apart(first, other) > MAX_APART:
            raise UlnaError(
                f"its files say that their pixels lie in different places: {name} {described(first)}, "
                f"{other_name} {described(other)}",
                where=where,
                hint="Resample one onto the grid of the other, or, if these words are wrong, correct or remove them.",
            )


def apart(one: Grid, other: Grid) -> float:
    """By how many pixels of `one` two grids of one shape lie apart at most, as far as both say where they lie.

    Examples
    --------
    >>> apart(Grid((100, 100), (0.5, 0.5), "µm"), Grid((100, 100), (0.5, 0.505), "µm"))
    0.99
    >>> apart(Grid((100, 100), (0.5, 0.5), "µm"), Grid((100, 100)))
    0.0
    """
    if not (_says(one) and _says(other)):
        return 0.0
    if not comparable(one.unit, other.unit):
        return math.inf
    many = factor(other.unit, one.unit)
    spacing, theirs = np.array(one.spacing), np.array(other.spacing) * many
    thin = [grid for grid in (one, other) if grid.spacing[0] == 1]
    if one.ndim == 3 and len(thin) == 1 and not any(thin[0].origin):
        theirs[0] = spacing[0]  # a file that says nothing of its planes gives them a distance of 1, and no place
    far = np.abs(theirs / spacing - 1) * (np.array(one.shape) - 1)
    starts = [np.array(grid.origin[-grid.ndim :]) for grid in (one, other)]
    if starts[0].any() and starts[1].any():
        far += np.abs(_moved(one, other, many))
    aside = turned(one, other) if one.ndim == other.ndim == 3 else 0.0
    return round(max(float(far.max()), aside), 6)


def _moved(one: Grid, other: Grid, many: float) -> Floats:
    """By how many pixels of a grid, along its axes, another begins elsewhere, a unit of which is `many` of its own."""
    if len(one.origin) == len(other.origin):
        return one.to_index(np.array(other.origin) * many)
    starts = [np.array(grid.origin[-grid.ndim :]) for grid in (one, other)]  # a plane alone, and one of a volume
    return np.asarray((starts[1] * many - starts[0]) / one.spacing)


def turned(one: Grid, other: Grid) -> float:
    """By how many voxels axes that point elsewhere place the far end of an axis apart, if both say where they point."""
    silent = [not any(grid.origin) and all(side == 1 for side in grid.spacing) for grid in (one, other)]
    unset = [not any(grid.origin) and np.array_equal(grid.direction, np.eye(3)) for grid in (one, other)]
    if any(silent) or any(unset):
        return 0.0
    moved = np.abs(np.array(one.direction) - np.array(other.direction)).max(axis=0)
    return float((moved * (np.array(one.shape) - 1)).max())


def _says(grid: Grid) -> bool:
    return grid.unit != "pixel" or any(side != 1 for side in grid.spacing)


def described(grid: Grid) -> str:
    """Shape, spacing and place of a grid, in words."""
    sides = " × ".join(f"{side:g}" for side in grid.spacing)
    corner = ", ".join(f"{place:g}" for place in grid.origin[-grid.ndim :])
    return f"{size(grid.shape)} pixels of {sides} {grid.unit} from ({corner})"
