"""What `check` says of volumes: places, spacings, intensities, slices without labels, labels where there is nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ulna.alignment import is_unset
from ulna.dataset import Problem
from ulna.grid import Grid
from ulna.image import Array, Image
from ulna.jobs.placement import placements
from ulna.orientation import orientation
from ulna.text import listed, plural

if TYPE_CHECKING:
    from ulna.jobs.inspection import Inspection

THICK = 3.0
"""Slices that are so many times as thick as a pixel is wide are thick."""
SCALES = 5.0
"""Highest values that differ by this factor are of several gray scales."""
CLIPPED = (0.005, 0.2)
"""Shares of the voxels that have the highest value where intensities were clipped: of fewer it is chance, more are an
object of one value."""
MIN_LEVELS = 32
"""An image of fewer different values is not asked whether it was clipped."""
OUTSIDE = 0.1
"""Share of the voxels from which one value, which the corners have, is what lies outside of what was recorded."""
NEARLY_NOTHING = 0.01
"""Up to this share of the highest value, an outside is as good as 0."""
SMALL = 0.1
"""Objects of this share of the median size are fragments, or noise."""
SHEARED = 1e-3


@dataclass(frozen=True)
class VolumeFacts:
    """What is kept of a volume and its mask.

    Parameters
    ----------
    grid
        Of the image.
    highest
        Per channel.
    clipped
        The largest share of voxels that have the highest value of their channel; 0 where there are few values.
    outside
        Per channel, the value that all that lies outside of the body has; None where there is none.
    strayed
        Labeled voxels that lie outside in all channels.
    slices, bare, gaps
        How many slices it has, how many show nothing but the mask's most frequent value, and how many of these lie
        between others.
    """

    grid: Grid
    highest: tuple[float, ...]
    clipped: float
    outside: tuple[float | None, ...]
    strayed: int
    slices: int
    bare: int
    gaps: int

    @property
    def thickness(self) -> float:
        """How many times as thick as a pixel is wide a slice is."""
        return max(self.grid.spacing) / min(self.grid.spacing)


def volume_facts(image: Image, labeled: Array) -> VolumeFacts:
    """What is kept of a volume.

    Parameters
    ----------
    image
        Of three axes.
    labeled
        Where its mask (Z, Y, X) holds another value than its most frequent one.

    Returns
    -------
    VolumeFacts
    """
    outside = tuple(map(_outside, image.array))
    away = labeled.copy() if outside and None not in outside else np.zeros(1, bool)
    for channel, value in zip(image.array, outside, strict=True):
        if away.ndim > 1:
            away &= channel == value
    axis = int(np.argmax(image.spacing))
    shown = np.asarray(labeled.any(axis=tuple(k for k in range(3) if k != axis)))
    places = np.flatnonzero(shown)
    span = int(places[-1] - places[0] + 1) if len(places) else 0
    return VolumeFacts(
        image.grid,
        tuple(float(channel.max()) for channel in image.array),
        max(map(_clipped, image.array)),
        outside,
        int(np.count_nonzero(away)),
        len(shown),
        len(shown) - len(places),
        span - len(places),
    )


def _outside(channel: Array) -> float | None:
    corners = channel[np.ix_(*[(0, -1)] * 3)]
    value = corners.flat[0]
    if not (corners == value).all() or float((channel == value).mean()) < OUTSIDE:
        return None
    return float(value)


def _clipped(channel: Array) -> float:
    share = float((channel == channel.max()).mean())
    if not CLIPPED[0] <= share <= CLIPPED[1]:
        return 0.0
    step = max(1, channel.size // 100_000)
    return share if len(np.unique(channel.ravel()[::step])) >= MIN_LEVELS else 0.0


Volumes = Sequence[tuple[str, VolumeFacts]]


def volume_rows(inspections: Sequence[Inspection]) -> dict[str, str]:
    """Rows of the table of what was found.

    Parameters
    ----------
    inspections
        The cases that were read.

    Returns
    -------
    dict
        Empty where there are no volumes.
    """
    volumes = _volumes(inspections)
    if not volumes:
        return {}
    known = sorted((v.grid for _, v in volumes if not is_unset(v.grid)), key=lambda grid: grid.spacing)
    shown = dict.fromkeys(_spacing(grid) for grid in (*known[:1], *known[-1:]))
    rows = {"spacing": " to ".join(shown) or "not recorded"}
    bare, slices = sum(v.bare for _, v in volumes), sum(v.slices for _, v in volumes)
    if bare:
        some = sum(bool(v.bare) for _, v in volumes)
        rows["slices"] = f"{slices:,}, {bare:,} of them without a label (in {plural(some, 'volume')})"
    return rows


def volume_problems(inspections: Sequence[Inspection]) -> list[Problem]:
    """What is to be said of volumes, of masks that were fixed too.

    Parameters
    ----------
    inspections
        The cases that were read.

    Returns
    -------
    list of Problem
    """
    volumes = _volumes(inspections)
    return [*_placed(inspections), *_rounded(inspections), *_grids(volumes), *_intensities(volumes), *_labels(volumes)]


def _volumes(inspections: Sequence[Inspection]) -> Volumes:
    return [(look.case.name, look.volume) for look in inspections if look.volume]


def _placed(inspections: Sequence[Inspection]) -> list[Problem]:
    """What was done to masks that do not lie on their images as their files say."""
    return placements((look.case.name, look.verdict) for look in inspections)


def _rounded(inspections: Sequence[Inspection]) -> list[Problem]:
    """Values of masks that were off whole numbers, and masks of other types than the usual one."""
    found = []
    off = tuple(f"{look.case.name}: by {look.off:.2g}" for look in inspections if look.off)
    if off:
        what = plural(len(off), "mask holds numbers", "masks hold numbers")
        found.append(Problem(f"{what} that are nearly whole. Fixed: rounded", off, "warning"))
    types = Counter(look.truth_dtype for look in inspections if look.volume)
    if len(types) > 1:
        usual = types.most_common(1)[0][0]
        odd = tuple(look.case.name for look in inspections if look.volume and look.truth_dtype != usual)
        shown = ", ".join(f"{kind} in {count}" for kind, count in types.most_common())
        found.append(
            Problem(f"masks have different types of values: {shown}. Harmless where they are whole", odd, "note")
        )
    return found


def _grids(volumes: Volumes) -> list[Problem]:
    """Spacings that are not recorded, thick slices, oblique axes, orders of axes, single slices."""
    found = []
    unset = _where(volumes, lambda v: is_unset(v.grid))
    known = [v.grid for _, v in volumes if not is_unset(v.grid)]
    if unset and not (known and all(set(grid.spacing) == {1.0} for grid in known)):
        what = plural(len(unset), "volume does not", "volumes do not")
        what += (
            " record the size of voxels (1 along each axis, from 0 on, is no measurement): slices are taken to be as "
            "thick as a pixel is wide, and nothing is known in millimeters. State it with data.spacing and data.unit, "
            "as in data.spacing=[5,0.8,0.8] data.unit=mm"
        )
        found.append(Problem(what, unset))
    zero = _where(volumes, lambda v: not any(v.grid.origin))
    if zero and len(zero) < len(volumes):
        what = f"{plural(len(zero), 'volume begins', 'volumes begin')} at 0 and {len(volumes) - len(zero)} do not"
        found.append(Problem(f"{what}. Harmless: each mask is compared with its own image", zero, "note"))
    thick = _where(volumes, lambda v: v.thickness >= THICK)
    if thick:
        most = max(v.thickness for _, v in volumes)
        what = f"slices are thick in {plural(len(thick), 'volume')}: up to {most:.3g} times as thick as a pixel is wide"
        found.append(Problem(what, thick, "note"))
    sheared = _where(volumes, lambda v: _shear(v.grid) > SHEARED)
    if sheared:
        what = (
            f"the axes of {plural(len(sheared), 'volume')} are not at right angles (sheared): distances are distorted"
        )
        found.append(Problem(what, sheared))
    ways = Counter(_way(v.grid) for _, v in volumes if not is_unset(v.grid))
    if len(ways) > 1:
        usual = ways.most_common(1)[0][0]
        odd = _where(volumes, lambda v: not is_unset(v.grid) and _way(v.grid) != usual)
        shown = ", ".join(f"{way} in {count}" for way, count in ways.most_common())
        what = f"volumes are stored in {len(ways)} orders and directions of their axes ({shown}). Fixed: turned alike"
        found.append(Problem(what, odd, "note"))
    single = _where(volumes, lambda v: min(v.grid.shape) == 1)
    if single:
        what = plural(len(single), "volume has", "volumes have")
        found.append(Problem(f"{what} a single slice: nothing is learned there of what lies above and below", single))
    return found


def _intensities(volumes: Volumes) -> list[Problem]:
    """Gray scales that differ, clipped intensities, an outside that is not 0."""
    found = []
    for number in range(max((len(v.highest) for _, v in volumes), default=0)):
        tops = [(v.highest[number], name) for name, v in volumes if number < len(v.highest) and v.highest[number] > 0]
        if len(tops) > 1 and max(tops)[0] >= SCALES * min(tops)[0]:
            of = f" of channel {number}" if any(len(v.highest) > 1 for _, v in volumes) else ""
            what = (
                f"gray scales{of} differ: the highest values are from {min(tops)[0]:,.6g} to {max(tops)[0]:,.7g}. "
                "Harmless: each volume is normalized by itself"
            )
            found.append(Problem(what, (f"lowest: {min(tops)[1]}", f"highest: {max(tops)[1]}"), "note"))
    clipped = tuple(f"{name}: {v.clipped:.1%}" for name, v in volumes if v.clipped)
    if clipped:
        most = max(v.clipped for _, v in volumes)
        what = (
            f"intensities seem to be clipped in {plural(len(clipped), 'volume')}: up to {most:.1%} of the voxels have "
            "the highest value"
        )
        found.append(Problem(what, clipped, "note"))
    outside = tuple(f"{name}: {listed(values)}" for name, v in volumes if (values := _backgrounds(v)))
    if outside:
        what = f"what lies outside of the body is not 0 in {plural(len(outside), 'volume')}, but of one value"
        found.append(Problem(f"{what}: backgrounds of several kinds look like contrast to a network", outside, "note"))
    return found


def _backgrounds(volume: VolumeFacts) -> list[str]:
    """The values of what lies outside, in channels where it is neither 0 nor nearly so."""
    pairs = zip(volume.outside, volume.highest, strict=True)
    return [f"{value:.4g}" for value, top in pairs if value and abs(value) > NEARLY_NOTHING * abs(top)]


def _labels(volumes: Volumes) -> list[Problem]:
    """Labels where nothing was recorded, and slices without labels between others."""
    found = []
    strayed = tuple(f"{name}: {plural(v.strayed, 'voxel')}" for name, v in volumes if v.strayed)
    if strayed:
        what = f"labels lie outside of what the image shows in {plural(len(strayed), 'volume')}"
        found.append(Problem(f"{what}, where all its channels have the value of the background", strayed))
    gaps = tuple(f"{name}: {v.gaps} of {v.slices}" for name, v in volumes if v.gaps)
    if gaps:
        what = (
            f"slices without a label lie between labeled ones in {plural(len(gaps), 'volume')}. If they are not "
            "annotated, give them a value of their own and name it in data.ignore"
        )
        found.append(Problem(what, gaps))
    return found


def small_objects(sizes: Sequence[tuple[str, Array]]) -> list[Problem]:
    """The problem that some objects are tiny beside the others.

    Parameters
    ----------
    sizes
        By the name of a volume, the voxels of each of its objects.

    Returns
    -------
    list of Problem
        One or none.
    """
    every = np.concatenate([counts for _, counts in sizes]) if sizes else np.zeros(0)
    if not len(every):
        return []
    typical = float(np.median(every))
    small = np.sort(every[every < SMALL * typical])
    if not len(small):
        return []
    counts = [(name, int(np.count_nonzero(of < SMALL * typical))) for name, of in sizes]
    where = tuple(f"{name}: {count}" for name, count in counts if count)
    span = f"{small[0]:,}" if len(small) == 1 or small[0] == small[-1] else f"{small[0]:,} to {small[-1]:,}"
    what = (
        f"{plural(len(small), 'numbered object is', 'numbered objects are')} tiny ({span} voxels; half of all have "
        f"{typical:,.0f} or more): fragments, or strokes that slipped"
    )
    return [Problem(what, where)]


def _where(volumes: Volumes, holds: Callable[[VolumeFacts], bool]) -> tuple[str, ...]:
    return tuple(name for name, volume in volumes if holds(volume))


def _spacing(grid: Grid) -> str:
    return " × ".join(f"{side:.4g}" for side in grid.spacing) + f" {grid.unit}"


def _shear(grid: Grid) -> float:
    return float(np.abs(grid.matrix.T @ grid.matrix - np.eye(3)).max())


def _way(grid: Grid) -> str:
    """The letters of medical files: towards which side of the patient each axis (x, y, z) of the file runs."""
    turn = orientation(grid)
    letters = ["?"] * 3
    for world, (axis, turned) in enumerate(zip(turn.order, turn.turned, strict=True)):
        letters[axis] = ("SI", "PA", "LR")[world][turned]
    return "".join(reversed(letters))
