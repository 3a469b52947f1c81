"""`plan`, and a training from the file that it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from command_line import CommandLine
from small_scenes import picture, save, squares
from ulna import runfolder
from ulna.config import Config, dotted
from ulna.errors import UlnaError
from ulna.image import Grid
from ulna.jobs.plan import plan
from ulna.planning import FALLBACK_EPOCHS
from ulna.synthetic import write_dataset

SMALL = {"network.widths": [4, 8], "training.batch_size": 2, "training.steps": 1}


@pytest.fixture(params=[2, 3])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, int]:
    """A small set of images or of volumes, and how many dimensions its network is to have."""
    if request.param == 2:
        write_dataset(tmp_path / "data", 4, size=(32, 32))
    else:
        for index in range(3):
            grid = Grid((16, 32, 32), (1.0, 0.5, 0.5), "µm")
            _, of_class = squares(index, shape=grid.shape)
            save(tmp_path / f"data/images/v{index}.tif", picture(of_class, index), grid)
            save(tmp_path / f"data/masks/v{index}.tif", of_class, grid)
    return tmp_path / "data", request.param


def test_a_training_takes_the_file_of_a_plan(place: tuple[Path, int], tmp_path: Path, cli: CommandLine) -> None:
    """What the plan decided is what the training does, but for what is typed beside it."""
    data, ndim = place
    file = tmp_path / "plan.yaml"
    words = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    assert cli("plan", data, "--minutes", 10, "--out", file, *words).code == 0
    assert Config.parse(yaml.safe_load(file.read_text("utf-8"))).training.minutes == 10
    found = cli("train", data, "--config", file, "--out", tmp_path / "run", "--epochs", 1)
    assert found.code == 0, found.err
    trained = dotted(runfolder.config(tmp_path / "run").model_dump())
    planned = dotted(plan(data, minutes=10, changes=SMALL).plan.config.model_dump())
    assert {key for key in planned if planned[key] != trained[key]} == {"training.minutes", "training.epochs"}
    assert (trained["network.ndim"], trained["training.minutes"], trained["training.epochs"]) == (ndim, None, 1)


def test_nothing_is_written_over_and_nothing_without_a_name(cells: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("mine")
    with pytest.raises(UlnaError, match="is there already"):
        plan(cells, out=tmp_path / "plan.yaml")
    found = plan(cells)
    assert found.written is None
    assert found.plan.config.training.epochs == FALLBACK_EPOCHS
    assert "training.patch" in str(found)
    assert [path.name for path in tmp_path.iterdir()] == ["plan.yaml"]
