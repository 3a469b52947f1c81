"""The values of masks as whole numbers, one for each value or color, in little more memory than the mask takes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.image import Array

Codes = npt.NDArray[np.int64]

MAX_COLORS = 64
LOSSY_RANGE = 40  # how far JPEG or interpolation moves a value off 0 and 255
STRIP = 1 << 20  # pixels that are counted or replaced at a time


def distinct(mask: Array) -> tuple[Array, Codes]:
    """The different values of a mask (C, *spatial) as a mask of their own, and how many pixels have each, (n,).

    The values are (1, 1, n), or (3, 1, n) uint8 for colors. Raises UlnaError for what cannot be a mask:
    numbers that are not whole, more channels than colors have, colors of more than 8 bits.
    """
    codes, colored = codes_of(mask)
    found, counts = counted(codes)
    values = np.stack([found >> bits & 255 for bits in (16, 8, 0)]).astype(np.uint8) if colored else found[None]
    return values[:, None], counts


def codes_of(mask: Array) -> tuple[Array, bool]:
    """Whole numbers, (*spatial), one for each value or color, and whether they stand for colors.

    Alpha is ignored, equal channels are gray, colors are r·65536 + g·256 + b. Numbers keep their type where
    it has 32 bits or less. Raises UlnaError for numbers that are not whole and for more channels than colors
    have.
    """
    if len(mask) > 4:
        raise UlnaError(f"the mask has {len(mask)} channels", hint="A mask has one, or three for colors.")
    if mask.dtype.kind == "f":
        whole = np.rint(mask)
        if not np.array_equal(whole, mask):
            strange = mask[whole != mask]
            raise UlnaError(
                f"the mask holds numbers that are not whole, like {float(strange.flat[0]):.6g}",
                hint="Save the mask with one whole number a class.",
            )
        mask = whole.astype(np.int64)
    if mask.dtype == bool or mask.itemsize > 4:
        mask = mask.astype(np.int64)
    colors = mask[:3] if len(mask) in (3, 4) else mask[:1]
    if len(colors) == 1 or all(np.array_equal(colors[0], other) for other in colors[1:]):
        return colors[0], False
    most, least = colors.max(axis=0), colors.min(axis=0)
    packed = colors[0].astype(np.int32 if mask.itemsize == 1 else np.int64)
    spread = int(np.subtract(most, least, dtype=packed.dtype).max())
    for channel in colors[1:]:
        packed <<= 8
        packed += channel
    if spread <= LOSSY_RANGE and len(counted(packed)[0]) > MAX_COLORS:
        return as_gray(mask), False  # a gray mask that JPEG has tinted
    if int(most.max()) > 255:
        raise UlnaError("the mask has colors of more than 8 bits", hint="Save it with 8 bits a color.")
    return packed, True


def counted(codes: Array) -> tuple[Codes, Codes]:
    """The distinct codes in order, and how often each occurs."""
    least, most = (int(codes.min()), int(codes.max())) if codes.size else (0, 0)
    if least >= 0 and most < min(codes.size, STRIP):
        counts = np.zeros(most + 1, np.int64)
        for strip in _strips(codes):
            counts += np.bincount(strip, minlength=most + 1)
        found = np.flatnonzero(counts)
        return found, counts[found]
    parts = [np.unique(strip, return_counts=True) for strip in _strips(codes)]
    found, places = np.unique(np.concatenate([part for part, _ in parts]), return_inverse=True)
    counts = np.zeros(len(found), np.int64)
    np.add.at(counts, places, np.concatenate([part for _, part in parts]))
    return found.astype(np.int64), counts


def replaced(codes: Array, found: Codes, table: Array) -> Array:
    """Codes with each of the distinct ones, `found`, replaced by what stands for it in `table`."""
    if len(found) and found[0] >= 0 and found[-1] < 1 << 16:
        every = np.zeros(found[-1] + 1, table.dtype)
        every[found] = table
        parts = [every[strip] for strip in _strips(codes)]
    else:
        parts = [table[np.searchsorted(found, strip)] for strip in _strips(codes)]
    return np.concatenate(parts).reshape(codes.shape)


def _strips(codes: Array) -> Iterator[Array]:
    """A large mask part by part: numpy counts and looks up with 8 bytes a value, whatever the mask's type."""
    flat = codes.reshape(-1)
    for start in range(0, max(flat.size, 1), STRIP):
        yield flat[start : start + STRIP]


def as_gray(mask: Array) -> Codes:
    """The mean of the three colors of a mask (C, *spatial), (*spatial)."""
    gray: Array = np.rint(mask[:3].mean(axis=0, dtype=np.float64))
    return gray.astype(np.int64)


def gray_colors(codes: Array) -> Codes:
    """Codes of gray values as those of the colors that look the same."""
    return codes.astype(np.int64) * 0x010101


def gray_color(value: int) -> int:
    """As `gray_colors`, of one value."""
    return value * 0x010101
