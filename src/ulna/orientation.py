"""`Orientation`: how the axes of a volume are ordered and turned so that volumes of one anatomy lie alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from ulna.grid import Grid, Region


@dataclass(frozen=True)
class Orientation:
    """How the axes of an array are put in another order and turned round.

    Parameters
    ----------
    order
        For each axis of the result, which axis of the array it is.
    turned
        For each axis of the result, whether it runs the other way.

    Examples
    --------
    >>> turn = Orientation((1, 0), (False, True))
    >>> turn.apply(np.array([[[1, 2, 3], [4, 5, 6]]])).tolist()
    [[[4, 1], [5, 2], [6, 3]]]
    >>> turn.undo(turn.apply(np.array([[[1, 2, 3], [4, 5, 6]]]))).tolist()
    [[[1, 2, 3], [4, 5, 6]]]
    """

    order: tuple[int, ...]
    turned: tuple[bool, ...]

    @property
    def changes(self) -> bool:
        """Whether it does anything."""
        return self.order != tuple(range(len(self.order))) or any(self.turned)

    def apply(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """An array (C, *spatial) in the new order: a view."""
        moved = array.transpose(0, *(1 + axis for axis in self.order))
        return moved[(slice(None), *(slice(None, None, -1 if turned else 1) for turned in self.turned))]

    def undo(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """An array (C, *spatial) in the new order, as it was before: a view."""
        turned = array[(slice(None), *(slice(None, None, -1 if turned else 1) for turned in self.turned))]
        return turned.transpose(0, *(1 + self.order.index(axis) for axis in range(len(self.order))))

    def before(self, region: Region, shape: tuple[int, ...]) -> Region:
        """A region of the array as it was before, from one of the array in the new order, whose shape is given."""
        parts = [
            slice(side - part.stop, side - part.start) if turned else part
            for part, side, turned in zip(region, shape, self.turned, strict=True)
        ]
        return tuple(parts[self.order.index(axis)] for axis in range(len(self.order)))

    def grid(self, grid: Grid) -> Grid:
        """The grid of the array in the new order."""
        corner = np.zeros(grid.ndim)
        for axis, turned in zip(self.order, self.turned, strict=True):
            corner[axis] = grid.shape[axis] - 1 if turned else 0
        signs = np.where(self.turned, -1.0, 1.0)
        direction = grid.matrix[:, list(self.order)] * signs
        return replace(
            grid,
            shape=tuple(grid.shape[axis] for axis in self.order),
            spacing=tuple(grid.spacing[axis] for axis in self.order),
            origin=tuple(grid.to_world(corner).tolist()),
            direction=tuple(map(tuple, direction.tolist())),
        )


def orientation(grid: Grid) -> Orientation:
    """How a volume is turned so that its axes run as nearly as they can along those of the world.

    Volumes of one anatomy are then stored alike, in whatever order and direction a scanner has written them. Planes,
    and volumes that say nothing of their place, stay as they are.

    Parameters
    ----------
    grid
        Of the volume.

    Returns
    -------
    Orientation
        By at most quarter turns and reflections: nothing is resampled.

    Examples
    --------
    >>> sagittal = Grid((2, 3, 4), direction=((0, -1, 0), (0, 0, 1), (1, 0, 0)))
    >>> orientation(sagittal)
    Orientation(order=(1, 2, 0), turned=(True, False, False))
    """
    if grid.ndim != 3 or len(grid.origin) != 3:
        return Orientation(tuple(range(grid.ndim)), (False,) * grid.ndim)
    along = np.abs(grid.matrix)  # world axes by array axes
    order = max(permutations(range(3)), key=lambda order: float(sum(along[world, order[world]] for world in range(3))))
    return Orientation(order, tuple(bool(grid.matrix[world, order[world]] < 0) for world in range(3)))
