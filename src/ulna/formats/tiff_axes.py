"""What the axes of a TIFF mean: as the file says, as the user says, or an assumption that is named."""

from __future__ import annotations

from collections.abc import Sequence

from ulna.errors import ReadError
from ulna.image import Source
from ulna.text import plural, size

STATED = "TZCYXS"
CHANNELS = "CS"
MAX_ASSUMED_CHANNELS = 16  # an axis of unknown meaning that is longer is none of channels


def axes_of(axes: str, shape: Sequence[int], source: Source) -> tuple[str, str]:
    """A letter per axis, and what was assumed for it with the other reading (empty where nothing was).

    Parameters
    ----------
    axes
        The letters that tifffile found: those in "TZCYXS" were stated by the file, others are unknown.
    shape
        The lengths of these axes.
    source
        Its `axes` are what the user said (`data.axes`); they apply where as many axes are there. Samples of colors that
        lie side by side and files of one gray plane need no saying.

    Raises
    ------
    ReadError
        For letters that make no sense, or do not suit the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> axes_of("QYX", (64, 64, 2), Source(Path("a.tif")))[0]
    'YXC'
    >>> axes_of("QYX", (5, 64, 64), Source(Path("a.tif"), axes="CYX"))
    ('CYX', '')
    """
    if source.axes and not axes.endswith("S") and len(axes) > 2:
        return _said(axes, shape, source), ""
    unknown = [letter for letter in axes if letter not in STATED]
    if not unknown:
        return axes, ""
    what = f"the axes ({size(shape)}) are not stated: read as"
    planes, channels = _spelled(axes), _spelled(axes[:-3] + "CYX")
    if axes.endswith("YX") and _looks_like_channels_last(shape):
        last = _spelled(axes[:-3] + "YXC")
        pixels = f"{size(shape[-3:-1])} pixels of {plural(shape[-1], 'channel')}"
        return last, f"{what} {pixels} (data.axes: {last}); if they are planes, set data.axes: {planes}"
    if axes.endswith("YX") and shape[-3] <= MAX_ASSUMED_CHANNELS:
        stack = f"a stack of {plural(shape[-3], 'plane')}"
        return planes, f"{what} {stack} (data.axes: {planes}); if they are channels, set data.axes: {channels}"
    return axes, ""


def _said(axes: str, shape: Sequence[int], source: Source) -> str:
    said = source.axes.upper().replace("S", "C")
    if set(said) - set(STATED) or len(set(said)) < len(said) or not {"Y", "X"} <= set(said):
        raise ReadError(
            f"data.axes is '{source.axes}'",
            where=source,
            hint='Write one letter per axis, as in "CYX", "YXC", "ZYX" or "TZCYX"; rows Y and columns X must be there.',
        )
    if len(said) != len(axes):
        raise ReadError(
            f"has {len(axes)} axes of more than one pixel ({size(shape)}), data.axes '{source.axes}' names {len(said)}",
            where=source,
        )
    return said


def _looks_like_channels_last(shape: Sequence[int]) -> bool:
    """Whether the last axis is far too short for columns: as numpy users save (Y, X, channels)."""
    return shape[-1] <= MAX_ASSUMED_CHANNELS and 4 * shape[-1] <= min(shape[-3:-1])


def _spelled(axes: str) -> str:
    """The axes with z and time, from the inside outwards, for those that are not stated."""
    free = iter([letter for letter in "ZTC" if letter not in axes])
    return "".join(letter if letter in STATED else next(free, letter) for letter in reversed(axes))[::-1]
