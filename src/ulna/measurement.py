"""Measurements of objects: size, shape, place, intensities, neighbors. One row per object.

scikit-image's `regionprops_table` does the measuring; this module gives its columns the names, units and cases that a
biologist expects.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import marching_cubes, mesh_surface_area, regionprops_table

from ulna.dataset import Progress, quiet
from ulna.errors import UlnaError
from ulna.formats.base import GRAY, RGB, equal_channels
from ulna.image import Array, Grid, Image, Labels, Region
from ulna.numbering import consecutive, first_places
from ulna.text import size

Column = npt.NDArray[Any]
Table = dict[str, Column]
"""Columns of one length, by their names: what `pandas.DataFrame` takes."""

BLOCK, BAND = 1024, 1 << 23
"""Where an image is not in memory as a whole: sides of the blocks that objects are measured in, and the pixels that are
looked at together to find them."""

ROUNDING = 1e-3
"""Sides of pixels that differ by no more than this share are equal: files write spacings as rounded numbers."""

_SHAPES = {"axis_major_length": "major_axis", "axis_minor_length": "minor_axis", "solidity": "solidity"}
_INTENSITIES = {"intensity_mean": "mean", "intensity_min": "min", "intensity_max": "max", "intensity_std": "std"}


def measure_objects(labels: Labels, image: Image | None = None) -> Table:
    """Measure every object of an image.

    Parameters
    ----------
    labels : Labels
        With objects, in 2D or 3D.
    image : Image, optional
        Of the same shape; its channels are measured within each object.

    Returns
    -------
    dict of str to ndarray
        One value per object, in the order of their numbers: `object` (its number), `class`, `area` (in 3D `volume`),
        `perimeter` (`surface`), `centroid_y`, `centroid_x`, `bbox_…`, `major_axis`, `minor_axis`, `eccentricity`
        (2D), `solidity`, `touches_border`, `neighbors`, and per channel `mean`, `min`, `max`, `std`, `integrated`
        intensity; a color image whose channels are equal is measured as the gray one that it is. Lengths and
        centroids are in `unit`, areas in its square, volumes in its cube; centroids are measured from the center of the
        first pixel. Bounding boxes are indices of pixels, their ends not included. Solidity is NaN for objects too
        small or too flat for a convex hull.

    Raises
    ------
    UlnaError
        Where there are no objects in the labels, or the image has another shape.

    Notes
    -----
    The perimeter is that of `skimage.measure.perimeter`, through the centers of the border's pixels (0 for a single
    pixel), the surface that of a mesh by marching cubes, which follows the steps between voxels and is a tenth too
    large for round objects. Two objects are neighbors where their pixels touch, also by a corner. The border of a
    volume includes its first and its last plane. Where pixels are not square the perimeter is NaN: no estimate of it
    is known to be right.

    Examples
    --------
    >>> objects = np.array([[1, 1, 0], [0, 2, 2]], np.int32)
    >>> table = measure_objects(Labels((objects > 0).astype(np.uint8), objects))
    >>> table["area"].tolist(), table["neighbors"].tolist()
    ([2.0, 2.0], [1, 1])
    """
    if image is not None and image.shape != labels.grid.shape:
        raise UlnaError(f"the image has {size(image.shape)} pixels, its mask {size(labels.grid.shape)}")
    return _measured(labels, None if image is None else as_gray(image))


def measure_by_region(
    labels: Callable[[Region], Labels],
    grid: Grid,
    image: Callable[[Region], Image] | None = None,
    *,
    look: Callable[[Labels, Column], None] = lambda _labels, _members: None,
    progress: Progress = quiet,
) -> Table:
    """Measure every object of an image that is not in memory as a whole.

    Its boxes are found band by band, and then the objects that begin in a block are measured within what holds them.

    Parameters
    ----------
    labels
        Gives the labels of any region.
    grid
        Of the whole.
    image
        Gives the image of any region.
    look
        Is shown the objects that are measured together: their numbers, and the labels of what holds them as a whole.
    progress
        Goes through the blocks and shows how far it is.

    Returns
    -------
    dict of str to ndarray
        As of `measure_objects`.

    Raises
    ------
    UlnaError
        As `measure_objects` does.
    """
    boxes = _Boxes(grid.ndim)
    gray = image is not None
    for band in progress(_bands(grid), "looking for objects"):
        boxes.add(labels(band), band)
        if image is not None and gray:
            part = image(band)
            gray = as_gray(part) is not part
    tables = []
    groups = boxes.groups(BLOCK)
    for members in progress(groups, "measuring") if len(groups) > 1 else groups:
        window = boxes.window(members, grid.shape)
        own = labels(window)
        look(own, members)
        shown = None if image is None else image(window)
        table = _measured(own, as_gray(shown) if shown is not None and gray else shown)
        rows = np.isin(table["object"], members)
        tables.append(_placed({name: column[rows] for name, column in table.items()}, window, grid))
    if not tables:
        empty = tuple(slice(0, 1) for _ in grid.shape)
        return _measured(labels(empty), None if image is None else image(empty))
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    order = np.argsort(joined["object"], kind="stable")
    return {name: column[order] for name, column in joined.items()}


def _measured(labels: Labels, image: Image | None) -> Table:
    """The table of `measure_objects`, of all channels."""
    if labels.objects is None:
        raise UlnaError("the labels hold classes and no objects: there is nothing to count")
    numbers, objects = consecutive(labels.objects)
    spacing = labels.grid.spacing
    found = _regions(objects, image, spacing)
    three = objects.ndim == 3
    table: Table = {"object": numbers.astype(np.int64), "class": _classes(labels, objects)}
    table["volume" if three else "area"] = found["area"].astype(np.float64)
    if three:
        table["surface"] = _surfaces(objects, spacing)
    else:
        table["perimeter"] = _perimeters(objects, spacing)
    axes = "zyx"[-objects.ndim :]
    for k, axis in enumerate(axes):
        table[f"centroid_{axis}"] = found[f"centroid-{k}"]
    for k, axis in enumerate(axes):
        table[f"bbox_{axis}_start"], table[f"bbox_{axis}_end"] = found[f"bbox-{k}"], found[f"bbox-{k + objects.ndim}"]
    table |= {name: _finite(found[prop]) for prop, name in _SHAPES.items()}
    if not three:
        table["eccentricity"] = found["eccentricity"]
    table |= _intensities(found, image)
    table["touches_border"] = _at_border(table, labels.grid)
    table["neighbors"] = _neighbors(objects, len(numbers))
    table["unit"] = np.full(len(numbers), labels.grid.unit)
    return table


def as_gray(image: Image) -> Image:
    """An image whose red, green and blue are equal as a gray one; any other as it is."""
    if image.channels[:3] != RGB or not equal_channels(image.array[:3]):
        return image
    return replace(image, array=np.delete(image.array, (1, 2), axis=0), channels=(*GRAY, *image.channels[3:]))


def together(tables: Mapping[Any, Table], by: str = "image") -> Table:
    """The tables of several images (or pages) as one, with a column that names these before all others.

    Columns that some images lack (a third channel, the surface of volumes) are NaN, or empty, there.
    """
    columns = list(dict.fromkeys(name for table in tables.values() for name in table))
    counts = [len(one["object"]) for one in tables.values()]
    made: Table = {by: np.repeat(np.array(list(tables)), counts) if tables else np.zeros(0, str)}
    for column in columns:
        parts = [one.get(column, np.full(len(one["object"]), np.nan)) for one in tables.values()]
        made[column] = np.concatenate(parts) if parts else np.zeros(0)
    return made


def _regions(objects: Array, image: Image | None, spacing: Sequence[float]) -> dict[str, Column]:
    """What scikit-image measures."""
    wanted = ["label", "centroid", "bbox", "num_pixels", "area", *_SHAPES]
    if objects.ndim == 2:
        wanted += ["eccentricity"]
    intensities = None
    if image is not None:
        wanted += _INTENSITIES
        intensities = np.moveaxis(image.array, 0, -1).astype(np.float64)
    with warnings.catch_warnings():
        # flat objects have no convex hull: their solidity is NaN
        warnings.filterwarnings("ignore", "Failed to get convex hull")
        warnings.filterwarnings("ignore", "divide by zero", RuntimeWarning)
        made: dict[str, Column] = regionprops_table(  # type: ignore[no-untyped-call]
            objects, intensities, properties=wanted, spacing=tuple(spacing)
        )
    return made


def _finite(values: Column) -> Column:
    """NaN in place of what a convex hull without volume gives."""
    return np.where(np.isfinite(values), values, np.nan)


def _classes(labels: Labels, objects: npt.NDArray[np.int32]) -> Column:
    """The class of each object: that of its first pixel, since an object has one class; its name where it has one."""
    indices = labels.classes.ravel()[first_places(objects)[1:]]
    names = dict(enumerate(labels.names))
    return np.array([names.get(int(index), str(index)) for index in indices], dtype=str)


def _perimeters(objects: Array, spacing: Sequence[float]) -> Column:
    """The perimeters of objects (Y, X); NaN where pixels are not square."""
    found = regionprops_table(objects, properties=("perimeter",))["perimeter"]  # type: ignore[no-untyped-call]
    square = max(spacing) <= (1 + ROUNDING) * min(spacing)
    return np.asarray(found * np.mean(spacing) if square else np.full(len(found), np.nan), np.float64)


def _surfaces(objects: Array, spacing: Sequence[float]) -> Column:
    """The area of a mesh around each object of a volume, halfway between its voxels and those outside."""
    made = []
    for number, box in enumerate(ndimage.find_objects(objects), start=1):
        inside = np.pad((objects[box] == number).astype(np.float32), 1)
        corners, faces, *_ = marching_cubes(inside, 0.5, spacing=tuple(spacing))  # type: ignore[no-untyped-call]
        made.append(mesh_surface_area(corners, faces))  # type: ignore[no-untyped-call]
    return np.array(made, np.float64)


def _intensities(found: dict[str, Column], image: Image | None) -> Table:
    """Mean, minimum, maximum, standard deviation and sum of every channel, named by the channel where there are two."""
    if image is None:
        return {}
    names = [channel.name for channel in image.channels]
    made: Table = {}
    for k, name in enumerate(names):
        start = f"{name}_" if len(names) > 1 else ""
        for prop, short in _INTENSITIES.items():
            made[f"{start}intensity_{short}"] = found[f"{prop}-{k}"].astype(np.float64)
        made[f"{start}intensity_integrated"] = made[f"{start}intensity_mean"] * found["num_pixels"]
    return made


def _at_border(table: Table, grid: Grid) -> Column:
    """Whether an object has a pixel at the border of the image: it may go on beyond."""
    found = np.zeros(len(table["object"]), np.bool_)
    for axis, side in zip("zyx"[-grid.ndim :], grid.shape, strict=True):
        found |= (table[f"bbox_{axis}_start"] == 0) | (table[f"bbox_{axis}_end"] == side)
    return found


def _placed(table: Table, window: Region, grid: Grid) -> Table:
    """The table of a window, as of the whole image."""
    for axis, part, step in zip("zyx"[-grid.ndim :], window, grid.spacing, strict=True):
        table[f"centroid_{axis}"] = table[f"centroid_{axis}"] + part.start * step
        for end in ("start", "end"):
            table[f"bbox_{axis}_{end}"] = table[f"bbox_{axis}_{end}"] + part.start
    return table | {"touches_border": _at_border(table, grid)}


def _neighbors(objects: Array, count: int) -> Column:
    """How many other objects each one touches, by faces, edges or corners."""
    pairs = []
    for step in np.ndindex(*(3,) * objects.ndim):
        shift = np.array(step) - 1
        if tuple(shift) <= (0,) * objects.ndim:  # each pair of pixels once
            continue
        here = tuple(slice(max(0, -s), side - max(0, s)) for s, side in zip(shift, objects.shape, strict=True))
        there = tuple(slice(max(0, s), side - max(0, -s)) for s, side in zip(shift, objects.shape, strict=True))
        one, other = objects[here], objects[there]
        touching = (one != other) & (one > 0) & (other > 0)
        pairs.append(np.sort(np.stack([one[touching], other[touching]], axis=1), axis=1))
    return np.bincount(np.unique(np.concatenate(pairs), axis=0).ravel(), minlength=count + 1)[1:]


def _bands(grid: Grid) -> list[Region]:
    """Regions that together are an image, each as many rows as hold `BAND` pixels."""
    step = max(1, BAND // prod(grid.shape[1:]))
    rest = tuple(slice(0, side) for side in grid.shape[1:])
    return [(slice(start, min(start + step, grid.shape[0])), *rest) for start in range(0, grid.shape[0], step)]


class _Boxes:
    """First and last pixels of objects along each axis, gathered band by band."""

    def __init__(self, ndim: int) -> None:
        self.numbers = np.zeros(0, np.int64)
        self.low = np.zeros((0, ndim), np.int64)
        self.high = np.zeros((0, ndim), np.int64)

    def add(self, labels: Labels, band: Region) -> None:
        """Take the objects of a band."""
        if labels.objects is None:
            return
        found, objects = consecutive(labels.objects)
        numbers = np.union1d(self.numbers, found)
        low, high = (np.zeros((len(numbers), self.low.shape[1]), np.int64) for _ in range(2))
        low[:] = np.iinfo(np.int64).max
        before = np.searchsorted(numbers, self.numbers)
        low[before], high[before] = self.low, self.high
        for place, box in zip(np.searchsorted(numbers, found).tolist(), ndimage.find_objects(objects), strict=True):
            for axis, (part, whole) in enumerate(zip(box, band, strict=True)):
                low[place, axis] = min(low[place, axis], part.start + whole.start)
                high[place, axis] = max(high[place, axis], part.stop + whole.start)
        self.numbers, self.low, self.high = numbers, low, high

    def groups(self, side: int) -> list[Column]:
        """The numbers of the objects that begin in each block of this side."""
        if not self.numbers.size:
            return []
        _, block = np.unique(self.low // side, axis=0, return_inverse=True)
        order = np.argsort(block.ravel(), kind="stable")
        return np.split(self.numbers[order], np.flatnonzero(np.diff(block.ravel()[order])) + 1)

    def window(self, members: Column, shape: Sequence[int]) -> Region:
        """What holds some objects and the pixels that they touch."""
        own = np.searchsorted(self.numbers, members)
        low, high = self.low[own].min(axis=0) - 1, self.high[own].max(axis=0) + 1
        return tuple(
            slice(max(0, first), min(side, last))
            for first, last, side in zip(low.tolist(), high.tolist(), shape, strict=True)
        )
