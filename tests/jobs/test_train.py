from __future__ import annotations

import pickle
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from rich.console import Console
from safetensors.torch import load_file
from torch import equal

import ulna
from command_line import CommandLine
from small_data import put
from ulna import runfolder as runs
from ulna import synthetic
from ulna.errors import UlnaError
from ulna.image import Array
from ulna.jobs.train import train
from ulna.jobs.trained import Trained
from ulna.report import write_report
from ulna.training import fit
from ulna.training.ranks import ALONE, Rank

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


def test_all_that_the_processes_of_a_training_get_can_be_sent(
    run: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(work: Callable[[Rank], object], count: int, kind: str) -> None:
        """In this process, as one that computes everything."""
        assert (count, kind) == (2, "cpu")
        pickle.loads(pickle.dumps(work))(ALONE)

    monkeypatch.setattr(fit, "in_processes", here)
    several = train(cells, tmp_path / "run", epochs=2, changes=SMALL | {"training.devices": 2})
    first, second = (load_file(one / "model.safetensors") for one in (run, several.run))
    assert all(equal(first[name], second[name]) for name in first)
    record = runs.words(several.run)
    assert record["device"] == "2 × cpu"
    assert "Each batch is computed by 2 devices together, 1 patch on each." in record["plan"]
    with pytest.raises(UlnaError, match="do not find it"):
        train(cells, tmp_path / "own", changes={"training.devices": 2}, loss=lambda outputs, truth: outputs.mean())
    assert not (tmp_path / "own").exists()


def test_color_classes_and_no_validation(cells: Path, tmp_path: Path) -> None:
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


def test_one_volume_alone_keeps_out_its_last_planes(
    cells: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, name in (("images", "train-volume.tif"), ("masks", "train-labels.tif")):
        pages = np.stack([np.asarray(Pillow.open(path)) for path in sorted((cells / kind).iterdir())])
        tifffile.imwrite(tmp_path / name, pages, photometric="minisblack")
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    for path in tmp_path.glob("*.tif"):
        shutil.move(path, stacks)
    train(stacks, tmp_path / "run", epochs=1, changes=SMALL | {"data.validation": 0.25})
    assert (tmp_path / "run" / "train.txt").read_text().split() == ["train-volume[0:6]"]
    assert (tmp_path / "run" / "validation.txt").read_text().split() == ["train-volume[6:8]"]
    assert "are optimistically biased" in capsys.readouterr().err


def test_a_resumed_run_finds_its_cache_again(cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ulna.run.fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        ulna.train(cells, tmp_path / "run", epochs=1)
    (tmp_path / "run" / "augmented.png").unlink()
    monkeypatch.setattr("ulna.store.builder._read_all", lambda *_: pytest.fail("the images were decoded again"))
    with pytest.raises(KeyboardInterrupt):
        ulna.train(cells, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "augmented.png").is_file()


def test_a_call_from_python_says_the_command_that_does_the_same(cells: Path, tmp_path: Path, cli: CommandLine) -> None:
    run = tmp_path / "run"
    trained = train(cells, run, epochs=1, preset="tutorial", changes=SMALL | {"data.resize": [32, 32]}, seed=3)
    words = shlex.split(runs.words(run)["command"])
    assert words[:2] == ["ulna", "train"]
    assert cli(*words[1:], "--out", tmp_path / "again").code == 0
    first, again = (load_file(place / "model.safetensors") for place in (trained.run, tmp_path / "again"))
    assert all(equal(first[name], again[name]) for name in first)


def test_objects_are_learned_scored_and_predicted(tmp_path: Path) -> None:
    """The primary measure of the task is in the log, the scores and the report; files and model agree."""
    rng = np.random.default_rng(0)
    for index in range(4):
        numbers = np.kron(np.arange(16, dtype=np.uint16).reshape(4, 4), np.pad(np.ones((12, 12), np.uint16), 2))
        image = np.where(numbers > 0, 180, 60) + rng.integers(-20, 20, numbers.shape)
        put(tmp_path / "data", f"cells{index}", image.astype(np.uint8), numbers)
    changes = SMALL | {"task.name": "instances", "data.values": [[0], ["other"]], "data.validation": 0.5}
    trained = train(tmp_path / "data", tmp_path / "run", epochs=1, changes=changes)
    assert (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0].endswith("val_loss,val_ap")
    assert trained.scores is not None
    assert trained.scores.summary.primary == "ap"
    assert "with the objects of all images together (pooled)" in (said := shown(trained.scores))
    assert "pixels of all images" not in said
    assert "AP 50" in (tmp_path / "run" / "report.html").read_text("utf-8")
    ulna.predict(tmp_path / "run", tmp_path / "data" / "images", out=tmp_path / "masks")
    model = ulna.evaluate(trained.model, tmp_path / "data", out=tmp_path / "a")
    meant = {"task.name": "instances", "data.values": [[0], ["other"]]}
    files = ulna.evaluate(tmp_path / "masks", tmp_path / "data", out=tmp_path / "b", changes=meant)
    assert model.summary.overall.scores == files.summary.overall.scores
    assert [case.rows for case in model.cases] == [case.rows for case in files.cases]


def shown(what: object) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("tutorial", {"network.widths": [4, 8], "data.resize": [32, 32], "training.patch": [32, 32]}),
        ("paper", {"network.widths": [4, 8, 8], "training.patch": [60, 60]}),
        ("fcn8", {"network.widths": [2, 2, 2, 2, 2]}),
        ("default", {"network.widths": [4, 8]}),
    ],
)
def test_every_preset_trains_predicts_and_is_scored_on_several_classes(
    preset: str, changes: dict[str, object], tmp_path: Path
) -> None:
    """Squares and discs: masks of 0, 100 and 200, the squares without contrast to the discs but for their shape."""
    data = tmp_path / "data"
    for index in range(6):
        image, mask = shapes(index)
        put(data, f"shapes{index}", image, mask)
    changes = {"training.steps": 2, "training.batch_size": 2} | changes
    trained = train(data, tmp_path / "run", epochs=1, preset=preset, changes=changes)
    assert trained.model.classes.values == ((0,), (100,), (200,))
    assert trained.scores is not None
    assert len(trained.scores.summary.classes) == 2
    done = ulna.predict(tmp_path / "run", data / "images", out=tmp_path / "masks")
    masks = [np.asarray(Pillow.open(path)) for path in done.masks]
    assert [mask.shape for mask in masks] == [(70, 90)] * 6
    assert all(set(np.unique(mask)) <= {0, 100, 200} for mask in masks)
    scores = ulna.evaluate(tmp_path / "masks", data, out=tmp_path / "scores", cases=["shapes0", "shapes1"])
    assert [one.name for one in scores.cases] == ["shapes0", "shapes1"]


def shapes(seed: int) -> tuple[Array, Array]:
    """A picture of a square and a disc, and which is which."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:70, :90]
    mask = np.zeros((70, 90), np.uint8)
    (row, column), radius = draw.integers(15, 50, 2), 9
    mask[(y - row) ** 2 + (x - column) ** 2 < radius**2] = 100
    mask[row + 2 : row + 16, column + 15 : column + 30] = 200
    image = (30 + 150 * (mask > 0) + draw.normal(0, 5, mask.shape)).astype(np.uint8)
    return image, mask


def ready_made(cells: Path, place: Path) -> Path:
    """The cells with a split of their own: four to train on, two for validation, two for the test."""
    for index, name in enumerate(sorted(path.name for path in (cells / "images").iterdir())):
        for kind in ("images", "masks"):
            folder = place / ("train", "val", "test")[max(0, index // 2 - 1)] / kind
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(cells / kind / name, folder)
    return place


def test_a_ready_made_split_is_kept_and_its_test_part_left_out(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ulna.run.fit", stop)
    data = ready_made(cells, tmp_path / "data")
    sides = {}
    for share in (0.1, 0):
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path / f"run{share}", epochs=1, changes=SMALL | {"data.validation": share})
        sides[share] = runs.names(tmp_path / f"run{share}")
    first = [f"cells_{k:03d}" for k in range(8)]
    assert sides[0.1] == (tuple(first[:4]), tuple(first[4:6]))
    assert sides[0] == (tuple(first[:6]), ())
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "named", epochs=1, changes=SMALL, cases=first, except_=[first[0]])
    assert sorted(name for side in runs.names(tmp_path / "named") for name in side) == first[1:]


def stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_constants_of_objects_are_fitted_kept_and_said(tmp_path: Path) -> None:
    pairs = synthetic.cells(8, (48, 48))
    trained = train(pairs, tmp_path / "run", epochs=1, changes=SMALL)
    record = runs.words(tmp_path / "run")
    assert record["fitted_on"] == "held out"
    loaded = ulna.load(tmp_path / "run").config
    assert loaded.task.decoding is not None
    assert record["fitted"] == {f"task.decoding.{key}": value for key, value in loaded.task.decoding}
    assert "These images also chose the constants" in str(trained)
    # one that is stated is kept, and the others are fitted
    stated = {"task.decoding.seed": 0.35, "data.validation": 0}
    other = train(pairs, tmp_path / "other", epochs=1, changes=SMALL | stated)
    record = runs.words(tmp_path / "other")
    assert record["fitted_on"] != "held out"
    assert len(record["fitted"]) == 5
    assert record["fitted"]["task.decoding.seed"] == 0.35
    assert other.model.config.task.decoding is not None
    assert other.model.config.task.decoding.seed == 0.35
    assert "These images also chose" not in str(other)


def test_a_training_that_was_short_is_said_where_it_ends(run: Path, tmp_path: Path) -> None:
    done = Trained(run, ulna.load(run), None, 61, tmp_path / "report.html", short="The training was [short].")
    said = str(done)
    assert "The training was [short]." in said
    assert "No case was held out" in said
    assert "Trained in 1:01" in said
