"""The size of a pixel, as TIFF files tell it: ImageJ's and OME's words, or the resolution tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

# How many centimeters one unit is: TIFF's own resolution unit.
TO_CENTIMETERS = {"nm": 1e-7, "µm": 1e-4, "mm": 0.1, "cm": 1.0, "m": 100.0}
SPELLINGS = {"um": "µm", "micron": "µm", "microns": "µm", "micrometer": "µm", "\\u00b5m": "µm", "μm": "µm"}
# Resolutions a printer or a screen has; programs write them into files that nobody ever measured.
PRINT = {72, 75, 96, 100, 120, 144, 150, 180, 200, 240, 300, 350, 400, 600, 1200}
INCH, CENTIMETER = 2, 3

Found = tuple[float | None, tuple[float, float], str]
"""Distance of planes where it is said, height and width of a pixel, and their unit."""


def read_spacing(tiff: Any, *, volume: bool) -> tuple[tuple[float, ...], str]:
    """Spacing (a number a spatial axis) and unit; ones and "pixel" where the file says nothing.

    `tiff` is an opened tifffile.TiffFile. Resolutions in centimeters and inches are given in µm.
    """
    found = next(filter(None, (_said(look, tiff) for look in (_ome, _imagej, _tags))), None)
    depth, plane, unit = found if found is not None else (None, (1.0, 1.0), "pixel")
    return ((depth or 1.0, *plane) if volume else plane), unit


def _said(look: Callable[[Any], Found | None], tiff: Any) -> Found | None:
    """What was found; nothing where the words make no sense: the image can be read without them."""
    try:
        return look(tiff)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, ElementTree.ParseError):
        return None


def _ome(tiff: Any) -> Found | None:
    if not tiff.is_ome or not tiff.ome_metadata:
        return None
    tree = ElementTree.fromstring(tiff.ome_metadata)
    pixels = next((element for element in tree.iter() if element.tag.endswith("Pixels")), None)
    if pixels is None or "PhysicalSizeX" not in pixels.attrib or "PhysicalSizeY" not in pixels.attrib:
        return None
    x, y = float(pixels.attrib["PhysicalSizeX"]), float(pixels.attrib["PhysicalSizeY"])
    depth = float(pixels.attrib["PhysicalSizeZ"]) if "PhysicalSizeZ" in pixels.attrib else None
    return (depth, (y, x), _spelt(pixels.attrib.get("PhysicalSizeXUnit", "µm"))) if x > 0 and y > 0 else None


def _imagej(tiff: Any) -> Found | None:
    words = tiff.imagej_metadata or {}
    unit = _spelt(str(words.get("unit", "")))
    plane = _pixels(tiff)
    if unit not in TO_CENTIMETERS or plane is None:
        return None
    spacing = words.get("spacing")
    return (float(spacing) if spacing else None), plane, unit


def _tags(tiff: Any) -> Found | None:
    plane, tag = _pixels(tiff), tiff.pages[0].tags.get("ResolutionUnit")
    if plane is None or tag is None or int(tag.value) not in (INCH, CENTIMETER):
        return None
    if int(tag.value) == INCH and any(round(1 / side) in PRINT for side in plane):
        return None
    micrometers = 25_400.0 if int(tag.value) == INCH else 10_000.0
    return None, (plane[0] * micrometers, plane[1] * micrometers), "µm"


def _pixels(tiff: Any) -> tuple[float, float] | None:
    """Height and width of a pixel, in the unit of the resolution tags."""
    tags = [tiff.pages[0].tags.get(name) for name in ("YResolution", "XResolution")]
    if None in tags:
        return None
    (above_y, below_y), (above_x, below_x) = tags[0].value, tags[1].value
    if not (above_y and below_y and above_x and below_x):
        return None
    return below_y / above_y, below_x / above_x


def _spelt(unit: str) -> str:
    return SPELLINGS.get(unit.lower(), unit)
