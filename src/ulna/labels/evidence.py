"""Whether the values of masks number objects or name classes: the evidence, as log-odds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ulna.labels.statistics import ENCLOSED, EXTENT, MaskStatistics, Region

PERMUTATIONS = 1000
LIMIT = 4.6  # log-odds that one observation counts at most: 100 to 1
FEW = 4  # numbers in all masks from which 1 is not left out where they count objects
LONG = 0.4  # share of an axis from which regions side by side are layers
ALIGNED = 0.85  # share of their extent that two regions side by side have in common
DRIFT = 0.5  # von Neumann ratio (1 for a random order) under which regions move slowly from mask to mask
WANTED = (("objects are asked for", 1.5),)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What speaks for objects (positive) or for classes (negative), each in words with its log-odds.

    Examples
    --------
    >>> Evidence((("values fill the image's width", -4.0), ("32-bit numbers", 1.0))).probability
    0.0474...
    """

    clues: tuple[tuple[str, float], ...]

    @property
    def probability(self) -> float:
        """The probability that values number objects."""
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, sum(odds for _, odds in self.clues)))))

    @property
    def reasons(self) -> str:
        """The two strongest clues for what was found."""
        sign = 1 if self.probability > 0.5 else -1
        ranked = sorted((clue for clue in self.clues if sign * clue[1] > 0), key=lambda clue: -sign * clue[1])
        return " and ".join(words for words, _ in ranked[:2])


def evidence(seen: MaskStatistics, *, wanted: bool = False) -> Evidence:
    """Weigh whether values number objects.

    Numbers of objects are exchangeable: which object has which number says nothing about it. Classes are not: their
    size, place and surroundings recur. A permutation test measures this; its p-value enters as the bound of
    Sellke, Bayarri and Berger on the Bayes factor, -e·p·ln p. The other clues are likelihood ratios of what both kinds
    look like, bounded, and calibrated on simulated masks (tests/labels/test_evidence.py). That objects are `wanted` is
    a clue as well.

    References
    ----------
    Sellke, Bayarri, Berger 2001, "Calibration of p values for testing precise null hypotheses", The American
    Statistician 55.
    """
    sets = [found - {0} for found in seen.sets if found - {0}]
    regions = seen.regions
    if not sets or not (regions or (seen.pairs and len(seen.values) > 2)):
        return Evidence((("nothing was measured", -1.0), *WANTED * wanted))
    each = float(np.mean([len(found) for found in sets if len(found) > 1] or [1]))
    sequence = _drifts(regions)
    clues = [_values(seen, each), _connected(seen), _numbering(seen, sets, sequence=sequence), _dtype(seen)]
    clues += WANTED * wanted
    if regions:
        clues += _in_space(seen, each, sequence=sequence)
    return Evidence(tuple((words, odds) for words, odds in clues if odds))


def _in_space(seen: MaskStatistics, each: float, *, sequence: bool) -> list[tuple[str, float]]:
    """What places, sizes and neighbors say, where masks have several values."""
    regions = seen.regions
    layered = _layered(regions)
    clues = [
        layered,
        _enclosed(regions),
        _apart(regions, each) if layered[1] > -1 else ("", 0.0),
    ]
    # Tracked objects keep their places too, and so do some objects of one size; then this says less.
    alike = _alike(regions)
    factor = 0.35 if sequence else 0.5 if alike else 1.0
    recurring = [_exchangeable(regions), _fixed(regions)]
    clues += [(words, odds * factor if odds < 0 else odds) for words, odds in recurring]
    if sequence and alike:
        clues.append(("values have one size and move slowly", 1.0))
    if not seen.colored:
        clues.append(_spaced(seen))
    return clues


def _values(seen: MaskStatistics, each: float) -> tuple[str, float]:
    """Many values in a mask, and many in all where a mask has more than a few of them, are objects."""
    odds = 1.5 * math.log2(each / 3)
    if each >= 5:
        odds += max(0.0, 2 * math.log2(len(seen.values) / 20))
    return "many values are in a mask" if odds > 0 else "few values are in a mask", _bounded(odds, 6)


def _bounded(odds: float, most: float = LIMIT) -> float:
    return max(-most, min(most, odds))


def _connected(seen: MaskStatistics) -> tuple[str, float]:
    """Objects are one connected component each; the only value of a mask counts as that of one with several does."""
    whole = [region.whole for region in seen.regions] + [pair.whole[1] for pair in seen.pairs if pair.low == 0]
    if not whole:
        return "", 0.0
    share = sum(whole) / len(whole)
    if share >= 0.95:
        return "each value is one connected component", 0.7
    return "values are in several connected components", -min(8.0, 20 * (0.95 - share))


def _numbering(seen: MaskStatistics, sets: Sequence[frozenset[int]], *, sequence: bool) -> tuple[str, float]:
    """Numbers of objects are 1..n with varying n, or seldom recur; classes are any few of a fixed list."""
    number: dict[int, int] = {code: code for found in sets for code in found}
    if seen.colored:  # what comes first is not seen in a color: it is the one that is in most of the masks
        often = sorted(number, key=lambda code: -seen.values[code].masks)
        number = {code: place for place, code in enumerate(often, start=1)}
    masks = len(sets)
    through = sum(max(number[code] for code in found) == len(found) for found in sets) / masks
    counts = {len(found) for found in sets}
    if through > 0.9:
        if len(counts) == 1:
            return "every mask holds the same values", -min(1.0 if sequence else 3.0, 0.75 * (masks - 1))
        return "values are 1 to n, and n varies", 1.5 if len(counts) > 2 else 0.7
    values = len(number)
    if values <= FEW and through < 0.8 and masks > 2 and not sequence:
        return "masks hold any of a few values", -2.5 * (1 - through)
    recurs = float(np.mean([seen.values[code].masks for code in number]))
    if masks > 2 and values > 8 and recurs <= 1.5:
        return "values seldom recur in other masks", 3.0
    weight = max(0.0, min(1.0, (recurs - 1.5) / 1.5))
    if seen.colored:
        return "the same colors recur", -5.0 * weight
    share = sum(len(found) for found in sets) / masks / values
    if share < 0.3:
        return "each mask holds a few of many recurring values", -20 * weight * (0.3 - share)
    return "", 0.0


def _dtype(seen: MaskStatistics) -> tuple[str, float]:
    if seen.colored:
        return "", 0.0
    usual = seen.dtypes.most_common(1)[0][0]
    if usual in ("u4", "i4", "u8"):
        return "masks are 32-bit numbers", 1.2
    if usual == "u2":
        return "masks are 16-bit numbers", 1.0
    return ("masks are 8-bit numbers", -0.4) if usual == "u1" else ("", 0.0)


def _layered(regions: Sequence[Region]) -> tuple[str, float]:
    """Regions that extend over the whole image, or over much of it and side by side with another one."""
    masks = defaultdict(list)
    for region in regions:
        masks[region.mask].append(region)
    count = 0
    for group in masks.values():
        for region in group:
            others = [other for other in group if other is not region]
            count += max(region.extent) >= EXTENT or any(_side_by_side(region, other) for other in others)
    return "values extend over much of the image, like layers", -_bounded(8 * max(0.0, count / len(regions) - 0.1), 5)


def _side_by_side(one: Region, other: Region) -> bool:
    """Whether two regions reach along an axis equally far, over much of the image."""
    for (a, b), (c, d) in zip(one.box, other.box, strict=True):
        if min(b - a, d - c) >= LONG and min(b, d) - max(a, c) >= ALIGNED * (max(b, d) - min(a, c)):
            return True
    return False


def _enclosed(regions: Sequence[Region]) -> tuple[str, float]:
    masks = {region.mask for region in regions}
    holding = {region.mask for region in regions if region.neighbor >= ENCLOSED and not region.at_border}
    share = len(holding) / len(masks)
    return "values lie within each other", -_bounded(6 * max(0.0, share - 0.1), 5)


def _apart(regions: Sequence[Region], each: float) -> tuple[str, float]:
    share = sum(region.neighbor == 0 for region in regions) / len(regions)
    if share >= 0.6:
        return "values lie apart from each other", 1.0
    return ("values touch each other", -1.0) if share < 0.3 and each < 8 else ("", 0.0)


def _alike(regions: Sequence[Region]) -> bool:
    """Whether all values have regions of about one size, mostly apart."""
    sizes = defaultdict(list)
    for region in regions:
        sizes[region.code].append(math.log(region.area))
    means = [float(np.mean(areas)) for areas in sizes.values()]
    return float(np.std(means)) < 0.4 and sum(region.neighbor == 0 for region in regions) > 0.5 * len(regions)


def _spaced(seen: MaskStatistics) -> tuple[str, float]:
    """Codes of classes are often spread over the gray values, so that masks can be looked at."""
    codes = sorted({0, *seen.values})
    gaps = np.diff(codes)
    recurs = np.mean([counts.masks for code, counts in seen.values.items() if code])
    if 3 <= len(codes) <= 16 and gaps.min() >= 8 and recurs >= 2:
        return "values are spread over the gray values", -4.0
    return "", 0.0


def _exchangeable(regions: Sequence[Region]) -> tuple[str, float]:
    """Whether it matters which region of a mask has which value: by permuting the values within each mask."""
    masks = defaultdict(list)
    for index, region in enumerate(regions):
        masks[region.mask].append(index)
    several = [members for members in masks.values() if len(members) > 1]
    members = [index for group in several for index in group]
    codes = [regions[index].code for index in members]
    if len(several) < 2 or len(set(codes)) == len(codes) or len(set(codes)) > 64:
        return "", 0.0
    features = _features([regions[index] for index in members], [len(group) for group in several])
    if not features.any():
        return "", 0.0
    place = np.unique(codes, return_inverse=True)[1]
    own = _between(features, place)
    generator = np.random.default_rng(0)
    starts = np.cumsum([0, *(len(group) for group in several)])
    as_large = 0
    for _ in range(PERMUTATIONS):
        shuffled = np.concatenate([generator.permutation(place[a:b]) for a, b in pairwise(starts)])
        as_large += _between(features, shuffled) >= own - 1e-9
    p = (1 + as_large) / (1 + PERMUTATIONS)
    if p < 1 / math.e:
        return "size and place depend on the value", _bounded(math.log(-math.e * p * math.log(p)))
    return "size and place do not depend on the value", min(1.5, 0.25 * (len(several) - 1)) * features.any(
        axis=0
    ).mean()


def _features(regions: Sequence[Region], sizes: Sequence[int]) -> Floats:
    """What may depend on the value, (n, features), centered within each mask and scaled.

    Where values follow the order of the regions along an axis, as `label` numbers them, that axis says nothing, and
    where they follow their sizes from the largest on, the sizes do not.
    """
    axes = len(regions[0].center)
    starts = np.cumsum([0, *sizes])
    groups = [sorted(regions[a:b], key=lambda region: region.code) for a, b in pairwise(starts)]
    columns = [[region.background for region in regions]]
    if not all((np.diff([region.area for region in group]) <= 0).all() for group in groups):
        columns.append([math.log(region.area) for region in regions])
    for axis in range(axes):
        if not all(_in_order([region.center[axis] for region in group]) for group in groups):
            columns.append([region.center[axis] for region in regions])
    features = np.array(columns, float).T
    for a, b in pairwise(starts):
        features[a:b] -= features[a:b].mean(axis=0)
    scale = features.std(axis=0)
    return np.where(scale > 1e-6, features / np.maximum(scale, 1e-6), 0.0)


def _in_order(places: Sequence[float]) -> bool:
    """Whether places rise, but for a few steps back (regions beside each other)."""
    steps = np.diff(places)
    return bool((steps >= -0.1).all())


def _between(features: Floats, place: npt.NDArray[np.intp]) -> float:
    """Sum of squares between values."""
    counts = np.bincount(place)
    return float(sum((np.bincount(place, column) ** 2 / counts).sum() for column in features.T))


def _drifts(regions: Sequence[Region]) -> bool:
    """Whether each value moves slowly from mask to mask, as in a film or the slices of a volume.

    By the von Neumann ratio: the mean squared step over twice the variance, 1 for places in a random order.
    """
    places = defaultdict(list)
    for region in regions:
        places[region.code].append(region.center)
    ratios = []
    for centers in places.values():
        steps, spread = np.diff(centers, axis=0), np.var(centers, axis=0)
        if len(centers) > 3 and spread.sum() > 1e-6:
            ratios.append(float((steps**2).mean(axis=0).sum() / (2 * spread.sum())))
    return len(ratios) > 1 and float(np.median(ratios)) < DRIFT


def _fixed(regions: Sequence[Region]) -> tuple[str, float]:
    """Whether each value is at the same place in all masks."""
    centers = defaultdict(list)
    for region in regions:
        centers[region.code].append(region.center)
    spreads = [float(np.std(places, axis=0).mean()) for places in centers.values() if len(places) > 2]
    if len(spreads) < 2:
        return "", 0.0
    spread = float(np.median(spreads))
    return "each value keeps its place", -_bounded(max(0.0, 3 * (1 - spread / 0.08)), 3)
