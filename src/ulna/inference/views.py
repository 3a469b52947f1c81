"""`View`: an image as it is read region by region, as it was, normalized, as a plane, or at another size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from ulna.config import DataConfig
from ulna.image import Array, Region
from ulna.inference.windows import bands, read_window
from ulna.normalization import fixed_scaling, scaling_of_parts
from ulna.resampling import resampled_bands

BAND = 1 << 24
"""So many values of an image are looked at together where it is read region by region."""


@dataclass(frozen=True)
class View:
    """An image, or what it becomes, that is read region by region and need not be in memory as a whole.

    Parameters
    ----------
    shape
        (C, *spatial).
    dtype
        Of its values.
    read
        From a region to its values (C, *region).
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[Region], Array]

    @classmethod
    def of(cls, image: Array) -> View:
        """That of an array (C, *spatial)."""
        return cls(image.shape, image.dtype, lambda region: image[(slice(None), *region)])

    @property
    def ndim(self) -> int:
        """How many spatial axes."""
        return len(self.shape) - 1

    def window(self, start: tuple[int, ...], size: tuple[int, ...]) -> Array:
        """The values (C, *size) of a window, mirrored where it leads out of the image."""
        return np.ascontiguousarray(read_window(self.read, self.shape[1:], start, size))

    def plane(self, axis: int, place: int) -> View:
        """A plane of a volume, itself an image of two dimensions."""

        def read(region: Region) -> Array:
            return np.squeeze(self.read(spread(region, axis, slice(place, place + 1))), 1 + axis)

        return replace(self, shape=(self.shape[0], *without(self.shape[1:], axis)), read=read)

    def normalized(self, data: DataConfig) -> View:
        """The image in the numbers that a network takes, by the statistics of the whole image."""

        def parts() -> Iterator[Array]:
            for band in bands(self.shape[1:], BAND // self.shape[0]):
                yield self.read(band)

        how, size = data.normalization, prod(self.shape)
        scale = fixed_scaling(data) or scaling_of_parts(parts, size, self.dtype, how, data.counts)
        return View(self.shape, np.dtype(np.float32), lambda region: scale.apply(self.read(region)))

    def resampled(self, size: tuple[int, ...], thick: tuple[bool, ...]) -> View:
        """The image at another size, in memory.

        Parameters
        ----------
        size
            The spatial size.
        thick
            Axes along which nothing is interpolated.

        Returns
        -------
        View
            Of 32-bit numbers.
        """
        whole = np.empty((self.shape[0], *size), np.float32)
        for rows, band in resampled_bands(self.read, self.shape[1:], size, thick):
            whole[:, rows] = band
        return View.of(whole)


def spread(places: tuple[Any, ...], axis: int, own: Any) -> tuple[Any, ...]:
    """What holds along the axes of a plane, as what holds along those of the volume.

    Examples
    --------
    >>> spread((4, 5), 1, 0)
    (4, 0, 5)
    """
    return (*places[:axis], own, *places[axis:])


def without(places: tuple[Any, ...], axis: int) -> tuple[Any, ...]:
    """The inverse of `spread`.

    Examples
    --------
    >>> without((4, 0, 5), 1)
    (4, 5)
    """
    return (*places[:axis], *places[axis + 1 :])
