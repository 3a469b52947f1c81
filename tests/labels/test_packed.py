"""The values of masks as whole numbers."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ulna.labels.packed import codes_of, counted, distinct, replaced


@settings(max_examples=40, deadline=None)
@given(
    colors=hnp.arrays(np.uint8, (3, 6, 7), elements=st.sampled_from([0, 1, 128, 255])),
    channels=st.sampled_from([1, 3, 4]),
    alpha=st.integers(0, 255),
    strip=st.sampled_from([5, 1 << 20]),
)
def test_distinct_values_are_counted(colors: np.ndarray, channels: int, alpha: int, strip: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ulna.labels.packed.STRIP", strip)
        mask = np.concatenate([colors, np.full((1, 6, 7), alpha, np.uint8)])[:channels]
        values, counts, _ = distinct(mask)
        shown = mask[: len(values)].reshape(len(values), -1).T.tolist()
        expected = Counter(map(tuple, shown))
        assert dict(zip(map(tuple, values[:, 0].T.tolist()), counts.tolist(), strict=True)) == expected
        assert len(expected) == len(set(map(tuple, mask.reshape(channels, -1).T.tolist())))


@settings(max_examples=60, deadline=None)
@given(
    codes=hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.int32, np.int64]),
        hnp.array_shapes(min_dims=2, max_dims=3, max_side=9),
        elements=st.integers(0, 127),
    ),
    offset=st.sampled_from([0, -300, 70_000, 1 << 40]),
    strip=st.sampled_from([4, 1 << 20]),
)
def test_codes_are_counted_and_replaced_in_strips(codes: np.ndarray, offset: int, strip: int) -> None:
    codes = codes.astype(np.int64) + offset if offset else codes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ulna.labels.packed.STRIP", strip)
        found, counts = counted(codes)
        expected = np.unique(codes, return_counts=True)
        np.testing.assert_array_equal(found, expected[0])
        np.testing.assert_array_equal(counts, expected[1])
        np.testing.assert_array_equal(replaced(codes, found, found * 2), codes.astype(np.int64) * 2)


def test_numbers_keep_their_type() -> None:
    for dtype in (np.uint8, np.int8, np.uint16, np.int32, np.uint32):
        assert codes_of(np.ones((3, 4, 4), dtype))[0].dtype == dtype
    for kind in (np.uint64, np.float32, bool):
        assert codes_of(np.ones((1, 4, 4), kind))[0].dtype == np.int64


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_large_mask_is_counted_in_little_memory(channels: int) -> None:
    mask = np.zeros((1, 4096, 4096), np.uint8)
    mask[:, 100:200] = 255
    mask = np.broadcast_to(mask, (channels, *mask.shape[1:]))
    tracemalloc.start()
    assert distinct(mask)[1].tolist() == [3996 * 4096, 100 * 4096]
    assert tracemalloc.get_traced_memory()[1] < 3 * mask[0].nbytes
    tracemalloc.stop()


def test_an_empty_mask_has_no_values() -> None:
    values, counts, _ = distinct(np.zeros((1, 0, 5), np.uint8))
    assert (values.shape, counts.shape) == ((1, 1, 0), (0,))


def test_colors_that_look_gray_and_differ_are_colors() -> None:
    """Three classes in colors whose mean is one gray; gray tinted by JPEG stays gray."""
    table = np.array([(0, 0, 0), (100, 100, 103), (100, 103, 100), (103, 100, 100)], np.uint8)
    numbers = np.repeat(np.arange(4), 16).reshape(8, 8)
    codes, colored = codes_of(np.moveaxis(table[np.where(numbers % 4 == 0, 0, numbers)], -1, 0))
    assert colored
    assert len(np.unique(codes)) == 4
    tinted = np.moveaxis(np.array([(0, 0, 0), (254, 255, 252)], np.uint8)[(numbers > 2).astype(int)], -1, 0)
    codes, colored = codes_of(tinted)
    assert (colored, np.unique(codes).tolist()) == (False, [0, 254])
