"""`Kept`: what was computed of a large image, region by region, in files that a later process can go on with."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from hashlib import sha256
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np

from ulna.console import say
from ulna.errors import ReadError, WriteError
from ulna.formats.atomic import writing
from ulna.formats.writer import uncovered
from ulna.image import Array, Region
from ulna.text import amount

WORDS, PIXELS, REGIONS = "kept.json", "pixels", "regions.txt"


class Kept:
    """An array (C, *spatial) in a hidden folder, which grows region by region and outlives the process.

    Nothing of it is in memory but what is read. What an earlier process put there counts if it was begun with the same
    words.

    Parameters
    ----------
    folder
        Where it lies; what is there from something else is removed.
    shape
        (C, *spatial).
    dtype
        Of its numbers.
    origin
        What it is made from, in any words.

    Raises
    ------
    WriteError
        Where the disk does not hold it.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: np.dtype, origin: str) -> None:
        self.folder, self.shape, self.dtype = folder, shape, dtype
        words = {"shape": list(shape), "dtype": dtype.str, "origin": sha256(origin.encode()).hexdigest()}
        with writing(folder):
            if _words(folder / WORDS) != words:
                if folder.exists():
                    say(f"{folder}: what is kept there is of another image, model or setting, and is made anew")
                shutil.rmtree(folder, ignore_errors=True)
                self._begin(words)
            self._done = _regions(folder / REGIONS)
            self._pixels = (folder / PIXELS).open("r+b", buffering=0)
            self._list = (folder / REGIONS).open("a", encoding="ascii")

    def put(self, region: Region, array: Array) -> None:
        """Take the numbers (C, *region) of a region; they are safe when this returns."""
        with writing(self.folder):
            rows = np.ascontiguousarray(np.moveaxis(array, 0, -2), self.dtype).reshape(-1, array.shape[-1])
            for place, row in zip(self._places(region), rows, strict=True):
                self._pixels.seek(place)
                if self._pixels.write(row.data) < row.nbytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._pixels.fileno())  # before the line that says that they are there
            self._list.write(" ".join(f"{part.start}:{part.stop}" for part in region) + "\n")
            self._list.flush()
        self._done.append(region)

    def done(self, region: Region) -> bool:
        """Whether all numbers of a region are there."""
        sides = tuple(part.stop - part.start for part in region)
        inside = []
        for other in self._done:
            cut = tuple(
                slice(max(a.start, b.start) - b.start, min(a.stop, b.stop) - b.start)
                for a, b in zip(other, region, strict=True)
            )
            if all(part.start < part.stop for part in cut):
                inside.append(cut)
        return not uncovered(sides, inside)

    def read(self, region: Region) -> Array:
        """The numbers (C, *region) of a region."""
        sides = tuple(part.stop - part.start for part in region)
        array = np.empty((*sides[:-1], self.shape[0], sides[-1]), self.dtype)
        for place, row in zip(self._places(region), array.reshape(-1, sides[-1]), strict=True):
            self._pixels.seek(place)
            if self._pixels.readinto(row.data) < row.nbytes:
                what = "is cut off: what was kept of this image is not all there"
                raise ReadError(what, where=self.folder, hint="Remove this folder, and predict the image anew.")
        return np.moveaxis(array, -2, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the files. They stay where a later process may go on: after an error too, if anything was computed."""
        self._pixels.close()
        self._list.close()
        if kind is None or not self._done:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self, words: dict[str, Any]) -> None:
        needed = prod(self.shape) * self.dtype.itemsize
        self.folder.mkdir(parents=True)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            self.folder.rmdir()
            raise WriteError(
                f"{amount(needed)} of disk are needed while this image is predicted, {amount(free)} are free",
                where=self.folder.parent,
                hint="Name an --out on another disk.",
            )
        with (self.folder / PIXELS).open("wb") as file:
            file.truncate(needed)
        (self.folder / REGIONS).touch()
        (self.folder / WORDS).write_text(json.dumps(words), "utf-8")  # the rest is there

    def _places(self, region: Region) -> Iterator[int]:
        """Where the rows of a region begin in the file, in which the channels of a row follow each other."""
        count, *sides = self.shape
        first = region[-1].start
        for outer in product(*(range(part.start, part.stop) for part in region[:-1])):
            row = 0
            for side, place in zip(sides[:-1], outer, strict=True):
                row = row * side + place
            for channel in range(count):
                yield ((row * count + channel) * sides[-1] + first) * self.dtype.itemsize


def _words(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _regions(path: Path) -> list[Region]:
    """The regions of whole lines: the last one may have been cut off."""
    text = path.read_text("ascii")
    whole = text[: text.rfind("\n") + 1]
    if len(whole) < len(text):
        path.write_text(whole, "ascii")
    return [tuple(slice(*map(int, part.split(":"))) for part in line.split(" ")) for line in whole.splitlines()]
