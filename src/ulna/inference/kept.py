"""`Kept`: what was computed of a large image, region by region, in files that later and other processes go on with."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from ulna.console import say
from ulna.errors import ReadError, WriteError
from ulna.formats.atomic import writing
from ulna.formats.writer import uncovered
from ulna.image import Array, Region
from ulna.text import amount

WORDS, PIXELS, REGIONS = "kept.json", ".pixels", ".regions"
"""The file that says what is kept, and the suffixes of the two files of each process that puts something there."""


@dataclass(frozen=True)
class _Block:
    """Where the numbers of a region lie: (C, *region), one after the other."""

    region: Region
    file: Path
    offset: int


class Kept:
    """An array (C, *spatial) in a hidden folder, which grows region by region and outlives the process.

    Nothing of it is in memory but what is read. What an earlier process put there counts if it was begun with the same
    words. Several processes may put regions at a time, also from several machines: each writes files of its own.

    Parameters
    ----------
    folder : Path
        Where it lies; what is there from something else is removed.
    shape : tuple of int
        (C, *spatial).
    dtype : np.dtype
        Of its numbers.
    origin : str
        What it is made from, in any words.
    helps : bool
        Whether another process has begun it and will finish it: nothing is removed then.

    Raises
    ------
    WriteError
        Where the disk does not hold it.
    ReadError
        Where it helps, and what was begun is something else.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, ...], dtype: np.dtype, origin: str, *, helps: bool = False
    ) -> None:
        self.folder, self.shape, self.dtype, self._helps = folder, shape, dtype, helps
        words = {"shape": list(shape), "dtype": dtype.str, "origin": sha256(origin.encode()).hexdigest()}
        with writing(folder):
            if _words(folder / WORDS) != words:
                if helps:
                    what = "what was begun here is of another image, model or setting than this process sees"
                    raise ReadError(what, where=folder, hint="Is the same version of ulna installed everywhere?")
                if folder.exists():
                    say(f"{folder}: what is kept there is of another image, model or setting, and is made anew")
                shutil.rmtree(folder, ignore_errors=True)
                self._begin(words)
        self._own = folder / uuid4().hex
        self.look()

    @property
    def name(self) -> str:
        """Of the list of what this process puts."""
        return self._own.with_suffix(REGIONS).name

    def look(self, names: Iterable[str] = ()) -> None:
        """See what other processes have put there until now.

        Parameters
        ----------
        names : iterable of str
            Of their lists, as far as they are known: a network drive may show a folder as it was a minute ago.
        """
        with writing(self.folder):
            lists = sorted({*self.folder.glob(f"*{REGIONS}"), *(self.folder / name for name in names)})
            self._blocks = [block for path in lists if path.is_file() for block in _blocks(path)]
        self._bounds = _bounds([block.region for block in self._blocks], len(self.shape) - 1)

    def put(self, region: Region, array: Array) -> None:
        """Take the numbers (C, *region) of a region; they are safe when this returns."""
        pixels = self._own.with_suffix(PIXELS)
        with writing(self.folder):
            with pixels.open("ab", buffering=0) as file:
                offset = file.tell()
                data = np.ascontiguousarray(array, self.dtype)
                if file.write(data.data) < data.nbytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())  # before the line that says that they are there
            with self._own.with_suffix(REGIONS).open("a", encoding="ascii") as lines:
                lines.write(f"{offset} " + " ".join(f"{part.start}:{part.stop}" for part in region) + "\n")
        self._blocks.append(_Block(region, pixels, offset))
        self._bounds = np.concatenate([self._bounds, _bounds([region], len(region))])

    def done(self, region: Region) -> bool:
        """Whether all numbers of a region are there."""
        sides = tuple(part.stop - part.start for part in region)
        return not uncovered(sides, [inner for _, inner in self._within(region)])

    @property
    def complete(self) -> bool:
        """Whether all numbers are there."""
        return self.done(tuple(slice(0, side) for side in self.shape[1:]))

    def read(self, region: Region) -> Array:
        """The numbers (C, *region) of a region; 0 where there are none yet."""
        array = np.zeros((self.shape[0], *(part.stop - part.start for part in region)), self.dtype)
        for block, inner in self._within(region):
            moved = zip(inner, region, block.region, strict=True)
            own = tuple(
                slice(part.start + at.start - from_.start, part.stop + at.start - from_.start)
                for part, at, from_ in moved
            )
            array[(slice(None), *inner)] = self._numbers(block, own)
        return array

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave the files where a process may go on: after an error too, if anything was computed."""
        if not self._helps and (kind is None or not self._blocks):
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
        (self.folder / WORDS).write_text(json.dumps(words), "utf-8")

    def _within(self, region: Region) -> list[tuple[_Block, Region]]:
        """The blocks that hold something of a region, and where in it."""
        low, high = (np.array([getattr(part, end) for part in region]) for end in ("start", "stop"))
        first = np.maximum(self._bounds[:, 0], low) - low
        last = np.minimum(self._bounds[:, 1], high) - low
        places = np.flatnonzero((first < last).all(axis=1))
        return [(self._blocks[at], tuple(map(slice, first[at].tolist(), last[at].tolist()))) for at in places.tolist()]

    def _numbers(self, block: _Block, part: Region) -> Array:
        """A part of what was put of a region."""
        shape = self.shape[0], *(one.stop - one.start for one in block.region)
        try:
            whole = np.memmap(block.file, self.dtype, "r", block.offset, shape)
        except (OSError, ValueError):
            what = "is cut off: what was kept of this image is not all there"
            hint = "Remove this folder, and predict the image anew."
            raise ReadError(what, where=self.folder, hint=hint) from None
        return np.array(whole[(slice(None), *part)])


def _bounds(regions: Sequence[Region], axes: int) -> npt.NDArray[np.int64]:
    """First and last plus one of each region along each axis: (n, 2, axes)."""
    ends = [[[part.start for part in region], [part.stop for part in region]] for region in regions]
    return np.array(ends, np.int64).reshape(-1, 2, axes)


def _words(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _blocks(path: Path) -> Iterator[_Block]:
    """What one process has put: by whole lines, for the last one may have been cut off."""
    text = path.read_text("ascii")
    for line in text[: text.rfind("\n") + 1].splitlines():
        offset, *parts = line.split(" ")
        region = tuple(slice(*map(int, part.split(":"))) for part in parts)
        yield _Block(region, path.with_suffix(PIXELS), int(offset))
