"""A model of one time point: trained on it, remembered, and set to another for prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import ulna
from command_line import CommandLine
from small_data import cells
from ulna.errors import UlnaError
from ulna.jobs.check import check
from ulna.jobs.evaluate import evaluate
from ulna.jobs.predict import predict
from ulna.jobs.train import train

SMALL = {"training.steps": 2, "network.widths": [4, 8], "training.patch": [32, 32], "training.batch_size": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six films of two time points, annotated at the last."""
    folder = tmp_path_factory.mktemp("films")
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for k in range(6):
        frames = [cells((64, 64), 2 * k + time) for time in range(2)]
        film = np.stack([image for image, _ in frames])
        tifffile.imwrite(folder / "images" / f"c{k}.tif", film, imagej=True, metadata={"axes": "TYX"})
        tifffile.imwrite(folder / "masks" / f"c{k}.tif", frames[1][1])
    return folder


def test_a_model_remembers_the_time_point_and_can_be_set_to_another(data: Path, tmp_path: Path) -> None:
    run = train(data, tmp_path / "run", epochs=1, changes=SMALL | {"data.time": 1}).run
    model = ulna.load(run)
    assert model.config.data.time == 1
    file = data / "images" / "c0.tif"
    film = tifffile.imread(file)
    np.testing.assert_array_equal(model.predict(file).array, model.predict(film[1]).array)
    other = model.changed({"data.time": 0})
    np.testing.assert_array_equal(other.predict(file).array, model.predict(film[0]).array)
    done = predict(run, file, out=tmp_path / "masks")
    assert [mask.name for mask in done.masks] == ["c0_0001.tif"]
    assert "c0.tif: holds 2 time points (0 to 1); number 1 is read, as data.time says" in done.notes
    done = predict(run, file, out=tmp_path / "masks", changes={"data.time": 0})
    assert [mask.name for mask in done.masks] == ["c0_0000.tif"]
    with pytest.raises(UlnaError, match="not made by this model in this way"):
        predict(model.changed({"data.scene": 0}), file, out=tmp_path / "masks", resume=True)
    scores = evaluate(run, data, out=tmp_path / "scores")
    assert {str(row.case) for row in scores.rows} == {f"c{k}_0001" for k in range(6)}


def test_a_time_point_that_is_not_there_ends_a_training_with_how_many_there_are(data: Path, cli: CommandLine) -> None:
    found = check(data, changes={"data.time": 2})
    (problem,) = [one for one in found.problems if one.severity == "fatal" and "cannot be read" in one.what]
    assert "has 2 time points, time 2 is asked for" in " ".join(problem.where)
    assert cli("check", str(data), "--set", "data.time=-1").code == 2
