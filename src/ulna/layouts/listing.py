"""`Listing`: the image files of a folder or an archive, in one form for every layout."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from ulna import formats
from ulna.errors import ReadError
from ulna.formats.archive import is_archive, members
from ulna.image import Source

A_RUN = {"run.json", "config.yaml"}
OURS = (A_RUN, {"check.json", "samples.png"}, {"scores.csv", "metrics.json", "cases.png"})
"""What `train`, `check` and `evaluate` write, and are known by: these pictures are no images, and in a run none is."""

JUNK = {"__macosx", "thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Entry:
    """One image file: its folders within the place that was listed, and where it lies."""

    folders: tuple[str, ...]
    source: Source

    @property
    def stem(self) -> str:
        """The file's name without folders and suffix: `a` of `a.ome.tif`."""
        stem = self.source.stem
        return stem[: -len(".ome")] if stem.lower().endswith(".ome") else stem

    @property
    def path(self) -> str:
        """The way from the listed place to the file, for messages."""
        return "/".join((*self.folders, self.source.name))


@dataclass(frozen=True)
class Listing:
    """What lies in a place: images, archives and other files, without hidden files, in natural order."""

    place: Source
    images: tuple[Entry, ...]
    archives: tuple[Source, ...] = ()
    others: tuple[Entry, ...] = ()


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts numbers in names by their value: `a2` before `a10`."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def list_place(place: Source) -> Listing:
    """List a folder with all its sub-folders, or an archive; what it holds has the stated axes of the place.

    Raises UlnaError for bad archives.
    """
    found = _in_archive(place) if place.inside or not place.path.is_dir() else _in_folder(place.path)
    found = [(folders, source) for folders, source in found if not is_junk((*folders, source.name))]
    found.sort(key=lambda pair: (natural("/".join(pair[0])), natural(pair[1].name)))
    entries = [Entry(folders, replace(source, axes=place.axes)) for folders, source in found]
    images = tuple(entry for entry in entries if formats.recognizes(entry.source))
    archives = tuple(entry.source for entry in entries if is_archive(entry.source))
    others = tuple(e for e in entries if not formats.recognizes(e.source) and not is_archive(e.source))
    return Listing(place, images, archives, others)


def _in_archive(archive: Source) -> list[tuple[tuple[str, ...], Source]]:
    found = []
    for member in members(archive):
        *folders, _ = member.replace("\\", "/").split("/")
        found.append((tuple(folders), Source(archive.path, (*archive.inside, member))))
    return found


def _in_folder(root: Path) -> list[tuple[tuple[str, ...], Source]]:
    found = []
    seen: set[str] = set()
    for folder, below, files in os.walk(root, followlinks=True, onerror=_closed):
        ours = [names for names in OURS if names <= set(files)]
        if A_RUN in ours and Path(folder) != root:
            below.clear()
            continue
        files = [name for name in files if not any(name in names for names in ours)]
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()  # a link that leads back up
            continue
        seen.add(real)
        below[:] = [name for name in below if not is_junk((name,))]
        folders = Path(folder).relative_to(root).parts
        found += [(folders, Source(Path(folder) / name)) for name in files]
    return found


def _closed(error: OSError) -> None:
    """A folder that may not be looked into is said: what lies there would be missed without a word."""
    reason = (error.strerror or str(error)).lower()
    hint = "Change its permissions, or move it elsewhere."
    raise ReadError(f"this folder cannot be looked into: {reason}", where=error.filename, hint=hint) from None


def is_junk(parts: tuple[str, ...]) -> bool:
    """Whether a file at this path is hidden, or of those that systems leave behind."""
    return any(part.startswith(".") or part.casefold() in JUNK for part in parts)
