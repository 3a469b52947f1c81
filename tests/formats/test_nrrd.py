"""NRRD: against pynrrd, on real files and on files that are wrong."""

from __future__ import annotations

from pathlib import Path

import nrrd
import numpy as np
import pytest
import SimpleITK

from ulna import formats
from ulna.errors import ReadError, UlnaError
from ulna.grid import Grid
from ulna.image import Image, Source

DIRECTIONS = np.array([[0.5, 0.0, 0.1], [0.0, -0.7, 0.0], [-0.2, 0.0, 2.0]])


def save(path: Path, array: np.ndarray, **header: object) -> Source:
    nrrd.write(str(path), array, header, index_order="C")
    return Source(path)


@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior", "RAS"])
@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
def test_voxels_and_places(tmp_path: Path, space: str, encoding: str) -> None:
    array = np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype(np.int16)
    place = {"space": space, "space directions": DIRECTIONS, "space origin": np.array([1.0, 2.0, 3.0])}
    image = formats.read(save(tmp_path / "a.nrrd", array, encoding=encoding, **place))
    np.testing.assert_array_equal(image.array[0], array)
    sign = 1 if space.startswith("left") else -1
    for index in ([0, 0, 0], [2, 3, 4], [1, 0, 3]):
        x, y, z = np.array(index[::-1]) @ DIRECTIONS + (1, 2, 3)
        np.testing.assert_allclose(image.grid.to_world(index), (z, sign * y, sign * x), atol=1e-12)


def test_channels_and_files_without_a_place(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((4, 5, 6, 3)).astype(np.float32)  # a vector for each voxel
    directions = np.vstack([np.full(3, np.nan), np.eye(3)])
    source = save(
        tmp_path / "a.nrrd",
        array,
        kinds=["vector", "domain", "domain", "domain"],
        **{"space": "left-posterior-superior", "space directions": directions, "space origin": np.zeros(3)},
    )
    np.testing.assert_array_equal(formats.read(source).array, np.moveaxis(array, -1, 0))
    source = save(tmp_path / "b.nrrd", array[..., 0], spacings=[0.5, 0.5, 2.0])
    with formats.open_reader(source) as reader:
        assert reader.grid == Grid((4, 5, 6), (2.0, 0.5, 0.5), "mm")
        assert reader.assumed == "it does not say where it lies in the patient"
    source = save(tmp_path / "c.nrrd", array[..., 0])
    with formats.open_reader(source) as reader:
        assert reader.grid == Grid((4, 5, 6))
        assert "nor how large its voxels are" in reader.assumed
    with pytest.raises(ReadError, match="does not say which of them are in space"):
        formats.read(save(tmp_path / "d.nrrd", array))


@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_lies_on_its_image(tmp_path: Path, channels: int) -> None:
    array = np.random.default_rng(0).integers(0, 100, (channels, 3, 4, 5)).astype(np.uint16)
    tilt = ((1.0, 0.0, 0.0), (0.0, 0.6, -0.8), (0.0, 0.8, 0.6))
    grid = Grid((3, 4, 5), (2.5, 0.5, 0.7), "mm", (1.0, -2.0, 3.0), tilt)
    formats.write(tmp_path / "a.nrrd", Image(array, grid))
    read = formats.read(Source(tmp_path / "a.nrrd"))
    np.testing.assert_array_equal(read.array, array)
    np.testing.assert_allclose(
        read.grid.to_world([[0, 0, 0], [2, 3, 4]]), grid.to_world([[0, 0, 0], [2, 3, 4]]), atol=1e-9
    )
    _, header = nrrd.read(str(tmp_path / "a.nrrd"))
    assert header["space"] == "left-posterior-superior"
    formats.write(tmp_path / "b.nrrd", Image(array))
    assert formats.read(Source(tmp_path / "b.nrrd")).grid == Grid((3, 4, 5))


def test_what_is_damaged_or_leads_elsewhere_is_said(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 9, (9, 9, 9)).astype(np.int16)
    save(tmp_path / "a.nrrd", array, encoding="gzip")
    (tmp_path / "cut.nrrd").write_bytes((tmp_path / "a.nrrd").read_bytes()[:-60])
    with pytest.raises(ReadError, match="is cut off"):
        formats.read(Source(tmp_path / "cut.nrrd"))
    nrrd.write(str(tmp_path / "b.nhdr"), array, {"encoding": "raw"}, detached_header=True, index_order="C")
    np.testing.assert_array_equal(formats.read(Source(tmp_path / "b.nhdr")).array[0], array)
    text = (tmp_path / "b.nhdr").read_text()
    for name in ("../b.raw", "/etc/passwd", "b%03d.raw 1 3 1", "LIST"):
        lines = [f"data file: {name}" if line.startswith("data file") else line for line in text.splitlines()]
        (tmp_path / "c.nhdr").write_text("\n".join(lines) + "\n\n")
        with pytest.raises(ReadError, match="only one file in the same folder is read"):
            formats.read(Source(tmp_path / "c.nhdr"))


def test_real_files(data: Path) -> None:
    for path in sorted((data / "nrrd").glob("*.nrrd")):
        theirs, header = nrrd.read(str(path), index_order="C")
        image = formats.read(Source(path))
        np.testing.assert_array_equal(image.array[0], theirs)
        np.testing.assert_allclose(image.spacing[::-1], np.linalg.norm(header["space directions"], axis=1))


def test_a_side_of_voxels_that_is_not_known_is_said(tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), np.zeros((4, 5, 6), np.uint8), {"spacings": [0.5, 0.5, np.nan]})
    with formats.open_reader(Source(tmp_path / "a.nrrd")) as reader:
        assert reader.grid.spacing == (1, 0.5, 0.5)
        assert reader.assumed.endswith("nor how large its voxels are along each axis: 1 × 0.5 × 0.5 is taken")


@pytest.mark.parametrize(
    ("fields", "first", "spacing"),
    [
        ({"spacings": (0.5, 0.7, 2.0), "axis mins": (1.0, 2.0, 3.0)}, (4.0, 2.35, 1.25), (2.0, 0.7, 0.5)),
        (
            {"spacings": (0.5, 0.7, 2.0), "axis mins": (1.0, 2.0, 3.0), "centerings": ["node"] * 3},
            (3.0, 2.0, 1.0),
            (2.0, 0.7, 0.5),
        ),
        ({"axis mins": (1.0, 2.0, 3.0), "axis maxs": (7.0, 7.0, 11.0)}, (4.0, 2.5, 1.5), (2.0, 1.0, 1.0)),
        (  # the steps between them show that these are centers
            {"spacings": (1.2, 1.25, 8 / 3), "axis mins": (1.0, 2.0, 3.0), "axis maxs": (7.0, 7.0, 11.0)},
            (3.0, 2.0, 1.0),
            (8 / 3, 1.25, 1.2),
        ),
        ({"axis mins": (1.0, 7.0, 3.0), "axis maxs": (7.0, 2.0, 11.0)}, (4.0, 6.5, 1.5), (2.0, 1.0, 1.0)),
    ],
)
def test_what_is_said_of_each_axis_is_a_place(
    tmp_path: Path, fields: dict[str, tuple[float, ...]], first: tuple[float, ...], spacing: tuple[float, ...]
) -> None:
    source = save(tmp_path / "a.nrrd", np.zeros((4, 5, 6), np.uint8), **fields)
    with formats.open_reader(source) as reader:
        grid, doubt = reader.grid, reader.assumed
    np.testing.assert_allclose(grid.origin, first)
    np.testing.assert_allclose(grid.spacing, spacing)
    assert grid.unit == "mm"
    assert doubt == "it does not say where it lies in the patient"
    if "axis maxs" in fields:
        np.testing.assert_allclose(grid.to_world([1.5, 2, 2.5]), (7.0, 4.5, 4.0))  # the middle is in the middle
    else:  # another reader, which knows no maxs
        other = SimpleITK.ReadImage(str(tmp_path / "a.nrrd"))
        np.testing.assert_allclose(other.GetOrigin()[::-1], first)
        np.testing.assert_allclose(other.GetSpacing()[::-1], spacing)


def test_sides_and_places_of_axes_that_contradict_each_other_are_said(tmp_path: Path) -> None:
    fields = {"spacings": (0.5, 0.5, 2.0), "axis mins": (0.0, 0.0, 0.0), "axis maxs": (6.0, 5.0, 8.0)}
    with formats.open_reader(save(tmp_path / "a.nrrd", np.zeros((4, 5, 6), np.uint8), **fields)) as reader:
        assert reader.grid.spacing == (2.0, 0.5, 0.5)
        assert "its spacings are not those of its axis mins and maxs" in reader.assumed


@pytest.mark.parametrize("name", ["a.nhdr", "a.mhd"])
def test_a_header_with_its_pixels_beside_it_is_not_written(tmp_path: Path, name: str) -> None:
    """The two would not appear at once."""
    with pytest.raises(UlnaError, match="is written as one file") as raised:
        formats.write(tmp_path / name, Image(np.zeros((1, 3, 4, 5), np.uint8)))
    assert raised.value.where == str(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_unit_is_that_of_an_axis_in_space(tmp_path: Path) -> None:
    words = {"spacings": (0.5, 0.7, 2.0, np.nan), "units": ["um", "um", "um", ""]}
    kinds = ["domain", "domain", "domain", "list"]
    source = save(tmp_path / "a.nrrd", np.zeros((2, 4, 5, 6), np.uint8), kinds=kinds, **words)
    with formats.open_reader(source) as reader:
        assert (reader.grid.unit, reader.grid.spacing) == ("µm", (2.0, 0.7, 0.5))
