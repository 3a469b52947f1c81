"""Data sets as people have them, and what is said when there is none."""

from __future__ import annotations

import io
import os
import shutil
import unicodedata
import zipfile
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from small_files import IMAGE, MASK, RNG, lay, pack, told
from ulna import formats
from ulna.dataset import load_image, planes_of
from ulna.errors import UlnaError
from ulna.image import Image, Source
from ulna.jobs.check import check
from ulna.jobs.evaluate import evaluate
from ulna.layouts import by_content, find_cases, find_images, read_dataset
from ulna.truth import load_truth

PAIRS = [
    ("images/a.png", "masks/a.png"),
    ("Image/a.png", "Labels/a.png"),
    ("imgs/a.png", "masks/a_mask.png"),
    ("raw/a.png", "labels/a-labels.png"),
    ("input/a.png", "target/a_gt.png"),
    ("img/a.png", "gt/a.png"),
    ("images/a.png", "Ground Truth/a_seg.png"),
    ("x/a.png", "y/a.png"),
    ("imagesTr/a.png", "labelsTr/a.png"),
    ("imagesTr/a_0000.png", "labelsTr/a.png"),
    ("images/img_001.png", "masks/mask_001.png"),
    ("images/img001.png", "masks/mask001.png"),
    ("images/image_1.png", "masks/image_1_segmentation.png"),
    ("train/images/a.png", "train/masks/a.png"),
    ("images/train/a.png", "masks/train/a.png"),
    ("train_images/a.png", "train_masks/a.png"),
    ("data/set 1/images/a.png", "data/set 1/label/A.PNG"),
    ("a.png", "a_mask.png"),
    ("a.png", "a_label.png"),
    ("a.png", "a-labels.png"),
    ("a.png", "a_seg.png"),
    ("a.png", "a_groundtruth.png"),
    ("img_1.png", "mask_1.png"),
    ("deep/er/a.png", "deep/er/a_masks.png"),
    ("train/a.png", "train_masks/a_mask.png"),
    ("a.png", "masks/a.png"),
    ("xrays/a.png", "masks/a.png"),
    ("xrays/p1/a.png", "masks/p1/a.png"),
    ("data/a.png", "masks/a.png"),
    ("CXR_png/CHNCXR_0001_0.png", "masks/CHNCXR_0001_0_mask.png"),
    ("VOC2012/JPEGImages/2007_000032.png", "VOC2012/SegmentationClass/2007_000032.png"),
    ("original/a.png", "vessel_masks/a.png"),
    (
        "ISIC2018_Task1-2_Training_Input/ISIC_0000000.png",
        "ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png",
    ),
    ("training/images/21_training.png", "training/1st_manual/21_manual1.png"),
    ("images/01_h.png", "manual1/01_h.png"),
    ("images/img_1.png", "masks/img_001.png"),
    ("img/patient1.png", "ann/patient1.png"),
    ("images/Schnitt \u00e4.png", "masks/Schnitt a\u0308.png"),
    ("images/train_1.png", "masks/train_1_anno.png"),
    ("train/1.png", "trainannot/1.png"),
    ("CVC-ClinicDB/Original/1.png", "CVC-ClinicDB/Ground Truth/1.png"),
    ("Kvasir-SEG/images/x.png", "Kvasir-SEG/masks/x.png"),
    ("Tissue Images/a.png", "Annotations/a.png"),
]


@pytest.mark.parametrize(("image", "mask"), PAIRS)
@pytest.mark.parametrize("packed", [False, True])
def test_an_image_and_its_mask_find_each_other(tmp_path: Path, image: str, mask: str, packed: bool) -> None:
    place = lay(tmp_path / "data", image, mask)
    found = read_dataset(pack(place, tmp_path / "data.zip") if packed else place)
    assert list(told(found).values()) == [[Path(image).name, Path(mask).name]]
    assert not found.problems
    assert found.sentence.startswith("1 ")


def test_what_is_left_over_is_a_problem_and_no_error(tmp_path: Path) -> None:
    found = read_dataset(lay(tmp_path, "images/a.png", "images/b.png", "masks/a.png", "masks/c.png"))
    assert list(told(found)) == ["a"]
    assert [(problem.what, problem.where) for problem in found.problems] == [
        ("1 mask belongs to no image", ("masks/c.png",)),
        ("1 image has no mask and is left out", ("b",)),
    ]


def drive(part: str, *numbers: int) -> list[str]:
    kinds = ("images/{}_{}.png", "1st_manual/{}_manual1.png", "mask/{}_{}_mask.png")
    return [f"{part}/{kind.format(number, part)}" for number in numbers for kind in kinds]


def test_the_field_of_view_is_no_annotation(tmp_path: Path) -> None:
    found = read_dataset(lay(tmp_path, *drive("training", 21, 22), *drive("test", 1)))
    assert told(found) == {
        "1_test": ["1_test.png", "1_manual1.png"],
        "21_training": ["21_training.png", "21_manual1.png"],
        "22_training": ["22_training.png", "22_manual1.png"],
    }
    assert found.sentence.startswith("3 images in 'images' with their masks in '1st_manual'; a ready-made split: 2 for")
    (problem,) = found.problems
    assert problem.what.startswith("no mask in 'mask' is used (3 left out): the masks in '1st_manual' are. ")
    assert (len(problem.where), problem.severity) == (3, "warning")


def test_where_none_was_drawn_by_hand_the_field_of_view_of_the_others_is_none_either(tmp_path: Path) -> None:
    test = [name for name in drive("test", 1, 2) if "manual" not in name]
    found = read_dataset(lay(tmp_path, *drive("training", 21, 22), *test))
    assert list(told(found)) == ["21_training", "22_training"]
    assert found.problems[-1].where == ("1_test", "2_test")


def test_a_folder_of_other_things_named_manual(tmp_path: Path) -> None:
    found = read_dataset(lay(tmp_path, "images/a.png", "masks/a.png", "manual/page1.png"))
    assert told(found) == {"a": ["a.png", "a.png"]}
    what = "no mask in 'manual' is used (1 left out): the masks in 'masks' are. --set data.labels=manual takes these"
    assert found.problems[0].what == what


def test_parts_in_folders_of_long_names(tmp_path: Path) -> None:
    parts = ("Training", "Validation")
    images = [f"ISIC2018_Task1-2_{part}_Input/ISIC_{k}.png" for part in (*parts, "Test") for k in range(2)]
    masks = [f"ISIC2018_Task1_{part}_GroundTruth/ISIC_{k}_segmentation.png" for part in parts for k in range(2)]
    found = read_dataset(lay(tmp_path, *images, *masks))
    assert len(found.cases) == 4
    for case in found.cases:
        part = case.images[0].path.parent.name.replace("-2", "").removesuffix("Input")
        assert case.truth[0].path.parent.name == f"{part}GroundTruth"
        assert case.truth[0].name == f"{case.images[0].stem}_segmentation.png"
    assert len(found.problems[0].where) == 2


@pytest.mark.parametrize(
    "names",
    [
        ("xrays/a.png", "masks/b.png"),
        ("xrays/a.png", "sketches/a.png", "masks/a.png"),
    ],
)
def test_nothing_is_joined_where_it_is_not_plain_what_belongs_together(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(UlnaError, match="no images with masks were recognized"):
        read_dataset(lay(tmp_path, *names))


def test_images_in_a_folder_that_no_layout_asks_for_are_named_and_predicted(tmp_path: Path) -> None:
    place = lay(tmp_path, "images/a.png", "masks/a.png", "new/a.png", "new/b.png", "a.png")
    found = read_dataset(place)
    assert list(told(found)) == ["a"]
    assert [(problem.what, problem.where) for problem in found.problems] == [
        ("3 images have no mask and are left out", ("a.png", "new/a", "new/b"))
    ]
    assert [case.name for case in find_cases(place)] == ["a", "a.png", "new/a", "new/b"]


def test_names_are_sorted_as_people_count(tmp_path: Path) -> None:
    found = read_dataset(lay(tmp_path, *(f"{folder}/s{n}.png" for n in (10, 9, 100) for folder in ("images", "masks"))))
    assert list(told(found)) == ["s9", "s10", "s100"]


def test_names_that_repeat_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    places = [f"{part}/{kind}/a.png" for part in ("train", "val") for kind in ("images", "masks")]
    found = read_dataset(lay(tmp_path, *places))
    assert list(told(found)) == ["train/images/a", "val/images/a"]
    assert len({case.group for case in found.cases}) == 2


def test_a_folder_is_a_patient_and_a_part_of_the_data_is_none(tmp_path: Path) -> None:
    patients = [f"train/p{p}/{n}{suffix}.png" for p in (1, 2) for n in "ab" for suffix in ("", "_mask")]
    found = read_dataset(lay(tmp_path / "one", *patients))
    assert [case.group for case in found.cases] == ["p1", "p1", "p2", "p2"]
    kinds = [
        f"{kind}/{kind} ({n}){suffix}.png" for kind in ("benign", "normal") for n in "12" for suffix in ("", "_mask")
    ]
    found = read_dataset(lay(tmp_path / "two", *kinds))
    assert len({case.group for case in found.cases}) == 4


def test_hidden_files_and_other_files_are_ignored(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.png", "masks/a.png", "images/.a.png", "__MACOSX/images/._a.png", ".git/images/b.png")
    (tmp_path / "images" / "Thumbs.db").write_text("")
    (tmp_path / "README.md").write_text("")
    (tmp_path / "labels.csv").write_text("")
    found = read_dataset(tmp_path)
    assert list(told(found)) == ["a"]
    assert not found.problems


def test_a_link_that_leads_back_is_no_endless_walk(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "images" / "back").symlink_to(tmp_path, target_is_directory=True)
    assert list(told(read_dataset(tmp_path))) == ["a"]


def test_modalities_are_images_of_one_case(tmp_path: Path) -> None:
    lay(tmp_path, "imagesTr/a_0000.png", "imagesTr/a_0001.png", "labelsTr/a.png")
    assert told(read_dataset(tmp_path)) == {"a": ["a_0000.png", "a_0001.png", "a.png"]}


def test_modalities_without_masks_are_joined_as_those_with(tmp_path: Path) -> None:
    pair = ("imagesTr/a_0000.png", "imagesTr/a_0001.png", "labelsTr/a.png")
    place = lay(tmp_path, *pair, "imagesTs/b_0000.png", "imagesTs/b_0001.png")
    assert [(case.name, len(case.images)) for case in find_cases(place)] == [("a", 2), ("b", 2)]
    assert read_dataset(place).problems[0].where == ("b",)


def test_modalities_are_joined_where_that_makes_the_channels(tmp_path: Path) -> None:
    names = [f"{case}_{k:04d}" for case in "ab" for k in range(2)]
    place = lay(tmp_path, *(f"{name}.png" for name in names), "c.png")
    assert [(case.name, len(case.images)) for case in find_cases(place, channels=6)] == [("a", 2), ("b", 2), ("c", 1)]
    pattern = str(place / "*_*.png")
    assert [case.name for case in find_cases(pattern, channels=6)] == ["a", "b"]
    for channels in (0, 1, 2, 3):  # these are six together
        assert [case.name for case in find_cases(place, channels=channels)] == [*names, "c"]


def test_a_film_beside_modalities_stays_a_film(tmp_path: Path) -> None:
    names = ["a_0000", "a_0001", *(f"film_{k:04d}" for k in range(7))]
    place = lay(tmp_path, *(f"{name}.png" for name in names))
    assert [case.name for case in find_cases(place, channels=6)] == ["a", *names[2:]]


def test_stacks_of_modalities_are_one_stack(tmp_path: Path) -> None:
    for k in range(2):
        stack(tmp_path / f"a_{k:04d}.tif", 3)
    cases = find_cases(tmp_path, channels=2)
    assert [case.name for case in cases] == ["a"]
    assert load_image(cases[0]).array.shape[:2] == (2, 3)


def test_two_masks_for_one_image_join_nothing(tmp_path: Path) -> None:
    lay(tmp_path, "a.png", "a_mask.png", "b.png", "b_mask.png", "b_seg.png")
    found = read_dataset(tmp_path)
    assert list(told(found)) == ["a"]
    assert found.problems[0].where == ("b_mask.png", "b_seg.png")


BOWL = [f"{i}/{kind}" for i in ("id1", "id2") for kind in (f"images/{i}.png", "masks/m1.png", "masks/m2.png")]


@pytest.mark.parametrize("prefix", ["", "stage1_train/", "a/b/"])
@pytest.mark.parametrize("packed", [False, True])
def test_one_file_an_object(tmp_path: Path, prefix: str, packed: bool) -> None:
    place = lay(tmp_path / "data", *(prefix + name for name in BOWL))
    found = read_dataset(pack(place, tmp_path / "data.zip") if packed else place)
    assert told(found) == {i: [f"{i}.png", "m1.png", "m2.png"] for i in ("id1", "id2")}
    assert all(case.objects for case in found.cases)
    assert [case.group for case in found.cases] == ["id1", "id2"]
    assert "2 images with 4 masks, one file per object" in found.sentence


@pytest.mark.parametrize(
    "names",
    [
        ("p1/images/a.png", "p1/masks/a_mask.png", "p2/images/b.png", "p2/masks/b_mask.png"),
        ("p1/image/scan.png", "p1/label/seg.png", "p2/image/scan.png", "p2/label/seg.png"),
        ("d/train/images/a.png", "d/train/masks/a_mask.png", "d/val/images/b.png", "d/val/masks/b_mask.png"),
        ("id1/images/id1.png", "id1/masks/0f3c.png", "id2/images/id2.png", "id2/masks/77ab.png"),
    ],
)
def test_one_mask_an_image_is_no_object_but_has_its_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    place = lay(tmp_path, *names)
    classes = np.arange(72, dtype=np.uint8).reshape(8, 9) % 4
    images, masks = names[::2], names[1::2]
    for mask in masks:
        (place / mask).write_bytes(imagecodecs.png_encode(classes))
    found = read_dataset(place)
    expected = [[Path(image).name, Path(mask).name] for image, mask in zip(images, masks, strict=True)]
    assert sorted(told(found).values()) == sorted(expected)
    assert not any(case.objects for case in found.cases)
    assert not found.problems
    assert np.unique(load_truth(found.cases[0]).array).tolist() == [0, 1, 2, 3]


def test_a_stack_in_folders_of_its_own_is_no_object(tmp_path: Path) -> None:
    for name in ("isbi/images/train-volume.tif", "isbi/labels/train-labels.tif"):
        stack(tmp_path / "data" / name, 3)
    found = read_dataset(pack(tmp_path / "data", tmp_path / "isbi.zip"))
    assert [(case.truth[0].name, case.objects) for case in found.cases] == [("train-labels.tif", False)]


def test_the_only_files_of_a_place_need_names_that_agree(tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match="no images with masks"):
        read_dataset(lay(tmp_path, "images/a.png", "masks/c.png"))


def test_the_bowls_images_without_masks_are_named(tmp_path: Path) -> None:
    place = lay(tmp_path, *(f"stage1_train/{name}" for name in BOWL), "stage1_test/id3/images/id3.png")
    found = read_dataset(place)
    assert list(told(found)) == ["id1", "id2"]
    assert found.problems[0].where == ("id3",)
    assert [case.name for case in find_cases(place)] == ["id3", "id1", "id2"]


@pytest.mark.parametrize("outer", ["zip", "folder"])
def test_kaggles_outer_archive(tmp_path: Path, outer: str) -> None:
    inside = tmp_path / "data-science-bowl-2018"
    inside.mkdir()
    pack(lay(tmp_path / "train", *BOWL), inside / "stage1_train.zip")
    pack(lay(tmp_path / "test", "id9/images/id9.png"), inside / "stage1_test.zip")
    (inside / "stage1_solution.csv.zip").write_bytes(b"not looked into")
    found = read_dataset(pack(inside, tmp_path / "all.zip") if outer == "zip" else inside)
    assert list(told(found)) == ["id1", "id2"]
    assert "read from 'stage1_train.zip'" in found.sentence
    assert "left out: stage1_solution.csv.zip, stage1_test.zip" in found.sentence


def test_images_are_predicted_and_not_the_training_set_beside_them(tmp_path: Path) -> None:
    place = lay(tmp_path / "scans", "s1.png", "s2.png")
    pack(lay(tmp_path / "old", "images/a.png", "masks/a.png"), place / "old_training.zip")
    assert [case.name for case in find_cases(place)] == ["s1", "s2"]
    assert [case.name for case in find_cases(place / "old_training.zip")] == ["a"]
    assert [case.name for case in find_cases(pack(place, tmp_path / "all.zip"))] == ["s1", "s2"]


def test_what_lies_beside_a_data_set_is_said_to_be_left_out(tmp_path: Path) -> None:
    packed = pack(lay(tmp_path / "one", "images/a.png", "masks/a.png"), tmp_path / "one.zip")
    place = lay(tmp_path / "scans", "s1.png", "s2.png")
    packed.rename(place / "training.zip")
    found = read_dataset(place)
    assert list(told(found)) == ["a"]
    assert [(p.what, p.where, p.severity) for p in found.problems] == [
        (
            "2 images beside 'training.zip' left out: only what lies in the zip has masks",
            ("s1.png", "s2.png"),
            "warning",
        )
    ]
    pack(tmp_path / "one", tmp_path / "one" / "more.zip")
    found = read_dataset(tmp_path / "one")
    assert list(told(found)) == ["a"]
    assert [(p.what, p.where, p.severity) for p in found.problems] == [
        ("1 zip beside the images was not opened", ("more.zip",), "note")
    ]


def stack(path: Path, pages: int, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, RNG.integers(0, 2, (pages, 6, 7)).astype(np.uint8), photometric="minisblack", **options)


@pytest.mark.parametrize(
    ("image", "mask"),
    [("train-volume.tif", "train-labels.tif"), ("images/s.tif", "masks/s.tif"), ("s.tif", "s_mask.tif")],
)
def test_a_volume_is_one_case(tmp_path: Path, image: str, mask: str) -> None:
    stack(tmp_path / image, 4)
    stack(tmp_path / mask, 4)
    (case,) = read_dataset(tmp_path).cases
    assert (case.name, case.group) == (Path(image).stem, Path(image).stem)
    assert (planes_of(case), load_image(case).shape, load_truth(case).shape) == (4, (4, 6, 7), (4, 6, 7))


@pytest.mark.parametrize(("axes", "shape"), [("TYX", (3, 8, 9)), ("TZYX", (3, 2, 8, 9))])
def test_a_film_is_a_case_for_each_frame(tmp_path: Path, axes: str, shape: tuple[int, ...]) -> None:
    film = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    for name in ("s.tif", "s_mask.tif"):
        tifffile.imwrite(tmp_path / name, film, imagej=True, metadata={"axes": axes})
    found = read_dataset(tmp_path)
    assert [case.name for case in found.cases] == ["s_0000", "s_0001", "s_0002"]
    assert {case.group for case in found.cases} == {"s"}
    assert "3 frames of 1 film, one group per film" in found.sentence
    for time, case in enumerate(found.cases):
        np.testing.assert_array_equal(load_image(case).array[0], film[time])
        np.testing.assert_array_equal(load_truth(case).array[0], film[time])


def test_stacks_of_different_lengths_are_named_and_not_joined(tmp_path: Path) -> None:
    for name, pages in {"a.tif": 3, "a_mask.tif": 4, "b.tif": 2, "b_mask.tif": 2}.items():
        stack(tmp_path / name, pages)
    found = read_dataset(tmp_path)
    assert [case.name for case in found.cases] == ["b"]
    assert "3, 4" in found.problems[0].what
    assert "a.tif" in found.problems[0].where[0]
    assert found.problems[-1].where == ("a",)
    assert len(find_images(tmp_path)) == 2


def test_a_file_that_cannot_be_read_stays_to_be_said(tmp_path: Path) -> None:
    """Prediction reports it and goes on; a check finds it when it loads the case."""
    stack(tmp_path / "a.tif", 2)
    (tmp_path / "b.tif").write_bytes(b"II*\0 cut off")
    assert [case.name for case in find_cases(tmp_path)] == ["a", "b"]


def test_told_apart_by_content(tmp_path: Path) -> None:
    for k in range(3):
        lay(tmp_path, f"{k}.png")
        tifffile.imwrite(tmp_path / f"{k}.tif", np.eye(8, 9, dtype=np.uint8) * 128)
    found = read_dataset(tmp_path)
    assert told(found) == {str(k): [f"{k}.png", f"{k}.tif"] for k in range(3)}
    assert ".tif: few distinct values" in found.sentence


def test_content_is_read_once_and_of_a_thumbnail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A photograph and a mask of many pixels: few are counted, and no file is read twice."""
    photograph = RNG.integers(0, 256, (600, 500, 3)).astype(np.uint8)
    for k in range(9):
        (tmp_path / f"{k}.png").write_bytes(imagecodecs.png_encode(photograph))
        tifffile.imwrite(tmp_path / f"{k}.tif", np.kron(np.eye(4), np.full((150, 125), 255)).astype(np.uint8))
    read: list[str] = []
    counted: list[int] = []
    unique, decode = np.unique, formats.read

    def seen(source: Source) -> Image:
        read.append(source.name)
        return decode(source)

    monkeypatch.setattr(by_content.formats, "read", seen)
    monkeypatch.setattr(np, "unique", lambda a, **k: (counted.append(a.size), unique(a, **k))[1])
    found = read_dataset(tmp_path)
    monkeypatch.undo()
    assert len(found.cases) == 9
    assert len(read) == len(set(read)) == 14
    assert max(counted) <= 3 * 100 * 100


def test_two_photographs_of_one_name_are_no_pair(tmp_path: Path) -> None:
    lay(tmp_path, "1.png")
    tifffile.imwrite(tmp_path / "1.tif", RNG.integers(0, 256, (8, 9)).astype(np.uint8))
    with pytest.raises(UlnaError, match="no images with masks were recognized"):
        read_dataset(tmp_path)


def test_nothing_recognizable_lists_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(UlnaError) as raised:
        read_dataset(lay(tmp_path, "a.png", "b.png"))
    for example in ("images/a.png", "a_mask.png", "<id>/masks", "001.bmp", "xrays/a.png", "train-volume.tif", ".png"):
        assert example in str(raised.value)


def test_no_such_folder_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "stage1_train").mkdir()
    with pytest.raises(UlnaError, match=r"Did you mean '.*stage1_train'"):
        read_dataset(tmp_path / "stage1_trian")
    with pytest.raises(UlnaError, match="holds no 'zzz'"):
        read_dataset(tmp_path / "zzz" / "deeper")
    with pytest.raises(UlnaError, match="one file, not a data set"):
        read_dataset(lay(tmp_path, "a.png") / "a.png")


def test_a_damaged_zip_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UlnaError, match="no zip archive that can be read"):
        read_dataset(tmp_path / "a.zip")


def test_an_archive_with_a_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("images/a.png", IMAGE)
        archive.writestr("masks/../../a.png", MASK)
    (tmp_path / "a.zip").write_bytes(stream.getvalue())
    for look in (read_dataset, find_images):
        with pytest.raises(UlnaError, match="leads out of it"):
            look(tmp_path / "a.zip")


def test_a_zip_that_windows_packed_is_read_as_any_other(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("images\\a.png", IMAGE)
        archive.writestr("masks\\a.png", MASK)
    found = read_dataset(tmp_path / "a.zip")
    assert told(found) == {"a": ["a.png", "a.png"]}
    assert not found.problems
    assert load_image(found.cases[0]).shape == (8, 9)


def test_images_alone_for_prediction(tmp_path: Path) -> None:
    lay(tmp_path / "plain", "b10.png", "b9.png", "deep/c.png")
    stack(tmp_path / "plain" / "s.tif", 2)
    names = [source.stem for source in find_images(tmp_path / "plain")]
    assert names == ["b9", "b10", "s", "c"]
    assert [s.name for s in find_images(tmp_path / "plain" / "b9.png")] == ["b9.png"]
    assert [s.name for s in find_images(str(tmp_path / "plain" / "*.png"))] == ["b9.png", "b10.png"]
    assert [s.name for s in find_images(str(tmp_path / "**" / "c*"))] == ["c.png"]
    assert len(find_images(pack(tmp_path / "plain", tmp_path / "plain.zip"))) == 4


def test_a_pattern_over_sub_folders_tells_images_of_one_name_apart(tmp_path: Path) -> None:
    lay(tmp_path, "patients/p1/image.png", "patients/p2/image.png", "patients/p2/._image.png", "patients/.p3/image.png")
    names = [case.name for case in find_cases(str(tmp_path / "patients" / "*" / "*.png"))]
    assert names == ["p1/image", "p2/image"]
    assert [case.name for case in find_cases(str(tmp_path / "**" / "image.*"))] == [
        f"patients/{name}" for name in names
    ]


def test_names_that_differ_in_case_alone_are_told_apart(tmp_path: Path) -> None:
    place = lay(tmp_path, "p1/IMG.png", "p2/img.png", "p2/b.png")
    assert [case.name for case in find_cases(place)] == ["p1/IMG", "b", "p2/img"]


def test_two_stars_within_a_name(tmp_path: Path) -> None:
    lay(tmp_path, "scans/a.png")
    with pytest.raises(UlnaError, match=r"whole folders(.|\n)*Write .*\*\*/\*\.png"):
        find_cases(str(tmp_path / "scans" / "**.png"))


def test_masks_are_no_images_for_prediction(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.png", "images/b.png", "masks/a.png")
    assert [source.name for source in find_images(tmp_path)] == ["a.png", "b.png"]


def test_no_image_for_prediction(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    for place in (tmp_path, tmp_path / "a.txt", str(tmp_path / "*.png"), tmp_path / "absent.png"):
        with pytest.raises(UlnaError, match=r"no image|no such"):
            find_images(place)


def test_the_four_real_data_sets(data: Path) -> None:
    counts = {
        "dsb2018/stage1_train.zip": (425, 425),
        "dsb2018": (425, 425),
        "isbi2012": (1, 1),
        "lgg-mri-segmentation.zip": (83, 16),
        "segmentation_wbc.zip": (105, 105),
    }
    for place, (cases, groups) in counts.items():
        found = read_dataset(data / place)
        assert (len(found.cases), len({case.group for case in found.cases})) == (cases, groups), place
        assert not found.problems
    assert sum(len(case.truth) for case in read_dataset(data / "dsb2018").cases) == 16_206


def test_what_ulna_wrote_into_a_data_set_is_no_part_of_it(run: Path, cells: Path, tmp_path: Path) -> None:
    data = shutil.copytree(cells, tmp_path / "data")
    shutil.copytree(run, data / "run")
    check(data, out=data / "found")
    evaluate(run, cells, out=data / "scores")
    found = read_dataset(data)
    assert [case.name for case in found.cases] == [case.name for case in read_dataset(cells).cases]
    assert found.problems == ()
    assert len(find_images(data)) == 8
    check(data, out=data)
    assert read_dataset(data) == found


def test_a_folder_that_may_not_be_looked_into_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, "images/a.png", "masks/a.png", "patient/images/b.png")
    scan = os.scandir

    def closed(path: str) -> object:
        if Path(path).name == "patient":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(UlnaError, match="patient: this folder cannot be looked into: permission denied"):
        read_dataset(tmp_path)


def test_no_two_cases_share_a_name(tmp_path: Path) -> None:
    lay(tmp_path, "images/s_0001.png", "images/e\u0301.png", "images/\xe9.png")
    film = np.zeros((3, 8, 9), np.uint8)
    tifffile.imwrite(tmp_path / "images" / "s.tif", film, imagej=True, metadata={"axes": "TYX"})
    cases = find_cases(tmp_path / "images")
    names = [unicodedata.normalize("NFC", case.name).casefold() for case in cases]
    assert len(cases) == len(set(names)) == 6
    pages = [case for case in cases if case.images[0].page is not None]
    assert [case.name for case in pages] == ["s_0000", "s_0001", "s_0002"]
    assert {case.group for case in pages} == {"s"}


def test_several_files_are_named_one_by_one(tmp_path: Path) -> None:
    lay(tmp_path, "p1/a.png", "p2/a.png", "p2/b.png")
    files = [tmp_path / "p1" / "a.png", tmp_path / "p2" / "a.png", tmp_path / "p2" / "b.png"]
    assert [case.name for case in find_cases(files)] == ["p1/a", "p2/a", "b"]
    assert [case.name for case in find_cases(files[:1])] == ["a"]
    with pytest.raises(UlnaError, match="each must be an image file"):
        find_cases([files[0], tmp_path / "p2"])
    with pytest.raises(UlnaError, match="no such folder or file"):
        find_cases([files[0], tmp_path / "p2" / "c.png"])


def test_modalities_of_different_lengths_are_not_paired(tmp_path: Path) -> None:
    for name, count in (("images/s_0000", 3), ("images/s_0001", 5), ("masks/s", 3)):
        path = tmp_path / f"{name}.tif"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, np.zeros((count, 8, 9), np.uint8), photometric="minisblack")
    found = read_dataset(tmp_path)
    assert found.cases == ()
    assert "different numbers of planes: 3, 5, 3" in found.problems[0].what
