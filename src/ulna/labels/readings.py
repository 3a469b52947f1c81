"""The readings of masks: one function for each, that gives `Classes` with a sentence for the user.

Sentences have a place '{1}' for the name of each class, so that the names can come from the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.labels.classes import Classes
from ulna.labels.folding import Folded
from ulna.labels.statistics import MaskStatistics, ValueCounts
from ulna.labels.values import OTHER, Kind, Value, check, kind_of, shown
from ulna.text import listed

CODED = 1000
FOREGROUND = ("background", "foreground")


def binary(background: int, foreground: Sequence[int]) -> Classes:
    """One foreground class; its values may be several."""
    every = [str(value) for value in (background, *foreground)]
    be = "is" if len(foreground) == 1 else "are"
    sentence = f"Masks hold {_all(every)}: {_all(every[1:])} {be} '{{1}}', {background} is background."
    return Classes(FOREGROUND, ((background,), tuple(foreground)), "binary", sentence)


def several(codes: Sequence[int], kind: Kind = "classes") -> Classes:
    """A class for each value, the background first."""
    words = [shown(code, kind) for code in codes]
    names = ("background", *(f"class {index} ({word})" for index, word in enumerate(words) if index))
    values: tuple[tuple[Value, ...], ...] = tuple((code if kind == "classes" else shown(code, kind),) for code in codes)
    parts = [f"{word} is '{{{index}}}'" for index, word in enumerate(words) if index]
    if kind == "colors":
        sentence = f"Masks hold {len(words)} colors: {'; '.join(parts)}; {words[0]} is background."
    else:
        sentence = f"Masks hold {_all(words)}: {', '.join(parts)}, {words[0]} is background."
    return Classes(names, values, kind, sentence)


def instances(seen: MaskStatistics, background: int = 0) -> Classes:
    """Every value but the background is an object of one class."""
    most = max(len(values - {background}) for values in seen.sets)
    sentence = (
        f"Masks number their objects (up to {most} in an image): every value but {background} is '{{1}}', "
        f"{background} is background."
    )
    return Classes(FOREGROUND, ((background,), (OTHER,)), "instances", sentence)


def coded(codes: Sequence[int], background: int) -> Classes | None:
    """Classes out of numbers that say class and object, 1000 times the one plus the other, as those of Cityscapes do.

    None where numbers do not look so: all from 1000 on lie just above a thousand, and some of them in a row.
    """
    of_class: dict[int, list[int]] = {}
    for code in codes:
        if code >= CODED:
            of_class.setdefault(code // CODED, []).append(code % CODED)
    if not of_class or max(map(len, of_class.values())) < 2:
        return None
    if any(min(numbers) > 1 or max(numbers) > CODED // 5 for numbers in of_class.values()):
        return None
    plain: set[int] = {code for code in codes if code < CODED and code != background} | set(of_class)
    groups: list[tuple[Value, ...]] = [(background,)]
    for number in sorted(plain - {background}):
        spread: tuple[Value, ...] = (f"{number * CODED}..{number * CODED + CODED - 1}",) if number in of_class else ()
        groups.append((*spread, number))
    names = ("background", *(f"class {index} ({group[-1]})" for index, group in enumerate(groups) if index))
    return Classes(names, tuple(groups), "classes", "")


def colored_instances(background: int = 0) -> Classes:
    """Every color but the background's is an object of one class."""
    color = shown(background, "colors")
    sentence = (
        f"Masks give each object a color of its own: every color but {color if background else 'black'} is '{{1}}'."
    )
    return Classes(FOREGROUND, ((color,), (OTHER,)), "colors", sentence)


def folded(plain: Classes, fold: Folded, background: int) -> Classes:
    """A reading of the true values, with all others given to the nearest of them."""
    order = [fold.true.index(background), *(i for i, code in enumerate(fold.true) if code != background)]
    groups = tuple(_notation(fold.values[index], plain.kind) for index in order)
    if fold.smooth:
        start = "Masks hold values around and between"
        true = _all([str(code) for code in fold.true])
        sentence = f"{start} {true} (by JPEG or a smooth resize): "
        if len(groups) == 2 and background < fold.true[-1]:
            sentence += f"{str(groups[1][0]).partition('..')[0]} and above is '{{1}}'"
        else:
            sentence += ", ".join(f"{_all_values(group)} is '{{{i}}}'" for i, group in enumerate(groups) if i)
        sentence += ", the rest is background."
    else:
        strays = listed([shown(code, plain.kind) for code in fold.others], 8)
        sentence = f"{plain.sentence} Stray values ({strays}) are taken for the nearest of these."
    return Classes(plain.names, groups, plain.kind, sentence)


def by_channel(values: Mapping[int, ValueCounts]) -> tuple[Classes, float]:
    """A class for each channel, and the share of the pixels that several channels claim.

    Where none is set is background; where that is nowhere, the largest channel. A pixel that several claim goes to
    the smallest of them: what lies within another class.
    """
    pixels = {bit: sum(seen.pixels for code, seen in values.items() if code >> bit & 1) for bit in range(8)}
    bits = [bit for bit, count in pixels.items() if count]
    total = sum(seen.pixels for seen in values.values())
    full = [bit for bit in bits if pixels[bit] == total]
    claimed = {code: [bit for bit in bits if code >> bit & 1 and bit not in full] for code in values}
    empty = [code for code, held in claimed.items() if not held]
    background = None
    if not empty:
        background = max(bits, key=lambda bit: pixels[bit])
    groups: dict[int, list[int]] = {}
    for code in sorted(values):
        owner = min(claimed[code], key=lambda bit: (pixels[bit], -bit), default=-1)
        groups.setdefault(-1 if owner == background else owner, []).append(code)
    zero = groups.pop(-1, [0])
    if not groups:
        raise UlnaError("no channel of the masks shows anything", hint="Are these the masks?")
    lists = [zero, *(groups[bit] for bit in sorted(groups))]
    # what is written last is the plainest: fewest channels
    lists = [sorted(group, key=lambda code: (-code.bit_count(), code)) for group in lists]
    words = tuple(tuple(shown(code, "channels") for code in group) for group in lists)
    names = ("background", *(f"class {index} (channel {bit + 1})" for index, bit in enumerate(sorted(groups), 1)))
    shared = sum(seen.pixels for code, seen in values.items() if len(claimed[code]) > 1) / total
    told = ", ".join(f"channel {bit + 1} is '{{{index}}}'" for index, bit in enumerate(sorted(groups), 1))
    sentence = f"Masks have one channel per class: {told}; {words[0][-1]} is background."
    return Classes(names, words, "channels", sentence), shared


def configured(config: DataConfig) -> Classes:
    """What the configuration sets.

    Raises
    ------
    UlnaError
        For names and values that do not go together, and values that contradict each other.
    """
    values = config.values
    names = config.classes or (
        "background",
        *(f"class {i} ({v[-1]})" for i, v in enumerate(values) if i and v),
    )
    if len(values) < 2 or len(names) != len(values) or not all(values):
        raise UlnaError(
            f"data.values lists {len(values)} classes and data.classes {len(names)}; both need the "
            "background and at least one class, and each class at least one value",
            where="configuration",
        )
    check(values, config.ignore)
    kind = "instances" if config.objects else kind_of(values)
    parts = "; ".join(f"{_all_values(group)} is '{name}'" for name, group in zip(names, values, strict=True))
    ignore = f"; {_all_values(config.ignore)} is not annotated" if config.ignore else ""
    each = "; each value is an object" if config.objects else ""
    return Classes(names, values, kind, f"Mask values as set: {parts}{ignore}{each}.", config.ignore)


def _notation(group: Sequence[Value], kind: Kind) -> tuple[Value, ...]:
    return tuple(shown(value, kind) if kind == "colors" and isinstance(value, int) else value for value in group)


def _all_values(group: Sequence[Value]) -> str:
    return ", ".join(map(str, group))


def _all(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
