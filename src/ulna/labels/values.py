"""Mask values as the configuration writes them: numbers, ranges, colors, channels and "other"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from ulna.errors import UlnaError

Value = int | str
Kind = Literal["binary", "classes", "colors", "channels", "instances"]

OTHER = "other"  # as a class's value: every value that no other class has
NO_CHANNEL = "no channel"
WHITE = 0xFFFFFF
MAX_CLASSES = 255  # class indices are uint8, and 255 is IGNORE
SHOWN = 8

_RANGE = re.compile(r"\s*(-?\d+)\s*\.\.\s*(-?\d+)\s*")
_COLOR = re.compile(r"\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*")
_CHANNELS = re.compile(r"\s*channels?\s+(\d(?:\s*\+\s*\d)*)\s*")


def span(value: Value) -> tuple[int, int]:
    """The first and last code that a value means.

    Parameters
    ----------
    value
        A number, "128..255", "r,g,b", "channel 2", "channels 1+2" (both are set) or "no channel".

    Raises
    ------
    UlnaError
        For any other text, a range that runs backwards, and a color part above 255.

    Examples
    --------
    >>> span("128..255"), span("0,0,255"), span("channels 1+3")
    ((128, 255), (255, 255), (5, 5))
    """
    if isinstance(value, int):
        return value, value
    if color := _COLOR.fullmatch(value):
        parts = [int(part) for part in color.groups()]
        if max(parts) > 255:
            raise UlnaError(
                f"the color '{value}' has a part above 255", where="data.values", hint="Colors have 8 bits a part."
            )
        code = (parts[0] << 16) + (parts[1] << 8) + parts[2]
        return code, code
    if ends := _RANGE.fullmatch(value):
        low, high = int(ends.group(1)), int(ends.group(2))
        if low > high:
            raise UlnaError(f"the range '{value}' runs backwards", where="data.values", hint=f"Write '{high}..{low}'.")
        return low, high
    if channels := _CHANNELS.fullmatch(value):
        code = sum({1 << int(number) - 1 for number in channels.group(1).split("+") if int(number)})
        return code, code
    if value.strip() == NO_CHANNEL:
        return 0, 0
    if re.fullmatch(r"\s*-?\d+\s*", value):
        return int(value), int(value)
    raise UlnaError(
        f"'{value}' is no mask value",
        where="data.values",
        hint="Write a number, a range '128..255', a color 'r,g,b', 'channel 1' or 'other'.",
    )


def kind_of(values: Sequence[Sequence[Value]]) -> Kind:
    """How masks with these values are written, as far as the values tell."""
    every = [value for group in values for value in group if isinstance(value, str)]
    if any(_COLOR.fullmatch(value) for value in every):
        return "colors"
    if any(_CHANNELS.fullmatch(value) or value.strip() == NO_CHANNEL for value in every):
        return "channels"
    if len(values) == 2 and OTHER in values[1]:
        return "instances"
    return "classes" if len(values) > 2 else "binary"


def check(values: Sequence[Sequence[Value]], ignore: Sequence[Value]) -> None:
    """Raise UlnaError for values that contradict each other: overlaps, repetitions, two kinds of notation.

    The message names the two values and where each is.
    """
    groups = [*((f"class {index}", group) for index, group in enumerate(values)), ("data.ignore", ignore)]
    every = [(value, place) for place, group in groups for value in group]
    others = [place for value, place in every if value == OTHER]
    if len(set(others)) > 1:
        raise UlnaError(f"'other' is a value of {others[0]} and of {others[1]}", where="data.values")
    written = [(value, place) for value, place in every if value != OTHER]
    colored = {isinstance(value, str) and bool(_COLOR.fullmatch(value)) for value, _ in written}
    channels = {value for value, _ in written if isinstance(value, str) and kind_of([[value]]) == "channels"}
    if len(colored) > 1 or (channels and len(channels) < len({value for value, _ in written})):
        shown = ", ".join(repr(value) for value, _ in written[:SHOWN])
        raise UlnaError(
            f"colors, channels and numbers are mixed: {shown}",
            where="data.values",
            hint="Write every value as a number, every one as a color 'r,g,b', or every one as 'channel 1'.",
        )
    ends = sorted((*span(value), str(value), place) for value, place in written)
    for (_, high, first, one), (low, _, second, two) in pairwise(ends):
        if low <= high:
            both = f"'{first}' of {one} and '{second}' of {two}"
            raise UlnaError(
                f"{both} overlap" if first != second else f"'{first}' is given twice, to {one} and to {two}",
                where="data.values",
                hint="Each mask value can mean one class only.",
            )


def written(values: Sequence[Sequence[Value]], index: int, ignore: Sequence[Value], *, colored: bool) -> int:
    """The code that stands for the class `index` in a mask that is written.

    No two classes have the same, and none has an ignored one: the last of the class's values; of "other" alone 0
    (black) as background, else 255 (white), or the smallest that is free.
    """
    spans = [span(value) for value in values[index] if value != OTHER]
    if not spans:
        taken = [span(value) for group in (*values, ignore) for value in group if value != OTHER]
        usual = 0 if not index else WHITE if colored else 255
        following = sorted({1, *(high + 1 for _, high in taken if high > 0)})
        return next(code for code in (usual, *following) if not any(low <= code <= high for low, high in taken))
    low, high = spans[-1]
    return high if index else low


def color_parts(code: int) -> tuple[int, int, int]:
    """Red, green and blue of a color's code."""
    return code >> 16 & 255, code >> 8 & 255, code & 255


def shown(code: int, kind: Kind) -> str:
    """A code as the configuration writes it.

    Examples
    --------
    >>> shown(5, "channels"), shown(255, "colors"), shown(7, "classes")
    ('channels 1+3', '0,0,255', '7')
    """
    if kind == "colors":
        return ",".join(str(part) for part in color_parts(code))
    if kind == "channels":
        numbers = [str(bit + 1) for bit in range(code.bit_length()) if code >> bit & 1]
        return f"channel{'s' if len(numbers) > 1 else ''} {'+'.join(numbers)}" if numbers else NO_CHANNEL
    return str(code)


def listed(words: Sequence[str]) -> str:
    """The first few words, and how many more there are."""
    more = f" and {len(words) - SHOWN:,} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more
