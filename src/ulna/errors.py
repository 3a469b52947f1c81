"""The one error that `ulna` raises for what a user can mend."""

from __future__ import annotations


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
