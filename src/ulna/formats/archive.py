"""Files inside archives, read in place: nothing is ever written to disk.

An archive is named as every file is, by a `Source`: the zip at `path`, or a zip within it. Each is opened
once and kept open, because listing 16,000 members takes longer than reading one.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, BinaryIO

import psutil

from ulna.errors import ReadError, UlnaError
from ulna.formats.base import SMALL
from ulna.image import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

# A member is a bomb if it is packed tighter than any real image and would fill a good part of the memory.
BOMB_RATIO = 1000
BOMB_BYTES = 1 << 30

BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)


def is_archive(source: Source) -> bool:
    """Whether the file is a zip, by its suffix; what lies in it is looked at when it is opened."""
    return source.suffix == ".zip"


def members(archive: Source) -> tuple[str, ...]:
    """The names of the files in an archive, folders left out, in the archive's order.

    Raises ReadError if it is damaged and UlnaError if it holds a bomb or names that lead out of it.
    """
    return tuple(info.filename for info in _opened(archive).infolist() if not info.is_dir())


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """The file of a source, opened for reading (its bytes in memory if it lies in an archive)."""
    if source.inside:
        yield io.BytesIO(_paged_member(*_key(source)) if source.page is not None else _member(source))
        return
    try:
        stream = source.path.open("rb")
    except FileNotFoundError:
        raise ReadError("there is no such file", where=source) from None
    except OSError as error:
        raise ReadError(f"cannot be opened: {error.strerror or error}", where=source) from None
    with stream:
        yield stream


def _opened(archive: Source) -> zipfile.ZipFile:
    return _zip(*_key(archive))


def _key(source: Source) -> tuple[Path, tuple[str, ...], int, int, int]:
    """What an archive is remembered by: a file that changed is opened anew, and so it is by a forked process,
    which would share the position in the file with its parent."""
    try:
        stat = source.path.stat()
    except OSError as error:
        raise ReadError(f"cannot be opened: {error.strerror or error}", where=source) from None
    return source.path, source.inside, stat.st_mtime_ns, stat.st_size, os.getpid()


@lru_cache(maxsize=4)
def _zip(path: Path, inside: tuple[str, ...], _time: int, _size: int, _process: int) -> zipfile.ZipFile:
    archive = Source(path, inside)
    try:
        opened_zip = zipfile.ZipFile(io.BytesIO(_member(archive)) if inside else path)
    except BROKEN as error:
        raise ReadError(
            f"this is no zip archive that can be read ({error})",
            where=archive,
            hint="Download or copy it again.",
        ) from None
    for info in opened_zip.infolist():
        _harmless(info, archive)
    return opened_zip


@lru_cache(maxsize=4)
def _paged_member(path: Path, inside: tuple[str, ...], _time: int, _size: int, _process: int) -> bytes:
    """The bytes of a stack, kept because its pages are read one after the other, and those of its masks in turn."""
    return _member(Source(path, inside))


def _member(source: Source) -> bytes:
    archive = Source(source.path, source.inside[:-1])
    zipped = _opened(archive)
    try:
        info = zipped.getinfo(source.inside[-1])
    except KeyError:
        raise ReadError("the archive has no such member", where=source) from None
    if info.file_size > SMALL and info.file_size > psutil.virtual_memory().available:
        raise ReadError(f"needs {info.file_size / 2**30:.1f} GiB of memory, more than is free", where=source)
    try:
        with zipped.open(info) as member:
            # One byte more than declared, never "all": a header that lies must not fill the memory.
            data = member.read(info.file_size + 1)
    except BROKEN as error:
        reason = "it is encrypted" if info.flag_bits & 1 else str(error)
        raise ReadError(f"cannot be read from the archive: {reason}", where=source) from None
    if len(data) != info.file_size:
        raise ReadError(f"is {len(data)} bytes long, the archive says {info.file_size}", where=source)
    return data


def _harmless(info: zipfile.ZipInfo, archive: Source) -> None:
    name = PurePosixPath(info.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or PureWindowsPath(info.filename).drive:
        raise UlnaError(
            f"the archive holds '{info.filename}', a name that leads out of it",
            where=archive,
            hint="Such archives are made to overwrite files. Get it from a source you trust, or repack it.",
        )
    if info.file_size > BOMB_BYTES and info.file_size > BOMB_RATIO * max(1, info.compress_size):
        raise UlnaError(
            f"the archive holds '{info.filename}', which would unpack {info.compress_size:,} bytes to "
            f"{info.file_size / 2**30:.1f} GiB: this is a bomb, not data",
            where=archive,
        )
