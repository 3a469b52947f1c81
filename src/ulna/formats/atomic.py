"""Files that are written atomically."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ulna.errors import WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give the path of a file to write beside `path`; it takes the name `path` when all went well.

    Whatever is raised meanwhile removes the partial file, and `path` is as it was. Folders are made as
    needed. Raises WriteError in plain words where the disk is full or the place cannot be written to.
    """
    # The suffix stays last, for the writers that go by it.
    beside = path.with_name(f".{path.stem}.part-{os.getpid()}{path.suffix}")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            beside.replace(path)
        except OSError as error:
            raise cannot_write(error, path) from error
    except BaseException:
        _remove(beside)
        raise


def is_partial(path: Path) -> bool:
    """Whether it is what is left of a file or folder that was to appear whole when the process was killed."""
    return path.name.startswith(".") and ".part-" in path.name


def _remove(beside: Path) -> None:
    try:
        beside.unlink(missing_ok=True)
    except NotADirectoryError:
        return  # its folder could not be made in the first place


def cannot_write(error: OSError, path: Path) -> WriteError:
    """What the system says when a file cannot be written, in plain words."""
    if error.errno in FULL:
        return WriteError("cannot be written: the disk is full", where=path, hint="Free some space and try again.")
    reason = (error.strerror or str(error)).lower()
    return WriteError(f"cannot be written: {reason}", where=path, hint="Choose another place for the output.")
