"""Cross-validation: the split, folds as runs, one table of all, time for all together, several processes, ensembles."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

import ulna
from small_data import put
from ulna import runfolder as runs
from ulna.errors import UlnaError
from ulna.folds import fold_folder, read_folds
from ulna.jobs.evaluate import evaluate
from ulna.jobs.train import train

SMALL = {"training.steps": 2, "network.widths": [4, 8], "training.patch": [32, 32], "training.batch_size": 2}
PLAIN = SMALL | {"augmentation": None}  # no picture of augmentation, which takes long


@pytest.fixture(scope="module")
def data(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of three patients."""
    folder = tmp_path_factory.mktemp("patients")
    for index, name in enumerate(("p1_a", "p1_b", "p2_a", "p2_b", "p3_a", "p3_b")):
        pictures = (np.asarray(Pillow.open(cells / kind / f"cells_{index:03d}.png")) for kind in ("images", "masks"))
        put(folder, name, *pictures)
    return folder


GROUPS = {"data.groups": r"(p\d)"}


@pytest.fixture(scope="module")
def crossed(data: Path) -> Path:
    """A run of three folds; tests leave it as it is."""
    return train(data, data.parent / "crossed", epochs=1, folds=3, changes=PLAIN | GROUPS).run


def files(run: Path) -> dict[str, bytes]:
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_every_case_is_scored_by_the_fold_that_had_not_seen_it(crossed: Path, data: Path) -> None:
    folds = read_folds(crossed)
    assert sorted(folds.numbers) == [0, 0, 1, 1, 2, 2]
    assert len({(group, fold) for group, fold in zip(folds.groups, folds.numbers, strict=True)}) == 3
    with (crossed / "scores" / "scores.csv").open(newline="") as file:
        table = {line["case"]: line for line in csv.DictReader(file)}
    assert list(table) == list(folds.names)
    for name, number in zip(folds.names, folds.numbers, strict=True):
        fold = fold_folder(crossed, number)
        assert name in (fold / "validation.txt").read_text().split()
        assert name not in (fold / "train.txt").read_text().split()
        mask = np.asarray(ulna.load(fold).predict(data / "images" / f"{name}.png"))
        truth = np.asarray(Pillow.open(data / "masks" / f"{name}.png")) > 0
        dice = 2 * (truth & (mask > 0)).sum() / (truth.sum() + (mask > 0).sum())
        assert float(table[name]["dice"]) == pytest.approx(dice)
    found = json.loads((crossed / "scores" / "metrics.json").read_text("utf-8"))
    assert (found["cases"], found["groups"]) == (6, 3)
    assert found["overall"]["dice"]["mean"] == pytest.approx(np.mean([float(one["dice"]) for one in table.values()]))
    assert "the one of 3 models that had not seen it" in found["notes"][0]


def test_the_folder_of_folds_holds_the_whole_and_links_its_parts(crossed: Path) -> None:
    page = (crossed / "report.html").read_text("utf-8")
    for number in range(3):
        fold = fold_folder(crossed, number)
        assert f'href="fold{number}/report.html"' in page
        assert 'href="../report.html"' in (fold / "report.html").read_text("utf-8")
        assert runs.words(fold)["state"] == runs.FINISHED
        assert runs.config(fold) == runs.config(crossed)  # one plan for all
    assert runs.words(crossed)["state"] == runs.FINISHED
    names = {path.name for path in crossed.iterdir()}
    assert names == {
        *("check.json", "config.yaml", "fold0", "fold1", "fold2", "folds.csv", "report.html", "run.json"),
        *("samples.png", "scores"),
    }


def test_the_ensemble_is_the_mean_of_the_probabilities_of_the_folds(crossed: Path, data: Path, tmp_path: Path) -> None:
    image = data / "images" / "p1_a.png"
    each = [ulna.load(fold_folder(crossed, number)).probabilities(image).array for number in range(3)]
    model = ulna.load(crossed)
    assert "3 × unet" in repr(model)
    np.testing.assert_allclose(model.probabilities(image).array, np.mean(each, axis=0), atol=1e-5)
    saved = ulna.load(model.save(tmp_path / "all.safetensors"))
    np.testing.assert_array_equal(saved.probabilities(image).array, model.probabilities(image).array)
    assert not np.allclose(each[0], each[1], atol=1e-4)


def test_what_any_fold_has_learned_from_is_known_to_have_been_seen(crossed: Path, data: Path, tmp_path: Path) -> None:
    notes = " ".join(evaluate(crossed, data, out=tmp_path / "scores").notes)
    assert "6 of these 6 images are images that the model was trained on" in notes
    assert f"in the fold that held it out is in {crossed / 'scores'}" in notes
    one = " ".join(evaluate(fold_folder(crossed, 0), data, out=tmp_path / "one").notes)
    assert "4 of these 6 images are images that the model was trained on" in one


def test_where_only_some_folds_are_trained_these_are_taken(
    crossed: Path, data: Path, tmp_path: Path, capsys: Any
) -> None:
    part = shutil.copytree(crossed, tmp_path / "run")
    (fold_folder(part, 1) / "model.safetensors").unlink()
    image = data / "images" / "p1_a.png"
    found = ulna.load(part).probabilities(image).array
    said = " ".join(capsys.readouterr().err.split())
    assert "2 of 3 folds are trained (0, 2): their models are taken alone" in said
    each = [ulna.load(fold_folder(part, number)).probabilities(image).array for number in (0, 2)]
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-5)
    for number in (0, 2):
        shutil.rmtree(fold_folder(part, number))
    with pytest.raises(UlnaError, match="none of these 3 folds is trained"):
        ulna.load(part)


def test_requests_that_make_no_sense_are_refused(crossed: Path, data: Path, tmp_path: Path, run: Path) -> None:
    new = tmp_path / "new"
    for words, what in (
        ({"folds": 4, "changes": GROUPS}, "6 cases in 3 groups cannot be split into 4 folds"),
        ({"folds": 1}, "two folds at least"),
        ({"folds": 3, "fold": 3}, "there is no fold 3: 3 folds are counted from 0 to 2"),
        ({"folds": 3, "fold": -1}, "there is no fold -1"),
        ({"fold": 0}, "how many folds there are is not said"),
        ({"folds": 2, "changes": {"data.validation": 0.2}}, "each fold holds out its own cases"),
        ({"folds": 2, "changes": {"data.groups": "(p)"}}, "6 cases in 1 group cannot be split into 2 folds"),
        ({"folds": 2, "start_from": crossed}, "this run has 3 models, and a training starts from one"),
    ):
        with pytest.raises(UlnaError, match=what):
            train(data, new, epochs=1, **words)
        assert not new.exists()
    for words, what in (
        ({"folds": 2}, "this run has 3 folds, not 2"),
        ({"folds": 3}, "this run has finished"),
        ({"folds": 3, "resume": True}, "this run has finished"),
        ({"folds": 3, "fold": 0}, "this run has finished"),
    ):
        with pytest.raises(UlnaError, match=what):
            train(data, crossed, epochs=1, **words)
    with pytest.raises(UlnaError, match="the run in this folder has no folds"):
        train(data, run, epochs=1, folds=2)
    with pytest.raises(UlnaError, match="one fold alone is trained on files"):
        train([(np.zeros((8, 8)), np.zeros((8, 8)))], new, epochs=1, folds=2, fold=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(UlnaError, match="this folder is not empty"):
        train(data, tmp_path / "full", epochs=1, folds=2)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]
