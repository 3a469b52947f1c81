"""MetaImage (.mha, and .mhd with its pixels beside it), through SimpleITK (the extra `medical`)."""

from __future__ import annotations

import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ulna.errors import ReadError, UlnaError
from ulna.formats.archive import opened
from ulna.formats.base import GRAY, Format, Reader, guard_memory
from ulna.formats.beside import DATA, beside
from ulna.formats.world import grid_of, matrix_of
from ulna.image import Array, Channel, Grid, Image, Region, Source
from ulna.units import CENTIMETERS

MILLIMETER = CENTIMETERS["mm"]
PIP = 'pip install "ulna[medical]"'
HEADER = 64 << 10
"""So many bytes at most a header takes."""
LOCAL = "LOCAL"
"""What the last line of a header says where the pixels follow in the same file."""
SPACINGS, ORIGINS = ("ElementSpacing", "ElementSize"), ("Offset", "Position", "Origin")
DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")
TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip


def recognizes(head: bytes, _name: str) -> bool:
    """Whether these are the first bytes of a MetaImage: its first line is a word of its header."""
    first = head.split(b"=", 1)[0].strip()
    return first in (b"ObjectType", b"NDims", b"Comment", b"ObjectSubType") and b"=" in head


def open_metaimage(stream: BinaryIO, source: Source) -> Reader:
    """The reader of a MetaImage: (C, Z, Y, X), or (C, Y, X) of a file of two axes."""
    words = _header(stream, source)
    sizes = [int(side) for side in words["DimSize"].split()]
    count = int(words.get("ElementNumberOfChannels", "1"))
    if len(sizes) not in (2, 3) or min(sizes) < 1 or count < 1:
        said = " × ".join(map(str, sizes))
        raise ReadError(
            f"has the axes {said}: images have two or three", where=source, hint="Save one volume per file."
        )
    kind = TYPES.get(words["ElementType"].upper())
    if kind is None:
        raise ReadError(f"holds values of the type {words['ElementType']}, which are no gray values", where=source)
    dtype, shape = np.dtype(kind), tuple(reversed(sizes))
    channels = GRAY if count == 1 else tuple(Channel(f"channel {k}") for k in range(count))
    grid, doubts = _grid(words, shape, source)
    library, start, nbytes = _library(source), stream.tell(), prod(sizes) * count * dtype.itemsize

    @cache
    def decoded() -> Array:
        guard_memory(nbytes, source, shape=shape)
        _check_length(words, start, nbytes, source)
        with _on_disk(words, source) as path:
            array = np.asarray(library.GetArrayFromImage(library.ReadImage(str(path))))
        array = np.moveaxis(array, -1, 0) if count > 1 else array[None]
        return array.reshape(count, *shape).astype(dtype, copy=False)

    def decode(region: Region, _level: int) -> Array:
        return decoded()[(slice(None), *region)]

    planes = shape[0] if len(shape) == 3 else 1
    return Reader(source, grid, dtype, channels, decode, planes=planes, assumed="; ".join(doubts))


def _library(where: object) -> Any:
    if find_spec("SimpleITK") is None:
        raise UlnaError(
            "MetaImage is read and written through SimpleITK, which is not installed", where=where, hint=PIP
        )
    import SimpleITK

    return SimpleITK


def _header(stream: BinaryIO, source: Source) -> dict[str, str]:
    """The lines of a header up to that which says where the pixels are; the stream is then at its end."""
    words: dict[str, str] = {}
    for line in iter(lambda: stream.readline(HEADER), b""):
        key, equals, value = line.decode("latin-1").partition("=")
        if not equals or stream.tell() > HEADER:
            break
        words[key.strip()] = value.strip()
        if key.strip() == DATA:
            break
    missing = [word for word in ("DimSize", "ElementType", DATA) if not words.get(word)]
    if missing:
        raise ReadError(f"its header does not say its {missing[0]}", where=source, hint="Copy or export it again.")
    return words


def _check_length(words: dict[str, str], start: int, nbytes: int, source: Source) -> None:
    """Raise ReadError for pixels that are cut off: of a whole file that cannot be read SimpleITK says the same."""
    if words.get("BinaryData", "True").lower() == "false":
        return
    local = words[DATA].upper() == LOCAL
    start = start if local else max(0, int(words.get("HeaderSize", "0")))
    with opened(source if local else beside(words[DATA], source)) as data:
        data.seek(start)
        if words.get("CompressedData", "").lower() in ("true", "1"):
            packed = zlib.decompressobj(zlib.MAX_WBITS | 32)
            found = 0
            while found < nbytes and not packed.eof and (block := packed.unconsumed_tail or data.read(1 << 20)):
                found += len(packed.decompress(block, 1 << 24))
        else:
            found = data.seek(0, 2) - start
    if found < nbytes:
        raise ReadError(
            f"is cut off: {nbytes - found:,} of its {nbytes:,} bytes of pixels are missing",
            where=source,
            hint="Copy or download it again.",
        )


@contextmanager
def _on_disk(words: dict[str, str], source: Source) -> Iterator[Path]:
    """The header's path; of a file in an archive, unpacked for as long as it is read."""
    if not source.inside:
        yield source.path
        return
    files = [source] if words[DATA].upper() == LOCAL else [source, beside(words[DATA], source)]
    with tempfile.TemporaryDirectory(prefix="ulna-") as folder:
        for file in files:
            with opened(file) as packed, Path(folder, file.name).open("wb") as plain:
                shutil.copyfileobj(packed, plain)
        yield Path(folder, source.name)


def _grid(words: dict[str, str], shape: tuple[int, ...], source: Source) -> tuple[Grid, list[str]]:
    """Where the pixels lie, and what the file does not say."""
    n = len(shape)
    spacing, origin, direction = (
        next((_numbers(words[word]) for word in group if word in words), None)
        for group in (SPACINGS, ORIGINS, DIRECTIONS)
    )
    for numbers, length in ((spacing, n), (origin, n), (direction, n * n)):
        if numbers is not None and len(numbers) != length:
            raise ReadError(f"its header has {len(numbers)} numbers where {length} are needed", where=source)
    doubts = [
        text
        for text, said in (
            ("it does not say how large its voxels are", spacing),
            ("it does not say where it lies in the patient", origin or direction),
        )
        if said is None
    ]
    matrix = np.eye(4)
    axes = np.eye(n) if direction is None else np.reshape(direction, (n, n)).T
    matrix[:n, :n] = axes * (spacing or [1.0] * n)
    matrix[:n, 3] = origin or [0.0] * n
    try:
        if any(not 0 < side < np.inf for side in spacing or ()):
            raise UlnaError(f"its voxels are {' × '.join(f'{side:g}' for side in spacing or ())} mm")
        if n == 2:
            rows = tuple(map(tuple, axes[::-1, ::-1].tolist()))
            plane = tuple(reversed(spacing or [1.0, 1.0]))
            return Grid(shape, plane, "mm" if spacing else "pixel", tuple(reversed(origin or [0.0, 0.0])), rows), doubts
        return grid_of(matrix, shape, unit="mm" if spacing else "pixel"), doubts
    except UlnaError as error:
        raise ReadError(f"says no place in space: {error.what}", where=source, hint="Correct the header.") from None


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split()]


def save(path: Path, image: Image) -> None:
    """Write a MetaImage, compressed, in millimeters, for it has no words for others; several channels are a vector.

    Raises UlnaError without SimpleITK, for what MetaImage cannot hold, and for a header with a file of pixels beside
    it: the two would not appear at once.
    """
    if path.suffix.lower() != ".mha":
        raise UlnaError("a MetaImage is written as one file", where=path, hint="Name it .mha.")
    library = _library(path)
    array = image.array if image.ndim == 3 else image.array[:, None]
    vector = len(array) > 1
    made = library.GetImageFromArray(np.moveaxis(array, 0, -1) if vector else array[0], isVector=vector)
    matrix = matrix_of(image.grid)[:3] * (CENTIMETERS.get(image.unit, MILLIMETER) / MILLIMETER)
    axes = matrix[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    try:
        made.SetSpacing(spacing.tolist())
        made.SetOrigin(matrix[:3, 3].tolist())
        made.SetDirection((axes / spacing).ravel().tolist())
        library.WriteImage(made, str(path), useCompression=True)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UlnaError(f"MetaImage cannot hold it: {reason}", where=path, hint="Write it as .nii.gz.") from None


FORMAT = Format(
    name="MetaImage",
    suffixes=(".mha", ".mhd"),
    recognizes=recognizes,
    open=open_metaimage,
    save=save,
    mask_suffix=".mha",
    errors=lambda: (RuntimeError, ValueError, KeyError, IndexError, OSError, EOFError, zlib.error),
)
