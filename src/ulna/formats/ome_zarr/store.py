"""The files of a Zarr folder: read within the folder alone, and no chunk that unpacks to more than it announces."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from ulna.errors import ReadError
from ulna.image import Source
from ulna.text import amount

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
MAX_WORDS = 16 << 20
"""So many bytes of metadata are read of a file at most."""
DEFLATE = 1 << 18
"""Below so many packed bytes not even a bomb fills the memory: deflate packs a thousandfold at most."""
ZSTD = b"\x28\xb5\x2f\xfd"


class Files:
    """The files of a Zarr folder by their keys.

    Parameters
    ----------
    source
        The folder.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._root = os.path.realpath(source.path)

    def path(self, key: str) -> Path:
        """Where the file of a key lies.

        Parameters
        ----------
        key
            Its path within the folder, with slashes.

        Returns
        -------
        Path
            Without links.

        Raises
        ------
        ReadError
            Where it lies outside of the folder.
        """
        real = os.path.realpath(os.path.join(self._root, *key.split("/")))  # noqa: PTH118
        if key.startswith("/") or (real != self._root and not real.startswith(self._root + os.sep)):
            raise ReadError(f"names or links to something outside of its folder ('{key}')", where=self.source)
        return Path(real)

    def words(self, key: str) -> dict[str, Any] | None:
        """The content of a JSON file.

        Parameters
        ----------
        key
            Its path within the folder.

        Returns
        -------
        dict or None
            None where there is no such file.

        Raises
        ------
        ReadError
            For a file that is no JSON, or none of a sensible size.
        """
        try:
            with self.path(key).open("rb") as file:
                data = file.read(MAX_WORDS + 1)
            words = json.loads(data) if len(data) <= MAX_WORDS else None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, RecursionError, OSError) as error:
            raise ReadError(f"its file {key} cannot be read ({error})", where=self.source) from None
        if not isinstance(words, dict):
            raise ReadError(f"its file {key} holds no metadata", where=self.source)
        return words


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

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of a file, or a part of them; None where there is no such file."""
        try:
            data = _part(self._files.path(key), byte_range)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
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
        return self._files.path(key).is_file()

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
        """Raise ReadError for a chunk that says that it unpacks to more than a chunk of the array."""
        size = announced(data, self._packed, self._limit)
        if size > self._limit:
            raise ReadError(
                f"a chunk would unpack to {amount(size)} instead of {amount(self._limit)}: it is damaged, or made to "
                "fill the memory",
                where=self._files.source,
            )


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
    if packed == "blosc" and len(data) >= 16:
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


def _part(path: Path, wanted: ByteRequest | None) -> bytes:
    with path.open("rb") as file:
        if isinstance(wanted, RangeByteRequest):
            file.seek(wanted.start)
            return file.read(wanted.end - wanted.start)
        if isinstance(wanted, OffsetByteRequest):
            file.seek(wanted.offset)
        elif isinstance(wanted, SuffixByteRequest):
            file.seek(max(0, file.seek(0, 2) - wanted.suffix))
        return file.read()
