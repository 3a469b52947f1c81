"""Images that overlap in any place share patches; what only looks alike, or stands in the same place, does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from small_images import cells, names
from ulna.image import Array
from ulna.leaks import OVERLAP, find_groups
from ulna.leaks.patches import KEPT, SIDE, find_overlaps, shared, sketch


@settings(max_examples=15, deadline=None)
@given(top=st.integers(0, 200), left=st.integers(0, 200), height=st.integers(40, 100), width=st.integers(40, 100))
def test_a_part_of_an_image_is_found(top: int, left: int, height: int, width: int) -> None:
    picture = cells((300, 300), 5)
    part = picture[:, top : top + height, left : left + width]
    (found,) = find_overlaps([sketch(image) for image in (picture, cells((300, 300), 6), part)])
    assert found[:2] == (0, 2)
    assert not shared(sketch(cells((300, 300), 6)), sketch(part))


@pytest.mark.parametrize("common", [12, 40, 100])
def test_overlapping_tiles_are_found(common: int) -> None:
    picture = cells((200, 300), 8)
    images = [picture[:, :, :160], picture[:, :, 160 - common : 320 - common], cells((200, 160), 9)]
    (pair,) = find_groups(images, names(images)).pairs
    assert (pair.first, pair.second, pair.kind) == (0, 1, OVERLAP)
    assert pair.strength >= 3


def test_tiles_that_overlap_at_a_corner() -> None:
    picture = cells((256, 256), 3)
    one, other = sketch(picture[:, :160, :160]), sketch(picture[:, 100:, 100:])
    whole = 160 - SIDE + 1
    part = 60 - SIDE + 1
    assert shared(one, other) == pytest.approx(KEPT * part**2 / whole**2, rel=0.3)


@pytest.mark.parametrize(
    "change",
    [
        lambda part: part.astype(np.uint16),
        lambda part: np.repeat(part, 3, axis=0),
        lambda part: part.astype(np.float32).astype(np.float64),
    ],
    ids=["16 bit", "rgb", "copy"],
)
def test_other_containers_of_the_same_values(change: Callable[[Array], Array]) -> None:
    picture = cells((200, 200), 5)
    part = picture[:, 50:150, 50:150]
    whole = change(picture) if change(part).dtype == np.float64 else picture
    assert shared(sketch(whole), sketch(change(part)))


def test_colors_differ_in_each_channel() -> None:
    picture = np.concatenate([cells((128, 128), seed) for seed in (1, 2, 3)])
    assert shared(sketch(picture), sketch(picture[:, 20:, 20:]))
    assert not shared(sketch(picture), sketch(picture[[1, 0, 2]][:, 20:, 20:]))


def test_volumes() -> None:
    volume = cells((12, 64, 64), 3)
    assert shared(sketch(volume), sketch(volume[:, 4:10, 10:60, 5:50]))
    assert shared(sketch(volume), sketch(volume[:, 4]))  # a plane is one of its volume
    assert not shared(sketch(volume), sketch(cells((64, 64), 4)))


def test_what_stands_in_the_same_places_is_no_overlap() -> None:
    images = [cells((128, 128), seed) for seed in (1, 2)]
    images[1][:, 20:, :] = images[0][:, 20:, :]
    assert not shared(*map(sketch, images))


def test_text_that_moves_is_no_overlap() -> None:
    text = np.random.default_rng(5).integers(0, 2, (20, 60)).astype(np.uint8) * 255
    images = [cells((160, 160), seed) for seed in range(4)]
    for k, image in enumerate(images):
        image[0, 10 + 30 * k : 30 + 30 * k, 20:80] = text
    prints = [sketch(image) for image in images]
    assert len(np.intersect1d(prints[0].hashes, prints[1].hashes)) >= 3
    assert list(find_overlaps(prints)) == []


def test_a_sketch_does_not_depend_on_stripes(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = cells((150, 170), 4)
    whole = sketch(picture)
    monkeypatch.setattr("ulna.leaks.patches.STRIPE", 3000)
    parts = sketch(picture)
    np.testing.assert_array_equal(whole.hashes, parts.hashes)
    np.testing.assert_array_equal(whole.places, parts.places)
    assert len(whole.hashes) == KEPT
    assert not whole.complete


@pytest.mark.parametrize("shape", [(1, 7, 100), (2, 30), (1, 1, 1), (1, 64, 64)])
def test_nothing_to_compare(shape: tuple[int, ...]) -> None:
    empty = sketch(np.zeros(shape))
    assert len(empty.hashes) == 0
    assert empty.complete
    assert not shared(empty, empty)
