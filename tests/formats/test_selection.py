"""One time point and one scene of files that hold several: the same words for all formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as Pillow

from ulna import formats
from ulna.errors import ReadError
from ulna.image import Image, Source

FILM = np.random.default_rng(0).integers(0, 250, (3, 2, 8, 9)).astype(np.uint8)  # T, Z, Y, X


def _imagej(path: Path) -> None:
    tifffile.imwrite(path, FILM, imagej=True, metadata={"axes": "TZYX"})


def _ome(path: Path) -> None:
    tifffile.imwrite(path, FILM, ome=True, metadata={"axes": "TZYX"})


def _zarr(path: Path) -> None:
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    group.create_array("0", shape=FILM.shape, dtype="u1")[...] = FILM
    axes = [{"name": name, "type": "time" if name == "t" else "space"} for name in "tzyx"]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["raw"] = FILM
        file["raw"].attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in "tzyx"]})


def _nifti(path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(FILM.transpose(3, 2, 1, 0), np.eye(4)), path)


FILMS: dict[str, Callable[[Path], None]] = {
    "a.tif": _imagej,
    "a.ome.tif": _ome,
    "a.zarr": _zarr,
    "a.h5": _hdf5,
    "a.nii": _nifti,
}


@pytest.mark.parametrize("name", FILMS)
def test_one_time_point_is_read_and_said(tmp_path: Path, name: str) -> None:
    FILMS[name](tmp_path / name)
    for stated in (Source(tmp_path / name, at=1), Source(tmp_path / name, time=1)):
        with formats.open_reader(stated) as reader:
            assert (reader.times, reader.time_points, reader.planes) == (1, 3, 2)
            np.testing.assert_array_equal(reader.read()[0], FILM[1])
            chosen = "holds 3 time points (0 to 2); number 1 is read, as data.time says"
            assert reader.chosen == (chosen if stated.at is not None else "")
            assert reader.source.frame == 1
    with pytest.raises(ReadError, match="has 3 time points, time 3 is asked for") as caught:
        formats.read(Source(tmp_path / name, at=3))
    assert caught.value.hint == "data.time takes a number from 0 to 2."


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.nii.gz", "a.nrrd", "a.zarr", "a.mha"])
def test_a_file_without_time_or_scenes_has_the_first_of_each(tmp_path: Path, name: str) -> None:
    formats.write(tmp_path / name, Image(FILM[0, :1]))
    path = tmp_path / name
    with formats.open_reader(Source(path, at=0, scene=0)) as reader:
        assert reader.chosen == ""
        assert reader.source.frame is None
        np.testing.assert_array_equal(reader.read(), formats.read(Source(path)).array)
    with pytest.raises(ReadError, match="has 1 time point, time 3 is asked for") as caught:
        formats.read(Source(path, at=3))
    assert "data.axes=TYX" in caught.value.hint
    for scene in (1, "left"):
        with pytest.raises(ReadError, match=f"holds 1 image, scene {scene} is asked for"):
            formats.read(Source(path, scene=scene))


def test_axes_that_are_said_to_be_time_can_be_chosen_from(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FILM[:, 0], photometric="minisblack", metadata=None)
    image = formats.read(Source(tmp_path / "a.tif", axes="TYX", at=2))
    np.testing.assert_array_equal(image.array[0], FILM[2, 0])
    with pytest.raises(ReadError, match="has 1 time point"):
        formats.read(Source(tmp_path / "a.tif", at=2))


def scenes(path: Path, *names: str) -> Path:
    """An OME-TIFF with an image of other values and another size per name."""
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for k, name in enumerate(names):
            tiff.write(np.full((8 + k, 9), k, np.uint8), metadata={"axes": "YX", "Name": name})
    return path


@pytest.mark.parametrize("scene", [1, "right", "RIGHT", "1"])
def test_a_scene_is_chosen_by_number_or_name(tmp_path: Path, scene: int | str) -> None:
    path = scenes(tmp_path / "a.ome.tif", "left", "right")
    with formats.open_reader(Source(path)) as reader:
        assert reader.assumed == "holds 2 images (left, right); the first one is read (data.scene chooses another)"
    with formats.open_reader(Source(path, scene=scene)) as reader:
        assert reader.chosen == "holds 2 images (left, right); number 1 is read, as data.scene says"
        assert reader.assumed == ""
        assert (reader.read() == 1).all()


@pytest.mark.parametrize(
    ("names", "scene", "what", "hint"),
    [
        (("left", "right"), 2, "holds 2 images, scene 2 is asked for", "a number or a name: 0 (left), 1 (right)."),
        (("left", "right"), "up", "holds 2 images, scene up is asked for", "0 (left), 1 (right)."),
        (("well", "well"), "well", "holds 2 images that are called 'well'", "0 (well), 1 (well)."),
        (("left",), 1, "holds 1 image, scene 1 is asked for", "Leave data.scene away for files of one image."),
    ],
)
def test_a_scene_that_is_not_there_names_those_that_are(
    tmp_path: Path, names: tuple[str, ...], scene: int | str, what: str, hint: str
) -> None:
    with pytest.raises(ReadError) as caught:
        formats.read(Source(scenes(tmp_path / "a.ome.tif", *names), scene=scene))
    assert caught.value.what == what
    assert caught.value.hint.endswith(hint)


def test_pictures_of_an_animation_are_scenes(tmp_path: Path) -> None:
    pictures = [Pillow.new("L", (5, 4), value) for value in (0, 255, 9)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:])
    for k, value in enumerate((0, 255, 9)):
        assert (formats.read(Source(tmp_path / "a.gif", scene=k)).array == value).all()
    with pytest.raises(ReadError, match="holds 3 images, scene 3"):
        formats.read(Source(tmp_path / "a.gif", scene=3))


def test_several_images_of_one_zarr_group(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    axes, several = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}], []
    for k, name in enumerate(("raw", "sharp")):
        group.create_array(name, shape=(8, 9), dtype="u1")[...] = k + 1
        several.append({"version": "0.4", "name": name, "axes": axes, "datasets": [{"path": name}]})
    group.attrs["multiscales"] = several
    with formats.open_reader(Source(path)) as reader:
        assert "holds 2 images (raw, sharp); the first one is read" in reader.assumed
        assert (reader.read() == 1).all()
    assert (formats.read(Source(path, scene="sharp")).array == 2).all()


def test_a_later_image_of_an_ome_tiff_has_its_own_spacing_and_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for k, names in enumerate((["red", "far"], ["dapi", "actin"])):
            words = {"PhysicalSizeX": 0.5 + k, "PhysicalSizeY": 0.25, "Channel": {"Name": names}, "axes": "CYX"}
            tiff.write(FILM[:2, 0], photometric="minisblack", metadata=words)
    for scene, names in enumerate((("red", "far"), ("dapi", "actin"))):
        with formats.open_reader(Source(path, scene=scene)) as reader:
            assert reader.grid.spacing == (0.25, 0.5 + scene)
            assert tuple(channel.name for channel in reader.channels) == names


def test_the_resolution_of_the_first_page_is_not_that_of_a_later_image(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(FILM[0, 0], metadata=None, resolution=(10_000, 10_000), resolutionunit="CENTIMETER")
        tiff.write(FILM[0, 0, :5], metadata=None, resolution=(5_000, 5_000), resolutionunit="CENTIMETER")
    spacings = [formats.read(Source(path, scene=scene)).grid.spacing for scene in range(2)]
    assert spacings == [(1.0, 1.0), (2.0, 2.0)]
