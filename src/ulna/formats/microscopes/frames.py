"""Files that hold frames: which axes of theirs are time, channels and planes, and regions out of frames."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from ulna.formats.base import guard_memory
from ulna.image import Array, Source

KNOWN = "TCZYXS"
KEPT = 64 << 20
"""Bytes of frames that are kept while regions are read; one frame is always kept."""
EXTRA = "microscopes"

DAMAGED: tuple[type[Exception], ...] = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
    OSError,
    EOFError,
    AssertionError,
    struct.error,
    zlib.error,
)
"""What the libraries of these formats raise for files that are damaged."""


@dataclass(frozen=True)
class Axes:
    """What the axes of a file are taken for.

    Parameters
    ----------
    letters
        Those that are read, by the file's own names in its order: a letter of `KNOWN` each.
    notes
        What is said of the others.
    """

    letters: Mapping[str, str]
    notes: tuple[str, ...]


def taken_for(sizes: Mapping[str, int]) -> Axes:
    """What the axes of a file are taken for: of those that are no time, channel or space one may be channels.

    Parameters
    ----------
    sizes
        The lengths of the axes by their names.

    Returns
    -------
    Axes
        An axis of another kind is read as channels where the file has none, else its first place is read.

    Examples
    --------
    >>> taken_for({"λ": 20, "Y": 64, "X": 64}).letters
    {'λ': 'C', 'Y': 'Y', 'X': 'X'}
    >>> taken_for({"H": 3, "C": 2, "Y": 64, "X": 64}).notes
    ("of its axis 'H' (3) the first is read",)
    """
    letters = {name: name for name in sizes if name in KNOWN}
    notes = []
    for name, length in sizes.items():
        if name in KNOWN or length == 1:
            continue
        if "C" not in letters.values():
            letters[name] = "C"
            notes.append(f"its axis '{name}' ({length}) is read as channels")
        else:
            notes.append(f"of its axis '{name}' ({length}) the first is read")
    return Axes({name: letters[name] for name in sizes if name in letters}, tuple(notes))


def from_frames(
    sizes: Mapping[str, int],
    inner: str,
    dtype: np.dtype,
    source: Source,
    frame: Callable[[Mapping[str, int]], Array],
) -> Callable[[tuple[slice, ...], int], Array]:
    """What `Hyperstack.cut` is for a file of frames.

    Parameters
    ----------
    sizes
        The lengths of all axes by their letters, in the order of the cut.
    inner
        The letters of a frame's axes, in its order.
    dtype
        Of the samples.
    source
        The file, for errors.
    frame
        From the index along each other axis to a frame.

    Returns
    -------
    callable
        Of the parts along all axes and a level.
    """
    letters, outer = "".join(sizes), [letter for letter in sizes if letter not in inner]
    nbytes = prod(sizes[letter] for letter in inner) * dtype.itemsize

    @lru_cache(max(1, KEPT // max(1, nbytes)))
    def load(*place: int) -> Array:
        guard_memory(nbytes, source, shape=tuple(sizes[letter] for letter in inner))
        array = np.asarray(frame(dict(zip(outer, place, strict=True))))
        if array.shape != tuple(sizes[letter] for letter in inner):
            raise ValueError("a frame is not of the size that is announced")
        return array

    def cut(parts: tuple[slice, ...], _level: int) -> Array:
        wanted = dict(zip(letters, parts, strict=True))
        ranges = [range(wanted[letter].start, wanted[letter].stop) for letter in outer]
        box = tuple(wanted[letter] for letter in inner)
        result = np.empty([len(one) for one in ranges] + [part.stop - part.start for part in box], dtype)
        for place in product(*ranges):
            target = tuple(index - one.start for index, one in zip(place, ranges, strict=True))
            result[target] = load(*place)[box]
        order = [*outer, *inner]
        return result.transpose([order.index(letter) for letter in letters])

    return cut
