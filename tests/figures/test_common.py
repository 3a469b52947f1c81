"""Images for the eye, outlines and figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from skimage.segmentation import find_boundaries

from ulna.errors import UlnaError
from ulna.figures.common import (
    COLORS,
    DARK,
    annotated,
    color,
    edges,
    legend,
    new_figure,
    outline,
    overlay,
    plane,
    save_figure,
    to_rgb,
)
from ulna.image import IGNORE


@settings(max_examples=15, deadline=None)
@given(
    shape=st.sampled_from([(1, 8, 9), (2, 8, 9), (3, 8, 9), (5, 8, 9), (1, 4, 8, 9), (3, 4, 8, 9)]),
    dtype=st.sampled_from(["uint8", "uint16", "int32", "float32", "float64", "bool"]),
    seed=st.integers(0, 99),
)
def test_every_image_can_be_shown(shape: tuple[int, ...], dtype: str, seed: int) -> None:
    array = (np.random.default_rng(seed).random(shape) * 200).astype(dtype)
    rgb = to_rgb(array)
    assert rgb.shape == (8, 9, 3)
    assert rgb.dtype == np.uint8


def test_contrast_does_not_depend_on_the_scale() -> None:
    array = np.random.default_rng(0).integers(100, 4000, (1, 20, 20)).astype(np.uint16)
    assert (to_rgb(array) == to_rgb(array * 3.0 + 50)).mean() > 0.99
    assert to_rgb(array).max() == 255
    assert to_rgb(np.full((1, 4, 4), 7)).max() == 0
    assert to_rgb(np.array([[[np.nan, np.inf], [0, 1]]]))[0, 0, 0] == 0
    assert (to_rgb(np.full((1, 3, 3), np.nan)) == 0).all()


def test_colors_that_fill_their_range_stay_as_they_are() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (3, 20, 20), np.uint8)
    assert (to_rgb(rgb) == np.moveaxis(rgb, 0, -1)).all()


def test_planes() -> None:
    volume = np.arange(5)[None, :, None, None] * np.ones((2, 5, 3, 3))
    assert plane(volume)[0, 0, 0] == 2
    assert plane(volume, 4)[0, 0, 0] == 4
    with pytest.raises(UlnaError):
        plane(volume[0, 0])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_edges_are_those_of_scikit_image(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, (5, 6)).repeat(3, 0).repeat(3, 1)
    assert (edges(labels) == find_boundaries(labels, mode="inner", connectivity=1, background=0)).all()


def test_outlines_and_tints_stay_within_their_class() -> None:
    mask = np.zeros((20, 20), int)
    mask[3:10, 3:10], mask[12:18, 5:15] = 1, 2
    gray = np.full((20, 20, 3), 90, np.uint8)
    drawn = outline(gray, mask, width=2)
    assert (drawn[3, 3] == color(1)).all()
    assert (drawn[4, 4] == color(1)).all()
    assert (drawn[5, 5] == 90).all()
    assert (drawn[12, 5] == color(2)).all()
    tinted = overlay(gray, mask)
    assert (tinted[mask == 0] == 90).all()
    assert (tinted[mask > 0] != 90).any(axis=1).all()
    assert (gray == 90).all()


def test_there_is_a_color_for_every_class() -> None:
    assert len(set(COLORS)) == len(COLORS)
    assert color(1) == color(1 + len(COLORS)) != color(2)


def test_figures_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    figure = new_figure(1, 1)
    path = save_figure(figure, tmp_path / "a.png")
    with Pillow.open(path) as picture:
        assert picture.size == (120, 120)
    (tmp_path / "file").write_text("")
    with pytest.raises(UlnaError):
        save_figure(figure, tmp_path / "file" / "b.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "file"]


@pytest.mark.parametrize("ground", [0, 255])
def test_outlines_are_seen_on_any_ground(ground: int) -> None:
    mask = np.zeros((800, 900), int)
    mask[100:300, 100:300], mask[400:700, 200:800] = 1, 2
    drawn = annotated(np.full((800, 900, 3), ground, np.uint8), mask)
    assert drawn.shape == (800, 900, 3)
    for place in ((100, 150), (101, 150)):  # two pixels wide at this size
        assert tuple(drawn[place]) == color(1)
    assert tuple(drawn[102, 150]) != color(1)
    assert tuple(drawn[99, 150]) == DARK  # outside lies a dark border
    assert tuple(drawn[98, 150]) == (ground,) * 3
    assert tuple(drawn[400, 500]) == color(2)
    assert tuple(drawn[550, 500]) != (ground,) * 3


def test_a_legend_is_as_wide_as_its_picture_or_its_longest_name() -> None:
    names = ("background", *(f"class {index}" for index in range(12)))
    wide, narrow = legend(names, 2000), legend(names, 300)
    assert wide.shape[1] == 2000
    assert narrow.shape[1] == 300
    assert narrow.shape[0] >= 3 * legend(names[:2], 300).shape[0]
    assert legend(("background", "a" * 40), 10).shape[1] > 200
    for index in range(1, 8):
        assert (narrow.reshape(-1, 3) == color(index)).all(axis=1).any()
    assert (narrow.max(axis=2) == 255).any()  # letters


def test_a_picture_narrower_than_its_legend_is_filled_up() -> None:
    drawn = annotated(np.full((40, 30, 3), 90, np.uint8), np.zeros((40, 30), int), ("background", "a long name"))
    assert drawn.shape[1] > 60
    assert (drawn[:40, :30] == 90).all()
    assert (drawn[:40, 30:] == DARK[0]).all()


def test_what_is_not_annotated_is_darkened_and_not_outlined() -> None:
    gray = np.full((6, 6, 3), 100, np.uint8)
    mask = np.zeros((6, 6), np.uint8)
    mask[2:4] = IGNORE
    assert (overlay(gray, mask, opacity=0.25)[2:4] == 75).all()
    assert (overlay(gray, mask)[mask == 0] == 100).all()
    np.testing.assert_array_equal(outline(gray, mask), gray)
