"""The files of a Zarr folder: read within the folder alone, and no chunk that unpacks to more than it announces."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from ulna.errors import ReadError
from ulna.formats.archive import kept, members, opened
from ulna.image import Source
from ulna.text import amount

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
MAX_WORDS = 16 << 20
"""So many bytes of metadata are read of a file at most."""
DEFLATE = 1 << 18
"""Below so many packed bytes not even a bomb fills the memory: deflate packs a thousandfold at most."""
BLOSC = 16
"""Bytes of the header of a chunk packed by Blosc."""
ZSTD = b"\x28\xb5\x2f\xfd"


class Files:
    """The files of a Zarr folder by their keys, their paths within it with slashes.

    Parameters
    ----------
    source
        The folder, on the disk or in an archive.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._root = os.path.realpath(source.path)

    def read(self, key: str, part: ByteRequest | None = None) -> bytes | None:
        """The bytes of a file, or a part of them.

        Parameters
        ----------
        key
            The file.
        part
            Which bytes; by default all.

        Returns
        -------
        bytes or None
            None where there is no such file.

        Raises
        ------
        ReadError
            Where it lies outside of the folder, or cannot be read.
        """
        try:
            with self._opened(key) as file:
                return _part(file, part)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, KeyError):
            return None
        except OSError as error:
            what = f"its file {key} cannot be read: {error.strerror or error}"
            raise ReadError(what, where=self.source, hint="Copy it again with all its files.") from None

    def words(self, key: str) -> dict[str, Any] | None:
        """The content of a JSON file.

        Parameters
        ----------
        key
            The file.

        Returns
        -------
        dict or None
            None where there is no such file.

        Raises
        ------
        ReadError
            For a file that is no JSON, or none of a sensible size.
        """
        data = self.read(key, RangeByteRequest(0, MAX_WORDS))
        if data is None:
            return None
        try:
            words = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ReadError(f"its file {key} cannot be read ({error})", where=self.source) from None
        if not isinstance(words, dict):
            raise ReadError(f"its file {key} holds no metadata", where=self.source)
        return words

    def children(self, path: str) -> list[str]:
        """The names of the folders in a folder, in order, without hidden ones."""
        if self.source.inside:
            names = {rest.split("/")[0] for rest in self._below(path) if "/" in rest}
        else:
            with os.scandir(self._path(path)) as entries:
                names = {entry.name for entry in entries if entry.is_dir()}
        return sorted(name for name in names if not name.startswith("."))

    def count(self, path: str, most: int) -> int:
        """How many chunks lie in the folder of an array, and no more than so many."""
        found = 0
        if self.source.inside:
            names: Iterable[list[str]] = ([rest.rpartition("/")[2]] for rest in self._below(path))
        else:
            names = (files for _, _, files in os.walk(self._path(path)))
        for files in names:
            found += sum(not name.startswith(".") and name != "zarr.json" for name in files)
            if found >= most:
                break
        return found

    def _opened(self, key: str) -> AbstractContextManager[BinaryIO]:
        if not self.source.inside:
            return self._path(key).open("rb")
        member = self._prefix + self._checked(key)
        if member not in kept_names(self.source):
            raise KeyError(member)
        return opened(Source(self.source.path, (*self.source.inside[:-1], member)))

    def _checked(self, key: str) -> str:
        if key.startswith("/") or ".." in key.split("/"):
            raise ReadError(f"names something outside of its folder ('{key}')", where=self.source)
        return key

    def _path(self, key: str) -> Path:
        """Where the file of a key lies, without links. Raises ReadError where that is outside of the folder."""
        real = os.path.realpath(os.path.join(self._root, *self._checked(key).split("/")))  # noqa: PTH118
        if real != self._root and not real.startswith(self._root + os.sep):
            raise ReadError(f"links to something outside of its folder ('{key}')", where=self.source)
        return Path(real)

    @property
    def _prefix(self) -> str:
        return self.source.inside[-1].rstrip("/") + "/"

    def _below(self, path: str) -> list[str]:
        """The names of the files of an archive below a folder, relative to it."""
        start = self._prefix + (f"{self._checked(path)}/" if path else "")
        return [name[len(start) :] for name in kept_names(self.source) if name.startswith(start)]


def kept_names(source: Source) -> frozenset[str]:
    """The names of all files of the archive that a folder lies in."""
    archive = Source(source.path, source.inside[:-1])

    def names() -> tuple[frozenset[str], int]:
        found = frozenset(members(archive))
        return found, sum(map(len, found))

    return kept("names", archive, names)


class Chunks(Store):
    """What the library reads the chunks of one array from.

    Parameters
    ----------
    files
        Those of the folder.
    limit
        So many bytes a chunk unpacks to.
    packed
        What chunks are packed with.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = False

    def __init__(self, files: Files, *, limit: int, packed: str) -> None:
        super().__init__(read_only=True)
        self._files, self._limit, self._packed = files, limit, packed

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """The bytes of a file, or a part of them; None where there is no such file."""
        data = self._files.read(key, byte_range)
        if data is None:
            return None
        if key.rpartition("/")[2] not in METADATA and not isinstance(byte_range, SuffixByteRequest):
            self._check(data)
        return prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Parts of several files."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        return self._files.read(key, RangeByteRequest(0, 1)) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Not done: what is read is left as it is."""
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        """Not done: what is read is left as it is."""
        raise NotImplementedError

    def list(self) -> AsyncIterator[str]:
        """Not done: an array is read by the names of its chunks."""
        raise NotImplementedError

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Not done: an array is read by the names of its chunks."""
        raise NotImplementedError

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Not done: an array is read by the names of its chunks."""
        raise NotImplementedError

    def _check(self, data: bytes) -> None:
        """Raise ReadError for a chunk that is cut off, or says that it unpacks to more than a chunk of the array."""
        if self._packed == "blosc" and not is_whole(data):  # the library would read beyond its end
            raise ReadError("a chunk is cut off", where=self._files.source, hint="Copy it again with all its files.")
        size = announced(data, self._packed, self._limit)
        if size > self._limit:
            raise ReadError(
                f"a chunk would unpack to {amount(size)} instead of {amount(self._limit)}: it is damaged, or made to "
                "fill the memory",
                where=self._files.source,
            )


def is_whole(data: bytes) -> bool:
    """Whether a chunk packed by Blosc is as long as its first bytes say.

    Parameters
    ----------
    data
        The packed chunk.

    Returns
    -------
    bool
        False for one that is cut off.
    """
    return len(data) >= BLOSC and struct.unpack_from("<I", data, 12)[0] <= len(data)


def announced(data: bytes, packed: str, limit: int) -> int:
    """How many bytes a packed chunk unpacks to, as far as its first bytes say so; 0 where they do not.

    Parameters
    ----------
    data
        The packed chunk.
    packed
        What it is packed with.
    limit
        What deflate is tried up to, for it says nothing before.

    Returns
    -------
    int
        Bytes.

    References
    ----------
    Blosc header: https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst. Zstandard: RFC 8878, 3.1.1.1.
    """
    if packed == "blosc" and len(data) >= BLOSC:
        return int(struct.unpack_from("<I", data, 4)[0])
    if packed == "zstd" and data.startswith(ZSTD) and len(data) > 14:
        flag, single, dictionary = data[4] >> 6, data[4] >> 5 & 1, (0, 1, 2, 4)[data[4] & 3]
        start, length = 5 + (not single) + dictionary, (single, 2, 4, 8)[flag]
        return int.from_bytes(data[start : start + length], "little") + (256 if flag == 1 else 0)
    if packed in ("zlib", "gzip") and len(data) > DEFLATE:
        return len(zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(data, limit + 1))
    if packed == "lz4" and len(data) >= 4:
        return int(struct.unpack_from("<I", data)[0])
    return 0


def _part(file: BinaryIO, wanted: ByteRequest | None) -> bytes:
    if isinstance(wanted, RangeByteRequest):
        file.seek(wanted.start)
        return file.read(wanted.end - wanted.start)
    if isinstance(wanted, OffsetByteRequest):
        file.seek(wanted.offset)
    elif isinstance(wanted, SuffixByteRequest):
        file.seek(max(0, file.seek(0, 2) - wanted.suffix))
    return file.read()
