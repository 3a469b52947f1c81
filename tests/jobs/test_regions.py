"""Regions, one within the other, from the data to the scores."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

import ulna
from small_data import put
from ulna.jobs.check import check
from ulna.jobs.evaluate import evaluate
from ulna.jobs.plan import plan
from ulna.jobs.predict import predict
from ulna.jobs.train import Trained, train

REGIONS = {"whole": [1, 2, 4], "core": [1, 4], "enhancing": [4]}
SMALL = {"training.steps": 2, "network.widths": [4, 8], "training.patch": [16, 16], "training.batch_size": 2}


def tumor(seed: int, shape: tuple[int, ...] = (40, 44)) -> tuple[np.ndarray, np.ndarray]:
    """A picture of disks (balls) within each other, and their mask: edema 2, necrosis 1, enhancing 4."""
    draw = np.random.default_rng(seed)
    center = [draw.integers(side // 3, 2 * side // 3) for side in shape]
    away = np.sqrt(sum((np.arange(side).reshape(-1, *[1] * (len(shape) - axis - 1)) - c) ** 2
                       for axis, (side, c) in enumerate(zip(shape, center, strict=True))))  # fmt: skip
    mask = np.select([away < 4, away < 6, away < 9], [4, 1, 2], 0).astype(np.uint8)
    return (50 + 40 * mask + draw.normal(0, 3, shape)).round().astype(np.uint8), mask


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regions") / "data"
    for number in range(6):
        put(folder, f"p{number}_0", *tumor(number))
    return folder


@pytest.fixture(scope="module")
def trained(pictures: Path) -> Trained:
    return train(pictures, pictures.parent / "run", epochs=1, changes=SMALL | {"data.regions": REGIONS})


def test_a_model_of_regions(trained: Trained, pictures: Path) -> None:
    model = ulna.load(trained.run)
    assert model.config.task.name == "regions"
    assert model.classes.regions == (("whole", (1, 2, 3)), ("core", (1, 3)), ("enhancing", (3,)))
    assert model.saved.outputs == 3
    assert [one.name for one in trained.scores.summary.classes] == ["whole", "core", "enhancing"]
    assert {"dice", "iou", "hd95", "asd", "surface_dice", "volume_difference"} <= set(trained.scores.columns())
    report = (trained.run / "report.html").read_text("utf-8")
    assert "enhancing" in report
    assert "regions are stated" in report
    assert ulna.summary(trained.run).parameters > 0
    image = pictures / "images" / "p0_0.png"
    prediction = model.predict(image)
    assert set(np.unique(prediction.to_image().array)) <= {0, 1, 2, 4}
    assert model.probabilities(image).shape == (40, 44)
    assert len(model.probabilities(image).array) == 3
    assert prediction.overlay(np.asarray(Pillow.open(image)), legend=False).shape == (40, 44, 3)


def test_masks_in_files_have_the_scores_of_the_model(trained: Trained, pictures: Path, tmp_path: Path) -> None:
    done = predict(trained.run, pictures / "images", out=tmp_path / "masks", probabilities=True, overlay=True)
    assert done.complete
    per_region = tifffile.imread(tmp_path / "masks" / "probabilities" / "p0_0.tif")
    assert per_region.shape[0] == 3
    of_model = evaluate(trained.run, pictures, out=tmp_path / "one")
    stated = {"data.regions": REGIONS}
    of_files = evaluate(tmp_path / "masks", pictures, out=tmp_path / "two", changes=stated)
    assert of_files.rows == of_model.rows
    assert {row.subject for row in of_files.rows} == set(REGIONS)
    truth = evaluate(pictures / "masks", pictures, out=tmp_path / "same", changes=stated)
    assert {row.value for row in truth.rows if row.measure in ("dice", "surface_dice")} == {1}
    content = json.loads((tmp_path / "same" / "metrics.json").read_text("utf-8"))
    assert "Mask values make up regions: 'whole' is 1, 2, 4" in " ".join(content["notes"])


def test_check_and_plan_say_the_share_of_each_region(pictures: Path, tmp_path: Path) -> None:
    stated = {"data.regions": REGIONS}
    found = check(pictures, changes=stated, out=tmp_path)
    masks = np.stack([np.asarray(Pillow.open(path)) for path in sorted((pictures / "masks").iterdir())])
    assert found.facts["share of regions"] == ", ".join(
        f"{name} {np.isin(masks, values).mean():.1%}" for name, values in REGIONS.items()
    )
    assert json.loads((tmp_path / "check.json").read_text("utf-8"))["classes"]["regions"]["core"] == [1, 3]
    planned = plan(pictures, changes=stated | {"data.validation": 0}, epochs=1, out=tmp_path / "plan.yaml")
    (task,) = (one for one in planned.plan.decisions if one.key == "task.name")
    assert task.value == "regions"
    assert f"whole {(masks > 0).mean():.1%}" in task.reason
    assert "it learns whole, core, enhancing" in planned.plan.sentences[0]
    again = plan(pictures, config=tmp_path / "plan.yaml")
    assert again.plan.config == planned.plan.config
    semantic = plan(pictures, changes=stated | {"task.name": "semantic"}, epochs=1)
    assert semantic.plan.config.task.name == "semantic"
    assert "it learns core only, whole only, enhancing" in semantic.plan.sentences[0]
    with pytest.raises(ulna.UlnaError, match="not known which regions there are"):
        plan(pictures, changes={"task.name": "regions"}, epochs=1)


def test_regions_of_volumes_learned_slice_by_slice_from_a_few_slices(tmp_path: Path) -> None:
    """Three slices of each volume annotated, 9 where not: also the surfaces are scored in these."""
    for number in range(3):
        image, mask = tumor(number, (12, 24, 24))
        sparse = np.full_like(mask, 9)
        sparse[[2, 6, 9]] = mask[[2, 6, 9]]
        for part, array in (("imagesTr", image), ("labelsTr", sparse)):
            (tmp_path / "data" / part).mkdir(parents=True, exist_ok=True)
            affine = np.diag([1, 1, 6, 1])
            nibabel.save(nibabel.Nifti1Image(array.T, affine), tmp_path / "data" / part / f"p{number}.nii.gz")
    changes = SMALL | {"data.regions": REGIONS, "data.ignore": 9}
    trained = train(tmp_path / "data", tmp_path / "run", epochs=1, changes=changes)
    config = trained.model.config
    assert (config.network.ndim, config.data.slices, config.task.name) == (2, 0, "regions")
    table = trained.scores.columns()
    assert table["class"] == ["whole", "core", "enhancing"]
    assert all(
        tp + fp + fn + tn == 3 * 24 * 24
        for tp, fp, fn, tn in zip(*(table[k] for k in ("tp", "fp", "fn", "tn")), strict=True)
    )
    masks = predict(trained.run, tmp_path / "data" / "imagesTr", out=tmp_path / "masks").folder
    stated = {"data.regions": REGIONS, "data.ignore": 9}
    of_files = evaluate(masks, tmp_path / "data", out=tmp_path / "files", changes=stated)
    of_model = evaluate(trained.run, tmp_path / "data", out=tmp_path / "model", changes={"data.ignore": 9})
    assert of_files.rows == of_model.rows
    assert "hd95" in of_files.columns()


def test_regions_of_volumes_learned_whole_with_losses_at_several_levels(tmp_path: Path) -> None:
    for number in range(3):
        for part, array in zip(("imagesTr", "labelsTr"), tumor(number, (16, 20, 20)), strict=True):
            (tmp_path / "data" / part).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array.T, np.eye(4)), tmp_path / "data" / part / f"p{number}.nii.gz")
    (tmp_path / "data" / "dataset.json").write_text(json.dumps({"labels": {"background": 0, **REGIONS}}))
    sizes = {"network.ndim": 3, "training.patch": [16, 16, 16], "network.widths": [2, 4, 4, 4]}
    changes = SMALL | sizes | {"network.deep_supervision": True}
    trained = train(tmp_path / "data", tmp_path / "run", epochs=1, changes=changes)
    assert (trained.model.config.network.ndim, trained.model.config.task.name) == (3, "regions")
    assert trained.model.classes.names == ("background", "core only", "whole only", "enhancing")
    assert trained.scores.columns()["class"] == list(REGIONS)


def test_folds_of_regions_whose_classes_lie_in_files_of_their_own(tmp_path: Path) -> None:
    """What the files call the classes are no classes of the model any more: one region unites them."""
    for number in range(4):
        image, mask = tumor(number)
        for part, array in (("images", image), ("masks/edema", 255 * (mask == 2)), ("masks/core", 255 * (mask % 2))):
            (tmp_path / "data" / part).mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(array.astype(np.uint8)).save(tmp_path / "data" / part / f"p{number}.png")
    changes = SMALL | {"augmentation": None, "data.regions": {"whole": ["edema", "core"]}}
    trained = train(tmp_path / "data", tmp_path / "run", epochs=1, folds=2, changes=changes)
    assert trained.model.classes.names == ("background", "whole")
    assert {row.subject for row in trained.scores.rows} == {"whole"}
