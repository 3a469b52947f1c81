"""Which mask value means "not annotated": found where that is usual, asked for where a value looks like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ulna.labels.folding import OWN_SHARE
from ulna.labels.statistics import MaskStatistics, ValueCounts

LARGEST = (255, 65_535, 4_294_967_295)  # of unsigned types: -1 where it was cast to one
NEGATIVE = (-1, -100, -32_768, -2_147_483_648)
VOC_OUTLINE = 0xE0E0C0  # 224,224,192
MIN_OUTLINE = 50  # pixels of a value from which its shape says something
OUTLINE_SHARE = 0.9
MIN_DISTANCE = 32  # of 255 from the largest number of a class, where these have gaps
MAX_STEP = 4  # between two of these numbers at least: gray values chosen to be looked at are further apart


@dataclass(frozen=True)
class Ignored:
    """A value that means "not annotated", how sure that is, and why."""

    code: int
    certainty: float
    reason: str


def find_ignored(seen: MaskStatistics) -> Ignored | None:
    """The value that means "not annotated", as far as masks usually have one.

    255 (or the largest of a wider type) beside small numbers of classes, a negative number beside 0 and others, the
    pale outline of PASCAL VOC among its colors.
    """
    if seen.channels:
        return None
    if seen.colored:
        others = set(seen.values) - {VOC_OUTLINE}
        voc = VOC_OUTLINE in seen.values and len(others) > 1 and others <= set(voc_colors())
        return Ignored(VOC_OUTLINE, 0.99, "it is the outline of PASCAL VOC") if voc else None
    return _negative(seen.values) or _largest(seen)


def outlines(seen: MaskStatistics) -> list[int]:
    """The values that form nothing but thin bands between two others: maybe outlines that nobody annotated."""
    return [
        code
        for code, counts in seen.values.items()
        if counts.inspected >= MIN_OUTLINE
        and counts.supported >= OWN_SHARE * counts.inspected
        and counts.bands >= OUTLINE_SHARE * counts.inspected
    ]


def voc_colors() -> list[int]:
    """The 21 colors of PASCAL VOC, packed: the bits of the class's number, dealt out to red, green and blue."""
    colors = []
    for index in range(21):
        parts = [0, 0, 0]
        for bit in range(3):
            for part in range(3):
                parts[part] |= (index >> 3 * bit + part & 1) << 7 - bit
        colors.append(parts[0] << 16 | parts[1] << 8 | parts[2])
    return colors


def _negative(values: Mapping[int, ValueCounts]) -> Ignored | None:
    below = [code for code in values if code < 0]
    if len(below) != 1 or 0 not in values or len(values) < 3:
        return None
    certainty = 0.97 if below[0] in NEGATIVE else 0.8
    return Ignored(below[0], certainty, "it is negative, and 0 is there")


def _largest(seen: MaskStatistics) -> Ignored | None:
    top = max(seen.values)
    rest = sorted(code for code in seen.values if code != top)
    if top not in LARGEST or len(rest) < 2 or rest[0] < 0:
        return None
    sparse = rest[-1] > 3 * len(rest) + 3
    if sparse and (len(rest) < 4 or top - rest[-1] < MIN_DISTANCE or min(np.diff(rest)) > MAX_STEP):
        return None
    if 0 not in seen.values and 2 * seen.values[top].pixels > seen.pixels:
        return None  # then it is the background
    small = [seen.values[code] for code in rest if code]
    # noise of JPEG beside 0 is small too, but fills no areas
    if not all(not counts.inspected or counts.supported >= OWN_SHARE * counts.inspected for counts in small):
        return None
    together = any(top in found and found - {0, top} for found in seen.sets)
    if not together and len(rest) == 2:
        return None  # masks of 0 and 1 among masks of 0 and 255
    if sparse:
        return Ignored(top, 0.8, "the other values are numbers of classes")
    if not all(code in range(len(rest)) for code in rest):
        return Ignored(top, 0.9, "the other values are small numbers")
    return Ignored(top, 0.97 if together else 0.85, f"the other values are 0 to {rest[-1]}")
