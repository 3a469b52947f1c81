"""Sequences of the Cell Tracking Challenge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ulna.formats import write
from ulna.image import Array, Image
from ulna.jobs.check import check
from ulna.layouts import read_dataset
from ulna.truth import load_truth, unsegmented_objects


def _put(root: Path, *names: str) -> Path:
    rng = np.random.default_rng(0)
    for name in names:
        objects = np.zeros((1, 20, 24), np.uint16)
        objects[0, 3:9, 3:9], objects[0, 12:18, 9:16] = 1, 4
        array = objects if "man" in name else rng.integers(0, 255, (1, 20, 24)).astype(np.uint8)
        write(root / name, Image(array))
    return root


def test_frames_and_their_segmentations(tmp_path: Path) -> None:
    frames = [f"0{k}/t00{n}.tif" for k in (1, 2) for n in range(4)]
    masks = ["01_GT/SEG/man_seg001.tif", "01_GT/SEG/man_seg003.tif", "02_GT/SEG/man_seg000.tif"]
    silver = ["02_ST/SEG/man_seg000.tif", "02_ST/SEG/man_seg002.tif"]
    tracks = [f"0{k}_GT/TRA/man_track00{n}.tif" for k in (1, 2) for n in range(4)]
    dataset = read_dataset(_put(tmp_path, *frames, *masks, *silver, *tracks))
    found = {case.name: str(case.truth[0].path.relative_to(tmp_path).as_posix()) for case in dataset.cases}
    assert found == {
        "01_t001": "01_GT/SEG/man_seg001.tif",
        "01_t003": "01_GT/SEG/man_seg003.tif",
        "02_t000": "02_GT/SEG/man_seg000.tif",
        "02_t002": "02_ST/SEG/man_seg002.tif",
    }
    assert "4 segmented frames of 2 sequences" in dataset.sentence
    assert "1 of them by programs" in dataset.sentence
    assert {case.group for case in dataset.cases} == {"01", "02"}
    said = " ".join(problem.what for problem in dataset.problems)
    assert "4 images have no mask" in said
    assert "4 files with markers of frames that are not segmented left out" in said
    assert "1 file segmented by programs, where a person has segmented, too, left out" in said
    assert "no markers" not in said


def _sequence(root: Path, objects: Array, markers: Array | None) -> Path:
    """Two frames of noise, one of them segmented."""
    rng = np.random.default_rng(0)
    for n in range(2):
        write(root / f"01/t00{n}.tif", Image(rng.integers(0, 255, (1, *objects.shape)).astype(np.uint8)))
    write(root / "01_GT/SEG/man_seg001.tif", Image(objects[None]))
    for n in range(2):
        if markers is not None:
            write(root / f"01_GT/TRA/man_track00{n}.tif", Image(markers[None]))
    return root


def test_cells_with_a_marker_alone_are_not_annotated(tmp_path: Path) -> None:
    """As far from the marker as the segmented cell reaches from its own: 4 pixels; no pixel of another cell."""
    objects, markers = np.zeros((24, 30), np.uint16), np.zeros((24, 30), np.uint16)
    objects[4:7, 3:10] = 5
    markers[5, 5], markers[12, 12], markers[5, 12] = 1, 2, 0
    place = _sequence(tmp_path, objects, markers)
    (case,) = read_dataset(place).cases
    labels = load_truth(case).array[0]
    y, x = np.mgrid[:24, :30]
    near = (y - 12) ** 2 + (x - 12) ** 2 <= 4**2 + 1
    np.testing.assert_array_equal(labels, np.where(near, -1, objects.astype(int)))
    found = check(place)
    assert found.classes.to_labels(labels[None]).classes.tolist() == np.where(near, 255, objects > 0).tolist()
    said = {problem.what: problem for problem in found.problems}
    (note,) = [
        problem for what, problem in said.items() if what.startswith("1 object has a marker (TRA) and no segmen")
    ]
    assert (note.severity, note.where) == ("note", ("01_t001: 1 object",))


def test_frames_without_markers_are_warned_of(tmp_path: Path) -> None:
    objects = np.zeros((24, 30), np.uint16)
    objects[4:7, 3:10] = 5
    found = read_dataset(_sequence(tmp_path, objects, None))
    assert load_truth(found.cases[0]).array.min() == 0
    (problem,) = [one for one in found.problems if "no markers of all cells (TRA)" in one.what]
    assert (problem.severity, problem.where) == ("warning", ("01/t001.tif",))


def test_planes_of_volumes_are_named(tmp_path: Path) -> None:
    objects = np.zeros((24, 30), np.uint16)
    objects[4:7, 3:10] = 5
    write(tmp_path / "01_GT/SEG/man_seg_000_002.tif", Image(objects[None]))
    found = read_dataset(_sequence(tmp_path, objects, objects))
    assert "1 file with single segmented planes of volumes left out" in [one.what for one in found.problems]


def test_the_shared_sequence(data: Path) -> None:
    place = data / "phc_u373" / "PhC-C2DH-U373_02_train.zip"
    if not place.is_file():
        pytest.skip("no sequence of the Cell Tracking Challenge there")
    dataset = read_dataset(place)
    assert len(dataset.cases) == 12
    assert load_truth(dataset.cases[0]).array.max() == 5
    missing = {case.name[-3:]: unsegmented_objects(case) for case in dataset.cases}
    assert {name: count for name, count in missing.items() if count} == {"026": 1, "051": 1}
