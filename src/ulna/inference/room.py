"""How large windows may be, and whether the memory holds what a prediction takes."""

from __future__ import annotations

from math import prod

import numpy as np

from ulna.config import Config
from ulna.errors import UlnaError
from ulna.image import Array
from ulna.memory import free_memory
from ulna.normalization import Floats
from ulna.text import amount

WINDOW = 5 << 28
"""Bytes that the feature maps of a window of a volume take at most, however much memory is free (1.25 GiB): larger
windows are hardly faster."""


LARGE = {2: 1 << 24, 3: 1 << 25}
"""Images of more pixels are large, by the number of axes: what is computed of them is kept on the disk until their mask
is whole. So a process that is killed loses little, and objects are found in blocks."""


def is_large(shape: tuple[int, ...]) -> bool:
    """Whether an image of this shape (*spatial) is large."""
    return prod(shape) > LARGE[len(shape)]


def largest_side(shape: tuple[int, ...]) -> int:
    """A side that no window of an image exceeds, whatever the margins.

    Parameters
    ----------
    shape
        The spatial shape of the image.

    Returns
    -------
    int
        Pixels.
    """
    return 4 * max(shape) + 4096


def affordable_pixels(config: Config, free: int) -> int:
    """How many pixels a window may have so that the network's feature maps take a quarter of the free memory.

    At the top level some eight maps of the first width live at once, and those below add as much again. Windows of
    volumes take `WINDOW` bytes at most, or as much as the patches that the network was trained on.

    Parameters
    ----------
    config
        Its network's first width counts.
    free
        Bytes that are free where the network runs.

    Returns
    -------
    int
        Pixels, in 3D voxels.

    Examples
    --------
    >>> affordable_pixels(Config(), 1 << 30)
    262144
    """
    bytes_each, patch = bytes_of_maps(config), prod(config.training.final_patch or config.training.patch)
    memory = free / 4 if config.network.ndim == 2 else min(free / 4, max(WINDOW, patch * bytes_each))
    return int(memory / bytes_each)


def bytes_of_maps(config: Config) -> int:
    """How many bytes the feature maps of a pixel take, of all levels together."""
    return 4 * 16 * config.network.widths[0]


def largest_tile(shape: tuple[int, ...], pixels: int, *, measured: bool = False) -> int:
    """The side of the largest window that memory allows, square or cubic, at most 1,024 (2D) or 192 (3D).

    Along an axis that is shorter the window ends with the image. An image somewhat larger than that, but within
    `pixels`, is done in one piece.

    Parameters
    ----------
    shape
        The spatial shape of the image.
    pixels
        So many the window may have.
    measured
        Whether an image in tiles is run twice, first for the statistics of its norms: then images four times as large
        are done in one piece.

    Returns
    -------
    int
        Pixels.

    Examples
    --------
    >>> largest_tile((600, 512, 512), 1_000_000), largest_tile((10, 512, 512), 1_000_000)
    (100, 192)
    """
    limit = 1024 if len(shape) == 2 else 192
    if prod(shape) <= min(pixels, (8 if measured else 2) * limit ** len(shape)) * 0.8:
        return largest_side(shape)
    side = limit
    while side > 1 and prod(min(side, 1.25 * length) for length in shape) > pixels:
        side -= 1
    return side


def empty_output(shape: tuple[int, ...]) -> Floats:
    """Zeros to put the logits (K, *spatial) in; raises UlnaError when the memory does not hold them."""
    array = empty(shape, np.dtype(np.float32))
    array[:] = 0
    return array


def empty(shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """An array that is to be filled.

    Parameters
    ----------
    shape, dtype
        Of the array.

    Returns
    -------
    Array
        With any values.

    Raises
    ------
    UlnaError
        When the memory does not hold it.
    """
    check_room(shape, dtype.itemsize)
    return np.empty(shape, dtype)


def check_room(shape: tuple[int, ...], itemsize: int = 4) -> None:
    """Refuse an image of which the free memory does not hold what is made of it.

    Parameters
    ----------
    shape
        (K, *spatial) of the logits, or of what is made of them.
    itemsize
        Bytes of a number.

    Raises
    ------
    UlnaError
        With the memory that is needed and the memory that is free.
    """
    needed, free = itemsize * prod(shape), free_memory()
    if needed > free:
        raise too_large(needed, free)


def too_large(needed: int, free: int) -> UlnaError:
    """The error of an image that needs more bytes than are free."""
    return UlnaError(
        f"this image needs {amount(needed)} of memory, {amount(free)} are free",
        hint="Cut the image into parts, or close other programs.",
    )
