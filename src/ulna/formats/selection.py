"""Which scene and which time point of a file are read, and what is said of the choice: the same for all formats."""

from __future__ import annotations

from collections.abc import Sequence

from ulna.errors import ReadError
from ulna.source import Source
from ulna.text import listed, plural

MAX_NAMES = 8
"""So many scenes are named in an error."""


def scene_of(names: Sequence[str], source: Source) -> tuple[int, tuple[str, ...]]:
    """Which of the images of a file is read: the first, or that of `source.scene`.

    Parameters
    ----------
    names
        Of all images, at least one; "" for one without a name.
    source
        The file; its scene is a number from 0, or a name in small or capital letters.

    Returns
    -------
    tuple of int and tuple of str
        The number, and what is said where nobody has chosen among several.

    Raises
    ------
    ReadError
        For a scene that is not there, and a name that several have.

    Examples
    --------
    >>> from pathlib import Path
    >>> scene_of(["left", "right"], Source(Path("a.lif"), scene="Right"))
    (1, ())
    """
    wanted = source.scene
    if wanted is None:
        said = f"{_held(names)}; the first one is read (data.scene chooses another)"
        return 0, (said,) if len(names) > 1 else ()
    same = [k for k, name in enumerate(names) if isinstance(wanted, str) and name.casefold() == wanted.casefold()]
    if len(same) == 1:
        return same[0], ()
    if not same and str(wanted).isdecimal() and int(wanted) < len(names):
        return int(wanted), ()
    what = f"holds {plural(len(names), 'image')}, scene {wanted} is asked for"
    if same:
        what = f"holds {len(same)} images that are called '{wanted}'"
    hint = "Leave data.scene away for files of one image."
    if len(names) > 1:
        shown = listed((f"{k} ({name})" if name else k for k, name in enumerate(names)), MAX_NAMES)
        hint = f"data.scene takes a number or a name: {shown}."
    raise ReadError(what, where=source, hint=hint)


def times_of(count: int, source: Source) -> range:
    """Which time points of a file are read: all, or that of `source.time`.

    Parameters
    ----------
    count
        How many it holds; 1 for a file without an axis of time.
    source
        The file.

    Returns
    -------
    range
        Their numbers.

    Raises
    ------
    ReadError
        For one that is not there.
    """
    if source.time is None:
        return range(count)
    if 0 <= source.time < count:
        return range(source.time, source.time + 1)
    raise ReadError(
        f"has {plural(count, 'time point')}, time {source.time} is asked for",
        where=source,
        hint=f"data.time takes a number from 0 to {count - 1}."
        if count > 1
        else "Leave data.time away, or, where the planes of the file are time points, say so: --set data.axes=TYX.",
    )


def chosen(source: Source, scenes: Sequence[str], count: int) -> str:
    """What is said of the scene and the time point that were asked for, with how many others there are.

    Parameters
    ----------
    source
        The file.
    scenes
        The names of its images.
    count
        How many time points it holds.

    Returns
    -------
    str
        "" where nothing was asked for, or there is nothing to choose from.
    """
    said = []
    if source.scene is not None and len(scenes) > 1:
        number, _ = scene_of(scenes, source)
        said.append(f"{_held(scenes)}; number {number} is read, as data.scene says")
    if source.at is not None and count > 1:
        said.append(f"holds {count} time points (0 to {count - 1}); number {source.at} is read, as data.time says")
    return "; ".join(said)


def _held(names: Sequence[str]) -> str:
    return f"holds {plural(len(names), 'image')} ({listed(names)})"
