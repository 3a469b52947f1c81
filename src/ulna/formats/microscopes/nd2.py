"""ND2 of Nikon, through nd2: one of the positions of a file, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, BinaryIO

import numpy as np

from ulna.errors import ReadError, UlnaError
from ulna.formats.base import Format, Reader
from ulna.formats.hyperstack import Hyperstack, reader_of
from ulna.formats.microscopes.frames import DAMAGED, EXTRA, from_frames, taken_for
from ulna.formats.optional import optional
from ulna.formats.selection import scene_of
from ulna.image import Array, Grid, Source
from ulna.text import size

POSITION = "P"


def recognizes(head: bytes, name: str) -> bool:
    """Whether a file is ND2, by its first bytes; old ones begin as JPEG 2000 does, and need the name."""
    return head.startswith(b"\xda\xce\xbe\x0a") or (head[4:8] == b"jP  " and name.lower().endswith(".nd2"))


def open_nd2(stream: BinaryIO, source: Source) -> Reader:
    """The reader of a position of an ND2 file, the first or that of `source.scene`; see `reader_of`."""
    library = optional("nd2", extra=EXTRA, what="ND2 files", where=source)
    file = library.ND2File(stream)
    sizes = {str(name): int(length) for name, length in file.sizes.items()}
    dtype = np.dtype(file.dtype)
    if not {"Y", "X"} <= set(sizes) or dtype.kind not in "buif" or not prod(sizes.values()):
        raise ReadError(f"its axes {', '.join(sizes)} ({size(tuple(sizes.values()))}) are no image", where=source)
    scenes = _positions(file, sizes.pop(POSITION, 1))
    position, notes = scene_of(scenes, source)
    axes = taken_for(sizes)
    own = {letter: name for name, letter in axes.letters.items()}
    lengths = {letter: sizes[name] for name, letter in axes.letters.items()}
    inner = "".join(letter for letter in "CYXS" if own.get(letter) == letter)
    numbers = {_place(loop): k for k, loop in enumerate(file.loop_indices)}

    def frame(place: Mapping[str, int]) -> Array:
        loop = {own[letter]: index for letter, index in place.items()}
        loop |= {name: 0 for name in sizes if name not in axes.letters and name not in inner}
        array = np.asarray(file.read_frame(numbers[_place(loop | {POSITION: position})]))
        return array.reshape([lengths[letter] for letter in inner])  # axes of one pixel are left out

    stack = Hyperstack(
        "".join(lengths),
        (tuple(lengths.values()),),
        dtype.newbyteorder("="),
        from_frames(lengths, inner, dtype, source, frame),
        names=_names(file),
        notes=(*notes, *axes.notes),
        scenes=scenes,
    )
    return reader_of(stack, [_grid(file, lengths)], source)


def _place(loop: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Where a frame lies along the loops of an experiment: those at their first place count as not there."""
    return tuple(sorted((name, index) for name, index in loop.items() if index))


def _positions(file: Any, count: int) -> tuple[str, ...]:
    """What the positions are called, or their numbers."""
    loops = [loop for loop in file.experiment if loop.type == "XYPosLoop"]
    points = loops[0].parameters.points if len(loops) == 1 else []
    named = [str(point.name or "") for point in points] if len(points) == count else [""] * count
    return tuple(name or f"position {k}" for k, name in enumerate(named))


def _names(file: Any) -> tuple[str, ...]:
    metadata = file.metadata
    channels = getattr(metadata, "channels", None) or ()
    return tuple(str(channel.channel.name) for channel in channels)


def _grid(file: Any, lengths: Mapping[str, int]) -> Grid:
    """Where the pixels lie, in micrometers where the microscope was calibrated."""
    letters = [letter for letter in "ZYX" if letter in lengths and (letter != "Z" or lengths["Z"] > 1)]
    shape = tuple(lengths[letter] for letter in letters)
    channels = getattr(file.metadata, "channels", None) or ()
    if not channels or not all(channels[0].volume.axesCalibrated[:2]):
        return Grid(shape)
    voxel = file.voxel_size()
    try:
        return Grid(shape, tuple(float(getattr(voxel, letter.lower())) for letter in letters), "µm")
    except UlnaError:
        return Grid(shape)


FORMAT = Format(
    name="ND2",
    suffixes=(".nd2",),
    recognizes=recognizes,
    open=open_nd2,
    mask_suffix=".tif",
    errors=lambda: DAMAGED,
)
