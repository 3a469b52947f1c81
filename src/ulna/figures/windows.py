"""Which gray values of a volume become black and white, by what kind of image it is."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from ulna.figures.common import Rgb, to_rgb
from ulna.image import Array

AIR = -500
"""CT holds values below this: air is -1000 Hounsfield units."""

SOFT_TISSUE = (-160.0, 240.0)
"""The window of CT in which organs are looked at: level 40, width 400 Hounsfield units."""

SAMPLE = 500_000
"""About so many voxels are looked at to find a window."""

GROUND = 0.05
"""A value that fills at least this share of a volume and stands in its corner was set there: it is outside."""

MIN_FOREGROUND = 100
"""So many voxels of it are enough for percentiles."""

COLORS = 3


@dataclass(frozen=True)
class Window:
    """How a volume is shown: one channel from black to white, or its colors.

    Parameters
    ----------
    low, high
        The values that become black and white.
    channel
        Which one is shown; None for the three of a volume in colors, as they are.
    """

    low: float
    high: float
    channel: int | None = 0

    def apply(self, plane: Array) -> Rgb:
        """A plane for the eye.

        Parameters
        ----------
        plane
            (C, rows, columns), in the file's own dtype.

        Returns
        -------
        Rgb
            (rows, columns, 3); what is not finite is black.

        Examples
        --------
        >>> Window(0, 10).apply(np.array([[[-5, 0, 4, 99]]]))[0, :, 0].tolist()
        [0, 0, 102, 255]
        """
        if self.channel is None:
            return to_rgb(plane, low=0, high=100)
        values = np.nan_to_num(plane[self.channel].astype(np.float32), nan=-np.inf)
        shares = ((values - self.low) / max(self.high - self.low, 1e-12)).clip(0, 1)
        return np.repeat((shares * 255).round().astype(np.uint8)[..., None], 3, axis=-1)


def window(image: Array, foreground: Array, *, patient: bool) -> Window:
    """The window in which a volume is shown; it is found on evenly taken voxels.

    CT (values as of air in Hounsfield units) is shown in the window of soft tissue; where the foreground lies outside
    of that, as lungs do, in one around the foreground. MR is shown between percentiles inside the body, where what is
    outside has one value; other images between percentiles. Of several channels that are no colors the one is shown in
    which the foreground stands out most.

    Parameters
    ----------
    image
        (C, *spatial).
    foreground
        (*spatial) bool: what is annotated or was found.
    patient
        Whether it shows a patient, in millimeters: other images have no Hounsfield units.

    Returns
    -------
    Window
        For all planes of the volume.
    """
    step = max(1, ceil((image[0].size / SAMPLE) ** (1 / image[0].ndim)))
    thin = tuple(slice(min(side // 2, step // 2), None, step) for side in image.shape[1:])
    inside = np.asarray(foreground[thin])
    if len(image) == COLORS and image.dtype == np.uint8 and _in_colors(image[(slice(None), *thin)]):
        return Window(0, 255, None)
    channel = _clearest(image, thin, inside)
    values = np.asarray(image[channel][thin], np.float64)
    known = np.isfinite(values)
    if not known.any():
        return Window(0, 1, channel)
    if patient and values[known].min() < AIR:
        return Window(*_of_ct(values[known & inside]), channel)
    body = values[known & ~_outside(values, float(image[channel].flat[0]))]
    body = body if body.size else values[known]
    low, high = np.percentile(body, (1, 99.5) if patient else (0.5, 99.8))
    own = values[known & inside]
    if own.size >= MIN_FOREGROUND:  # a tumor may be the brightest of all, and dim nuclei are to be seen beside debris
        high = max(high, np.percentile(own, 99)) if patient else np.percentile(own, 95)
    if high <= low:  # a few bright specks on a flat ground
        low, high = values[known].min(), values[known].max()
    return Window(float(low), float(high), channel)


def _of_ct(foreground: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = SOFT_TISSUE
    if not foreground.size or low <= np.median(foreground) <= high:
        return low, high
    low, high = (float(value) for value in np.percentile(foreground, (1, 99)))
    margin = max((high - low) / 2, 50.0)
    return low - margin, high + margin


def _outside(values: Array, corner: float) -> Array:
    """Where a volume has the one value that fills its outside; nowhere if there is none."""
    same = values == corner
    return same if GROUND <= same.mean() < 1 else np.zeros_like(same)


def _clearest(image: Array, thin: tuple[slice, ...], inside: Array) -> int:
    """The channel in which the foreground stands out most."""
    if len(image) == 1 or not inside.any() or inside.all():
        return 0
    contrasts = []
    for channel in image:
        values = np.nan_to_num(np.asarray(channel[thin], np.float64))
        apart = abs(np.median(values[inside]) - np.median(values[~inside]))
        contrasts.append(apart / (values.std() + 1e-12))
    return int(np.argmax(contrasts))


def _in_colors(rgb: Array) -> bool:
    return bool((rgb[0] != rgb[1]).any() or (rgb[1] != rgb[2]).any())
