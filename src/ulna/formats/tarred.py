"""Tar archives: plain ones are read where they lie, compressed ones are unpacked once, into a file that goes again."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tarfile
import tempfile
import weakref
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ulna.errors import ReadError, UlnaError
from ulna.image import Source
from ulna.text import amount

OPENERS: dict[str, Callable[[Path], Any]] = {
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tar.xz": lzma.open,
}
"""By suffix, what gives the bytes of a compressed tar."""

SUFFIXES = (".tar", *OPENERS)

BROKEN = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)
AT_ONCE = 16 << 20
SPARE = 1 << 30
"""Bytes of the disk that unpacking leaves free."""

BOMB_RATIO = 1000
"""What is packed tighter than this, and unpacks to more than `SPARE`, is no data."""


@dataclass(frozen=True)
class Tar:
    """An archive and where its members lie.

    Parameters
    ----------
    path
        The file with the members' bytes: the archive itself, or what it was unpacked to.
    members
        By name, the first byte and the length of each file, in the archive's order.
    """

    path: Path
    members: dict[str, tuple[int, int]]


def open_tar(archive: Source, harmless: Callable[[str], None]) -> Tar:
    """Look into an archive.

    Parameters
    ----------
    archive
        A file on the disk.
    harmless
        Raises UlnaError for names of members that lead out of the archive.

    Returns
    -------
    Tar
        Of files; folders are left out.

    Raises
    ------
    ReadError
        For a damaged archive, and where the disk does not hold what it unpacks to.
    UlnaError
        For links and devices among its members.
    """
    if archive.inside:
        raise ReadError("is a tar within an archive", where=archive, hint="Unpack the outer archive first.")
    path, packed = archive.path, archive.suffix != ".tar"
    members: dict[str, tuple[int, int]] = {}
    found = Tar(Path(tempfile.mkdtemp(prefix="ulna-"), "unpacked.tar") if packed else path, members)
    if packed:  # what it unpacks to goes with the record of it
        weakref.finalize(found, shutil.rmtree, found.path.parent, ignore_errors=True)
        path = found.path
    try:
        if packed:
            _unpack(archive, path)
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                harmless(info.name)
                if info.isdir():
                    continue
                if not info.isreg():
                    raise UlnaError(
                        f"the archive holds '{info.name}', which is a link or a device, no file",
                        where=archive,
                        hint="Pack it again with the files themselves: tar --dereference.",
                    )
                if info.issparse():
                    raise UlnaError(
                        f"the archive holds '{info.name}' without its zeros, as a sparse file",
                        where=archive,
                        hint="Pack it again without the option --sparse (-S) of tar.",
                    )
                members[info.name.removeprefix("./")] = (info.offset_data, info.size)
    except BROKEN as error:
        raise ReadError(
            f"this is no tar archive that can be read ({error})", where=archive, hint="Download or copy it again."
        ) from None
    return found


def _unpack(archive: Source, path: Path) -> None:
    """Write the bytes of a compressed tar, as long as the disk holds them."""
    size, packed = 0, archive.path.stat().st_size
    with OPENERS[archive.suffix](archive.path) as stream, path.open("wb") as plain:
        while block := stream.read(AT_ONCE):
            size += len(block)
            if size > max(SPARE, BOMB_RATIO * packed):
                raise UlnaError(f"unpacks {packed:,} bytes to more than {amount(size)}: this is a bomb", where=archive)
            free = shutil.disk_usage(path.parent).free
            if free < SPARE + len(block):
                what = f"unpacks to more than the disk holds ({amount(free)} are free in {path.parent})"
                raise ReadError(what, where=archive, hint="Free some space, or unpack it elsewhere yourself.")
            plain.write(block)
