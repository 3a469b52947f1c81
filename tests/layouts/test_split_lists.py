"""Lists of names beside the images are a ready-made split, or it is said why they are not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from ulna.dataset import Dataset
from ulna.jobs.check import check
from ulna.layouts import read_dataset

NAMES = [f"2007_{number:06d}" for number in range(6)]


def voc(root: Path, lists: dict[str, list[str]], *, images: str = "JPEGImages/{}.jpg", mask: int = 255) -> Path:
    draw = np.random.default_rng(0)
    masks = "SegmentationClass/{}.png" if "JPEG" in images else "masks/{}.png"
    for name in NAMES:
        for place, array in (
            (images, draw.integers(0, 255, (16, 16), dtype=np.uint8)),
            (masks, np.pad(np.full((8, 8), mask, np.uint8), 4)),
        ):
            path = root / place.format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(array).save(path)
    for place, lines in lists.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text("\n".join(lines) + "\n")
    return root


def parts(found: Dataset) -> list[str]:
    return [case.part for case in found.cases]


def test_the_lists_of_pascal_voc_are_kept_to(tmp_path: Path) -> None:
    """Of the folders with lists, that which fits the masks; the list of both parts is none of its own."""
    where = "ImageSets/Segmentation"
    lists = {f"{where}/train.txt": NAMES[:4], f"{where}/val.txt": NAMES[4:], f"{where}/trainval.txt": NAMES}
    more = [f"2008_{number:06d}" for number in range(2)]
    lists |= {"ImageSets/Main/train.txt": [*NAMES[2:], *more], "ImageSets/Main/cat_train.txt": [f"{NAMES[5]} -1"]}
    found = read_dataset(voc(tmp_path, lists))
    assert parts(found) == ["train"] * 4 + ["validation"] * 2
    assert "parts by 'ImageSets/Segmentation/train.txt', 'ImageSets/Segmentation/val.txt'; a ready" in found.sentence
    assert found.problems == ()


@pytest.mark.parametrize(
    "line",
    ["{}", "{}.png", "images/{}.png", "./images/{}.png masks/{}.png", "/data/images/{}.png,masks/{}.png", '"{}"'],
)
@pytest.mark.parametrize("name", ["test.txt", "splits/test_ids.txt", "test_list.csv"])
def test_ways_to_name_cases(tmp_path: Path, line: str, name: str) -> None:
    lines = [line.format(one, one) for one in NAMES[4:]]
    found = read_dataset(voc(tmp_path, {name: lines}, images="images/{}.png"))
    assert parts(found) == ["train"] * 4 + ["test"] * 2
    assert found.problems == ()


def test_in_a_zip(tmp_path: Path) -> None:
    root = voc(tmp_path / "VOC", {"train.txt": NAMES[:4], "val.txt": NAMES[4:]})
    with zipfile.ZipFile(tmp_path / "voc.zip", "w") as archive:
        for path in root.rglob("*.*"):
            archive.write(path, path.relative_to(tmp_path))
    assert parts(read_dataset(tmp_path / "voc.zip")) == ["train"] * 4 + ["validation"] * 2


def test_what_contradicts_itself_or_fits_nothing_is_said(tmp_path: Path) -> None:
    lists = {"train.txt": [*NAMES[:4], "gone"], "test.txt": NAMES[3:]}
    found = read_dataset(voc(tmp_path / "twice", lists))
    assert parts(found) == ["train"] * 4 + ["test"] * 2
    strange, leak = sorted(found.problems, key=lambda problem: "leakage" in problem.what)
    assert leak.where == (NAMES[3],)
    assert "1 case is in several lists of the ready-made split (data leakage)" in leak.what
    assert strange.where == ("train.txt: gone",)
    for lines, why in ((["a", "b"], "not those of images"), (NAMES[:3], "none for validation or test")):
        found = read_dataset(voc(tmp_path / why, {"train.txt": lines}))
        assert parts(found) == [""] * 6
        (problem,) = found.problems
        assert (problem.severity, problem.where) == ("note", ("train.txt",))
        assert why in problem.what
    (voc(tmp_path / "notes", {"readme.txt": NAMES}) / "val.txt").write_bytes(b"")
    assert "not those of images" in read_dataset(tmp_path / "notes").problems[0].what


def test_folders_come_before_lists(tmp_path: Path) -> None:
    root = voc(tmp_path, {"test.txt": NAMES[:2]}, images="images/{}.png")
    for side in ("images", "masks"):
        for number, name in enumerate(NAMES):
            part = root / side / ("train" if number < 4 else "val")
            part.mkdir(exist_ok=True)
            (root / side / f"{name}.png").rename(part / f"{name}.png")
    found = read_dataset(root)
    assert parts(found) == ["train"] * 4 + ["validation"] * 2
    assert "folders or files name the parts" in found.problems[-1].what


def test_a_class_that_no_mask_for_training_shows_is_said(tmp_path: Path) -> None:
    root = voc(tmp_path, {"val.txt": NAMES[4:]}, images="images/{}.png", mask=1)
    with Pillow.open(root / "masks" / f"{NAMES[5]}.png") as picture:
        mask = np.array(picture)
    mask[4:8, 4:8] = 2
    Pillow.fromarray(mask).save(root / "masks" / f"{NAMES[5]}.png")
    config = {"data.classes": ["background", "a", "b"], "data.values": [[0], [1], [2]]}
    (problem,) = [one for one in check(root, changes=config).problems if "training part" in one.what]
    assert problem.where == (NAMES[5],)
    assert "no mask of the training part shows 'b', which is in 1 mask of the others" in problem.what
