"""Files of pixels that lie beside a header, as the header names them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath, PurePosixPath

from ulna.errors import ReadError
from ulna.image import Source


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
