from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import equal

import ulna
from ulna.errors import UlnaError
from ulna.jobs.train import Trained, settings, train
from ulna.report import write_report

SMALL = {"training.steps": 3, "network.widths": [4, 8], "training.patch": [32, 32], "training.batch_size": 2}


def test_the_same_seed_gives_the_same_weights_and_another_others(run: Path, cells: Path, tmp_path: Path) -> None:
    names = ("again", "other")
    for name, seed in zip(names, (0, 1), strict=True):
        trained = train(cells, tmp_path / name, epochs=2, changes=SMALL, seed=seed)
        assert isinstance(trained, Trained)
        assert trained.run == tmp_path / name
    first, again, other = (load_file(place / "model.safetensors") for place in (run, *(tmp_path / n for n in names)))
    assert all(equal(first[name], again[name]) for name in first)
    assert any(not equal(first[name], other[name]) for name in first)


def test_settings_come_from_everywhere_in_order(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("training:\n  batch_size: 3\n  momentum: 0.5\ntask.loss: dice\n")
    config = settings("tutorial", path, {"training.momentum": 0.7}, epochs=9, seed=4)
    training = config.training
    assert (training.batch_size, training.momentum, training.epochs, training.seed) == (3, 0.7, 9, 4)
    assert (config.preset, config.task.loss) == ("tutorial", "dice")
    assert settings("tutorial", None, {}, minutes=2).training.epochs is None
    assert settings("tutorial", None, {"training.minutes": 2}).training.epochs is None
    path.write_text("training:\n  minutes: 3\n")
    assert settings("tutorial", path, {}).training.epochs is None
    assert settings("tutorial", path, {"training.epochs": 4}).training.minutes is None
    with pytest.raises(UlnaError, match="cannot both"):
        settings("default", None, {}, minutes=1, epochs=1)
    with pytest.raises(UlnaError, match="both"):
        settings("default", None, {"training.minutes": 1, "training.epochs": 1})


def test_colour_classes_and_no_validation(cells: Path, tmp_path: Path) -> None:
    trained = train(
        cells,
        tmp_path / "run",
        epochs=1,
        changes=SMALL | {"data.validation": 0, "data.channels": 3, "augmentation": None},
    )
    assert trained.scores is None
    assert not (tmp_path / "run" / "augmented.png").exists()
    assert ulna.load(tmp_path / "run").config.data.channels == 3
    assert (tmp_path / "run" / "validation.txt").read_text() == ""
    assert write_report(tmp_path / "run").is_file()


def test_one_group_alone_keeps_out_its_last_cases(
    cells: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np
    import tifffile
    from PIL import Image as Pillow

    for kind, name in (("images", "train-volume.tif"), ("masks", "train-labels.tif")):
        pages = np.stack([np.asarray(Pillow.open(path)) for path in sorted((cells / kind).iterdir())])
        tifffile.imwrite(tmp_path / name, pages, photometric="minisblack")
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    for path in tmp_path.glob("*.tif"):
        shutil.move(path, stacks)
    train(stacks, tmp_path / "run", epochs=1, changes=SMALL | {"data.validation": 0.25})
    assert (tmp_path / "run" / "validation.txt").read_text().split()[-1].endswith("0007")
    assert "flatters" in capsys.readouterr().err


def test_a_resumed_run_finds_its_cache_again(cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ulna.jobs.train.fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        ulna.train(cells, tmp_path / "run", epochs=1)
    (tmp_path / "run" / "augmented.png").unlink()
    monkeypatch.setattr("ulna.cache._fill", lambda *_: pytest.fail("the images were decoded again"))
    with pytest.raises(KeyboardInterrupt):
        ulna.train(cells, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "augmented.png").is_file()
