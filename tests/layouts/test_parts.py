"""Ready-made splits: recognized from names at any depth, said, and kept to."""

from __future__ import annotations

from pathlib import Path

import pytest

from small_files import lay, pack
from ulna.dataset import Case
from ulna.layouts import read_dataset
from ulna.layouts.parts import across_parts, part_of, parts_of

DRIVE = ("{p}/images/{n}_{p}.png", "{p}/1st_manual/{n}_manual1.png")
READY = {
    "folders": (("train/images/{n}.png", "train/masks/{n}.png"), ("test/images/{n}.png", "test/masks/{n}.png")),
    "folders below": (("images/train/{n}.png", "masks/train/{n}.png"), ("images/test/{n}.png", "masks/test/{n}.png")),
    "decathlon": (("imagesTr/{n}.png", "labelsTr/{n}.png"), ("imagesTs/t{n}.png", "labelsTs/t{n}.png")),
    "drive": tuple(tuple(f.replace("{p}", p) for f in DRIVE) for p in ("training", "test")),
    "glas": (("train_{n}.png", "train_{n}_anno.png"), ("testA_{n}.png", "testA_{n}_anno.png")),
    "camvid": (("train/{n}.png", "trainannot/{n}.png"), ("test/t{n}.png", "testannot/t{n}.png")),
    "isic": (
        ("ISIC_Training_Input/I{n}.png", "ISIC_Training_GroundTruth/I{n}_segmentation.png"),
        ("ISIC_Test_Input/I{n}0.png", "ISIC_Test_GroundTruth/I{n}0_segmentation.png"),
    ),
    "deep": (
        ("a/b/training/p{n}/x{n}.png", "a/b/training/p{n}/x{n}_mask.png"),
        ("a/b/test/y{n}.png", "a/b/test/y{n}_mask.png"),
    ),
}


@pytest.mark.parametrize("name", [name for name in READY if name != "glas"])
@pytest.mark.parametrize("packed", [False, True])
def test_train_and_test_are_told_apart(tmp_path: Path, name: str, packed: bool) -> None:
    train, test = READY[name]
    files = [f.format(n=n) for n in range(1, 5) for f in train] + [f.format(n=n) for n in (1, 2) for f in test]
    place = lay(tmp_path / "d", *files)
    found = read_dataset(pack(place, tmp_path / "d.zip") if packed else place)
    assert sorted(case.part for case in found.cases) == ["test"] * 2 + ["train"] * 4
    images = {case.images[0]: case.part for case in found.cases}
    paths = {
        (source.inside or (source.path.relative_to(place).as_posix(),))[-1]: part for source, part in images.items()
    }
    assert {path for path, part in paths.items() if part == "test"} == {test[0].format(n=n) for n in (1, 2)}
    assert "a ready-made split: 4 for training, 2 for test, left out of training" in found.sentence


def test_validation_in_all_its_spellings(tmp_path: Path) -> None:
    for name in ("val", "valid", "validation", "dev", "Validation_Set"):
        place = lay(tmp_path / name, *(f"{p}/{k}/{p}.png" for p in ("train", name) for k in ("images", "masks")))
        assert [case.part for case in read_dataset(place).cases] in (["train", "validation"], ["validation", "train"])


def test_one_part_alone_is_no_split(tmp_path: Path) -> None:
    for name in ("train", "test"):
        place = lay(tmp_path, *(f"{name}/{k}/{n}.png" for n in "ab" for k in ("images", "masks")))
        found = read_dataset(place / name)
        assert [case.part for case in found.cases] == ["", ""]
        assert "split" not in found.sentence
    assert {case.part for case in read_dataset(place).cases} == {"train", "test"}


def test_cases_of_no_part_are_trained_on_and_said(tmp_path: Path) -> None:
    names = [f"{f}{k}/{n}.png" for f in ("train/", "test/", "more/") for k in ("images", "masks") for n in "ab"]
    found = read_dataset(lay(tmp_path, *names))
    assert [case.part for case in found.cases].count("train") == 4
    assert "4 for training (of these 2 in no part), 2 for test" in found.sentence


def test_validation_and_test_without_training_is_told(tmp_path: Path) -> None:
    found = read_dataset(lay(tmp_path, *(f"{p}/{k}/{p}.png" for p in ("val", "test") for k in ("images", "masks"))))
    assert [case.part for case in found.cases] == ["", ""]
    assert "none for training" in found.problems[0].what


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"),
        ("Training Set", "train"),
        ("imagesTr", "train"),
        ("b. Testing Set", "test"),
        ("labelsTs", "test"),
        ("ts", ""),
        ("train_val", "train"),
        ("traintest", ""),
        ("train_test", ""),
        ("contest", ""),
        ("MoNuSegTestData", "test"),
        ("valannot", "validation"),
        ("evaluation", "test"),
    ],
)
def test_names_of_parts(name: str, part: str) -> None:
    assert part_of(name) == part


def test_the_deepest_folder_decides_and_stems_only_if_all_name_a_part() -> None:
    assert parts_of([(("test_project", "train"), "test_1"), (("test_project",), "a")]) == ["train", "test"]
    assert parts_of([((), "train_1"), ((), "testA_2")]) == ["train", "test"]
    assert parts_of([((), "train_1"), ((), "testA_2"), ((), "x")]) == ["", "", ""]


def test_a_group_in_two_parts_is_a_leak() -> None:
    cases = [
        Case("a", (), group="p1", part="train"),
        Case("b", (), group="p1", part="test"),
        Case("c", (), part="test"),
    ]
    (problem,) = across_parts(cases)
    assert problem.where == ("a (train) and b (test)",)
    assert problem.what.startswith("1 group lies in several parts")
    assert across_parts(cases[1:]) == ()
