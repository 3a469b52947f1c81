"""Tiles of one picture: borders that continue each other.

The idea of solvers of square jigsaw puzzles (A. C. Gallagher: Jigsaw puzzles with components of unknown
orientation, CVPR 2012): two components belong together where the step across the seam is as small as the steps
inside the components, and no other piece fits nearly as well. Dark backgrounds fit everywhere; here they count
for nothing, because a step is always compared with the one that unrelated borders of the same kind give.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ulna.image import Array

#: Seams less clear than this are not considered, and decoys less clear than this are not counted.
CLEAR = 1.0
#: How far a seam must lead before the next best in any case.
LEAD = 0.3
#: Largest chance that two unrelated borders of this little structure would give as small a step.
CHANCE = 0.05
#: Largest surplus of pixels that are brighter on one side of a seam, as a share: a step of the ground.
SURPLUS = 0.4
#: Largest squared step across a seam, relative to those inside the two images beside it: cut pictures give 1,
#: seldom 2; strangers that are alike along the border but for a step of brightness give 1.5 to 30.
STEP = 2.5
#: Expected number of false seams in a data set.
FALSE_SEAMS = 0.05
#: How fast decoys thin out with clearness where there are too few to tell, and for how many decoys that counts.
DECAY, KNOWN = 0.5, 10
#: Far borders that are compared with all near ones at a time: the memory grows with their number, not its square.
BLOCK = 256
#: Shorter borders than this many pixels say too little.
MIN_LENGTH = 32


@dataclass(frozen=True)
class Edge:
    """One border of an image: its outermost line and the next one inwards, each (C, *border) float32.

    `axis` is the spatial axis that it closes, `high` whether it is the far end (right, bottom) of that axis.
    `unit` is the smallest step of the image's values: 1 for integers.
    """

    axis: int
    high: bool
    outer: npt.NDArray[np.float32]
    inner: npt.NDArray[np.float32]
    unit: float


@dataclass(frozen=True)
class Seam:
    """Two adjacent edges that fit: image `first`'s far end and `second`'s near end of spatial axis `axis`.

    `likeness` is minus the logarithm of the squared step across the seam relative to that of unrelated
    borders, less half the logarithm of the same step relative to the steps inside the two images. `lead` is
    by how much that beats the next best: any other image at either border, or the same border shifted along
    the seam. `step` is the squared step relative to those inside the images, and `surplus` by how much more of the
    pixels are brighter on one side of the seam than on the other.
    """

    first: int
    second: int
    axis: int
    likeness: float
    lead: float
    step: float
    surplus: float

    @property
    def strength(self) -> float:
        """How clear the seam is; steps like those inside the images and an even ground take nothing off."""
        return self.likeness + self.lead - 2 * math.log(max(self.step, 1.0)) - 3 * self.surplus


def border_edges(array: Array) -> list[Edge]:
    """The borders of an image (C, *spatial): two a spatial axis that is at least 4 long. Raises nothing."""
    unit = _unit(array)
    found = []
    for axis in range(array.ndim - 1):
        if array.shape[axis + 1] < 4:
            continue
        for high in (False, True):
            outer, inner = (np.take(array, at, axis + 1) for at in ((-1, -2) if high else (0, 1)))
            found.append(Edge(axis, high, _finite(outer), _finite(inner), unit))
    return found


def _finite(line: Array) -> npt.NDArray[np.float32]:
    return np.nan_to_num(line.astype(np.float32), posinf=0, neginf=0)


def _unit(array: Array) -> float:
    if array.dtype.kind in "iub":
        return 1.0
    values = array[np.isfinite(array)]
    spread = float(np.ptp(np.percentile(values, (0.1, 99.9)))) if values.size else 0.0
    return max(spread / 255, 1e-12)


def find_seams(borders: Sequence[Sequence[Edge]]) -> list[Seam]:
    """The seams between images whose `border_edges` are given, each border in one seam at most, clearest first.

    Which seams are clear enough is decided by decoys: borders that cannot continue each other because both are of
    the same side, or because one of them is reversed, but that have the same frame, shading and structure. What
    these give says how many false seams the data set would give, and `FALSE_SEAMS` are accepted (as in target-decoy
    searches: J. E. Elias, S. P. Gygi, Nature Methods 4, 2007).
    """
    found: list[Seam] = []
    decoys: list[float] = []
    for axis, far, near in _buckets(borders):
        found.extend(_seams_of_bucket(axis, far, near))
        decoys.extend(_strengths_of_decoys(axis, far, near))
    bar = _bar(decoys)
    clear = [seam for seam in found if seam.strength >= bar]
    return sorted(clear, key=lambda seam: (-seam.strength, seam.first, seam.second))


Side = list[tuple[int, Edge]]


def _buckets(borders: Sequence[Sequence[Edge]]) -> Iterator[tuple[int, Side, Side]]:
    """Axis, far and near borders of equal shape, of the same images in the same order."""
    buckets: dict[tuple[int, tuple[int, ...]], dict[bool, Side]] = {}
    for index, of_image in enumerate(borders):
        for face in of_image:
            sides = buckets.setdefault((face.axis, face.outer.shape), {False: [], True: []})
            sides[face.high].append((index, face))
    for (axis, shape), sides in sorted(buckets.items()):
        if np.prod(shape[1:]) >= MIN_LENGTH and len(sides[True]) > 1:
            yield axis, sides[True], sides[False]


def _strengths_of_decoys(axis: int, far: Side, near: Side) -> Iterator[float]:
    """How clear seams are that cannot be, of five kinds; of borders of one side each pair counts once."""
    yield from (seam.strength for seam in _seams_of_bucket(axis, far, _reversed(near)))
    for side in (far, near):
        for other in (side, _reversed(side)):
            yield from (seam.strength for seam in _seams_of_bucket(axis, side, other) if seam.first < seam.second)


def _reversed(side: Side) -> Side:
    """The borders, each running the other way."""
    return [(index, replace(face, outer=_flipped(face.outer), inner=_flipped(face.inner))) for index, face in side]


def _flipped(line: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.flip(line, tuple(range(1, line.ndim)))


def _bar(decoys: Sequence[float]) -> float:
    """How clear a seam must be for `FALSE_SEAMS` to be expected, by an exponential tail of the decoys."""
    above = [strength - CLEAR for strength in decoys if strength >= CLEAR]
    decay = (sum(above) + KNOWN * DECAY) / (len(above) + KNOWN)
    expected = (len(above) + 1) / 3  # decoys are three times as many pairs; one more than were seen: none may be chance
    return CLEAR + decay * math.log(expected / FALSE_SEAMS)


def _seams_of_bucket(axis: int, far: Side, near: Side) -> Iterator[Seam]:
    """The seams of at least the clearness `CLEAR` between far and near borders, and of borders taken for such."""
    lines = _Lines.of([face for _, face in far], [face for _, face in near])
    in_row, in_column = _least_costs(lines)
    for a, b in enumerate(in_row.where):
        likeness = -float(in_row.least[a])
        if in_column.where[b] != a or likeness <= 0:
            continue
        step, surplus = lines.step(a, int(b)), lines.surplus(a, int(b))
        if surplus > SURPLUS or step > STEP or lines.by_chance(a, int(b)) > CHANCE:
            continue
        others = min(in_row.second[a], in_column.second[b], lines.shifted(a, int(b)).min(initial=np.inf))
        lead = float(others) + likeness
        seam = Seam(far[a][0], near[int(b)][0], axis, likeness, lead, step, surplus)
        if lead >= LEAD and seam.strength >= CLEAR:
            yield seam


def _least_costs(lines: _Lines) -> tuple[_Least, _Least]:
    """The least and second least cost of each far border, and of each near one, in blocks of far borders."""
    count = len(lines.far)
    rows: list[_Least] = []
    columns = _Least(np.zeros(count, np.intp), np.full(count, np.inf), np.full(count, np.inf))
    for start in range(0, count, BLOCK):
        cost = lines.cost(start, start + BLOCK)
        here = np.arange(len(cost))
        cost[here, start + here] = np.inf  # an image is not its own neighbor
        rows.append(_Least.of(cost, axis=1))
        columns = columns.joined(_Least.of(cost, axis=0), start)
    return _Least(*(np.concatenate(parts) for parts in zip(*rows, strict=True))), columns


class _Least(NamedTuple):
    """Where the least of several costs stands (the first of equal ones), that cost, and the second least: (n,)."""

    where: npt.NDArray[np.intp]
    least: Array
    second: Array

    @classmethod
    def of(cls, cost: Array, axis: int) -> _Least:
        """Along one axis of a matrix, which is changed meanwhile and is then as it was."""
        where = np.expand_dims(cost.argmin(axis), axis)
        least = np.take_along_axis(cost, where, axis)
        np.put_along_axis(cost, where, np.inf, axis)
        second = cost.min(axis)
        np.put_along_axis(cost, where, least, axis)
        return cls(where.squeeze(axis), least.squeeze(axis), second)

    def joined(self, later: _Least, start: int) -> _Least:
        """These and later ones, whose places count from `start`."""
        better = later.least < self.least
        second = np.minimum(np.maximum(self.least, later.least), np.minimum(self.second, later.second))
        where = np.where(better, later.where + start, self.where)
        return _Least(where, np.minimum(self.least, later.least), second)


@dataclass(frozen=True)
class _Lines:
    """adjacent lines as logarithms (n, C, *border), squared steps inside their images, and a squared noise."""

    far: Array
    near: Array
    inside_far: Array
    inside_near: Array
    noise: float

    @classmethod
    def of(cls, far: list[Edge], near: list[Edge]) -> _Lines:
        """Take logarithms above the darkest value, so that dim and bright structures count alike."""
        stack = np.stack([line for face in (*far, *near) for line in (face.outer, face.inner)])
        unit = float(np.median([face.unit for face in far]))
        low, middle = (float(value) for value in np.percentile(stack, (1, 50)))
        offset = max(middle - low, unit)
        logs = np.log(np.maximum(stack - low, 0) + offset)
        outer, inner = logs[::2], logs[1::2]
        inside = ((outer - inner) ** 2).mean(axis=tuple(range(1, outer.ndim)))
        noise = max(0.1 * float(np.median(inside)), (unit / offset) ** 2 / 12)
        n = len(far)
        return cls(outer[:n], outer[n:], inside[:n], inside[n:], noise)

    def cost(self, start: int, stop: int) -> Array:
        """Minus the likeness of the far borders from `start` to before `stop` with every near one."""
        some = self.far[start:stop]
        far, near = some.reshape(len(some), -1), self.near.reshape(len(self.near), -1)
        squares = (far**2).mean(axis=1)[:, None] + (near**2).mean(axis=1)
        step = squares - 2 * (far @ near.T) / far.shape[1]
        means = [lines.reshape(*lines.shape[:2], -1).mean(axis=2) for lines in (some, self.near)]
        unrelated = squares - 2 * (means[0] @ means[1].T) / means[0].shape[1]
        return self._cost(step, unrelated, np.sqrt(self.inside_far[start:stop, None] * self.inside_near))

    def _cost(self, step: Array, unrelated: Array, inside: Array) -> Array:
        step = np.maximum(step, 0) + self.noise
        relative = np.log(step / (np.maximum(unrelated, 0) + self.noise))
        return np.asarray(relative + 0.5 * np.log(step / (inside + self.noise)))

    def shifted(self, a: int, b: int) -> Array:
        """The cost of the seam when one border is rolled along it, by at least a sixteenth of its length."""
        far, near = self.far[a], self.near[b]
        axes = tuple(range(1, far.ndim))
        shape = far.shape[1:]
        spectrum = np.fft.rfftn(far, axes=axes).conj() * np.fft.rfftn(near, axes=axes)
        products = np.fft.irfftn(spectrum, shape, axes=axes).mean(axis=0) / np.prod(shape)
        squares = float((far**2).mean() + (near**2).mean())
        unrelated = squares - 2 * float((far.mean(axis=axes) * near.mean(axis=axes)).mean())
        inside = np.sqrt(self.inside_far[a] * self.inside_near[b])
        cost = self._cost(squares - 2 * products, np.asarray(unrelated), inside)
        keep = np.zeros(shape, bool)
        for axis, size in enumerate(shape):
            distance = np.minimum(np.arange(size), size - np.arange(size))
            keep |= (distance >= max(4, size // 16)).reshape([-1 if k == axis else 1 for k in range(len(shape))])
        return np.asarray(cost[keep])

    def surplus(self, a: int, b: int) -> float:
        """By how much more of the pixels are brighter on one side of the seam than on the other: 0 to 1."""
        return float(abs(np.sign(self.far[a] - self.near[b]).mean()))

    def step(self, a: int, b: int) -> float:
        """The squared step across the seam relative to the steps inside the two images."""
        across = float(((self.far[a] - self.near[b]) ** 2).mean())
        inside = float(np.sqrt(self.inside_far[a] * self.inside_near[b]))
        return (across + self.noise) / (inside + self.noise)

    def by_chance(self, a: int, b: int) -> float:
        """The chance, at most, that unrelated Gaussian lines with these spectra give a step as small as this.

        The squared step of unrelated lines is chi-squared with as many degrees of freedom as the lines have
        independent values, (Σ power)² / Σ power² over their spectra; Chernoff's bound on its lower tail.
        """
        far, near = self.far[a], self.near[b]
        axes = tuple(range(1, far.ndim))
        spectra = [np.abs(np.fft.fftn(line.mean(axis=0))) ** 2 for line in (far, near)]
        power = (spectra[0] + spectra[1]).ravel()[1:]
        freedom = float(power.sum() ** 2 / max((power**2).sum(), 1e-30))
        step = float(((far - near) ** 2).mean()) + self.noise
        apart = far.mean(axis=axes) - near.mean(axis=axes)
        unrelated = float(far.var(axis=axes).mean() + near.var(axis=axes).mean() + (apart**2).mean()) + self.noise
        ratio = min(step / unrelated, 1.0)
        return float(np.exp(0.5 * freedom * (1 - ratio + np.log(ratio))))
