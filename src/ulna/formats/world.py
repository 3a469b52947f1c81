"""Places in the patient: between the grids used here and the matrices of medical files.

World axes of a volume are those of DICOM in the order of the array's: (superior, posterior, left), as the array's are
(Z, Y, X). Files count (x, y, z): NIfTI towards right, anterior and superior (RAS), all others towards left, posterior
and superior (LPS).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.grid import Floats, Grid

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From RAS to LPS, and back."""
MIN_VOLUME = 1e-3
"""Of a voxel with sides of length 1: below, its axes lie in one plane."""


def grid_of(matrix: npt.ArrayLike, shape: tuple[int, ...], *, unit: str = "mm", ras: bool = False) -> Grid:
    """The grid of a volume from its matrix.

    Parameters
    ----------
    matrix
        (4, 4): from the indices (i, j, k) of the file's axes (x, y, z) to the world.
    shape
        (Z, Y, X).
    unit
        Of the world.
    ras
        Whether the world is that of NIfTI.

    Returns
    -------
    Grid
        Its directions are of length 1; they need not be at right angles.

    Raises
    ------
    UlnaError
        For a matrix whose axes have no length or lie in one plane, or that is not finite.

    Examples
    --------
    >>> grid_of(np.diag([0.5, 0.5, 2, 1]), (10, 20, 30)).spacing
    (2.0, 0.5, 0.5)
    """
    affine = np.asarray(matrix, np.float64)
    with np.errstate(all="ignore"):
        affine = FLIP @ affine if ras else affine
        axes = affine[:3, :3][::-1, ::-1]
        spacing = np.sqrt((axes**2).sum(axis=0))
        direction = axes / spacing
    if np.isfinite(direction).all() and abs(np.linalg.det(direction)) < MIN_VOLUME:
        raise UlnaError("its three axes lie in one plane")
    return Grid(
        shape, tuple(spacing.tolist()), unit, tuple(affine[:3, 3][::-1].tolist()), tuple(map(tuple, direction.tolist()))
    )


def matrix_of(grid: Grid, *, ras: bool = False) -> Floats:
    """The matrix of a grid; the inverse of `grid_of`.

    Parameters
    ----------
    grid
        Of a volume, or of a plane: this becomes a volume of one slice.
    ras
        Whether the world is to be that of NIfTI.

    Returns
    -------
    Floats
        (4, 4).
    """
    grid = as_volume(grid)
    affine = np.eye(4)
    affine[:3, :3] = (grid.matrix * grid.spacing)[::-1, ::-1]
    affine[:3, 3] = grid.origin[::-1]
    return FLIP @ affine if ras else affine


def as_volume(grid: Grid) -> Grid:
    """A plane as a volume of one slice, as thick as a pixel is high; a volume as it is."""
    if grid.ndim == 3:
        return grid
    plane = grid.matrix if len(grid.origin) == 3 else np.vstack([np.zeros((1, 2)), grid.matrix])
    origin = grid.origin if len(grid.origin) == 3 else (0.0, *grid.origin)
    rows = np.column_stack([np.cross(plane[::-1, 1], plane[::-1, 0])[::-1], plane])
    return Grid((1, *grid.shape), (grid.spacing[0], *grid.spacing), grid.unit, origin, tuple(map(tuple, rows.tolist())))
