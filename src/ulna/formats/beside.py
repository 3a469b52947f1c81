"""Files of pixels that lie beside a header, as the header names them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath

from ulna.errors import ReadError
from ulna.image import Source

DATA = "ElementDataFile"
"""By what a MetaImage header names the file with the pixels."""

DETACHED = ("data file", "datafile")
"""By what an NRRD header does."""

HEADERS = {
    ".mhd": re.compile(rf"^{DATA}\s*=\s*(.+?)\s*$".encode(), re.MULTILINE),
    ".nhdr": re.compile(rf"^(?:{'|'.join(DETACHED)}):\s*(.+?)\s*$".encode(), re.MULTILINE | re.IGNORECASE),
}
"""How headers of these suffixes name the file with the pixels."""

LONGEST = 1 << 16
"""Bytes of a header that are looked at."""


def beside(name: str, source: Source) -> Source:
    """The file of pixels that a header names: in the same folder, and nowhere else.

    Parameters
    ----------
    name
        As the header has it.
    source
        The header.

    Returns
    -------
    Source
        The file; whether it is there is found when it is opened.

    Raises
    ------
    ReadError
        For a name that leads elsewhere, or names several files.

    Examples
    --------
    >>> from pathlib import Path
    >>> str(beside("a.raw", Source(Path("scans.zip"), ("p1/a.mhd",))))
    'scans.zip!p1/a.raw'
    """
    if name != PurePath(name).name or name.upper().startswith("LIST") or "%" in name:
        raise ReadError(
            f"names its data as '{name}'; only one file in the same folder is read",
            where=source,
            hint="Save image and header as one file.",
        )
    if source.inside:
        return replace(source, inside=(*source.inside[:-1], str(PurePosixPath(source.inside[-1]).with_name(name))))
    return replace(source, path=source.path.with_name(name))


def companions(path: Path) -> tuple[Path, ...]:
    """The files that hold the pixels of a header alone (.mhd, .nhdr), as far as it names one.

    Parameters
    ----------
    path
        A file of any format.

    Returns
    -------
    tuple of Path
        Those beside it that are there; none of most formats.
    """
    named = HEADERS.get(path.suffix.lower())
    if named is None or not path.is_file():
        return ()
    with path.open("rb") as file:
        found = [name.decode("utf-8", "replace") for name in named.findall(file.read(LONGEST))]
    return tuple(path.with_name(name) for name in found if Path(name).name == name and path.with_name(name).is_file())
