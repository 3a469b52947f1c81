"""Masks with one channel per class."""

from __future__ import annotations

import numpy as np
import pytest

from simulated_masks import cell_types, rings
from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.labels.classes import Classes
from ulna.labels.inference import infer, interpret
from ulna.labels.packed import distinct

NOTHING = DataConfig()


def stacked(masks: list[np.ndarray], channels: range, value: int = 255) -> list[np.ndarray]:
    """Class k in its own channel, (C, Y, X) uint8."""
    return [np.concatenate([mask == k for k in channels]).astype(np.uint8) * np.uint8(value) for mask in masks]


@pytest.mark.parametrize("value", [1, 255])
def test_two_classes_in_two_channels(value: int) -> None:
    clean = cell_types(0, 2)
    clean[0][clean[0] == 2] = 0  # the first mask has nothing in its second channel
    masks = stacked(clean, range(1, 3), value)
    found = interpret(masks, NOTHING)
    assert found.classes.kind == "channels"
    assert found.classes.names == ("background", "class 1 (channel 1)", "class 2 (channel 2)")
    assert not found.doubts
    for mask, truth in zip(masks, clean, strict=True):
        np.testing.assert_array_equal(found.classes.to_indices(mask), truth)
        values, counts, _ = distinct(mask)
        np.testing.assert_array_equal(
            np.bincount(found.classes.to_indices(values).ravel(), counts, 3), np.bincount(truth.ravel(), minlength=3)
        )
    again = infer((), DataConfig(classes=found.classes.names, values=found.classes.values))
    assert (again.kind, again.values) == (found.classes.kind, found.classes.values)
    np.testing.assert_array_equal(again.to_indices(masks[1]), clean[1])


@pytest.mark.parametrize("classes", [2, 4])
def test_one_hot_masks_with_the_background_as_a_channel(classes: int) -> None:
    clean = cell_types(1, classes - 1)
    masks = stacked(clean, range(classes))
    found = infer(masks, NOTHING)
    assert found.values == tuple((f"channel {k + 1}",) for k in range(classes))
    np.testing.assert_array_equal(found.to_indices(masks[2]), clean[2])


def test_four_channels_of_which_none_is_alpha() -> None:
    clean = cell_types(2, 4)
    masks = stacked(clean, range(1, 5))
    np.testing.assert_array_equal(infer(masks, NOTHING).to_indices(masks[3]), clean[3])


def test_channels_that_overlap_are_said_and_the_smaller_class_wins() -> None:
    clean = rings(0, (1, 4))
    masks = [np.concatenate([mask > k for k in range(4)]).astype(np.uint8) * np.uint8(255) for mask in clean]
    found = interpret(masks, NOTHING)
    np.testing.assert_array_equal(found.classes.to_indices(masks[3]), clean[3])
    (doubt,) = found.doubts
    share = np.mean([(mask > 1).mean() for mask in clean])
    assert f"overlap in {share:.2%} of the pixels" in doubt.what


def test_three_channels_are_colors() -> None:
    clean = cell_types(3, 3)
    for value in (1, 255):
        found = infer(stacked(clean, range(1, 4), value), NOTHING)
        assert found.kind == "colors"
        assert len(found.names) == 4


def test_predicted_masks_hold_the_numbers_of_the_classes() -> None:
    clean = cell_types(0, 2)
    found = infer(stacked(clean, range(1, 3)), NOTHING)
    written = found.to_values(clean[1].astype(np.uint8))
    np.testing.assert_array_equal(written, clean[1])
    np.testing.assert_array_equal(found.to_indices(written), clean[1])
    with pytest.raises(UlnaError, match="holds 0, 3, which belong to no class"):
        found.to_indices(np.array([[[0, 3]]], np.uint8))


def test_masks_with_and_without_channels_do_not_mix() -> None:
    clean = cell_types(0, 2)
    masks = [*stacked(clean[:3], range(1, 3)), clean[3]]
    with pytest.raises(UlnaError, match="some masks have one channel per class and others do not") as raised:
        infer(masks, NOTHING, names="abcd")
    assert raised.value.where == "d"


def test_too_many_channels_are_refused() -> None:
    with pytest.raises(UlnaError, match="the mask has 5 channels") as raised:
        infer(stacked(cell_types(0, 4), range(5)), NOTHING)
    assert "up to 4 that show one class each" in raised.value.hint


def test_an_unseen_combination_of_channels_is_named() -> None:
    found = Classes(("background", "a", "b"), (("no channel",), ("channel 1",), ("channel 2",)), "channels", "")
    with pytest.raises(UlnaError, match=r"holds channels 1\+2, which belong to no class"):
        found.to_indices(np.ones((2, 3, 3), np.uint8))
