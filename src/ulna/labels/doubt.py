"""`Doubt`: what may be wrong in a reading of masks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Doubt:
    """What may be wrong in a reading, and the lines of YAML that would settle it (or none); `sure` is how certain
    the reading is in this."""

    what: str
    yaml: str
    sure: float

    def __str__(self) -> str:
        return f"{self.what}\n{self.yaml}" if self.yaml else self.what
