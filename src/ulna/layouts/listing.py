"""`Listing`: the image files of a folder or an archive, in one form for every layout."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from ulna import formats
from ulna.errors import ReadError, UlnaError
from ulna.formats.archive import is_archive, members
from ulna.image import Source
from ulna.layouts.own import MARK, RUN, own_files
from ulna.layouts.series import with_series

HEADERS = {".mhd", ".nhdr"}
DATA = (".zraw", ".raw", ".raw.gz", ".raw.bz2")
"""Suffixes of headers whose pixels lie beside them, and of these."""
JUNK = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin"}


@dataclass(frozen=True)
class Entry:
    """One image file.

    Parameters
    ----------
    folders
        Its folders within the place that was listed.
    source
        Where it lies.
    """

    folders: tuple[str, ...]
    source: Source

    @property
    def stem(self) -> str:
        """The file's name without folders and suffix: `a` of `a.ome.tif`."""
        stem = self.source.stem
        return stem[: -len(".ome")] if stem.lower().endswith(".ome") else stem

    @property
    def path(self) -> str:
        """The way from the listed place to the file, or to an array in it, for messages and patterns."""
        return "/".join((*self.folders, self.source.name, *filter(None, (self.source.array,))))


@dataclass(frozen=True)
class Listing:
    """What lies in a place, without hidden files, in natural order.

    Parameters
    ----------
    place
        What was listed.
    images
        The files that can be read as images, by their suffixes.
    archives
        The zips.
    others
        All other files.
    own
        The files that `ulna` itself wrote there; they are in none of the others.
    no_images
        DICOM files that hold no image, and what they are; they are in none of the others.
    """

    place: Source
    images: tuple[Entry, ...]
    archives: tuple[Source, ...] = ()
    others: tuple[Entry, ...] = ()
    own: tuple[Entry, ...] = ()
    no_images: tuple[tuple[Entry, str], ...] = ()


Found = tuple[tuple[str, ...], Source]


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts numbers in names by their value: `a2` before `a10`.

    Parameters
    ----------
    text
        A name.

    Returns
    -------
    tuple
        To be compared with those of other names.

    Examples
    --------
    >>> sorted(["a10", "a2", "A1"], key=natural)
    ['A1', 'a2', 'a10']
    """
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def list_place(place: Source, *, masks: bool = False) -> Listing:
    """List a folder with all its sub-folders, or an archive; what it holds has what was stated of the place.

    Parameters
    ----------
    place
        The folder or archive.
    masks
        Whether masks that `ulna` predicted count as images, too.

    Returns
    -------
    Listing
        What lies there.

    Raises
    ------
    UlnaError
        For an archive that cannot be read, and a folder that may not be looked into.
    """
    archived = bool(place.inside) or not place.path.is_dir()
    found, own = (_in_archive(place), []) if archived else _in_folder(place.path, masks=masks)
    found = [(folders, source) for folders, source in found if not is_junk((*folders, source.name))]
    found.sort(key=lambda pair: (natural("/".join(pair[0])), natural(pair[1].name)))
    files = with_series([Entry(folders, source.like(place)) for folders, source in found], place)
    entries = files.entries
    images = tuple(entry for entry in entries if formats.recognizes(entry.source))
    archives = tuple(entry.source for entry in entries if is_archive(entry.source))
    known = {*(entry.source for entry in images), *archives}
    others = tuple(
        entry
        for entry in entries
        if entry.source not in known and entry.source.name != MARK and not _is_data(entry, images)
    )
    written = tuple(Entry(folders, source) for folders, source in own)
    return Listing(place, images, archives, others, written, files.left)


def _is_data(entry: Entry, images: tuple[Entry, ...]) -> bool:
    """Whether a file holds the pixels of a header beside it, and is none that was passed over."""
    name = entry.source.name
    if any(i.source.suffix == ".mrxs" and entry.folders == (*i.folders, i.source.stem) for i in images):
        return True  # of a slide by 3DHISTECH, whose pixels lie in a folder of its name
    stem = next((name[: -len(suffix)] for suffix in DATA if name.lower().endswith(suffix)), None)
    return any(
        image.folders == entry.folders and image.source.suffix in HEADERS and image.source.stem == stem
        for image in images
        if stem is not None
    )


def _in_archive(archive: Source) -> list[Found]:
    found: dict[str, Found] = {}
    for member in members(archive):
        *folders, _ = member.replace("\\", "/").split("/")
        depth = next((k for k, name in enumerate(folders) if _is_image(name)), None)
        name = member if depth is None else "/".join(folders[: depth + 1])
        found[name] = tuple(folders[:depth]), Source(archive.path, (*archive.inside, name))
    return list(found.values())


def _is_image(folder: str) -> bool:
    """Whether a folder of this name is one image, and none that holds images."""
    return folder.lower().endswith(formats.FOLDERS)


def _in_folder(root: Path, *, masks: bool) -> tuple[list[Found], list[Found]]:
    """The files of a folder and of those below, and those among them that `ulna` wrote, which are no part of it.

    A link that leads back to a folder above is not followed; what two links lead to is there twice.
    """
    found: list[Found] = []
    left: list[Found] = []
    own: set[Path] = set()
    above = {str(root): frozenset[str]()}  # the real paths of the folders above each folder
    for folder, below, files in os.walk(root, followlinks=True, onerror=_closed):
        real, place = os.path.realpath(folder), Path(folder)
        if real in above[str(place)] or (set(files) >= RUN and place != root):
            below.clear()
            continue
        images = [name for name in below if _is_image(name) and not is_junk((name,))]
        below[:] = [name for name in below if not is_junk((name,)) and name not in images]
        above |= {str(place / name): above[str(place)] | {real} for name in below}
        own |= own_files(place, files, masks=masks)
        folders = place.relative_to(root).parts
        for name in (*files, *images):
            (left if place / name in own else found).append((folders, Source(place / name)))
    return found, left


def _closed(error: OSError) -> None:
    """A folder that may not be looked into is said: what lies there would be missed without a word."""
    reason = (error.strerror or str(error)).lower()
    hint = "Change its permissions, or move it elsewhere."
    raise ReadError(f"this folder cannot be looked into: {reason}", where=error.filename, hint=hint) from None


def is_junk(parts: tuple[str, ...]) -> bool:
    """Whether a file is hidden, or of those that systems leave behind.

    Parameters
    ----------
    parts
        Its path, folder by folder.

    Returns
    -------
    bool
        True where it is no part of a data set.
    """
    return any(part.startswith(".") or part.casefold() in JUNK for part in parts)


def existing(place: str | Path) -> Path:
    """The place, which must exist.

    Parameters
    ----------
    place
        A path.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    UlnaError
        Where there is nothing; the nearest name in its folder is given.
    """
    path = Path(place)
    if path.exists():
        return path
    folder = next((parent for parent in path.parents if parent.is_dir()), Path())
    missing = path.relative_to(folder).parts[0] if path != folder else path.name
    close = difflib.get_close_matches(missing, [entry.name for entry in folder.iterdir()], n=1)
    hint = f"Did you mean '{folder / close[0]}'?" if close else f"'{folder}' exists, but holds no '{missing}'."
    raise UlnaError("there is no such folder or file", where=place, hint=hint)
