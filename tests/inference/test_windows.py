"""Windows: mirrored as numpy pads, also where the image is read region by region."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.inference.windows import bands, mirrored, read_window, window


@given(st.integers(-300, 300), st.integers(1, 200), st.integers(2, 40))
@settings(max_examples=50, deadline=None)
def test_mirrored_as_numpy_pads(start: int, length: int, size: int) -> None:
    axis = np.pad(np.arange(size), 700, mode="reflect")
    np.testing.assert_array_equal(mirrored(start, length, size), axis[700 + start : 700 + start + length])


def test_window_inside_and_outside() -> None:
    image = np.arange(2 * 5 * 6).reshape(2, 5, 6)
    np.testing.assert_array_equal(window(image, (1, 2), (3, 3)), image[:, 1:4, 2:5])
    padded = np.pad(image, ((0, 0), (3, 3), (3, 3)), mode="reflect")
    np.testing.assert_array_equal(window(image, (-3, -3), (11, 12)), padded)
    one = np.array([[[7]]])
    np.testing.assert_array_equal(window(one, (-2, -2), (4, 4)), np.full((1, 4, 4), 7))
    assert prod(window(one, (0, 0), (1, 1)).shape) == 1


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(-20, 20), st.integers(1, 25)), min_size=2, max_size=3),
)
@settings(max_examples=80, deadline=None)
def test_a_window_that_is_read_is_that_of_the_whole(axes: list[tuple[int, int, int]]) -> None:
    shape, start, size = zip(*axes, strict=True)
    image = np.arange(2 * prod(shape)).reshape(2, *shape)
    found = read_window(lambda region: image[(slice(None), *region)], shape, start, size)
    np.testing.assert_array_equal(found, window(image, start, size))


@pytest.mark.parametrize(("start", "size"), [((2, 3), (4, 5)), ((5, 3), (7, 4)), ((2, 6), (3, 9)), ((5, 6), (7, 8))])
def test_a_window_that_leaves_the_image_at_its_far_side_is_mirrored_there(
    start: tuple[int, int], size: tuple[int, int]
) -> None:
    image = np.arange(2 * 10 * 11).reshape(2, 10, 11)
    found = read_window(lambda region: image[(slice(None), *region)], (10, 11), start, size)
    padded = np.pad(image, ((0, 0), (0, 9), (0, 9)), mode="reflect")
    np.testing.assert_array_equal(found, padded[:, start[0] : start[0] + size[0], start[1] : start[1] + size[1]])


def test_of_a_window_only_what_it_needs_is_read() -> None:
    image, asked = np.arange(10_000).reshape(1, 100, 100), []
    read_window(lambda region: asked.append(region) or image[(slice(None), *region)], (100, 100), (-5, 20), (15, 30))
    assert asked == [(slice(0, 10), slice(20, 50))]


@pytest.mark.parametrize("values", [1, 35, 10_000])
def test_bands_are_the_image(values: int) -> None:
    image = np.arange(11 * 5 * 7).reshape(11, 5, 7)
    parts = [image[region] for region in bands(image.shape, values)]
    np.testing.assert_array_equal(np.concatenate(parts), image)
    assert max(map(len, parts)) == min(max(1, values // 35), 11)
