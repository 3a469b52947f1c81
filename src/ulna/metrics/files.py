"""The files of scores: a table of all cases, and a folder that is written atomically."""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ulna.errors import UlnaError
from ulna.formats.atomic import cannot_write
from ulna.metrics.summary import Scored


def write_scores(path: Path, scored: Sequence[Scored]) -> None:
    """Write a CSV table with a row an image and class; a score that does not exist is an empty cell."""
    rows = [row for one in scored for row in one.rows()]
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["case"])
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(value) for name, value in row.items()})


def check_free(folder: Path, files: Sequence[str]) -> None:
    """Raise UlnaError unless `folder` does not exist or holds only `files`, which may be replaced."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UlnaError("this is no folder", where=folder, hint="Name a folder for the scores with --out.")
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in files) if folder.exists() else []
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise UlnaError(
            f"this folder holds other things ({foreign[0]}{more}), nothing was written",
            where=folder,
            hint="Name another folder for the scores with --out.",
        )


@contextmanager
def atomic_directory(folder: Path, files: Sequence[str]) -> Iterator[Path]:
    """Give a fresh folder to write into, beside `folder`; it takes the place of `folder` when all went well.

    An earlier folder with nothing but `files` is replaced. What is raised in between leaves everything as it
    was. Raises UlnaError where the folder cannot be written (disk full, no permission).
    """
    check_free(folder, files)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.part-", dir=folder.parent) as place:
            fresh, old = Path(place) / "new", Path(place) / "old"
            fresh.mkdir()
            yield fresh
            check_free(folder, files)
            _swap(folder, fresh, old)
    except OSError as error:
        raise cannot_write(error, folder) from error


def _swap(folder: Path, fresh: Path, old: Path) -> None:
    replaced = folder.exists()
    if replaced:
        folder.rename(old)
    try:
        fresh.rename(folder)
    except OSError:
        if replaced:
            old.rename(folder)
        raise


def _cell(value: str | int | float) -> str | int | float:
    return "" if isinstance(value, float) and math.isnan(value) else value
