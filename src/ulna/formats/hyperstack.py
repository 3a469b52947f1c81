"""Images of named axes, as files of microscopes hold them: time, channels, planes, rows, columns, colors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ulna.errors import ReadError
from ulna.formats.base import GRAY, RGB, Reader, guard_memory
from ulna.formats.selection import times_of
from ulna.image import Array, Channel, Grid, Region, Source
from ulna.text import plural

ORDER = "TCSZYX"
"""Time, channels, samples of a color, planes, rows, columns."""


@dataclass(frozen=True)
class Hyperstack:
    """What a file holds, at one resolution or several.

    Parameters
    ----------
    axes
        A letter per axis of the file, those of `ORDER` in any order; Y and X are there.
    shapes
        The lengths of these axes, per level; those in space differ.
    dtype
        The type of the samples, in the machine's byte order.
    cut
        From a slice per axis, and a level, to that part, all axes in the order of `axes`.
    names
        Of the channels; empty where the file has none.
    notes
        What is said of how the file was read.
    scenes
        The names of the images of the file, of which this is one; empty for one without a name.
    """

    axes: str
    shapes: tuple[tuple[int, ...], ...]
    dtype: np.dtype
    cut: Callable[[tuple[slice, ...], int], Array]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()

    def length(self, letter: str, level: int = 0) -> int:
        """The length of an axis; 1 where there is none."""
        return self.shapes[level][self.axes.index(letter)] if letter in self.axes else 1

    def channels(self) -> tuple[Channel, ...]:
        """The channels of a plane: those that are named, or numbered, each in three colors where it has them."""
        count, samples = self.length("C"), self.length("S")
        colors = RGB if samples == 3 else tuple(Channel(f"sample {k}") for k in range(samples))
        names = self.names if len(self.names) == count and all(self.names) else ()
        if samples == 1:
            return tuple(map(Channel, names or (f"channel {k}" for k in range(count)))) if count > 1 or names else GRAY
        if count == 1:
            return colors
        outer = names or tuple(map(str, range(count)))
        return tuple(Channel(f"{name} {color.name}") for name in outer for color in colors)

    def read(self, time: int, region: Region, level: int) -> Array:
        """A part of one time point.

        Parameters
        ----------
        time
            Which one.
        region
            A slice for the planes, the rows and the columns each.
        level
            The resolution.

        Returns
        -------
        Array
            (C, Z, Y, X), samples among the channels.
        """
        wanted = {"T": slice(time, time + 1), "Z": region[0], "Y": region[1], "X": region[2]}
        whole = {letter: slice(0, self.length(letter)) for letter in "CS"}
        array = np.asarray(self.cut(tuple((wanted | whole)[letter] for letter in self.axes), level))
        present = [letter for letter in ORDER if letter in self.axes]
        array = array.transpose([self.axes.index(letter) for letter in present])
        sides = {letter: part.stop - part.start for letter, part in (wanted | whole).items()}
        if array.shape != tuple(sides[letter] for letter in present):
            raise ValueError("its pixels are not those that it announces")
        planes = (sides["C"] * sides["S"], sides["Z"], sides["Y"], sides["X"])
        return array.reshape(planes).astype(self.dtype, copy=False)


def reader_of(stack: Hyperstack, grids: Sequence[Grid], source: Source) -> Reader:
    """The reader of a hyperstack: (C, Z, Y, X), or (C, Y, X) where it has one plane in all.

    `source.time` picks a time point; without it the planes of all follow each other. `source.page` picks one plane of
    these, and `source.channel` one channel.

    Parameters
    ----------
    stack
        What the file holds.
    grids
        Of one time point per level: (Z, Y, X), or (Y, X) where there is one plane.
    source
        The file and the selection.

    Returns
    -------
    Reader
        `assumed` says which time points are read as planes, and the notes of the hyperstack.

    Raises
    ------
    ReadError
        For a time point, plane or channel that is not there.
    """
    depth, count = stack.length("Z"), stack.length("T")
    times = times_of(count, source)
    places = [[(time, plane) for time in times for plane in range(stack.length("Z", k))] for k in range(len(grids))]
    if source.page is not None:  # of a level with fewer planes none is that page
        number = _picked(source.page, len(places[0]), "page", source)
        grids = [grid for k, grid in enumerate(grids) if stack.length("Z", k) == depth]
        places = [[places[0][number]]] * len(grids)
    channels, picked = stack.channels(), slice(None)
    if source.channel is not None:
        number = _picked(source.channel, len(channels), "channel", source)
        channels, picked = channels[number : number + 1], slice(number, number + 1)
    levels = tuple(_grid(grid, len(own), source.page) for grid, own in zip(grids, places, strict=True))

    def decode(region: Region, level: int) -> Array:
        rows, columns = region[-2:]
        wanted = places[level][region[0]] if len(region) == 3 else places[level]
        sides = len(wanted), rows.stop - rows.start, columns.stop - columns.start
        samples = stack.length("C") * stack.length("S")
        guard_memory(samples * prod(sides) * stack.dtype.itemsize, source, shape=sides)
        parts = [
            stack.read(time, (slice(first, last + 1), rows, columns), level)[picked]
            for time, first, last in _runs(wanted)
        ]
        array = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return array if len(region) == 3 else array[:, 0]

    notes = [*stack.notes]
    if len(times) > 1:
        each = f" of {plural(depth, 'plane')} each" if depth > 1 else ""
        said = f"its {plural(count, 'time point')}{each} are read as pages one after the other"
        notes.append(f"{said} (data.time chooses one)")
    return Reader(
        source,
        levels[0],
        stack.dtype,
        channels,
        decode,
        levels=levels,
        planes=depth * len(times),
        times=len(times),
        time_points=count,
        scenes=stack.scenes,
        assumed="; ".join(notes),
    )


def _picked(number: int, count: int, noun: str, source: Source) -> int:
    if not 0 <= number < count:
        raise ReadError(f"has {plural(count, noun)}, {noun} {number} is asked for", where=source)
    return number


def _grid(grid: Grid, planes: int, page: int | None) -> Grid:
    """The grid of so many planes, from that of one time point."""
    if page is not None and grid.ndim == 3:
        return grid.plane(page % grid.shape[0])
    if planes == (grid.shape[0] if grid.ndim == 3 else 1):
        return grid
    inner = grid if grid.ndim == 3 else Grid((1, *grid.shape), (1.0, *grid.spacing), grid.unit, (0.0, *grid.origin))
    return Grid((planes, *inner.shape[1:]), inner.spacing, inner.unit, inner.origin, inner.direction)


def _runs(places: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Time, first and last plane of each run of neighboring planes."""
    runs: list[tuple[int, int, int]] = []
    for time, plane in places:
        if runs and runs[-1][0] == time and runs[-1][2] == plane - 1:
            runs[-1] = (time, runs[-1][1], plane)
        else:
            runs.append((time, plane, plane))
    return runs
