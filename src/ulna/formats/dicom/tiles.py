"""Pictures of slides in tiles: where each frame of a file lies within the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ulna.errors import ReadError, UlnaError
from ulna.grid import Grid
from ulna.image import Array, Region, Source


@dataclass(frozen=True)
class Tiles:
    """The frames of a picture.

    Parameters
    ----------
    corners
        The row and the column in the whole at which each frame begins.
    size
        Rows and columns of a frame; those of the last ones may reach beyond the whole.
    grid
        Of the whole.
    """

    corners: tuple[tuple[int, int], ...]
    size: tuple[int, int]
    grid: Grid

    @cached_property
    def _corners(self) -> npt.NDArray[np.int64]:
        """The same as one array: a slide has many thousands."""
        return np.array(self.corners, np.int64).reshape(-1, 2)

    def place(self, corner: tuple[int, int]) -> Region:
        """The part of the whole that a frame fills."""
        return tuple(slice(k, min(k + n, side)) for k, n, side in zip(corner, self.size, self.grid.shape, strict=True))

    def paste(
        self, decode: Callable[[int], Array], region: Region, channels: int, dtype: np.dtype, *, fill: int = 0
    ) -> Array:
        """(C, Y, X) of a region of the whole, from the frames that reach into it; else `fill`, where no frame lies."""
        result = np.full((channels, *self.grid.crop(region).shape), fill, dtype)
        first, last = ([getattr(part, end) for part in region] for end in ("start", "stop"))
        reaches = ((self._corners < last) & (self._corners + self.size > first)).all(axis=1)
        for frame in np.flatnonzero(reaches).tolist():
            corner = self.corners[frame]
            whole = self.place(corner)
            both = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(whole, region, strict=True)]
            source = [slice(part.start - k, part.stop - k) for part, k in zip(both, corner, strict=True)]
            target = [slice(part.start - r.start, part.stop - r.start) for part, r in zip(both, region, strict=True)]
            result[(slice(None), *target)] = decode(frame)[(slice(None), *source)]
        return result


def tiles_of(source: Source, data: Any) -> Tiles | None:
    """The tiles of a file; None where it is no picture in tiles.

    Parameters
    ----------
    source
        The file.
    data
        Its header.

    Returns
    -------
    Tiles or None
        In the order of the frames.

    Raises
    ------
    ReadError
        For several focal planes or optical paths, and for frames that do not say where they lie.
    """
    if not data.get("TotalPixelMatrixRows"):
        return None
    for word in ("NumberOfOpticalPaths", "TotalPixelMatrixFocalPlanes"):
        if int(data.get(word) or 1) > 1:
            raise ReadError(f"holds several pictures ({word})", where=source, hint="Save one per file.")
    shape = int(data.TotalPixelMatrixRows), int(data.TotalPixelMatrixColumns)
    size, count = (int(data.Rows), int(data.Columns)), int(data.get("NumberOfFrames") or 1)
    own = data.get("PerFrameFunctionalGroupsSequence") or ()
    if len(own) == count and all("PlanePositionSlideSequence" in one for one in own):
        places = [one.PlanePositionSlideSequence[0] for one in own]
        corners = tuple(
            (int(one.RowPositionInTotalImagePixelMatrix) - 1, int(one.ColumnPositionInTotalImagePixelMatrix) - 1)
            for one in places
        )
    else:
        across = -(-shape[1] // size[1])
        if count != across * -(-shape[0] // size[0]):
            raise ReadError("does not say where its tiles lie", where=source)
        corners = tuple((k // across * size[0], k % across * size[1]) for k in range(count))
    return Tiles(corners, size, _grid(data, shape, source))


def _grid(data: Any, shape: tuple[int, int], source: Source) -> Grid:
    shared = (data.get("SharedFunctionalGroupsSequence") or [{}])[0]
    spacing = (shared.get("PixelMeasuresSequence") or [{}])[0].get("PixelSpacing")
    try:
        return Grid(shape, tuple(map(float, spacing)), "mm") if spacing else Grid(shape)
    except UlnaError as error:
        raise ReadError(f"says no place in space: {error.what}", where=source, hint="Correct its header.") from None
