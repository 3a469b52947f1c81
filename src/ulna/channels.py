"""Which channels of an image are learned: by number or by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ulna.errors import UlnaError
from ulna.image import Channel, Image
from ulna.text import listed, plural

BETWEEN = "|"
"""Stands between other names of a channel: the first that an image has is taken."""


def positions(channels: Sequence[Channel], wanted: Sequence[str | int]) -> tuple[int, ...]:
    """Where the channels that are wanted lie among those of an image.

    Parameters
    ----------
    channels
        Of the image.
    wanted
        Their numbers, from 0, or names in small or capital letters; "flair|t2f|0" is the first of these that there is.
        Empty: all.

    Returns
    -------
    tuple of int
        In the order in which they are wanted.

    Raises
    ------
    UlnaError
        For a channel that the image does not have, and for one that is wanted twice.

    Examples
    --------
    >>> brain = [Channel(name) for name in ("T1", "T2", "FLAIR")]
    >>> positions(brain, ["flair|0", 1])
    (2, 1)
    """
    if not wanted:
        return tuple(range(len(channels)))
    found = tuple(_position(channels, one) for one in wanted)
    if len(set(found)) < len(found):
        twice = next(k for k in found if found.count(k) > 1)
        raise UlnaError(f"channel {twice} of the image is to be used twice", where="data.use_channels")
    return found


def choose(image: Image, wanted: Sequence[str | int], *, where: object = "") -> Image:
    """An image with the channels that are wanted alone.

    Parameters
    ----------
    image
        With all its channels.
    wanted
        As of `positions`.
    where
        What errors name; by default the file of the image.

    Returns
    -------
    Image
        The same where nothing is left out.

    Raises
    ------
    UlnaError
        As by `positions`.
    """
    try:
        places = positions(image.channels, wanted)
    except UlnaError as error:
        raise UlnaError(error.what, where=where or image.source, hint=error.hint) from None
    if places == tuple(range(len(image.channels))):
        return image
    return replace(image, array=image.array[list(places)], channels=tuple(image.channels[k] for k in places))


def taken_by_number(channels: Sequence[Channel], wanted: Sequence[str | int]) -> str:
    """What is to be said where an image has none of the names that are wanted, and a number decides.

    Parameters
    ----------
    channels
        Of the image.
    wanted
        As of `positions`.

    Returns
    -------
    str
        A sentence without a full stop; "" where every channel is found as it is called, or is wanted by number alone.

    Examples
    --------
    >>> taken_by_number([Channel("T1"), Channel("T2")], ["flair|t2f|0"])
    "none of its channels is called 'flair' or 't2f': channel 0 (T1) is used for it"
    """
    found = []
    for one, place in zip(wanted, positions(channels, wanted) if wanted else (), strict=True):
        names = [part.strip() for part in str(one).split(BETWEEN) if not part.strip().isdecimal()]
        name = channels[place].name
        if names and name.casefold() not in [part.casefold() for part in names]:
            called = " or ".join(f"'{part}'" for part in names)
            taken = f"channel {place}" if name == f"channel {place}" else f"channel {place} ({name})"
            found.append(f"none of its channels is called {called}: {taken} is used for it")
    return "; ".join(found)


def _position(channels: Sequence[Channel], wanted: str | int) -> int:
    names = [channel.name.casefold() for channel in channels]
    for one in str(wanted).split(BETWEEN):
        name = one.strip().casefold()
        if names.count(name) == 1:
            return names.index(name)
        if name.isdecimal() and int(name) < len(channels):
            return int(name)
    has = f"{plural(len(channels), 'channel')}, {listed([channel.name for channel in channels], 8)}"
    raise UlnaError(
        f"the image has no channel '{wanted}': it has {has}",
        hint="Name the channels to use, by number from 0 or by name: --set data.use_channels=[0]; [] uses all.",
    )
