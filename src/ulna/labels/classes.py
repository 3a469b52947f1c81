"""`Classes`: what the values in masks mean; turns masks into class indices and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ulna.errors import UlnaError
from ulna.image import IGNORE, Array, Labels
from ulna.labels.packed import LOSSY_RANGE, Codes, codes_of, counted, gray_colors, replaced
from ulna.labels.values import MAX_CLASSES, OTHER, Kind, Value, color_parts, kind_of, shown, span, written
from ulna.text import listed

Regions = tuple[tuple[str, tuple[int, ...]], ...]
"""Names of regions, each with the indices of its classes. Two have no class in common, or all of the smaller one."""


@dataclass(frozen=True)
class Classes:
    """The classes of a data set and the mask values of each.

    Parameters
    ----------
    names
        Names of the classes, the background first.
    values
        For each class the mask values that mean it: numbers, ranges ("128..255"), colors ("r,g,b"), channels
        ("channel 2", "channels 1+2") or "other", every value that is not named elsewhere. The last value of a class
        is the one that is written (of a range of the background its first number, else its last).
    kind
        How masks are written: one foreground value, class values, colors, one channel per class, or a number or
        color for each object.
    sentence
        The same in words.
    ignore
        Mask values of pixels that are not annotated: they become `IGNORE`.
    regions
        What several classes make up together, where that is asked for; see `ulna.labels.regions`.

    Raises
    ------
    UlnaError
        For more than 255 classes.

    Examples
    --------
    >>> classes = Classes(("background", "cell"), ((0,), (1,)), "binary", "", ignore=(255,))
    >>> classes.to_indices(np.array([[[0, 1, 255]]]))
    array([[[  0,   1, 255]]], dtype=uint8)
    """

    names: tuple[str, ...]
    values: tuple[tuple[Value, ...], ...]
    kind: Kind
    sentence: str
    ignore: tuple[Value, ...] = ()
    regions: Regions = ()

    def __post_init__(self) -> None:
        if len(self.names) > MAX_CLASSES:
            raise UlnaError(
                f"there are {len(self.names)} classes; at most {MAX_CLASSES} can be told apart",
                where="data.values",
                hint="Unite classes, or number objects: (0) and ('other').",
            )

    def to_indices(self, mask: Array) -> Array:
        """Class indices of a mask.

        Parameters
        ----------
        mask
            (C, *spatial), as it was read.

        Returns
        -------
        Array
            (1, *spatial) uint8; `IGNORE` (255) where the mask holds a value of `ignore`.

        Raises
        ------
        UlnaError
            For values that belong to no class, which are named, and for colors where the classes are numbers.
        """
        codes = self._codes(mask)
        present, _ = counted(codes)
        return replaced(codes, present, self._indices(present))[None]

    def to_labels(self, mask: Array) -> Labels:
        """Class indices and, where masks number their objects or color each, the objects.

        Connected components of a class are not taken for objects.

        Parameters
        ----------
        mask
            (C, *spatial), as it was read.

        Returns
        -------
        Labels
            Its objects are the mask's own numbers where these fit, else (colors, numbers above 2³¹ − 1) 1, 2, … in
            the order of the values. Pixels of the background and ignored ones belong to no object.
        """
        indices = self.to_indices(mask)[0]
        if not self.numbers_objects:
            return Labels(indices, names=self.names)
        codes = self._codes(mask)
        present, _ = counted(codes)
        classes = self._indices(present)
        objects = (classes != 0) & (classes != IGNORE)
        own = self.kind == "instances" and bool(((present > 0) & (present < 1 << 31))[objects].all())
        numbers = np.where(objects, present if own else np.cumsum(objects), 0).astype(np.int32)
        return Labels(indices, replaced(codes, present, numbers), names=self.names)

    def written_values(self) -> dict[int, str]:
        """The value that is written for each class but the background; empty where masks have colors or channels.

        Returns
        -------
        dict
            Names of classes by values.

        Examples
        --------
        >>> Classes(("background", "cell"), ((0,), (128, 255)), "binary", "").written_values()
        {255: 'cell'}
        """
        written = self.to_values(np.arange(len(self.names), dtype=np.uint8)[None, None])
        if len(written) > 1:
            return {}
        return dict(zip(written.ravel()[1:].tolist(), self.names[1:], strict=True))

    def to_values(self, indices: Array) -> Array:
        """Class indices as values like those of the training masks.

        Parameters
        ----------
        indices
            (1, *spatial), of a prediction: without `IGNORE`.

        Returns
        -------
        Array
            Numbers as (1, *spatial) uint8, or uint16 or int32 where a value needs it; colors as (3, *spatial) uint8.
            A class of "other" alone is written as 0 (black) as background, else 255 (white), or the smallest value
            that no class has. Numbered objects become 0 and 255. Where training masks have one channel per class, or
            number objects of several classes, the number of the class.
        """
        if self.kind == "channels" or (self.kind == "instances" and len(self.names) > 2):
            return indices.astype(np.uint8)
        colored = self.kind == "colors"
        codes = [written(self.values, index, self.ignore, colored=colored) for index in range(len(self.values))]
        if colored:
            table = np.array([color_parts(code) for code in codes], np.uint8)
            return np.ascontiguousarray(np.moveaxis(table[indices[0]], -1, 0))
        suits = (np.uint8, np.uint16, np.int32)
        dtype = next((t for t in suits if all(np.can_cast(np.min_scalar_type(v), t) for v in codes)), np.int64)
        return np.array(codes, dtype)[indices]

    @property
    def predicted(self) -> Classes:
        """The same for masks that were predicted, in which no value means "not annotated"."""
        return replace(self, ignore=())

    @property
    def learned(self) -> tuple[str, ...]:
        """The names of what is learned and scored: of the regions, or else of the classes without the background."""
        return tuple(name for name, _ in self.regions) or self.names[1:]

    @property
    def numbers_objects(self) -> bool:
        """Whether each value but the background is an object of its own."""
        return self.kind == "instances" or (self.kind == "colors" and len(self.values) == 2 and OTHER in self.values[1])

    def yaml(self) -> str:
        """The lines of a configuration that say the same.

        Returns
        -------
        str
            YAML, without a line break at its end.

        Examples
        --------
        >>> print(Classes(("background", "cell"), ((0,), ("1..9", 255)), "binary", "").yaml())
        data:
          classes: ["background", "cell"]
          values: [[0], ["1..9", 255]]
        """

        def flow(value: Any) -> str:
            return json.dumps(value, ensure_ascii=False)

        lines = [f"  classes: {flow(list(self.names))}", f"  values: {flow([list(group) for group in self.values])}"]
        lines += [f"  ignore: {flow(list(self.ignore))}"] if self.ignore else []
        if self.regions:
            named = {name: [self.names[index] for index in indices] for name, indices in self.regions}
            lines += [f"  regions: {flow(named)}"]
        lines += ["  objects: true"] if self.kind == "instances" != kind_of(self.values) else []
        return "\n".join(["data:", *lines])

    def _codes(self, mask: Array) -> Array:
        """The mask's codes in this kind's notation."""
        if self.kind == "channels":
            if len(mask) == 1:  # a mask that was predicted: the numbers of the classes
                own = [written(self.values, index, (), colored=False) for index in range(len(self.values))]
                numbers, _ = counted(mask[0])
                if len(numbers) and not 0 <= numbers[0] <= numbers[-1] < len(own):
                    raise UlnaError(f"the mask holds {listed(numbers)}, which belong to no class", hint=self.sentence)
                codes: Array = np.array(own)[mask[0].astype(np.intp)]
                return codes
            return codes_of(mask, channels=True)[0]
        codes, colored = codes_of(mask, tint=0 if self.kind == "colors" else LOSSY_RANGE)
        if colored and self.kind not in ("colors", "instances"):
            found = [shown(int(code), "colors") for code in counted(codes)[0]]
            raise UlnaError(
                f"the mask holds colors ({listed(found)}), but the classes are gray values",
                hint=f"{self.sentence} Save the mask like the others, or set data.values to colors for all.",
            )
        return gray_colors(codes) if self.kind == "colors" and not colored else codes

    def _indices(self, codes: Codes) -> Array:
        """The class of each of some distinct codes, uint8."""
        found = np.full(len(codes), -1, np.int16)
        for index, values in [*enumerate(self.values), (IGNORE, self.ignore)]:
            for value in values:
                if value != OTHER:
                    low, high = span(value)
                    found[(codes >= low) & (codes <= high)] = index
        other = next((index for index, values in enumerate(self.values) if OTHER in values), -1)
        found[found < 0] = other
        if (found < 0).any():
            strange = [shown(int(code), self.kind) for code in codes[found < 0]]
            raise UlnaError(
                f"the mask holds {listed(strange, 8)}, which belong to no class",
                hint=f"{self.sentence} Correct the mask, or set data.values (or data.ignore) in the configuration.",
            )
        return found.astype(np.uint8)
