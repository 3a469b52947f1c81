"""The size of a pixel in TIFF files of several programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from ulna import formats
from ulna.errors import UlnaError
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


def test_units_that_differ_by_axis_become_one(tmp_path: Path) -> None:
    words = {
        "axes": "ZYX",
        "PhysicalSizeX": 500,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.5,
        "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZ": 0.002,
        "PhysicalSizeZUnit": "mm",
        "Plane": {"PositionX": [7.0] * 3, "PositionXUnit": ["µm"] * 3, "PositionY": [2.0] * 3},
    }
    image = saved(tmp_path, STACK, ome=True, metadata=words)
    assert image.spacing == pytest.approx((2000, 500, 500))
    assert image.unit == "nm"
    assert image.origin == pytest.approx((0, 0, 7000))  # a position without a unit is relative to nothing known


def test_imagejs_origin_is_the_pixel_whose_coordinate_is_zero(tmp_path: Path) -> None:
    words = {"axes": "ZYX", "spacing": 2.0, "unit": "um", "xorigin": 10, "yorigin": 4, "zorigin": 1}
    image = saved(tmp_path, STACK, imagej=True, metadata=words, resolution=(4, 2))
    assert image.origin == pytest.approx((-2, -2, -2.5))
    np.testing.assert_allclose(image.grid.to_world((1, 4, 10)), 0, atol=1e-9)


def test_a_turned_file_has_its_spacing_turned(tmp_path: Path) -> None:
    options: dict[str, Any] = {"resolution": (20_000, 10_000), "resolutionunit": "CENTIMETER"}
    image = saved(tmp_path, STACK[0], extratags=[(274, 3, 1, 6)], metadata=None, **options)
    assert image.shape == (5, 4)
    assert image.spacing == pytest.approx((0.5, 1.0))


GRIDS = [
    Grid((4, 5), (0.3, 0.7), "nm"),
    Grid((4, 5), (0.3, 0.7), "µm", (10.5, -3.25)),
    Grid((4, 5), (0.3, 0.7), "cm", (10.5, -3.25)),
    Grid((3, 4, 5), (5.0, 0.5, 0.25), "mm", (10.0, 20.0, 30.0)),
    Grid((3, 4, 5), (5.0, 1.0, 1.0)),
    Grid((3, 4, 5), (5.0, 0.5, 0.25), "mm", (10.0, 20.0, 30.0)).slices()[2],
]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_tiff_keeps_the_grid(tmp_path: Path, grid: Grid, channels: int) -> None:
    path = tmp_path / "a.tif"
    array = np.random.default_rng(0).integers(0, 255, (channels, *grid.shape)).astype(np.uint8)
    formats.write(path, Image(array, grid))
    back = formats.read(Source(path))
    np.testing.assert_array_equal(back.array, array)
    assert back.grid == grid
    if grid.unit == "mm":
        with tifffile.TiffFile(path) as tiff:
            assert tiff.is_ome
            tags = tiff.pages[0].tags
            pixels = [np.divide(*tags[f"{axis}Resolution"].value) for axis in "XY"]
            of_imagej = tags["ResolutionUnit"].value == 1  # hyperstacks: in the unit that ImageJ's description names
        assert pixels == pytest.approx([1 / 0.25, 1 / 0.5] if of_imagej else [1 / 0.025, 1 / 0.05])  # else a centimeter


def test_a_volume_page_by_page_keeps_its_grid(tmp_path: Path) -> None:
    grid = GRIDS[3]
    array = np.arange(60, dtype=np.uint16).reshape(1, *grid.shape)
    formats.write(tmp_path / "a.tif", Image(array, grid))
    pages = [formats.read(Source(tmp_path / "a.tif", page=page)) for page in range(3)]
    assert [page.grid for page in pages] == list(grid.slices())
    np.testing.assert_array_equal(np.stack([page.array for page in pages], axis=1), array)


def test_a_direction_is_refused_rather_than_lost(tmp_path: Path) -> None:
    grid = Grid((4, 5), direction=((0.0, 1.0), (1.0, 0.0)))
    with pytest.raises(UlnaError, match="do not run along"):
        formats.write(tmp_path / "a.tif", Image(STACK[:1], grid))
    assert not list(tmp_path.iterdir())
    formats.write(tmp_path / "a.png", Image(STACK[:1], grid))
    assert formats.read(Source(tmp_path / "a.png")).grid == grid


@pytest.mark.parametrize("grid", [grid for grid in GRIDS if grid.ndim == 2])
def test_a_png_keeps_the_grid_and_tells_other_programs(tmp_path: Path, grid: Grid) -> None:
    path = tmp_path / "a.png"
    formats.write(path, Image(STACK[:1], grid))
    assert formats.read(Source(path)).grid == grid
    if grid.unit == "mm":
        with Pillow.open(path) as picture:
            assert picture.info["dpi"] == pytest.approx((25.4 / 0.25, 25.4 / 0.5), rel=1e-3)


@pytest.mark.parametrize(("dpi", "spacing"), [((5080, 10160), (2.5, 5.0)), ((96, 96), (1, 1)), ((300, 300), (1, 1))])
def test_the_resolution_of_a_png(tmp_path: Path, dpi: tuple[int, int], spacing: tuple[float, float]) -> None:
    Pillow.new("L", (5, 4)).save(tmp_path / "a.png", dpi=dpi)
    image = formats.read(Source(tmp_path / "a.png"))
    assert image.spacing == pytest.approx(spacing, rel=1e-4)
    assert image.unit == ("pixel" if spacing == (1, 1) else "µm")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"imagej": True, "metadata": {"axes": "ZYX", "unit": "um"}, "resolution": (4, 2)}, ((1, 0.5, 0.25), "µm")),
        (
            {"imagej": True, "metadata": {"axes": "ZYX", "unit": "cm", "spacing": -3}, "resolution": (4, 2)},
            ((3, 0.5, 0.25), "cm"),
        ),
        ({"imagej": True, "metadata": {"axes": "ZYX", "unit": "parsec"}, "resolution": (4, 2)}, ((1, 1, 1), "pixel")),
        (
            {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}},
            ((1, 0.25, 0.5), "µm"),
        ),
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.5}}, ((1, 1, 1), "pixel")),
        ({"metadata": None, "resolution": (400, 500), "resolutionunit": "CENTIMETER"}, ((1, 20, 25), "µm")),
        ({"metadata": None, "resolution": (2540, 5080), "resolutionunit": "INCH"}, ((1, 5, 10), "µm")),
        ({"metadata": None, "resolution": (2540, 96), "resolutionunit": "INCH"}, ((1, 1, 1), "pixel")),
        ({"metadata": None, "resolution": (96, 96), "resolutionunit": "CENTIMETER"}, ((1, 1e4 / 96, 1e4 / 96), "µm")),
        ({"metadata": None, "resolution": (5, 5), "resolutionunit": "NONE"}, ((1, 1, 1), "pixel")),
        ({"metadata": None, "resolution": (0, 5), "resolutionunit": "CENTIMETER"}, ((1, 1, 1), "pixel")),
    ],
)
def test_sizes_of_pixels(tmp_path: Path, options: dict[str, Any], expected: tuple[tuple[float, ...], str]) -> None:
    image = saved(tmp_path, STACK, **options)
    assert image.spacing == pytest.approx(expected[0])
    assert image.unit == expected[1]
    assert image.origin == (0, 0, 0)


def test_the_place_of_a_plane_in_space_is_that_of_the_lowest(tmp_path: Path) -> None:
    words = {
        "axes": "ZYX",
        "PhysicalSizeX": 0.5,
        "PhysicalSizeY": 0.25,
        "PhysicalSizeZ": 2,
        "Plane": {f"Position{axis}": [9.0, 8.0, 7.0] for axis in "XYZ"}
        | {f"Position{axis}Unit": ["µm", "µm", "µm"] for axis in "XYZ"},
    }
    assert saved(tmp_path, STACK, ome=True, metadata=words).origin == (9, 9, 9)
    words = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    flat = words | {"Plane": {"PositionX": 4.0, "PositionY": 3.0, "PositionXUnit": "nm", "PositionYUnit": "µm"}}
    image = saved(tmp_path, STACK[0], ome=True, metadata=flat)
    assert image.grid.origin == pytest.approx((3, 0.004))
    deep = flat | {"Plane": flat["Plane"] | {"PositionZ": 5.0, "PositionZUnit": "mm"}}
    image = saved(tmp_path, STACK[0], ome=True, metadata=deep)
    assert image.grid.origin == pytest.approx((5000, 3, 0.004))
    assert image.grid.direction == ((0, 0), (1, 0), (0, 1))


def test_a_distance_of_planes_that_is_not_stated_is_said(tmp_path: Path) -> None:
    words = {"axes": "ZYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack", ome=True, metadata=words)
    with formats.open_reader(Source(tmp_path / "a.tif")) as reader:
        assert "nothing says how far apart its planes lie: 1 µm is taken" in reader.assumed
    with formats.open_reader(Source(tmp_path / "a.tif", spacing=(0.5, 0.2, 0.2), unit="µm")) as reader:
        assert "planes lie" not in reader.assumed
    words |= {"PhysicalSizeZ": 1.0}
    tifffile.imwrite(tmp_path / "b.tif", STACK, photometric="minisblack", ome=True, metadata=words)
    with formats.open_reader(Source(tmp_path / "b.tif")) as reader:
        assert "planes lie" not in reader.assumed
