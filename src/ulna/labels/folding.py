"""Which mask values are true, and which are strays, noise of JPEG or interpolation between true ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from ulna.labels.packed import MAX_COLORS
from ulna.labels.statistics import ValueCounts
from ulna.labels.values import Value, color_parts

NOISE = 24  # how far JPEG moves most values
MIN_GAP = 16  # true values that noise or interpolation were found between are at least so far apart
OWN_SHARE = 0.2  # share of a value's pixels that are supported from which it is true, though near another
RARE = 2e-3  # share of the foreground under which values that are not supported are strays
MANY = 6  # so many values that are not true are noise, not classes of thin lines
UNEXPLAINED = 0.1  # share of the pixels of other values that may lie neither near nor between true ones


@dataclass(frozen=True)
class Folded:
    """The true values, and to which of them the others belong.

    `share` is the share of all pixels that is folded, `masks` the largest number of masks that hold a folded value;
    `smooth` says whether they look like JPEG or interpolation (their values then are ranges) or single strays;
    `certain` whether another reading is implausible.
    """

    true: tuple[int, ...]
    values: tuple[tuple[Value, ...], ...]
    others: tuple[int, ...]
    share: float
    masks: int
    smooth: bool
    certain: bool


def fold(values: Mapping[int, ValueCounts]) -> Folded | None:
    """Find values that are no classes of their own among gray mask values.

    True values fill areas: most of their pixels have neighbors of the same value. Values of lossy compression lie
    near a true one, those of a smooth resize between two that both are within two pixels; strays are rare. Only
    inspected masks count, those with more than two values.

    Returns
    -------
    Folded or None
        None where every value may be a class, or where values follow none of these patterns.
    """
    true = _true(values)
    others = [code for code in sorted(values) if code not in true]
    if len(true) < 2 or not others:
        return None
    total = sum(seen.pixels for seen in values.values())
    background = max(seen.pixels for code, seen in values.items() if code in true)
    pixels = sum(values[code].pixels for code in others)
    masks = max(values[code].masks for code in others)
    if _smooth(values, true, others):
        certain = len(others) >= MANY or (len(others) > 1 and pixels < 0.5 * (total - background))
        return Folded(
            tuple(true),
            _ranges(true, min(values), max(values)),
            tuple(others),
            pixels / total,
            masks,
            smooth=True,
            certain=certain,
        )
    strays = [code for code in others if values[code].pixels <= max(RARE * (total - background), 3)]
    if not strays:
        return None
    kept = sorted(set(values) - set(strays))
    nearest = {code: min(kept, key=lambda one: abs(one - code)) for code in strays}
    groups = tuple((*(code for code in strays if nearest[code] == one), one) for one in kept)
    share, masks = sum(values[code].pixels for code in strays) / total, max(values[code].masks for code in strays)
    return Folded(tuple(kept), groups, tuple(strays), share, masks, smooth=False, certain=False)


def fold_colors(values: Mapping[int, ValueCounts]) -> Folded | None:
    """As `fold`, for colors: rare ones, and up to `MAX_COLORS` that fill no areas, go to the nearest true color."""
    true = [code for code, seen in values.items() if not seen.inspected or seen.supported >= OWN_SHARE * seen.inspected]
    others = [code for code in sorted(values) if code not in true]
    if len(true) < 2 or not others or len(others) > MAX_COLORS:
        return None
    total = sum(seen.pixels for seen in values.values())
    foreground = total - max(values[code].pixels for code in true)
    pixels = sum(values[code].pixels for code in others)
    if len(others) < MANY and pixels > RARE * foreground:
        return None

    def far(one: int, other: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(color_parts(one), color_parts(other), strict=True))

    nearest = {code: min(true, key=lambda one: far(one, code)) for code in others}
    groups = tuple((*(code for code in others if nearest[code] == one), one) for one in sorted(true))
    masks = max(values[code].masks for code in others)
    return Folded(tuple(sorted(true)), groups, tuple(others), pixels / total, masks, smooth=False, certain=False)


def _true(values: Mapping[int, ValueCounts]) -> list[int]:
    """The values that fill areas, in order: the best supported first, and no others in their neighborhood but those
    that are well supported themselves."""
    ranked = sorted(values, key=lambda code: (values[code].supported or _clean(values[code]), values[code].pixels))
    true: list[int] = []
    for code in reversed(ranked):
        seen = values[code]
        near = any(abs(code - other) <= NOISE for other in true)
        own = _clean(seen) or seen.supported >= OWN_SHARE * seen.inspected
        if (seen.supported or _clean(seen)) and (own or not near):
            true.append(code)
    return sorted(true)


def _clean(seen: ValueCounts) -> int:
    """The pixels of a value that occurs in masks of two values only: nothing is between or near it."""
    return 0 if seen.inspected else seen.pixels


def _smooth(values: Mapping[int, ValueCounts], true: list[int], others: list[int]) -> bool:
    """Whether nearly all other pixels are near a true value, or between two true ones within two pixels."""
    if any(high - low < MIN_GAP for low, high in pairwise(true)):
        return False
    strange = everything = 0
    for code in others:
        seen = values[code]
        everything += seen.inspected
        below = max((one for one in true if one < code), default=None)
        above = min((one for one in true if one > code), default=None)
        if min(abs(code - one) for one in true) <= NOISE:
            continue
        if below is None or above is None:
            strange += seen.inspected
            continue
        reach = 0.25 * (above - below)
        if seen.low > (below + reach) * seen.inspected or seen.high < (above - reach) * seen.inspected:
            strange += seen.inspected
    return everything > 0 and strange <= UNEXPLAINED * everything and not _rare(values, others)


def _rare(values: Mapping[int, ValueCounts], others: list[int]) -> bool:
    """Whether the others are so few that they may be strays as well."""
    return len(others) < 3 and sum(values[code].pixels for code in others) <= 30


def _ranges(true: list[int], low: int, high: int) -> tuple[tuple[Value, ...], ...]:
    """Ranges that meet halfway between the true values; the last value of each group is the one that is written."""
    middles = [(one + other + 1) // 2 for one, other in pairwise(true)]
    starts = [min(low, 0), *middles]
    ends = [*(middle - 1 for middle in middles), max(high, 255)]
    groups: list[tuple[Value, ...]] = []
    for one, start, end in zip(true, starts, ends, strict=True):
        parts = [f"{first}..{last}" for first, last in ((start, one - 1), (one + 1, end)) if first <= last]
        plain = one == (start if one == true[0] else end)
        groups.append((f"{start}..{end}",) if plain else (*parts, one))
    return tuple(groups)
