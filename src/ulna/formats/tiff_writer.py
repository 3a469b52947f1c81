"""Writing TIFF: OME-TIFF and ImageJ hyperstack in one, compressed without loss, with grid and names of channels."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite, prod
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import tifffile

from ulna.errors import UlnaError
from ulna.formats.base import GRAY, RGB
from ulna.formats.writer import on_disk
from ulna.image import Array, Channel, Grid, Image
from ulna.units import CENTIMETERS

KINDS = {np.dtype(kind) for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")}
BIG = 3 << 30  # bytes from which a TIFF needs 64-bit offsets
DESCRIPTION = 270  # the tag "ImageDescription"


def save(path: Path, image: Image) -> None:
    """Write an image or a volume as one OME-TIFF, which is an ImageJ hyperstack where it has several planes.

    Three channels of 8 or 16 bits are RGB unless they have names of their own; an alpha stays a declared alpha, and
    other channels stay channels. The plane's resolution is in the TIFF's own tags too, for programs that do not read
    OME. Raises UlnaError for types and orientations that OME-TIFF has no words for.

    ImageJ's own reader, which opens any .tif in Fiji, does not read OME: it would take channels for slices, and slices
    to be one pixel apart. So a second description follows the first, as Micro-Manager writes it. Of two, ImageJ takes
    the last one, Bio-Formats and libtiff the first.
    """
    image = replace(image, array=_held(image.array, path))
    options, words = as_stored(image, path)
    texts = [ome_text(options["data"], words)]
    if _is_hyperstack(image, words["axes"]):
        texts.append(_imagej(image, options["data"].shape, words["axes"]))
        options |= _imagej_resolution(image.grid)
    tags = [(DESCRIPTION, "s", 0, text.encode(), True) for text in texts]
    with tifffile.TiffWriter(path, bigtiff=image.array.nbytes > BIG) as tiff:
        tiff.write(compression="zlib", metadata=None, extratags=tags, **options)


def as_it_lies(path: Path, shape: tuple[int, ...], dtype: np.dtype, channels: tuple[Channel, ...]) -> Array:
    """An array (C, *spatial) on the disk whose values lie as in the TIFF, so that none is copied; as `on_disk`."""
    spatial = shape[1:]
    axis = -1 if interleaved(channels, dtype) else -3
    stored = (*spatial, shape[0]) if axis == -1 else (*spatial[:-2], shape[0], *spatial[-2:])
    return np.moveaxis(on_disk(path, stored, dtype, channels), axis, 0)


def _held(array: Array, path: Path) -> Array:
    """An array of a type that OME has a word for: whole numbers of 64 bits as 32 bits where they fit."""
    if array.dtype in KINDS:
        return array
    for kind in (np.int32, np.uint32):
        span = np.iinfo(kind)
        if array.dtype.kind in "iu" and span.min <= array.min() and array.max() <= span.max:
            return array.astype(kind)
    raise UlnaError(
        f"OME-TIFF cannot hold these numbers of the type {array.dtype}",
        where=path,
        hint="Convert the array to a type of at most 32 bits, or to float32 or float64.",
    )


def as_stored(image: Image, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The array as it lies in the file with tifffile's options for it, and OME's words.

    Raises UlnaError for an alpha and for axes that OME-TIFF has no words for; the error names `path`.
    """
    roles, depth = [channel.role for channel in image.channels], "Z" * (image.ndim - 2)
    alpha = roles[-1] == "alpha"
    colored = _is_color(image.channels, image.array.dtype)
    if "alpha" in roles[:-1] or (alpha and not (colored or len(roles) == 2)):
        raise UlnaError("TIFF holds an alpha behind one gray or three color channels only", where=path)
    words: dict[str, Any] = {"axes": f"{depth}CYX"}
    if interleaved(image.channels, image.array.dtype):
        words["axes"] = f"{depth}YXS"
        options: dict[str, Any] = {"data": np.moveaxis(image.array, 0, -1), "planarconfig": "contig"}
    elif len(roles) > 1:
        options = {"data": np.moveaxis(image.array, 0, -3)}
        words["Channel"] = {"Name": [channel.name for channel in image.channels]}
    else:
        words["axes"] = f"{depth}YX"
        options = {"data": image.array[0]}
        if image.channels not in (GRAY, _numbered(1)):
            words["Channel"] = {"Name": [image.channels[0].name]}
    planes = (image.shape[0] if depth else 1) * (1 if "S" in words["axes"] else len(roles))
    options |= {"photometric": "rgb" if colored else "minisblack"}
    if alpha:
        options["extrasamples"] = ["unassalpha"]
    centimeters = CENTIMETERS.get(image.unit)
    if centimeters is not None:
        y, x = image.spacing[-2:]
        options |= {
            "resolution": (1 / (x * centimeters), 1 / (y * centimeters)),
            "resolutionunit": "CENTIMETER",
        }
    return options, words | _place(image.grid, planes, path)


def ome_text(stored: Array, words: dict[str, Any]) -> str:
    """OME's description of an array as it lies in the file."""
    plane = 3 if words["axes"].endswith("S") else 2
    sides = (*stored.shape[-plane:], 1)[:3]
    xml = tifffile.OmeXml(UUID=str(uuid4()))  # without one, tifffile's names the machine
    xml.addimage(stored.dtype, stored.shape, (prod(stored.shape[:-plane]), 1, 1, *sides), **words)
    return str(xml.tostring(declaration=True))


def _is_hyperstack(image: Image, axes: str) -> bool:
    """Whether there are several planes, of a kind that ImageJ opens as a stack: gray ones, or RGB of 8 bits."""
    if axes.endswith("S"):
        return axes != "YXS" and len(image.channels) == 3 and image.array.dtype == np.uint8
    return axes != "YX"


def _imagej(image: Image, shape: tuple[int, ...], axes: str) -> str:
    """ImageJ's description of an array as it lies in the file."""
    grid, words = image.grid, dict[str, Any]()
    if grid != Grid(grid.shape):
        ascii_unit = "".join(letter if letter.isascii() else f"\\u{ord(letter):04x}" for letter in grid.unit)
        words["unit"] = "um" if grid.unit == "µm" else ascii_unit
        if grid.ndim == 3:
            words["spacing"] = grid.spacing[0]
        corner = grid.origin if len(grid.origin) == grid.ndim else grid.origin[1:]
        for axis, start, side in zip("xyz", reversed(corner), reversed(grid.spacing), strict=False):
            if start:
                words[f"{axis}origin"] = -start / side  # the index whose coordinate is 0
    lowest, highest = float(image.array.min()), float(image.array.max())
    if not axes.endswith("S") and isfinite(highest - lowest):  # else masks, and probabilities, are shown black in black
        words |= {"min": lowest, "max": highest}
    return str(tifffile.imagej_description(shape, axes=axes, **words))


def _imagej_resolution(grid: Grid) -> dict[str, Any]:
    """Pixels per unit of ImageJ's description, as its reader counts them."""
    y, x = grid.spacing[-2:]
    return {} if grid == Grid(grid.shape) else {"resolution": (1 / x, 1 / y), "resolutionunit": "NONE"}


def _is_color(channels: tuple[Channel, ...], dtype: np.dtype) -> bool:
    signals = tuple(channel for channel in channels if channel.role == "signal")
    return signals in (RGB, _numbered(3)) and dtype in (np.uint8, np.uint16)


def interleaved(channels: tuple[Channel, ...], dtype: np.dtype) -> bool:
    """Whether the channels of a pixel lie side by side, and not in planes of their own."""
    return _is_color(channels, dtype) or channels[-1].role == "alpha"


def _numbered(count: int) -> tuple[Channel, ...]:
    """The channels that an array has without names."""
    return tuple(Channel(f"channel {k}") for k in range(count))


def _place(grid: Grid, planes: int, path: Path) -> dict[str, Any]:
    """OME's words for a grid; none for one of unit pixels. A plane may lie anywhere in a volume."""
    if grid == Grid(grid.shape):
        return {}
    straight = np.eye(len(grid.origin))[:, len(grid.origin) - grid.ndim :]
    if len(grid.origin) > 3 or not np.array_equal(grid.matrix, straight):
        raise UlnaError(
            "TIFF cannot hold axes that do not run along those of the world",
            where=path,
            hint="Resample the image, or give it a grid without a direction.",
        )
    words: dict[str, Any] = {}
    for axis, side in zip("XYZ", reversed(grid.spacing), strict=False):
        words |= {f"PhysicalSize{axis}": side, f"PhysicalSize{axis}Unit": grid.unit}
    if any(grid.origin) or len(grid.origin) > grid.ndim:
        place: dict[str, Any] = {}
        for axis, corner in zip("XYZ", reversed(grid.origin), strict=False):
            place |= {f"Position{axis}": [corner] * planes, f"Position{axis}Unit": [grid.unit] * planes}
        if grid.ndim == 3:
            depths = grid.origin[0] + grid.spacing[0] * np.arange(grid.shape[0])
            place["PositionZ"] = np.repeat(depths, planes // grid.shape[0]).tolist()
        words["Plane"] = place
    return words
