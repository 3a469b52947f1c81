"""Bring images to what a network expects: as many channels, and the intensities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.image import Array, Channel
from ulna.text import plural

Floats = npt.NDArray[np.float32]
Parts = Callable[[], Iterator[Array]]

LOW, HIGH = 1.0, 99.8  # percentiles that become 0 and 1, as in CSBDeep and StarDist
CLIP = (-1.0, 3.0)  # what lies far outside is clipped: one hot pixel must not fill the range of bf16
MIN_SHARE = 0.1  # share of the range of an image of counts that a channel's own is at least taken for
SAMPLE = 1_000_000
AT_ONCE = 1 << 22  # pixels
COLORS = 3
ROUNDING = 1e-3  # by which floats from 0 to 1 may lie outside, as resampling makes them
NORMALIZATIONS = ("percentile", "percentile_by_channel", "zscore", "zscore_inside", "range", "none")
"""Those that follow from each image by itself; `ct` follows from the training set (`fixed_scaling`)."""

CLIP_INSIDE = (-5.0, 10.0)
"""Standard deviations that "zscore_inside" is clipped to: what lies outside may have any value."""


@dataclass(frozen=True)
class Scaling:
    """How the numbers of an image become what a network takes: (value - offset) / scale, channel by channel.

    A scale of 0 marks a channel without contrast: it becomes 0.

    Parameters
    ----------
    offsets, scales
        One number for all channels, or one per channel.
    clip
        The range that the result is clipped to; None: it is not clipped.

    Examples
    --------
    >>> Scaling((100.0,), (50.0,)).apply(np.array([[[100, 150]]], np.uint8)).tolist()
    [[[0.0, 1.0]]]
    """

    offsets: tuple[float, ...]
    scales: tuple[float, ...]
    clip: tuple[float, float] | None = None

    def apply(self, array: Array) -> Floats:
        """An image, or a part of one, (C, *spatial) in its own dtype → float32 of the same shape."""
        if len(self.scales) == 1:
            scaled = _scaled(array, self.offsets[0], self.scales[0])
        else:
            channels = zip(array, self.offsets, self.scales, strict=True)
            scaled = np.stack([_scaled(channel, offset, scale) for channel, offset, scale in channels])
        return scaled if self.clip is None else np.clip(scaled, *self.clip)


def normalize(array: Array, how: str, counts: bool | None = None) -> Floats:
    """An image (C, *spatial) as float32, normalized as `how` names it.

    Parameters
    ----------
    array
        (C, *spatial), in the file's own dtype.
    how
        - "percentile": the 1st percentile of the image becomes 0 and the 99.8th 1, over all channels together, so
          that colors keep their proportions; clipped to -1..3. Taken from at most a million even samples. Where both
          are one value, the smallest and the largest take their place.
        - "percentile_by_channel": the same for each channel, so that another stain, lamp or white balance changes
          little, and modalities with gray scales of their own count alike. A channel of counts with less than a tenth
          of the whole image's range is stretched as if it had a tenth: noise in an empty channel must not look like an
          image. Other channels have no unit in common.
        - "zscore": each channel with mean 0 and standard deviation 1.
        - "zscore_inside": the same, but only what lies inside counts, where the outside has one value (`background`):
          how much air there is around a head must not matter. Clipped to -5..10.
        - "range": divided by the largest number of the type, 255 or 65535: the tutorial's recipe; floats from 0 to 1
          stay as they are, and all others are refused: their type does not say what white is.
        - "none": as it is.
    counts
        Whether the channels are counts in one unit; None: if their type is unsigned. A trained model says it, so that
        an image that is given as another type is normalized in the same way.

    Returns
    -------
    Floats
        (C, *spatial) float32. An image without contrast becomes 0 with all but the last two.

    Raises
    ------
    UlnaError
        For an unknown name, and for numbers that have no range.
    """
    return scaling(array, how, counts).apply(array)


def scaling(array: Array, how: str, counts: bool | None = None) -> Scaling:
    """The `Scaling` with which `normalize` normalizes this image; parameters and errors as there."""
    return scaling_of_parts(lambda: iter((array,)), array.size, array.dtype, how, counts)


def scaling_of_parts(parts: Parts, size: int, dtype: np.dtype, how: str, counts: bool | None = None) -> Scaling:
    """As `scaling`, of an image that is not in memory as a whole.

    Parameters
    ----------
    parts
        Gives the image (C, *spatial) part by part along its first spatial axis, each time it is called.
    size
        The number of its values.
    dtype
        Their type.
    how, counts
        As of `normalize`.

    Returns
    -------
    Scaling
        That of the image as a whole; with "zscore" to rounding.

    Raises
    ------
    UlnaError
        For an unknown name.
    """
    if how in ("percentile", "percentile_by_channel"):
        some = _sample(parts(), size)
        low, high = (float(value) for value in np.percentile(some, (LOW, HIGH)))
        lows, highs = np.percentile(some, (LOW, HIGH), axis=1)
        flat = highs <= lows
        extremes = _extremes(parts()) if not high > low or (flat.any() and how != "percentile") else None
        if not high > low and extremes is not None:  # a few bright specks on a flat ground
            low, high = float(extremes[0].min()), float(extremes[1].max())
        if how == "percentile":
            return Scaling((low,), (max(high - low, 0.0),), CLIP)
        if extremes is not None:
            lows[flat], highs[flat] = extremes[0][flat], extremes[1][flat]
        one_unit = dtype.kind == "u" if counts is None else counts
        floor = MIN_SHARE * (high - low) if one_unit else 0.0
        return Scaling(tuple(lows.tolist()), tuple(np.maximum(highs - lows, floor).tolist()), CLIP)
    if how in ("zscore", "zscore_inside"):
        inside = how == "zscore_inside"
        means, variances = _moments(parts(), background(parts()) if inside else None)
        if inside and not (variances > 0).all():  # of a flat object on the outside the contrast to it counts
            whole = _moments(parts())
            means, variances = (np.where(variances > 0, *pair) for pair in zip((means, variances), whole, strict=True))
        return Scaling(tuple(means.tolist()), tuple(np.sqrt(variances).tolist()), CLIP_INSIDE if inside else None)
    if how == "range":
        return Scaling((0.0,), (_white(parts, dtype),))
    if how == "none":
        return Scaling((0.0,), (1.0,))
    if how == "ct":
        what = "the normalization 'ct' needs constants of the training set, which the plan takes from its foreground"
        raise UlnaError(what, hint="Set data.window, data.center and data.scale.")
    raise UlnaError(f"there is no normalization '{how}'", hint=f"Known: {', '.join((*NORMALIZATIONS, 'ct'))}.")


def fixed_scaling(data: DataConfig) -> Scaling | None:
    """How all images are scaled alike.

    Parameters
    ----------
    data
        The section of the configuration.

    Returns
    -------
    Scaling or None
        With "ct" and its constants: clipped to `data.window`, less `data.center`, divided by `data.scale`. None where
        each image has a scaling of its own, or the constants are open.

    Examples
    --------
    >>> data = DataConfig(normalization="ct", window=(-100, 300), center=50, scale=50)
    >>> fixed_scaling(data).apply(np.array([[-1000, 0, 100, 3000]])).tolist()
    [[-3.0, -1.0, 1.0, 5.0]]
    """
    if data.normalization != "ct" or data.window is None or data.center is None or data.scale is None:
        return None
    low, high = ((edge - data.center) / data.scale for edge in data.window)
    return Scaling((data.center,), (data.scale,), (low, high))


def background(parts: Iterator[Array]) -> Array | None:
    """The value of each channel outside of what an image shows, where that is one value.

    Parameters
    ----------
    parts
        The image (C, *spatial) part by part along its first spatial axis.

    Returns
    -------
    ndarray or None
        (C,): what at least half of the corners of the first plane (in 2D the first row) have in all channels, and half
        of those of the last plane; None where there is no such value.

    Examples
    --------
    >>> image = np.full((1, 4, 5), 7)
    >>> image[0, 1:3, 1:4] = 90
    >>> background(iter((image,))).tolist()
    [7]
    """
    first = last = None
    for part in parts:
        first = _corners(part[:, 0]) if first is None else first
        last = _corners(part[:, -1])
    if first is None or last is None:
        return None
    values, counts = np.unique(first, axis=1, return_counts=True)
    for value in values.T[2 * counts >= first.shape[1]]:
        if 2 * int((last == value[:, None]).all(axis=0).sum()) >= last.shape[1]:
            return np.asarray(value)
    return None


def is_inside(array: Array, outside: Array | None) -> npt.NDArray[np.bool_]:
    """(*spatial) where any channel of (C, *spatial) has another value than it has outside; everywhere without one."""
    if outside is None:
        return np.ones(array.shape[1:], bool)
    return np.asarray((array != outside.reshape(-1, *(1,) * (array.ndim - 1))).any(axis=0))


def _corners(plane: Array) -> Array:
    """(C, n) the values at the corners of (C, *spatial)."""
    ends = (tuple({0: 0, side - 1: 0}) for side in plane.shape[1:])
    return plane[np.ix_(range(len(plane)), *ends)].reshape(len(plane), -1)


def has_range(array: Array) -> bool:
    """Whether the type of an image says what black and white are: counts of 8 or 16 bits, and floats from 0 to 1."""
    if array.dtype.kind == "f":
        return bool(array.min() >= -ROUNDING and array.max() <= 1 + ROUNDING)
    return array.dtype.kind == "u" and array.dtype.itemsize <= 2


def _white(parts: Parts, dtype: np.dtype) -> float:
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return float(np.iinfo(dtype).max)
    lows, highs = _extremes(parts())
    extremes = np.array([lows.min(), highs.max()])
    if not has_range(extremes):
        span = f" from {float(extremes[0]):g} to {float(extremes[1]):g}"
        raise UlnaError(
            f"the normalization 'range' needs 8 or 16 bits or floats from 0 to 1, this image holds {dtype}{span}",
            hint="Convert it as the training images are, array.astype(np.uint8) for example, or train with another "
            "data.normalization: 'percentile' takes all types.",
        )
    return 1.0


def to_channels(array: Array, channels: int, declared: Sequence[Channel] = ()) -> Array:
    """An image with the number of channels that a network takes, without inventing or losing anything.

    One gray channel is repeated to the three of color, and equal channels become one.

    Parameters
    ----------
    array
        (C, *spatial).
    channels
        How many channels it is to have.
    declared
        What the image's channels are, where that is known.

    Raises
    ------
    UlnaError
        For all other differences: a second or a fourth channel is a stain and is not dropped, and a declared alpha
        that varies is neither an intensity nor empty.

    Examples
    --------
    >>> to_channels(np.zeros((1, 4, 5)), 3).shape
    (3, 4, 5)
    """
    check_signals(declared)
    have = len(array)
    if have == channels:
        return array
    if have == 1 and channels == COLORS:
        return np.repeat(array, channels, axis=0)
    if channels == 1 and all(np.array_equal(array[0], other) for other in array[1:]):
        return array[:1]
    hint = "Convert the image to the channels of the training images, or train on images like this one."
    if have < channels:
        hint += " Files of one channel each are one image if they are named case_0000.png, case_0001.png and so on."
    elif have in (2, 4) and have == channels + 1:
        hint += " If the last channel is an alpha, save the image without it."
    raise UlnaError(f"the image has {plural(have, 'channel')}, the network takes {channels}", hint=hint)


def check_signals(channels: Sequence[Channel]) -> None:
    """Raise UlnaError if an image has an alpha: a constant one was dropped when it was read, so this one varies."""
    if any(channel.role == "alpha" for channel in channels):
        raise UlnaError(
            "the image has a declared alpha channel (transparency) that is not the same everywhere",
            hint="Flatten it onto a background and save it without alpha. If the channel is a stain, save the image "
            "as a TIFF whose channels are not declared to be alpha.",
        )


def common_channels(counts: Iterable[int]) -> int:
    """How many channels suit images of these numbers of channels: gray beside color makes color.

    Raises UlnaError for other mixtures.

    Examples
    --------
    >>> common_channels([1, 3, 3])
    3
    """
    found = set(counts)
    if len(found) == 1:
        return found.pop()
    if found == {1, COLORS}:
        return COLORS
    raise UlnaError(
        f"the images have {' and '.join(map(str, sorted(found))) or 'no'} channels, which do not go together",
        hint="Train on images of one kind: convert them to the same channels, or name those of one kind with --cases.",
    )


def _scaled(array: Array, offset: float, scale: float) -> Floats:
    """(array - offset) / scale in float32; zeros where the scale is none."""
    if not scale > 0:
        return np.zeros(array.shape, np.float32)
    # The offset is taken off in the array's own precision: float32 would lose it in large numbers.
    wide = np.dtype(np.float64 if array.dtype.itemsize > 2 and array.dtype != np.float32 else np.float32)
    scaled: Array = array.astype(wide)
    scaled -= offset
    scaled /= scale
    return scaled.astype(np.float32, copy=False)


def sample(array: Array) -> Array:
    """At most a million values, every k-th pixel with all of its channels."""
    return _sample(iter((array,)), array.size)


def _sample(parts: Iterator[Array], size: int) -> Array:
    step, place, found = max(1, ceil(size / SAMPLE)), 0, []
    for part in parts:
        flat = part.reshape(len(part), -1)
        found.append(flat[:, -place % step :: step].copy())  # a view would keep all of its part
        place += flat.shape[1]
    return found[0] if len(found) == 1 else np.concatenate(found, axis=1)


def _extremes(parts: Iterator[Array]) -> tuple[Array, Array]:
    """The smallest and the largest value of each channel."""
    found = [(flat.min(axis=1), flat.max(axis=1)) for part in parts for flat in (part.reshape(len(part), -1),)]
    lows, highs = zip(*found, strict=True)
    return np.min(lows, axis=0), np.max(highs, axis=0)


def _flat(parts: Iterator[Array], outside: Array | None) -> Iterator[Array]:
    """The values (C, n) of each part; of what lies inside a few at a time, for they are copied."""
    for part in parts:
        flat = part.reshape(len(part), -1)
        if outside is None:
            yield flat
            continue
        for start in range(0, flat.shape[1], AT_ONCE):
            some = flat[:, start : start + AT_ONCE]
            yield some[:, is_inside(some, outside)]


def _moments(parts: Iterator[Array], outside: Array | None = None) -> tuple[Array, Array]:
    """Mean and variance of each channel (Chan, Golub, LeVeque 1983, equation 2.1), of what lies inside."""
    count, means, variances = 0, np.zeros(1), np.zeros(1)
    for flat in _flat(parts, outside):
        more = flat.shape[1]
        if not more:
            continue
        own = np.array([channel.mean(dtype=np.float64) for channel in flat])
        spread = np.array([channel.var(dtype=np.float64) for channel in flat])
        if not count:
            count, means, variances = more, own, spread
            continue
        share, apart = more / (count + more), own - means
        variances = (1 - share) * variances + share * spread + share * (1 - share) * apart**2
        count, means = count + more, means + share * apart
    return means, variances
