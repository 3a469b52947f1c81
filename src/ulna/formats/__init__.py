"""Image files in and out. One file a family of formats; a new one is a line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ulna.errors import ReadError, UlnaError
from ulna.formats import dicom, hdf5, metaimage, nifti, nrrd, ome_zarr, png, slides, small, tiff
from ulna.formats.archive import opened
from ulna.formats.atomic import atomic_write
from ulna.formats.base import Format, Reader
from ulna.formats.microscopes import czi, lif, nd2
from ulna.formats.selection import scene_of, times_of
from ulna.formats.writer import New, Writer
from ulna.image import Array, Channel, Grid, Image, Region, Source
from ulna.source import as_text
from ulna.text import plural, size

__all__ = [
    "FORMATS",
    "Format",
    "Reader",
    "Writer",
    "as_mask_suffix",
    "atomic_write",
    "check_finite",
    "create",
    "is_folder",
    "mask_suffix",
    "open_reader",
    "read",
    "recognizes",
    "without_nan",
    "write",
]

# A DICOM file may begin as a TIFF does, and most slides do.
_FAMILIES = (dicom, png, small, slides, tiff, nifti, nrrd, metaimage, hdf5, czi, lif, nd2, ome_zarr)
FORMATS: tuple[Format, ...] = tuple(family.FORMAT for family in _FAMILIES)
SUFFIXES = frozenset(suffix for family in FORMATS for suffix in family.suffixes)
VOLUMES = frozenset(
    suffix for family in _FAMILIES if family not in (png, small, slides) for suffix in family.FORMAT.suffixes
)
"""Suffixes of files that may hold more than one plane."""
MASK_SUFFIXES = tuple(family.mask_suffix for family in FORMATS if family.written)
"""Suffixes that masks are written with, one of each format."""
FOLDERS = tuple(suffix for family in FORMATS if family.folders for suffix in family.suffixes)
"""Suffixes of folders that are one image."""
HEAD = 512  # bytes by which a family is recognized


def recognizes(source: Source) -> bool:
    """Whether this is a file that can be read as an image, by its suffix.

    Parameters
    ----------
    source
        The file.

    Returns
    -------
    bool
        True for the suffixes of the formats in `FORMATS`; the file is not opened.

    Examples
    --------
    >>> from pathlib import Path
    >>> recognizes(Source(Path("cells.TIF"))), recognizes(Source(Path("notes.txt")))
    (True, False)
    """
    return source.suffix in SUFFIXES


def is_folder(source: Source) -> bool:
    """Whether this is a folder that is one image, as an OME-Zarr is: by its suffix.

    Parameters
    ----------
    source
        A file or a folder.

    Returns
    -------
    bool
        Also of a folder in an archive.
    """
    return source.suffix in FOLDERS and (bool(source.inside) or source.path.is_dir())


@contextmanager
def open_reader(source: Source) -> Iterator[Reader]:
    """The reader of a file, by its first bytes, because suffixes lie; closed with the context.

    Parameters
    ----------
    source
        The file and what is selected within it.

    Yields
    ------
    Reader
        Grid, dtype, channels and levels; `read(region, level)` decodes.

    Raises
    ------
    ReadError
        Here and by `read`: for what is missing, damaged, of no known kind, or larger than the memory.
    """
    folder = is_folder(source)
    with nullcontext(BytesIO()) if folder else opened(source.parts[0]) as stream:
        family = _of_folders(source) if folder else _family(stream, source)
        with _explained(family, source):
            asked = replace(source, slab=None, time=source.at if source.time is None else source.time)
            reader = _chosen(family.open(stream, asked), asked)
            reader = _cut(_selected(_placed(reader, source), source), source)

        def decode(region: Region, level: int) -> Array:
            with _explained(family, source):
                return without_nan(reader.decode(region, level), source.missing)

        yield replace(reader, decode=decode)


def _chosen(reader: Reader, asked: Source) -> Reader:
    """The reader, if the file has the scene and the time point that are asked for; many formats do not look at them."""
    scene_of(reader.scenes or ("",), asked)
    times_of(reader.time_points, asked)
    if reader.time_points > 1:
        return reader
    return replace(reader, source=replace(reader.source, time=None))  # of no film


def _placed(reader: Reader, source: Source) -> Reader:
    """With the spacing that was stated of the source, where the file says none."""
    grid, note = source.placed(reader.grid)
    if grid is reader.grid and not note:
        return reader
    levels = tuple(grid.resampled(shape=level.shape) for level in reader.levels)
    return replace(reader, grid=grid, levels=levels, assumed="; ".join(filter(None, (reader.assumed, note))))


def _selected(reader: Reader, source: Source) -> Reader:
    """What the source selects of a volume: a plane, where the format has not picked it itself, or a slab."""
    if reader.grid.ndim < 3:
        return reader
    count = reader.grid.shape[0]
    if source.page is not None:
        if not 0 <= source.page < count:
            raise ReadError(f"has {plural(count, 'plane')}, number {source.page} is asked for", where=source)
        plane = slice(source.page, source.page + 1)
        grid = reader.grid.plane(source.page)
        return replace(
            reader, source=source, grid=grid, levels=(grid,), planes=1,
            decode=lambda region, level: reader.decode((plane, *region), level)[:, 0],
        )  # fmt: skip
    if source.slab is None:
        return reader
    first, last = source.slab
    if not 0 <= first < last <= count:
        raise ReadError(f"has {plural(count, 'plane')}, {first} to {last - 1} are asked for", where=source)
    grid = reader.grid.crop((slice(first, last), *(slice(0, side) for side in reader.grid.shape[1:])))
    return replace(
        reader, source=source, grid=grid, levels=(grid,), planes=last - first,
        decode=lambda region, level: reader.decode(
            (slice(region[0].start + first, region[0].stop + first), *region[1:]), level
        ),
    )  # fmt: skip


def _cut(reader: Reader, source: Source) -> Reader:
    """The level of a pyramid that the source selects, and of that the region."""
    if not source.level and not source.region:
        return reader
    if not 0 <= source.level < len(reader.levels):
        sizes = ", ".join(f"{number}: {size(level.shape)}" for number, level in enumerate(reader.levels))
        raise ReadError(f"has no level {source.level}", where=source, hint=f"It has {sizes}.")
    whole = reader.levels[source.level]
    region = tuple(slice(*part) for part in source.region) or tuple(slice(0, side) for side in whole.shape)
    fits = len(region) == whole.ndim and all(
        0 <= part.start < part.stop <= side for part, side in zip(region, whole.shape, strict=False)
    )
    if not fits:
        hint = f"A region has a first and a last pixel plus one for each axis; the image is {size(whole.shape)}."
        raise ReadError(f"has no region {as_text(source.region)}", where=source, hint=hint)

    def decode(part: Region, level: int) -> Array:
        if not source.region:
            return reader.decode(part, source.level + level)
        there = tuple(slice(a.start + b.start, a.stop + b.start) for a, b in zip(part, region, strict=True))
        return reader.decode(there, source.level)

    grid = whole.crop(region)
    levels = (grid,) if source.region else reader.levels[source.level :]
    planes = grid.shape[0] if grid.ndim == 3 else reader.planes
    return replace(reader, source=source, grid=grid, levels=levels, planes=planes, decode=decode)


def read(source: Source) -> Image:
    """Read an image or a mask: (C, Y, X) in the file's own dtype.

    One bit becomes uint8, palettes, CMYK and YCbCr become RGB, white-is-zero becomes black-is-zero, EXIF rotation is
    applied. A declared alpha is dropped where it is constant, and nothing else is; one that varies stays, as a channel
    with the role "alpha". `source.page` picks a page of a stack; without it a stack is the volume (C, Z, Y, X).

    Parameters
    ----------
    source
        The file and what is selected within it.

    Returns
    -------
    Image
        Array, grid, channels and source.

    Raises
    ------
    ReadError
        For what is missing, damaged, larger than the memory, cannot be converted, or holds NaN or infinite values.

    Examples
    --------
    >>> from pathlib import Path
    >>> image = read(Source(Path("cells.png")))
    >>> image.array.ndim, image.array.dtype
    (3, dtype('uint8'))
    """
    with open_reader(source) as reader:
        image = reader.image()
    check_finite(image.array, source)
    return image


def create(
    path: Path,
    grid: Grid,
    *,
    dtype: np.dtype,
    channels: tuple[Channel, ...],
    labels: bool = False,
    version: str = "",
) -> Writer:
    """A writer of a new image, which appears whole or not at all when the writer is closed.

    A TIFF of more than a gigabyte is written as it comes, in tiles and with a pyramid; so is an OME-Zarr of any size.

    Parameters
    ----------
    path
        A file whose name ends in .png or .tif, or a folder whose name ends in .zarr.
    grid
        Where the pixels of the image lie.
    dtype
        The type of the samples.
    channels
        The channels of the image.
    labels
        Whether the values are numbers of classes or objects, of which a pyramid holds no means.
    version
        Of OME-Zarr: "0.4", the usual one, or "0.5".

    Returns
    -------
    Writer
        `write(region, array)` fills the image, `close()` writes it; a `with` block closes it.

    Raises
    ------
    UlnaError
        For another suffix.
    """
    new = New(path, grid, np.dtype(dtype), channels, labels=labels, version=version)
    return _family_to_write(path).create(new)


def write(path: Path, image: Image, *, labels: bool = False) -> None:
    """Write an image by the suffix of `path`.

    That is .png (gray or color of 8 or 16 bits), .tif (OME-TIFF, anything), .nii.gz, .nrrd, .mha or .zarr. Grid,
    channels and values are read back as they were, except for an alpha that is constant. What is written appears whole
    or not at all.

    Parameters
    ----------
    path
        Where the file appears; one that is there is replaced.
    image
        What is written; bool becomes uint8.
    labels
        As of `create`.

    Raises
    ------
    UlnaError
        For another suffix, for what the format cannot hold, and where the file cannot be written.
    """
    family = _family_to_write(path)
    if image.array.dtype == np.bool_:
        image = replace(image, array=image.array.astype(np.uint8))
    if family.folders:
        new = New(path, image.grid, image.array.dtype, image.channels, labels=labels or bool(image.classes))
        with family.create(new) as writer:
            writer.write(None, image.array)
        return
    save = family.saver(path)
    with atomic_write(path) as beside:
        try:
            save(beside, image)
        except UlnaError as error:
            raise type(error)(error.what, where=path, hint=error.hint) from None


def as_mask_suffix(name: str) -> str:
    """The suffix of a format that is named, with its dot.

    Parameters
    ----------
    name
        "zarr" or ".zarr", in letters of any size.

    Returns
    -------
    str
        A suffix that masks are written with.

    Raises
    ------
    UlnaError
        For another one; it names those that there are.

    Examples
    --------
    >>> as_mask_suffix("NII.GZ")
    '.nii.gz'
    """
    suffix = f".{name.strip().lower().removeprefix('.')}"
    if suffix in MASK_SUFFIXES:
        return suffix
    known = ", ".join(one.removeprefix(".") for one in MASK_SUFFIXES)
    raise UlnaError(f"masks are not written as '{name}'", where="--format", hint=f"Name one of these: {known}.")


def mask_suffix(source: Source) -> str:
    """The suffix of the mask that suits an image.

    Parameters
    ----------
    source
        The image.

    Returns
    -------
    str
        ".tif" for TIFF and slides of DICOM, ".nii.gz" for NIfTI and other DICOM, ".nrrd" for NRRD, ".zarr" for
        OME-Zarr, ".png" for all others.
    """
    if dicom.is_slide(source):
        return tiff.FORMAT.mask_suffix
    return next((family.mask_suffix for family in FORMATS if source.suffix in family.suffixes), ".png")


def check_finite(array: Array, where: object) -> None:
    """Refuse an array that holds what is no number: nothing can be computed from it.

    Parameters
    ----------
    array
        Of any shape.
    where
        What the error names.

    Raises
    ------
    ReadError
        For NaN and infinite values; it counts them.
    """
    if array.dtype.kind != "f" or bool(np.isfinite(array).all()):
        return
    nan, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    found = [f"{nan:,} NaN"] * (nan > 0) + [f"{infinite:,} infinite"] * (infinite > 0)
    what = f"holds {' and '.join(found)} values among {array.size:,}"
    if not infinite and nan < array.size:
        lowest = f"data.missing={float(np.nanmin(array)):g}"
        what += f" (where they lie outside of a body, {lowest} reads them as the lowest value of this image)"
    hint = "Replace them by numbers (for example by the background) and save the image again."
    raise ReadError(what, where=where, hint=hint)


def without_nan(array: Array, missing: float | None) -> Array:
    """An array with another number instead of NaN.

    Parameters
    ----------
    array
        Of any shape; it is left as it is.
    missing
        What NaN becomes; None: nothing is changed.

    Returns
    -------
    Array
        The same one where there is nothing to change.

    Examples
    --------
    >>> without_nan(np.array([np.nan, 2.0]), -1.0).tolist()
    [-1.0, 2.0]
    """
    if missing is None or array.dtype.kind != "f":
        return array
    absent = np.isnan(array)
    return np.where(absent, array.dtype.type(missing), array) if absent.any() else array


def _family_to_write(path: Path) -> Format:
    suffix = Source(path).suffix
    for family in FORMATS:
        if suffix in family.suffixes:
            return family
    known = ", ".join(MASK_SUFFIXES)
    raise UlnaError(f"images are written as {known}, not as '{suffix}'", where=path)


def _of_folders(source: Source) -> Format:
    return next(family for family in FORMATS if family.folders and source.suffix in family.suffixes)


def _family(stream: BinaryIO, source: Source) -> Format:
    """The family by the file's first bytes, because suffixes lie."""
    head = stream.read(HEAD)
    stream.seek(0)
    if not head:
        raise ReadError("the file is empty (0 bytes)", where=source, hint="Copy or download it again.")
    for family in FORMATS:
        if family.recognizes(head, source.name):
            return family
    for family in FORMATS:
        if source.suffix in family.suffixes:
            raise ReadError(
                f"is named {source.suffix} but does not begin like a {family.name} file",
                where=source,
                hint="It is damaged or of another kind: copy it again, or save it as PNG or TIFF.",
            )
    known = ", ".join(sorted(SUFFIXES))
    raise ReadError("is no image of a kind that is known here", where=source, hint=f"Known: {known}.")


@contextmanager
def _explained(family: Format, source: Source) -> Iterator[None]:
    """What a library raises for damaged files, and a memory that is full, as a ReadError."""
    try:
        yield
    except UlnaError:
        raise
    except MemoryError as error:
        raise ReadError("does not fit in the memory", where=source) from error
    except family.errors() as error:  # evaluated where something was raised, and not before
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ReadError(
            f"this {family.name} file is damaged or truncated ({reason})",
            where=source,
            hint="Copy or download it again, or open it in another program and save it anew.",
        ) from error
