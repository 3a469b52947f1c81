"""The folder that scores and measurements are written into, whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ulna.errors import UlnaError
from ulna.formats.atomic import cannot_write
from ulna.text import listed


def check_free(folder: Path, files: Sequence[str], *, overwrite: bool) -> None:
    """Raise UlnaError unless `folder` can become a folder with `files`: it does not exist or is empty.

    With `overwrite` it may hold earlier ones of `files`, and never anything else.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UlnaError("this is no folder", where=folder, hint="Name a folder with --out.")
    present = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    foreign = [name for name in present if name not in files]
    if foreign:
        raise UlnaError(
            f"this folder holds other things ({listed(foreign, 1)}), nothing was written",
            where=folder,
            hint="Name another folder with --out.",
        )
    if present and not overwrite:
        raise UlnaError(
            f"earlier results are here already ({', '.join(present)})",
            where=folder,
            hint="Name another --out, or add --overwrite (from Python overwrite=True).",
        )


@contextmanager
def atomic_directory(folder: Path, files: Sequence[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a fresh folder to write into, beside `folder`; it takes the place of `folder` when all went well.

    An exception in between leaves everything as it was. Raises UlnaError as `check_free` does, and where the folder
    cannot be written (disk full, no permission).
    """
    check_free(folder, files, overwrite=overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.part-", dir=folder.parent) as place:
            fresh, old = Path(place) / "new", Path(place) / "old"
            fresh.mkdir()
            yield fresh
            check_free(folder, files, overwrite=overwrite)
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
