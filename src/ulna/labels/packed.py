"""The values of masks as whole numbers, one for each value or color, in little more memory than the mask takes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.image import Array

Codes = npt.NDArray[np.int64]

MAX_COLORS = 64
MAX_CHANNELS = 4
TINT = 6  # up to so far apart, the three channels of a color are gray that was saved as JPEG
LOSSY_RANGE = 40  # how far JPEG or interpolation moves a value off 0 and 255
MAX_CHOSEN = 16  # colors up to which none is noise of JPEG
MIN_CHOSEN = 0.005  # share of the pixels that a color has which somebody chose
STRIP = 1 << 20  # pixels that are counted or replaced at a time


def distinct(mask: Array) -> tuple[Array, Codes, Array]:
    """The different values of a mask as a mask of their own, and how many pixels have each.

    Parameters
    ----------
    mask
        (C, *spatial), as it was read.

    Returns
    -------
    values
        (1, 1, n); (3, 1, n) uint8 for colors; (C, 1, n) where a second or fourth channel says more.
    counts
        (n,) pixels of each.
    codes
        (*spatial), a whole number per pixel; its different ones, in order, stand for the values.

    Raises
    ------
    UlnaError
        For what cannot be a mask (see `codes_of`).
    """
    present = [counted(channel)[0] for channel in mask] if len(mask) in (2, 4) else []
    if present and max(map(len, present)) < 3 and not np.array_equal(mask[0], mask[-1]):
        codes = np.zeros(mask.shape[1:], np.uint8)
        for values, channel in zip(present, mask, strict=True):
            codes *= np.uint8(len(values))
            codes += (channel != values[0]).astype(np.uint8)
        found, counts = counted(codes)
        places = np.unravel_index(found, [len(values) for values in present])
        every = [values[place] for values, place in zip(present, places, strict=True)]
        return np.stack(every).astype(mask.dtype)[:, None], counts, codes
    codes, colored = codes_of(mask, tint=0)
    found, counts = counted(codes)
    values = np.stack([found >> bits & 255 for bits in (16, 8, 0)]).astype(np.uint8) if colored else found[None]
    return values[:, None], counts, codes


def codes_of(mask: Array, *, channels: bool = False, tint: int | None = None) -> tuple[Array, bool]:
    """Whole numbers, one for each value or color of a mask.

    Parameters
    ----------
    mask
        (C, *spatial) as it was read. Equal channels are gray. A last channel beside gray (2) or color (4) is left
        out where nothing is lost by that: where it is the same everywhere, or follows from the others.
    channels
        Each channel shows one class: the code has bit k where channel k is set.
    tint
        Colors whose channels differ by no more than this are gray; None: as JPEG tints gray masks.

    Returns
    -------
    codes
        (*spatial): the value, r·65536 + g·256 + b, or the bits of the channels. Numbers keep their type where it has
        32 bits or less.
    colored
        Whether the codes stand for colors.

    Raises
    ------
    UlnaError
        For numbers that are not whole, more than 4 channels, colors of more than 8 bits, and a second or fourth
        channel that would be lost.
    """
    if len(mask) > MAX_CHANNELS:
        raise UlnaError(
            f"the mask has {len(mask)} channels",
            hint=f"A mask has one channel, three for colors, or up to {MAX_CHANNELS} that show one class each.",
        )
    mask = _whole(mask)
    if channels:
        return _bits(mask), False
    colors = mask[:3] if len(mask) in (3, 4) else mask[:1]
    equal = all(np.array_equal(colors[0], other) for other in colors[1:])
    codes, colored = (colors[0], False) if equal else _colors(colors, tint)
    if len(mask) in (2, 4) and not _follows(mask[-1], codes):
        raise UlnaError(
            f"the mask has {len(mask)} channels, and the last one is neither an alpha channel that is the same "
            "everywhere nor, like the others, one that shows one class",
            hint="Save masks with one channel, or with one channel per class that holds two values.",
        )
    return codes, colored


def shows_classes(mask: Array) -> bool:
    """Whether each channel of a mask (C, *spatial) may show one class, and none can be left out without loss.

    So it is where 2 or 4 channels hold zero and one other value each, and the last one is empty (no alpha channel is),
    does not follow from the others, or exactly one channel is set at every pixel (one-hot).
    """
    if len(mask) not in (2, 4) or np.array_equal(mask[0], mask[-1]):
        return False
    present = [counted(channel)[0].tolist() for channel in mask]
    if any(len(values) > 2 or (len(values) == 2 and values[0] != 0) for values in present):
        return False
    if len(present[-1]) < 2:
        return bool(present[-1] == [0])
    bits = _bits(_whole(mask))
    bit_codes, _ = counted(bits)
    if all(int(code).bit_count() == 1 for code in bit_codes):
        return True
    return not _follows(mask[-1], bits & (1 << len(mask) - 1) - 1)


def _follows(alpha: Array, codes: Array) -> bool:
    """Whether `alpha` is the same everywhere, or has one value for each code: then nothing is lost without it."""
    values, _ = counted(alpha)
    if len(values) < 2 or np.array_equal(alpha, codes):
        return True
    if len(values) > MAX_COLORS:
        return False
    present, _ = counted(codes)
    number = replaced(codes, present, np.arange(len(present), dtype=np.int64))
    return len(counted(number * len(values) + np.searchsorted(values, alpha))[0]) == len(present)


def _whole(mask: Array) -> Array:
    if mask.dtype.kind == "f":
        whole = np.rint(mask)
        if not np.array_equal(whole, mask):
            strange = mask[whole != mask]
            raise UlnaError(
                f"the mask holds numbers that are not whole, like {float(strange.flat[0]):.6g}",
                hint="Save the mask with one whole number per class or object.",
            )
        return whole.astype(np.int64)
    return mask.astype(np.int64) if mask.dtype == bool or mask.itemsize > 4 else mask


def _bits(mask: Array) -> Array:
    bits: Array = np.zeros(mask.shape[1:], np.uint8)
    for number, channel in enumerate(mask):
        bits |= (channel != 0).astype(np.uint8) << np.uint8(number)
    return bits


def _colors(colors: Array, tint: int | None) -> tuple[Array, bool]:
    """Packed colors; gray where JPEG has only tinted it."""
    most, least = colors.max(axis=0), colors.min(axis=0)
    packed = colors[0].astype(np.int32 if colors.itemsize == 1 else np.int64)
    spread = int(np.subtract(most, least, dtype=packed.dtype).max())
    for channel in colors[1:]:
        packed <<= 8
        packed += channel
    if tint is None:
        mostly_gray = 2 * int(np.count_nonzero(most == least)) >= most.size
        tint = TINT if mostly_gray and int(most.max()) > LOSSY_RANGE else 0
        tint = LOSSY_RANGE if spread > tint and len(counted(packed)[0]) > MAX_COLORS else tint
    if spread <= tint and not _merges(packed, as_gray(colors)):
        return as_gray(colors), False
    if int(most.max()) > 255:
        raise UlnaError("the mask has colors of more than 8 bits", hint="Save it with 8 bits a color.")
    return packed, True


def _merges(packed: Array, gray: Codes) -> bool:
    """Whether gray would make one value of two colors that are chosen: few in all, and each fills some area."""
    found, counts = counted(packed)
    if len(found) > MAX_CHOSEN:
        return False
    large = found[counts >= MIN_CHOSEN * packed.size]
    grays = [gray.ravel()[np.argmax(packed.ravel() == code)] for code in large]
    return len(set(grays)) < len(grays)


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
