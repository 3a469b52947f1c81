"""`Fingerprint`: all that is kept of an image in order to find its relatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.image import Array, Grid, Image
from ulna.leaks.duplicates import digest, thumbnail
from ulna.leaks.edges import Edge, border_edges
from ulna.leaks.patches import Sketch, sketch
from ulna.orientation import orientation


@dataclass(frozen=True)
class Fingerprint:
    """All that is kept of an image in order to find its relatives."""

    digest: bytes
    thumbnail: npt.NDArray[np.float32]
    edges: tuple[Edge, ...]
    sketch: Sketch


def fingerprint_of(image: Image) -> Fingerprint:
    """The fingerprint of an image; of a volume as it stands upright, in whatever order and direction it is stored."""
    return fingerprint(upright(image.array, image.grid))


def upright(array: Array, grid: Grid) -> Array:
    """An array (C, *spatial) on a grid with its axes in the order and direction of the world; a plane as it is."""
    turn = orientation(grid)
    return np.ascontiguousarray(turn.apply(array)) if turn.changes else array


def fingerprint(array: Array) -> Fingerprint:
    """What is needed of an image (C, Y, X) or (C, Z, Y, X) of any dtype to compare it with others."""
    if array.ndim < 2 or not array.size:
        raise UlnaError(f"an image of the shape {array.shape} has nothing to compare")
    return Fingerprint(digest(array), thumbnail(array), tuple(border_edges(array)), sketch(array))
