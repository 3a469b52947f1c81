from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label, regionprops

from ulna.labels.touching import SOLID, Touching, _solidity, find_touching
from ulna.layouts import read_dataset
from ulna.synthetic import cells
from ulna.truth import load_truth


def test_cells_that_touch_are_suspected_and_single_ones_are_not() -> None:
    labels = [one[0] for _, one in cells(12, (128, 128))]
    found = find_touching([one > 0 for one in labels])
    several = sum(
        len(np.unique(one[piece == number])) > 1
        for one in labels
        for piece, count in [ndimage.label(one > 0)]
        for number in range(1, count + 1)
    )
    assert found.masks == 12
    assert found.pieces == sum(ndimage.label(one > 0)[1] for one in labels)
    assert 0.5 * several <= found.suspected <= several
    alone = [np.where(one == number, 1, 0) for one in labels[:4] for number in range(1, one.max() + 1)]
    assert find_touching(alone).suspected == 0


def test_pieces_are_of_one_class() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[2:10, 2:10] = mask[2:10, 20:28] = 1
    mask[20:30, 20:30], mask[29:39, 30:40] = 1, 2
    assert find_touching([mask]) == Touching(1, 4, 2, 0)
    mask[mask == 2] = 1
    mask[29, 29:31] = 1
    assert find_touching([mask]) == Touching(1, 3, 1, 1)


def test_volumes_and_masks_without_an_object() -> None:
    volume = np.zeros((30, 30, 60), bool)
    z, y, x = np.mgrid[:30, :30, :60]
    for center in ((15, 10, 10), (15, 10, 23), (15, 10, 45), (5, 25, 50)):
        volume |= sum((a - b) ** 2 for a, b in zip((z, y, x), center, strict=True)) < 49 - 13 * (center[2] > 23)
    assert find_touching([volume, volume * False]) == Touching(2, 3, 1, 1)
    assert str(find_touching([])) == "0 connected pieces in 0 masks"


def test_twenty_thousand_pieces_are_enough() -> None:
    dots = np.kron(np.ones((100, 101), bool), np.pad(np.ones((1, 1), bool), ((0, 1), (0, 1))))
    assert find_touching([dots] * 9) == Touching(2, 20_200, 0, 0)


def test_it_is_said_how_it_was_judged() -> None:
    assert str(Touching(1, 5, 2, 0)) == "5 connected pieces in 1 mask"
    words = str(Touching(2, 1500, 700, 1))
    assert words.startswith("1,500 connected pieces in 2 masks, 1 of which looks like several objects")
    assert "larger than the median" in words
    assert "90%" in words
    assert "such shapes" not in words
    assert str(Touching(2, 30, 14, 8)).endswith("so that single objects may have such shapes")


def test_solidity_is_nearly_that_of_scikit_image() -> None:
    for _, objects in cells(4, (128, 128)):
        for region in regionprops(label(objects[0] > 0)):
            if region.area > 50:
                assert _solidity(region.image) == pytest.approx(region.solidity, abs=0.04)
    assert _solidity(np.ones((1, 9), bool)) > SOLID


def test_what_the_docstring_says_of_real_nuclei(data: Path) -> None:
    """9 of 10 suspected pieces hold several objects; 7 of 10 of those that do are suspected."""
    suspected = several = both = 0
    for archive in ("dsb2018/stage1_train.zip", "monuseg/monuseg_train_crops.zip"):
        cases = [case for case in read_dataset(data / archive).cases if case.truth]
        for case in cases[:: max(len(cases) // 15, 1)]:
            mask = load_truth(case).array[0]
            pieces, count = ndimage.label(mask > 0)
            sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
            for number in np.flatnonzero(sizes > 20) + 1:
                inside = pieces == number
                middle = np.median(sizes)
                own = sizes[number - 1] > middle and _solidity(inside) < SOLID
                holds = len(np.unique(mask[inside])) > 1
                suspected, several, both = suspected + own, several + holds, both + (own and holds)
    assert both > 0.85 * suspected
    assert both > 0.6 * several
