"""What other programs see in the TIFFs that are written: Z, spacing, unit and names, by OME's words and by ImageJ's."""

from __future__ import annotations

import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image as Pillow

from ulna import formats
from ulna.image import Channel, Grid, Image, Source

GRID = Grid((4, 6, 8), (1.5, 0.4, 0.2), "µm", (3.0, 0.0, 1.0))
CLASSES = tuple(Channel(name) for name in ("background", "cell", "nucleus"))


def descriptions(path: Path) -> list[str]:
    """Every tag "ImageDescription" of the first page, in the order of the file, which is little-endian."""
    data = path.read_bytes()
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = [struct.unpack_from("<HHII", data, start + 2 + 12 * k) for k in range(count)]
    return [data[offset : offset + length].decode().rstrip("\0") for tag, _, length, offset in entries if tag == 270]


def imagej(path: Path) -> dict[str, str]:
    """What ImageJ takes: of several descriptions the last one."""
    lines = descriptions(path)[-1].splitlines()
    return dict(line.split("=", 1) for line in lines) if lines[0].startswith("ImageJ=") else {}


def resolution(path: Path) -> tuple[float, float, int]:
    """Pixels per unit along x and y, and the number of the unit: 1 is none, 3 a centimeter."""
    with Pillow.open(path) as picture:
        tags = picture.tag_v2
        return float(tags[282]), float(tags[283]), int(tags[296])


def ome(path: Path) -> dict[str, str]:
    """The attributes of OME's image, as Bio-Formats and libtiff find it: of several descriptions the first one."""
    pixels = ElementTree.fromstring(descriptions(path)[0]).find(".//{*}Pixels")
    assert pixels is not None
    return pixels.attrib


@pytest.mark.parametrize(("dtype", "highest"), [("u1", 3), ("u2", 65_535), ("i4", 70_000), ("u4", 70_000), ("i2", 3)])
def test_masks_of_stacks_have_their_planes_spacing_and_unit(tmp_path: Path, dtype: str, highest: int) -> None:
    mask = np.zeros((1, *GRID.shape), dtype)
    mask[0, 1:3, 2:4, 2:6] = highest
    path = tmp_path / "a.tif"
    formats.write(path, Image(mask, GRID))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))), mask[0])
    words = ome(path)
    assert [words[f"Size{axis}"] for axis in "CZYX"] == ["1", "4", "6", "8"]
    assert [float(words[f"PhysicalSize{axis}"]) for axis in "ZYX"] == [1.5, 0.4, 0.2]
    assert {words[f"PhysicalSize{axis}Unit"] for axis in "ZYX"} == {"µm"}
    own = imagej(path)
    assert (own["images"], own["slices"], own["hyperstack"]) == ("4", "4", "true")
    assert "channels" not in own
    assert (own["unit"], float(own["spacing"])) == ("um", 1.5)
    assert (float(own["xorigin"]), float(own["zorigin"])) == pytest.approx((-5, -2))  # the index of coordinate 0
    assert (float(own["min"]), float(own["max"])) == (0, highest)  # what is black and white on the screen
    assert resolution(path) == (pytest.approx(5), pytest.approx(2.5), 1)
    back = formats.read(Source(path))
    assert back.grid == GRID
    assert back.array.dtype == mask.dtype


def test_probabilities_of_a_stack_have_channels_with_names(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((3, *GRID.shape)).astype(np.float32)
    path = tmp_path / "a.tif"
    formats.write(path, Image(array, GRID, CLASSES))
    own = imagej(path)
    assert (own["images"], own["channels"], own["slices"]) == ("12", "3", "4")
    assert (float(own["min"]), float(own["max"])) == pytest.approx((array.min(), array.max()))
    words = ome(path)
    assert [words[f"Size{axis}"] for axis in "CZYX"] == ["3", "4", "6", "8"]
    with tifffile.TiffFile(path) as tiff:
        assert (tiff.series[0].axes, tiff.series[0].shape) == ("ZCYX", (4, 3, 6, 8))
        planes = np.stack([page.asarray() for page in tiff.pages])
    np.testing.assert_array_equal(planes.reshape(4, 3, 6, 8), array.swapaxes(0, 1))  # ImageJ's order: channel, then z
    assert formats.read(Source(path)).channels == CLASSES


def test_probabilities_of_an_image_are_channels_and_no_slices(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    formats.write(path, Image(np.zeros((3, 6, 8), np.float32), Grid((6, 8), (0.4, 0.2), "mm"), CLASSES))
    own = imagej(path)
    assert (own["channels"], own["unit"]) == ("3", "mm")
    assert not {"slices", "spacing"} & own.keys()
    assert resolution(path) == (pytest.approx(5), pytest.approx(2.5), 1)


def test_a_stack_of_colors_is_one_of_imagej(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, *GRID.shape)).astype(np.uint8)
    path = tmp_path / "a.tif"
    formats.write(path, Image(array, GRID))
    own = imagej(path)
    assert (own["images"], own["slices"], float(own["spacing"])) == ("4", "4", 1.5)
    assert "channels" not in own


@pytest.mark.parametrize("shape", [(1, 6, 8), (3, 6, 8)])
def test_a_single_plane_has_its_pixels_per_centimeter(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """ImageJ and others know what to do with that, without a description of its own."""
    path = tmp_path / "a.tif"
    formats.write(path, Image(np.zeros(shape, np.uint8), Grid((6, 8), (0.4, 0.2), "µm")))
    assert not imagej(path)
    assert ome(path)["PhysicalSizeX"] == "0.2"
    assert resolution(path) == (pytest.approx(50_000), pytest.approx(25_000), 3)


def test_a_stack_that_is_not_placed_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    formats.write(path, Image(np.zeros((1, 4, 6, 8), np.uint8)))
    own = imagej(path)
    assert own["slices"] == "4"
    assert not {"unit", "spacing", "xorigin"} & own.keys()
    assert resolution(path) == (1, 1, 1)
    assert formats.read(Source(path)).grid == Grid((4, 6, 8))


def test_no_file_names_the_machine_that_wrote_it(tmp_path: Path) -> None:
    """The UUID that tifffile draws by itself holds the address of the network card."""
    path = tmp_path / "a.tif"
    formats.write(path, Image(np.zeros((1, 6, 8), np.uint8)))
    uuid = ElementTree.fromstring(descriptions(path)[0]).attrib["UUID"]
    assert uuid.removeprefix("urn:uuid:")[14] == "4"  # a version that is drawn at random
