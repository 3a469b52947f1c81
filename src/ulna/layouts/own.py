"""What `ulna` itself has written into a folder: it is neither image nor mask of a data set, unless it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ulna.formats import atomic_write

MARK = "ulna.json"
"""The file beside predicted masks that lists them."""

RUN = {"run.json", "config.yaml"}
"""What a run is known by; nothing in it is an image of a data set."""

RECORDS: tuple[tuple[set[str], set[str]], ...] = (
    ({"check.json"}, {"samples.png", "joined.png"}),
    ({"scores.csv", "metrics.json"}, {"cases.png"}),
    ({"table.csv", "sizes.png"}, {"sizes.png", "objects.png", "table.parquet"}),
)
"""The records that `check`, `evaluate` and `measure` write, and the pictures and tables beside them."""


def mark(folder: Path, masks: Iterable[str], pictures: Iterable[str]) -> None:
    """List in a folder the masks and the pictures, as paths within it, that `predict` writes there.

    What was listed before stays listed.
    """
    before = _marked(folder)
    lists = {
        "masks": sorted({*before[0], *masks}),
        "pictures": sorted({*before[1], *pictures}),
    }
    words = {"written by": "ulna predict", **lists}
    with atomic_write(folder / MARK) as beside:
        beside.write_text(json.dumps(words, indent=1, ensure_ascii=False) + "\n", "utf-8", "backslashreplace")


def own_files(folder: Path, files: Iterable[str], *, masks: bool = False) -> set[Path]:
    """The files that `ulna` wrote into a folder, or into those below it, as far as the folder says so.

    Parameters
    ----------
    folder : Path
        The folder.
    files : iterable of str
        The names of the files in it.
    masks : bool
        Whether predicted masks are asked for, and not to be counted.
    """
    names = set(files)
    found = {picture for known, pictures in RECORDS if known <= names for picture in pictures}
    if MARK in names:
        listed_masks, pictures = _marked(folder)
        found |= pictures if masks else pictures | listed_masks
    return {folder / name for name in found}


def is_own(path: Path, place: Path) -> bool:
    """Whether a folder between the place and the file lists the file as written by `ulna`."""
    folders = [folder for folder in path.parents if folder == place or place in folder.parents]
    return any(path in own_files(folder, [MARK]) for folder in folders if (folder / MARK).is_file())


def _marked(folder: Path) -> tuple[set[str], set[str]]:
    """The masks and the pictures that a folder's mark lists; none where there is no mark, or none of ours."""
    try:
        words = json.loads((folder / MARK).read_text("utf-8"))
        return set(map(str, words["masks"])), set(map(str, words["pictures"]))
    except (OSError, ValueError, KeyError, TypeError):
        return set(), set()
