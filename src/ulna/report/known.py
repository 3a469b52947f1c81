"""What the methods of a run are made of: facts from its files, and the references that are cited."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ulna.config import Config
from ulna.report.references import REFERENCES, Reference
from ulna.runfiles import as_list, inner
from ulna.tasks import Task, build
from ulna.text import plural

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

    def counted(self, names: Sequence[str]) -> str:
        """How many images some cases are and, where that is known, of how many groups."""
        images = plural(len(names), "image")
        groups = {self.groups.get(name, name) for name in names}
        return f"{images} in {plural(len(groups), 'group')}" if self.groups else images

    @property
    def shared(self) -> bool:
        """Whether a group, or a volume of which slabs were taken, is on both sides."""
        sides = [{self.groups.get(_whole(name), _whole(name)) for name in side} for side in (self.train, self.held_out)]
        return bool(sides[0] & sides[1])

    @property
    def classes(self) -> list[str]:
        """The names of the classes, the background first."""
        return [str(name) for name in as_list(inner(dict(self.record), "classes").get("names"))]

    def task(self, config: Config) -> Task:
        """The question that the run's network answers."""
        stated: Any = as_list(inner(dict(self.record), "classes").get("regions"))
        return build(config.task, self.classes, tuple((str(name), tuple(inside)) for name, inside in stated))

    def separate(self, task: Task) -> bool:
        """Whether it gives probabilities of regions, each of its own, instead of those of the classes."""
        return list(task.probable) != self.classes


def _whole(name: str) -> str:
    """The name of a volume of which this is a slab, or the name itself."""
    return re.sub(r"\[\d+:\d+\]$", "", name)


def small(count: int) -> str:
    """A number as a sentence has it: small ones as words."""
    return WORDS[count] if count < len(WORDS) else f"{count:,}"
