"""The truth of a case: masks of one thing, and several files united to one mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from ulna import formats
from ulna.dataset import Case, load_image
from ulna.errors import UlnaError
from ulna.image import Grid, Image, Source
from ulna.layouts import read_dataset
from ulna.masks import Overlap
from ulna.truth import load_truth, merge_objects, placed_truth, stated_objects


def saved(path: Path, array: np.ndarray) -> Source:
    formats.write(path, Image(array))
    return Source(path)


def objects_case(tmp_path: Path, *masks: np.ndarray) -> Case:
    truth = tuple(saved(tmp_path / f"{k}.png", mask) for k, mask in enumerate(masks))
    return Case("cells", (truth[0],), truth, objects=True)


def test_objects_keep_their_identity_and_the_first_wins(tmp_path: Path) -> None:
    first, second, third = (np.zeros((1, 6, 8), np.uint8) for _ in range(3))
    first[0, 1:4, 1:4] = 255
    second[0, 3:5, 3:7] = 1
    third[0, 0, 7] = 9
    empty = np.zeros((1, 6, 8), np.uint8)
    labels, overlaps = merge_objects(objects_case(tmp_path, first, second, empty, third))
    expected = np.zeros((1, 6, 8), np.int32)
    expected[third > 0] = 4
    expected[second > 0] = 2
    expected[first > 0] = 1
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == np.int32
    assert overlaps == (Overlap("", "", 1, objects=1),)


def test_an_object_in_color_counts_where_any_channel_does(tmp_path: Path) -> None:
    mask = np.zeros((3, 4, 4), np.uint8)
    mask[2, 1, 1] = 200
    labels = load_truth(objects_case(tmp_path, mask)).array
    assert labels.sum() == 1
    assert labels[0, 1, 1] == 1


def test_alpha_is_no_part_of_a_mask_of_one_thing(tmp_path: Path) -> None:
    mask = np.zeros((4, 4, 4), np.uint8)
    mask[1, 1, :3] = 200
    mask[..., 3] = 255
    mask[3, 3, 3] = 0
    place = tmp_path / "a.png"
    case = Case("a", (Source(place),), (Source(place),), objects=True)
    Pillow.fromarray(mask).save(place)
    assert np.argwhere(load_truth(case).array[0]).tolist() == [[1, 1]]
    mask[..., :3] = 0
    Pillow.fromarray(mask).save(place)
    assert len(np.argwhere(load_truth(case).array[0])) == 15  # the alpha alone shows it


def test_objects_of_another_size_are_named(tmp_path: Path) -> None:
    case = objects_case(tmp_path, np.zeros((1, 4, 5), np.uint8), np.zeros((1, 5, 4), np.uint8))
    with pytest.raises(UlnaError, match=r"1\.png: this mask is 5 × 4, the first of its case is 4 × 5"):
        load_truth(case)


def test_an_object_of_several_pages_is_refused(tmp_path: Path) -> None:
    pages = saved(tmp_path / "a.tif", np.ones((1, 3, 4, 5), np.uint8))
    with pytest.raises(UlnaError, match=r"a\.tif: this file of one object has 3 pages"):
        load_truth(Case("cells", (pages,), (pages, pages), objects=True))


def classed(tmp_path: Path, **masks: np.ndarray) -> Case:
    """A case with a file per class that numbers its objects; `a_1`, `a_2` are both of the class `a`."""
    truth = tuple(saved(tmp_path / f"{name}.tif", mask[None]) for name, mask in masks.items())
    of_it = tuple(name.partition("_")[0] for name in masks)
    return Case("x", (truth[0],), truth, objects=True, truth_classes=of_it, classes=("a", "b"), numbered=True)


def test_objects_of_two_classes_keep_class_and_number(tmp_path: Path) -> None:
    first, second = np.zeros((6, 8), np.int32), np.zeros((6, 8), np.int32)
    first[0, 0:2], first[0, 2:4], second[3, 0:2], second[3, 2:4] = 1, 7, 1, 2
    labels = load_truth(classed(tmp_path, a=first, b=second)).array
    expected = np.where(first, first + 1_000_000, 0) + np.where(second, second + 2_000_000, 0)
    np.testing.assert_array_equal(labels[0], expected)


def test_several_numbered_files_of_a_class_are_numbered_on(tmp_path: Path) -> None:
    first, second = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    first[0, :2], second[0, 1:3], second[2] = 3, 1, 2
    labels, overlaps = merge_objects(classed(tmp_path, a_1=first, a_2=second))
    base = 1_000_000
    assert labels[0].tolist() == [[base + 3, base + 3, base + 4, 0], [0] * 4, [base + 5] * 4, [0] * 4]
    assert overlaps == (Overlap("a", "a", 1, objects=1),)


def test_where_numbered_classes_overlap_the_smaller_keeps_the_pixels(tmp_path: Path) -> None:
    cell, nucleus = np.zeros((6, 6), np.uint8), np.zeros((6, 6), np.uint8)
    cell[1:5, 1:5], nucleus[2:4, 2:4] = 9, 4
    case = classed(tmp_path, a=cell, b=nucleus)
    labels, overlaps = merge_objects(case)
    np.testing.assert_array_equal(labels[0], np.where(nucleus, 2_000_004, np.where(cell, 1_000_009, 0)))
    assert overlaps == (Overlap("a", "b", 4, nested=True),)
    assert stated_objects(case) == 2


def test_more_objects_than_a_class_can_number_are_refused(tmp_path: Path) -> None:
    numbers = np.array([[0, 1_000_000]], np.int32)
    with pytest.raises(UlnaError, match=r"a\.tif: object numbers up to 1,000,000 are too many: .* up to 999,999 here"):
        load_truth(classed(tmp_path, a=numbers))
    numbers[0, 1] = 999_999
    assert load_truth(classed(tmp_path, a=numbers)).array.max() == 1_999_999
    with pytest.raises(UlnaError, match=r"a_2\.tif: with those of the files before, 1,000,000 object numbers are"):
        load_truth(classed(tmp_path, a_1=numbers, a_2=numbers // 999_999))


def test_the_bowls_overlaps(data: Path) -> None:
    """The three images with overlapping masks, 5 pixels in all, that the data's README names."""
    cases = [c for c in read_dataset(data / "dsb2018").cases if c.name[:8] in ("0a7d30b2", "72e8c49d", "f26f4c2c")]
    assert [one.pixels for case in cases for one in merge_objects(case)[1]] == [2, 2, 1]
    for case in cases:
        labels = merge_objects(case)[0]
        assert labels.shape[1:] == load_image(case).shape
        assert len(np.unique(labels)) == len(case.truth) + 1


@pytest.mark.parametrize("kind", ["united", "classes", "objects", "numbered"])
def test_masks_that_are_whole_but_for_rounding_are_merged_as_whole(tmp_path: Path, kind: str) -> None:
    """As programs write them that resample: .99999997 for 1, and 1e-9 for nothing."""
    exact = np.zeros((2, 1, 6, 6), np.float32)
    exact[0, 0, 1:3] = 1
    exact[1, 0, 4:] = 2 if kind == "numbered" else 1
    options = {
        "united": {},
        "classes": {"truth_classes": ("a", "b"), "classes": ("a", "b")},
        "objects": {"objects": True},
        "numbered": {"objects": True, "numbered": True},
    }[kind]

    def case(name: str, masks: np.ndarray) -> Case:
        truth = tuple(saved(tmp_path / f"{name}{k}.tif", mask) for k, mask in enumerate(masks))
        return Case("a", truth[:1], truth, **options)

    whole = placed_truth(case("exact", exact))
    near = placed_truth(case("near", exact * np.float32(0.99999997) + np.float32(1e-9)))
    np.testing.assert_array_equal(near.image.array, whole.image.array)
    assert whole.off == 0
    assert 0 < near.off < 1e-6  # `check` says it


def test_files_of_one_volume_that_lie_elsewhere_are_not_united(tmp_path: Path) -> None:
    names, grids = ("liver", "tumor"), [Grid((3, 4, 5), unit="mm", origin=(0, 0, shift)) for shift in (9.0, 5.0)]
    mask = np.zeros((1, 3, 4, 5), np.uint8)
    mask[0, 1, 1, 1] = 1
    for name, grid in zip(names, grids, strict=True):
        formats.write(tmp_path / f"{name}.nii.gz", Image(mask, grid))
    truth = tuple(Source(tmp_path / f"{name}.nii.gz") for name in names)
    case = Case("a", (truth[0],), truth, truth_classes=names, classes=names)
    with pytest.raises(UlnaError, match="this mask lies elsewhere than the first of its case"):
        load_truth(case)
    truth[1].path.unlink()
    formats.write(truth[1].path, Image(mask, grids[0]))
    assert load_truth(case).array.max() > 0
