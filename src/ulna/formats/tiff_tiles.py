"""Writing large TIFFs: a BigTIFF in tiles with a pyramid, packed tile by tile as regions come."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from ulna.formats.atomic import atomic_write, writing
from ulna.formats.base import SMALL
from ulna.formats.pyramid import Assembler, Index, doubled, halved, level_shapes, tile_region, touched
from ulna.formats.tiff_writer import DESCRIPTION, KINDS, as_stored, interleaved, ome_text
from ulna.formats.writer import New
from ulna.image import Array, Image, Region

LARGE = 1 << 30
"""From so many bytes on a TIFF is written in tiles."""
SIDE = 512
"""Rows and columns of a tile."""
PYRAMIDS = (".ome.tif", ".ome.tiff")
"""Names by which tiles and a pyramid are asked for also where an image is smaller."""
EFFORT = 6


def tiled(new: New) -> TiledSink | None:
    """Where the tiles of a large TIFF go.

    Parameters
    ----------
    new
        The image.

    Returns
    -------
    TiledSink or None
        None for images that are written as one array: those that are smaller, and those whose numbers may be written in
        fewer bits once all of them are known.
    """
    asked = new.path.name.lower().endswith(PYRAMIDS) and new.nbytes > SMALL
    return TiledSink(new) if (asked or new.nbytes > LARGE) and new.dtype in KINDS else None


class TiledSink:
    """A TIFF whose tiles lie packed in a nameless file beside it until all are there.

    Parameters
    ----------
    new
        The image.

    Raises
    ------
    UlnaError
        For axes and an alpha that OME-TIFF has no words for.
    WriteError
        Where the disk does not hold it.
    """

    def __init__(self, new: New) -> None:
        self._new = new
        # Only the shape is asked of this array, which has one number.
        whole = Image(np.broadcast_to(np.zeros((), new.dtype), new.shape), new.grid, new.channels)
        self._options, self._words = as_stored(whole, new.path)
        self._together = interleaved(new.channels, new.dtype)
        with writing(new.path):
            new.path.parent.mkdir(parents=True, exist_ok=True)
            self._spool = tempfile.TemporaryFile(dir=new.path.parent)  # noqa: SIM115
        self._places: dict[tuple[int, int, Index], tuple[int, int]] = {}
        tile = (*(1,) * (new.grid.ndim - 2), SIDE, SIDE)
        self._tiles = Assembler(new.path, new.shape, tile, new.dtype, emit=self._emit)

    def put(self, region: Region, array: Array) -> None:
        """Pack the tiles that are whole with these pixels."""
        with writing(self._new.path):
            self._tiles.put(region, array)

    def finish(self) -> None:
        """Make the pyramid and write the file."""
        shapes = level_shapes(self._new.grid.shape, SIDE)
        options = {key: value for key, value in self._options.items() if key != "data"}
        stored: tuple[int, ...] = self._options["data"].shape
        rows = len(stored) - (3 if self._together else 2)
        text = ome_text(self._options["data"], self._words)
        try:
            with writing(self._new.path):
                for level in range(1, len(shapes)):
                    self._shrink(level, shapes)
            with atomic_write(self._new.path) as beside, tifffile.TiffWriter(beside, bigtiff=True) as tiff:
                for level, shape in enumerate(shapes):
                    first = {"subifds": len(shapes) - 1, "extratags": [(DESCRIPTION, "s", 0, text.encode(), True)]}
                    tiff.write(
                        self._packed(level, shape),
                        shape=(*stored[:rows], *shape[-2:], *stored[rows + 2 :]),
                        dtype=self._new.dtype,
                        tile=(SIDE, SIDE),
                        compression="zlib",
                        metadata=None,
                        **(options | (first if not level else {"subfiletype": 1} | _coarser(options, shapes, level))),
                    )
        finally:
            self._spool.close()

    def discard(self) -> None:
        """Close the nameless file, with which it is gone."""
        self._spool.close()

    def _emit(self, index: Index, pixels: Array) -> None:
        plane = index[0] if len(index) == 3 else 0
        flat = pixels[:, 0] if len(index) == 3 else pixels
        for page, part in self._pages(plane, flat):
            self._pack((0, page, index[-2:]), part)

    def _pages(self, plane: int, pixels: Array) -> Iterator[tuple[int, Array]]:
        """The pages that hold (C, Y, X) of a plane, and what goes there: (Y, X, C), or (Y, X, 1) each."""
        if self._together:
            yield plane, np.moveaxis(pixels, 0, -1)
            return
        for number, channel in enumerate(pixels):
            yield plane * len(pixels) + number, channel[..., None]

    def _pack(self, place: tuple[int, int, Index], pixels: Array) -> None:
        padded = np.zeros((SIDE, SIDE, pixels.shape[-1]), self._new.dtype)
        padded[: pixels.shape[0], : pixels.shape[1]] = pixels
        data = bytes(imagecodecs.deflate_encode(padded.tobytes(), level=EFFORT))  # twice as fast as zlib
        start = self._spool.seek(0, 2)
        self._spool.write(data)
        self._places[place] = start, len(data)

    def _data(self, place: tuple[int, int, Index]) -> bytes:
        start, length = self._places[place]
        self._spool.seek(start)
        return self._spool.read(length)

    def _packed(self, level: int, shape: tuple[int, ...]) -> Iterator[bytes]:
        """All tiles of a level, in the order of the file."""
        for page in range(self._page_count):
            for index in product(*(range(-(-side // SIDE)) for side in shape[-2:])):
                yield self._data((level, page, index))

    @property
    def _page_count(self) -> int:
        planes = self._new.grid.shape[0] if self._new.grid.ndim == 3 else 1
        return planes * (1 if self._together else len(self._new.channels))

    def _shrink(self, level: int, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Make the tiles of a level of those of the level above it."""
        above, own = shapes[level - 1][-2:], shapes[level][-2:]
        tile, samples = (SIDE, SIDE), len(self._new.channels) if self._together else 1
        for page in range(self._page_count):
            for index in product(*(range(-(-side // SIDE)) for side in own)):
                region = doubled(tile_region(index, tile, own), above)
                pixels = np.empty((samples, *(part.stop - part.start for part in region)), self._new.dtype)
                for there in touched(region, tile):
                    part = tile_region(there, tile, above)
                    sides = [one.stop - one.start for one in part]
                    flat = np.frombuffer(zlib.decompress(self._data((level - 1, page, there))), self._new.dtype)
                    cut = flat.reshape(SIDE, SIDE, samples)[: sides[0], : sides[1]]
                    target = tuple(
                        slice(a.start - r.start, a.stop - r.start) for a, r in zip(part, region, strict=True)
                    )
                    pixels[(slice(None), *target)] = np.moveaxis(cut, -1, 0)
                self._pack((level, page, index), np.moveaxis(halved(pixels, labels=self._new.labels), 0, -1))


def _coarser(options: dict[str, Any], shapes: Sequence[tuple[int, ...]], level: int) -> dict[str, Any]:
    """The resolution of a smaller level, for programs that read it by itself; nothing where none is stated."""
    if "resolution" not in options:
        return {}
    (x, y), whole, own = options["resolution"], shapes[0], shapes[level]
    return {"resolution": (x * own[-1] / whole[-1], y * own[-2] / whole[-2])}
