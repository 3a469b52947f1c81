"""Leaks: images that must stay together in every split, because one shows what the other does.

Found are exact duplicates, near-duplicates (re-encoded, brighter, scaled, flipped, turned), and tiles of one
picture, by adjacent edges that continue each other or by small patches of pixels that overlapping tiles share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ulna.errors import UlnaError
from ulna.image import Array
from ulna.leaks.duplicates import equal_pixels, same_picture
from ulna.leaks.edges import find_seams
from ulna.leaks.fingerprints import Fingerprint, fingerprint, fingerprint_of, upright
from ulna.leaks.patches import find_overlaps

Progress = Callable[[Sequence[Array], str], Iterable[Array]]

__all__ = [
    "ADJACENT",
    "DUPLICATE",
    "NEAR_DUPLICATE",
    "OVERLAP",
    "Fingerprint",
    "Leaks",
    "Pair",
    "find_groups",
    "fingerprint",
    "fingerprint_of",
    "group",
    "unite",
    "upright",
]

DUPLICATE = "duplicate"
NEAR_DUPLICATE = "near duplicate"
OVERLAP = "overlapping tiles"
ADJACENT = "adjacent edges"


@dataclass(frozen=True)
class Pair:
    """Two images of which one shows what the other does: their places in the sequence, how, and how clearly.

    `strength` is the correlation of duplicates (1 for equal pixels), the number of shared patches of
    overlapping tiles, and the clearness of adjacent edges (see `ulna.leaks.edges.Seam`).
    """

    first: int
    second: int
    kind: str
    strength: float


@dataclass(frozen=True)
class Leaks:
    """Which images belong together: `groups` has one number per image, `pairs` the reasons.

    Groups are numbered in the order of their first images.
    """

    names: tuple[str, ...]
    groups: tuple[int, ...]
    pairs: tuple[Pair, ...]

    @property
    def joined(self) -> tuple[tuple[int, ...], ...]:
        """The images of every group that has more than one, as places in the sequence."""
        members: dict[int, list[int]] = {}
        for index, group in enumerate(self.groups):
            members.setdefault(group, []).append(index)
        return tuple(tuple(group) for group in members.values() if len(group) > 1)


def find_groups(images: Sequence[Array], names: Sequence[str], *, progress: Progress | None = None) -> Leaks:
    """Find the groups of images that are near-duplicates or overlapping tiles (data leakage).

    `images` are arrays (C, Y, X) or (C, Z, Y, X) of any sizes, dtypes and channels; each is read once, in
    order, so the sequence may load them lazily. `names` names them, one each. `progress` wraps the sequence
    while it is read. Raises UlnaError where there are not as many names as images.
    """
    if len(images) != len(names):
        raise UlnaError(f"{len(images)} images cannot have {len(names)} names")
    shown = progress(images, "Looking for leaks") if progress else images
    return group([fingerprint(image) for image in shown], names)


def group(prints: Sequence[Fingerprint], names: Sequence[str], *, only_equal: bool = False) -> Leaks:
    """The groups of images whose fingerprints are given. The partition does not depend on their order.

    With `only_equal` nothing but equal pixels joins.
    """
    pairs = [Pair(i, j, DUPLICATE, 1.0) for i, j in equal_pixels([p.digest for p in prints])]
    joined = _Joined(len(prints))
    for pair in pairs:
        joined.join(pair.first, pair.second)
    if only_equal:
        return Leaks(tuple(names), joined.numbers(), tuple(pairs))
    near = [Pair(i, j, NEAR_DUPLICATE, r) for i, j, r in same_picture([p.thumbnail for p in prints])]
    pairs += [pair for pair in near if joined.root(pair.first) != joined.root(pair.second)]
    for pair in near:
        joined.join(pair.first, pair.second)
    # Of duplicates one takes part in what follows: with two, neither border would have one best partner.
    chosen = [index for index in range(len(prints)) if joined.root(index) == index]
    overlaps = [
        Pair(chosen[i], chosen[j], OVERLAP, float(count))
        for i, j, count in find_overlaps([prints[index].sketch for index in chosen])
    ]
    seams = [
        Pair(chosen[seam.first], chosen[seam.second], ADJACENT, seam.strength)
        for seam in find_seams([prints[index].edges for index in chosen])
    ]
    for pair in (*overlaps, *seams):
        joined.join(pair.first, pair.second)
    return Leaks(tuple(names), joined.numbers(), (*pairs, *overlaps, *seams))


def unite(groups: Sequence[str], leaks: Leaks) -> tuple[str, ...]:
    """Groups that are known (one name an image) joined with those of leaks, under the name of the first image.

    Raises UlnaError where there are not as many groups as images.
    """
    if len(groups) != len(leaks.groups):
        raise UlnaError(f"{len(leaks.groups)} images cannot have {len(groups)} groups")
    joined = _Joined(len(groups))
    partitions: tuple[Sequence[str | int], ...] = (groups, leaks.groups)
    for partition in partitions:
        first: dict[str | int, int] = {}
        for index, part in enumerate(partition):
            joined.join(first.setdefault(part, index), index)
    return tuple(groups[joined.root(index)] for index in range(len(groups)))


class _Joined:
    """Union-find: sets that are joined pair by pair; the root of a set is its first member."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, index: int) -> int:
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def numbers(self) -> tuple[int, ...]:
        """The set of each member, numbered in the order of their first members."""
        order: dict[int, int] = {}
        return tuple(order.setdefault(self.root(index), len(order)) for index in range(len(self._parent)))

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low
