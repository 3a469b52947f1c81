"""Files that are written atomically."""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ulna.errors import WriteError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

FULL = {errno.ENOSPC, errno.EDQUOT}

PARTIAL = re.compile(r"\.(?P<stem>.+)\.part-\d+(?P<suffix>\.[^.]*|)")
"""What `hidden` calls a file."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file so that it appears whole or not at all.

    Whatever is raised meanwhile leaves an earlier file of that name as it was, and nothing half-written. Folders are
    made as needed.

    Parameters
    ----------
    path
        Where the file appears; one that is there is replaced.

    Yields
    ------
    Path
        A file beside it to write into, which takes the name `path` when all went well.

    Raises
    ------
    WriteError
        Where the disk is full or the place cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> with atomic_write(Path("new", "a.txt")) as beside:
    ...     _ = beside.write_text("whole")
    >>> Path("new", "a.txt").read_text()
    'whole'
    """
    beside = hidden(path)
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


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in plain words where the system refuses to write.

    Parameters
    ----------
    path
        What is written.

    Yields
    ------
    None
        To what writes.

    Raises
    ------
    WriteError
        Where the disk is full or the place cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(error, path) from error


def is_partial(path: Path) -> bool:
    """Whether it is what is left of a file or folder that was to appear whole when the process was killed."""
    return path.name.startswith(".") and ".part-" in path.name


def remove_partial(paths: Collection[Path]) -> None:
    """Remove what killed processes left of files and folders that were to appear whole.

    Parameters
    ----------
    paths
        Where they were to appear. No process may be writing them now.
    """
    wanted = set(paths)
    for folder in {path.parent for path in wanted}:
        for found in list(folder.iterdir()) if folder.is_dir() else ():
            name = PARTIAL.fullmatch(found.name)
            if name is None or folder / f"{name['stem']}{name['suffix']}" not in wanted:
                continue
            with writing(found):
                if found.is_dir():
                    shutil.rmtree(found, ignore_errors=True)
                else:
                    found.unlink(missing_ok=True)


def hidden(path: Path) -> Path:
    """The file or folder beside a place that takes its name when it is whole; the suffix stays last."""
    return path.with_name(f".{path.stem}.part-{os.getpid()}{path.suffix}")


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
