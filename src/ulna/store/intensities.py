"""What the numbers of an image are like: the intensity fingerprint of a case, on which the plan decides."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from ulna.image import Array
from ulna.normalization import background, is_inside, sample

LOW, HIGH = 0.5, 99.5
"""Percentiles that stand for the range of the intensities."""


@dataclass(frozen=True)
class ChannelIntensities:
    """The intensities of one channel, in the units of the file: percentiles 0.5, 50 and 99.5, mean and standard
    deviation."""

    low: float
    median: float
    high: float
    mean: float
    deviation: float


@dataclass(frozen=True)
class Intensities:
    """The intensity fingerprint of one image, from at most a million of its values.

    Parameters
    ----------
    dtype
        The type of the file's numbers, as numpy names it.
    smallest, largest
        The range of the values.
    channels, foreground
        One record per channel: of all pixels, and of the annotated foreground (empty where there is none).
    gray
        Whether there are several channels and all are equal: a gray picture that is stored as a color one.
    brightness
        The median over the pixels of the channels' mean, on a scale on which the image's 0.5th percentile is 0 and
        the 99.5th is 1: stained tissue in transmitted light lies near 1, fluorescence near 0.
    correlation
        The lowest correlation of two channels over the pixels; 1 for a single channel, 0 where one channel is flat.
    outside
        The share of the pixels that have the one value of what lies outside; 0 where there is no such value.
    """

    dtype: str
    smallest: float
    largest: float
    channels: tuple[ChannelIntensities, ...]
    foreground: tuple[ChannelIntensities, ...]
    gray: bool
    brightness: float
    correlation: float
    outside: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, words: dict[str, Any]) -> Intensities:
        """The inverse of `as_json`."""
        records = {
            name: tuple(ChannelIntensities(**channel) for channel in words[name]) for name in ("channels", "foreground")
        }
        return cls(**(words | records))


def measure(array: Array, places: npt.NDArray[np.int64]) -> Intensities:
    """The intensity fingerprint of an image.

    Parameters
    ----------
    array
        (C, *spatial), as it was read.
    places
        Flat indices into the spatial axes of (some of) the foreground.
    """
    some = sample(array).astype(np.float64)
    foreground = array.reshape(len(array), -1)[:, places].astype(np.float64)
    low, high = (float(value) for value in np.percentile(some, (LOW, HIGH)))
    middle = float(np.median(some.mean(axis=0)))
    return Intensities(
        dtype=array.dtype.name,
        smallest=float(array.min()),
        largest=float(array.max()),
        channels=tuple(channel_intensities(values) for values in some),
        foreground=tuple(channel_intensities(values) for values in foreground) if len(places) else (),
        gray=len(array) > 1 and all(np.array_equal(array[0], other) for other in array[1:]),
        brightness=(middle - low) / (high - low) if high > low else 0.0,
        outside=float(1 - is_inside(some, background(iter((array,)))).mean()),
        correlation=min((_correlation(a, b) for a, b in combinations(some, 2)), default=1.0),
    )


def channel_intensities(values: Array) -> ChannelIntensities:
    """The record of some values."""
    low, median, high = np.percentile(values, (LOW, 50, HIGH)).tolist()
    return ChannelIntensities(low, median, high, float(values.mean()), float(values.std()))


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm else 0.0
