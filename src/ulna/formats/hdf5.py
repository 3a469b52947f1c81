"""HDF5, through h5py: arrays of images and labels, of which a file may hold several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ulna.errors import ReadError, UlnaError
from ulna.formats.archive import opened
from ulna.formats.base import GRAY, Format, Reader, begins, guard_memory
from ulna.formats.selection import times_of
from ulna.formats.tiff_axes import axes_of
from ulna.image import Array, Channel, Grid, Region, Source
from ulna.text import listed, plural, size

IMAGES = ("raw", "image", "images", "img", "volume", "data", "intensity")
WEIGHTS = ("weight", "weights", "weight_map", "weightmap")
LABELS = ("label", "labels", "seg", "segmentation", "segmentations", "mask", "masks", "gt", "annotation", "annotations")
"""Names by which arrays are known, the most telling first."""
SUFFIXES = (".h5", ".hdf5")
MICROMETERS = "element_size_um"
"""The attribute that Fiji and PlantSeg write: sides of a voxel (z, y, x)."""
SIZES = ("voxel_size", "pixel_size", "spacing", "resolution")
UNITS = ("unit", "units", "spacing_unit", "resolution_unit")
MAX_CHANNELS = 16
MINC = "minc-2.0"
"""The group in which MINC, a format of its own, keeps what it holds."""


@dataclass(frozen=True)
class Arrays:
    """The arrays of a file that may be images or labels.

    Parameters
    ----------
    image
        That which is taken for the image; "" where none is named as one, or several may be.
    labels
        Those that are named as labels.
    others
        All others.
    """

    image: str
    labels: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*filter(None, (self.image,)), *self.labels, *self.others)


def arrays_of(source: Source) -> Arrays:
    """Which arrays a file holds.

    Parameters
    ----------
    source
        The file.

    Returns
    -------
    Arrays
        By their paths within the file.

    Raises
    ------
    ReadError
        For a file that cannot be opened.
    """
    import h5py

    with opened(source) as stream:
        try:
            with h5py.File(stream, "r") as file:
                return _arrays(file)
        except errors() as error:
            raise ReadError(f"this HDF5 file is damaged or truncated ({error})", where=source) from None


def open_hdf5(stream: BinaryIO, source: Source) -> Reader:
    """The reader of an array: (C, Z, Y, X), or (C, Y, X) of two axes in space.

    Of several arrays it is `source.array`, or that which is named as an image; that is then said. Axes are those that
    the file states (ilastik's axis tags, HDF5's labels of dimensions), or those of `source.axes`.
    """
    import h5py

    file = h5py.File(stream, "r")
    if MINC in file:
        raise ReadError("is a MINC file, which is not read", where=source, hint="Convert it to NIfTI: mnc2nii.")
    name, doubts = _picked(file, source)
    data = _array(file, name, source)
    axes, assumed = _axes(data, source)
    lengths = dict(zip(axes, data.shape, strict=True))
    if lengths.get("T", 1) > 1 and source.time is None:
        what = f"has {plural(lengths['T'], 'time point')} of {size([lengths[one] for one in 'ZYX' if one in lengths])}"
        raise ReadError(what, where=source, hint="Choose one, --set data.time=0, or save one time point per file.")
    (time,) = times_of(lengths.get("T", 1), source)
    spatial = [letter for letter in "ZYX" if letter in axes]
    shape = tuple(lengths[letter] for letter in spatial)
    grid, silent = _grid(data, file, axes, shape, source)
    dtype = np.dtype(np.uint8) if data.dtype.kind == "b" else data.dtype.newbyteorder("=")
    count = lengths.get("C", 1)
    channels = GRAY if count == 1 else tuple(Channel(f"channel {k}") for k in range(count))

    def decode(region: Region, _level: int) -> Array:
        part = dict(zip(spatial, region, strict=True))
        guard_memory(
            count * int(np.prod([one.stop - one.start for one in region])) * dtype.itemsize, source, shape=shape
        )
        cut: tuple[Any, ...] = tuple(
            part[letter] if letter in part else slice(None) if letter == "C" else time for letter in axes
        )
        array = np.asarray(data[cut])
        left = [letter for letter in axes if letter in ("C", *spatial)]
        array = array.transpose([left.index(letter) for letter in ("C", *spatial) if letter in left])
        return (array if "C" in left else array[None]).astype(dtype, copy=False)

    said = "; ".join(filter(None, (*doubts, assumed, silent)))
    return Reader(
        source, grid, dtype, channels, decode,
        planes=shape[0] if len(shape) == 3 else 1, time_points=lengths.get("T", 1), assumed=said,
    )  # fmt: skip


def _arrays(file: Any) -> Arrays:
    import h5py

    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and item.dtype.kind in "buif"
            and item.ndim >= 2
            and min(item.shape, default=0)
        ):
            found.append(name)

    file.visititems(visit)  # follows no links, which may lead out of the file
    return by_names(found)


def by_names(found: Sequence[str]) -> Arrays:
    """Which arrays are the image and labels, by what they are called.

    Parameters
    ----------
    found
        Their paths within a file.

    Returns
    -------
    Arrays
        All of them.

    Examples
    --------
    >>> by_names(["raw", "label", "weights"])
    Arrays(image='raw', labels=('label',), others=('weights',))
    """
    labels = [name for name in found if any(part.casefold() in LABELS for part in name.split("/"))]
    others = [name for name in found if name not in labels]
    ranks = {name: IMAGES.index(_last(name)) for name in others if _last(name) in IMAGES}
    plain = [name for name in others if _last(name) not in WEIGHTS]
    image = min(ranks, key=lambda name: ranks[name]) if ranks else plain[0] if len(plain) == len(others) == 1 else ""
    return Arrays(image, tuple(labels), tuple(name for name in others if name != image))


def _last(name: str) -> str:
    """What an array is called within its group."""
    return name.rpartition("/")[2].casefold()


def _picked(file: Any, source: Source) -> tuple[str, list[str]]:
    """Which array is read, and what is said of that."""
    if source.array:
        return source.array, []
    found = _arrays(file)
    names = found.names
    if not names:
        raise ReadError("holds no array with rows and columns", where=source)
    if len(names) == 1:
        return names[0], []
    weighed = len(found.labels) == 1 and all(_last(name) in WEIGHTS for name in found.others)
    image = found.image or (found.labels[0] if weighed else "")  # the mask of an image elsewhere
    if not image:
        raise ReadError(
            f"holds the arrays {listed(names, quoted=True)}, and none is named as the image",
            where=source,
            hint=f"Say which it is: --set 'data.images={{case}}{source.suffix}/{names[0]}'.",
        )
    others = listed([name for name in names if name != image], quoted=True)
    if not found.image:
        return image, [f"holds {len(names)} arrays; '{image}' is taken, and not {others}"]
    how = f"to choose another, set data.images: '{{case}}{source.suffix}/NAME'"
    return image, [f"holds {len(names)} arrays; '{image}' is taken for the image, and not {others} ({how})"]


def _array(file: Any, name: str, source: Source) -> Any:
    import h5py

    link = file.get(name, getlink=True)
    data = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(data, h5py.Dataset):
        hint = f"It holds {listed(_arrays(file).names, quoted=True)}."
        raise ReadError(f"holds no array '{name}'", where=source, hint=hint)
    if data.external or data.is_virtual:
        raise ReadError(f"its array '{name}' lies in other files", where=source, hint="Save it within the file.")
    if data.dtype.kind not in "buif" or data.ndim < 2 or 0 in data.shape:
        raise ReadError(
            f"its array '{name}' ({data.dtype}, {' × '.join(map(str, data.shape))}) is no image", where=source
        )
    return data


def _axes(data: Any, source: Source) -> tuple[str, str]:
    """A letter for each axis, and what was assumed."""
    axes = _stated(data)
    if axes and not source.axes:
        return axes, ""
    kept = [k for k, side in enumerate(data.shape) if side > 1 or k >= data.ndim - 2]
    shape = tuple(data.shape[k] for k in kept)
    found, assumed = inferred_axes(shape, source)
    free = iter(letter for letter in "TCZ" if letter not in found)
    letters = dict(zip(kept, found, strict=True))
    if data.ndim > len("TCZYX"):
        raise ReadError(f"has {data.ndim} axes ({size(data.shape)}): volumes have three", where=source)
    return "".join(letters[k] if k in letters else next(free) for k in range(data.ndim)), assumed


def inferred_axes(shape: Sequence[int], source: Source) -> tuple[str, str]:
    """Letters of axes that a file does not name, and what was assumed.

    Parameters
    ----------
    shape
        The lengths of the axes, all longer than 1 but those of rows and columns.
    source
        Its `axes` are what the user said.

    Returns
    -------
    tuple of str and str
        As of `axes_of`.

    Raises
    ------
    ReadError
        Where there are too many to guess.
    """
    if len(shape) <= 3 or source.axes:
        axes, assumed = axes_of("QQQ"[: len(shape) - 2] + "YX", shape, source)
        return axes.replace("Q", "Z"), assumed
    if len(shape) == 4 and min(shape[0], shape[-1]) <= MAX_CHANNELS:
        axes = "CZYX" if shape[0] <= shape[-1] else "ZYXC"
        return axes, f"the axes ({size(shape)}) are not stated: read as data.axes: {axes}"
    raise ReadError(
        f"has the axes {size(shape)} and does not say what they are", where=source, hint="Say it: --set data.axes=CZYX."
    )


def _stated(data: Any) -> str:
    """The letters that the file gives its axes; "" where it gives none that suit."""
    try:
        tags = json.loads(data.attrs["axistags"])["axes"] if "axistags" in data.attrs else []
        names = [str(tag["key"]) for tag in tags] or [str(dim.label) for dim in data.dims]
    except (ValueError, KeyError, TypeError):
        return ""
    axes = "".join(name.upper() for name in names)
    good = len(axes) == data.ndim and len(set(axes)) == len(axes) and {"Y", "X"} <= set(axes) <= set("TCZYX")
    return axes if good else ""


def _grid(data: Any, file: Any, axes: str, shape: tuple[int, ...], source: Source) -> tuple[Grid, str]:
    """Where the voxels lie, and what the file leaves open."""
    for place in (data, data.parent, file):
        sides = [(word, _numbers(place.attrs[word])) for word in (MICROMETERS, *SIZES) if word in place.attrs]
        if not sides:
            continue
        word, numbers = sides[0]
        unit = "µm" if word == MICROMETERS else next((str(place.attrs[u]) for u in UNITS if u in place.attrs), "")
        if len(numbers) == len(axes):
            by_letter = dict(zip(axes, numbers, strict=True))
            numbers = [by_letter[letter] for letter in "ZYX" if letter in by_letter]  # as the array is put
        if len(numbers) != len(shape):
            return Grid(shape), f"its {word} has {len(numbers)} numbers, its array {len(shape)} axes: it is not used"
        if not unit:
            return Grid(shape), f"its {word} has no unit: it is not used (to say it, set data.spacing)"
        try:
            return Grid(shape, tuple(numbers), unit), ""
        except UlnaError as error:
            raise ReadError(f"says no place in space: {error.what}", where=source, hint="Correct it.") from None
    return Grid(shape), "it does not say how large its voxels are" if len(shape) == 3 else ""


def _numbers(value: Any) -> list[float]:
    return [float(number) for number in np.ravel(value)]


def errors() -> tuple[type[Exception], ...]:
    """What h5py raises for damaged files."""
    return (OSError, KeyError, ValueError, RuntimeError, TypeError, IndexError)


FORMAT = Format(
    name="HDF5",
    suffixes=SUFFIXES,
    recognizes=begins(b"\x89HDF\r\n\x1a\n"),
    open=open_hdf5,
    mask_suffix=".tif",
    errors=errors,
)
