from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

import ulna
from typed import all_files
from ulna.errors import UlnaError
from ulna.jobs.predict import predict


def test_masks_suit_their_images(run: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name, size in (("a.png", (33, 50)), ("b.bmp", (20, 20)), ("c.jpg", (17, 64))):
        Pillow.fromarray(noise.integers(0, 255, size, dtype=np.uint8)).save(tmp_path / "in" / name)
    tifffile.imwrite(tmp_path / "in" / "d.tif", noise.integers(0, 60_000, (40, 41), dtype=np.uint16))
    done = predict(run, tmp_path / "in", out=tmp_path / "out")
    assert [path.name for path in done.masks] == ["a.png", "b.png", "c.png", "d.tif"]
    assert done.failed == ()
    assert tifffile.imread(tmp_path / "out" / "d.tif").shape == (40, 41)
    with Pillow.open(tmp_path / "out" / "a.png") as mask:
        assert mask.size == (50, 33)


def test_a_model_in_hand_predicts_the_same(run: Path, cells: Path, tmp_path: Path) -> None:
    model = ulna.load(run)
    done = predict(model, cells / "images", out=tmp_path / "out", cases=["cells_002"], overlays=True)
    assert all_files(tmp_path / "out") == {"cells_002.png", "overlays", "overlays/cells_002.png"}
    mask = model.predict(cells / "images" / "cells_002.png")
    assert np.array_equal(np.asarray(Pillow.open(done.masks[0])), model.classes.back(mask.array)[0])


def test_nothing_is_written_over(run: Path, cells: Path, tmp_path: Path) -> None:
    image = cells / "images" / "cells_000.png"
    predict(run, image, out=tmp_path)
    with pytest.raises(UlnaError, match="there already"):
        predict(run, image, out=tmp_path)
    predict(run, image, out=tmp_path, overwrite=True)
    with pytest.raises(UlnaError, match="over the images"):
        predict(run, image, out=image.parent, overwrite=True)


def test_two_images_of_one_name_get_two_masks(run: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "a.bmp"):
        Pillow.new("L", (20, 20)).save(tmp_path / "in" / name)
    done = predict(run, tmp_path / "in", out=tmp_path / "out")
    assert len(set(done.masks)) == len(all_files(tmp_path / "out")) == 2
