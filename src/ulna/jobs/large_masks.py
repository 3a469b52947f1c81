"""Masks of objects that are not in memory as a whole, measured region by region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ulna.alignment import same_planes
from ulna.dataset import Case, Progress
from ulna.formats import Reader, check_finite, open_reader
from ulna.formats.base import RGB
from ulna.formats.outlines.annotation import NAMELESS
from ulna.grid import Grid
from ulna.image import Image, Labels, Region
from ulna.inference import room
from ulna.jobs.numbered import as_numbers, in_pieces
from ulna.measurement import Column, Table, measure_by_region
from ulna.objectlist import ObjectLists

SHOWN = {2: 1024, 3: 128}
"""The sides of the part of a large mask that is drawn, by the number of axes."""


def is_large(case: Case, pictured: Case | None) -> bool:
    """Whether a mask is measured region by region: where it is large, and its image in one file on the same pixels."""
    with open_reader(case.images[0]) as reader:
        if not room.is_large(reader.grid.shape) or len(reader.channels) > 1:
            return False
        grid = reader.grid
    if pictured is None:
        return True
    if len(pictured.images) > 1:
        return False
    with open_reader(pictured.images[0]) as reader:
        return reader.grid.shape == grid.shape and (grid.ndim == 2 or same_planes(grid, reader.grid))


@dataclass(frozen=True)
class LargeMask:
    """A mask that numbers objects, and its image, opened.

    Parameters
    ----------
    mask, image
        Their readers.
    grid
        Where their pixels lie.
    classes
        The class of each object, where a list names them.
    doubts
        What is to be said, counted.
    """

    mask: Reader
    image: Reader | None
    grid: Grid
    classes: Mapping[int, str] | None
    doubts: Counter[str]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The classes of the objects, the background first."""
        return ("background", *dict.fromkeys([*(self.classes or {}).values(), NAMELESS]))

    def labels(self, region: Region) -> Labels:
        """The objects of a region, with their classes."""
        objects = as_numbers(self.mask.read(region)[0], self.mask.source)
        known, names = self.classes or {}, self.names
        present = np.unique(objects)
        own = [0 if number == 0 else names.index(known.get(number, NAMELESS)) for number in present.tolist()]
        indices = np.array(own, np.uint8)[np.searchsorted(present, objects)]
        return Labels(indices, objects, self.grid.crop(region), names)

    def pixels(self, region: Region) -> Image:
        """The image of a region."""
        assert self.image is not None  # it is asked where there is one
        part = Image(self.image.read(region), self.grid.crop(region), self.image.channels)
        check_finite(part.array, self.image.source)
        signals = [k for k, channel in enumerate(part.channels) if channel.role == "signal"]
        return replace(part, array=part.array[signals], channels=tuple(part.channels[k] for k in signals))

    def table(self, *, progress: Progress) -> Table:
        """The measurements of all objects."""
        pixels = None if self.image is None else self.pixels
        table = measure_by_region(self.labels, self.grid, pixels, look=self._look, progress=progress)
        in_color = self.image is not None and self.image.channels[:3] == RGB
        self.doubts["gray"] += in_color and "intensity_mean" in table
        return table

    def fullest(self, table: Table) -> tuple[Region, Labels, Image | None]:
        """The part that holds the most objects, for a picture."""
        axes = "zyx"[-self.grid.ndim :]
        starts = np.stack([table[f"bbox_{axis}_start"] for axis in axes], axis=1)
        side = SHOWN[self.grid.ndim]
        blocks, counts = np.unique(starts // side, axis=0, return_counts=True)
        block = blocks[counts.argmax()] if len(blocks) else np.zeros(len(axes), np.int64)
        region = tuple(
            slice(int(k) * side, min((int(k) + 1) * side, whole))
            for k, whole in zip(block, self.grid.shape, strict=True)
        )
        return region, self.labels(region), None if self.image is None else self.pixels(region)

    def _look(self, labels: Labels, members: Column) -> None:
        """Count the objects that are in several pieces, and those that no list names."""
        objects = np.asarray(labels.objects)
        self.doubts["objects"] += len(members)
        self.doubts["pieces"] += in_pieces(np.where(np.isin(objects, members), objects, 0))
        if self.classes is not None:
            self.doubts["unlisted"] += sum(number not in self.classes for number in members.tolist())


@contextmanager
def opened_mask(
    case: Case, pictured: Case | None, lists: ObjectLists, doubts: Counter[str], grid: Grid
) -> Iterator[LargeMask]:
    """A large mask and its image, opened; closed with the context."""
    with ExitStack() as stack:
        mask = stack.enter_context(open_reader(case.images[0]))
        image = None if pictured is None else stack.enter_context(open_reader(pictured.images[0]))
        yield LargeMask(mask, image, grid, lists.classes(case.images[0]), doubts)
