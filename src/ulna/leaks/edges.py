"""Tiles of one picture: borders that continue each other.

The idea of solvers of square jigsaw puzzles (A. C. Gallagher: Jigsaw puzzles with components of unknown
orientation, CVPR 2012): two components belong together where the step across the seam is as small as the steps
inside the components, and no other piece fits nearly as well. Dark backgrounds fit everywhere; here they count
for nothing, because a step is always compared with the one that unrelated borders of the same kind give.

What still looked like a seam by chance were two borders that each cross a nucleus or two in the same places. Their
steps are small by the measure of the nuclei's rims, but not by that of the places where they lie, and nuclei do not
go on across them as they come; so steps are also held against those near by, and the slopes on both sides against
each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ulna.image import Array

#: Decoys less clear than this are not counted, and seams less clear than `MIN_CLEAR` are not considered.
CLEAR, MIN_CLEAR = 1.7, 0.7
#: How far a seam must lead before the next best in any case.
LEAD = 0.3
#: Largest chance that two unrelated borders of this little structure would give as small a step.
CHANCE = 0.05
#: Largest surplus of pixels that are brighter on one side of a seam, as a share: a step of the ground.
SURPLUS = 0.4
#: Largest squared step across a seam, relative to those inside the two images beside it: cut pictures give 1,
#: seldom 2; strangers that are alike along the border but for a step of brightness give 1.5 to 30.
STEP = 2.5
#: Expected number of false seams in a data set; with that of false near-duplicates, 0.05 false joins.
FALSE_SEAMS = 0.03
#: How fast decoys thin out with clearness where there are too few to tell, and for how many decoys that counts.
DECAY, KNOWN = 0.5, 10
#: Pairs of borders among which one decoy is expected where none was seen.
MANY = 3000
#: Far borders that are compared with all near ones at a time: the memory grows with their number, not its square.
BLOCK = 256
#: Lines of a border that are kept, and the reach along it (standard deviation, pixels) of what counts as near by.
DEPTH, ALONG = 3, 2.0
#: Shorter borders than this many pixels say too little.
MIN_LENGTH = 32


@dataclass(frozen=True)
class Edge:
    """One border of an image: its outermost `DEPTH` lines from the border inwards, (DEPTH, C, *border) float32.

    `axis` is the spatial axis that it closes, `high` whether it is the far end (right, bottom) of that axis.
    `unit` is the smallest step of the image's values: 1 for integers.
    """

    axis: int
    high: bool
    lines: npt.NDArray[np.float32]
    unit: float


@dataclass(frozen=True)
class Seam:
    """Two adjacent edges that fit: image `first`'s far end and `second`'s near end of spatial axis `axis`.

    `likeness` is minus the logarithm of the squared step across the seam relative to that of unrelated
    borders, less half the logarithm of the same step relative to the steps inside the two images. `lead` is
    by how much that beats the next best: any other image at either border, or the same border shifted along
    the seam. `step` is the squared step relative to those inside the images, and `local_step` the mean of the squared
    step relative to those inside near the same place of the border: borders that cross a nucleus in the same place by
    chance differ at its rim and in the level of the ground by more than neighboring lines of one image do. `slope` is
    the correlation of the slopes towards the seam with those away from it. `surplus` is by how much more of the
    pixels are brighter on one side of the seam than on the other.
    """

    first: int
    second: int
    axis: int
    likeness: float
    lead: float
    step: float
    local_step: float
    slope: float
    surplus: float

    @property
    def strength(self) -> float:
        """How clear the seam is, by weights with which seams of cut pictures stand out best from decoys."""
        steps = math.log(max(self.step, 1.0)) + 3 * math.log(max(self.local_step, 0.1))
        return self.lead + 0.3 * self.likeness - steps + self.slope - 2 * self.surplus


def border_edges(array: Array) -> list[Edge]:
    """The borders of an image (C, *spatial): two a spatial axis that is at least 4 long. Raises nothing."""
    unit = _unit(array)
    found = []
    for axis in range(array.ndim - 1):
        if array.shape[axis + 1] < 4:
            continue
        for high in (False, True):
            lines = np.stack([np.take(array, -1 - k if high else k, axis + 1) for k in range(DEPTH)])
            found.append(Edge(axis, high, np.nan_to_num(lines.astype(np.float32), posinf=0, neginf=0), unit))
    return found


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
    pairs = 0
    for axis, images, lines in _buckets(borders):
        pairs += len(images) * (len(images) - 1)
        found.extend(_seams_of(axis, images, lines))
        for decoy in lines.decoys():
            decoys.extend(seam.strength for seam in _seams_of(axis, images, decoy))
    bar = _bar(decoys, pairs)
    clear = [seam for seam in found if seam.strength >= bar]
    return sorted(clear, key=lambda seam: (-seam.strength, seam.first, seam.second))


def _buckets(borders: Sequence[Sequence[Edge]]) -> Iterator[tuple[int, list[int], _Lines]]:
    """Axis, images and lines of the borders of equal shape."""
    buckets: dict[tuple[int, tuple[int, ...]], dict[bool, list[Edge]]] = {}
    members: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for index, of_image in enumerate(borders):
        for edge in of_image:
            key = (edge.axis, edge.lines.shape[1:])
            buckets.setdefault(key, {False: [], True: []})[edge.high].append(edge)
            if edge.high:
                members.setdefault(key, []).append(index)
    for (axis, shape), sides in sorted(buckets.items()):
        if np.prod(shape[1:]) >= MIN_LENGTH and len(sides[True]) > 1:
            yield axis, members[axis, shape], _Lines.of(sides[True], sides[False])


def _bar(decoys: Sequence[float], pairs: int = MANY) -> float:
    """How clear a seam must be for `FALSE_SEAMS` to be expected of so many pairs, by an exponential tail of the decoys.

    Decoys are three times as many pairs. Some more are counted than were seen, for none may be chance: one, or less
    where there are not `MANY` pairs. Few pairs need less than `CLEAR`.
    """
    above = [strength - CLEAR for strength in decoys if strength >= CLEAR]
    decay = (sum(above) + KNOWN * DECAY) / (len(above) + KNOWN)
    expected = (len(above) + min(pairs / MANY, 1)) / 3
    return max(CLEAR + decay * math.log(max(expected, 1e-9) / FALSE_SEAMS), MIN_CLEAR)


def _seams_of(axis: int, images: Sequence[int], lines: _Lines) -> Iterator[Seam]:
    """The seams of at least the clearness `MIN_CLEAR` between far and near borders, and of borders taken for such."""
    in_row, in_column = _least_costs(lines)
    for a, where in enumerate(in_row.where):
        b = int(where)
        likeness = -float(in_row.least[a])
        if in_column.where[b] != a or likeness <= 0 or (lines.one_side and b < a):
            continue
        step, surplus = lines.step(a, b), lines.surplus(a, b)
        if surplus > SURPLUS or step > STEP or lines.by_chance(a, b) > CHANCE:
            continue
        others = min(in_row.second[a], in_column.second[b], lines.shifted(a, b).min(initial=np.inf))
        lead = float(others) + likeness
        if lead < LEAD:
            continue
        local_step, slope = lines.local_step(a, b), lines.slope(a, b)
        seam = Seam(images[a], images[b], axis, likeness, lead, step, local_step, slope, surplus)
        if seam.strength >= MIN_CLEAR:
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
    """The lines of far and near borders as logarithms: the outermost (n, C, *border), and `deep` all of them
    (n, DEPTH, C, *border); squared steps inside their images, and a squared noise. `one_side` says that far and near
    borders are the same ones, so that each pair is there twice."""

    far: Array
    near: Array
    deep_far: Array
    deep_near: Array
    inside_far: Array
    inside_near: Array
    noise: float
    one_side: bool = False

    @classmethod
    def of(cls, far: list[Edge], near: list[Edge]) -> _Lines:
        """Take logarithms above the darkest value, so that dim and bright structures count alike."""
        stack = np.stack([edge.lines for edge in (*far, *near)])
        unit = float(np.median([edge.unit for edge in far]))
        low, middle = (float(value) for value in np.percentile(stack, (1, 50)))
        offset = max(middle - low, unit)
        logs = np.log(np.maximum(stack - low, 0) + offset)
        inside = ((logs[:, 0] - logs[:, 1]) ** 2).mean(axis=tuple(range(1, logs.ndim - 1)))
        noise = max(0.1 * float(np.median(inside)), (unit / offset) ** 2 / 12)
        n = len(far)
        return cls(logs[:n, 0], logs[n:, 0], logs[:n], logs[n:], inside[:n], inside[n:], noise)

    def decoys(self) -> Iterator[_Lines]:
        """Borders that cannot continue each other, of five kinds; of borders of one side each pair counts once."""
        both_far = replace(self, near=self.far, deep_near=self.deep_far, inside_near=self.inside_far, one_side=True)
        both_near = replace(self, far=self.near, deep_far=self.deep_near, inside_far=self.inside_near, one_side=True)
        yield from (both_far, both_near)
        for lines in (self, both_far, both_near):
            reversed_ = np.flip(lines.deep_near, tuple(range(3, lines.deep_near.ndim)))
            yield replace(lines, near=reversed_[:, 0], deep_near=reversed_)

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

    def local_step(self, a: int, b: int) -> float:
        """The mean of the squared step relative to those inside the two images near the same place of the border."""
        inside = np.concatenate([np.diff(deep, axis=0) ** 2 for deep in (self.deep_far[a], self.deep_near[b])])
        near_by = ndimage.gaussian_filter(inside.mean(axis=0), (0, *[ALONG] * (inside.ndim - 2)))
        return float(((self.far[a] - self.near[b]) ** 2 / (near_by + self.noise)).mean())

    def slope(self, a: int, b: int) -> float:
        """The correlation of the slopes towards the seam with those away from it: -1 to 1."""
        far, near = self.deep_far[a], self.deep_near[b]
        slopes = [
            ndimage.gaussian_filter(rise, (0, *[ALONG] * (rise.ndim - 1))).ravel()
            for rise in (far[0] - far[-1], near[-1] - near[0])
        ]
        one, other = (slope - slope.mean() for slope in slopes)
        return float((one @ other) / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))

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
