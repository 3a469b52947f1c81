"""Where the pixels of a TIFF lie: as ImageJ or OME describe it, or by the resolution tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from xml.etree import ElementTree

from ulna.errors import UlnaError
from ulna.grid import Grid
from ulna.text import size
from ulna.units import CENTIMETERS, comparable, factor, spelled

# Resolutions a printer or a screen has; programs write them into files that nobody ever measured.
PRINT = {72, 75, 96, 100, 120, 144, 150, 180, 200, 240, 300, 350, 400, 600, 1200}
INCH, CENTIMETER = 2, 3
APERIO = re.compile(r"\|\s*MPP\s*=\s*([0-9.]+)")


@dataclass(frozen=True)
class Found:
    """What a file says: distances and place of its pixels as (z, y, x), None where it is silent on z."""

    spacing: tuple[float | None, float, float]
    unit: str
    origin: tuple[float | None, float, float] = (None, 0.0, 0.0)


def read_grid(tiff: Any, shape: tuple[int, ...], *, series: int = 0, turned: bool = False) -> Grid:
    """The grid of a plane (Y, X) or a stack (Z, Y, X); unit pixels where the file says nothing.

    Resolutions in centimeters and inches are given in µm. A plane whose z is known has an origin in space.

    Parameters
    ----------
    tiff
        An opened tifffile.TiffFile.
    shape
        Of the image as it is read.
    series
        Which of the images of the file it is: a later one has words of its own, or none.
    turned
        Whether the rows of the image are the columns of the file.
    """
    found = _found(tiff, series)
    if found is None:
        return Grid(shape)
    (dz, *plane), (z, *corner) = found.spacing, found.origin
    if turned:
        plane, corner = plane[::-1], corner[::-1]
    if len(shape) == 3:
        return Grid(shape, (dz or 1.0, *plane), found.unit, (z or 0.0, *corner))
    if z is None:
        return Grid(shape, tuple(plane), found.unit, tuple(corner))
    return Grid(shape, tuple(plane), found.unit, (z, *corner), ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))


def depth_note(tiff: Any, series: int = 0) -> str:
    """That a file says how large the pixels of a stack are, and not how far apart its planes lie.

    Parameters
    ----------
    tiff
        An opened tifffile.TiffFile.
    series
        Which of the images of the file it is.
    """
    found = _found(tiff, series)
    if found is None or found.spacing[0]:
        return ""
    plane = " × ".join(f"{side:.4g}" for side in found.spacing[1:])
    return (
        f"its pixels are {plane} {found.unit}, and nothing says how far apart its planes lie: 1 {found.unit} is taken; "
        "data.spacing and data.unit state it"
    )


def _found(tiff: Any, series: int) -> Found | None:
    """What the first of the ways to describe it says that makes sense."""
    page = tiff.series[series].keyframe if series else tiff.pages[0]
    of_first = [] if series else [partial(_imagej, tiff), partial(_svs, tiff)]
    looks = (partial(_ome, tiff, series), *of_first, partial(_tags, page))
    return next(filter(None, map(_made_sense, looks)), None)


def scene_names(tiff: Any) -> tuple[str, ...]:
    """What the images of a file are called, or how large they are."""
    return tuple(str(series.name or size(series.shape)) for series in tiff.series)


def channel_names(tiff: Any, series: int = 0) -> tuple[str, ...]:
    """The names that OME gives to the channels of an image; empty where it gives none."""
    try:
        pixels = _pixels_element(tiff, series)
    except ElementTree.ParseError:
        return ()
    names = [element.attrib.get("Name", "") for element in pixels if element.tag.endswith("Channel")] if pixels else []
    return tuple(names) if all(names) else ()


def _made_sense(look: Callable[[], Found | None]) -> Found | None:
    """What was found; nothing where the words make no sense: the image can be read without them."""
    try:
        found = look()
        if found is not None:
            Grid((1, 1, 1), tuple(side or 1.0 for side in found.spacing), origin=tuple(o or 0.0 for o in found.origin))
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, ElementTree.ParseError, UlnaError):
        return None
    return found


def _pixels_element(tiff: Any, series: int) -> Any:
    if not tiff.is_ome or not tiff.ome_metadata:
        return None
    tree = ElementTree.fromstring(tiff.ome_metadata)
    found = [element for element in tree.iter() if element.tag.endswith("Pixels")]
    if series and len(found) != len(tiff.series):  # some lie in other files: which words are whose is not known
        return None
    return found[series] if found else None


def _ome(tiff: Any, series: int) -> Found | None:
    pixels = _pixels_element(tiff, series)
    if pixels is None:
        return None
    words = pixels.attrib
    if "PhysicalSizeX" not in words or "PhysicalSizeY" not in words:
        return None
    unit = spelled(words.get("PhysicalSizeXUnit", "µm"))
    z, y, x = (_length(words, f"PhysicalSize{axis}", unit, unit) for axis in "ZYX")
    planes = [element.attrib for element in pixels if element.tag.endswith("Plane")]
    first: Mapping[str, str] = min(planes, key=lambda words: int(words.get("TheZ", 0)), default={})
    corner = [_length(first, f"Position{axis}", unit, "reference frame") for axis in "ZYX"]
    assert y is not None  # both are among the words
    assert x is not None
    return Found((z, y, x), unit, (corner[0], corner[1] or 0.0, corner[2] or 0.0))


def _length(words: Mapping[str, str], name: str, unit: str, default: str) -> float | None:
    """A length in `unit`; None where it is absent, or is in a unit that has no relation to this one."""
    if name not in words:
        return None
    value, own = float(words[name]), spelled(words.get(f"{name}Unit", default))
    if comparable(own, unit):
        return value * factor(own, unit)
    if name.startswith("Position"):
        return None
    raise ValueError(f"{name} is in {own}, the width of a pixel in {unit}")


def _imagej(tiff: Any) -> Found | None:
    words = tiff.imagej_metadata or {}
    unit = spelled(str(words.get("unit", "")))
    plane = _pixels(tiff.pages[0])
    if unit not in CENTIMETERS or plane is None:
        return None
    spacing = words.get("spacing")
    dz = abs(float(spacing)) if spacing else None
    # ImageJ counts its origin in pixels: the index whose coordinate is 0.
    y, x = (-float(words.get(f"{axis}origin", 0)) * side for axis, side in zip("yx", plane, strict=True))
    z = -float(words["zorigin"]) * (dz or 1.0) if "zorigin" in words else None
    return Found((dz, *plane), unit, (z, y, x))


def _svs(tiff: Any) -> Found | None:
    """Of a slide by Aperio: micrometers per pixel, in its description."""
    found = APERIO.search(str(tiff.pages[0].description)) if tiff.is_svs else None
    side = float(found[1]) if found else 0.0
    return Found((None, side, side), "µm") if side else None


def _tags(page: Any) -> Found | None:
    plane, tag = _pixels(page), page.tags.get("ResolutionUnit")
    if plane is None or tag is None or int(tag.value) not in (INCH, CENTIMETER):
        return None
    if int(tag.value) == INCH and any(round(1 / side) in PRINT for side in plane):
        return None
    micrometers = 25_400.0 if int(tag.value) == INCH else 10_000.0
    return Found((None, plane[0] * micrometers, plane[1] * micrometers), "µm")


def _pixels(page: Any) -> tuple[float, float] | None:
    """Height and width of a pixel, in the unit of the resolution tags."""
    tags = [page.tags.get(name) for name in ("YResolution", "XResolution")]
    if None in tags:
        return None
    (above_y, below_y), (above_x, below_x) = tags[0].value, tags[1].value
    if not (above_y and below_y and above_x and below_x):
        return None
    return below_y / above_y, below_x / above_x
