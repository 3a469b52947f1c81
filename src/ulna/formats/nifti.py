"""NIfTI 1 and 2, plain or gzipped, through nibabel: volumes with their place in the patient."""

from __future__ import annotations

import gzip
import zlib
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ulna.errors import ReadError, UlnaError
from ulna.formats.base import GRAY, RGB, Format, Reader, guard_memory
from ulna.formats.flat import read_flat
from ulna.formats.selection import times_of
from ulna.formats.world import as_volume, grid_of, matrix_of
from ulna.formats.writer import on_disk
from ulna.image import Array, Channel, Grid, Image, Region, Source
from ulna.text import amount, plural

GZIP = b"\x1f\x8b"
MAGICS = (b"n+1\0", b"n+2\0")
PLACES = (344, 4)
"""Where the magic of NIfTI 1 and of NIfTI 2 stands."""
LONGEST = 32_767
"""Voxels along an axis of NIfTI 1 at most."""
UNITS = {1: "m", 2: "mm", 3: "µm"}
COLORS = {"R": 0, "G": 1, "B": 2}
HEADER = 1 << 26
"""Bytes before the voxels of a packed file at most: headers with all that programs put there are much shorter."""
DIFFERENT = 0.01
"""By so large a share two sizes of voxels may differ: up to there it is rounding."""
SHEARED = 0.01
"""By so many voxels what qform can say may lie beside the place of an image for it to be written."""
FAR = 0.5
"""By so many voxels the two matrices of a file may differ at the far corner: up to there it is rounding."""


def recognizes(head: bytes, _name: str) -> bool:
    """Whether these are the first bytes of a NIfTI file, also a gzipped one, whatever its name."""
    if head.startswith(GZIP):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head)
        except zlib.error:  # damaged, whatever it was
            return False
    return any(head[place : place + 4] == magic for place, magic in zip(PLACES, MAGICS, strict=True))


def open_nifti(stream: BinaryIO, source: Source) -> Reader:
    """The reader of a NIfTI file: (C, Z, Y, X), or (C, Y, X) of a file of two axes.

    A fourth axis counts as channels, unless `source.time` picks one of it; so does a fifth, of vectors. Values are
    scaled as the header says: to whole numbers where slope and intercept are whole, otherwise to float32.
    """
    content = _Content(stream, source)
    header = content.header
    sizes = [int(side) for side in header["dim"][1 : 1 + int(header["dim"][0])]]
    if not 2 <= len(sizes) <= 7 or min(sizes) < 1:
        raise ReadError(f"this NIfTI file says that it has the sides {sizes}", where=source)
    spatial, more = sizes[:3], [side for side in sizes[3:] if side > 1]
    if len(more) > 1:
        raise ReadError(
            f"has {len(sizes)} axes ({' × '.join(map(str, sizes))}): volumes with channels have four",
            where=source,
            hint="Save one time point or one vector component per file.",
        )
    count, stored = (more or [1])[0], header.get_data_dtype()
    if set(stored.fields) != set(COLORS) if stored.fields else stored.kind not in "iuf":
        raise ReadError(f"holds values of the type {stored}, which are no gray values", where=source)
    chosen = times_of(count, source)
    slope, intercept = _scale(header)
    samples = len(stored.fields or (0,))
    channels = RGB if samples == 3 and len(chosen) == 1 else tuple(Channel(f"channel {k}") for k in range(len(chosen)))
    if len(chosen) == 1 and samples == 1:
        channels = GRAY
    if samples == 3 and len(chosen) > 1:
        raise ReadError(f"holds {len(chosen)} volumes of colors", where=source, hint="Save them one per file.")
    shape = tuple(reversed(spatial))
    grid, doubts = _grid(header, shape, source)
    if len(chosen) > 1:
        doubts.append(
            f"its fourth axis, {len(chosen)} volumes, is taken for channels; if it is time, data.time picks one"
        )
    dtype = stored if not stored.fields else np.dtype(np.uint8)
    scaled = (slope, intercept) != (1.0, 0.0)
    result = _scaled_type(dtype, slope, intercept) if scaled else dtype.newbyteorder("=")

    def decode(region: Region, _level: int) -> Array:
        box = region if len(region) == 3 else (slice(0, 1), *region)
        array = np.stack([content.cut(volume, box, spatial) for volume in chosen])
        if array.dtype.fields:
            array = np.concatenate([array[name] for name in COLORS])
        array = _scaled(array, slope, intercept, result) if scaled else array.astype(result, copy=False)
        return array if len(region) == 3 else array[:, 0]

    return Reader(
        source, grid, result, channels, decode,
        planes=shape[0] if len(shape) == 3 else 1, time_points=count, assumed="; ".join(doubts),
    )  # fmt: skip


class _Content:
    """The header of a file, and its voxels: of a plain file those that are asked for, of a gzipped one all at once."""

    def __init__(self, stream: BinaryIO, source: Source) -> None:
        self._source = source
        self._packed = stream.read(2) == GZIP
        stream.seek(0)
        self._stream = stream
        head = gzip.GzipFile(fileobj=stream).read(600) if self._packed else stream.read(600)
        import nibabel

        second = head[4:8] == MAGICS[1]
        kind: Any = nibabel.Nifti2Header if second else nibabel.Nifti1Header
        size = 540 if second else 348
        if len(head) < size:
            raise ReadError(f"ends within its header, after {plural(len(head), 'byte')}", where=source)
        self.header = kind(head[:size], check=False)
        self.start = int(self.header["vox_offset"]) or size + 4

    def cut(self, volume: int, region: Region, spatial: list[int]) -> Array:
        """(Z, Y, X) of a part of one volume, as it is stored."""
        x, y, z = (*spatial, 1)[:3]
        dtype = self.header.get_data_dtype()
        if not self._packed:
            start = self.start + volume * z * y * x * dtype.itemsize
            return read_flat(self._stream, start, (z, y, x), dtype, region=region, source=self._source)
        plane = x * y * dtype.itemsize
        first, count = self.start + (volume * z + region[0].start) * plane, region[0].stop - region[0].start
        data = self._unpacked[first : first + count * plane]
        if len(data) < count * plane:
            missing = count * plane - len(data)
            raise ReadError(
                f"is cut off: {missing:,} of its bytes are missing",
                where=self._source,
                hint="Copy or download it again.",
            )
        return np.frombuffer(data, dtype).reshape(count, y, x)[(slice(None), *region[1:])]

    @cached_property
    def _unpacked(self) -> bytes:
        """All that the header announces, and no more: a file that unpacks to more is none that it says it is."""
        sizes = [int(side) for side in self.header["dim"][1 : 1 + int(self.header["dim"][0])]]
        length = prod(sizes) * self.header.get_data_dtype().itemsize
        if self.start > HEADER:
            what = (
                f"says that its voxels begin after {amount(self.start)}: no header is so long, and it is not unpacked"
            )
            raise ReadError(what, where=self._source, hint="Write the file anew with the program that made it.")
        guard_memory(length, self._source, shape=tuple(reversed(sizes)))
        self._stream.seek(0)
        try:
            return gzip.GzipFile(fileobj=self._stream).read(self.start + length)
        except (EOFError, zlib.error) as error:
            raise ReadError(
                f"is cut off or damaged within its pixels ({error})",
                where=self._source,
                hint="Copy or download it again.",
            ) from None


def _scale(header: Any) -> tuple[float, float]:
    """Slope and intercept; 1 and 0 where the header has none, as the standard says."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0:
        return 1.0, 0.0
    return slope, intercept if np.isfinite(intercept) else 0.0


def _scaled(array: Array, slope: float, intercept: float, dtype: np.dtype) -> Array:
    """Scaled values (…, Y, X), plane by plane: between lie numbers of 64 bits."""
    result = np.empty(array.shape, dtype)
    for plane in np.ndindex(array.shape[:-2]):
        result[plane] = array[plane] * slope + intercept
    return result


def _scaled_type(dtype: np.dtype, slope: float, intercept: float) -> np.dtype:
    """The type of scaled values: whole numbers where they stay whole and 32 bits hold them."""
    if dtype.kind in "iu" and dtype.itemsize <= 2 and slope.is_integer() and intercept.is_integer():
        info = np.iinfo(dtype)
        ends = [end * slope + intercept for end in (info.min, info.max)]
        if max(map(abs, ends)) < 2**31:
            return np.dtype(np.int32)
    return np.dtype(np.float32)


def _grid(header: Any, shape: tuple[int, ...], source: Source) -> tuple[Grid, list[str]]:
    """Where the voxels lie, and what the file does not say or says twice in two ways."""
    unit, doubts = UNITS.get(int(header["xyzt_units"]) & 7, "mm"), []
    sides = [float(side) for side in header["pixdim"][1 : 1 + len(shape)]]
    stated = [int(header[name]) > 0 for name in ("sform_code", "qform_code")]
    matrices: list[Any] = [header.get_sform() if stated[0] else None, _qform(header) if stated[1] else None]
    matrix: Any = matrices[0] if matrices[0] is not None else matrices[1]
    if matrix is None:
        if any(stated) or not all(np.isfinite(side) and side for side in sides):
            said = " × ".join(f"{side:g}" for side in sides)
            raise ReadError(f"says that its voxels are of {said} {unit}", where=source, hint="Correct the header.")
        doubts.append("its header does not say where it lies in the patient: only the size of its voxels is used")
        if min(sides) < 0:
            doubts.append("its header has a negative size of voxels, which is taken as positive")
        return Grid(shape, tuple(abs(side) for side in reversed(sides)), unit, placed=False), doubts
    try:
        grid = grid_of(matrix, (*shape,) if len(shape) == 3 else (1, *shape), unit=unit, ras=True)
    except UlnaError as error:
        raise ReadError(f"says no place in space: {error.what}", where=source, hint="Correct the header.") from None
    if all(one is not None for one in matrices) and _apart(matrices[0], matrices[1], shape, min(grid.spacing)) > FAR:
        doubts.append("its header says two places (sform and qform); that of sform is taken")
    elif not stated[1] and _differ(sides, grid.spacing[::-1]):
        doubts.append("its header says two sizes of voxels (sform and pixdim); that of sform is taken")
    return grid if len(shape) == 3 else grid.plane(0), doubts


def _differ(sides: list[float], spacing: tuple[float, ...]) -> bool:
    """Whether sides of voxels, (x, y, z), are stated and are not those of a matrix."""
    stated = all(np.isfinite(side) and side > 0 for side in sides) and set(sides) != {1.0}
    return stated and not np.allclose(sides, spacing[: len(sides)], rtol=DIFFERENT)


def _qform(header: Any) -> Array | None:
    import nibabel

    try:
        with np.errstate(invalid="ignore"):  # sides of infinite length are no numbers then, which is said
            return np.asarray(header.get_qform())
    except (ValueError, ArithmeticError, nibabel.spatialimages.HeaderDataError):
        return None


def _apart(one: Array, other: Array, shape: tuple[int, ...], voxel: float) -> float:
    """By how many voxels two matrices place the far corner apart, or the first."""
    far = np.array([*(side - 1 for side in reversed(shape)), *[0] * (3 - len(shape)), 1])
    return float(max(np.abs((one - other) @ corner).max() for corner in (far, np.array([0, 0, 0, 1])))) / voxel


def save(path: Path, image: Image) -> None:
    """Write a NIfTI file, gzipped where the name ends in .gz, with the image's place as sform and qform.

    Of axes that are not at right angles qform knows nothing: it is then not set, so that no reader takes it. Several
    channels become the fourth axis. It is a NIfTI 1 file; NIfTI 2 if an axis is longer than that can say.
    """
    import nibabel

    array = image.array if image.ndim == 3 else image.array[:, None]
    volume = array[0].T if len(array) == 1 else np.moveaxis(array, 0, -1).transpose(2, 1, 0, 3)
    matrix = matrix_of(image.grid, ras=True)
    kind: Any = nibabel.Nifti2Image if max(volume.shape) > LONGEST else nibabel.Nifti1Image
    header = kind.header_class()
    header.set_data_dtype(volume.dtype)
    made = kind(volume, matrix, header, dtype=volume.dtype)
    # Of what says no place, readers have rules of their own: a mask says as little as its image.
    placed = int(image.unit != "pixel" and (image.grid.placed or any(image.origin)))
    made.set_sform(matrix, code=placed)
    made.set_qform(matrix, code=placed)
    if _apart(matrix, made.header.get_qform(), as_volume(image.grid).shape, min(image.spacing)) > SHEARED:
        made.header["qform_code"] = 0
    made.header.set_xyzt_units({name: code for code, name in UNITS.items()}.get(image.unit, 0))
    with path.open("wb") as file:
        if path.suffix != ".gz":
            made.to_stream(file)
            return
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:  # neither name nor time: alike for alike masks
            made.to_stream(packed)


def _errors() -> tuple[type[Exception], ...]:
    import nibabel

    # KeyError: an unknown code of a type; ArithmeticError: an offset without end
    return (OSError, EOFError, ValueError, KeyError, ArithmeticError, zlib.error, nibabel.spatialimages.HeaderDataError)


FORMAT = Format(
    name="NIfTI",
    suffixes=(".nii", ".nii.gz"),
    recognizes=recognizes,
    open=open_nifti,
    save=save,
    allocate=on_disk,
    mask_suffix=".nii.gz",
    errors=_errors,
)
