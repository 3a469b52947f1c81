"""Intel's presets on a small data set like BraTS in the Medical Segmentation Decathlon: 4D images, four labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scipy import ndimage

import ulna
from ulna.errors import UlnaError
from ulna.image import Array

NAMES = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
SMALL = {"network.widths": [2, 2, 4, 4, 4], "training.steps": 2, "training.batch_size": 2}


def brain(seed: int) -> tuple[Array, Array]:
    """Four channels (X, Y, Z, 4), the tumor bright in the first alone, and its parts 1 to 3."""
    draw = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(draw.normal(size=(32, 32, 10)), 5)
    field /= field.max()
    labels = np.digitize(field, (0.5, 0.7, 0.85)).astype(np.uint8)
    image = draw.normal(100, 10, (32, 32, 10, 4)).astype(np.float32)
    image[..., 0] += 150 * (labels > 0)
    return image, labels


def write(root: Path, *, channels: int = 4, extra: int = 0, names: bool = True) -> Path:
    for part in ("imagesTr", "labelsTr"):
        (root / part).mkdir(parents=True)
    for case in range(3):
        image, labels = brain(case)
        labels[0, 0, 0] = extra
        image = image[..., 0] if channels == 1 else image[..., :channels]
        name = f"BRATS_{case:03d}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), root / "imagesTr" / name)
        nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), root / "labelsTr" / name)
    words: dict[str, Any] = {
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumor"}
        | ({str(extra): "more"} if extra else {}),
        "training": [
            {"image": f"./imagesTr/BRATS_{k:03d}.nii.gz", "label": f"./labelsTr/BRATS_{k:03d}.nii.gz"} for k in range(3)
        ],
    }
    words |= {"modality": NAMES} if names else {}
    (root / "dataset.json").write_text(json.dumps(words))
    return root


@pytest.fixture(scope="module")
def brats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "Task01")


@pytest.mark.parametrize(("name", "patch"), [("intel-2d", [32, 32]), ("intel_3d", [16, 16, 16])])
def test_they_train_on_flair_alone_and_predict_whole_tumors(
    name: str, patch: list[int], brats: Path, tmp_path: Path
) -> None:
    run = ulna.train(brats, tmp_path / "run", preset=name, epochs=1, changes=SMALL | {"training.patch": patch}).run
    model = ulna.load(run)
    assert (model.channels, model.config.data.inputs) == (4, 1)
    assert model.classes.names == ("background", "whole tumor")
    assert model.config.preset == name.replace("_", "-")
    words = json.loads((run / "run.json").read_text())
    assert any("4 channels (FLAIR, T1w, t1gd, T2w) it uses FLAIR" in sentence for sentence in words["plan"])
    case = brats / "imagesTr" / "BRATS_000.nii.gz"
    done = ulna.predict(run, case, out=tmp_path / "masks")
    mask = done.masks[0]
    (note,) = [note for note in done.notes if "is called" in note]  # the file itself names none
    assert note.endswith("none of its channels is called 'flair' or 't2f': channel 0 is used for it")
    read = nibabel.load(mask)
    assert read.shape == (32, 32, 10)
    alone = ulna.Image(np.ascontiguousarray(np.asarray(nibabel.load(case).dataobj).T))  # (4, Z, Y, X)
    noisy = alone.with_array(np.concatenate([alone.array[:1], 0 * alone.array[1:]]))
    first, second, third = (model.predict(one).array for one in (alone, noisy, alone.with_array(alone.array[:1])))
    assert np.array_equal(first, second)  # the other channels have no part in it
    assert np.array_equal(first, third)  # nor need they be there


def test_check_says_which_channels_are_used(brats: Path) -> None:
    found = ulna.check(brats, changes={"data.use_channels": ["flair|0"]})
    (note,) = [problem for problem in found.problems if "are used" in problem.what]
    assert note.what == "of the channels FLAIR, T1w, t1gd, T2w are used: FLAIR"
    assert (note.severity, len(note.where)) == ("note", 3)
    missing = ulna.check(brats, changes={"data.use_channels": ["t2f"]})
    assert missing.fatal
    assert missing.problems[0].what.startswith(
        "data.use_channels: the image has no channel 't2f': it has 4 channels, FLAIR, T1w, t1gd, T2w. Name the channels"
    )


def test_check_says_that_a_number_chose_the_channel(tmp_path: Path) -> None:
    data = write(tmp_path / "data", names=False)
    found = ulna.check(data, changes={"data.use_channels": ["flair|t2f|0"]})
    (problem,) = [problem for problem in found.problems if "are used" in problem.what]
    assert problem.what.endswith("none of its channels is called 'flair' or 't2f': channel 0 is used for it")
    assert problem.severity == "warning"  # which one it is, no one has said
    by_number = ulna.check(data, changes={"data.use_channels": [0]})
    assert [one.severity for one in by_number.problems if "are used" in one.what] == ["note"]


def test_a_single_channel_is_taken_for_flair(tmp_path: Path) -> None:
    data = write(tmp_path / "data", channels=1, names=False)
    checked = ulna.check(data, changes={"data.use_channels": ["flair|t2f|0"]})
    (note,) = [one for one in checked.problems if "is called" in one.what]
    assert note.what == "none of its channels is called 'flair' or 't2f': channel 0 (gray) is used for it"
    assert note.severity == "note"
    found = ulna.plan(data, preset="intel-2d", changes={"training.patch": [32, 32]}).plan
    assert (found.config.data.channels, found.config.data.inputs) == (1, 1)
    assert found.config.training.batch_size == 128


@pytest.mark.parametrize(
    ("words", "changes", "says"),
    [
        ({"extra": 9}, {}, "9"),
        ({}, {"data.use_channels": [4]}, "the image has no channel '4'"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    words: dict[str, int], changes: dict[str, object], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data", **words)  # type: ignore[arg-type]
    with pytest.raises(UlnaError) as caught:
        ulna.train(data, tmp_path / "run", preset="intel-3d", changes=changes)
    assert "'ulna check DATA --out FOLDER' writes all names" in str(caught.value)
    shown = " ".join((str(caught.value) + capsys.readouterr().err).split())
    assert says in shown
    assert "data.values" in shown or "--set data.use_channels=[0]" in shown


def test_a_folder_with_one_file_per_modality_is_predicted_as_it_was_trained_on(tmp_path: Path) -> None:
    for case in range(3):
        image, labels = brain(case)
        for part, endings in (("train", ("flair", "t1", "t1ce", "t2", "seg")), ("new", ("flair", "t1", "t1ce", "t2"))):
            folder = tmp_path / part / f"Brats_{case}"
            folder.mkdir(parents=True)
            for k, ending in enumerate(endings):
                array = labels if ending == "seg" else np.ascontiguousarray(image[..., k])
                nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / f"Brats_{case}_{ending}.nii.gz")
    changes = SMALL | {"network.widths": [2, 2], "network.ndim": 3, "training.patch": [16, 16, 8]}
    model = ulna.load(ulna.train(tmp_path / "train", tmp_path / "run", epochs=1, changes=changes).run)
    done = [ulna.predict(model, tmp_path / part, out=tmp_path / f"masks of {part}") for part in ("train", "new")]
    assert [one.complete for one in done] == [True, True]
    assert [path.name for path in done[1].masks] == [f"Brats_{case}.nii.gz" for case in range(3)]
    for one, other in zip(*(one.masks for one in done), strict=True):
        assert one.read_bytes() == other.read_bytes()
    (alone,) = ulna.predict(model, tmp_path / "new" / "Brats_1", out=tmp_path / "one").masks
    assert alone.read_bytes() == done[1].masks[1].read_bytes()
