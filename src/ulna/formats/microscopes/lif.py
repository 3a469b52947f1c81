"""LIF of Leica, through liffile: one of the images of a file, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, BinaryIO
from xml.etree import ElementTree

import numpy as np

from ulna.errors import ReadError, UlnaError
from ulna.formats.base import Format, Reader, begins
from ulna.formats.hyperstack import Hyperstack, reader_of
from ulna.formats.microscopes.frames import DAMAGED, EXTRA, from_frames, taken_for
from ulna.formats.optional import optional
from ulna.formats.selection import scene_of
from ulna.image import Array, Grid, Source
from ulna.text import size

METER = 1e6
"""Micrometers."""


def open_lif(stream: BinaryIO, source: Source) -> Reader:
    """The reader of an image of a LIF file, the first or that of `source.scene`; see `Hyperstack` and `reader_of`."""
    library = optional("liffile", extra=EXTRA, what="LIF files", where=source)
    file = library.LifFile(stream)
    images = list(file.images)
    if not images:
        raise ReadError("this LIF file holds no image", where=source)
    scenes = tuple(str(image.name) for image in images)
    number, notes = scene_of(scenes, source)
    image = images[number]
    sizes = {str(name): int(length) for name, length in image.sizes.items()}
    dtype = np.dtype(image.dtype)
    if not {"Y", "X"} <= set(sizes) or dtype.kind not in "buif" or not prod(sizes.values()):
        what = (
            f"its image '{image.name}' ({size(tuple(sizes.values()))}, axes {', '.join(sizes)}) has no rows and columns"
        )
        raise ReadError(what, where=source, hint="Choose another with data.scene, or save it as TIFF.")
    axes = taken_for(sizes)
    inner = "".join(axes.letters.get(str(name), "?") for name in image.frames.frame_dims)
    own = {letter: name for name, letter in axes.letters.items()}
    lengths = {letter: sizes[name] for name, letter in axes.letters.items()}

    def frame(place: Mapping[str, int]) -> Array:
        return np.asarray(image.frame(**{own[letter]: index for letter, index in place.items()}))

    letters = "".join(lengths)
    stack = Hyperstack(
        letters,
        (tuple(lengths.values()),),
        dtype.newbyteorder("="),
        from_frames(lengths, inner, dtype, source, frame),
        names=_names(image),
        notes=(*notes, *axes.notes),
        scenes=scenes,
    )
    return reader_of(stack, [_grid(image, lengths)], source)


def _names(image: Any) -> tuple[str, ...]:
    """Of the channels; empty where they have none."""
    found = np.asarray(image.coords.get("C", ()))
    return tuple(map(str, found)) if found.dtype.kind == "U" else ()


def _grid(image: Any, lengths: Mapping[str, int]) -> Grid:
    """Where the pixels lie: distances from the coordinates of its axes, in meters; unit pixels where these are none."""
    letters = [letter for letter in "ZYX" if letter in lengths and (letter != "Z" or lengths["Z"] > 1)]
    shape = tuple(lengths[letter] for letter in letters)
    steps = [np.diff(np.asarray(image.coords.get(letter, ()), float)[:2]) for letter in letters]
    if any(step.size != 1 for step in steps):
        return Grid(shape)
    try:
        return Grid(shape, tuple(abs(float(step[0])) * METER for step in steps), "µm")
    except UlnaError:
        return Grid(shape)


def _errors() -> tuple[type[Exception], ...]:
    return (*DAMAGED, ElementTree.ParseError)  # liffile's own is a ValueError


FORMAT = Format(
    name="LIF",
    suffixes=(".lif",),
    recognizes=begins(b"\x70\0\0\0"),
    open=open_lif,
    mask_suffix=".tif",
    errors=_errors,
)
