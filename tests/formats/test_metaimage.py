"""MetaImage: against SimpleITK, in archives, and files that are wrong."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from ulna import formats
from ulna.errors import ReadError, UlnaError
from ulna.formats import metaimage
from ulna.grid import Grid
from ulna.image import Image, Source
from ulna.layouts import find

DIRECTION = (1.0, 0.0, 0.0, 0.0, 0.6, -0.8, 0.0, 0.8, 0.6)


def volume(dtype: str = "int16") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, (4, 5, 6)).astype(dtype)


def save(path: Path, array: np.ndarray, *, packed: bool = False, vector: bool = False) -> Source:
    image = SimpleITK.GetImageFromArray(array, isVector=vector)
    image.SetSpacing((0.5, 0.7, 2.0))
    image.SetOrigin((1.0, 2.0, 3.0))
    image.SetDirection(DIRECTION)
    SimpleITK.WriteImage(image, str(path), packed)
    return Source(path)


def changed(path: Path, word: str, value: str | None) -> Source:
    """The file with a line of its header changed, or without it."""
    lines = path.read_bytes().split(b"\n")
    new = [] if value is None else [f"{word} = {value}".encode()]
    path.write_bytes(b"\n".join(kept for line in lines for kept in (new if line.startswith(word.encode()) else [line])))
    return Source(path)


@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_voxels_and_places(tmp_path: Path, suffix: str, packed: bool, dtype: str) -> None:
    source = save(tmp_path / f"a{suffix}", volume(dtype), packed=packed)
    image = formats.read(source)
    np.testing.assert_array_equal(image.array[0], volume(dtype))
    assert (image.array.dtype, image.unit) == (dtype, "mm")
    for index in ([0, 0, 0], [3, 4, 5], [1, 0, 3]):
        point = SimpleITK.ReadImage(str(source.path)).TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose(image.grid.to_world(index)[::-1], point, atol=1e-12)


def test_channels_and_planes(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((4, 5, 6, 3)).astype(np.float32)
    source = save(tmp_path / "a.mha", array, vector=True)
    np.testing.assert_array_equal(formats.read(source).array, np.moveaxis(array, -1, 0))
    plane = SimpleITK.GetImageFromArray(volume()[0])
    plane.SetSpacing((0.5, 0.7))
    SimpleITK.WriteImage(plane, str(tmp_path / "b.mha"))
    image = formats.read(Source(tmp_path / "b.mha"))
    np.testing.assert_array_equal(image.array[0], volume()[0])
    assert image.spacing == (0.7, 0.5)


@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_lies_on_its_image(tmp_path: Path, channels: int) -> None:
    array = np.random.default_rng(0).integers(0, 100, (channels, 3, 4, 5)).astype(np.uint16)
    tilt = ((1.0, 0.0, 0.0), (0.0, 0.6, -0.8), (0.0, 0.8, 0.6))
    grid = Grid((3, 4, 5), (2.5, 0.5, 0.7), "mm", (1.0, -2.0, 3.0), tilt)
    formats.write(tmp_path / "a.mha", Image(array, grid))
    header = dict(
        line.split(" = ", 1)
        for line in (tmp_path / "a.mha").read_bytes().partition(b"ElementDataFile")[0].decode().strip().split("\n")
    )
    assert [float(one) for one in header["ElementSpacing"].split()] == pytest.approx([0.7, 0.5, 2.5], abs=1e-9)
    assert [float(one) for one in header["Offset"].split()] == pytest.approx([3, -2, 1], abs=1e-9)
    columns = np.array(header["TransformMatrix"].split(), float).reshape(3, 3)  # one axis of the file a row
    for axis in range(3):
        np.testing.assert_allclose(columns[axis], np.array(tilt)[::-1, 2 - axis], atol=1e-9)
    read = formats.read(Source(tmp_path / "a.mha"))
    np.testing.assert_array_equal(read.array, array)
    corners = [[0, 0, 0], [2, 3, 4]]
    np.testing.assert_allclose(read.grid.to_world(corners), grid.to_world(corners), atol=1e-9)


def test_micrometers_are_written_as_millimeters(tmp_path: Path) -> None:
    formats.write(tmp_path / "a.mha", Image(volume()[None], Grid((4, 5, 6), (2.0, 0.5, 0.5), "µm", (10.0, 0.0, 0.0))))
    read = formats.read(Source(tmp_path / "a.mha"))
    assert read.unit == "mm"
    np.testing.assert_allclose((*read.spacing, read.origin[0]), (0.002, 0.0005, 0.0005, 0.01))


@pytest.mark.parametrize("packed", [False, True])
def test_within_zips(tmp_path: Path, packed: bool) -> None:
    save(tmp_path / "a.mhd", volume(), packed=packed)
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        for path in sorted(tmp_path.glob("a.*")):
            archive.write(path, f"p1/{path.name}")
    found = find(tmp_path / "scans.zip")
    assert found.passed_over == ()  # the pixels belong to their header
    np.testing.assert_array_equal(formats.read(found.cases[0].images[0]).array[0], volume())


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_cut_off_is_said(tmp_path: Path, packed: bool) -> None:
    save(tmp_path / "a.mha", volume(), packed=packed)
    (tmp_path / "a.mha").write_bytes((tmp_path / "a.mha").read_bytes()[:-60])
    with pytest.raises(ReadError, match=r"is cut off: .* of its 240 bytes of pixels are missing"):
        formats.read(Source(tmp_path / "a.mha"))
    save(tmp_path / "b.mhd", volume(), packed=packed)
    (tmp_path / ("b.zraw" if packed else "b.raw")).unlink()
    with pytest.raises(ReadError, match="there is no such file"):
        formats.read(Source(tmp_path / "b.mhd"))


@pytest.mark.parametrize("name", ["../b.raw", "/etc/passwd", "b%03d.raw 1 3 1", "LIST"])
def test_pixels_that_lie_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    save(tmp_path / "b.mhd", volume())
    with pytest.raises(ReadError, match="only one file in the same folder is read"):
        formats.read(changed(tmp_path / "b.mhd", "ElementDataFile", name))


@pytest.mark.parametrize("spacing", ["0 1 1", "-1 1 1", "nan 1 1", "1 1"])
def test_voxels_without_a_size_are_refused(tmp_path: Path, spacing: str) -> None:
    save(tmp_path / "a.mhd", volume())
    with pytest.raises(ReadError, match=r"says no place in space|2 numbers where 3 are needed"):
        formats.read(changed(tmp_path / "a.mhd", "ElementSpacing", spacing))


def test_what_the_header_leaves_open_is_said(tmp_path: Path) -> None:
    save(tmp_path / "a.mhd", volume())
    for word in ("ElementSpacing", "Offset", "TransformMatrix"):
        changed(tmp_path / "a.mhd", word, None)
    with formats.open_reader(Source(tmp_path / "a.mhd")) as reader:
        assert reader.grid == Grid((4, 5, 6))
        assert reader.assumed == (
            "it does not say how large its voxels are; it does not say where it lies in the patient"
        )
    with pytest.raises(ReadError, match="does not say its DimSize"):
        formats.read(changed(tmp_path / "a.mhd", "DimSize", None))


def test_without_simpleitk_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save(tmp_path / "a.mha", volume())
    monkeypatch.setattr(metaimage, "find_spec", lambda _name: None)
    for work in (lambda: formats.read(source), lambda: formats.write(tmp_path / "b.mha", Image(volume()[None]))):
        with pytest.raises(UlnaError, match="SimpleITK, which is not installed") as raised:
            work()
        assert raised.value.hint == 'pip install "ulna[medical]"'


def test_what_metaimage_cannot_hold(tmp_path: Path) -> None:
    flat = Grid((4, 5, 6), (1.0, 1.0, 1.0), "mm", (0.0, 0.0, 0.0), ((1, 0, 0), (0, 1, 0), (0, 1, 0)))
    with pytest.raises(UlnaError, match="MetaImage cannot hold it"):
        formats.write(tmp_path / "a.mha", Image(volume()[None], flat))
