"""Axes that TIFF files do not state: named by check, said by data.axes, remembered by a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

import ulna
from command_line import CommandLine
from small_data import cells
from ulna.errors import UlnaError
from ulna.jobs.check import check
from ulna.jobs.evaluate import evaluate
from ulna.jobs.predict import predict
from ulna.jobs.train import train

SMALL = {"training.steps": 2, "network.widths": [4, 8], "training.patch": [32, 32], "training.batch_size": 2}


def saved(folder: Path, *, last: bool) -> Path:
    """Images of five channels as numpy users save them, with masks of one plane."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for k in range(6):
        image, mask = cells((64, 64), k)
        planes = np.stack([np.roll(image, 5 * c, axis=1) for c in range(5)], axis=-1 if last else 0)
        tifffile.imwrite(folder / "images" / f"c{k}.tif", planes)
        Pillow.fromarray(mask).save(folder / "masks" / f"c{k}.png")
    return folder


def test_check_names_what_was_assumed_and_the_other_reading(tmp_path: Path) -> None:
    found = check(saved(tmp_path / "data", last=False))
    pages, problem = (p for p in found.problems if "data.axes" in p.what)
    assert pages.what == (
        "files of one case have different numbers of planes: 5, 1. "
        "If the planes of an image are its channels, set data.axes: CYX"
    )
    assert len(pages.where) == 12
    assert problem.severity == "warning"
    assert problem.what == (
        "6 files: the axes (5 × 64 × 64) are not stated: read as a stack of 5 planes (data.axes: ZYX); "
        "if they are channels, set data.axes: CYX"
    )
    assert problem.where == tuple(f"images/c{k}.tif" for k in range(6))


def test_channels_in_front_are_said_and_the_model_remembers(tmp_path: Path) -> None:
    data = saved(tmp_path / "data", last=False)
    found = check(data, changes={"data.axes": "cyx"})
    assert not [p for p in found.problems if "axes" in p.what]
    assert found.facts["channels"] == "5"
    run = train(data, tmp_path / "run", epochs=1, changes=SMALL | {"data.axes": "CYX"}).run
    model = ulna.load(run)
    assert (model.channels, model.config.data.axes) == (5, "CYX")
    file = data / "images" / "c0.tif"
    mask = model.predict(file).array
    assert mask.shape == (1, 64, 64)
    np.testing.assert_array_equal(mask, model.predict(tifffile.imread(file)).array)
    (written,) = predict(run, file, out=tmp_path / "masks").masks
    assert tifffile.imread(written).shape == (64, 64)
    assert len(evaluate(run, data, out=tmp_path / "scores").rows) > 0
    (written,) = predict(run, [file], out=tmp_path / "again").masks
    assert tifffile.imread(written).shape == (64, 64)


def test_channels_behind_are_found(tmp_path: Path) -> None:
    found = check(saved(tmp_path / "data", last=True))
    assert found.facts["channels"] == "5"
    assert "set data.axes: ZYX" in next(p.what for p in found.problems if "axes" in p.what)
    with_axes = check(tmp_path / "data", changes={"data.axes": "YXC"})
    assert not [p for p in with_axes.problems if "axes" in p.what]


def test_other_assumptions_are_named_too(tmp_path: Path) -> None:
    data = saved(tmp_path / "data", last=True)
    for k in range(6):
        (data / "masks" / f"c{k}.png").unlink()
        mask = cells((64, 64), k)[1]
        tifffile.imwrite(data / "masks" / f"c{k}.tif", mask, photometric="miniswhite")
    found = check(data, changes={"data.axes": "YXC"})
    (problem,) = [p for p in found.problems if "white" in p.what]
    assert problem.what.startswith("6 files: 0 is declared to be white")


@pytest.mark.parametrize("axes", ["CYQ", "CY", "CCYX"])
def test_axes_that_make_no_sense_are_refused(tmp_path: Path, axes: str, cli: CommandLine) -> None:
    with pytest.raises(UlnaError, match="one letter per axis"):
        check(tmp_path, changes={"data.axes": axes})
    assert cli("check", str(tmp_path), "--set", f"data.axes={axes}").code == 2
