"""Whether a mask lies on the grid of its image: what is harmless, what can be mended, and what cannot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ulna.errors import UlnaError
from ulna.grid import MAX_APART, Grid, apart, described, turned
from ulna.image import Array, Image
from ulna.text import listed, plural, size
from ulna.units import comparable, factor

ROUNDING = 1e-3
"""By so many pixels two grids may lie apart without a word."""

MIN_INSIDE = 0.95
"""Share of what a mask shows that must lie within the image for the mask to be brought onto its grid."""

MIN_COVERED = 0.5
"""Share of the image that a mask which shows nothing must cover."""

MAX_POINTS = 100_000
"""Pixels of a mask's foreground that are looked at at once."""

LEAST_SHARE = 1e-3
"""The smallest share that is said as a number."""

NEARLY_WHOLE = 1e-3
"""By so much numbers may be off whole ones to be rounded: they were computed, and are classes."""

Kind = Literal["same", "rounding", "origin", "unset", "silent", "unplaced", "resampled", "size", "elsewhere"]
FATAL = ("size", "elsewhere")


@dataclass(frozen=True)
class Verdict:
    """How a mask lies on its image.

    Parameters
    ----------
    kind
        "same"; "rounding" (harmless); "origin" and "unset" (the mask does not say where it begins, or lies: as the
        image); "silent" (the image does not say how large its voxels are) and "unplaced" (nor where its axes point);
        "resampled" (the mask has a grid of its own, and is brought onto the image's); "size" and "elsewhere" (they
        cannot be brought together).
    what
        What both say, in words.
    """

    kind: Kind
    what: str = ""

    @property
    def fatal(self) -> bool:
        """Whether image and mask cannot be used together."""
        return self.kind in FATAL


SAME = Verdict("same")


class Misplaced(UlnaError):
    """A mask that does not lie on its image; `verdict` says how."""

    def __init__(self, verdict: Verdict, where: object) -> None:
        hint = "Resample one onto the grid of the other, or, if these words are wrong, correct or remove them."
        super().__init__(verdict.what, where=where, hint="" if verdict.kind == "size" else hint)
        self.verdict = verdict


def is_unset(grid: Grid) -> bool:
    """Whether a grid is what a file says that knows nothing: pixels of 1, from 0 on, along the axes.

    Parameters
    ----------
    grid
        Of a plane or a volume.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_unset(Grid((4, 5, 6), unit="mm")), is_unset(Grid((4, 5, 6), (2.0, 1.0, 1.0), "mm"))
    (True, False)
    """
    return len(grid.origin) == grid.ndim and set(grid.spacing) == {1.0} and _begins_at_zero(grid)


def same_planes(own: Grid, grid: Grid) -> bool:
    """Whether the planes of a mask are those of its image, in their order, as far as both say how they lie.

    Parameters
    ----------
    own
        The grid of the mask.
    grid
        Of the image.

    Returns
    -------
    bool
    """
    if own.shape != grid.shape:
        return False
    return grid.ndim < 3 or is_unset(own) or is_unset(grid) or turned(grid, own) <= MAX_APART


def judge(mask: Image, grid: Grid) -> Verdict:
    """Decide how a mask lies on the grid of its image.

    Two grids of one shape that point in the same directions and lie apart are one of which the words are wrong: which
    one, nobody can tell. A mask of another shape or other directions whose place in the world is known is brought onto
    the image's grid, as long as what it shows lies within the image. Planes are only compared.

    Parameters
    ----------
    mask
        As it was read.
    grid
        Of the image.

    Returns
    -------
    Verdict
    """
    own = mask.grid
    volume = own.ndim == grid.ndim == 3
    if own.shape == grid.shape:
        found = _of_one_shape(own, grid) if volume else _of_planes(own, grid)
        if not (volume and found.kind == "elsewhere" and turned(grid, own) > MAX_APART):
            return found
    elif not volume or is_unset(own) or is_unset(grid) or _factor(own, grid) is None:
        return Verdict("size", f"image and mask differ in size: {size(grid.shape, '×')} and {size(own.shape, '×')}")
    return _of_two_grids(mask, grid)


def aligned(mask: Image, grid: Grid, *, where: object) -> tuple[Image, Verdict]:
    """A mask on the grid of its image.

    Parameters
    ----------
    mask
        As it was read.
    grid
        Of the image.
    where
        What an error names.

    Returns
    -------
    Image, Verdict
        The mask with the image's grid, and what was done. Each pixel of a mask that is brought onto another grid takes
        the value that the mask has there, without interpolation, and 0 outside the mask.

    Raises
    ------
    Misplaced
        Where they cannot be brought together.
    """
    verdict = judge(mask, grid)
    if verdict.fatal:
        raise Misplaced(verdict, where)
    if verdict.kind != "resampled":
        return replace(mask, grid=grid), verdict
    array = on_grid(mask.array, mask.grid, grid)
    return replace(mask, array=array, grid=grid), replace(verdict, what=verdict.what + _lost(mask.array, array))


def rounded(array: Array) -> tuple[Array, float]:
    """Numbers that are whole but for rounding as whole ones.

    Parameters
    ----------
    array
        Of a mask.

    Returns
    -------
    ndarray, float
        In its own type, and how far off it was at most; the same array and 0 where nothing is to be rounded, or where
        values are no whole numbers.

    Examples
    --------
    >>> rounded(np.array([0.99999997, 0.0]))[0].tolist(), rounded(np.array([0.5, 1.0]))[0].tolist()
    ([1.0, 0.0], [0.5, 1.0])
    """
    if array.dtype.kind != "f":
        return array, 0.0
    whole = np.rint(array)
    off = float(np.abs(whole - array).max())
    return (whole, off) if 0 < off <= NEARLY_WHOLE else (array, 0.0)


def on_grid(array: Array, own: Grid, grid: Grid) -> Array:
    """The values of a mask at the pixels of another grid: those of the nearest pixel, 0 outside.

    Parameters
    ----------
    array
        (C, *spatial).
    own
        Its grid.
    grid
        The other one.

    Returns
    -------
    ndarray
        (C, *spatial) of the other grid, in the same type.

    Examples
    --------
    >>> fine, coarse = Grid((1, 1, 4)), Grid((1, 1, 2), (1, 1, 2.0), origin=(0, 0, 0.5))
    >>> on_grid(np.array([[[[3, 7]]]]), coarse, fine).tolist()
    [[[[3, 3, 7, 7]]]]
    """
    matrix, offset = _between(own, grid)
    axes = _along(matrix, grid.shape)
    if axes is None:
        planes = [
            ndimage.affine_transform(one, matrix, offset, output_shape=grid.shape, order=0, mode="constant")
            for one in array
        ]
        return np.stack(planes)
    found = np.zeros((len(array), *grid.shape), array.dtype)
    inside: list[slice] = [slice(0)] * 3
    taken: list[npt.NDArray[np.intp]] = [np.zeros(0, np.intp)] * 3
    for axis, other in enumerate(axes):  # of the mask, of the image
        places = np.floor(matrix[axis, other] * np.arange(grid.shape[other]) + offset[axis] + 0.5 + 1e-9)
        known = np.flatnonzero((places >= 0) & (places < own.shape[axis]))
        if not len(known):
            return found
        inside[other] = slice(int(known[0]), int(known[-1]) + 1)
        taken[axis] = places[known].astype(np.intp)
    picked: Any = (slice(None), *np.ix_(*taken))
    box: Any = (slice(None), *inside)
    found[box] = array[picked].transpose(0, *(1 + axes.index(k) for k in range(3)))
    return found


def _of_planes(own: Grid, grid: Grid) -> Verdict:
    return _elsewhere(own, grid) if apart(grid, own) > MAX_APART else SAME


def _of_one_shape(own: Grid, grid: Grid) -> Verdict:
    if own == grid or (is_unset(own) and is_unset(grid)):
        return SAME
    if is_unset(own):
        return Verdict("unset", f"the image says {described(grid)}")
    if is_unset(grid):
        return Verdict("silent", f"the mask says {described(own)}")
    distance = apart(grid, own)
    if distance > MAX_APART:
        plain = (replace(one, direction=()) for one in (grid, own))
        lost = _begins_at_zero(own) and any(grid.origin) and apart(*plain) <= MAX_APART
        return Verdict("unset", f"the image says {described(grid)}") if lost else _elsewhere(own, grid)
    if any(own.origin) != any(grid.origin):
        if points_elsewhere(own, grid):  # the other may be mirrored against it, which nobody can tell
            placed = any(grid.origin)
            what = f"the image says {described(grid)}" if placed else f"the mask says {described(own)}"
            return Verdict("unset" if placed else "unplaced", what)
        begins = ", ".join(f"{place:g}" for place in (grid if any(grid.origin) else own).origin)
        return Verdict("origin", f"{'the image' if any(grid.origin) else 'the mask'} begins at ({begins})")
    return Verdict("rounding", f"{distance:.2g} pixels") if distance > ROUNDING else SAME


def points_elsewhere(own: Grid, grid: Grid) -> bool:
    """Whether the axes of two grids of one shape point in directions that lead to other voxels.

    Parameters
    ----------
    own, grid
        Of volumes.

    Returns
    -------
    bool
    """
    moved = np.abs(own.matrix - grid.matrix).max(axis=0)
    return float((moved * (np.array(grid.shape) - 1)).max()) > MAX_APART


def _begins_at_zero(grid: Grid) -> bool:
    """Whether a grid says no more than how large its voxels are."""
    return not any(grid.origin) and bool((np.abs(grid.matrix) == np.eye(grid.ndim)).all())


def _of_two_grids(mask: Image, grid: Grid) -> Verdict:
    """Of a mask with a place of its own: whether what it shows lies within the image."""
    own = mask.grid
    if _factor(own, grid) is None:
        return _elsewhere(own, grid)
    what = f"mask of {described(own)}, image of {described(grid)}"
    shown = np.argwhere(mask.array.any(axis=0))
    if not len(shown):
        covered = _share_inside(_corners(grid.shape), grid, own)
        return Verdict("resampled", what) if covered >= MIN_COVERED else _elsewhere(own, grid)
    inside = _share_inside(shown, own, grid)
    if inside >= MIN_INSIDE:
        outside = round((1 - inside) * len(shown))
        share = f"{1 - inside:.1%}" if 1 - inside >= LEAST_SHARE else f"under {LEAST_SHARE:.1%}"
        cut = f"; {plural(outside, 'labeled voxel')} of it ({share}) {'lie' if outside > 1 else 'lies'} outside"
        return Verdict("resampled", what + cut * (outside > 0))
    return replace(_elsewhere(own, grid), what=f"{_elsewhere(own, grid).what}; {inside:.0%} of what it shows is inside")


def _lost(before: Array, after: Array) -> str:
    """That values of a mask, thin or small, are at no voxel of the image, if there are any."""
    lost = np.setdiff1d(before, after)
    if not len(lost):
        return ""
    shown = listed([f"{value:.10g}" for value in lost], 3)
    return f"; {plural(len(lost), 'value')} of it ({shown}) {'are' if len(lost) > 1 else 'is'} at no voxel of the image"


def _elsewhere(own: Grid, grid: Grid) -> Verdict:
    return Verdict(
        "elsewhere",
        f"its files say that their pixels lie in different places: the image {described(grid)}, the mask "
        f"{described(own)}",
    )


def _factor(own: Grid, grid: Grid) -> float | None:
    """How many units of the image's grid one of the mask's is; None where they cannot be compared."""
    return factor(own.unit, grid.unit) if comparable(own.unit, grid.unit) else None


def _between(own: Grid, grid: Grid) -> tuple[Array, Array]:
    """The matrix and the offset that lead from indices of a grid to those of another, `own`."""
    many = _factor(grid, own) or 1.0
    start = own.to_index(many * np.array(grid.origin))
    steps = own.to_index(many * (np.array(grid.origin) + (grid.matrix * grid.spacing).T)) - start
    return steps.T, start


def _along(matrix: Array, shape: tuple[int, ...]) -> list[int] | None:
    """For each axis of the mask the one of the image along which it runs; None where they are oblique."""
    axes = [int(axis) for axis in np.abs(matrix).argmax(axis=1)]
    if sorted(axes) != list(range(len(shape))):
        return None
    rest = np.abs(matrix.copy())
    rest[range(len(axes)), axes] = 0
    return axes if float((rest * (np.array(shape) - 1)).sum(axis=1).max()) < MAX_APART / 10 else None


def _share_inside(points: npt.NDArray[np.intp], own: Grid, other: Grid) -> float:
    """The share of pixels of a grid, given by indices, that lie within another."""
    matrix, offset = _between(other, own)
    inside = 0
    for start in range(0, len(points), MAX_POINTS):  # all, for a few that are cut off must be said
        places = points[start : start + MAX_POINTS] @ matrix.T + offset
        inside += int(((places >= -0.5) & (places < np.array(other.shape) - 0.5)).all(axis=1).sum())
    return inside / len(points)


def _corners(shape: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """Evenly taken indices of a volume."""
    axes = [np.unique(np.linspace(0, side - 1, 20).astype(np.intp)) for side in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(shape))
