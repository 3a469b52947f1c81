"""What the values in masks mean: found out by looking at them, or set in the configuration."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Literal

import numpy as np
from scipy import ndimage

from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.image import Array
from ulna.labels.packed import (
    LOSSY_RANGE,
    MAX_COLORS,
    Codes,
    as_gray,
    codes_of,
    counted,
    gray_color,
    gray_colors,
    replaced,
)

Value = int | str
Kind = Literal["binary", "classes", "colors", "instances"]

OTHER = "other"  # as a class's value: every value that no other class has
WHITE = 0xFFFFFF
MAX_CLASSES = 20
MAX_INSPECTED = 12  # masks whose objects are counted, to tell classes from numbered objects
MANY = 8  # values in a mask from which they number objects rather than classes
MAX_SPECKLE = 30  # components a value from which many values are the noise of a photograph
MAX_COMPONENTS = 1.5  # components a value up to which values number objects
SHOWN = 8
RANGE = re.compile(r"\s*(-?\d+)\s*\.\.\s*(-?\d+)\s*")
COLOR = re.compile(r"\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*")


@dataclass(frozen=True)
class Classes:
    """The classes of a data set, the background first.

    `values` has for each class the mask values that mean it: numbers, ranges ("128..255"), colors ("r,g,b")
    or "other", every value that is not named elsewhere. `kind` says how masks are written: one foreground
    value, class values, colors, or a number for each object. `sentence` says it to the user.
    """

    names: tuple[str, ...]
    values: tuple[tuple[Value, ...], ...]
    kind: Kind
    sentence: str

    def to_indices(self, mask: Array) -> Array:
        """A mask as it was read, (C, *spatial), as class indices, (1, *spatial) uint8.

        Raises UlnaError for values that belong to no class, and names them.
        """
        codes, colored = codes_of(mask)
        if colored != (self.kind == "colors"):
            codes = as_gray(mask) if colored else gray_colors(codes)
        present, _ = counted(codes)
        return replaced(codes, present, self._indices(present))[None]

    def to_values(self, indices: Array) -> Array:
        """Class indices, (1, *spatial), as values like those of the training masks.

        Numbers give (1, *spatial) uint8, or uint16 or int32 where a value needs it, colors (3, *spatial)
        uint8. A class of several values gets the last of them; one of all other values alone gets 0 (black) as
        background, else 255 (white), or the smallest that no class has. Numbered objects become 0 and 255.
        """
        colored = self.kind == "colors"
        written = [_written(self.values, index, colored) for index in range(len(self.values))]
        if colored:
            table = np.array([_parts(code) for code in written], np.uint8)
            return np.ascontiguousarray(np.moveaxis(table[indices[0]], -1, 0))
        suits = (np.uint8, np.uint16, np.int32)
        dtype = next((t for t in suits if all(np.can_cast(np.min_scalar_type(v), t) for v in written)), np.int64)
        return np.array(written, dtype)[indices]

    def _indices(self, codes: Codes) -> Array:
        """The class of each of some distinct codes, uint8."""
        found = np.full(len(codes), -1, np.int16)
        for index, values in enumerate(self.values):
            for value in values:
                if value != OTHER:
                    low, high = _span(value)
                    found[(codes >= low) & (codes <= high)] = index
        other = next((index for index, values in enumerate(self.values) if OTHER in values), -1)
        found[found < 0] = other
        if (found < 0).any():
            strange = [_shown(int(code), self.kind == "colors") for code in codes[found < 0]]
            raise UlnaError(
                f"the mask holds {_listed(strange)}, which belong to no class",
                hint=f"{self.sentence} Mend the mask, or set data.values in the configuration.",
            )
        return found.astype(np.uint8)


def infer(
    masks: Iterable[Array],
    config: DataConfig,
    *,
    objects: bool = False,
    names: Iterable[str] = (),
) -> Classes:
    """Find out what the values of masks, (C, *spatial) as they were read, mean.

    What `config` sets (`values`, `classes`) is taken as it is. Otherwise, in this order: colors; one value
    beside the background; values smeared around 0 and 255 (cut at 128); numbers of objects (`objects` says
    that they are, else: each value is mostly one piece, and there are many or their count varies); classes.
    Raises UlnaError if the masks are all empty or their values look like no mask, and for one that cannot be a
    mask, which is named where `names` has a name for each.
    """
    if config.values:
        return _configured(config)
    seen = _Seen()
    for mask, name in zip(masks, chain(names, repeat(None)), strict=False):
        try:
            seen.add(mask)
        except UlnaError as error:
            raise UlnaError(error.what, where=name, hint=error.hint) from None
    if not seen.sets:
        raise UlnaError("there are no masks to learn the classes from")
    if seen.colored:
        return _named(_colors(seen), config)
    background, foreground = _ground(seen)
    if objects or _number_objects(seen, background, foreground):
        return _named(_instances(seen), config)
    if len(foreground) == 1 or (foreground == [1, 255] and not any({1, 255} <= found for found in seen.sets)):
        return _named(_binary(background, foreground), config)
    if _lossy(seen):
        return _named(_cut(), config)
    if len(foreground) > (MAX_CLASSES if seen.components > MAX_SPECKLE * seen.values else MAX_COLORS):
        shown = _listed([str(value) for value in foreground])
        raise UlnaError(
            f"the masks hold {len(foreground) + 1} different values ({shown}): neither a few classes nor "
            "numbers of objects",
            hint="Are these masks? If they are, set data.values in the configuration ('0..127' is a range).",
        )
    return _named(_several(background, foreground), config)


@dataclass
class _Seen:
    """What was seen in the masks so far."""

    pixels: Counter[int] = field(default_factory=Counter)
    sets: list[frozenset[int]] = field(default_factory=list)
    values: int = 0
    components: int = 0
    looked_at: int = 0
    colored: bool = False
    wide: bool = False  # 32-bit integers: what programs write that number objects

    def add(self, mask: Array) -> None:
        codes, colored = codes_of(mask)
        if colored and not self.colored:
            self._turn_colored()
        if self.colored and not colored:
            codes = gray_colors(codes)
        self.wide |= mask.dtype.kind in "iu" and mask.dtype.itemsize == 4
        found, counts = counted(codes)
        self.pixels.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        self.sets.append(frozenset(found.tolist()))
        if len(found) > 2 and self.looked_at < MAX_INSPECTED:
            self.looked_at += 1
            numbers = np.arange(1, len(found) + 1, dtype=np.int32)
            numbers[np.argmax(counts)] = 0
            self._count_components(replaced(codes, found, numbers))

    def _count_components(self, numbers: Array) -> None:
        """How many components the values come in, numbered from 1; 0, the most frequent one, is the background."""
        touching = np.ones((3,) * numbers.ndim)
        for number, box in enumerate(ndimage.find_objects(numbers), start=1):
            if box is not None:
                self.values += 1
                self.components += int(ndimage.label(numbers[box] == number, touching)[1])

    def _turn_colored(self) -> None:
        self.colored = True
        self.pixels = Counter({gray_color(value): count for value, count in self.pixels.items()})
        self.sets = [frozenset(gray_color(value) for value in found) for found in self.sets]


def _ground(seen: _Seen) -> tuple[int, list[int]]:
    """The background's value (0, else the smallest) and the others in order."""
    background = 0 if 0 in seen.pixels else min(seen.pixels)
    foreground = sorted(value for value in seen.pixels if value != background)
    if not foreground:
        raise UlnaError(
            f"all {len(seen.sets)} masks hold nothing but {background}: there is nothing to learn from them",
            hint="Are these the masks, and were they saved as they should be?",
        )
    return background, foreground


def _number_objects(seen: _Seen, background: int, foreground: Sequence[int]) -> bool:
    """Whether values number objects: mostly one piece each, and many, or counted 1..n with varying n."""
    if background != 0 or len(foreground) < 2 or seen.components > MAX_COMPONENTS * seen.values:
        return False
    found = [values - {0} for values in seen.sets if values != {0}]
    counted = _counted_through(found)
    if len(foreground) > MAX_CLASSES:
        return not _lossy(seen) and (counted > 0.5 or _many_a_mask(seen))
    return counted > 0.9 and (seen.wide or _counts_vary(found))


def _counted_through(found: Sequence[frozenset[int]]) -> float:
    """The share of masks whose values are 1..n, as numbers of n objects are."""
    return sum(max(values) == len(values) for values in found) / len(found)


def _counts_vary(found: Sequence[frozenset[int]]) -> bool:
    counts = {len(values) for values in found}
    return len(counts) >= 3 and max(counts) >= 4


def _many_a_mask(seen: _Seen) -> bool:
    """Whether a mask holds more values than classes of one picture would be."""
    return sum(len(values) - 1 for values in seen.sets) >= MANY * len(seen.sets)


def _lossy(seen: _Seen) -> bool:
    """Whether values lie around 0 and 255 as after JPEG or a smooth resize."""
    if min(seen.pixels) < 0 or not 255 - LOSSY_RANGE <= max(seen.pixels) <= 255 or len(seen.pixels) < 6:
        return False
    low = sum(count for value, count in seen.pixels.items() if 0 < value <= LOSSY_RANGE)
    high = sum(count for value, count in seen.pixels.items() if value >= 255 - LOSSY_RANGE)
    between = sum(count for value, count in seen.pixels.items() if LOSSY_RANGE < value < 255 - LOSSY_RANGE)
    return between <= 0.3 * high and low <= high


def _binary(background: int, foreground: Sequence[int]) -> Classes:
    written = " and ".join(str(value) for value in foreground)
    be = "is" if len(foreground) == 1 else "are"
    sentence = f"Masks hold {_all([background, *foreground])}: {written} {be} '{{1}}', {background} is background."
    return Classes(("background", "foreground"), ((background,), tuple(foreground)), "binary", sentence)


def _several(background: int, foreground: Sequence[int]) -> Classes:
    names = tuple(f"class {index} ({value})" for index, value in enumerate(foreground, start=1))
    told = ", ".join(f"{value} is '{{{index}}}'" for index, value in enumerate(foreground, start=1))
    sentence = f"Masks hold {_all([background, *foreground])}: {told}, {background} is background."
    values = ((background,), *((value,) for value in foreground))
    return Classes(("background", *names), values, "classes", sentence)


def _instances(seen: _Seen) -> Classes:
    most = max(len(values - {0}) for values in seen.sets)
    told = "every value but 0 is '{1}', 0 is background."
    sentence = f"Masks number their objects (up to {most} in an image): " + told
    return Classes(("background", "foreground"), ((0,), (OTHER,)), "instances", sentence)


def _cut() -> Classes:
    sentence = (
        "Masks hold values smeared around 0 and 255 (by JPEG or a smooth resize): 128 and above is '{1}', "
        "the rest is background."
    )
    return Classes(("background", "foreground"), (("0..127",), ("128..255",)), "binary", sentence)


def _colors(seen: _Seen) -> Classes:
    black = 0 if 0 in seen.pixels else seen.pixels.most_common(1)[0][0]
    colors = sorted(code for code in seen.pixels if code != black)
    one_piece = seen.components <= MAX_COMPONENTS * seen.values
    many = len(colors) > MAX_COLORS or (len(colors) > MAX_CLASSES and one_piece and _many_a_mask(seen))
    if black == 0 and one_piece and (many or _number_by_color(seen)):
        sentence = "Masks give each object a color of its own: every color but black is '{1}'."
        return Classes(("background", "foreground"), (("0,0,0",), (OTHER,)), "colors", sentence)
    if many:
        raise UlnaError(
            f"the masks hold {len(colors) + 1:,} different colors, as photographs do",
            hint="Are these masks? If they are, save them without loss (PNG or TIFF), one color a class.",
        )
    shown = [_shown(code, colored=True) for code in (black, *colors)]
    told = "; ".join(f"{color} is '{{{index}}}'" for index, color in enumerate(shown) if index)
    sentence = f"Masks hold {len(shown)} colors: {told}; {shown[0]} is background."
    names = ("background", *(f"class {i} ({color})" for i, color in enumerate(shown) if i))
    return Classes(names, tuple((color,) for color in shown), "colors", sentence)


def _number_by_color(seen: _Seen) -> bool:
    """Whether colors number objects, as a palette or lookup table shows them: always the same first n, n varying.

    What comes first is not seen in a color: the first is the one that is in most of the masks.
    """
    often = Counter(code for found in seen.sets for code in found if code)
    number = {code: place for place, (code, _) in enumerate(often.most_common(), start=1)}
    found = [frozenset(number[code] for code in codes if code) for codes in seen.sets if codes != {0}]
    return bool(found) and _counted_through(found) > 0.9 and _counts_vary(found)


def _named(found: Classes, config: DataConfig) -> Classes:
    """With the names that the configuration gives, also in the sentence."""
    names = config.classes or found.names
    if len(names) != len(found.names):
        raise UlnaError(
            f"data.classes names {len(names)} classes, the masks hold {len(found.names)} with the background",
            hint=found.sentence.format(*found.names),
        )
    return Classes(names, found.values, found.kind, found.sentence.format(*names))


def _configured(config: DataConfig) -> Classes:
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
    every = [value for group in values for value in group]
    for value in every:
        if value != OTHER:
            _span(value)
    colored = any(isinstance(value, str) and COLOR.fullmatch(value) for value in every)
    kind: Kind = "classes" if len(values) > 2 else "binary"
    kind = "colors" if colored else "instances" if kind == "binary" and OTHER in values[1] else kind
    told = "; ".join(f"{', '.join(map(str, group))} is '{name}'" for name, group in zip(names, values, strict=True))
    return Classes(names, values, kind, f"Mask values as set: {told}.")


def _parts(code: int) -> tuple[int, int, int]:
    return code >> 16 & 255, code >> 8 & 255, code & 255


def _span(value: Value) -> tuple[int, int]:
    """The first and last code that a value of the configuration means."""
    if isinstance(value, int):
        return value, value
    if color := COLOR.fullmatch(value):
        red, green, blue = (int(part) for part in color.groups())
        code = (red << 16) + (green << 8) + blue
        return code, code
    if span := RANGE.fullmatch(value):
        return int(span.group(1)), int(span.group(2))
    if re.fullmatch(r"\s*-?\d+\s*", value):
        return int(value), int(value)
    raise UlnaError(
        f"'{value}' is no mask value",
        where="data.values",
        hint="Write a number, a range '128..255', a color 'r,g,b' or 'other'.",
    )


def _written(classes: Sequence[Sequence[Value]], index: int, colored: bool) -> int:
    """The code that stands for the class `index` in a mask that is written; no two classes have the same."""
    spans = [_span(value) for value in classes[index] if value != OTHER]
    if not spans:
        taken = [_span(value) for values in classes for value in values if value != OTHER]
        usual = 0 if not index else WHITE if colored else 255
        following = sorted({1, *(high + 1 for _, high in taken if high > 0)})
        return next(code for code in (usual, *following) if not any(low <= code <= high for low, high in taken))
    low, high = spans[-1]
    return high if index else low


def _shown(code: int, colored: bool) -> str:
    return ",".join(str(part) for part in _parts(code)) if colored else str(code)


def _listed(values: Sequence[str]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(values[:SHOWN]) + more


def _all(values: Sequence[int]) -> str:
    words = [str(value) for value in values]
    return f"{', '.join(words[:-1])} and {words[-1]}"
