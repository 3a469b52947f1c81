"""`dataset.json` of the Decathlon and of nnU-Net."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile

from ulna.dataset import load_image
from ulna.jobs.check import check
from ulna.layouts import read_dataset
from ulna.layouts.described import NAME

DECATHLON = {"0": "background", "1": "Anterior", "2": "Posterior"}
NNUNET = {"background": 0, "Posterior": 2, "Anterior": 1, "ignore": 3}


def place(root: Path, content: Any, top: int = 2) -> Path:
    draw = np.random.default_rng(0)
    for k in range(10):
        for folder, array in (
            ("imagesTr", draw.integers(0, 255, (3, 8, 9))),
            ("labelsTr", draw.integers(0, top + 1, (3, 8, 9))),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / folder / f"c{k}.tif", array.astype(np.uint8), photometric="minisblack")
    (root / "dataset.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return root


@pytest.mark.parametrize(("labels", "top"), [(DECATHLON, 2), (NNUNET, 3)])
def test_names_of_classes(tmp_path: Path, labels: dict[str, Any], top: int) -> None:
    found = check(place(tmp_path, {"labels": labels}, top))
    assert (
        "dataset.json says that 0 is 'background', 1 is 'Anterior', 2 is 'Posterior'"
        in found.dataset.sentence.replace("2 is 'Posterior', 1 is 'Anterior'", "1 is 'Anterior', 2 is 'Posterior'")
    )
    assert set(found.classes.names) == {"background", "Anterior", "Posterior"}
    values = dict(zip(found.classes.names, found.classes.values, strict=True))
    assert (values["Anterior"], values["Posterior"]) == ((1,), (2,))
    assert found.classes.ignore == ((3,) if top == 3 else ())


def test_a_value_that_is_not_named_is_fatal(tmp_path: Path) -> None:
    found = check(place(tmp_path, {"labels": DECATHLON}, 4))
    (problem,) = [problem for problem in found.problems if problem.severity == "fatal"]
    assert "dataset.json does not know are in 10 masks" in problem.what
    assert "c0: the mask holds 3, 4" in problem.where[0]


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[1]",
        {"name": "x"},
        {"labels": {"1": "a", "2": "b"}},
        {"labels": {"a": 0, "b": 0}},
        {"labels": {"a": 0, "b": []}},
        {"labels": {"a": 0, "b": [1, 2], "c": 2}, "regions_class_order": [1]},
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, content: Any) -> None:
    found = read_dataset(place(tmp_path, content))
    assert any("dataset.json is not used" in problem.what for problem in found.problems)
    assert found.cases[0].values == ()


REGIONS = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing": 3, "ignore": 4}


def test_regions_are_handed_on_beside_a_class_for_each_value(tmp_path: Path) -> None:
    found = check(place(tmp_path, {"labels": REGIONS, "regions_class_order": [1, 2, 3]}, 4))
    case = found.dataset.cases[0]
    assert case.regions == (("whole tumor", (1, 2, 3)), ("tumor core", (2, 3)), ("enhancing", (3,)))
    assert (case.values[0], case.values[-1], case.ignored) == (("background", 0), ("enhancing", 3), (4,))
    assert found.classes.values == ((0,), (1,), (2,), (3,))
    assert found.classes.ignore == (4,)
    assert found.classes.names == ("background", "whole tumor only", "tumor core only", "enhancing")
    assert found.classes.regions == (("whole tumor", (1, 2, 3)), ("tumor core", (2, 3)), ("enhancing", (3,)))
    assert "it names the regions 'whole tumor' (1, 2, 3), 'tumor core' (2, 3)" in found.dataset.sentence
    assert not found.fatal


@pytest.mark.parametrize("key", ["modality", "channel_names"])
def test_a_fourth_axis_holds_the_channels_that_are_named(tmp_path: Path, key: str) -> None:
    names = {"0": "FLAIR", "1": "T1w", "2": "T1gd", "3": "T2w"}
    root = volumes(tmp_path, lambda k: draw(k, 4))
    assert any("taken for channels" in problem.what for problem in read_dataset(root).problems)
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "tumor": 1}, key: names}))
    found = read_dataset(root)
    assert not any("taken for channels" in problem.what or problem.what.endswith(": ") for problem in found.problems)
    image = load_image(found.cases[0])
    assert [channel.name for channel in image.channels] == list(names.values())
    assert image.array.shape == (4, 5, 6, 7)


def test_files_of_nnunet_are_the_channels_that_are_named(tmp_path: Path) -> None:
    for k in range(3):
        for folder, names in (("imagesTr", (f"c{k}_0000", f"c{k}_0001")), ("labelsTr", (f"c{k}",))):
            (tmp_path / folder).mkdir(exist_ok=True)
            for name in names:
                save(tmp_path / folder / f"{name}.nii.gz", draw(k, 1)[..., 0] % 2)
    content = {"labels": {"background": 0, "a": 1}, "channel_names": {"0": "CT", "1": "PET"}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    found = read_dataset(tmp_path)
    assert [len(case.images) for case in found.cases] == [2, 2, 2]
    assert [channel.name for channel in load_image(found.cases[1]).channels] == ["CT", "PET"]
    assert "the channels are CT, PET" in found.sentence


def test_files_that_are_listed_and_missing_are_named(tmp_path: Path) -> None:
    root = place(tmp_path, {"labels": DECATHLON})
    files = [{"image": "./imagesTr/c0.tif", "label": "./labelsTr/c0.tif"}, {"image": "./imagesTr/c99.tif"}]
    (root / "dataset.json").write_text(json.dumps({"labels": DECATHLON, "training": files}))
    (problem,) = [problem for problem in read_dataset(root).problems if "lists" in problem.what]
    assert problem.where == ("imagesTr/c99.tif",)


def volumes(root: Path, array: Callable[[int], np.ndarray]) -> Path:
    for k in range(3):
        for folder in ("imagesTr", "labelsTr"):
            (root / folder).mkdir(exist_ok=True)
        save(root / "imagesTr" / f"c{k}.nii.gz", array(k))
        save(root / "labelsTr" / f"c{k}.nii.gz", draw(k, 1)[..., 0] % 2)
    return root


def draw(seed: int, channels: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 99, (7, 6, 5, channels)).astype(np.uint8)


def save(path: Path, array: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1, 1, 2, 1])), path)


def test_labels_that_are_listed_for_images_of_other_names_are_said(tmp_path: Path) -> None:
    root = place(tmp_path, {"labels": DECATHLON})
    listed = [("c0", "c1"), ("c1", "c0"), ("c2", "c2")]
    files = [{"image": f"./imagesTr/{image}.tif", "label": f"./labelsTr/{label}.tif"} for image, label in listed]
    (root / "dataset.json").write_text(json.dumps({"labels": DECATHLON, "training": files}))
    (problem,) = [one for one in read_dataset(root).problems if "another label" in one.what]
    assert problem.what.startswith("dataset.json lists 2 images with another label than that of the same name")
    assert problem.where[0] == "imagesTr/c0.tif: labelsTr/c1.tif, and not labelsTr/c0.tif"
    assert problem.severity == "warning"


@pytest.mark.parametrize(
    ("counted", "listed", "said"),
    [
        (10, 10, None),
        (12, 10, "dataset.json says 12 cases for training (numTraining), it lists 10; the 10 that are there are used"),
        (
            12,
            None,
            "dataset.json says 12 cases for training (numTraining), there are 10; the 10 that are there are used",
        ),
        (10, None, None),
        (None, 10, None),
    ],
)
def test_a_number_of_cases_that_is_not_theirs_is_said(
    tmp_path: Path, counted: int | None, listed: int | None, said: str | None
) -> None:
    files = [{"image": f"./imagesTr/c{k}.tif", "label": f"./labelsTr/c{k}.tif"} for k in range(listed or 0)]
    content = {"labels": DECATHLON, "numTraining": counted, **({"training": files} if listed else {})}
    found = [one for one in read_dataset(place(tmp_path, content)).problems if NAME in one.what]
    assert [one.what for one in found] == ([said] if said else [])
    assert all(one.severity == "note" for one in found)


def test_images_that_are_not_listed_are_used_and_said(tmp_path: Path) -> None:
    files = [{"image": f"./imagesTr/c{k}.tif", "label": f"./labelsTr/c{k}.tif"} for k in range(8)]
    found = read_dataset(place(tmp_path, {"labels": DECATHLON, "numTraining": 8, "training": files}))
    (problem,) = [one for one in found.problems if NAME in one.what]
    assert problem.what == "dataset.json leaves out 2 images with labels, which are used, too"
    assert problem.where == ("imagesTr/c8.tif", "imagesTr/c9.tif")
    assert len(found.cases) == 10


def test_several_that_differ_are_fatal(tmp_path: Path) -> None:
    for name, organ in (("Task03", "liver"), ("Task09", "spleen")):
        place(tmp_path / name, {"labels": {"0": "background", "1": organ}}, 1)
    found = read_dataset(tmp_path)
    (problem,) = [one for one in found.problems if one.severity == "fatal"]
    assert problem.what == "2 files dataset.json say different things: name the folder of one data set"
    assert len(problem.where) == 2


def test_another_file_of_the_name_that_says_nothing_of_labels_is_left_alone(tmp_path: Path) -> None:
    place(tmp_path, {"labels": DECATHLON})
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "dataset.json").write_text('{"images": []}')
    found = read_dataset(tmp_path)
    assert "dataset.json says that 0 is 'background'" in found.sentence
    assert not [one for one in found.problems if one.severity == "fatal"]


def test_another_number_of_channels_than_is_named_is_said_and_no_other_doubt_is_lost(tmp_path: Path) -> None:
    root = volumes(tmp_path, lambda k: draw(k, 4))
    for path in root.rglob("*.nii.gz"):  # they say no place either
        image = nibabel.load(path)
        made = nibabel.Nifti1Image(np.asarray(image.dataobj), None, image.header)
        made.header["sform_code"] = made.header["qform_code"] = 0
        nibabel.save(made, path)
    said = {"labels": {"background": 0, "tumor": 1}}
    for names in ({"0": "T1", "1": "T2"}, {str(k): f"c{k}" for k in range(4)}):
        (root / "dataset.json").write_text(json.dumps(said | {"channel_names": names}))
        problems = [problem.what for problem in read_dataset(root).problems]
        assert any("does not say where it lies" in what for what in problems)
        assert any("names 2 channels (T1, T2), which are not used" in what for what in problems) == (len(names) == 2)
        assert any("taken for channels" in what for what in problems) == (len(names) == 2)
