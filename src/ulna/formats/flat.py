"""Arrays that lie in a file as they are: a part of one is read, and no more of the file than it needs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import BinaryIO

import numpy as np

from ulna.errors import ReadError
from ulna.formats.base import guard_memory
from ulna.image import Array, Source

HOLE = 64 << 10
"""So many bytes between two runs are read with them: to go on reading costs less than to seek."""


def read_flat(
    stream: BinaryIO, start: int, shape: Sequence[int], dtype: np.dtype, *, region: Sequence[slice], source: Source
) -> Array:
    """A part of an array that lies uncompressed in a file.

    What is read is not mapped into memory: pages of a mapped file count as memory of the process that looks at them.

    Parameters
    ----------
    stream
        The file.
    start
        The byte at which the array begins.
    shape
        Of the whole array, the last axis being that of neighbors.
    dtype
        Of its numbers, with their byte order.
    region
        A slice with start and stop per axis.
    source
        What the error names.

    Returns
    -------
    Array
        The part, in the file's own type.

    Raises
    ------
    ReadError
        For a file that ends before, and a part that the memory does not hold.

    Examples
    --------
    >>> import io
    >>> from pathlib import Path
    >>> numbers = np.arange(12, dtype=np.uint8).reshape(3, 4)
    >>> cut = (slice(1, 3), slice(1, 3))
    >>> source = Source(Path("a.raw"))
    >>> read_flat(io.BytesIO(numbers.tobytes()), 0, (3, 4), numbers.dtype, region=cut, source=source).tolist()
    [[5, 6], [9, 10]]
    """
    wanted = [part.stop - part.start for part in region]
    guard_memory(prod(wanted) * dtype.itemsize, source, shape=tuple(wanted))
    result = np.empty(wanted, dtype)
    if not result.size:
        return result
    inner = _run_axis(shape, wanted, dtype.itemsize)
    below = prod(shape[inner + 1 :])
    steps = [prod(shape[axis + 1 :]) for axis in range(inner)]
    first, length = region[inner].start * below, (region[inner].stop - region[inner].start) * below
    run = np.empty(length, dtype)
    bytes_of_run = run.data.cast("B")
    cut = (slice(None), *region[inner + 1 :])
    for place in product(*(range(part.start, part.stop) for part in region[:inner])):
        offset = first + sum(index * step for index, step in zip(place, steps, strict=True))
        stream.seek(start + offset * dtype.itemsize)
        _fill(stream, bytes_of_run, source)
        target = tuple(index - part.start for index, part in zip(place, region, strict=False))
        result[target] = run.reshape(-1, *shape[inner + 1 :])[cut]
    return result


def _run_axis(shape: Sequence[int], wanted: Sequence[int], itemsize: int) -> int:
    """The axis from which on the array is read in one run: holes within are small."""
    axis = len(shape) - 1
    while axis > 0:
        hole = (shape[axis] - wanted[axis]) * prod(shape[axis + 1 :]) * itemsize
        if hole > HOLE:
            break
        axis -= 1
    return axis


def _fill(stream: BinaryIO, buffer: memoryview, source: Source) -> None:
    filled = 0
    while filled < len(buffer):
        count = stream.readinto(buffer[filled:])  # type: ignore[attr-defined]
        if not count:
            raise ReadError(
                f"is cut off: {len(buffer) - filled:,} of its bytes are missing",
                where=source,
                hint="Copy or download it again.",
            )
        filled += count
