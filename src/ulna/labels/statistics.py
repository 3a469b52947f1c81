"""What is counted in masks, one after the other, to find out what their values mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ulna.errors import UlnaError
from ulna.image import Array
from ulna.labels.packed import Codes, codes_of, counted, gray_color, gray_colors, replaced, shows_classes

MAX_INSPECTED = 24
"""In so many masks with more than two values their neighborhoods are counted, and in as many again that hold a value
that was not seen before."""

MAX_REGIONS = 400
"""So many values of a mask are measured as regions, at most: drawn evenly from all of them."""

MAX_BANDS = 32  # values of a mask up to which bands are looked for
MAX_SIDE = 256  # pixels of a side on which connected components of masks with two values are counted
BAND = 7
THICK = 0.02  # share of a band that may be thicker
EXTENT = 0.8  # share of an axis from which a region extends over all of it
DOMINANT = 0.9  # share of a region from which its largest connected component counts as all of it
ENCLOSED = 0.9  # share of a region's boundary with one other region from which it lies in that one


@dataclass
class ValueCounts:
    """What is known of one mask value over all masks.

    `pixels` and `masks` count everywhere; of the inspected masks, `inspected` pixels, those `supported` by all axis
    neighbors but one (all but those of noise, of lines one pixel wide and of interpolated edges), those in `bands` at
    most six pixels wide between two other values, and the sums of the smallest and of the largest value within two
    pixels of each pixel.
    """

    pixels: int = 0
    masks: int = 0
    inspected: int = 0
    supported: int = 0
    bands: int = 0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Region:
    """All pixels of one value in one mask.

    `center` and `box` (first and last along each axis) are shares of the mask's shape; `contacts`
    counts at how many places it touches each other value, 0 for the background.
    """

    mask: int
    code: int
    area: float
    whole: bool  # one connected component, but for crumbs
    center: tuple[float, ...]
    box: tuple[tuple[float, float], ...]
    at_border: bool
    contacts: dict[int, int]

    @property
    def extent(self) -> tuple[float, ...]:
        """The sides of its bounding box."""
        return tuple(stop - start for start, stop in self.box)

    @property
    def background(self) -> float:
        """The share of its boundary that it has with the background."""
        return self.contacts.get(0, 0) / max(sum(self.contacts.values()), 1)

    @property
    def neighbor(self) -> float:
        """The largest share of its boundary that it has with one other value."""
        others = (count for code, count in self.contacts.items() if code)
        return max(others, default=0) / max(sum(self.contacts.values()), 1)

    def without(self, codes: Collection[int]) -> Region:
        """The same where some values are background."""
        contacts: Counter[int] = Counter()
        for code, count in self.contacts.items():
            contacts[0 if code in codes else code] += count
        return replace(self, contacts=contacts)

    def moved(self, moved: Callable[[int], int]) -> Region:
        """The same with other codes."""
        contacts = {moved(code): count for code, count in self.contacts.items()}
        return replace(self, code=moved(self.code), contacts=contacts)


@dataclass(frozen=True)
class Pair:
    """A mask with two values.

    `whole`: whether each is one connected component, but for crumbs; `holes`: whether the lower one lies in pieces
    within the higher one, which reaches all borders.
    """

    low: int
    high: int
    whole: tuple[bool, bool]
    holes: bool

    def moved(self, moved: Callable[[int], int]) -> Pair:
        """The same with other codes."""
        low, high = moved(self.low), moved(self.high)
        if low < high:
            return replace(self, low=low, high=high)
        return Pair(high, low, (self.whole[1], self.whole[0]), holes=False)


@dataclass
class MaskStatistics:
    """What was seen in the masks so far."""

    values: dict[int, ValueCounts] = field(default_factory=dict)
    sets: list[frozenset[int]] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    colored: bool = False
    channels: int = 0  # how many channels show one class each
    dtypes: Counter[str] = field(default_factory=Counter)
    pairs: list[Pair] = field(default_factory=list)  # of masks with two values
    _inspected: int = 0

    def add(self, mask: Array) -> None:
        """Count one more mask, (C, *spatial) as it was read.

        Raises
        ------
        UlnaError
            For what cannot be a mask, and where some masks have a channel per class and others do not.
        """
        codes = self._codes(mask)
        self.dtypes[mask.dtype.str[1:]] += 1
        found, counts = counted(codes)
        new = any(int(code) not in self.values for code in found)
        for code, count in zip(found.tolist(), counts.tolist(), strict=True):
            seen = self.values.setdefault(code, ValueCounts())
            seen.pixels += count
            seen.masks += 1
        self.sets.append(frozenset(found.tolist()))
        if len(found) > 2 and self._inspected < MAX_INSPECTED * (1 + new):
            self._inspected += 1
            self._inspect(codes, found)
        if len(found) == 2 and (len(self.pairs) < MAX_INSPECTED or new):
            self.pairs.append(_pair(codes, *found.tolist()))

    def without(self, codes: Set[int]) -> MaskStatistics:
        """The same without some values."""
        return replace(
            self,
            values={code: seen for code, seen in self.values.items() if code not in codes},
            sets=[found - set(codes) for found in self.sets],
            regions=[region.without(codes) for region in self.regions if region.code not in codes],
            pairs=[pair for pair in self.pairs if not codes & {pair.low, pair.high}],
        )

    def with_background(self, background: int) -> MaskStatistics:
        """The same where a value is background as 0 is; where no number is smaller, they begin with it."""
        if not background:
            return self
        first = 0 if self.colored or background > min(self.values) else background

        def moved(code: int) -> int:
            return 0 if code == background else code - first

        return replace(
            self,
            values={moved(code): seen for code, seen in self.values.items()},
            sets=[frozenset(map(moved, found)) for found in self.sets],
            regions=[region.moved(moved) for region in self.regions if region.code != background],
            pairs=[pair.moved(moved) for pair in self.pairs],
        )

    @property
    def pixels(self) -> int:
        """All pixels of all masks."""
        return sum(seen.pixels for seen in self.values.values())

    @property
    def components_are_few(self) -> bool:
        """Whether most regions are one connected component."""
        return sum(region.whole for region in self.regions) >= 0.5 * len(self.regions)

    def _codes(self, mask: Array) -> Array:
        """The mask's codes; what was counted before is recounted as colors where this mask has the first."""
        by_channel = shows_classes(mask) or (self.channels == len(mask) and _empty_channels(mask))
        if self.sets and (self.channels or by_channel) and self.channels != (len(mask) if by_channel else 0):
            raise UlnaError(
                "some masks have one channel per class and others do not",
                hint="Save all masks in the same way: one channel, or the same number of channels with two values.",
            )
        if by_channel:
            self.channels = len(mask)
            return codes_of(mask, channels=True)[0]
        codes, colored = codes_of(mask)
        if colored and not self.colored:
            self._turn_colored()
        return gray_colors(codes) if self.colored and not colored else codes

    def _turn_colored(self) -> None:
        self.colored = True
        self.values = {gray_color(code): seen for code, seen in self.values.items()}
        self.sets = [frozenset(gray_color(code) for code in found) for found in self.sets]
        self.pairs = [pair.moved(gray_color) for pair in self.pairs]

    def _inspect(self, codes: Array, found: Codes) -> None:
        numbers = replaced(codes, found, np.arange(len(found), dtype=np.int32))
        same = np.bincount(numbers[_supported(numbers)], minlength=len(found))
        sizes = np.bincount(numbers.ravel(), minlength=len(found))
        low, high = (
            np.bincount(numbers.ravel(), found[f(numbers, 5, mode="nearest")].ravel(), len(found))
            for f in (ndimage.minimum_filter, ndimage.maximum_filter)
        )
        bands = _bands(numbers, len(found)) if len(found) <= MAX_BANDS else np.zeros(len(found), np.int64)
        for number, code in enumerate(found.tolist()):
            seen = self.values[code]
            seen.bands += int(bands[number])
            seen.inspected += int(sizes[number])
            seen.supported += int(same[number])
            seen.low += float(low[number])
            seen.high += float(high[number])
        self.regions += _regions(numbers, found, len(self.sets) - 1)


def _empty_channels(mask: Array) -> bool:
    """Whether each channel holds zero and one other value at most."""
    return all(len(values) < 2 or (len(values) == 2 and not values[0]) for values in _values(mask))


def _values(mask: Array) -> Iterable[Codes]:
    return (counted(channel)[0] for channel in mask)


def _supported(numbers: Array) -> npt.NDArray[np.bool_]:
    """Where all neighbors along the axes but one have the same value; beyond the border is the same value."""
    same = np.zeros(numbers.shape, np.uint8)
    for axis in range(numbers.ndim):
        across = np.moveaxis(numbers, axis, 0)
        count = np.moveaxis(same, axis, 0)
        equal = across[1:] == across[:-1]
        count[1:] += equal
        count[:-1] += equal
        count[0] += 1
        count[-1] += 1
    return np.asarray(same >= 2 * numbers.ndim - 1)


def _bands(numbers: Array, count: int) -> npt.NDArray[np.int64]:
    """For each number its pixels in thin bands: two other numbers are near, and hardly any of it is thicker."""
    pixels: npt.NDArray[np.int64] = np.zeros(count, np.int64)
    solid = ndimage.minimum_filter(numbers, BAND, mode="nearest") == ndimage.maximum_filter(
        numbers, BAND, mode="nearest"
    )
    thick = np.bincount(numbers[solid], minlength=count)
    for number in np.flatnonzero(thick <= THICK * np.bincount(numbers.ravel(), minlength=count)):
        inside = numbers == number
        least = ndimage.minimum_filter(np.where(inside, count, numbers), 2 * BAND - 3, mode="nearest")
        most = ndimage.maximum_filter(np.where(inside, -1, numbers), 2 * BAND - 3, mode="nearest")
        pixels[number] = int(((least < most) & inside).sum())
    return pixels


def is_whole(inside: Array) -> bool:
    """Whether a region, (*spatial) bool, is one connected component, but for crumbs; also an empty one."""
    return _largest(_pooled(inside))[1]


def _largest(inside: Array) -> tuple[Array, bool]:
    """The largest connected component, and whether it counts as all of the region."""
    pieces, count = ndimage.label(inside, np.ones((3,) * inside.ndim))
    if not count:
        return inside, True
    sizes = np.bincount(pieces.ravel())[1:]
    return pieces == 1 + sizes.argmax(), bool(sizes.max() >= DOMINANT * sizes.sum())


def _pair(codes: Array, low: int, high: int) -> Pair:
    _, lower = _largest(_pooled(codes == low))
    largest, upper = _largest(_pooled(codes == high))
    around = all(np.take(largest, end, axis).any() for axis in range(codes.ndim) for end in (0, -1))
    return Pair(low, high, (lower, upper), holes=upper and around and not lower)


def _pooled(inside: Array) -> Array:
    """Blocks of pixels, true where any of them is: as small as connected components need, and as connected."""
    steps = [max(1, size // MAX_SIDE) for size in inside.shape]
    if max(steps) == 1:
        return inside
    starts = [np.arange(0, size, step) for size, step in zip(inside.shape, steps, strict=True)]
    for axis, places in enumerate(starts):
        inside = np.logical_or.reduceat(inside, places, axis)
    return inside


def _regions(numbers: Array, found: Codes, mask: int) -> list[Region]:
    """The regions of a mask of numbers (places in `found`), but for that of the value 0."""
    contacts = _contacts(numbers)
    touching = np.ones((3,) * numbers.ndim)
    boxes = ndimage.find_objects(numbers + 1)
    chosen = [place for place in range(len(found)) if found[place] != 0]
    if len(chosen) > MAX_REGIONS:
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, MAX_REGIONS).astype(int)]
    regions = []
    for place in chosen:
        box = boxes[place]
        inside = numbers[box] == place
        components, _ = ndimage.label(inside, touching)
        areas = np.bincount(components.ravel())[1:]
        center = [axis.mean() + part.start for axis, part in zip(np.nonzero(inside), box, strict=True)]
        shared = {int(found[other]): count for other, count in contacts.get(place, {}).items()}
        regions.append(
            Region(
                mask,
                int(found[place]),
                float(areas.sum()),
                bool(areas.max() >= DOMINANT * areas.sum()),
                tuple(float(at / n) for at, n in zip(center, numbers.shape, strict=True)),
                tuple((part.start / n, part.stop / n) for part, n in zip(box, numbers.shape, strict=True)),
                any(part.start == 0 or part.stop == n for part, n in zip(box, numbers.shape, strict=True)),
                shared,
            )
        )
    return regions


def _contacts(numbers: Array) -> dict[int, dict[int, int]]:
    """For each number the numbers it touches along an axis, and at how many places."""
    size = int(numbers.max()) + 1
    found: Counter[int] = Counter()
    for axis in range(numbers.ndim):
        across = np.moveaxis(numbers, axis, 0)
        differs = across[1:] != across[:-1]
        pairs = across[1:][differs].astype(np.int64) * size + across[:-1][differs]
        values, counts = counted(pairs)
        found.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    contacts: dict[int, dict[int, int]] = {}
    for pair, count in found.items():
        for one, other in ((pair // size, pair % size), (pair % size, pair // size)):
            mine = contacts.setdefault(one, {})
            mine[other] = mine.get(other, 0) + count
    return contacts
