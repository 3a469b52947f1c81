"""Images at another number of pixels: the size or the spacing that a network sees, and back to the image's own.

Images are interpolated axis by axis and linearly, with a Gaussian before where they shrink; labels take the nearest
value, so that none appears that was not there, and of sparse annotation none is lost. All of it goes band by band: no
second copy of a volume is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import prod

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ulna.config import DataConfig
from ulna.grid import Grid
from ulna.image import IGNORE, Array, Region
from ulna.units import comparable, factor

THICK = 3.0
"""Slices so many times as far apart as their pixels show little of what goes on between them: there, nothing is
interpolated."""

DENSE = 0.5
"""Of labels of which no more than this share of the pixels is annotated, none is to be lost."""

BAND = 1 << 22
"""About so many values are resampled together."""

Places = npt.NDArray[np.float64]


def planned_shape(grid: Grid, data: DataConfig) -> tuple[int, ...]:
    """The shape at which a network sees an image.

    Parameters
    ----------
    grid
        Of the image, its axes in the order of the world.
    data
        Its `resize` (of the slices of a volume, where these are learned) and `target_spacing`.

    Returns
    -------
    tuple of int
        That of the grid where nothing is to be resampled, or where the image does not say how large its pixels are.

    Examples
    --------
    >>> grid = Grid((10, 200, 200), (8.0, 1.5, 1.5), "mm")
    >>> planned_shape(grid, DataConfig(target_spacing=(0, 1.2, 1.2), unit="mm"))
    (10, 250, 250)
    """
    if data.resize is not None and len(data.resize) == grid.ndim:
        return tuple(data.resize)
    if data.resize is not None and data.slices is not None:
        return (*data.resize[: data.slices], grid.shape[data.slices], *data.resize[data.slices :])
    target = _target(grid, data)
    if len(target) != grid.ndim or not comparable(grid.unit, data.unit):
        return grid.shape
    many = factor(data.unit, grid.unit)
    wanted = zip(target, grid.spacing, strict=True)
    return grid.resampled(spacing=tuple(target * many or own for target, own in wanted)).shape


def _target(grid: Grid, data: DataConfig) -> tuple[float, ...]:
    """The target spacing along the axes of a grid: of a slice by itself, where those of volumes were learned, too."""
    target, axis = data.target_spacing or (), data.slices
    if axis is None or len(target) != grid.ndim + 1:
        return target
    return (*target[:axis], *target[axis + 1 :])


def resampling_note(grid: Grid, data: DataConfig) -> str:
    """What is to be said of an image that a network sees at another spacing, or should see so and cannot.

    Parameters
    ----------
    grid
        Of the image, its axes in the order of the world.
    data
        As of `planned_shape`.

    Returns
    -------
    str
        A sentence, or "".

    Examples
    --------
    >>> print(resampling_note(Grid((9, 9, 9)), DataConfig(target_spacing=(1, 1, 1), unit="mm")))
    does not say how large its voxels are; they are taken for those that the model was trained on: 1 × 1 × 1 mm
    """
    target = _target(grid, data)
    if not any(target) or len(target) > grid.ndim or comparable(grid.unit, data.unit):
        return ""
    own = "does not say how large its voxels are"
    if grid.unit != "pixel":
        own = f"says in {grid.unit} how large its voxels are, the model cannot"
    sides = " × ".join(f"{side:g}" for side in target if side)
    return f"{own}; they are taken for those that the model was trained on: {sides} {data.unit}"


def placing_note(grid: Grid, data: DataConfig) -> str:
    """What is to be said of a volume of a patient that does not say where its axes point.

    Parameters
    ----------
    grid, data
        As of `resampling_note`.

    Returns
    -------
    str
        A sentence, or "": also where the model was trained on volumes that do not say it either.

    Examples
    --------
    >>> print(placing_note(Grid((9, 9, 9)), DataConfig(modality="mr", unit="mm")))
    does not say where its axes point: Z is taken to run to the head, Y to the back and X to the left
    """
    if grid.ndim < 3 or grid.unit != "pixel" or data.unit != "mm" or data.modality not in ("mr", "ct"):
        return ""
    return "does not say where its axes point: Z is taken to run to the head, Y to the back and X to the left"


def across(grid: Grid) -> tuple[bool, ...]:
    """Along which axes nothing is interpolated: where voxels are more than `THICK` times as long as the finest.

    Examples
    --------
    >>> across(Grid((10, 200, 200), (8.0, 1.5, 1.5)))
    (True, False, False)
    """
    return tuple(side > THICK * min(grid.spacing) for side in grid.spacing)


def resize(array: Array, size: tuple[int, ...], *, smooth: bool, thick: tuple[bool, ...] = ()) -> Array:
    """(C, *spatial) at another spatial size; the dtype stays.

    Parameters
    ----------
    array
        (C, *spatial).
    size
        The spatial size wanted.
    smooth
        For images: linear, with a Gaussian before it where the image shrinks. Otherwise nearest, for labels: no value
        appears that was not there.
    thick
        Axes along which nothing is interpolated, see `across`.

    Returns
    -------
    Array
        (C, *size).

    Examples
    --------
    >>> resize(np.array([[[0, 4]]], np.uint8), (1, 4), smooth=True).tolist()
    [[[0, 1, 3, 4]]]
    """
    shape = tuple(array.shape[1:])
    if shape == tuple(size):
        return array
    if not smooth:
        return _nearest_all(array, size)
    result = np.empty((len(array), *size), array.dtype)
    for rows, band in resampled_bands(lambda region: array[(slice(None), *region)], shape, tuple(size), thick):
        result[:, rows] = np.rint(band) if array.dtype.kind in "iu" else band
    return result


def resize_labels(labels: Array, size: tuple[int, ...]) -> Array:
    """Labels at another spatial size: those under the middle of each new pixel.

    Of labels that are sparse, of a few slices or scribbles, none is lost where pixels become larger: a pixel whose
    middle is not annotated takes the nearest label within its extent. Where more than `DENSE` of the pixels are
    annotated, what is not is left as it is, for it may be drawn between objects on purpose.

    Parameters
    ----------
    labels
        (L, *spatial): class indices, `IGNORE` where nothing is annotated, and maybe numbers of objects.
    size
        The spatial size wanted.

    Returns
    -------
    Array
        (L, *size).

    Examples
    --------
    >>> slices = np.full((1, 9, 1), 255, np.uint8)
    >>> slices[0, 3] = 1
    >>> resize_labels(slices, (3, 1))[0, :, 0].tolist()
    [255, 1, 255]
    """
    if np.count_nonzero(labels[0] != IGNORE) > DENSE * labels[0].size:
        return resize(labels, size, smooth=False)
    for axis, (old, new) in enumerate(zip(labels.shape[1:], size, strict=True), start=1):
        if old != new:
            labels = _nearest_annotated(labels, axis, new)
    return labels


def _nearest_annotated(labels: Array, axis: int, new: int) -> Array:
    """Labels along an axis at another size, each pixel that of its middle, or the nearest within it that there is."""
    old, along = labels.shape[axis], [-1 if k == axis else 1 for k in range(labels.ndim)]
    middles = _nearest(old, new)
    found: Array = np.take(labels, middles, axis)
    ends = np.ceil(np.arange(new + 1) * old / new - 0.5)  # pixels belong to where their own middles lie
    reach = -(-old // new)
    for step in sorted(range(-reach, reach + 1), key=abs)[1:]:
        places = middles + step
        within = ((ends[:-1] <= places) & (places < ends[1:])).reshape(along)
        other = np.take(labels, np.clip(places, 0, old - 1), axis)
        found = np.where(within & (found[:1] == IGNORE), other, found)
    return found


def resampled_bands(
    read: Callable[[Region], Array], shape: tuple[int, ...], size: tuple[int, ...], thick: tuple[bool, ...] = ()
) -> Iterator[tuple[slice, Array]]:
    """An image at another size, band by band along its first axis.

    Parameters
    ----------
    read
        From a region of the image to its values (C, *region).
    shape
        The spatial shape of the image.
    size
        The one wanted.
    thick
        Axes along which nothing is interpolated.

    Yields
    ------
    tuple of slice and Array
        The rows of a band, and (C, rows, *rest) of floats: with 32 bits where these hold the values, else with 64.
    """
    thick = thick or (False,) * len(shape)
    blur = [
        0.0 if flat else max(0.0, (old / new - 1) / 2) for old, new, flat in zip(shape, size, thick, strict=True)
    ]  # as in scikit-image's resize
    reach = int(4 * blur[0] + 0.5)  # of SciPy's Gaussian
    places = _places(shape[0], size[0], nearest=thick[0])
    rest = tuple(slice(0, side) for side in shape[1:])
    step = max(1, int(BAND / max(prod(size[1:]), prod(shape[1:])) * min(1.0, size[0] / shape[0])))
    for start in range(0, size[0], step):
        own = places[start : start + step]
        low, high = max(0, int(own[0]) - reach), min(shape[0], int(own[-1]) + 2 + reach)
        part = read((slice(low, high), *rest))
        wide: Array = part.astype(np.float32 if part.dtype.itemsize <= 2 or part.dtype == np.float32 else np.float64)
        if any(blur):
            wide = ndimage.gaussian_filter(wide, [0.0, *blur], mode="nearest")
        wide = _along(wide, 1, own - low)
        for axis, (old, new, flat) in enumerate(zip(shape[1:], size[1:], thick[1:], strict=True), start=2):
            wide = _along(wide, axis, _places(old, new, nearest=flat)) if old != new else wide
        yield slice(start, start + len(own)), wide


def resampled_slabs(
    slabs: Iterable[Array], shape: tuple[int, ...], size: tuple[int, ...], axis: int = 0
) -> Iterator[tuple[Region, Array]]:
    """Slabs of an array that follow one another along an axis, as slabs of the array at another size.

    Parameters
    ----------
    slabs
        Of (K, *shape), each with all of the other axes.
    shape, size
        The spatial shape that all slabs have together, and the one wanted.
    axis
        The spatial axis on which they follow.

    Yields
    ------
    tuple of Region and Array
        A region of the result, and (K, *region), interpolated linearly; together they are the result.
    """
    places, whole = _places(shape[axis], size[axis]), tuple(slice(0, side) for side in size)
    step = max(1, BAND // max(1, prod(size) // size[axis]))
    held: Array | None = None
    first = done = 0  # the plane that `held` begins with, and how many planes of the result are out
    for slab in slabs:
        held = slab if held is None else np.concatenate([held, slab], axis=1 + axis)
        end = first + held.shape[1 + axis]
        ready = size[axis] if end == shape[axis] else int(np.searchsorted(np.ceil(places), end))
        while done < ready:
            stop = min(done + step, ready)
            part = _along(held, 1 + axis, places[done:stop] - first)
            for other in set(range(len(shape))) - {axis}:
                if shape[other] != size[other]:
                    part = _along(part, 1 + other, _places(shape[other], size[other]))
            yield (*whole[:axis], slice(done, stop), *whole[axis + 1 :]), part
            done = stop
        keep = end if done == size[axis] else min(int(places[done]), end)
        held = held[(slice(None),) * (1 + axis) + (slice(keep - first, None),)]
        first = keep


def _places(old: int, new: int, *, nearest: bool = False) -> Places:
    """Where in an axis of `old` pixels the middles of `new` pixels lie, as fractions of an index."""
    places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return _nearest(old, new).astype(np.float64) if nearest else places


def _nearest(old: int, new: int) -> npt.NDArray[np.intp]:
    """Which old index lies under the middle of each new pixel."""
    return np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.intp), old - 1)


def _nearest_all(array: Array, size: tuple[int, ...]) -> Array:
    for axis, (old, new) in enumerate(zip(array.shape[1:], size, strict=True), start=1):
        array = np.take(array, _nearest(old, new), axis=axis) if old != new else array
    return array


def _along(array: Array, axis: int, places: Places) -> Array:
    """The array at these places of an axis, interpolated linearly."""
    low = np.floor(places).astype(np.intp)
    share = (places - low).astype(array.dtype)
    first: Array = np.take(array, low, axis)
    if not share.any():
        return first
    second: Array = np.take(array, np.minimum(low + 1, array.shape[axis] - 1), axis)
    second -= first
    second *= share.reshape(-1, *(1,) * (array.ndim - 1 - axis))
    second += first
    return second
