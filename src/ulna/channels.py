"""Which channels of an image are learned, by number or by name, and which of an image to be predicted are these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ulna.data_section import DataConfig
from ulna.errors import UlnaError
from ulna.image import Channel, Image
from ulna.text import listed, plural

BETWEEN = "|"
"""Stands between other names of a channel: the first that an image has is taken."""

SEQUENCES = {
    "T1": ("t1n", "t1", "t1w"),
    "T1 contrast": ("t1c", "t1ce", "t1gd", "t1post"),
    "T2": ("t2w", "t2"),
    "FLAIR": ("t2f", "flair"),
}
"""Sequences of brain MR, in the order in which files named after them are channels, and how else they are called."""

_PLAIN = {word: name.casefold() for name, words in SEQUENCES.items() for word in (*words, name.casefold())}
_NUMBERED = re.compile(r"(channel|ch|c)?[\s_:-]*\d*", re.IGNORECASE)
_COLORS = ("red", "green", "blue")


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
    return _with_channels(image, places)


def _with_channels(image: Image, places: tuple[int, ...]) -> Image:
    if places == tuple(range(len(image.channels))):
        return image
    return replace(image, array=image.array[list(places)], channels=tuple(image.channels[k] for k in places))


def are_names(names: Sequence[str]) -> bool:
    """Whether channels are told apart by what they are called: several, and neither numbered nor red, green and blue.

    Examples
    --------
    >>> are_names(["DAPI", "GFP"]), are_names(["channel 0", "channel 1"]), are_names(["red", "green", "blue"])
    (True, False, False)
    """
    plain = [name.casefold().strip() for name in names]
    told = len(plain) > 1 and len(set(plain)) == len(plain) and not any(_NUMBERED.fullmatch(name) for name in plain)
    return told and not set(_COLORS) <= set(plain)


def used(channels: Sequence[Channel], data: DataConfig) -> tuple[tuple[int, ...], str]:
    """Where the channels that a network has learned lie among those of an image, and what is to be said of that.

    They are chosen by `data.use_channels`, or else put into the order of `data.channel_names`.

    Parameters
    ----------
    channels
        Of the image.
    data
        Of the model.

    Returns
    -------
    tuple of int, str
        Their places, in the order in which the network takes them; and a sentence without a full stop, "" where there
        is nothing to say.

    Raises
    ------
    UlnaError
        As by `positions`; and where the image's channels are others than those that were learned, by their names.

    Examples
    --------
    >>> learned = DataConfig(channel_names=("FLAIR", "T1w"))
    >>> used([Channel("T1"), Channel("FLAIR")], learned)
    ((1, 0), 'its channels lie in another order than those learned: they are taken by their names')
    """
    if data.use_channels:
        return positions(channels, data.use_channels), taken_by_number(channels, data.use_channels)
    in_order, learned, own = tuple(range(len(channels))), data.channel_names, [one.name for one in channels]
    if len(own) != len(learned) or not are_names(own):
        return in_order, ""
    plain = [_plain(names) for names in (own, learned)]
    if sorted(plain[0]) == sorted(plain[1]):
        order = tuple(plain[0].index(name) for name in plain[1])
        moved = "its channels lie in another order than those learned: they are taken by their names"
        return order, moved if order != in_order else ""
    called = f"its channels are called {listed(own, 8)}, those learned {listed(learned, 8)}"
    known = set(_PLAIN.values())
    for name, other in zip(*plain, strict=True):
        if name != other and (name in plain[1] or other in plain[0] or {name, other} <= known):
            hint = "If they are the same under other names: --set data.channel_names=[] takes them as they lie."
            raise UlnaError(called, where="data.channel_names", hint=hint)
    return in_order, f"{called}: they are taken in this order"


def _plain(names: Sequence[str]) -> list[str]:
    """Names without regard to case, sequences of MR by one name each where that leaves them distinct."""
    bare = [name.casefold().strip() for name in names]
    known = [_PLAIN.get(name, name) for name in bare]
    return known if len(set(known)) == len(known) else bare


def pick(image: Image, data: DataConfig) -> tuple[Image, str]:
    """An image with the channels that a network has learned, and what is to be said of them.

    Parameters
    ----------
    image
        With all its channels.
    data
        Of the model.

    Returns
    -------
    Image, str
        As of `used`.

    Raises
    ------
    UlnaError
        As by `used`; it names the file of the image.
    """
    try:
        places, note = used(image.channels, data)
    except UlnaError as error:
        raise UlnaError(error.what, where=image.source or error.where, hint=error.hint) from None
    return _with_channels(image, places), note


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
