"""The truth of a case: masks of one thing, and several files united to one mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from ulna import formats
from ulna.dataset import Case, load_image
from ulna.errors import UlnaError
from ulna.image import Image, Source
from ulna.layouts import read_dataset
from ulna.truth import inside, load_truth, merge_objects


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
    labels, overlapping = merge_objects(objects_case(tmp_path, first, second, empty, third))
    expected = np.zeros((1, 6, 8), np.int32)
    expected[third > 0] = 4
    expected[second > 0] = 2
    expected[first > 0] = 1
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == np.int32
    assert overlapping == 1


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


def test_lossy_masks_of_one_thing_are_cut_in_the_middle() -> None:
    lossy = np.array([[[0, 3, 0, 120, 130, 255, 255, 255]]], np.uint8)
    assert inside(lossy)[0].tolist() == [False] * 4 + [True] * 4
    assert inside(np.array([[[0, 1, 2, 3, 255]]], np.uint8))[0].tolist() == [False] + [True] * 4
    assert inside(np.array([[[0, 1, 2]], [[0, 0, 0]]], np.uint16))[0].tolist() == [False, True, True]


def test_objects_of_another_size_are_named(tmp_path: Path) -> None:
    case = objects_case(tmp_path, np.zeros((1, 4, 5), np.uint8), np.zeros((1, 5, 4), np.uint8))
    with pytest.raises(UlnaError, match=r"1\.png: this mask is 5 × 4, the first of its case is 4 × 5"):
        load_truth(case)


def test_an_object_of_several_pages_is_refused(tmp_path: Path) -> None:
    pages = saved(tmp_path / "a.tif", np.ones((1, 3, 4, 5), np.uint8))
    with pytest.raises(UlnaError, match=r"a\.tif: this file of one object has 3 pages"):
        load_truth(Case("cells", (pages,), (pages, pages), objects=True))


def test_the_bowls_overlaps(data: Path) -> None:
    """The three images with overlapping masks, 5 pixels in all, that the data's README names."""
    cases = [c for c in read_dataset(data / "dsb2018").cases if c.name[:8] in ("0a7d30b2", "72e8c49d", "f26f4c2c")]
    assert [merge_objects(case)[1] for case in cases] == [2, 2, 1]
    for case in cases:
        labels = merge_objects(case)[0]
        assert labels.shape[1:] == load_image(case).shape
        assert len(np.unique(labels)) == len(case.truth) + 1
