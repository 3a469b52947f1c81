"""Several masks per image: classes, lesions, observers, and what is said of each."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from small_files import told
from ulna import formats
from ulna.dataset import Dataset
from ulna.errors import UlnaError
from ulna.image import Array, Image
from ulna.jobs.check import check
from ulna.layouts import Patterns, find_cases, read_dataset
from ulna.truth import load_truth

NOISE = np.random.default_rng(3).integers(0, 256, (1, 16, 16)).astype(np.uint8)


def box(*sides: slice) -> Array:
    mask = np.zeros((1, 16, 16), np.uint8)
    mask[0, *sides] = 255
    return mask


LEFT, RIGHT, ALL = box(np.s_[2:6], np.s_[1:5]), box(np.s_[2:6], np.s_[9:14]), box(np.s_[1:9], np.s_[0:15])


def put(root: Path, masks: dict[str, Array], *images: str) -> Path:
    for name, array in {**dict.fromkeys(images, NOISE), **masks}.items():
        formats.write(root / name, Image(array))
    return root


def shown(found: Dataset) -> dict[str, dict[str, list[str]]]:
    """Case → class → the files that show it."""
    return {
        case.name: {
            name: [s.name for s, of in zip(case.truth, case.truth_classes, strict=True) if of == name]
            for name in dict.fromkeys(case.truth_classes)
        }
        for case in found.cases
    }


CLASSES = {
    "in a case's folder": ("{n}/images/ct.png", "{n}/masks/{c}.png"),
    "in a case's folder, with its name": ("{n}/images/{n}.png", "{n}/masks/{n}_{c}.png"),
    "a folder each": ("images/{n}.png", "masks/{c}/{n}.png"),
    "a folder of masks each": ("images/{n}.png", "masks_{c}/{n}.png"),
    "a suffix each": ("{n}.png", "{n}_mask_{c}.png"),
    "a suffix before the word": ("{n}.png", "{n}_{c}_mask.png"),
    "a suffix in folders": ("images/{n}.png", "masks/{n}_{c}.png"),
    "a prefix in folders": ("images/{n}.png", "masks/{c}_{n}.png"),
    "beside the only image": ("{n}/image.png", "{n}/mask_{c}.png"),
    "a folder each, of patients": ("images/p{n}/s.png", "masks/{c}/p{n}/s.png"),
    "any folder of images": ("xrays/{n}.png", "masks/{c}/{n}.png"),
    "Montgomery": ("CXR_png/M_{n}.png", "ManualMask/{c}Mask/M_{n}.png"),
    "IDRiD": (
        "A. Segmentation/1. Original Images/a. Training Set/IDRiD_{n}.png",
        "A. Segmentation/2. All Segmentation Groundtruths/a. Training Set/1. {c}/IDRiD_{n}_XY.png",
    ),
}


@pytest.mark.parametrize("layout", CLASSES)
def test_files_of_one_class_each(tmp_path: Path, layout: str) -> None:
    image, mask = CLASSES[layout]
    masks = {mask.format(n=n, c=c): a for n in ("a1", "b2", "c3") for c, a in (("liver", LEFT), ("kidney", RIGHT))}
    found = read_dataset(put(tmp_path, masks, *(image.format(n=n) for n in ("a1", "b2", "c3"))))
    assert len(found.cases) == 3
    for case, n in zip(found.cases, ("a1", "b2", "c3"), strict=True):
        assert case.classes == case.truth_classes == ("kidney", "liver")
        assert [Path(mask.format(n=n, c=c)).name for c in case.classes] == [source.name for source in case.truth]
        assert not case.objects
        expected = np.where(LEFT > 0, 2, 0) + np.where(RIGHT > 0, 1, 0)
        np.testing.assert_array_equal(load_truth(case).array, expected)
    assert "one mask per class: 'kidney', 'liver'" in found.sentence
    assert found.problems == ()
    assert len(find_cases(tmp_path)) == 3


def test_classes_that_are_called_like_images_and_masks(tmp_path: Path) -> None:
    """`X` and `y` are images and masks where they are alone; within a folder of masks they are names of classes."""
    names = ("a1", "b2", "c3")
    masks = {f"masks/{c}/{n}.png": a for n in names for c, a in (("x", LEFT), ("y", RIGHT))}
    found = read_dataset(put(tmp_path / "within", masks, *(f"images/{n}.png" for n in names)))
    assert [case.truth_classes for case in found.cases] == [("x", "y")] * 3
    assert {case.images[0].path.parent.name for case in found.cases} == {"images"}
    alone = read_dataset(put(tmp_path / "alone", {f"y/{n}.png": LEFT for n in names}, *(f"X/{n}.png" for n in names)))
    assert {case.images[0].path.parent.name for case in alone.cases} == {"X"}


def test_numbered_class_folders_keep_their_order_and_background_needs_no_file(tmp_path: Path) -> None:
    masks = {f"masks/{c}/a.png": a for c, a in (("2", LEFT), ("10", RIGHT), ("background", 255 - ALL))}
    (case,) = read_dataset(put(tmp_path, masks, "images/a.png")).cases
    assert case.classes == ("2", "10")
    np.testing.assert_array_equal(np.unique(load_truth(case).array), [0, 1, 2])


def test_classes_get_their_names_and_absent_ones_are_said(tmp_path: Path) -> None:
    masks = {
        f"p{k}/masks/{c}.png": a
        for k in range(3)
        for c, a in (("liver", ALL), ("tumor", LEFT))
        if (k, c) != (1, "tumor")
    }
    data = put(tmp_path / "d", masks, *(f"p{k}/images/ct.png" for k in range(3)))
    found = check(data)
    assert found.classes.names == ("background", "liver", "tumor")
    said = {problem.what: problem for problem in found.problems}
    nested = said["'tumor' lies within 'liver' in 2 images (32 pixels in all) and is painted on top of it"]
    assert (nested.severity, nested.where) == ("note", ("p0: 16 pixels", "p2: 16 pixels"))
    assert said["1 image has no file for some classes: these are taken to be absent"].where == ("p1/images/ct.png",)
    first = next(case for case in found.dataset.cases if case.name == "p0")
    assert np.bincount(load_truth(first).array.ravel()).tolist() == [256 - 120, 120 - 16, 16]


def test_classes_that_overlap_are_a_warning_with_counts(tmp_path: Path) -> None:
    other = box(np.s_[4:8], np.s_[1:4])
    masks = {f"masks/{c}/a{k}.png": a for k in range(2) for c, a in (("vein", LEFT), ("nerve", other))}
    found = check(put(tmp_path, masks, "images/a0.png", "images/a1.png"))
    (problem,) = [problem for problem in found.problems if problem.what.startswith("'vein'")]
    assert problem.what == "'vein' and 'nerve' overlap in 2 images (12 pixels in all); the smaller one keeps them"
    assert problem.severity == "warning"
    assert found.share[1] * 256 == pytest.approx(12)


@pytest.mark.parametrize("folder", ["", "benign/"])
def test_second_lesions_are_objects_of_their_own(tmp_path: Path, folder: str) -> None:
    names = [f"{folder}benign ({k})" for k in range(1, 4)]
    masks = {f"{name}_mask.png": LEFT for name in names} | {f"{names[0]}_mask_1.png": RIGHT}
    found = read_dataset(put(tmp_path, masks, *(f"{name}.png" for name in names)))
    assert told(found)["benign (1)"] == ["benign (1).png", "benign (1)_mask.png", "benign (1)_mask_1.png"]
    np.testing.assert_array_equal(load_truth(found.cases[0]).array, np.where(LEFT, 1, 0) + np.where(RIGHT, 2, 0))
    np.testing.assert_array_equal(load_truth(found.cases[1]).array, np.where(LEFT, 1, 0))
    assert check(tmp_path).classes.kind == "instances"
    (problem,) = found.problems
    assert problem.what.startswith("1 image has several masks ('benign (1)_mask.png' and 'benign (1)_mask_1.png')")
    assert (problem.severity, problem.where) == ("note", (f"{names[0]}.png",))
    assert [case.name for case in find_cases(tmp_path)] == ["benign (1)", "benign (2)", "benign (3)"]


def test_masks_with_numbers_alone_are_objects_with_a_warning(tmp_path: Path) -> None:
    """Touching ones too, which one mask of both would make one."""
    beside = np.roll(LEFT, 4, axis=2)
    found = read_dataset(put(tmp_path, {"masks/x_1.png": LEFT, "masks/x_2.png": beside}, "images/x.png"))
    assert (found.cases[0].objects, found.sentence) == (True, "1 image with 2 masks, one file per object")
    np.testing.assert_array_equal(load_truth(found.cases[0]).array, np.where(LEFT, 1, 0) + np.where(beside, 2, 0))
    (problem,) = found.problems
    assert problem.severity == "warning"
    assert "each of which is taken for one object" in problem.what
    assert "data.masks" in problem.what


def test_numbers_that_all_images_have_may_be_classes(tmp_path: Path) -> None:
    masks = {f"{n}_mask_{k}.png": a for n in "abc" for k, a in ((1, LEFT), (2, RIGHT))}
    (problem,) = read_dataset(put(tmp_path, masks, "a.png", "b.png", "c.png")).problems
    assert (problem.severity, len(problem.where)) == ("warning", 3)
    assert "although all images have the same numbers. For classes set data.masks" in problem.what


@pytest.mark.parametrize("first", [LEFT | RIGHT, LEFT // 255 + RIGHT // 255 * 2, LEFT // 255 * 128 | RIGHT])
def test_numbered_masks_of_several_things_are_united(tmp_path: Path, first: np.ndarray) -> None:
    other = box(np.s_[12:15]) // 255 * first.max()
    found = read_dataset(put(tmp_path, {"a_mask.png": first, "a_mask_1.png": other}, "a.png"))
    assert not found.cases[0].objects
    np.testing.assert_array_equal(load_truth(found.cases[0]).array, np.maximum(first, other))
    assert "which are united to one" in found.problems[0].what


def test_observers_are_known_by_their_agreement_also_where_they_are_numbers(tmp_path: Path) -> None:
    """LIDC: four drawings of one nodule."""
    moved = np.roll(ALL, 1, axis=2)
    masks = {f"masks/{n}_mask_{k}.png": a for n in ("x", "y") for k, a in ((0, ALL), (1, moved), (2, ALL))}
    found = read_dataset(put(tmp_path, masks, "images/x.png", "images/y.png"))
    assert [source.name for case in found.cases for source in case.truth] == ["x_mask_0.png", "y_mask_0.png"]
    assert "several observers, which are not merged: those of '0' are used" in found.problems[0].what


def test_patterns_with_several_masks_per_case_give_objects(tmp_path: Path) -> None:
    put(tmp_path, {f"drawn/x-{k}.png": a for k, a in (("one", LEFT), ("two", RIGHT))}, "scans/x.png")
    found = read_dataset(tmp_path, Patterns(("scans/{case}.png",), ("drawn/{case}-*.png",)))
    assert found.cases[0].objects
    assert "each of which is taken for one object" in found.problems[0].what


def test_masks_of_images_that_are_missing_are_not_united(tmp_path: Path) -> None:
    masks = {f"masks/{name}.png": LEFT for name in ("s1", "s1_2", "s1_3")}
    found = read_dataset(put(tmp_path, masks, "images/s1.png", "images/s1_2.png"))
    assert told(found) == {"s1": ["s1.png", "s1.png"], "s1_2": ["s1_2.png", "s1_2.png"]}
    assert found.problems[0].where == ("masks/s1_3.png",)


OBSERVERS = {
    "folders": ("images/{n}.png", "masks_observer{o}/{n}.png"),
    "suffixes": ("images/{n}.png", "masks/{n}_observer{o}.png"),
    "raters": ("images/{n}.png", "masks/rater{o}/{n}.png"),
    "CHASE": ("{n}.png", "{n}_{o}stHO.png"),
}


@pytest.mark.parametrize("layout", OBSERVERS)
def test_two_observers_are_not_merged(tmp_path: Path, layout: str) -> None:
    image, mask = OBSERVERS[layout]
    masks = {mask.format(n=n, o=o): a for n in ("im_a", "im_b") for o, a in ((1, LEFT), (2, RIGHT))}
    found = read_dataset(put(tmp_path, masks, *(image.format(n=n) for n in ("im_a", "im_b"))))
    assert [len(case.truth) for case in found.cases] == [1, 1]
    for case in found.cases:
        np.testing.assert_array_equal(load_truth(case).array, LEFT)
    (problem,) = found.problems
    assert problem.where == tuple(mask.format(n=n, o=2) for n in ("im_a", "im_b"))
    assert problem.severity == "warning"
    assert "several observers, which are not merged" in problem.what


def test_observers_of_any_name_are_known_by_their_agreement(tmp_path: Path) -> None:
    """STARE: the folders are named after those who drew."""
    moved = np.roll(ALL, 1, axis=2)
    masks = {f"labels-{who}/{n}.{who}.png": a for n in ("im1", "im2") for who, a in (("vk", moved), ("ah", ALL))}
    found = read_dataset(put(tmp_path, masks, "stare-images/im1.png", "stare-images/im2.png"))
    assert [source.name for case in found.cases for source in case.truth] == ["im1.ah.png", "im2.ah.png"]
    assert "'ah' and 'vk' overlap with a Dice of 0.9" in found.problems[0].what


def test_the_best_of_two_files_of_the_same_annotation(tmp_path: Path) -> None:
    masks = {f"V/Segmentation{k}/{n}.png": a for n in "ab" for k, a in (("Object", RIGHT), ("Class", LEFT))}
    found = read_dataset(put(tmp_path, masks, "V/JPEGImages/a.png", "V/JPEGImages/b.png"))
    np.testing.assert_array_equal(load_truth(found.cases[0]).array, LEFT)
    assert found.problems[0].where == ("V/SegmentationObject/a.png", "V/SegmentationObject/b.png")
    assert "(data.masks says which to use, for example 'SegmentationObject/{case}.png'" in found.problems[0].what


def test_pictures_of_masks_are_left_out(tmp_path: Path) -> None:
    masks = {f"masks/{n}{s}.png": LEFT for n in "ab" for s in ("", "_color", "_overlay")}
    found = read_dataset(put(tmp_path, masks, "images/a.png", "images/b.png"))
    assert told(found) == {n: [f"{n}.png"] * 2 for n in "ab"}
    assert len(found.problems[0].where) == 4
    assert "pictures of masks" in found.problems[0].what


def test_objects_stay_objects(tmp_path: Path) -> None:
    for names in (("0f3c", "77ab"), ("1", "2"), ("mask_1", "mask_2"), ("cell_1", "cell_2"), ("a", "b")):
        root = tmp_path / names[0]
        masks = {f"c{k}/masks/{n}.png": a for k in range(3) for n, a in zip(names, (LEFT, RIGHT), strict=True)}
        found = read_dataset(put(root, masks, *(f"c{k}/images/c{k}.png" for k in range(3))))
        assert all(case.objects and not case.truth_classes for case in found.cases), names


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/c{}.png", "masks/c{}_cp_masks.png"),
        ("c{}.png", "c{}_cp_masks.png"),
        ("images/c{}.png", "masks/c{}_Simple Segmentation.png"),
        ("images/c{}.png", "masks/liver/c{}.png"),
        ("{}/image.png", "{}/mask.png"),
        ("{}/img.png", "{}/Label.png"),
        ("retina_{}.png", "retina_{}_L.png"),
    ],
)
def test_a_name_that_adds_something(tmp_path: Path, image: str, mask: str) -> None:
    found = read_dataset(
        put(tmp_path, {mask.format(n): LEFT for n in (1, 2, 11)}, *(image.format(n) for n in (1, 2, 11)))
    )
    pairs = [[Path(name.format(n)).name for name in (image, mask)] for n in (1, 2, 11)]
    assert [[s.name for s in (*case.images, *case.truth)] for case in found.cases] == pairs
    assert not found.problems
    assert not any(case.truth_classes for case in found.cases)


def test_two_photographs_are_no_image_and_mask(tmp_path: Path) -> None:
    place = put(tmp_path, {f"r_{n}_L.png": np.roll(NOISE, n) for n in (1, 2)}, "r_1.png", "r_2.png")
    with pytest.raises(UlnaError, match="no images with masks"):
        read_dataset(place)


def test_case_files_of_one_class_evaluate_by_name(tmp_path: Path) -> None:
    """A class that a test set lacks does not shift the numbers of the others."""
    from ulna.classfiles import with_classes

    masks = {f"masks/{c}/a.png": a for c, a in (("liver", LEFT), ("spleen", RIGHT))}
    cases = read_dataset(put(tmp_path, masks, "images/a.png")).cases
    (case,) = with_classes(cases, ("background", "kidney", "liver", "spleen"))
    np.testing.assert_array_equal(load_truth(case).array, np.where(LEFT, 2, 0) + np.where(RIGHT, 3, 0))
    with pytest.raises(UlnaError, match="shows the class 'spleen', the classes are background, liver"):
        with_classes(cases, ("background", "liver"))


def test_files_of_one_case_that_do_not_fit(tmp_path: Path) -> None:
    for name, odd in (("size", np.zeros((1, 9, 16), np.uint8)), ("channels", np.zeros((3, 16, 16), np.uint8))):
        masks = {"a_mask.png": LEFT | RIGHT, "a_mask_1.png": odd}
        (case,) = read_dataset(put(tmp_path / name, masks, "a.png")).cases
        with pytest.raises(UlnaError, match=r"a_mask_1\.png: this mask (is 9 × 16|has 3 channels), the first"):
            load_truth(case)


def test_modalities_of_uneven_number_may_be_frames(tmp_path: Path) -> None:
    images = [f"images/{name}.png" for name in ("f1_0000", "f1_0001", "f1_0002", "f2_0000")]
    found = read_dataset(put(tmp_path, {"masks/f1.png": LEFT, "masks/f2.png": LEFT}, *images))
    assert "their number differs: 3 in 1 case, 1 in 1 case. If they are frames" in found.problems[0].what


def test_every_way_of_a_class_and_a_count(tmp_path: Path) -> None:
    """Several files of one class are an object each where they show one connected component, else they are united."""
    parts = itertools.product("ab", (("cell_1", LEFT), ("cell_2", RIGHT), ("vessel", box(np.s_[12:14]))))
    found = read_dataset(put(tmp_path, {f"{n}_mask_{c}.png": a for n, (c, a) in parts}, "a.png", "b.png"))
    assert shown(found)["a"] == {"cell": ["a_mask_cell_1.png", "a_mask_cell_2.png"], "vessel": ["a_mask_vessel.png"]}
    numbers = np.where(LEFT, 1_000_001, 0) + np.where(RIGHT, 1_000_002, 0) + np.where(box(np.s_[12:14]), 2_000_003, 0)
    np.testing.assert_array_equal(load_truth(found.cases[0]).array, numbers)
    speckled = np.zeros_like(LEFT)
    speckled[0, ::4, ::4] = 255
    masks = {f"{n}_mask_cell_{k}.png": speckled for n in "ab" for k in (1, 2)}
    united = read_dataset(put(tmp_path, masks, "a.png", "b.png"))
    assert np.unique(load_truth(united.cases[0]).array).tolist() == [0, 1, 2]
    assert "2 images have several masks of one class, which are united" in [one.what for one in united.problems]


@pytest.mark.parametrize(
    ("plain", "other"),
    [
        ("masks/{}.png", "masks_resized/{}.png"),
        ("labels/{}.png", "labels_viewer/{}.png"),
        ("masks/{}.png", "masks/{}_edge.png"),
        ("masks/{}.png", "masks/old/{}.png"),
    ],
)
def test_plain_masks_are_used_and_others_named(tmp_path: Path, plain: str, other: str) -> None:
    masks = {way.format(n): a for n in "ab" for way, a in ((plain, LEFT), (other, RIGHT))}
    found = read_dataset(put(tmp_path, masks, "images/a.png", "images/b.png"))
    assert len(found.cases) == 2
    for case in found.cases:
        np.testing.assert_array_equal(load_truth(case).array, LEFT)
    assert found.problems[0].where == tuple(other.format(n) for n in "ab")
    assert "2 masks are left out: their names add" in found.problems[0].what


def test_several_folders_of_masks_in_a_folder_are_no_objects(tmp_path: Path) -> None:
    """NuInsSeg: one annotation as label map and as binary mask."""
    masks = {f"liver/{k}/h_{n}.png": a for n in "12" for k, a in (("mask binary", RIGHT), ("label masks", LEFT))}
    found = read_dataset(put(tmp_path, masks, "liver/tissue images/h_1.png", "liver/tissue images/h_2.png"))
    assert len(found.cases) == 2
    for case in found.cases:
        np.testing.assert_array_equal(load_truth(case).array, LEFT)
    assert len(found.problems[0].where) == 2
    one = {name: mask for name, mask in masks.items() if "h_1" in name}
    (case,) = read_dataset(put(tmp_path / "one", one, "liver/tissue images/h_1.png")).cases
    assert not case.objects


def test_a_number_at_the_end_of_a_name_with_others_is_no_name(tmp_path: Path) -> None:
    """Label Studio's `…-tag-cell-0` are no masks of `im0`; `liver_1` is one of `im1`."""
    masks = {
        f"masks/task-{n}-annotation-{n + 4}-tag-{c}-0.png": a for n in (1, 2) for c, a in (("a", LEFT), ("b", RIGHT))
    }
    with pytest.raises(UlnaError, match="The names of images and masks do not agree"):
        read_dataset(put(tmp_path / "studio", masks, "images/im0.png", "images/im1.png"))
    masks = {f"masks/{c}_{n}.png": a for n in (1, 2) for c, a in (("liver", LEFT), ("kidney", RIGHT))}
    found = read_dataset(put(tmp_path / "plain", masks, "images/im1.png", "images/im2.png"))
    assert shown(found)["im1"] == {"kidney": ["kidney_1.png"], "liver": ["liver_1.png"]}


def test_pictures_drawn_on_the_images_are_no_class(tmp_path: Path) -> None:
    """Supervisely's `masks_human` beside `masks_machine`."""
    picture = np.random.default_rng(0).integers(0, 256, (3, 16, 16)).astype(np.uint8)
    masks = {f"ds/masks_{k}/{n}.png": a for n in "ab" for k, a in (("machine", LEFT), ("human", picture))}
    found = read_dataset(put(tmp_path, masks, "ds/img/a.png", "ds/img/b.png"))
    np.testing.assert_array_equal(load_truth(found.cases[0]).array, LEFT)
    (problem,) = found.problems
    assert problem.where == ("ds/masks_human/a.png", "ds/masks_human/b.png")
    assert "those named 'human' hold colors as photographs do" in problem.what


def test_numbered_masks_of_patients_keep_their_groups(tmp_path: Path) -> None:
    masks = {f"P{p}/{s}_mask_{k}.png": a for p in range(4) for s in "ab" for k, a in ((1, LEFT), (2, RIGHT))}
    found = read_dataset(put(tmp_path, masks, *(f"P{p}/{s}.png" for p in range(4) for s in "ab")))
    assert all(case.objects for case in found.cases)
    assert [case.group for case in found.cases] == [f"P{p}" for p in range(4) for _ in "ab"]
