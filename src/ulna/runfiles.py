"""What lies in a run's folder, read as far as it is there: for pages about runs that were stopped or damaged."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class RunFiles:
    """The files of a run's folder by name; one that is not there is empty.

    Parameters
    ----------
    folder
        Of the run.
    faults
        What could not be read, and why.
    """

    folder: Path
    faults: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        """A text; bytes that are no UTF-8 are kept."""
        return self._read(name, _text, "")

    def record(self, name: str) -> dict[str, Any]:
        """A JSON object."""
        return self._read(name, _json, {})

    def picture(self, name: str) -> str:
        """A picture in base 64."""
        return self._read(name, lambda data: base64.b64encode(data).decode("ascii"), "")

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of a CSV file."""
        return self._read(name, _rows, [])

    def _read(self, name: str, parse: Callable[[bytes], T], nothing: T) -> T:
        try:
            return parse((self.folder / name).read_bytes())
        except FileNotFoundError:
            return nothing
        except (OSError, ValueError, csv.Error) as error:
            self.faults.append(f"{name} could not be read: {error}")
            return nothing


def as_list(value: Any) -> list[Any]:
    """What should be a list, as one: nothing is none, and a value alone is a list of one."""
    return list(value) if isinstance(value, list | tuple) else [value] if value else []


def inner(record: dict[str, Any], *names: str) -> dict[str, Any]:
    """A dictionary inside dictionaries; empty where there is none."""
    for name in names:
        found = record.get(name)
        if not isinstance(found, dict):
            return {}
        record = found
    return record


def _text(data: bytes) -> str:
    """Text, in which names of files that are no UTF-8 are kept."""
    if b"\0" in data:
        raise ValueError("it is no text")
    return data.decode("utf-8", "surrogateescape")


def _json(data: bytes) -> dict[str, Any]:
    record = json.loads(data)
    if not isinstance(record, dict):
        raise ValueError("it holds no names and values")
    return record


def _rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))
