"""Regions: what several classes make up together, such as a tumor out of its parts, one within the other.

Classes that no region tells apart are united, so that each class is the innermost region that its pixels lie in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.labels.classes import Classes, Regions
from ulna.labels.values import NO_CHANNEL, Value, kind_of, span
from ulna.text import listed

Stated = tuple[tuple[str, tuple[Value, ...]], ...]
"""Names of regions, each with names or mask values of classes, as `data.regions` holds them."""

EXAMPLE = "Write data.regions={whole: [1, 2, 3], core: [2, 3]}, the mask values of each region or names of classes."
WHERE = "data.regions"


def with_stated_values(config: DataConfig) -> DataConfig:
    """The settings with the values of the classes, where only regions say them: each value is a class.

    Parameters
    ----------
    config
        The section `data`.

    Returns
    -------
    DataConfig
        The same where values are set, or regions name classes.

    Examples
    --------
    >>> with_stated_values(DataConfig(regions={"whole": [1, 2], "core": [2]})).values
    ((0,), (1,), (2,))
    """
    entries = dict.fromkeys(entry for _, entries in config.regions for entry in entries)
    if config.values or not entries or not all(_is_value(entry) for entry in entries):
        return config
    background: Value = {"colors": "0,0,0", "channels": NO_CHANNEL}.get(kind_of([tuple(entries)]), 0)
    ordered = sorted((entry for entry in entries if span(entry) != span(background)), key=span)
    return config.model_copy(update={"values": ((background,), *((entry,) for entry in ordered))})


def with_regions(classes: Classes, stated: Stated, *, named: bool = False) -> Classes:
    """The classes that regions tell apart, and which of them each region is made of.

    Parameters
    ----------
    classes
        As the masks hold them.
    stated
        The regions.
    named
        Whether somebody chose the names of the classes; else they are called by the innermost region.

    Returns
    -------
    Classes
        Classes in the same regions are one, and those in none are background. Of several values the one that its
        region lists first is written.

    Raises
    ------
    UlnaError
        For masks that number objects, for what is no class, for a region of the background, and for two regions that
        overlap without one being within the other; the two are named.

    Examples
    --------
    >>> masks = Classes(("background", "a", "b", "c"), ((0,), (1,), (2,), (3,)), "classes", "")
    >>> found = with_regions(masks, (("whole", (1, 2, 3)), ("core", (3,))))
    >>> found.names, found.values, found.regions
    (('background', 'whole only', 'core'), ((0,), (2, 1), (3,)), (('whole', (1, 2)), ('core', (2,))))
    """
    if classes.numbers_objects:
        raise UlnaError("the masks number objects, and regions are made of classes", where=WHERE, hint=EXAMPLE)
    held = {name: _indices(classes, name, entries) for name, entries in stated}
    _check_nested(classes, held)
    groups: dict[frozenset[str], list[int]] = {frozenset(): [0]}
    for index in range(1, len(classes.names)):
        groups.setdefault(frozenset(name for name, one in held.items() if index in one), []).append(index)
    # the background has the last say in what is written for it
    members = [[*one[1:], 0] if 0 in one else _as_listed(one, held) for one in groups.values()]
    values = tuple(tuple(value for index in one for value in classes.values[index]) for one in members)
    regions = tuple((name, tuple(place for place, inside in enumerate(groups) if name in inside)) for name, _ in stated)
    own = [classes.names[one[0]] if named and len(one) == 1 else "" for one in members]
    called = [name or _called(place, regions) for place, name in enumerate(own)]
    names = (classes.names[0], *called[1:])
    if len(set(names)) < len(names):
        names = (classes.names[0], *(_called(place, regions) for place in range(1, len(members))))
    kind = classes.kind if classes.kind in ("colors", "channels") else "classes" if len(names) > 2 else "binary"
    united = replace(classes, names=names, values=values, kind=kind, regions=regions)
    return replace(united, sentence=_sentence(classes, united))


def _is_value(entry: Value) -> bool:
    try:
        span(entry)
    except UlnaError:
        return False
    return True


def _indices(classes: Classes, region: str, entries: Sequence[Value]) -> list[int]:
    """The classes of a region, in the order in which it lists them."""
    by_value: dict[int, list[Value]] = {}
    found = []
    for entry in entries:
        if isinstance(entry, str) and entry in classes.names:
            found.append(classes.names.index(entry))
            continue
        met = [index for index, values in enumerate(classes.values) if any(_meet(entry, value) for value in values)]
        if not met:
            known = "; ".join(f"{listed(one, 4)} is '{name}'" for name, one in _known(classes))
            raise UlnaError(
                f"the region '{region}' is made of {entry!r}, which is no class and no mask value: {known}",
                where=WHERE,
                hint=EXAMPLE,
            )
        for index in met:
            by_value.setdefault(index, []).append(entry)
        found += met
    for index, some in by_value.items():
        missing = [value for value in classes.values[index] if not any(_covers(entry, value) for entry in some)]
        if missing and index:
            what = f"the region '{region}' holds {listed(some)}, and {listed(missing)} is of the same class"
            raise UlnaError(what, where=WHERE, hint=f"List it too, or make two classes of '{classes.names[index]}'.")
    if 0 in found:
        raise UlnaError(f"the region '{region}' holds the background", where=WHERE, hint="Leave it away.")
    return list(dict.fromkeys(found))


def _known(classes: Classes) -> list[tuple[str, tuple[Value, ...]]]:
    return list(zip(classes.names, classes.values, strict=True))


def _meet(one: Value, other: Value) -> bool:
    """Whether two values or ranges have something in common."""
    if not (_is_value(one) and _is_value(other)):
        return one == other
    (low, high), (first, last) = span(one), span(other)
    return low <= last and first <= high


def _covers(one: Value, other: Value) -> bool:
    """Whether a value, or a range, holds all of another."""
    if not (_is_value(one) and _is_value(other)):
        return one == other
    (low, high), (first, last) = span(one), span(other)
    return low <= first and last <= high


def _check_nested(classes: Classes, held: dict[str, list[int]]) -> None:
    """Raise UlnaError for two regions that are neither apart nor one within the other."""
    for (one, mine), (other, theirs) in combinations(held.items(), 2):
        both = set(mine) & set(theirs)
        if not both or (both in (set(mine), set(theirs)) and set(mine) != set(theirs)):
            continue
        if set(mine) == set(theirs):
            raise UlnaError(f"the regions '{one}' and '{other}' are the same", where=WHERE, hint="Leave one away.")
        shared, first, second = (
            listed([classes.names[index] for index in sorted(some)], quoted=True)
            for some in (both, set(mine) - both, set(theirs) - both)
        )
        raise UlnaError(
            f"the regions '{one}' and '{other}' overlap, and neither lies within the other: both hold {shared}, "
            f"only '{one}' {first}, only '{other}' {second}",
            where=WHERE,
            hint="Regions are apart, or one lies within the other. Leave one of the two away, or make it a part.",
        )


def _as_listed(group: list[int], held: dict[str, list[int]]) -> list[int]:
    """Classes that become one, those that their innermost region lists first at the end: the last is written."""
    inner = min((one for one in held.values() if group[0] in one), key=len)
    return sorted(group, key=inner.index, reverse=True)


def _called(place: int, regions: Regions) -> str:
    """What a class is called that nobody named: by the innermost region, which may hold others."""
    if not place:
        return ""
    name, inside = min(((name, inside) for name, inside in regions if place in inside), key=lambda one: len(one[1]))
    return name if len(inside) == 1 else f"{name} only"


def _sentence(before: Classes, united: Classes) -> str:
    """What regions there are, what is written, and what belongs to none."""
    parts = [
        f"'{name}' is {listed(sorted((value for index in inside for value in united.values[index]), key=str), 8)}"
        for name, inside in united.regions
    ]
    last = [f"{one[-1]} for '{name}'" for name, one in _known(united)[1:]]
    sentence = f"Mask values make up regions: {'; '.join(parts)}. Predicted masks hold {listed(last, 8)}."
    outside = [value for value in united.values[0] if value not in before.values[0]]
    if outside:
        sentence += f" {listed(outside, 8)} is of no region, and taken for background."
    return f"{sentence} {listed(united.ignore, 8)} is not annotated." if united.ignore else sentence
