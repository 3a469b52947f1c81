"""Outlines of objects as polygons along the edges of their pixels, and polygons filled again.

Corners are (x, y) in pixels, with (0, 0) the outer corner of the first pixel: the pixel (row, column) covers the square
from (column, row) to (column + 1, row + 1). So an outline holds its object exactly. ImageJ and QuPath measure alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.draw import polygon as filled_polygon

Ring = npt.NDArray[np.float64]
"""The corners of a closed line, (N, 2) x and y, without the first one again at the end."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Piece:
    """A connected piece of an object: its outer ring, and a ring around each hole."""

    outer: Ring
    holes: tuple[Ring, ...] = ()


@dataclass(frozen=True)
class Outline:
    """The pieces of one object, which may be several."""

    number: int
    pieces: tuple[Piece, ...]

    @property
    def rings(self) -> list[Ring]:
        """All rings. What lies within an odd number of them is the object."""
        return [ring for piece in self.pieces for ring in (piece.outer, *piece.holes)]

    @property
    def simple(self) -> bool:
        """Whether one ring says everything: one piece, no hole."""
        return len(self.rings) == 1


def outlines(objects: npt.NDArray[np.integer]) -> Iterator[Outline]:
    """The outline of each object of an array (Y, X), in the order of their numbers.

    Pixels that share an edge are of one piece. Rings are simple (they do not touch themselves) and valid polygons by
    the rules of the Open Geospatial Consortium: the outer ring goes clockwise as images are shown, holes the other way.

    Examples
    --------
    >>> outline = next(outlines(np.array([[0, 7, 7]])))
    >>> outline.number, outline.pieces[0].outer.astype(int).tolist()
    (7, [[1, 0], [3, 0], [3, 1], [1, 1]])
    """
    for number, box in enumerate(ndimage.find_objects(objects), start=1):
        if box is not None:
            yield Outline(number, tuple(_pieces(objects[box] == number, (box[1].start, box[0].start))))


def fill(rings: Iterable[Ring], shape: Sequence[int]) -> Mask:
    """The pixels (Y, X) whose centers lie within an odd number of the rings; what lies outside the image is cut off."""
    mask = np.zeros(shape, np.bool_)
    for ring in rings:
        rows, columns = filled_polygon(ring[:, 1] - 0.5, ring[:, 0] - 0.5, shape)  # type: ignore[no-untyped-call]
        mask[rows, columns] ^= True
    return mask


def _pieces(mask: Mask, start: tuple[int, int]) -> Iterator[Piece]:
    """The pieces of a mask whose first pixel lies at `start` (x, y)."""
    labeled, _ = ndimage.label(mask)
    for number, box in enumerate(ndimage.find_objects(labeled), start=1):
        inside = labeled[box] == number
        corner = np.array([start[0] + box[1].start, start[1] + box[0].start], np.float64)
        rings = [_straightened(ring) + corner for ring in _rings(inside)]
        rings.sort(key=area)
        yield Piece(rings[-1], tuple(rings[:-1]))


def _rings(mask: Mask) -> list[list[tuple[int, int]]]:
    """The closed lines along the edges between a connected mask and its outside, corner by corner."""
    ways = _edges(mask)
    made = []
    while ways:
        line = [next(iter(ways))]
        seen = {line[0]: 0}
        direction = (0, 0)
        while True:
            here = line[-1]
            if here not in ways:  # a line ends where it began: every corner is left as often as it is reached
                break
            onward = _turn(ways[here], direction)
            ways[here].remove(onward)
            if not ways[here]:
                del ways[here]
            direction = (onward[0] - here[0], onward[1] - here[1])
            if onward in seen:  # a loop is closed: a ring of its own
                begin = seen[onward]
                made.append(line[begin:])
                for corner in line[begin + 1 :]:
                    del seen[corner]
                del line[begin + 1 :]
            else:
                seen[onward] = len(line)
                line.append(onward)
    return made


def _edges(mask: Mask) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """From each corner to the next ones, clockwise around each pixel, where its neighbor is outside."""
    padded = np.pad(mask, 1)
    center = padded[1:-1, 1:-1]
    sides = (  # neighbor, from, to: corners relative to the pixel's first one
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    ways: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for neighbor, begin, end in sides:
        rows, columns = np.nonzero(center & ~neighbor)
        for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
            ways.setdefault((x + begin[0], y + begin[1]), []).append((x + end[0], y + end[1]))
    return ways


def _turn(onward: list[tuple[int, int]], direction: tuple[int, int]) -> tuple[int, int]:
    """Where two pixels meet at a corner only, the way around the same pixel: to the right."""
    if len(onward) == 1 or direction == (0, 0):
        return onward[0]
    first, second = onward  # opposite to each other: one goes right
    right = (-direction[1], direction[0])
    middle = ((first[0] + second[0]) / 2, (first[1] + second[1]) / 2)
    return first if (first[0] - middle[0], first[1] - middle[1]) == right else second


def _straightened(ring: list[tuple[int, int]]) -> Ring:
    """Without the corners at which the line goes straight on."""
    corners = np.asarray(ring, np.float64)
    steps = np.diff(corners, axis=0, append=corners[:1])
    turns = (steps != np.roll(steps, 1, axis=0)).any(axis=1)
    return np.asarray(corners[turns])


def area(ring: Ring) -> float:
    """The signed area of a ring: positive where it goes clockwise as images are shown."""
    x, y = ring.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)
