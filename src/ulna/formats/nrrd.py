"""NRRD, also as a header with its data beside it (.nhdr), through pynrrd."""

from __future__ import annotations

import bz2
import io
import zlib
from collections.abc import Callable
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ulna.errors import ReadError, UlnaError
from ulna.formats.archive import opened
from ulna.formats.base import GRAY, Format, Reader, begins, guard_memory
from ulna.formats.beside import DETACHED, beside
from ulna.formats.flat import read_flat
from ulna.formats.world import FLIP, grid_of, matrix_of
from ulna.formats.writer import on_disk
from ulna.grid import Floats
from ulna.image import Array, Channel, Grid, Image, Region, Source

LPS = "left-posterior-superior"
SPACES = {LPS: np.eye(4), "right-anterior-superior": FLIP, "left-anterior-superior": np.diag([1.0, -1.0, 1.0, 1.0])}
"""Spaces that are a place in the patient, and how they become LPS."""
SHORT = {"lps": LPS, "ras": "right-anterior-superior", "las": "left-anterior-superior"}
MAX_APART = 0.01
"""By this share of a voxel's side two statements of it may differ: up to there it is rounding."""
PACKED = {"gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}


def open_nrrd(stream: BinaryIO, source: Source) -> Reader:
    """The reader of an NRRD: (C, Z, Y, X), or (C, Y, X) of a file with two axes in space.

    Axes without a direction in space (lists, vectors, colors) are channels; there may be one.
    """
    import nrrd

    header = nrrd.read_header(stream)
    start = stream.tell()
    sizes = [int(side) for side in header["sizes"]]
    inner = _channel_axis(header, sizes, source)
    spatial = [k for k in range(len(sizes)) if k != inner]
    if len(spatial) not in (2, 3) or min(sizes) < 1:
        said = " × ".join(map(str, sizes))
        raise ReadError(f"has the axes {said}: volumes have three in space and at most one more", where=source)
    shape = tuple(sizes[k] for k in reversed(spatial))
    count = 1 if inner is None else sizes[inner]
    dtype = _type(header, source)
    grid, doubts = _grid(header, spatial, shape, source)
    channels = GRAY if count == 1 else tuple(Channel(f"channel {k}") for k in range(count))

    @cache
    def decoded() -> Array:
        nbytes = prod(sizes) * dtype.itemsize
        guard_memory(nbytes, source, shape=shape)
        pixels = _data(header, stream, start, nbytes, source)
        plain = {key: value for key, value in header.items() if key not in DETACHED} | {"encoding": _plain(header)}
        data = nrrd.read_data(plain, pixels, index_order="C")
        if inner is None:
            return np.asarray(data)[None]
        return np.moveaxis(np.asarray(data), len(sizes) - 1 - inner, 0)

    def decode(region: Region, _level: int) -> Array:
        if _is_flat(header):
            array = _flat(header, (stream, start), (sizes, inner), dtype, region=region, source=source)
        else:
            array = decoded()[(slice(None), *region)]
        return array.astype(dtype.newbyteorder("="), copy=False)

    planes = shape[0] if len(shape) == 3 else 1
    return Reader(source, grid, dtype.newbyteorder("="), channels, decode, planes=planes, assumed="; ".join(doubts))


def _channel_axis(header: dict[str, Any], sizes: list[int], source: Source) -> int | None:
    """The axis, in the file's order, that has no direction in space; None where all have one."""
    directions = header.get("space directions")
    kinds = list(header.get("kinds") or [""] * len(sizes))
    if directions is not None and len(directions) == len(sizes):
        found = [k for k, row in enumerate(directions) if row is None or not np.isfinite(np.asarray(row, float)).all()]
    else:
        spatial = ("", "domain", "space", "???")
        found = [k for k, kind in enumerate(kinds) if str(kind).lower() not in spatial]
    if not found and len(sizes) == 4:
        raise ReadError(
            "has four axes and does not say which of them are in space", where=source, hint="Save it as NIfTI or TIFF."
        )
    if len(found) > 1:
        said = ", ".join(str(kinds[k]) for k in found)
        raise ReadError(f"has {len(found)} axes that are not in space ({said}); one can be read", where=source)
    return found[0] if found else None


def _type(header: dict[str, Any], source: Source) -> np.dtype:
    import nrrd

    try:
        dtype: np.dtype = nrrd.reader._determine_datatype(header)
    except (nrrd.NRRDError, KeyError) as error:
        raise ReadError(f"holds values of a type that is not known: {error}", where=source) from None
    if dtype.kind not in "iuf":
        raise ReadError(f"holds values of the type '{header['type']}', which are no gray values", where=source)
    return dtype


def _plain(header: dict[str, Any]) -> str:
    """The encoding that is left for pynrrd: packed data are unpacked before, and no more of them than announced."""
    encoding = str(header["encoding"]).lower()
    return "raw" if encoding in PACKED else encoding


def _is_flat(header: dict[str, Any]) -> bool:
    """Whether the voxels lie in their file as they are, after a start that is known."""
    skips = [int(header.get(key, header.get(key.replace(" ", ""), 0))) for key in ("line skip", "byte skip")]
    return str(header["encoding"]).lower() == "raw" and skips[0] == 0 and skips[1] >= 0


def _flat(
    header: dict[str, Any],
    place: tuple[BinaryIO, int],
    axes: tuple[list[int], int | None],
    dtype: np.dtype,
    *,
    region: Region,
    source: Source,
) -> Array:
    """(C, *region) of voxels that are not packed; `axes` are the sizes, and which of them is that of channels."""
    sizes, inner = axes
    parts = list(reversed(region))
    if inner is not None:
        parts.insert(inner, slice(0, sizes[inner]))
    skip = int(header.get("byte skip", header.get("byteskip", 0)))
    named = next((header[key] for key in DETACHED if key in header), None)
    shape, box = sizes[::-1], parts[::-1]
    if named is None:
        array = read_flat(place[0], place[1] + skip, shape, dtype, region=box, source=source)
    else:
        with opened(beside(str(named), source)) as stream:
            array = read_flat(stream, skip, shape, dtype, region=box, source=source)
    return array[None] if inner is None else np.moveaxis(array, len(sizes) - 1 - inner, 0)


def _data(header: dict[str, Any], stream: BinaryIO, start: int, nbytes: int, source: Source) -> io.BytesIO:
    """The pixels' bytes, from this file or the one beside it that the header names."""
    named = next((header[key] for key in DETACHED if key in header), None)
    if named is None:
        stream.seek(start)
        data = stream.read()
    else:
        data = _beside(str(named), source)
    encoding = PACKED.get(str(header["encoding"]).lower())
    if encoding == "gzip":
        data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, nbytes)
    elif encoding == "bzip2":
        data = bz2.BZ2Decompressor().decompress(data, nbytes)
    if encoding and len(data) < nbytes:
        raise ReadError(
            f"is cut off: {nbytes - len(data):,} of its {nbytes:,} bytes of pixels are missing",
            where=source,
            hint="Copy or download it again.",
        )
    return io.BytesIO(data)


def _beside(name: str, source: Source) -> bytes:
    with opened(beside(name, source)) as stream:
        return stream.read()


def _grid(header: dict[str, Any], spatial: list[int], shape: tuple[int, ...], source: Source) -> tuple[Grid, list[str]]:
    """Where the voxels lie, and what the file leaves open."""
    space = SHORT.get(str(header.get("space", "")).lower(), str(header.get("space", "")).lower())
    units = [str(unit).strip('"') for unit in header.get("space units") or header.get("units") or ["mm"]]
    of_axes = "space units" not in header and len(units) > len(spatial)
    unit = units[spatial[-1] if of_axes else -1] or "mm"
    rows = header.get("space directions")
    if rows is None:
        return _by_axes(header, spatial, shape, unit, source)
    doubts: list[str] = []
    columns = np.array([np.asarray(rows[k], float) for k in spatial]).T
    origin = np.asarray(header.get("space origin", np.zeros(len(columns))), float)
    if columns.shape == (2, 2):
        return _made(source, lambda: _plane(columns, origin, shape, unit)), doubts
    if columns.shape != (3, 3):
        raise ReadError(f"lies with {len(spatial)} axes in a space of {len(columns)}", where=source)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = columns, np.where(np.isfinite(origin), origin, 0)
    if space not in SPACES:
        doubts.append(f"its space is '{header.get('space', 'not stated')}', which is taken for {LPS}")
    return _made(source, lambda: grid_of(SPACES.get(space, np.eye(4)) @ matrix, shape, unit=unit)), doubts


def _by_axes(
    header: dict[str, Any], spatial: list[int], shape: tuple[int, ...], unit: str, source: Source
) -> tuple[Grid, list[str]]:
    """Where the voxels lie by what is said of each axis, and what the file leaves open.

    `axis mins` and `axis maxs` are the centers of the first and the last voxel where the axis is centered on nodes,
    else their outer edges: so does Teem, the library of this format, where nothing is said.
    """
    sizes = np.array(shape[::-1], float)
    spacings, lowest, highest = (_of_axes(header, name, spatial) for name in ("spacings", "axis mins", "axis maxs"))
    extent = highest - lowest
    with np.errstate(all="ignore"):
        on_nodes = _on_nodes(header, spatial, np.abs(extent) / spacings, sizes)
        measured = np.abs(extent) / np.where(on_nodes, sizes - 1, sizes)
    sides = np.where(np.isfinite(spacings), spacings, measured)
    known = np.isfinite(sides)
    sides = np.where(known, sides, 1.0)
    steps = np.where(extent < 0, -sides, sides)
    first = lowest + np.where(on_nodes, 0, steps / 2)
    origin = np.where(np.isfinite(first), first, 0.0)
    doubt = "it does not say where it lies in the patient"
    if not known.any():
        doubt += ", nor how large its voxels are"
    elif not known.all():
        taken = " × ".join(f"{side:g}" for side in reversed(sides))
        doubt += f", nor how large its voxels are along each axis: {taken} is taken"
    doubts = [doubt]
    if (known & np.isfinite(measured) & (np.abs(measured - sides) > MAX_APART * sides)).any():
        doubts.append("its spacings are not those of its axis mins and maxs: spacings and mins are taken")
    direction = tuple(map(tuple, np.diag(np.sign(steps[::-1]))))
    unit = unit if known.any() else "pixel"
    return _made(source, lambda: Grid(shape, tuple(sides[::-1]), unit, tuple(origin[::-1]), direction)), doubts


def _of_axes(header: dict[str, Any], name: str, spatial: list[int]) -> Floats:
    """A number for each spatial axis; NaN where none is said. Names of fields are written with and without spaces."""
    found = header.get(name, header.get(name.replace(" ", "")))
    return np.full(len(spatial), np.nan) if found is None else np.asarray(found, float)[spatial]


def _on_nodes(header: dict[str, Any], spatial: list[int], steps: Floats, sizes: Floats) -> Array:
    """Whether mins and maxs are centers of voxels: as is said, or as `steps`, spacings between them, show."""
    words = header.get("centerings") or str(header.get("centers", "")).split() or [""] * len(header["sizes"])
    said = [str(words[k]).strip('"').lower() for k in spatial]
    shown = np.isclose(steps, sizes - 1)
    return np.array([word == "node" or (word != "cell" and one) for word, one in zip(said, shown, strict=True)])


def _plane(columns: Array, origin: Array, shape: tuple[int, ...], unit: str) -> Grid:
    axes = columns[::-1, ::-1]
    spacing = np.sqrt((axes**2).sum(axis=0))
    return Grid(shape, tuple(spacing), unit, tuple(origin[::-1]), tuple(map(tuple, axes / spacing)))


def _made(source: Source, make: Callable[[], Grid]) -> Grid:
    try:
        return make()
    except UlnaError as error:
        raise ReadError(f"says no place in space: {error.what}", where=source, hint="Correct the header.") from None


def save(path: Path, image: Image) -> None:
    """Write an NRRD, gzipped within, in the space left-posterior-superior; several channels are a list.

    Raises UlnaError for what NRRD cannot hold, and for a header with a file of pixels beside it: the two would not
    appear at once.
    """
    if path.suffix.lower() != ".nrrd":
        raise UlnaError("an NRRD is written as one file", where=path, hint="Name it .nrrd.")
    import nrrd

    matrix = matrix_of(image.grid)
    array = image.array if image.ndim == 3 else image.array[:, None]
    directions: list[Any] = [row.tolist() for row in matrix[:3, :3].T]
    more = len(array) > 1
    header: dict[str, Any] = {"encoding": "gzip", "kinds": ["domain"] * 3 + ["list"] * more}
    if image.unit != "pixel":
        header |= {"space": LPS, "space origin": matrix[:3, 3], "space units": [image.unit] * 3}
        header["space directions"] = np.vstack([directions, *[np.full(3, np.nan)] * more])
    nrrd.write(str(path), array[0] if len(array) == 1 else array, header, compression_level=6, index_order="C")


def _errors() -> tuple[type[Exception], ...]:
    import nrrd

    return (nrrd.NRRDError, ValueError, KeyError, IndexError, OSError, EOFError, zlib.error)


FORMAT = Format(
    name="NRRD",
    suffixes=(".nrrd", ".nhdr"),
    recognizes=begins(b"NRRD"),
    open=open_nrrd,
    save=save,
    allocate=on_disk,
    mask_suffix=".nrrd",
    errors=_errors,
)
