"""The one error that `ulna` raises for what a user can fix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager


class UlnaError(Exception):
    """Something about the user's data, files or settings is wrong and can be fixed.

    The command line prints the message without a traceback and exits with code 2; anything else that is raised is a
    fault of `ulna` itself.

    Parameters
    ----------
    what
        What is wrong.
    where
        The file or the setting.
    hint
        What to do.

    Examples
    --------
    >>> print(UlnaError("the file is empty", where="a.png", hint="Copy it again."))
    a.png: the file is empty
    Copy it again.
    """

    def __init__(self, what: str, *, where: object | None = None, hint: str = "") -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.hint = hint
        super().__init__(self._message())

    def _message(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}" + (f"\n{self.hint}" if self.hint else "")


class ReadError(UlnaError):
    """A file cannot be read as an image: missing, truncated, corrupt, or of a kind that is not known."""


class WriteError(UlnaError):
    """A file cannot be written: the disk is full, the place is not allowed, or it is no folder."""


class ClusterError(UlnaError):
    """The cluster that was to compute is not there, or gone: nothing can go on."""


@contextmanager
def in_memory(hint: str, *, where: object | None = None) -> Iterator[None]:
    """Turn a memory that is full into an `UlnaError`.

    PyTorch says so with a RuntimeError that only its message tells from others.

    Parameters
    ----------
    hint
        What to do.
    where
        The file or the setting.

    Yields
    ------
    None
        What is done within the context is watched.

    Raises
    ------
    UlnaError
        Where the memory does not hold what is done within.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not _NO_MEMORY.search(str(error)):
            raise
        raise UlnaError("the memory of this machine does not hold it", where=where, hint=hint) from error


_NO_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory", re.IGNORECASE)
