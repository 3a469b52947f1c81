"""`ulna measure`: tables, pictures, and what cannot be measured."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pyarrow.parquet
import pytest
import tifffile
from scipy import ndimage

import ulna
from command_line import CommandLine
from ulna import measurement
from ulna.errors import UlnaError
from ulna.formats import read, write
from ulna.image import Channel, Grid, Image, Source
from ulna.inference import room
from ulna.jobs import large_masks
from ulna.jobs.measure import measure
from ulna.layouts.own import mark
from ulna.objectlist import NAME, Listed, write_list
from ulna.orientation import Orientation

RNG = np.random.default_rng(0)


def _objects() -> np.ndarray:
    objects = np.zeros((1, 40, 50), np.uint16)
    objects[0, 5:15, 5:15], objects[0, 15:25, 5:15], objects[0, 30:40, 30:45] = 1, 2, 300
    return objects


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two masks and their images of two channels."""
    for name in ("a", "b"):
        pixels = RNG.integers(0, 4000, (2, 40, 50)).astype(np.uint16)
        channels = (Channel("dapi"), Channel("gfp"))
        write(tmp_path / "images" / f"{name}.tif", Image(pixels, Grid((40, 50), (0.5, 0.5), "µm"), channels))
        write(tmp_path / "masks" / f"{name}.png", Image(_objects()))
    return tmp_path


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_command(folders: Path, cli: CommandLine) -> None:
    out = folders / "measured"
    shown = cli("measure", folders / "masks", "--images", folders / "images", "--out", out).out
    assert "6 objects in 2 images" in shown
    assert "median area [µm²]" in shown
    rows = _rows(out)
    assert [(row["image"], row["object"]) for row in rows] == [(n, o) for n in "ab" for o in ("1", "2", "300")]
    assert [float(row["area"]) for row in rows[:3]] == [25, 25, 37.5]
    assert {row["unit"] for row in rows} == {"µm"}
    assert [row["neighbors"] for row in rows[:3]] == ["1", "1", "0"]
    assert [row["touches_border"] for row in rows[:3]] == ["False", "False", "True"]
    pixels = read(Source(folders / "images" / "b.tif")).array
    inside = pixels[1][_objects()[0] == 300].astype(float)
    assert float(rows[5]["gfp_intensity_mean"]) == pytest.approx(inside.mean(), rel=1e-4)
    assert float(rows[5]["gfp_intensity_integrated"]) == pytest.approx(inside.sum(), rel=1e-4)
    assert {path.name for path in out.iterdir()} >= {"table.csv", "objects.png", "sizes.png"}
    table = pyarrow.parquet.read_table(out / "table.parquet").to_pydict()
    assert table["area"] == [float(row["area"]) for row in rows]
    assert read(Source(out / "objects.png")).array.shape == (3, 640, 800)


def test_a_pattern_may_be_spelled_out_by_the_shell(folders: Path, cli: CommandLine) -> None:
    masks = sorted((folders / "masks").iterdir())
    assert "6 objects in 2 images" in cli("measure", *masks, "--out", folders / "measured").out


def test_without_images_and_with_classes(folders: Path) -> None:
    write_list(folders / "masks" / NAME, [Listed("a", 1, "cell", 0.9), Listed("a", 2, "debris", 0.9)])
    done = ulna.measure(folders / "masks", out=folders / "out")
    table = done.columns()
    assert table["class"].tolist() == ["cell", "debris", "object", "object", "object", "object"]
    assert not any("intensity" in name for name in table)
    assert any("no images" in note for note in done.notes)
    assert any(note.startswith("4 objects without a line in objects.csv") for note in done.notes)
    assert len(done) == 6
    assert "6 objects in 2 images" in repr(done)
    assert "[pixel²]" in str(done)


def test_masks_of_a_class_are_parted_into_connected_regions_and_that_is_said(tmp_path: Path) -> None:
    write(tmp_path / "masks" / "a.png", Image(((_objects() > 0) * 255).astype(np.uint8)))
    done = ulna.measure(tmp_path / "masks", out=tmp_path / "out")
    assert len(done) == 2  # two of the objects touch
    assert any("connected regions" in note for note in done.notes)


def test_masks_of_classes_keep_their_classes(tmp_path: Path) -> None:
    """As `predict` marks them: regions of one class are objects, and how large each class is stands in the counts."""
    mask = np.zeros((1, 20, 30), np.uint8)
    mask[0, 2:5, 2:6], mask[0, 5:9, 2:6], mask[0, 12:14, 20:24] = 1, 2, 1
    write(tmp_path / "masks" / "a.png", Image(mask))
    write(tmp_path / "masks" / "b.png", Image(np.where(mask == 2, mask, 0)))
    write(tmp_path / "masks" / "c.png", Image(np.zeros_like(mask)))
    mark(tmp_path / "masks", {f"{name}.png": "" for name in "abc"}, [], classes={1: "liver", 2: "spleen"})
    done = ulna.measure(tmp_path / "masks", out=tmp_path / "out")
    assert any("connected regions of each are taken for objects" in note for note in done.notes)
    assert sorted(zip(done.table["image"], done.table["class"], done.table["area"], strict=True)) == [
        ("a", "liver", 8), ("a", "liver", 12), ("a", "spleen", 16), ("b", "spleen", 16),
    ]  # fmt: skip
    with (tmp_path / "out" / "counts.csv").open(encoding="utf-8") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [
        ("a", "liver", "2", "20", "pixel"), ("a", "spleen", "1", "16", "pixel"),
        ("b", "liver", "0", "0", ""), ("b", "spleen", "1", "16", "pixel"),
        ("c", "liver", "0", "0", ""), ("c", "spleen", "0", "0", ""),
    ]  # fmt: skip


def test_one_object_in_one_piece_is_itself(tmp_path: Path) -> None:
    write(tmp_path / "masks" / "a.png", Image((_objects() == 300).astype(np.uint8) * 7))
    assert ulna.measure(tmp_path / "masks", out=tmp_path / "out").columns()["object"].tolist() == [7]


def test_no_objects_at_all(tmp_path: Path, cli: CommandLine) -> None:
    write(tmp_path / "masks" / "a.png", Image(np.zeros((1, 20, 20), np.uint8)))
    assert "0 objects in 1 image" in cli("measure", tmp_path / "masks", "--out", tmp_path / "out").out
    assert _rows(tmp_path / "out") == []


@pytest.mark.parametrize("fault", ["missing image", "other size", "color mask", "fractions", "no masks", "not empty"])
def test_bad_input(folders: Path, cli: CommandLine, fault: str) -> None:
    out = folders / "out"
    if fault == "missing image":
        (folders / "images" / "b.tif").unlink()
    elif fault == "other size":
        write(folders / "images" / "b.tif", Image(np.zeros((2, 30, 50), np.uint16)))
    elif fault == "color mask":
        write(folders / "masks" / "b.png", Image(RNG.integers(0, 255, (3, 40, 50)).astype(np.uint8)))
    elif fault == "fractions":
        (folders / "masks" / "b.png").unlink()
        write(folders / "masks" / "b.tif", Image(np.full((1, 40, 50), 0.5, np.float32)))
    elif fault == "no masks":
        for path in (folders / "masks").iterdir():
            path.unlink()
    else:
        out.mkdir()
        (out / "mine.txt").write_text("mine")
    words = {
        "missing image": "1 of 2 masks have no image",
        "other size": "b: the image has 30 × 50 pixels, its mask 40 × 50",
        "color mask": "one channel",
    }
    words |= {"fractions": "not whole", "no masks": "no image here", "not empty": "other things"}
    done = cli("measure", folders / "masks", "--images", folders / "images", "--out", out)
    assert done.code == 2
    assert words[fault] in " ".join(done.err.split())
    assert not (out / "table.csv").exists()


def test_earlier_tables_are_kept(folders: Path) -> None:
    ulna.measure(folders / "masks", out=folders / "out")
    with pytest.raises(UlnaError, match="already"):
        ulna.measure(folders / "masks", out=folders / "out")
    ulna.measure(folders / "masks", out=folders / "out", overwrite=True)


def _volume() -> np.ndarray:
    volume = np.zeros((6, 40, 50), np.uint16)
    volume[1:4, 5:15, 5:15], volume[1:5, 20:30, 20:35], volume[0:2, 30:40, 40:50] = 1, 2, 7
    return volume


def test_a_volume_is_measured_as_one(tmp_path: Path) -> None:
    grid = Grid((6, 40, 50), (2.0, 0.5, 0.5), "µm")
    write(tmp_path / "masks" / "v.tif", Image(_volume()[None], grid))
    write(tmp_path / "images" / "v.tif", Image(_volume()[None] * 10, grid))
    done = ulna.measure(tmp_path / "masks", tmp_path / "images", out=tmp_path / "out")
    table = done.columns()
    assert table["image"].tolist() == ["v"] * 3
    assert table["object"].tolist() == [1, 2, 7]
    assert table["volume"].tolist() == [150, 300, 100]
    assert table["intensity_integrated"].tolist() == [3000, 12000, 14000]
    assert "median volume [µm³]" in str(done)
    assert "measured as volumes" in str(done)
    assert "objects.png shows v, plane 1" in str(done)


@pytest.mark.parametrize("kind", ["times", "pages with numbers of their own"])
def test_pages_that_are_no_volume_are_measured_one_by_one(tmp_path: Path, kind: str) -> None:
    pages = _volume() if kind == "times" else np.stack([_objects()[0], np.roll(_objects()[0], 20, axis=1)])
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(
        tmp_path / "masks" / "f.tif", pages, imagej=True, metadata={"axes": "TYX" if len(pages) == 6 else "ZYX"}
    )
    done = ulna.measure(tmp_path / "masks", out=tmp_path / "out")
    assert len(done) == sum(len(np.unique(page)) - 1 for page in pages)
    assert set(done.columns()["image"]) <= {f"f_{page:04d}" for page in range(len(pages))}
    page = "frame" if kind == "times" else "plane"
    assert any(f"each {page} is measured by itself: f.tif" in note for note in done.notes)


def test_volumes_at_several_times_are_measured_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    films = np.stack([_volume()] * 2)
    tifffile.imwrite(tmp_path / "masks" / "f.tif", films, imagej=True, metadata={"axes": "TZYX"})
    table = ulna.measure(tmp_path / "masks", out=tmp_path / "out").columns()
    assert table["image"].tolist() == ["f_0000"] * 3 + ["f_0001"] * 3
    assert table["volume"].tolist() == [300, 600, 200] * 2


def test_sizes_of_several_units_are_not_thrown_together(tmp_path: Path) -> None:
    write(tmp_path / "masks" / "a.tif", Image(_objects(), Grid((40, 50), (0.5, 0.5), "µm")))
    write(tmp_path / "masks" / "b.tif", Image(_objects()))
    write(tmp_path / "masks" / "v.tif", Image(_volume()[None], Grid((6, 40, 50), (2.0, 0.5, 0.5), "µm")))
    done = ulna.measure(tmp_path / "masks", out=tmp_path / "out")
    shown = " ".join(str(done).split())
    for words in ("area [pixel²]: 100", "area [µm²]: 25", "volume [µm³]: 150"):
        assert words in shown
    assert any("cannot be compared" in note for note in done.notes)
    assert any("perimeters are left empty" in note for note in done.notes)


def test_the_spacing_of_a_mask_that_is_not_that_of_its_image_is_said(folders: Path) -> None:
    (folders / "masks" / "a.png").unlink()
    write(folders / "masks" / "a.tif", Image(_objects(), Grid((40, 50), (0.25, 0.25), "µm")))
    done = ulna.measure(folders / "masks", folders / "images", out=folders / "out")
    assert done.columns()["area"].tolist()[:3] == [6.25, 6.25, 9.375]
    assert any(note.startswith("1 mask of another pixel size than the image") for note in done.notes)


def test_what_is_left_out_is_said(folders: Path) -> None:
    (folders / "masks" / "b.png").unlink()
    (folders / "masks" / "c.oib").write_bytes(b"a format that is not read")
    notes = " ".join(ulna.measure(folders / "masks", folders / "images", out=folders / "out").notes)
    assert "not measured: 1 image (b.tif)" in notes
    assert "passed over: 1 file" in notes
    assert "objects.png shows a" in notes


def test_what_files_leave_open_is_said(folders: Path) -> None:
    planes = RNG.integers(0, 255, (3, 40, 50)).astype(np.uint8)
    tifffile.imwrite(folders / "images" / "b.tif", planes, photometric="rgb", planarconfig="separate")
    done = ulna.measure(folders / "masks", folders / "images", out=folders / "out")
    assert "red_intensity_mean" in done.columns()
    assert any(note.startswith("b.tif: its 3 planes are declared to be red, green, blue") for note in done.notes)


def test_objects_in_pieces_are_counted(tmp_path: Path) -> None:
    classes = np.minimum(_objects(), 1)  # two regions of class 1, and one of class 2
    classes[0, 2, 45] = 2
    classes[0, 3, 46] = 2  # touches by a corner: one piece
    write(tmp_path / "masks" / "a.png", Image(classes))
    done = ulna.measure(tmp_path / "masks", out=tmp_path / "out")
    assert any("in several pieces, each measured as one: 1 of 2" in note for note in done.notes)


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    write(tmp_path / "masks" / "a.png", Image(np.full((1, 1200, 1201), 3, np.uint8)))
    ulna.measure(tmp_path / "masks", out=tmp_path / "out")
    assert _rows(tmp_path / "out")[0]["area"] == "1441200"


def _stored(path: Path, array: np.ndarray, axes: str) -> None:
    """A volume (X, Y, Z) with voxels of 0.5 × 0.5 × 2 mm as a NIfTI whose axes run as asked."""
    library: Any = nibabel
    image = library.Nifti1Image(array, np.diag([0.5, 0.5, 2.0, 1.0]))
    turn = library.orientations.ornt_transform(
        library.io_orientation(image.affine), library.orientations.axcodes2ornt(axes)
    )
    path.parent.mkdir(exist_ok=True)
    library.save(image.as_reoriented(turn), path)


@pytest.mark.parametrize("axes", ["RAS", "LAS", "SPR"])
def test_a_volume_whose_mask_has_its_axes_in_another_order(tmp_path: Path, axes: str) -> None:
    """Intensities are those of the same place in the world, and sizes are in cubic millimeters."""
    objects = np.zeros((20, 24, 12), np.int16)
    objects[4:12, 5:15, 3:8], objects[14:18, 5:10, 2:9] = 1, 2
    _stored(tmp_path / "images" / "v.nii.gz", 100 * objects, "RAS")
    _stored(tmp_path / "masks" / "v.nii.gz", objects, axes)
    done = ulna.measure(tmp_path / "masks", tmp_path / "images", out=tmp_path / "out")
    table = done.columns()
    assert table["intensity_mean"].tolist() == [100, 200]
    assert table["volume"].tolist() == [400 * 0.5, 140 * 0.5]
    assert set(table["unit"]) == {"mm"}
    assert any("brought onto the grid of the image" in note for note in done.notes) == (axes != "RAS")


def test_a_mask_that_says_it_lies_elsewhere_is_named(tmp_path: Path) -> None:
    grid = Grid((3, 10, 10), (2.0, 0.5, 0.5), "mm", (4.0, 5.0, 6.0))
    for folder, one in (("images", grid), ("masks", replace(grid, origin=(4.0, 5.0, 9.0)))):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "v.nii.gz", Image(np.ones((1, 3, 10, 10), np.uint8), one))
    notes = ulna.measure(tmp_path / "masks", tmp_path / "images", out=tmp_path / "out").notes
    assert any(note.startswith("1 mask says that it lies elsewhere than the image") for note in notes)


@pytest.mark.parametrize(("words", "open_"), [({"spacing": 2.0}, False), ({}, True)])
def test_planes_whose_distance_is_open_are_said(tmp_path: Path, words: dict[str, Any], open_: bool) -> None:
    objects = np.zeros((6, 20, 30), np.uint16)
    objects[1:4, 3:9, 4:12], objects[2:5, 12:18, 15:25] = 300, 301
    metadata = {"axes": "ZYX", "unit": "um"} | words
    tifffile.imwrite(tmp_path / "a.tif", objects, imagej=True, resolution=(2, 2), metadata=metadata)
    done = ulna.measure(tmp_path / "a.tif", out=tmp_path / "out")
    table = done.columns()
    assert table["volume"].tolist() == [144 * 0.25 * words.get("spacing", 1), 180 * 0.25 * words.get("spacing", 1)]
    assert table["object"].tolist() == [300, 301]
    assert any(note.startswith("1 mask has planes that lie 1 apart") for note in done.notes) == open_


@pytest.mark.parametrize("listed_classes", [True, False])
def test_a_large_mask_is_measured_by_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed_classes: bool
) -> None:
    """The same table, notes and counts as of the mask in one piece."""
    rng = np.random.default_rng(3)
    objects = np.asarray(ndimage.label(ndimage.gaussian_filter(rng.normal(size=(90, 130)), 2) > 0.03)[0], np.int32)
    objects[3, 3] = objects.max()  # in two pieces
    grid = Grid(objects.shape, (0.5, 0.5), "µm")
    for folder in ("masks", "images"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "masks" / "a.tif", Image(objects[None]), labels=True)
    write(tmp_path / "images" / "a.tif", Image(rng.integers(0, 255, (1, 90, 130)).astype(np.uint8), grid))
    if listed_classes:
        write_list(tmp_path / "masks" / NAME, [Listed("a", n, "cell", 0.5) for n in range(1, 6)])
    places = tmp_path / "masks", tmp_path / "images"
    whole = measure(*places, out=tmp_path / "whole")
    monkeypatch.setitem(room.LARGE, 2, 100)
    monkeypatch.setattr(measurement, "BLOCK", 32)
    monkeypatch.setitem(large_masks.SHOWN, 2, 64)
    parts = measure(*places, out=tmp_path / "parts")
    tables = [(place / "table.csv").read_text().splitlines() for place in (whole.folder, parts.folder)]
    assert len(tables[0]) == len(tables[1]) > 10
    for name, column in whole.table.items():
        if column.dtype.kind == "f":
            np.testing.assert_allclose(parts.table[name], column, rtol=1e-6)
        else:
            assert parts.table[name].tolist() == column.tolist(), name
    notes = [[note for note in done.notes if "objects.png" not in note] for done in (whole, parts)]
    assert notes[0] == notes[1]
    assert any("in several pieces" in note for note in notes[0])
    assert any(re.fullmatch(r"objects.png shows a, rows and columns \d+ to \d+, \d+ to \d+", n) for n in parts.notes)
    assert (whole.folder / "counts.csv").read_text() == (parts.folder / "counts.csv").read_text()


def test_a_large_mask_with_other_axes_than_its_image_is_brought_onto_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one in memory is: not measured by region, pixel for pixel."""
    grid = Grid((6, 10, 12), (2.0, 1.0, 1.0), "mm", (5.0, 7.0, 9.0))
    objects = np.zeros((1, *grid.shape), np.int32)
    objects[0, 3:6, 2:5, 2:5] = 1
    image = np.where(objects > 0, 200, 0).astype(np.uint8)
    turn = Orientation((0, 1, 2), (True, False, False))
    write(tmp_path / "images" / "a.nii.gz", Image(image, grid))
    write(tmp_path / "masks" / "a.nii.gz", Image(np.ascontiguousarray(objects[:, ::-1]), turn.grid(grid)), labels=True)
    tables = []
    for name, size in (("whole", 1 << 25), ("large", 10)):
        monkeypatch.setitem(room.LARGE, 3, size)
        tables.append(measure(tmp_path / "masks", tmp_path / "images", out=tmp_path / name).table)
    assert tables[0]["intensity_mean"].tolist() == tables[1]["intensity_mean"].tolist() == [200.0]


def test_numbers_may_be_as_large_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = np.zeros((1, 40, 50), np.int32)
    objects[0, 5:9, 5:9], objects[0, 20:30, 30:33] = 2_000_000_000, 7
    (tmp_path / "masks").mkdir()
    write(tmp_path / "masks" / "a.tif", Image(objects), labels=True)
    monkeypatch.setitem(room.LARGE, 2, 10)
    found = measure(tmp_path / "masks", out=tmp_path / "out").table
    assert found["object"].tolist() == [7, 2_000_000_000]
    assert found["area"].tolist() == [30, 16]


def test_nan_in_a_large_image_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = np.zeros((1, 40, 50), np.int32)
    objects[0, 5:9, 5:9], objects[0, 20:30, 30:33] = 1, 2
    image = np.ones((1, 40, 50), np.float32)
    image[0, 6, 6] = np.nan
    write(tmp_path / "masks" / "a.tif", Image(objects), labels=True)
    write(tmp_path / "images" / "a.tif", Image(image))
    monkeypatch.setitem(room.LARGE, 2, 10)
    with pytest.raises(UlnaError, match="NaN"):
        measure(tmp_path / "masks", tmp_path / "images", out=tmp_path / "out")
