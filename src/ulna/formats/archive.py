"""Files inside archives, read in place: nothing is written to disk but what a compressed tar unpacks to.

An archive is named as every file is, by a `Source`: the zip or tar at `path`, or a zip within it. Each is opened
once and kept open, because listing 16,000 members takes longer than reading one. What is kept is weighed in bytes.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

import psutil

from ulna.errors import ReadError, UlnaError
from ulna.formats.base import SMALL
from ulna.formats.tarred import SUFFIXES, Tar, open_tar
from ulna.image import Source
from ulna.memory import free_memory
from ulna.text import amount

if TYPE_CHECKING:
    from collections.abc import Iterator

# A member is a bomb if it is packed tighter than any real image and would fill a good part of the memory.
BOMB_RATIO = 1000
BOMB_BYTES = 1 << 30

# Members that are stored without compression and are larger than this are read where they lie.
IN_PLACE = 16 << 20
MIN_KEPT = 256 << 20
LOCAL_HEADER = 30  # bytes before a member's name

BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)


def is_archive(source: Source) -> bool:
    """Whether the file is a zip or tar, by its suffix; what lies in it is looked at when it is opened."""
    return source.suffix == ".zip" or is_tar(source)


def is_tar(source: Source) -> bool:
    """Whether the file is a tar, plain or compressed, by its suffix."""
    return source.suffix in SUFFIXES


def members(archive: Source) -> tuple[str, ...]:
    """The names of the files in an archive, folders left out, in the archive's order.

    Raises ReadError if it is damaged and UlnaError if it holds a bomb or names that lead out of it.
    """
    if is_tar(archive):
        return tuple(_tar(archive).members)
    # A member that was replaced is listed twice; the later one counts, as for every program that unpacks.
    return tuple(dict.fromkeys(info.filename for info in _opened(archive).infolist() if not info.is_dir()))


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """The file of a source, opened for reading (its bytes in memory if it is compressed in an archive)."""
    if source.inside:
        with _member_stream(source) as member:
            yield member
        return
    try:
        if source.path.is_fifo():
            raise ReadError("is a pipe, no file", where=source)  # opening it would wait for whoever writes into it
        stream = source.path.open("rb")
    except FileNotFoundError:
        raise ReadError("there is no such file", where=source) from None
    except OSError as error:
        raise ReadError(f"cannot be opened: {error.strerror or error}", where=source) from None
    with stream:
        yield stream


def _opened(archive: Source) -> zipfile.ZipFile:
    return _zip(*_key(archive))


Place = tuple[Path, tuple[str, ...], int, int, int]


def _key(source: Source) -> Place:
    """What an archive is remembered by: a file that changed is opened anew, and so it is by a forked process,
    which would share the position in the file with its parent."""
    try:
        stat = source.path.stat()
    except OSError as error:
        raise ReadError(f"cannot be opened: {error.strerror or error}", where=source) from None
    return source.path, source.inside, stat.st_mtime_ns, stat.st_size, os.getpid()


T = TypeVar("T")
Key = tuple[str, *Place]


class Kept:
    """What was opened or unpacked and may be needed again; the least recently used goes first.

    The newest stays whatever it weighs; all others only as long as they weigh no more than a sixteenth of the
    machine's memory together.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[Key, tuple[object, int]] = OrderedDict()

    @cached_property
    def _machine(self) -> int:
        """Bytes of memory, asked once: there may be a hundred thousand members."""
        return int(psutil.virtual_memory().total)

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return sum(weight for _, weight in list(self._entries.values()))

    def get(self, key: Key, make: Callable[[], tuple[T, int]]) -> T:
        """What `make` gave for this key, with its weight in bytes; made anew where it is no longer there."""
        # No lock: a forked process would inherit it held. Two threads at worst make the same thing at once.
        found = self._entries.get(key)
        if found is None:
            found = make()
        self._entries[key] = found
        with suppress(KeyError):
            self._entries.move_to_end(key)
        while len(self._entries) > 1 and self.nbytes > max(MIN_KEPT, self._machine // 16):
            with suppress(KeyError):
                self._entries.popitem(last=False)
        return cast(T, found[0])


_KEPT = Kept()


def kept(what: str, source: Source, make: Callable[[], tuple[T, int]]) -> T:
    """What was made of the files of a source before, or is made now.

    Parameters
    ----------
    what
        Names the kind of thing.
    source
        One file or several; where one of them has changed, the thing is made anew.
    make
        Gives the thing and how many bytes of memory it takes.

    Returns
    -------
    T
        The thing.
    """
    stamps = [_key(Source(path))[2:4] for path in dict.fromkeys(part.path for part in source.parts)]
    newest, total = max(stamp for stamp, _ in stamps), sum(length for _, length in stamps)
    return _KEPT.get((what, source.path, (*source.inside, *source.files), newest, total, os.getpid()), make)


def _zip(*key: *Place) -> zipfile.ZipFile:
    return _KEPT.get(("zip", *key), lambda: _open_zip(Source(*key[:2])))


def _open_zip(archive: Source) -> tuple[zipfile.ZipFile, int]:
    """The archive, and how much memory it takes."""
    weight = 0
    file: Path | BinaryIO = archive.path
    try:
        if archive.inside:
            part = _in_place(archive)
            data = b"" if part else _member(archive)
            file, weight = part or io.BytesIO(data), len(data)
        opened_zip = zipfile.ZipFile(cast("Path", file))
    except BROKEN as error:
        raise ReadError(
            f"this is no zip archive that can be read ({error})",
            where=archive,
            hint="Download or copy it again.",
        ) from None
    for info in opened_zip.infolist():
        _stays_within(info.filename, archive)
        _no_bomb(info, archive)
    return opened_zip, weight


def _tar(archive: Source) -> Tar:
    return _KEPT.get(("tar", *_key(archive)), lambda: (open_tar(archive, partial(_stays_within, archive=archive)), 0))


def _member_stream(source: Source) -> BinaryIO:
    """A member: where it lies, or unpacked; the bytes of a stack are kept, for its pages are read one by one."""
    outer = Source(source.path, source.inside[:-1])
    if is_tar(outer):
        return _of_tar(_tar(outer), source)
    part = _in_place(source)
    if part is not None:
        return part
    if source.page is None:
        return io.BytesIO(_member(source))

    def unpacked() -> tuple[bytes, int]:
        data = _member(source)
        return data, len(data)

    return io.BytesIO(_KEPT.get(("member", *_key(source)), unpacked))


def _of_tar(tar: Tar, source: Source) -> BinaryIO:
    found = tar.members.get(source.inside[-1])
    if found is None:
        raise ReadError("the archive has no such member", where=source)
    return io.BufferedReader(_Part(tar.path.open("rb"), *found))


def _in_place(source: Source) -> BinaryIO | None:
    """A large member that is stored as it is in an archive on the disk; None for all others."""
    if len(source.inside) != 1:
        return None
    try:
        info = _opened(Source(source.path)).getinfo(source.inside[0])
    except KeyError:
        return None  # said when it is read
    stored = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1
    if not stored or info.file_size != info.compress_size or info.file_size <= IN_PLACE:
        return None
    stream = source.path.open("rb")
    stream.seek(info.header_offset)
    header = stream.read(LOCAL_HEADER)
    if len(header) < LOCAL_HEADER or not header.startswith(b"PK\3\4"):
        stream.close()
        return None
    name, extra = struct.unpack("<HH", header[26:])
    return io.BufferedReader(_Part(stream, info.header_offset + LOCAL_HEADER + name + extra, info.file_size))


class _Part(io.RawIOBase):
    """A part of a file as a file of its own."""

    def __init__(self, stream: BinaryIO, start: int, length: int) -> None:
        super().__init__()
        self._stream, self._start, self._length, self._place = stream, start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = max(0, offset + (0, self._place, self._length)[whence])
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer)[: max(0, self._length - self._place)]
        self._stream.seek(self._start + self._place)
        count = self._stream.readinto(view)  # type: ignore[attr-defined]
        self._place += count
        return int(count)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _member(source: Source) -> bytes:
    archive = Source(source.path, source.inside[:-1])
    zipped = _opened(archive)
    try:
        info = zipped.getinfo(source.inside[-1])
    except KeyError:
        raise ReadError("the archive has no such member", where=source) from None
    if info.file_size > SMALL and info.file_size > free_memory():
        raise ReadError(f"needs {amount(info.file_size)} of memory, more than is free", where=source)
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


def _stays_within(member: str, archive: Source) -> None:
    name = PurePosixPath(member.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or PureWindowsPath(member).drive:
        raise UlnaError(
            f"the archive holds '{member}', a name that leads out of it",
            where=archive,
            hint="Such archives are made to overwrite files. Get it from a source you trust, or repack it.",
        )


def _no_bomb(info: zipfile.ZipInfo, archive: Source) -> None:
    if info.file_size > BOMB_BYTES and info.file_size > BOMB_RATIO * max(1, info.compress_size):
        raise UlnaError(
            f"the archive holds '{info.filename}', which would unpack {info.compress_size:,} bytes to "
            f"{amount(info.file_size)}: this is a bomb, not data",
            where=archive,
        )
