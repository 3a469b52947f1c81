"""What a family of formats offers, and the small steps that all of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import psutil

from ulna.errors import ReadError
from ulna.image import Array, Image, Source

# Below this many bytes nobody's memory is asked: the question itself costs more than the answer is worth.
SMALL = 64 << 20


@dataclass(frozen=True)
class Format:
    """One family of image files.

    `suffixes` are in lower case with their dots; `magics` are the first bytes of such files. `read(stream,
    source)` gives the image of an opened file, `pages(stream, source)` how many 2D pages it holds. Both raise
    ReadError, or one of `errors`, which are what the underlying library raises for files that are damaged.
    """

    name: str
    suffixes: tuple[str, ...]
    magics: tuple[bytes, ...]
    read: Callable[[BinaryIO, Source], Image]
    pages: Callable[[BinaryIO, Source], int]
    errors: tuple[type[Exception], ...]


def one_page(_stream: BinaryIO, _source: Source) -> int:
    """The number of pages of the formats that only ever hold one."""
    return 1


def guard_memory(size: int, where: object, *, shape: tuple[int, ...]) -> None:
    """Raise ReadError if an image of `size` bytes, decoded, and a copy of it do not fit in memory."""
    if size < SMALL:
        return
    free = int(psutil.virtual_memory().available)
    if 2 * size > free:
        sides = " × ".join(str(n) for n in shape)
        raise ReadError(
            f"an image of {sides} needs {2 * size / 2**30:.1f} GiB of memory, {free / 2**30:.1f} are free",
            where=where,
            hint="Cut the image into smaller ones, or use a machine with more memory.",
        )


def channels_first(array: Array, *, alpha: bool = False, gray: bool = False) -> Array:
    """(Y, X) or (Y, X, S) → (C, Y, X), contiguous.

    `alpha` says that the last sample is an alpha channel: it is dropped where it is constant and kept where
    it varies. `gray` says that equal samples mean one gray channel (a palette of grays).
    """
    if array.ndim == 2:
        return np.ascontiguousarray(array[None])
    samples = np.moveaxis(array, -1, 0)
    if alpha and bool((samples[-1] == samples[-1].flat[0]).all()):
        samples = samples[:-1]
    if gray and len(samples) >= 3 and equal_channels(samples[:3]):
        samples = np.concatenate([samples[:1], samples[3:]])
    return np.ascontiguousarray(samples)


def equal_channels(array: Array) -> bool:
    """Whether all channels of (C, Y, X) hold the same."""
    return all(bool(np.array_equal(array[0], other)) for other in array[1:])


def upright(array: Array, orientation: int) -> Array:
    """Turn the first two axes (Y, X, …) as the EXIF and TIFF tag 274 'Orientation' (1 to 8) says.

    The tag says where the stored rows and columns lie on the page: 3 is upside down, 6 needs a quarter turn
    clockwise, 8 one counter-clockwise, 2, 4, 5 and 7 are mirrored (TIFF 6.0, page 36).
    """
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, 0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array
