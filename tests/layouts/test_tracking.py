"""Sequences of the Cell Tracking Challenge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ulna.formats import write
from ulna.image import Image
from ulna.layouts import read_dataset
from ulna.truth import load_truth


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
    assert "8 files with the markers of tracks left out" in said


def test_the_shared_sequence(data: Path) -> None:
    place = data / "phc_u373" / "PhC-C2DH-U373_02_train.zip"
    if not place.is_file():
        pytest.skip("no sequence of the Cell Tracking Challenge there")
    dataset = read_dataset(place)
    assert len(dataset.cases) == 12
    assert load_truth(dataset.cases[0]).array.max() == 5
