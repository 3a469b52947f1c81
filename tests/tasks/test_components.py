"""Classes in one piece: the largest component as scikit-image finds it, and only where that is better."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.measure import label

from ulna import tasks
from ulna.config import Config, TaskConfig
from ulna.errors import UlnaError
from ulna.image import IGNORE, Labels
from ulna.tasks.components import keep_largest, single

NAMES = ("background", "a", "b")


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=3, max_side=7), elements=st.integers(0, 2)))
def test_what_is_kept_is_the_largest_component(classes: np.ndarray) -> None:
    kept = keep_largest(classes, [(1,)])
    np.testing.assert_array_equal(kept == 2, classes == 2)
    numbers = label(classes == 1)  # by default with corners
    if numbers.max():
        sizes = np.bincount(numbers.ravel())[1:]
        assert np.count_nonzero(kept == 1) == sizes.max()
        assert len(np.unique(numbers[kept == 1])) == 1
    assert not ((kept == 1) & (classes != 1)).any()
    np.testing.assert_array_equal(keep_largest(kept, [(1,)]), kept)


def labels(*rows: str) -> Labels:
    return Labels(np.array([[int(one) if one != "x" else IGNORE for one in row] for row in rows], np.uint8))


def test_a_class_is_kept_in_one_piece_where_that_is_better() -> None:
    truth = labels("1110022")
    assert single([(labels("1110122"), truth)], NAMES) == ("a",)
    assert single([(labels("1111022"), truth)], NAMES) == ()  # nothing would change
    assert single([(labels("1010022"), truth)], NAMES) == ()  # a part of the true piece would be lost
    assert single([(labels("2110022"), truth)], NAMES) == ("b",)
    assert single([(labels("1110122"), truth), (labels("1010022"), truth)], NAMES) == ()  # worse on the whole
    assert single([], NAMES) == ()


def test_classes_that_are_one_piece_together_are_cleaned_together() -> None:
    truth = labels("0112200000000")
    found = labels("0112200022200")  # more was taken for 'b' elsewhere than there is of it
    assert single([(found, truth)], NAMES) == ("a+b",)
    np.testing.assert_array_equal(keep_largest(found.classes, [(1, 2)]), truth.classes)
    assert not (keep_largest(found.classes, [(2,)])[:, :6] == 2).any()  # by itself, it would be lost
    assert single([(labels("0112200000000"), truth)], NAMES) == ()
    slips = labels("0112020000010")  # a piece within reach of the rest, and one that is not
    assert single([(slips, labels("0112220000000"))], NAMES) == ("a",)
    apart = labels("0110220000000")
    assert single([(labels("0110220000222"), apart)], NAMES) == ()  # two pieces, of which one would go
    assert single([(labels("0110220000220"), apart), (labels("0110222000200"), apart)], NAMES) == ("b",)


def test_after_all_together_classes_are_cleaned_by_themselves() -> None:
    truth = labels("0111222000000")
    found = labels("0211222002222")
    assert single([(found, truth)], NAMES) == ("a+b", "b")
    kept = keep_largest(found.classes, [(2,), (1, 2)])
    np.testing.assert_array_equal(kept, labels("0011222000000").classes)


@pytest.mark.parametrize(
    ("pairs", "names"),
    [
        ([("0112200022200", "0112200000000"), ("0110022220000", "0110000000000")], NAMES),  # a class is lost in one
        ([("0112200022200", "0112200000000")], (*NAMES, "c")),  # nobody knows where 'c' lies
        ([("0112200022200", "0112200000000")], ("background", "a", "b+")),  # a name that cannot be joined
        ([("1" * 300 + "0222", "1" * 300 + "0200")], NAMES),  # a small class lies apart from a large one
    ],
)
def test_all_together_where_any_class_would_suffer(pairs: list[tuple[str, str]], names: tuple[str, ...]) -> None:
    found = single([(labels(one), labels(other)) for one, other in pairs], names)
    assert not any("+" in name and name not in names for name in found)


def test_a_name_within_a_joint_that_no_class_has() -> None:
    with pytest.raises(UlnaError, match="there is no class 'c'"):
        tasks.build(TaskConfig(largest_component=("a + c",)), NAMES)


def test_a_class_of_several_true_pieces_is_never() -> None:
    assert single([(labels("1110100"), labels("1110001"))], NAMES) == ()
    slip = Labels(np.array([[1] * 150 + [0, 1]], np.uint8))
    found = Labels(np.array([[1] * 140 + [0] * 10 + [1, 0]], np.uint8))
    assert single([(found, slip)], NAMES) == ("a",)


def test_what_is_annotated_in_part_says_nothing() -> None:
    assert single([(labels("11101"), labels("1110x"))], NAMES) == ()


def test_a_class_that_no_truth_shows_stays() -> None:
    assert single([(labels("11101"), labels("22200"))], NAMES) == ()


def test_what_is_set_is_known() -> None:
    config = TaskConfig(largest_component=("b",))
    assert tasks.build(config, NAMES).one_piece == ((2,),)
    assert tasks.build(TaskConfig(largest_component=("a+b", "b")), NAMES).one_piece == ((1, 2), (2,))
    assert tasks.build(TaskConfig(largest_component=("a+b",)), ("background", "a+b", "c")).one_piece == ((1,),)
    assert not tasks.build(config, NAMES).fits_volumes
    with pytest.raises(UlnaError, match="there is no class 'c'"):
        tasks.build(TaskConfig(largest_component=("c",)), NAMES)
    with pytest.raises(UlnaError, match="classes of objects may be in several pieces"):
        tasks.build(config.model_copy(update={"name": "instances"}), NAMES)
    with pytest.raises(UlnaError, match="regions may be in several pieces"):
        tasks.build(config, NAMES, (("both", (1, 2)), ("b", (2,))))
    assert Config().task.largest_component is None
