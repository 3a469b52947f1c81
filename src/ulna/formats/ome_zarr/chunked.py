"""One array of a Zarr folder: which of its chunks are there, and regions out of them."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ulna.errors import ReadError
from ulna.formats.base import guard_memory
from ulna.formats.ome_zarr.metadata import CODECS, ArrayV2, ArrayV3
from ulna.formats.ome_zarr.store import Chunks, Files
from ulna.image import Array, Source
from ulna.text import listed, size

KEPT = 128 << 20
"""Up to so many bytes the chunks that a region touched are kept whole, because the next one touches them, too."""
MAX_COUNTED = 4096
"""Of arrays of more chunks it is not counted how many are there."""
BROKEN = "Copy it again with all its files, or write it anew."


class ChunkedArray:
    """An array of a folder, opened when its pixels are asked for.

    Parameters
    ----------
    files
        Those of the folder.
    path
        Where the array lies in it.
    words
        Its metadata.
    source
        What errors name.

    Raises
    ------
    ReadError
        For numbers, chunks and codecs that are none of images.
    """

    def __init__(self, files: Files, path: str, words: ArrayV2 | ArrayV3, source: Source) -> None:
        foreign = sorted({name for name in words.codecs if name not in CODECS})
        if foreign:
            what = f"its chunks are packed with {listed(foreign, quoted=True)}, which is not unpacked"
            raise ReadError(what, where=source, hint="Write it with Blosc, Zstandard or gzip.")
        self.shape, self.names = words.shape, words.names
        self.dtype = np.dtype(words.dtype if isinstance(words, ArrayV2) else words.data_type)
        if self.dtype.kind not in "buif" or 0 in self.shape or len(self.shape) < 2:
            raise ReadError(f"its array '{path}' ({self.dtype}, {size(self.shape)}) is no image", where=source)
        if len(words.chunks) != len(self.shape) or min(words.chunks) < 1:
            raise ReadError(f"its array '{path}' has chunks of {size(words.chunks)}", where=source, hint=BROKEN)
        self._files, self._path, self._words, self._source = files, path, words, source
        self._array: Any = None
        self._recent: tuple[tuple[slice, ...], Array] = ((slice(0, 0),) * len(self.shape), np.empty(0))

    def cut(self, part: tuple[slice, ...]) -> Array:
        """A part of it; only the chunks that it touches are unpacked, and the last ones are kept."""
        guard_memory(self._words.chunk_bytes, self._source, shape=self._words.chunks)
        if self._array is None:
            import zarr

            store = Chunks(self._files, limit=self._words.chunk_bytes, packed=self._words.packed)
            self._array = zarr.open_array(store=store, path=self._path, mode="r", zarr_format=self._words.zarr_format)
            if self._array.shape != self.shape:
                raise ReadError("its metadata contradict each other", where=self._source, hint=BROKEN)
        box = tuple(
            slice(one.start // n * n, min(-(-one.stop // n) * n, side))
            for one, n, side in zip(part, self._words.chunks, self.shape, strict=True)
        )
        nbytes = prod(one.stop - one.start for one in box) * self.dtype.itemsize
        if box == part or nbytes > KEPT:
            return np.asarray(self._array[part])
        held, pixels = self._recent
        if not all(a.start <= b.start and b.stop <= a.stop for a, b in zip(held, part, strict=True)):
            guard_memory(nbytes, self._source, shape=self.shape)
            held, pixels = self._recent = box, np.asarray(self._array[box])
        return pixels[tuple(slice(b.start - a.start, b.stop - a.start) for a, b in zip(held, part, strict=True))].copy()

    def missing(self) -> str:
        """What is said of chunks that are not there, where they can be counted: they have one value, and no file."""
        announced = prod(-(-side // chunk) for side, chunk in zip(self.shape, self._words.chunks, strict=True))
        counted = announced <= MAX_COUNTED and bool(self._words.packed)
        there = self._files.count(self._path, announced if counted else 1)
        if not there:
            return "none of its chunks is there: it is read as one value, as Zarr says"
        if there >= announced or not counted:
            return ""
        return f"{announced - there} of its {announced} chunks are not there: they are read as one value, as Zarr says"
