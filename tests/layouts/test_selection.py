"""`data.time` and `data.scene` in images and in their masks, which hold as much as these or what was chosen alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as Pillow

from ulna import formats
from ulna.dataset import Case, Dataset, load_image
from ulna.errors import ReadError
from ulna.image import Array, Source
from ulna.layouts import Patterns, find, read_dataset
from ulna.synthetic import write_dataset
from ulna.truth import load_truth

FILM = np.random.default_rng(0).integers(2, 250, (3, 8, 9)).astype(np.uint8)  # T, Y, X
MASK = (FILM > 99).astype(np.uint8)
ONE_EACH = "2 masks: one time point each, taken for time point 1 of their images"


def films(folder: Path, masks: Array, axes: str = "", suffix: str = ".tif") -> Path:
    """Two films with a mask each, whose axes are stated or not."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for name in ("a", "b"):
        tifffile.imwrite(folder / "images" / f"{name}.tif", FILM, imagej=True, metadata={"axes": "TYX"})
        target = folder / "masks" / f"{name}{suffix}"
        if suffix == ".png":
            Pillow.fromarray(masks).save(target)
        else:
            words = {"imagej": True, "metadata": {"axes": axes}} if axes else {"metadata": None}
            tifffile.imwrite(target, masks, photometric="minisblack", **words)
    return folder


@pytest.mark.parametrize(
    ("masks", "axes", "suffix", "said"),
    [
        (MASK, "TYX", ".tif", ""),
        (MASK[1], "", ".tif", ONE_EACH),
        (MASK[1], "", ".png", ONE_EACH),
        (MASK, "", ".tif", "2 masks: 3 planes each, as many as their images have time points: number 1 is taken"),
    ],
)
def test_masks_show_the_time_point_that_is_chosen(
    tmp_path: Path, masks: Array, axes: str, suffix: str, said: str
) -> None:
    found = read_dataset(films(tmp_path, masks, axes, suffix), Patterns(time=1))
    assert [(case.name, case.group) for case in found.cases] == [("a_0001", "a"), ("b_0001", "b")]
    for case in found.cases:
        np.testing.assert_array_equal(load_image(case).array[0], FILM[1])
        np.testing.assert_array_equal(load_truth(case).array[0], MASK[1])
    assert "2 frames of 2 films, one group per film" in found.sentence
    chosen = "2 files: holds 3 time points (0 to 2); number 1 is read, as data.time says"
    notes = [problem.what for problem in found.problems if problem.severity == "note"]
    assert [what for what in notes if "masks:" in what] == [said] * bool(said)
    assert [what for what in notes if "files:" in what] == [chosen.replace("2 files", "4 files" if axes else "2 files")]


def test_a_mask_of_other_time_points_is_left_out_and_said(tmp_path: Path) -> None:
    found = read_dataset(films(tmp_path, MASK[:2], "TYX"), Patterns(time=1))
    assert found.cases == ()
    said = {problem.what: problem for problem in found.problems}
    what = "2 masks: 2 time points each, where their images have 3: which of these they show is not known"
    assert (said[what].severity, said[what].where) == ("warning", ("masks/a.tif", "masks/b.tif"))


def test_a_time_point_that_is_not_there_is_an_error_where_it_is_read(tmp_path: Path) -> None:
    found = read_dataset(films(tmp_path, MASK, "TYX"), Patterns(time=3))
    with pytest.raises(ReadError, match="has 3 time points, time 3 is asked for"):
        load_image(found.cases[0])


@pytest.mark.parametrize("kind", ["png", "tif", "nii.gz"])
def test_files_without_either_are_read_as_if_nothing_were_said(tmp_path: Path, kind: str) -> None:
    write_dataset(tmp_path, 2, size=(16, 16))
    for file in tmp_path.rglob("*.png"):
        formats.write(file.with_suffix(f".{kind}"), formats.read(Source(file)))
        if kind != "png":
            file.unlink()
    assert read_dataset(tmp_path, Patterns(time=0, scene=0)) == read_dataset(tmp_path)


def test_images_to_predict_are_those_of_the_time_point(tmp_path: Path) -> None:
    films(tmp_path, MASK, "TYX")
    patterns = Patterns(time=2)
    for place in (tmp_path / "images", tmp_path / "images" / "a.tif", [tmp_path / "images" / f"{k}.tif" for k in "ab"]):
        cases = find(place, patterns=patterns).cases
        assert [case.name for case in cases] == ["a_0002", "b_0002"][: len(cases)]
        np.testing.assert_array_equal(load_image(cases[0]).array[0], FILM[2])


def test_cases_of_ones_own_keep_their_names_and_what_they_select(tmp_path: Path) -> None:
    films(tmp_path, MASK[1])
    image, mask = Source(tmp_path / "images" / "a.tif"), Source(tmp_path / "masks" / "a.tif")
    own = Case("own", (Source(image.path, time=0),), (mask,))
    found = read_dataset(Dataset((Case("mine", (image,), (mask,)), own), "two"), Patterns(time=1))
    assert [case.name for case in found.cases] == ["mine", "own"]
    for case, time in zip(found.cases, (1, 0), strict=True):
        np.testing.assert_array_equal(load_image(case).array[0], FILM[time])
        np.testing.assert_array_equal(load_truth(case).array[0], MASK[1])
    (problem,) = found.problems
    assert problem.what == "1 mask: one time point each, taken for time point 1 of their images"


def ome(path: Path, *images: Array) -> None:
    """An OME-TIFF of images that are called s0, s1, …"""
    path.parent.mkdir(exist_ok=True)
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for k, image in enumerate(images):
            tiff.write(image, metadata={"axes": "YX", "Name": f"s{k}"})


@pytest.mark.parametrize("scene", [1, "s1"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_masks_show_the_scene_that_is_chosen(tmp_path: Path, scene: int | str, count: int) -> None:
    sizes = [np.zeros((5 + k, 9), np.uint8) for k in range(3)]  # each scene has a size of its own
    images, masks = [FILM[k][: 5 + k] for k in range(2)], [one + k for k, one in enumerate(sizes)]
    for name in ("a", "b"):
        ome(tmp_path / "images" / f"{name}.ome.tif", *images)
        ome(tmp_path / "masks" / f"{name}.ome.tif", *(masks[1:2] if count == 1 else masks[:count]))
    found = read_dataset(tmp_path, Patterns(scene=scene))
    said = [problem.what for problem in found.problems]
    if count == 3:
        assert "2 masks: 3 images each, where their images have 2: which of these they show is not known" in said
        assert not found.cases
        return
    assert [case.name for case in found.cases] == ["a", "b"]
    np.testing.assert_array_equal(load_image(found.cases[0]).array[0], images[1])
    assert (load_truth(found.cases[0]).array == 1).all()
    one = f"2 masks: one image each, taken for scene {scene} of their images"
    assert [what for what in said if "masks:" in what] == [one] * (count == 1)
    chosen = "holds 2 images (s0, s1); number 1 is read, as data.scene says"
    assert [what for what in said if "files:" in what] == [f"{2 * count} files: {chosen}"]


def test_the_labels_of_the_scene_of_a_zarr_folder(tmp_path: Path) -> None:
    axes = [{"name": name, "type": "space"} for name in "yx"]

    def stored(place: Path, value: int) -> None:
        group = zarr.open_group(str(place), mode="w", zarr_format=2)
        group.create_array("0", shape=(20, 30), dtype="u1")[...] = value
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]

    for name in ("a.zarr", "b.zarr"):
        zarr.open_group(str(tmp_path / name), mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
        for k in range(2):
            stored(tmp_path / name / str(k), 10 + k)
            labels = zarr.open_group(str(tmp_path / name / str(k) / "labels"), mode="w", zarr_format=2)
            labels.attrs["labels"] = ["cells"]
            stored(tmp_path / name / str(k) / "labels" / "cells", k)
    found = read_dataset(tmp_path, Patterns(scene=1))
    assert [case.name for case in found.cases] == ["a", "b"]
    for case in found.cases:
        assert (load_image(case).array == 11).all()
        assert (load_truth(case).array == 1).all()
