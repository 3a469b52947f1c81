"""The size of a pixel in TIFF files of several programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ulna import formats
from ulna.image import Grid, Image, Source

STACK = np.zeros((3, 4, 5), np.uint16)


def saved(tmp_path: Path, array: np.ndarray, **options: Any) -> Image:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    return formats.read(Source(path))


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_imagej(tmp_path: Path, unit: str) -> None:
    words = {"axes": "ZYX", "spacing": 2.0, "unit": unit}
    image = saved(tmp_path, STACK, imagej=True, metadata=words, resolution=(4, 2))
    assert image.spacing == pytest.approx((2, 0.5, 0.25))
    assert image.unit == "µm"


def test_ome(tmp_path: Path) -> None:
    words = {"axes": "ZYX", "PhysicalSizeX": 50, "PhysicalSizeY": 60, "PhysicalSizeXUnit": "nm"}
    image = saved(tmp_path, STACK, ome=True, metadata=words)
    assert image.spacing == pytest.approx((1, 60, 50))
    assert image.unit == "nm"


def test_resolution_tags(tmp_path: Path) -> None:
    image = saved(tmp_path, STACK[0], resolution=(20_000, 10_000), resolutionunit="CENTIMETER")
    assert image.spacing == pytest.approx((1.0, 0.5))
    assert image.unit == "µm"
    image = saved(tmp_path, STACK[0], resolution=(25_400, 25_400), resolutionunit="INCH")
    assert image.spacing == pytest.approx((1.0, 1.0))
    assert image.unit == "µm"


@pytest.mark.parametrize("resolution", [(72, 72), (300, 300)])
def test_a_printers_resolution_is_no_measurement(tmp_path: Path, resolution: tuple[int, int]) -> None:
    image = saved(tmp_path, STACK[0], resolution=resolution, resolutionunit="INCH")
    assert image.spacing == (1.0, 1.0)
    assert image.unit == "pixel"


@pytest.mark.parametrize("unit", ["nm", "µm", "mm", "cm"])
def test_spacing_survives_writing(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "a.tif"
    formats.write(path, Image(STACK[:1], Grid((4, 5), (0.3, 0.7), unit)))
    back = formats.read(Source(path))
    factor = {"nm": 1e-3, "µm": 1.0, "mm": 1e3, "cm": 1e4}[unit]
    assert back.spacing == pytest.approx((0.3 * factor, 0.7 * factor), rel=1e-4)
