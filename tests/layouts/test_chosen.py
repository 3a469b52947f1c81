"""Several folders of labels, of which one is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.jobs.check import check
from ulna.layouts import Patterns, find, read_dataset


def place(root: Path, *folders: str, names: int = 10) -> Path:
    """Volumes in `imagesTr`, and labels 0 and 1, or 0, 1 and 4, in folders."""
    draw = np.random.default_rng(0)
    for k in range(names):
        for folder in ("imagesTr", *folders):
            high = 99 if folder == "imagesTr" else 2
            array = draw.integers(0, high, (3, 8, 9)).astype(np.uint8)
            if "scribbles" in folder:
                array[draw.random(array.shape) > 0.2] = 4
            (root / folder).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / folder / f"c{k}.tif", array, photometric="minisblack")
    return root


def test_the_folder_that_is_not_used_is_named_and_is_no_image(tmp_path: Path) -> None:
    root = place(tmp_path, "labelsTr", "scribblesTr")
    found = read_dataset(root)
    assert len(found.cases) == 10
    assert {case.truth[0].path.parent.name for case in found.cases} == {"labelsTr"}
    (problem,) = [problem for problem in found.problems if "scribblesTr" in problem.what]
    assert "(10 left out): the masks in 'labelsTr' are" in problem.what
    assert "--set data.labels=scribblesTr takes them" in problem.what
    assert len(find(root).cases) == 10


def test_the_folder_that_is_stated_is_used(tmp_path: Path) -> None:
    root = place(tmp_path, "labelsTr", "scribblesTr")
    found = check(root, changes={"data.labels": "scribblesTr", "data.ignore": 4})
    assert not found.fatal
    assert {case.truth[0].path.parent.name for case in found.dataset.cases} == {"scribblesTr"}
    assert found.classes.ignore == (4,)
    assert "with their masks in 'scribblesTr', as data.labels says" in found.dataset.sentence
    assert any("no file in 'labelsTr' is used" in problem.what for problem in found.problems)
    assert "not annotated" in found.facts


def test_two_folders_named_after_masks(tmp_path: Path) -> None:
    root = place(tmp_path, "labelsTr", "labelsTr_second")
    assert any("10 masks are left out" in problem.what for problem in read_dataset(root).problems)
    found = read_dataset(root, Patterns(labels="labelsTr_second"))
    assert {case.truth[0].path.parent.name for case in found.cases} == {"labelsTr_second"}


def test_a_path_and_a_folder_without_a_name_for_masks(tmp_path: Path) -> None:
    place(tmp_path / "set", "drawn")
    found = read_dataset(tmp_path, Patterns(labels="set/drawn"))
    assert len(found.cases) == 10
    assert len(find(tmp_path, patterns=Patterns(labels="drawn")).cases) == 10


def test_folders_that_are_not_there_or_fit_nothing_are_errors(tmp_path: Path) -> None:
    root = place(tmp_path, "labelsTr", "scribblesTr")
    with pytest.raises(UlnaError, match="no image file lies in a folder 'scribbles'") as error:
        read_dataset(root, Patterns(labels="scribbles"))
    assert "'imagesTr', 'labelsTr', 'scribblesTr'" in str(error.value)
    (root / "other").mkdir()
    tifffile.imwrite(root / "other" / "z.tif", np.zeros((3, 8, 9), np.uint8), photometric="minisblack")
    with pytest.raises(UlnaError, match="no image has the name of a file in 'other'"):
        read_dataset(root, Patterns(labels="other"))


def test_the_scribbles_of_real_hearts(data: Path) -> None:
    place = data / "acdc" / "acdc_train.tar.xz"
    found = read_dataset(place, Patterns(labels="scribblesTr"))
    assert len(found.cases) == 50
    assert found.cases[0].values == (("background", 0), ("RV", 1), ("MYO", 2), ("LV", 3))
    assert any("'Task_ACDC/labelsTr' is used (50 left out)" in problem.what for problem in found.problems)


@pytest.mark.parametrize("value", [4, "4..7", [4], (4,)])
def test_one_value_to_ignore_needs_no_list(value: object) -> None:
    assert len(DataConfig(ignore=value).ignore) == 1  # type: ignore[arg-type]
