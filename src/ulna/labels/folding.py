"""Which mask values are true, and which are strays, noise of JPEG or interpolation between true ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ulna.labels.packed import MAX_COLORS
from ulna.labels.statistics import ValueCounts
from ulna.labels.values import Value, color_parts

NOISE = 24  # how far JPEG moves most values
MIN_GAP = 16  # true values that noise or interpolation were found between are at least so far apart
OWN_SHARE = 0.2  # share of a value's pixels that are supported from which it is true, though near another
INTERPOLATED_SHARE = 0.35  # the same for a value between two others that both are near in space
SHIFTED_SHARE = 0.05  # share of a true value's pixels that blocks off by one have at most
MAX_TRUE = 16
VALLEY = 4  # so many times more frequent is a peak of noisy values than those halfway to the next true one
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
        None where every value may be a class.
    """
    true = _true(values)
    others = [code for code in sorted(values) if code not in true]
    if len(true) < 2 or not others:
        return None
    foreground = _foreground(values, true)
    if _smooth(values, true, others):
        certain = len(others) > 1 and sum(values[code].pixels for code in others) < 0.5 * foreground
        return _folded(values, true, others, _ranges(true, min(values), max(values)), certain=certain)
    strays = [code for code in others if _is_stray(values, code, foreground)]
    kept = sorted(set(values) - set(strays))
    return (
        _folded(values, kept, strays, _nearest(kept, strays, lambda one, other: abs(one - other))) if strays else None
    )


def unclear(values: Mapping[int, ValueCounts]) -> list[int]:
    """The values that are neither true nor strays: where they are many, nothing says which values are true."""
    true = _true(values)
    foreground = _foreground(values, true) if true else 0
    return [code for code in values if code not in true and not _is_stray(values, code, foreground)]


def _is_stray(values: Mapping[int, ValueCounts], code: int, foreground: int) -> bool:
    return values[code].pixels <= max(RARE * foreground, 3)


def _folded(
    values: Mapping[int, ValueCounts],
    true: Sequence[int],
    others: Sequence[int],
    groups: tuple[tuple[Value, ...], ...],
    *,
    certain: bool | None = None,
) -> Folded:
    """The record; `certain` is None for strays."""
    share = sum(values[code].pixels for code in others) / sum(seen.pixels for seen in values.values())
    masks = max(values[code].masks for code in others)
    return Folded(tuple(true), groups, tuple(others), share, masks, smooth=certain is not None, certain=bool(certain))


def _nearest(
    true: Sequence[int], others: Sequence[int], distance: Callable[[int, int], int]
) -> tuple[tuple[Value, ...], ...]:
    """For each true value the others that are nearest to it, and it as the last."""
    nearest = {code: min(true, key=lambda one: distance(one, code)) for code in others}
    return tuple((*(code for code in others if nearest[code] == one), one) for one in true)


def fold_colors(values: Mapping[int, ValueCounts]) -> Folded | None:
    """As `fold`, for colors: rare ones, and up to `MAX_COLORS` that fill no areas, go to the nearest true color."""
    true = [code for code, seen in values.items() if not seen.inspected or seen.supported >= OWN_SHARE * seen.inspected]
    others = [code for code in sorted(values) if code not in true]
    if len(true) < 2 or not others or len(others) > MAX_COLORS:
        return None
    foreground = _foreground(values, true)
    if len(others) < MANY and sum(values[code].pixels for code in others) > RARE * foreground:
        return None

    def far(one: int, other: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(color_parts(one), color_parts(other), strict=True))

    return _folded(values, sorted(true), others, _nearest(sorted(true), others, far))


def _true(values: Mapping[int, ValueCounts]) -> list[int]:
    """The values that fill areas, in order.

    The best supported first; a value near one of these only where most of it is supported. Left out again are those
    between two others that both are within two pixels (interpolated); added are the peaks of values that neither
    noise nor interpolation explains (small objects after JPEG, of which no pixel is as it was).
    """
    ranked = sorted(values, key=lambda code: (values[code].supported or _clean(values[code]), values[code].pixels))
    true: list[int] = []
    for code in reversed(ranked):
        seen = values[code]
        near = any(abs(code - other) <= NOISE for other in true)
        own = _clean(seen) or seen.supported >= OWN_SHARE * seen.inspected
        if (seen.supported or _clean(seen)) and (own or not near):
            true.append(code)
    for code in sorted(true, key=lambda code: values[code].supported):
        rest = [other for other in true if other != code]
        if values[code].supported < INTERPOLATED_SHARE * values[code].inspected and _between_both(values, rest, code):
            true.remove(code)
    while len(true) < MAX_TRUE and (peak := _peak(values, sorted(true))) is not None:
        true.append(peak)
    apart = _apart(values, true)
    others = [code for code in sorted(values) if code not in apart]
    noisy = len(values) - len(true) >= MANY and len(apart) > 1
    return apart if noisy and _smooth(values, apart, others) else sorted(true)


def _apart(values: Mapping[int, ValueCounts], true: Sequence[int]) -> list[int]:
    """The true values without those near a better supported one: blocks of a JPEG may be off by one as a whole."""
    kept: list[int] = []
    for code in sorted(true, key=lambda code: -values[code].supported):
        near = [other for other in kept if abs(code - other) < MIN_GAP]
        if not any(values[code].supported < SHIFTED_SHARE * values[other].supported for other in near):
            kept.append(code)
    return sorted(kept)


def _peak(values: Mapping[int, ValueCounts], true: list[int]) -> int | None:
    """The most frequent value that neither noise nor interpolation explains, if values around it are rarer."""
    strange = [code for code in values if code not in true and not _explained(values, true, code)]
    if len(true) < 2 or sum(values[code].inspected for code in strange) <= RARE * _foreground(values, true):
        return None
    peak = max(strange, key=lambda code: _weight(values, code, 2))
    neighbors = [*[one for one in true if one < peak][-1:], *[one for one in true if one > peak][:1]]
    if any(abs(peak - one) < 2 * MIN_GAP for one in neighbors):
        return None
    valleys = [_weight(values, (peak + one) // 2, 4) / 9 for one in neighbors]
    return peak if _weight(values, peak, 8) / 17 >= VALLEY * max(valleys) else None


def _weight(values: Mapping[int, ValueCounts], center: int, reach: int) -> int:
    around = range(center - reach, center + reach + 1)
    return sum(values[code].inspected for code in around if code in values)


def _foreground(values: Mapping[int, ValueCounts], true: list[int]) -> int:
    return sum(seen.pixels for seen in values.values()) - max(values[code].pixels for code in true)


def _clean(seen: ValueCounts) -> int:
    """The pixels of a value that occurs in masks of two values only: nothing is between or near it."""
    return 0 if seen.inspected else seen.pixels


def _smooth(values: Mapping[int, ValueCounts], true: list[int], others: list[int]) -> bool:
    """Whether nearly all other pixels are near a true value, or between two true ones within two pixels."""
    if any(high - low < MIN_GAP for low, high in pairwise(true)):
        return False
    everything = sum(values[code].inspected for code in others)
    strange = sum(values[code].inspected for code in others if not _explained(values, true, code))
    return everything > 0 and strange <= UNEXPLAINED * everything and not _rare(values, others)


def _explained(values: Mapping[int, ValueCounts], true: list[int], code: int) -> bool:
    """Whether noise or interpolation makes such a value of the true ones."""
    return min((abs(code - one) for one in true), default=NOISE + 1) <= NOISE or _between_both(values, true, code)


def _between_both(values: Mapping[int, ValueCounts], true: list[int], code: int) -> bool:
    """Whether a value lies between two true ones, and pixels of both are within two pixels of most of its own."""
    below = max((one for one in true if one < code), default=None)
    above = min((one for one in true if one > code), default=None)
    seen = values[code]
    if below is None or above is None or not seen.inspected:
        return False
    reach = 0.25 * (above - below)
    return seen.low <= (below + reach) * seen.inspected and seen.high >= (above - reach) * seen.inspected


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
