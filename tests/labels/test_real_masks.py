"""What masks of real data sets are read as, and how sure that is."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from simulated_masks import Masks
from ulna.config import DataConfig
from ulna.labels.inference import SURE, interpret
from ulna.labels.values import Value

NOTHING = DataConfig()
OBJECTS: tuple[tuple[Value, ...], ...] = ((0,), ("other",))


def read(data: Path, place: str, part: str, most: int = 24) -> Masks:
    """The masks of a zip whose names hold a text, or the pages of a TIFF, (1, Y, X) each."""
    if place.endswith(".tif"):
        return [page[None] for page in tifffile.imread(data / place)[:most]]
    with zipfile.ZipFile(data / place) as archive:
        names = sorted(name for name in archive.namelist() if part in name and name.endswith((".png", ".tif")))
        files = [(name, io.BytesIO(archive.read(name))) for name in names[:: max(1, len(names) // most)]]
    return [(tifffile.imread(f) if name.endswith("tif") else np.array(Pillow.open(f)))[None] for name, f in files]


@pytest.mark.parametrize(
    ("place", "part", "values"),
    [
        ("segmentation_wbc.zip", ".png", ((0,), (128,), (255,))),
        ("lgg-mri-segmentation.zip", "_mask.tif", ((0,), (255,))),
        ("isbi2012/train-labels.tif", "", ((0,), (255,))),
        ("monuseg/monuseg_train_crops.zip", "labels/", OBJECTS),
        ("phc_u373/PhC-C2DH-U373_02_train.zip", "man_seg", OBJECTS),
    ],
)
def test_real_masks(data: Path, place: str, part: str, values: tuple[tuple[Value, ...], ...]) -> None:
    found = interpret(read(data, place, part), NOTHING)
    assert found.classes.values == values
    assert found.certainty >= SURE
    assert not found.doubts


def test_real_objects_cut_small_or_numbered_from_2(data: Path) -> None:
    """Crops in which few objects are left, in 8 bits; and a background of 1."""
    whole = read(data, "monuseg/monuseg_train_crops.zip", "labels/", 13)
    crops = [mask[0, y : y + 64, x : x + 64] for mask in whole for y in (0, 256) for x in (0, 256)]
    small = [np.unique(crop, return_inverse=True)[1].reshape(1, 64, 64).astype(np.uint8) for crop in crops]
    found = interpret(small, NOTHING)
    assert (found.classes.values, found.certainty > 0.9) == (OBJECTS, True)
    found = interpret([mask + 1 for mask in whole], NOTHING)
    assert found.classes.values == ((1,), ("other",))
    assert "0 is in no mask: 1, which covers" in found.doubts[0].what
