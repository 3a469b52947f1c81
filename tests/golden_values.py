"""Values and texts that were looked at once and are to stay, in a file per test.

Where they are to change, write them anew, look at the difference, and commit it:

    python -m pytest -n 0 tests/leaks/test_golden.py --new-golden
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Golden:
    """Compares with the files of a folder, or writes these anew."""

    folder: Path
    rewrite: bool = False

    def check(self, name: str, found: Any, *, near: float = 1e-4) -> None:
        """Numbers may differ by a share `near`, for rounding; all else must be equal."""
        path, plain = self.folder / f"{name}.json", _plain(found)
        if self.rewrite:
            path.parent.mkdir(exist_ok=True)
            lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in plain.items()]
            path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        before = json.loads(path.read_text(encoding="utf-8"))
        different = list(_differences(plain, before, near, ""))
        assert not different, "\n".join(different[:20])

    def check_text(self, name: str, text: str) -> None:
        """All lines must be equal."""
        path = self.folder / f"{name}.txt"
        if self.rewrite:
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{text.rstrip()}\n", encoding="utf-8")
        assert text.rstrip().splitlines() == path.read_text(encoding="utf-8").splitlines()


def _plain(value: Any) -> Any:
    """As JSON holds it, numbers with six digits."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, slice):
        return [value.start, value.stop]
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value.decode() if isinstance(value, bytes | np.bytes_) else value


def _differences(found: Any, before: Any, near: float, where: str) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(before, dict) and list(found) == list(before):
        for key in found:
            yield from _differences(found[key], before[key], near, f"{where}.{key}")
    elif isinstance(found, list) and isinstance(before, list) and len(found) == len(before):
        for place, (one, other) in enumerate(zip(found, before, strict=True)):
            yield from _differences(one, other, near, f"{where}[{place}]")
    elif isinstance(found, float) and isinstance(before, int | float):
        if not math.isclose(found, before, rel_tol=near, abs_tol=near / 100):
            yield f"{where}: {found}, before {before}"
    elif found != before:
        yield f"{where}: {found}, before {before}"
