"""Of classes that are one piece, whole volumes show one, whichever way they are predicted and written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.measure import label

import ulna
from ulna import formats, networks
from ulna.config import Config
from ulna.grid import Grid
from ulna.image import Image, Source
from ulna.inference import room
from ulna.labels.classes import Classes
from ulna.layouts import read_dataset
from ulna.model import Model
from ulna.modelfile import Saved
from ulna.run import split
from ulna.tasks.components import keep_largest

CLASSES = Classes(("background", "left part", "right part"), ((0,), (2,), (7,)), "classes", "")
VALUES = np.array([0, 2, 7], np.uint8)
GRID = Grid((9, 24, 20), (3.0, 0.5, 0.7), "mm", (10.0, -5.0, 2.0), ((0, 1, 0), (-1, 0, 0), (0, 0, 1)))


def model(ndim: int, slices: int | None) -> Model:
    """Has learned nothing, and finds many pieces."""
    torch.manual_seed(0)
    words = {"data": {"channels": 1, "slices": slices}, "network": {"widths": [4, 8], "ndim": ndim}}
    config = Config.parse(words).changed({"inference.tile": 24, "inference.engine": "torch"})
    network = networks.build(config.network, 1, 3).eval()
    with torch.no_grad():
        list(network.parameters())[-1].copy_(torch.tensor([1.0, 0.0, 0.0]))
    return Model(Saved(network, config, CLASSES, outputs=3))


@pytest.mark.parametrize(("ndim", "slices"), [(3, None), (2, 1), (2, None)])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("suffix", [".nii", ".nrrd"])
def test_masks_are_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ndim: int, slices: int | None, large: bool, suffix: str
) -> None:
    whole = model(ndim, slices)
    own = whole.changed({"task.largest_component": ["right part"]})
    image = Image(np.random.default_rng(0).normal(size=(1, *GRID.shape)).astype(np.float32), GRID)
    formats.write(tmp_path / f"a{suffix}", image)
    if large:
        monkeypatch.setitem(room.LARGE, 3, 0)
    found, expected = (
        formats.read(Source(ulna.predict(one, tmp_path / f"a{suffix}", out=tmp_path / name).masks[0]))
        for one, name in ((own, "own"), (whole, "whole"))
    )
    classes = np.searchsorted(VALUES, expected.array[0]).astype(np.uint8)
    assert label(classes == 2, return_num=True)[1] > 1
    if slices is None and ndim == 2:  # pages are images of their own, one above the other in the world
        kept = np.stack([keep_largest(classes[:, row], [(2,)]) for row in range(classes.shape[1])], 1)
    else:
        kept = keep_largest(classes, [(2,)])
    np.testing.assert_array_equal(found.array[0], VALUES[kept])
    assert found.grid == expected.grid
    assert (found.array != expected.array).any()
    read = own.predict(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(VALUES[np.asarray(read)], found.array[0])


def test_training_chooses_what_is_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that says what is bright, also of specks, which are in the volumes held out alone."""
    draw = np.random.default_rng(0)
    for k in range(5):
        truth = np.zeros((1, 12, 16, 16), np.uint8)
        z, y, x = draw.integers(4, 7, 3)
        truth[0, z : z + 4 + k % 2, y : y + 5, x : x + 4 + k % 3] = 1
        image = truth + draw.normal(0, 0.1, truth.shape)
        for kind, one in (("images", image.astype(np.float32)), ("masks", truth)):
            formats.write(tmp_path / "data" / kind / f"v{k}.nii.gz", Image(one, Grid(one.shape[1:], (1, 1, 1), "mm")))
    _, held_out = split(read_dataset(tmp_path / "data"), 0.4, 0)
    assert len(held_out) == 2
    for case in held_out:
        image = formats.read(case.images[0])
        array = image.array.copy()
        array[0, :3, :3, :3] = 1
        formats.write(case.images[0].path, image.with_array(array))
    small = {"network.widths": [4, 8], "training.patch": [8, 8, 8], "training.batch_size": 2, "training.steps": 40}
    small |= {"training.final_patch": [8, 8, 8], "augmentation": None, "data.validation": 0.4}
    trained = ulna.train(tmp_path / "data", tmp_path / "run", epochs=2, changes=small)
    assert ulna.load(trained.run).config.task.largest_component == ("foreground",)
    assert "only the largest component is kept" in trained.report.read_text("utf-8")
    asked = ulna.train(tmp_path / "data", tmp_path / "asked", epochs=1, changes=small | {"task.largest_component": []})
    assert ulna.load(asked.run).config.task.largest_component == ()
