"""Masks of one thing, files that number objects, and what two of them claim."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from ulna import formats
from ulna.errors import UlnaError
from ulna.image import Array, Image, Source
from ulna.masks import Overlap, inside, on_top, read_numbers


def saved(path: Path, array: Array) -> Source:
    formats.write(path, Image(array))
    return Source(path)


def test_lossy_masks_of_one_thing_are_cut_in_the_middle() -> None:
    lossy = np.array([[[0, 3, 0, 120, 130, 255, 255, 255]]], np.uint8)
    assert inside(lossy)[0].tolist() == [False] * 4 + [True] * 4
    assert inside(np.array([[[0, 1, 2, 3, 255]]], np.uint8))[0].tolist() == [False] + [True] * 4
    assert inside(np.array([[[0, 1, 2]], [[0, 0, 0]]], np.uint16))[0].tolist() == [False, True, True]


def test_numbers_of_objects(tmp_path: Path) -> None:
    numbers = np.array([[[0, 1, 70_000]]])
    for name, array in {
        "whole": numbers.astype(np.float32),
        "wide": numbers.astype(np.int32),
        "gray": np.repeat(numbers[..., :2], 3, axis=0).astype(np.uint8),
    }.items():
        found = read_numbers(saved(tmp_path / f"{name}.tif", array))
        assert (found.dtype, found.tolist()) == (np.int32, array[0].tolist())


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.array([[[0, 1.5]]], np.float32), r"not whole"),
        (np.array([[[0, -3]]], np.int32), r"holds -3, and objects are numbered from 1"),
        (np.array([[[0, 12]]], np.int32), r"object numbers up to 12 are too many: .* up to 11 here"),
        (np.array([[[1, 0]], [[0, 1]], [[1, 1]]], np.uint8), r"numbered objects has 3 different channels"),
    ],
)
def test_what_numbers_no_objects_is_refused(tmp_path: Path, array: Array, what: str) -> None:
    with pytest.raises(UlnaError, match=rf"a\.tif: .*{what}"):
        read_numbers(saved(tmp_path / "a.tif", array), 11)


def test_a_palette_that_shows_two_objects_in_one_color_is_refused(tmp_path: Path) -> None:
    picture = Pillow.fromarray(np.array([[0, 1, 2]], np.uint8), mode="P")
    picture.putpalette([0, 0, 0, 9, 9, 9, 9, 9, 9])
    picture.save(tmp_path / "a.png")
    with pytest.raises(UlnaError, match=r"a\.png"):
        read_numbers(Source(tmp_path / "a.png"))


def test_the_smaller_class_is_painted_on_top() -> None:
    large, small, beside = np.array([1, 1, 1, 1, 0]), np.array([0, 20, 0, 0, 0]), np.array([0, 0, 0, 300, 300])
    painted, overlaps = on_top({"small": small, "large": large, "beside": beside})
    assert painted.tolist() == [[1, 20, 1, 300, 300]]
    assert overlaps == (Overlap("large", "beside", 1), Overlap("large", "small", 1, nested=True))
