"""Objects of an image whose outputs no memory holds: decoded in blocks, each object whole and once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt

from ulna.image import Array, Grid, Labels, Region
from ulna.numbering import first_places

BLOCK = {1: (1 << 20,), 2: (1024, 2048), 3: (64, 256, 256)}
"""Sides of blocks by the number of axes; the first is short, for a band of them is held across the whole image."""

HALO = {1: 128, 2: 128, 3: 32}
"""So far a block is seen beyond its edges at first, by the number of axes: more than most cells are wide, pixels."""

MOST = 1 << 24
"""A window that is enlarged for the sake of an object has no more pixels than these: to find objects takes some 50
bytes for each."""

SAME = 0.5
"""An object of which a larger share is taken already is one that another block has found."""

Read = Callable[[Region], Array]
"""From a region to what the network says there, (K, *region)."""

Decode = Callable[[Array, Grid], Labels]
"""From what the network says of a region, on its grid, to labels with objects."""


@dataclass(frozen=True)
class Band:
    """A part of an image across all of its axes but the first, and what was found in it.

    Parameters
    ----------
    region
        Where it lies.
    labels
        Its labels; the scores are those of the objects that begin in it.
    classes
        The class indices of these objects, whose numbers follow those of the bands before.
    """

    region: Region
    labels: Labels
    classes: tuple[int, ...]


def decoded_bands(
    read: Read,
    grid: Grid,
    decode: Decode,
    *,
    smallest: int = 0,
    cut: Callable[[int], None] = lambda _count: None,
    block: Sequence[int] = (),
    halo: int = 0,
    most: int = MOST,
) -> Iterator[Band]:
    """Labels of an image band by band, in the order of its first axis; each pixel once.

    An object belongs to the block in which its first pixel lies, in the order of rows. The block is seen with so much
    around it that its objects lie in there as a whole. Where regions of foreground that are not connected with each
    other do not affect each other, as in a watershed, the result is that of the whole image for each region that lies
    within what is seen, and does not depend on the size of the blocks; of a larger one objects in the middle do not
    feel its edges.

    Parameters
    ----------
    read
        Gives what the network says of a region; regions of neighboring blocks overlap.
    grid
        Of the image.
    decode
        Finds the objects of a region, numbered from 1 without gaps, also small ones: of an object that is cut off in a
        window the part that is seen may be small.
    smallest
        Objects of fewer pixels are left out.
    cut
        Is told how many objects of a block are numbered in part, since what holds them is too large.
    block
        Sides of the blocks; by default those of `BLOCK`.
    halo
        How far beyond a block is seen, pixels, by default as in `HALO`; as often doubled as one of its objects needs.
    most
        No window is enlarged beyond so many pixels. Of an object for which that is too small only what lies within the
        window is numbered.

    Yields
    ------
    Band
        Numbers go on from band to band.
    """
    halo = halo or HALO[grid.ndim]
    shape = grid.shape
    rows, *others = (_spans(side, cut) for side, cut in zip(shape, block or BLOCK[grid.ndim], strict=True))
    pending = _Pending(shape[1:])
    count = 0
    names: tuple[str, ...] = ()
    for band in rows:
        scores: list[float] = []
        begun: list[int] = []
        for core in itertools.product([band], *others):
            window, labels, numbers, parts = _whole_objects(read, grid, decode, core, halo=halo, most=most)
            if parts:
                cut(parts)
            kept = pending.add(window, labels, numbers, after=count, smallest=smallest)
            count += len(kept)
            scores += [labels.scores[number - 1] for number in kept if labels.scores]
            begun += labels.classes.ravel()[first_places(np.asarray(labels.objects))[kept]].tolist()
            names = labels.names
        region = (band, *(slice(0, side) for side in shape[1:]))
        objects, classes = pending.taken(band.stop - band.start)
        yield Band(region, Labels(classes, objects, grid.crop(region), names, tuple(scores)), tuple(begun))


def count_bands(grid: Grid) -> int:
    """How many bands `decoded_bands` gives of an image."""
    return len(_spans(grid.shape[0], BLOCK[grid.ndim][0]))


def _spans(side: int, cut: int) -> list[slice]:
    return [slice(start, min(start + cut, side)) for start in range(0, side, cut)]


def _whole_objects(
    read: Read, grid: Grid, decode: Decode, core: Region, *, halo: int, most: int
) -> tuple[Region, Labels, npt.NDArray[np.intp], int]:
    """A window around a block, its labels, the numbers of the objects that begin in the block, and how many are cut."""
    while True:
        window = _around(core, halo, grid.shape)
        labels = decode(read(window), grid.crop(window))
        assert labels.objects is not None  # of a task that finds objects
        halo *= 2
        larger = _around(core, halo, grid.shape)
        # also one that begins elsewhere: of two that are cut off and taken for one, the other may begin here
        inner = tuple(slice(c.start - w.start, c.stop - w.start) for c, w in zip(core, window, strict=True))
        here = np.unique(labels.objects[inner])
        at_edges = _at_edges(labels.objects, window, grid.shape)
        whole = not np.isin(here[here > 0], at_edges).any()
        if whole or larger == window or prod(part.stop - part.start for part in larger) > most:
            begin = _beginning(labels.objects, window, core)
            return window, labels, begin, int(np.isin(begin, at_edges).sum())


def _around(core: Region, halo: int, shape: Sequence[int]) -> Region:
    return tuple(
        slice(max(0, part.start - halo), min(side, part.stop + halo)) for part, side in zip(core, shape, strict=True)
    )


def _beginning(objects: npt.NDArray[np.int32], window: Region, core: Region) -> npt.NDArray[np.intp]:
    """Numbers of the objects whose first pixel lies in the block."""
    first = first_places(objects)
    inside = np.ones(first.shape, np.bool_)
    for place, seen, own in zip(np.unravel_index(first, objects.shape), window, core, strict=True):
        inside &= (place >= own.start - seen.start) & (place < own.stop - seen.start)
    inside[0] = False
    return np.flatnonzero(inside)


def _at_edges(objects: npt.NDArray[np.int32], window: Region, shape: Sequence[int]) -> npt.NDArray[np.int32]:
    """Numbers at the edges of the window that are not those of the image."""
    edges = [np.zeros(0, np.int32)]
    for axis, (part, side) in enumerate(zip(window, shape, strict=True)):
        edges += [objects.take(0, axis).ravel()] * (part.start > 0)
        edges += [objects.take(-1, axis).ravel()] * (part.stop < side)
    return np.unique(np.concatenate(edges))


@dataclass
class _Pending:
    """The rows that are not given away yet: objects of finished blocks reach into them.

    Parameters
    ----------
    sides
        Of a row.
    """

    sides: tuple[int, ...]
    top: int = 0
    objects: npt.NDArray[np.int32] = field(init=False)
    classes: npt.NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        self.objects = np.zeros((0, *self.sides), np.int32)
        self.classes = np.zeros((0, *self.sides), np.uint8)

    def add(
        self, window: Region, labels: Labels, numbers: npt.NDArray[np.intp], *, after: int, smallest: int
    ) -> list[int]:
        """Put objects of a window in, numbered from `after` + 1 on; the numbers that they had in the window.

        Those that are too small are left out, and those that another block has found already.
        """
        assert labels.objects is not None
        known = np.zeros(int(labels.objects.max(initial=0)) + 1, np.int32)
        known[numbers] = 1
        rows = np.flatnonzero((known[labels.objects] > 0).any(axis=tuple(range(1, labels.objects.ndim))))
        if not rows.size:
            return []
        above = window[0].start + int(rows[0])
        cut = slice(int(rows[0]), int(rows[-1]) + 1)
        there = (slice(above - self.top, window[0].start + cut.stop - self.top), *window[1:])
        self._reach(there[0].stop)
        found, taken = labels.objects[cut], self.objects[there] > 0
        areas, lost = (np.bincount(part, minlength=len(known)) for part in (found.ravel(), found[taken]))
        kept = [
            number
            for number in numbers.tolist()
            if lost[number] <= SAME * areas[number] and areas[number] >= max(smallest, 1)
        ]
        known[:] = 0
        known[kept] = np.arange(after + 1, after + 1 + len(kept))
        new = np.where(taken, 0, known[found])
        self.objects[there] += new
        self.classes[there][new > 0] = labels.classes[cut][new > 0]
        return kept

    def taken(self, rows: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """The first rows, which are complete: no later object reaches up into them."""
        self._reach(rows)
        objects, classes = self.objects[:rows], self.classes[:rows]
        self.objects, self.classes, self.top = self.objects[rows:].copy(), self.classes[rows:].copy(), self.top + rows
        return objects, classes

    def _reach(self, rows: int) -> None:
        missing = rows - len(self.objects)
        if missing > 0:
            self.objects = np.concatenate([self.objects, np.zeros((missing, *self.sides), np.int32)])
            self.classes = np.concatenate([self.classes, np.zeros((missing, *self.sides), np.uint8)])
