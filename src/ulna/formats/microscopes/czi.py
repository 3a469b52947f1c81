"""CZI of Zeiss, through czifile: one of the scenes of a file, put together from the tiles that a region touches."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import prod
from typing import Any, BinaryIO
from xml.etree import ElementTree

import numpy as np

from ulna.errors import ReadError, UlnaError
from ulna.formats.base import Format, Reader, begins, guard_memory, paper, unscanned
from ulna.formats.hyperstack import Hyperstack, reader_of
from ulna.formats.microscopes.frames import DAMAGED, EXTRA, KEPT, taken_for
from ulna.formats.optional import optional
from ulna.formats.selection import scene_of
from ulna.formats.writer import uncovered
from ulna.image import Array, Grid, Source
from ulna.text import size

METER = 1e6
"""Micrometers."""
SAMPLES = "samples"
SCENE = "scene"
MOST_TILES = 2000
"""Of more tiles in a plane it is not looked whether they leave gaps."""
OLD_PACKINGS = (0, 1, 2, 4)
"""Those that the czifile for Python 3.11 unpacks: none, JPEG, LZW, JPEG XR."""


@dataclass(frozen=True)
class _Block:
    """A tile: where it begins and ends along each axis, and how it is read."""

    start: Mapping[str, int]
    shape: Mapping[str, int]
    stored: tuple[int, ...]
    order: int
    number: int
    entry: Any


def open_czi(stream: BinaryIO, source: Source) -> Reader:
    """The reader of a scene of a CZI file, the first or that of `source.scene`; see `reader_of`.

    Tiles of a mosaic lie where the file says; where several overlap the last one is seen, and where there is none is
    `paper`. Of a pyramid only the full resolution is read.
    """
    library = optional("czifile", extra=EXTRA, what="CZI files", where=source)
    with warnings.catch_warnings():  # what is wrong with the file shows in what is read of it
        warnings.simplefilter("ignore")
        file = library.CziFile(stream)
        blocks = [_block(k, entry) for k, entry in enumerate(file.filtered_subblock_directory)]
    blocks = [block for block in blocks if block.stored == tuple(block.shape.values())]
    if not blocks:
        raise ReadError("this CZI file holds no image", where=source)
    scenes = sorted({block.start.get(SCENE, -1) for block in blocks})
    words = _words(file)
    called = _scenes(words, scenes)
    number, notes = scene_of(called, source)
    blocks = [block for block in blocks if block.start.get(SCENE, -1) == scenes[number]]
    blocks.sort(key=lambda block: (block.order, block.number))
    dtypes = {np.dtype(np.dtype(block.entry.dtype).base) for block in blocks}
    dtype = dtypes.pop()
    if dtypes or dtype.kind not in "buif":
        kinds = ", ".join(sorted(map(str, {dtype, *dtypes})))
        raise ReadError(f"holds numbers of the types {kinds}", where=source, hint="Export it as OME-TIFF.")
    names = [name for name in blocks[0].start if name != SCENE]
    first = {name: min(block.start.get(name, 0) for block in blocks) for name in names}
    sizes = {
        name: max(block.start.get(name, 0) + block.shape.get(name, 1) for block in blocks) - first[name]
        for name in names
    }
    if not {"Y", "X"} <= set(sizes):
        raise ReadError(f"its axes {', '.join(sizes)} ({size(tuple(sizes.values()))}) are no image", where=source)
    axes = taken_for({("S" if name == SAMPLES else name): length for name, length in sizes.items()})
    own = {letter: (SAMPLES if name == "S" else name) for name, letter in axes.letters.items()}
    lengths = {letter: sizes[name] for letter, name in own.items()}
    load = _loader(file, blocks, dtype, source)
    fill = paper(dtype, sizes.get(SAMPLES, 1))
    gaps = [unscanned(fill)] if _gaps(blocks, first, sizes) else []

    def cut(parts: tuple[slice, ...], _level: int) -> Array:
        box = {own[letter]: part for letter, part in zip(lengths, parts, strict=True)}
        result = np.full([part.stop - part.start for part in parts], fill, dtype)
        for k, block in enumerate(blocks):
            _paste(result, box, block, first, partial(load, k))
        return result

    stack = Hyperstack(
        "".join(lengths),
        (tuple(lengths.values()),),
        dtype.newbyteorder("="),
        cut,
        names=_names(words),
        notes=(*notes, *axes.notes, *gaps),
        scenes=called,
    )
    return reader_of(stack, [_grid(words, lengths)], source)


def _gaps(blocks: Sequence[_Block], first: Mapping[str, int], sizes: Mapping[str, int]) -> bool:
    """Whether there are pixels of the first plane that no tile has."""
    beside = [name for name in first if name not in ("Y", "X")]
    here = [block for block in blocks if all(block.start.get(name, 0) == first[name] for name in beside)]
    places = [
        tuple(
            slice(
                block.start.get(name, 0) - first[name],
                block.start.get(name, 0) - first[name] + block.shape.get(name, 1),
            )
            for name in "YX"
        )
        for block in here
    ]
    if len(here) > MOST_TILES:  # of which the place of each is compared with that of all others
        return False
    return uncovered((sizes["Y"], sizes["X"]), places) > 0


def _block(number: int, entry: Any) -> _Block:
    """A tile, as both kinds of czifile describe it: that for Python 3.11, and the later ones."""
    dims = getattr(entry, "dims", None)
    if dims is None:  # the samples of a color are called 0, and a scene S
        names = [{"0": SAMPLES, "S": SCENE}.get(axis, axis) for axis in entry.axes]
    else:
        names = [SAMPLES if name == "S" else name for name in dims]
    start = dict(zip(names, map(int, entry.start), strict=True))
    shape = dict(zip(names, map(int, entry.shape), strict=True))
    if dims is not None:
        start[SCENE] = int(entry.scene_index)
    mosaic = entry.mosaic_index
    return _Block(
        start, shape, tuple(map(int, entry.stored_shape)), -1 if mosaic is None else int(mosaic), number, entry
    )


def _loader(file: Any, blocks: Sequence[_Block], dtype: np.dtype, source: Source) -> Callable[[int], Array]:
    """From the number of a tile to its pixels, in the order of its axes; some are kept."""
    largest = max(prod(block.stored) for block in blocks) * dtype.itemsize

    @lru_cache(max(1, KEPT // max(1, largest)))
    def load(number: int) -> Array:
        block = blocks[number]
        guard_memory(prod(block.stored) * dtype.itemsize, source, shape=block.stored)
        if hasattr(block.entry, "data_segment"):
            if block.entry.compression not in OLD_PACKINGS:
                raise ReadError(
                    f"is packed in a way ({block.entry.compression}) that needs a later czifile",
                    where=source,
                    hint="Use Python 3.12 or later, or export it as OME-TIFF.",
                )
            array = block.entry.data_segment().data(resize=False)
        else:
            array = block.entry.read_segment_data(file).data()
        return np.asarray(array).reshape(block.stored)

    return load


def _paste(
    result: Array, box: Mapping[str, slice], block: _Block, first: Mapping[str, int], load: Callable[[], Array]
) -> None:
    """Put the part of a tile that lies in a box, a slice per axis of the result, where it belongs."""
    target, inner = {}, {}
    for name in block.shape:
        if name == SCENE:
            inner[name] = slice(0, 1)
            continue
        start = block.start[name] - first.get(name, 0)
        part = box.get(name, slice(0, 1))
        both = slice(max(start, part.start), min(start + block.shape[name], part.stop))
        if both.start >= both.stop:
            return
        target[name] = slice(both.start - part.start, both.stop - part.start)
        inner[name] = slice(both.start - start, both.stop - start)
    pixels = load()[tuple(inner[name] for name in block.shape if name in inner)]
    present = [name for name in block.shape if name in inner]
    kept = [k for k, name in enumerate(present) if name in box]
    pixels = pixels.reshape([pixels.shape[k] for k in kept])
    order = [present[k] for k in kept]
    result[tuple(target[name] for name in box)] = pixels.transpose([order.index(name) for name in box])


def _words(file: Any) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(file.metadata())
    except (ElementTree.ParseError, TypeError, ValueError):
        return ElementTree.Element("none")


def _scenes(words: ElementTree.Element, numbers: Sequence[int]) -> tuple[str, ...]:
    """What the scenes of these numbers are called; one without a name is called by its number."""
    found = words.findall(".//Information/Image/Dimensions/S/Scenes/Scene")
    named = {scene.get("Index"): scene.get("Name") for scene in found}
    return tuple(named.get(str(number)) or f"scene {max(0, number)}" for number in numbers)


def _names(words: ElementTree.Element) -> tuple[str, ...]:
    found = words.findall(".//Information/Image/Dimensions/Channels/Channel")
    return tuple(channel.get("Name", "") for channel in found)


def _grid(words: ElementTree.Element, lengths: Mapping[str, int]) -> Grid:
    """Where the pixels lie, in micrometers where the file says distances."""
    letters = [letter for letter in "ZYX" if letter in lengths and (letter != "Z" or lengths["Z"] > 1)]
    shape = tuple(lengths[letter] for letter in letters)
    found = {one.get("Id"): one.findtext("Value") for one in words.findall(".//Scaling/Items/Distance")}
    try:
        return Grid(shape, tuple(float(found[letter] or "") * METER for letter in letters), "µm")
    except (KeyError, ValueError, UlnaError):
        return Grid(shape)


def _errors() -> tuple[type[Exception], ...]:
    own = getattr(sys.modules.get("czifile.czifile"), "SegmentNotFoundError", None)  # no ValueError in the older one
    return (*DAMAGED, own) if own is not None else DAMAGED


FORMAT = Format(
    name="CZI",
    suffixes=(".czi",),
    recognizes=begins(b"ZISRAWFILE"),
    open=open_czi,
    mask_suffix=".tif",
    errors=_errors,
)
