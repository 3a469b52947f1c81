"""What the methods of a run are made of: facts from its files, and the references that are cited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ulna.report.references import REFERENCES, Reference
from ulna.runfiles import as_list, inner

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass
class Citations:
    """The references of a text, numbered as they are first cited."""

    keys: list[str] = field(default_factory=list)

    def cite(self, *keys: str) -> str:
        """The numbers of some references, in brackets.

        Parameters
        ----------
        *keys
            Of `REFERENCES`; "" is none.

        Returns
        -------
        str
            " [1, 2]", with a space before it.
        """
        named = [key for key in keys if key]
        self.keys += [key for key in named if key not in self.keys]
        return f" [{', '.join(str(1 + self.keys.index(key)) for key in named)}]" if named else ""

    def listed(self) -> list[Reference]:
        """All that were cited, in order."""
        return [REFERENCES[key] for key in self.keys]


@dataclass(frozen=True)
class Facts:
    """What a run's files say of it, beside its settings.

    Parameters
    ----------
    record
        What `run.json` holds.
    metrics
        What `scores/metrics.json` holds.
    rows
        Of `metrics.csv`.
    groups
        The group of each case.
    train, held_out
        The names of the cases of each side.
    """

    record: Mapping[str, Any]
    metrics: dict[str, Any]
    rows: Sequence[Mapping[str, str]]
    groups: Mapping[str, str]
    train: Sequence[str]
    held_out: Sequence[str]

    def count_groups(self, names: Sequence[str]) -> int:
        """How many groups some cases are of."""
        return len({self.groups.get(name, name) for name in names})

    @property
    def classes(self) -> list[str]:
        """The names of the classes, the background first."""
        return [str(name) for name in as_list(inner(dict(self.record), "classes").get("names"))]


def small(count: int) -> str:
    """A number as a sentence has it: small ones as words."""
    return WORDS[count] if count < len(WORDS) else f"{count:,}"
