"""HDF5: against h5py; which array is read, what its axes are, and how large its voxels."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ulna import formats
from ulna.errors import ReadError
from ulna.grid import Grid
from ulna.image import Source
from ulna.layouts import Patterns, find, read_dataset
from ulna.truth import load_truth

SPACING = {"element_size_um": (0.3, 0.1, 0.2)}


def volume(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape or (20, 21, 22)).astype(np.uint8)


def save(path: Path, arrays: dict[str, np.ndarray], **attributes: Any) -> Source:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            data = file.create_dataset(name, data=array, compression="gzip")
            data.attrs.update(attributes)
    return Source(path)


def test_an_array_with_its_voxels(tmp_path: Path) -> None:
    source = save(tmp_path / "a.h5", {"anything/at all": volume()}, **SPACING)
    with formats.open_reader(source) as reader:
        assert reader.grid == Grid((20, 21, 22), (0.3, 0.1, 0.2), "µm")
        assert reader.assumed == ""
        part = (slice(3, 5), slice(0, 21), slice(7, 9))
        np.testing.assert_array_equal(reader.read(part)[0], volume()[part])
        np.testing.assert_array_equal(reader.read()[0], volume())


@pytest.mark.parametrize(
    ("names", "picked"),
    [
        (("raw", "label"), "raw"),
        (("volumes/raw", "volumes/labels/cells", "volumes/labels/walls"), "volumes/raw"),
        (("picture", "mask"), "picture"),
        (("data", "image"), "image"),
    ],
)
def test_the_array_is_found_by_name_and_that_is_said(tmp_path: Path, names: tuple[str, ...], picked: str) -> None:
    arrays = {name: volume() + np.uint8(k) for k, name in enumerate(names)}
    source = save(tmp_path / "a.h5", arrays, **SPACING)
    with formats.open_reader(source) as reader:
        np.testing.assert_array_equal(reader.read()[0], arrays[picked])
        assert reader.assumed.startswith(f"holds {len(names)} arrays; '{picked}' is taken for the image, and not ")
    for name in names:
        with formats.open_reader(Source(source.path, array=name)) as reader:
            np.testing.assert_array_equal(reader.read()[0], arrays[name])
            assert reader.assumed == ""


def test_where_it_cannot_be_told_it_is_asked(tmp_path: Path) -> None:
    source = save(tmp_path / "a.h5", {"one": volume(), "other": volume(), "table": np.zeros(7)})
    with pytest.raises(ReadError, match="holds the arrays 'one', 'other', and none is named as the image") as raised:
        formats.read(source)
    assert "data.images={case}.h5/one" in raised.value.hint
    with pytest.raises(ReadError, match="holds no array 'third'"):
        formats.read(Source(source.path, array="third"))
    with pytest.raises(ReadError, match="is no image"):
        formats.read(Source(source.path, array="table"))


@pytest.mark.parametrize(
    ("shape", "axes", "read", "said"),
    [
        ((20, 21), "", (1, 20, 21), ""),
        ((2, 20, 21, 22), "", (2, 20, 21, 22), "CZYX"),
        ((20, 21, 22, 2), "", (2, 20, 21, 22), "ZYXC"),
        ((20, 21, 22, 2), "ZYXC", (2, 20, 21, 22), ""),
        ((1, 1, 20, 21, 22), "", (1, 20, 21, 22), ""),
        ((3, 20, 21), "CYX", (3, 20, 21), ""),
        ((20, 21, 3), "", (3, 20, 21), "YXC"),
    ],
)
def test_axes(tmp_path: Path, shape: tuple[int, ...], axes: str, read: tuple[int, ...], said: str) -> None:
    source = save(tmp_path / "a.h5", {"raw": volume(*shape)})
    with formats.open_reader(Source(source.path, axes=axes)) as reader:
        array = reader.read()
        assert array.shape == read
        assert (f"data.axes: {said}" in reader.assumed) == bool(said)
    expected = volume(*shape)
    expected = np.moveaxis(expected, -1, 0) if "C" in (axes + said)[-1:] else expected
    np.testing.assert_array_equal(array, expected.reshape(read))


def test_axes_that_the_file_states(tmp_path: Path) -> None:
    tags = json.dumps({"axes": [{"key": key} for key in "xyzc"]})
    source = save(tmp_path / "a.h5", {"exported_data": volume(22, 21, 20, 2)}, axistags=tags)
    np.testing.assert_array_equal(formats.read(source).array, volume(22, 21, 20, 2).T)
    source = save(tmp_path / "b.h5", {"raw": volume(2, 20, 21, 22)})
    with h5py.File(source.path, "r+") as file:
        for k, name in enumerate("tzyx"):
            file["raw"].dims[k].label = name
    with pytest.raises(ReadError, match="has 2 time points of 20 × 21 × 22"):
        formats.read(source)
    np.testing.assert_array_equal(formats.read(Source(source.path, time=1)).array[0], volume(2, 20, 21, 22)[1])


@pytest.mark.parametrize(
    ("words", "grid", "said"),
    [
        ({"resolution": (40, 4, 4), "unit": "nm"}, Grid((20, 21, 22), (40.0, 4.0, 4.0), "nm"), ""),
        ({"resolution": (40, 4, 4)}, Grid((20, 21, 22)), "its resolution has no unit: it is not used"),
        ({"element_size_um": (1, 2)}, Grid((20, 21, 22)), "has 2 numbers, its array 3 axes: it is not used"),
        ({}, Grid((20, 21, 22)), "it does not say how large its voxels are"),
    ],
)
def test_voxels(tmp_path: Path, words: dict[str, Any], grid: Grid, said: str) -> None:
    with formats.open_reader(save(tmp_path / "a.h5", {"raw": volume()}, **words)) as reader:
        assert reader.grid == grid
        assert said in reader.assumed


@pytest.mark.parametrize("sides", [(0, 1, 1), (-1, 1, 1), (np.nan, 1, 1)])
def test_voxels_without_a_size_are_refused(tmp_path: Path, sides: tuple[float, ...]) -> None:
    with pytest.raises(ReadError, match="says no place in space"):
        formats.read(save(tmp_path / "a.h5", {"raw": volume()}, element_size_um=sides))


def test_damage_and_arrays_that_lie_elsewhere(tmp_path: Path) -> None:
    source = save(tmp_path / "a.h5", {"raw": volume()})
    (tmp_path / "cut.h5").write_bytes(source.path.read_bytes()[:-2000])
    with pytest.raises(ReadError, match="this HDF5 file is damaged or truncated"):
        formats.read(Source(tmp_path / "cut.h5"))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["raw"] = h5py.ExternalLink("a.h5", "raw")
        file.create_dataset("data", (4, 4), "u1", external=[("/etc/passwd", 0, 16)])
    for name in ("raw", "data"):
        with pytest.raises(ReadError, match=r"holds no array 'raw'|lies in other files"):
            formats.read(Source(tmp_path / "b.h5", array=name))


def test_a_format_of_its_own_is_not_taken_for_arrays(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="is a MINC file"):
        formats.read(save(tmp_path / "a.h5", {"minc-2.0/image/0/image": volume()}))


def test_files_of_image_and_labels_are_a_data_set(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / f"{name}.h5", {"raw": volume(), "label": volume() // 50, "walls": volume()}, **SPACING)
    save(tmp_path / "c.h5", {"raw": volume()}, **SPACING)
    found = read_dataset(tmp_path)
    assert found.sentence == "2 HDF5 files of image and labels: 'raw' with 'label'"
    assert [(case.name, case.images[0].array, case.truth[0].array) for case in found.cases] == [
        ("a", "raw", "label"),
        ("b", "raw", "label"),
    ]
    np.testing.assert_array_equal(formats.read(found.cases[0].truth[0]).array[0], volume() // 50)
    assert [problem.what for problem in found.problems] == [
        "further arrays not used: 'walls'",
        "1 image has no mask and is left out",
    ]
    assert [case.name for case in find(tmp_path).cases] == ["a", "b", "c"]


def test_arrays_can_be_named_in_patterns(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / f"{name}.h5", {"one": volume(), "two/cells": volume() // 50, "two/walls": volume()})
    found = read_dataset(tmp_path, Patterns(("{case}.h5/one",), ("{case}.h5/two/cells",)))
    assert [(case.images[0].array, case.truth[0].array) for case in found.cases] == [("one", "two/cells")] * 2
    assert [case.name for case in found.cases] == ["a", "b"]


def test_within_zips(tmp_path: Path) -> None:
    save(tmp_path / "a.h5", {"raw": volume(), "label": volume() // 50}, **SPACING)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(tmp_path / "a.h5", "x/a.h5")
    (case,) = read_dataset(tmp_path / "all.zip").cases
    np.testing.assert_array_equal(formats.read(case.images[0]).array[0], volume())


def test_real_files(data: Path) -> None:
    found = read_dataset(data / "plantseg_ovules")
    assert [case.name for case in found.cases] == ["1135_mini", "1136_mini"]
    for case in found.cases:
        with h5py.File(case.images[0].path) as file:
            for source in (case.images[0], case.truth[0]):
                image = formats.read(source)
                np.testing.assert_array_equal(image.array[0], file[source.array])
                assert image.unit == "µm"
                assert image.spacing == tuple(file[source.array].attrs["element_size_um"])


def test_weights_are_no_image_and_labels_beside_them_are_the_mask(tmp_path: Path) -> None:
    labels = np.zeros((8, 9), np.uint16)
    labels[2:5, 2:5] = 1
    for folder, arrays in (("images", ("raw",)), ("masks", ("labels", "weights"))):
        (tmp_path / folder).mkdir()
        with h5py.File(tmp_path / folder / "a.h5", "w") as file:
            for name in arrays:
                file[name] = labels if name == "labels" else np.random.default_rng(0).random((8, 9), np.float32)
    (case,) = read_dataset(tmp_path).cases
    assert [source.path.parent.name for source in (*case.images, *case.truth)] == ["images", "masks"]
    np.testing.assert_array_equal(load_truth(case).array[0], labels)


def test_sizes_of_voxels_follow_the_axes_of_the_file(tmp_path: Path) -> None:
    tags = json.dumps({"axes": [{"key": key} for key in "xyzc"]})
    sizes = {"resolution": (4, 5, 40, 1), "unit": "nm"}
    source = save(tmp_path / "a.h5", {"exported_data": volume(22, 21, 20, 2)}, axistags=tags, **sizes)
    with formats.open_reader(source) as reader:
        assert reader.grid == Grid((20, 21, 22), (40.0, 5.0, 4.0), "nm")
    tags = json.dumps({"axes": [{"key": key} for key in "xyz"]})
    sizes = {"resolution": (4, 5, 40), "unit": "nm"}
    source = save(tmp_path / "b.h5", {"exported_data": volume(22, 21, 20)}, axistags=tags, **sizes)
    with formats.open_reader(source) as reader:
        assert reader.grid == Grid((20, 21, 22), (40.0, 5.0, 4.0), "nm")
