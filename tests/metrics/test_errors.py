"""Where the wrong pixels lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label
from skimage.morphology import dilation, erosion

from ulna.image import IGNORE
from ulna.metrics import Errors, locate


def blank(*shape: int) -> np.ndarray:
    return np.zeros((1, *shape), np.uint8)


def test_each_kind_of_error_is_counted_where_it_lies() -> None:
    truth, mask = blank(60, 60), blank(60, 60)
    truth[0, 5:25, 5:25] = mask[0, 5:25, 5:25] = 1
    mask[0, 5, 5:25] = 0  # a row of 20 pixels on the outline
    mask[0, 12:16, 12:16] = 0  # a hole well inside: 16
    truth[0, 40:45, 5:11] = 1  # 30 missed
    mask[0, 40:42, 40:45] = 1  # 10 false_positive
    assert locate(mask, truth) == Errors(outline=20, missed=30, false_positive=10, other=16)


def test_two_pixels_from_an_outline_are_near_and_three_are_not() -> None:
    truth, mask = blank(20, 20), blank(20, 20)
    truth[0, :, :10] = 1
    mask[0, :, :13] = 1
    assert locate(mask, truth) == Errors(outline=40, other=20)


def test_the_wrong_class_in_a_region_is_no_miss() -> None:
    truth, mask = blank(20, 20), blank(20, 20)
    truth[0, 2:18, 2:18], mask[0, 2:18, 2:18] = 1, 2
    found = locate(mask, truth)
    assert found.missed == found.false_positive == 0
    assert found.total == 16 * 16


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(12, 15), (5, 7, 6)]), st.floats(0.02, 0.6))
def test_all_wrong_pixels_are_counted_once_and_as_a_plain_loop_counts_them(
    seed: int, shape: tuple[int, ...], share: float
) -> None:
    generator = np.random.default_rng(seed)
    truth, mask = ((generator.random((1, *shape)) < share).astype(np.uint8) * 2 for _ in range(2))
    found = locate(mask, truth)
    wrong = mask != truth
    assert found.total == wrong.sum()

    def alone(regions: np.ndarray, others: np.ndarray) -> int:
        marked = label(regions[0] > 0)  # by default with diagonal neighbors
        untouched = [k for k in range(1, marked.max() + 1) if not (others[0][marked == k] > 0).any()]
        return int((np.isin(marked, untouched) & wrong[0]).sum())

    assert found.missed == alone(truth, mask)
    assert found.false_positive == alone(mask, truth)
    footprint = np.ones((5,) * len(shape))
    near = dilation(truth[0], footprint) != erosion(truth[0], footprint)
    assert found.outline <= int((near & wrong[0]).sum())


def test_errors_of_several_cases_add_up() -> None:
    assert Errors(1, 2, 3, 4) + Errors(10, 20, 30, 40) == Errors(11, 22, 33, 44)


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        (Errors(), ""),
        (
            Errors(outline=749, missed=249, false_positive=2),
            "Wrong pixels: 75% within 2 pixels of a true outline, 25% in missed regions.",
        ),
        (Errors(other=1), "Wrong pixels: 100% other."),
    ],
)
def test_the_sentence_begins_with_the_largest_share(errors: Errors, sentence: str) -> None:
    assert errors.sentence() == sentence


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_lies_on_ignored_pixels_is_no_error(seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth, mask, other = (draw.random((3, 1, 24, 24)) < 0.2).astype(np.uint8)
    ignored = np.zeros(truth.shape, bool)
    ignored[:, 5:14, 3:20] = True
    holed = np.where(ignored, IGNORE, truth).astype(np.uint8)
    found = locate(mask, holed)
    assert found.total == int(((mask != truth) & ~ignored).sum())
    assert locate(np.where(ignored, other, mask), holed) == found
