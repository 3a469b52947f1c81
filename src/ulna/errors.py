"""The one error that `ulna` raises for what a user can mend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager


class UlnaError(Exception):
    """Something about the user's data, files or words is wrong and can be mended.

    The message says what is wrong, `where` names the file or key, and `hint` says what to do. The command
    line prints all three without a traceback and exits with code 2; anything else that is raised is a fault
    of `ulna` itself.
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


@contextmanager
def in_memory(hint: str, *, where: object | None = None) -> Iterator[None]:
    """What is done within fits into the memory, or an UlnaError says that it does not.

    PyTorch says so with a RuntimeError that is told by its words.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not _NO_MEMORY.search(str(error)):
            raise
        raise UlnaError("the memory of this machine does not hold it", where=where, hint=hint) from error


_NO_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory", re.IGNORECASE)
