"""Which mask value is the background, and what is doubtful of it where that is not 0 or not the most of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ulna.labels import readings
from ulna.labels.classes import Classes
from ulna.labels.doubt import Doubt
from ulna.labels.ignored import LARGEST, NEGATIVE
from ulna.labels.statistics import MaskStatistics
from ulna.labels.values import OTHER, Kind, Value, shown, span

MIN_WHITE = 0.8  # share of the pixels from which a value other than 0 may be the background
FAR_AHEAD = 3  # so many times more frequent than any other is a background that covers less than half
MIN_HOLES = 0.5  # share of the masks with two values in which 0 lies in pieces within the other value


def find_background(seen: MaskStatistics) -> int:
    """The code of the background: 0 (black, no channel) where it occurs.

    Else the value that covers more than half of the pixels; else the most frequent color or the smallest number.
    """
    if 0 in seen.values or seen.channels or not seen.values:
        return 0
    top = most_frequent(seen)
    return top if seen.colored or 2 * seen.values[top].pixels > seen.pixels else min(seen.values)


def surrounds(seen: MaskStatistics, background: int) -> bool:
    """Whether a value other than 0 is so frequent that the others are drawn on it, as objects on a background are."""
    first, *others = sorted((counts.pixels for counts in seen.values.values()), reverse=True)
    everywhere = seen.values[background].masks > 0.9 * len(seen.sets)
    much = 2 * first > seen.pixels or (everywhere and first >= FAR_AHEAD * max(others, default=0))
    return background == most_frequent(seen) and much


def most_frequent(seen: MaskStatistics) -> int:
    """The code of the value with the most pixels."""
    return max(sorted(seen.values), key=lambda code: seen.values[code].pixels)


def doubts(seen: MaskStatistics, classes: Classes, kind: Kind) -> list[Doubt]:
    """What is to be said where the background is not 0, or another value covers most of the image."""
    if seen.channels or not seen.values:
        return []
    low, high = span(classes.values[0][-1])
    background = next((code for code in sorted(seen.values) if low <= code <= high), None)
    if background is None:  # objects that leave no background
        return []
    if 0 not in seen.values:
        return [_not_zero(seen, classes, background, kind)]
    top = most_frequent(seen)
    share = seen.values[top].pixels / seen.pixels
    if top == background or classes.numbers_objects:
        return []
    if share >= MIN_WHITE:
        return [_covers(classes, top, f"covers {share:.0%} of the pixels and", kind)]
    if (
        len(classes.names) == 2
        and 2 * share > 1
        and sum(pair.holes for pair in seen.pairs) > MIN_HOLES * len(seen.pairs)
    ):
        return [_covers(classes, top, f"surrounds pieces of {shown(background, kind)} in most of the masks and", kind)]
    return []


def _not_zero(seen: MaskStatistics, classes: Classes, background: int, kind: Kind) -> Doubt:
    value, share = shown(background, kind), seen.values[background].pixels / seen.pixels
    start = f"{'0,0,0 (black)' if kind == 'colors' else '0'} is in no mask: {value}, which covers {share:.0%} of the "
    start += f"pixels, is taken for '{classes.names[0]}', which is in no score. "
    sure = 0.9 if surrounds(seen, background) else 0.6
    if background in (*LARGEST, *NEGATIVE):
        return Doubt(f"{start}If it means 'not annotated', set:", f"data:\n  ignore: [{background}]", sure)
    if len(classes.names) == 2 and not classes.numbers_objects:
        return Doubt(f"{start}If it is the other way round, set:", turned(classes, classes.values[1][-1]).yaml(), sure)
    zero = "0,0,0" if kind == "colors" else 0
    if classes.numbers_objects:
        return Doubt(f"{start}If it is an object too, set:", _swapped(classes, zero).yaml(), sure)
    codes = [background, *(code for code in sorted(seen.values) if code != background)]
    return Doubt(f"{start}If it is a class like the others, set:", readings.several((0, *codes), kind).yaml(), sure)


def _covers(classes: Classes, top: int, why: str, kind: Kind) -> Doubt:
    name = next(
        (name for name, group in zip(classes.names, classes.values, strict=True) if _holds(group, top)), "foreground"
    )
    what = f"{shown(top, kind)} {why} is taken for {name if name == 'foreground' else repr(name)}. "
    value = shown(top, kind) if kind == "colors" else top
    what += "If it is the background, and the objects are drawn on it, set:"
    return Doubt(what, turned(classes, value).yaml(), 0.8)


def turned(classes: Classes, value: Value) -> Classes:
    """The same with the class of a value as background, and the background as a class in its place."""
    at = next(index for index, group in enumerate(classes.values) if _holds(group, value))
    values, names = list(classes.values), list(classes.names)
    values[0], values[at] = values[at], values[0]
    if len(names) > 2:
        names[at] = f"class {at} ({values[at][-1]})"
    return replace(classes, names=tuple(names), values=tuple(values))


def _swapped(classes: Classes, value: Value) -> Classes:
    return replace(classes, values=((value,), *classes.values[1:]))


def _holds(group: Sequence[Value], value: Value) -> bool:
    code = span(value)[0]
    return any(low <= code <= high for low, high in (span(one) for one in group if one != OTHER))
