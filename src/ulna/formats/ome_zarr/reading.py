"""Reading Zarr folders: which image is meant, what its axes are, where its levels lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from ulna.errors import ReadError, UlnaError
from ulna.formats.base import Reader
from ulna.formats.hdf5 import Arrays, by_names, inferred_axes
from ulna.formats.hyperstack import Hyperstack, reader_of
from ulna.formats.ome_zarr.chunked import BROKEN, ChunkedArray
from ulna.formats.ome_zarr.metadata import (
    ArrayV2,
    ArrayV3,
    Attributes,
    Multiscale,
    attributes_of,
)
from ulna.formats.ome_zarr.store import Files
from ulna.formats.selection import scene_of
from ulna.image import Grid, Source
from ulna.text import listed, size
from ulna.units import PIXEL, comparable, factor, spelled

ROOT = "."
"""The path of a folder's own image."""
ROUNDED = 2
"""By so many pixels a level may be larger or smaller than its scale says."""


@dataclass(frozen=True)
class _Node:
    """A group or an array of a folder: its metadata, where it has such."""

    path: str
    attributes: Attributes | None = None
    array: ArrayV2 | ArrayV3 | None = None

    def below(self, name: str) -> str:
        """The path of what lies in it."""
        return "/".join(filter(None, (self.path, name.strip("/"))))


@dataclass(frozen=True)
class _Picked:
    """The image that is meant, the names of all of the folder, what is said of them, and its resolutions."""

    node: _Node
    scenes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    scales: Multiscale | None = None


def open_folder(source: Source) -> Reader:
    """The reader of an image in a Zarr folder: (C, Z, Y, X), or (C, Y, X) where it has one plane.

    It is the multiscale image of the folder itself; of a plate, or of several images beside each other, that which
    `source.scene` picks; or what lies at `source.array` within it. An array without metadata has the axes that it
    names, or those of `source.axes`.

    Parameters
    ----------
    source
        The folder and what is selected.

    Returns
    -------
    Reader
        With a level per resolution.

    Raises
    ------
    ReadError
        For folders that are no such images, and metadata that make no sense.
    """
    files = Files(source)
    wanted = source.array.strip("/")
    node = _node(files, "" if wanted == ROOT else wanted)
    if node is None:
        what = f"holds no group or array '{wanted}'" if wanted else "is no Zarr folder: it has no metadata"
        raise ReadError(what, where=source, hint=BROKEN)
    picked = _image(files, node, source)
    if picked.node.array is not None:
        return _plain(files, picked, source)
    return _multiscale(files, picked, source)


def content(source: Source) -> Arrays:
    """Which image and which labels a folder holds; "." is its own image. A folder of neither has arrays by their names.

    Of a folder of several images the labels are those of the image that `source.scene` picks, if it does.

    Parameters
    ----------
    source
        The folder.

    Returns
    -------
    Arrays
        Labels are those that its group `labels` lists, or holds.

    Raises
    ------
    ReadError
        For metadata that make no sense.
    """
    files = Files(source)
    node = _node(files, "")
    if node is None or node.array is not None:
        return Arrays(ROOT, (), ())
    if not (node.attributes and node.attributes.multiscales):
        if not _images(files, node):
            return by_names([one.path for one in _arrays(files, node)])
        if source.scene is None:
            return Arrays(ROOT, (), ())
        node = _image(files, node, source).node
    group = _node(files, node.below("labels"))
    if group is None:
        return Arrays(ROOT, (), ())
    listed_ones = group.attributes.labels if group.attributes else None
    names = listed_ones if listed_ones is not None else files.children(group.path)
    return Arrays(ROOT, tuple(group.below(name) for name in names), ())


def _node(files: Files, path: str) -> _Node | None:
    """What lies at a path; None where nothing does."""
    at = f"{path}/" if path else ""
    words = files.words(f"{at}zarr.json")
    try:
        if words is not None:
            if words.get("node_type") == "array":
                return _Node(path, array=ArrayV3.model_validate(words))
            return _Node(path, attributes_of(words.get("attributes") or {}))
        words = files.words(f"{at}.zarray")
        if words is not None:
            return _Node(path, array=ArrayV2.model_validate(words))
        words = files.words(f"{at}.zattrs")
        if words is None and files.words(f"{at}.zgroup") is None:
            return None
        return _Node(path, attributes_of(words or {}))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        what = f"its metadata ({path or 'of the folder itself'}) make no sense: {place}: {first['msg']}"
        raise ReadError(what, where=files.source, hint=BROKEN) from None


def _image(files: Files, node: _Node, source: Source) -> _Picked:
    """The image that is meant, and what is said of that."""
    if node.array is not None:
        return _Picked(node)
    if node.attributes and node.attributes.multiscales:
        scenes = tuple(scales.name or f"image {k}" for k, scales in enumerate(node.attributes.multiscales))
        number, notes = scene_of(scenes, source)
        return _Picked(node, scenes, notes, node.attributes.multiscales[number])
    names = tuple(_images(files, node))
    if names:
        number, notes = scene_of(names, source)
        found = _node(files, names[number])
        if found is None or (found.array is None and not (found.attributes and found.attributes.multiscales)):
            raise ReadError(f"holds no image at '{names[number]}', where its metadata say one", where=source)
        inner = _image(files, found, replace(source, scene=None))
        return replace(inner, scenes=names, notes=(*notes, *inner.notes))
    arrays = _arrays(files, node)
    if len(arrays) == 1:
        return _Picked(arrays[0])
    if not arrays:
        raise ReadError("holds no image", where=source, hint=BROKEN)
    shown = listed([one.path for one in arrays], quoted=True)
    raise ReadError(
        f"holds the arrays {shown}, and does not say which is the image",
        where=source,
        hint=f"Say which it is: --set 'data.images={{case}}{source.suffix}/{arrays[0].path}'.",
    )


def _images(files: Files, node: _Node) -> list[str]:
    """The paths of the images of a plate, of a well, or of a file of several images."""
    words = node.attributes or Attributes()
    if words.plate is not None:
        wells = [_node(files, node.below(well.path)) for well in words.plate.wells]
        return [name for well in wells if well for name in _images(files, well) or _numbered(files, well)]
    if words.well is not None:
        return [node.below(image.path) for image in words.well.images]
    if words.layout is not None:
        listing = _node(files, node.below("OME"))
        stated = listing.attributes.series if listing and listing.attributes else None
        return _numbered(files, node) if stated is None else [node.below(name) for name in stated]
    if words.labels is not None:
        return [node.below(name) for name in words.labels]
    return []


def _numbered(files: Files, node: _Node) -> list[str]:
    """What lies in a group and has a number as its name."""
    return [node.below(name) for name in sorted(filter(str.isdecimal, files.children(node.path)), key=int)]


def _arrays(files: Files, node: _Node) -> list[_Node]:
    """The arrays that lie in a group, which have rows and columns."""
    found = [_node(files, node.below(name)) for name in files.children(node.path)]
    return [one for one in found if one and one.array is not None and len(one.array.shape) >= 2]


def _multiscale(files: Files, picked: _Picked, source: Source) -> Reader:
    """The reader of an image at several resolutions."""
    node, words, scales, notes = picked.node, picked.node.attributes, picked.scales, [*picked.notes]
    assert words is not None  # of `_image`
    assert scales is not None
    axes = _letters([axis.name for axis in scales.axes], source)
    arrays, places = [], []
    for level in scales.datasets:
        found = _node(files, node.below(level.path))
        if found is None or found.array is None:
            raise ReadError(f"its level '{level.path}' is missing", where=source, hint=BROKEN)
        if len(found.array.shape) != len(axes):
            raise ReadError(
                f"its level '{level.path}' has {len(found.array.shape)} axes, its metadata name {len(axes)}",
                where=source,
                hint=BROKEN,
            )
        arrays.append(ChunkedArray(files, found.path, found.array, source))
        places.append(scales.placed(level))
    kept = _levels(axes, arrays, [scale for scale, _, _ in places])
    if len(kept) < len(arrays):
        paths = listed([level.path for k, level in enumerate(scales.datasets) if k not in kept], quoted=True)
        notes.append(f"its levels {paths} are not used: no smaller copies of the image")
    names = tuple(channel.label or "" for channel in words.omero.channels) if words.omero else ()
    base, note = _grid(axes, arrays[0].shape, scales, places[0], source)
    grids = [base] + [
        _level_grid(base, axes, (arrays[k].shape, arrays[0].shape), (places[k], places[0])) for k in kept[1:]
    ]
    said = (*notes, *filter(None, (note, arrays[0].missing())))
    return _reader([arrays[k] for k in kept], axes, grids, source, names=names, notes=said, scenes=picked.scenes)


def _plain(files: Files, picked: _Picked, source: Source) -> Reader:
    """The reader of an array that nothing is said of but its shape."""
    node, notes = picked.node, [*picked.notes]
    assert node.array is not None  # of `open_folder`
    array = ChunkedArray(files, node.path, node.array, source)
    named = [str(name or "") for name in array.names]
    if len(named) == len(array.shape) and {"y", "x"} <= {name.lower() for name in named} and not source.axes:
        axes = _letters(named, source)
    else:
        kept = [k for k, side in enumerate(array.shape) if side > 1 or k >= len(array.shape) - 2]
        found, assumed = inferred_axes([array.shape[k] for k in kept], source)
        notes += [assumed] * bool(assumed)
        free = iter(letter for letter in "TCZ" if letter not in found)
        letters = dict(zip(kept, found, strict=True))
        if len(array.shape) > len("TCZYX"):
            raise ReadError(f"has {len(array.shape)} axes ({size(array.shape)}): volumes have three", where=source)
        axes = "".join(letters[k] if k in letters else next(free) for k in range(len(array.shape)))
    shape = _space(axes, array.shape)
    silent = "it does not say how large its voxels are" if len(shape) == 3 else ""
    said = (*notes, *filter(None, (silent, array.missing())))
    return _reader([array], axes, [Grid(shape)], source, names=(), notes=said, scenes=picked.scenes)


def _reader(
    arrays: Sequence[ChunkedArray],
    axes: str,
    grids: Sequence[Grid],
    source: Source,
    *,
    names: tuple[str, ...],
    notes: tuple[str, ...],
    scenes: tuple[str, ...],
) -> Reader:
    dtype = np.dtype(np.uint8) if arrays[0].dtype.kind == "b" else arrays[0].dtype.newbyteorder("=")
    stack = Hyperstack(
        axes,
        tuple(array.shape for array in arrays),
        dtype,
        lambda part, level: arrays[level].cut(part),
        names=names,
        notes=notes,
        scenes=scenes,
    )
    return reader_of(stack, grids, source)


def _letters(names: Sequence[str], source: Source) -> str:
    """A letter per axis. Raises ReadError for axes that are none of time, channel and space."""
    letters = "".join({"channel": "C", "time": "T"}.get(name.lower(), name.upper()) for name in names)
    known = set(letters) <= set("TCZYX") and len(set(letters)) == len(letters) == len(names)
    if not known or not {"Y", "X"} <= set(letters):
        raise ReadError(f"has the axes {listed(names, 8, quoted=True)}: only t, c, z, y and x are read", where=source)
    return letters


def _space(axes: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Those of the axes in space, in the order of images; of one plane those of rows and columns."""
    found = dict(zip(axes, values, strict=True))
    return tuple(found[letter] for letter in "ZYX" if letter in found)


def _depth(axes: str, shape: Sequence[int]) -> int:
    return dict(zip(axes, shape, strict=True)).get("Z", 1)


Placed = tuple[tuple[float, ...], tuple[float, ...], bool]


def _grid(axes: str, shape: tuple[int, ...], scales: Multiscale, placed: Placed, source: Source) -> tuple[Grid, str]:
    """Where the pixels of the first level lie, and what is said where that cannot be used."""
    scale, offset, _ = (_space(axes, one) for one in (placed[0], placed[1], placed[0]))
    units = [spelled(axis.unit or "") for axis in _space(axes, scales.axes)]
    sides = _space(axes, shape)
    first = len(sides) - 2 if _depth(axes, shape) == 1 else 0
    sides, scale, offset, units = sides[first:], scale[first:], offset[first:], units[first:]
    unit = units[-1]
    if unit == PIXEL and any(side != 1 for side in scale):
        what = "its scale has no unit: it is not used (to say it, set data.spacing)"
        return Grid(sides), what
    if not all(comparable(one, unit) for one in units):
        return Grid(sides), f"the units of its axes ({listed(units)}) cannot be compared: its scale is not used"
    steps = [factor(one, unit) for one in units]
    try:
        spacing, origin = (tuple(a * b for a, b in zip(one, steps, strict=True)) for one in (scale, offset))
        return Grid(sides, spacing, unit, origin), ""
    except UlnaError as error:
        raise ReadError(f"says no place in space: {error.what}", where=source, hint="Correct its metadata.") from None


def _level_grid(
    base: Grid, axes: str, shapes: tuple[tuple[int, ...], tuple[int, ...]], places: tuple[Placed, Placed]
) -> Grid:
    """The grid of a level, from that of the first, by the scales of both and, where they are stated, translations."""
    sides, whole = (_space(axes, shape)[-base.ndim :] for shape in shapes)
    (scale, offset, stated), (first_scale, first_offset, _) = places
    ratios = [a / b for a, b in zip(_space(axes, scale), _space(axes, first_scale), strict=True)][-base.ndim :]
    if set(ratios) == {1.0}:  # nothing is said of the levels: by their sizes
        ratios = [a / b for a, b in zip(whole, sides, strict=True)]
    if stated:
        moved = [(a - b) / s for a, b, s in zip(offset, first_offset, first_scale, strict=True)]
        start = list(_space(axes, moved))[-base.ndim :]
    else:
        start = [(ratio - 1) / 2 for ratio in ratios]
    spacing = tuple(side * ratio for side, ratio in zip(base.spacing, ratios, strict=True))
    return Grid(sides, spacing, base.unit, tuple(base.to_world(start).tolist()), base.direction)


def _levels(axes: str, arrays: Sequence[ChunkedArray], scales: Sequence[tuple[float, ...]]) -> list[int]:
    """Which arrays are smaller copies of the first: alike but for their sides, which shrink as their scales say."""
    kept = [0]
    first = arrays[0]
    for number, array in enumerate(arrays[1:], 1):
        ratios = [a / b for a, b in zip(scales[number], scales[0], strict=True)]
        space = [k for k, letter in enumerate(axes) if letter in "ZYX"]
        said = any(ratios[k] != 1 for k in space)
        alike = array.dtype == first.dtype and all(
            array.shape[k] == first.shape[k] for k in range(len(axes)) if axes[k] in "TC"
        )
        shrinks = all(array.shape[k] <= arrays[kept[-1]].shape[k] for k in space)
        fits = all(abs(array.shape[k] - first.shape[k] / ratios[k]) <= ROUNDED for k in space) or not said
        if alike and shrinks and fits and array.shape != arrays[kept[-1]].shape:
            kept.append(number)
    return kept
