"""Images for the eye, outlines and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image as Pillow
from skimage.segmentation import find_boundaries

from ulna.errors import UlnaError
from ulna.figures.annotated import annotated, annotated_objects
from ulna.figures.annotated import legend as drawn_legend
from ulna.figures.colors import DARK, color
from ulna.figures.common import (
    Rgb,
    darkened,
    edges,
    elided,
    flatness,
    new_figure,
    outlined,
    overlay,
    plane,
    save_figure,
    to_rgb,
    words,
)
from ulna.image import IGNORE, Labels


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
    low, high = np.percentile(array, (0.5, 99.8))
    expected = 255 * ((array[0] - low) / (high - low)).clip(0, 1)
    assert abs(to_rgb(array)[..., 2] - expected).max() <= 0.51
    specks = np.zeros((1, 100, 100))
    specks[0, 3, 3], specks[0, 5, 5] = 50, 100
    assert to_rgb(specks)[[3, 5, 7], [3, 5, 7], 0].tolist() == [128, 255, 0]
    assert to_rgb(np.full((1, 4, 4), 7)).max() == 0
    assert to_rgb(np.array([[[np.nan, np.inf], [0, 1]]]))[0, 0, 0] == 0
    assert (to_rgb(np.full((1, 3, 3), np.nan)) == 0).all()


def test_colors_that_fill_their_range_stay_as_they_are() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (3, 20, 20), np.uint8)
    assert (to_rgb(rgb) == np.moveaxis(rgb, 0, -1)).all()


def test_colors_that_are_gray_or_dark_are_stretched() -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(1, 16, 16) // 2
    assert to_rgb(np.repeat(gray, 3, axis=0)).max() == 255
    rgb = np.random.default_rng(0).integers(0, 256, (3, 20, 20), np.uint8)
    for brightest, stays in ((128, False), (129, True)):
        shown = np.minimum(rgb, brightest)
        assert (to_rgb(shown) == np.moveaxis(shown, 0, -1)).all() == stays
    for channel in (0, 2):  # one that differs makes it colorful
        shown = np.repeat(np.arange(0, 250, 5, dtype=np.uint8).reshape(1, 5, 10), 3, axis=0)
        shown[channel] = shown[channel, ::-1]
        np.testing.assert_array_equal(to_rgb(shown), np.moveaxis(shown, 0, -1))
    five = np.random.default_rng(0).random((5, 6, 6))
    np.testing.assert_array_equal(to_rgb(five), to_rgb(five[:3]))
    np.testing.assert_array_equal(to_rgb(five[:2]), to_rgb(five[:1]))


def test_planes() -> None:
    volume = np.arange(5)[None, :, None, None] * np.ones((2, 5, 3, 3))
    assert plane(volume)[0, 0, 0] == 2
    assert plane(volume, 4)[0, 0, 0] == 4
    assert plane(volume, 0)[0, 0, 0] == 0
    with pytest.raises(UlnaError, match=r"2 or 3 spatial axes after its channels, this has the shape \(3, 3\)"):
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
    shades = np.array([color(index) for index in range(3)])
    drawn = outlined(gray, mask, shades, opacity=0, width=2)
    assert (drawn[3, 3] == color(1)).all()
    assert (drawn[4, 4] == color(1)).all()
    assert (drawn[5, 5] == 189).all()  # the light line
    assert (drawn[6, 6] == 90).all()
    assert (drawn[12, 5] == color(2)).all()
    assert (outlined(gray, mask, shades, opacity=0)[5, 5] == 90).all()
    tinted = overlay(gray, mask)
    assert tinted[4, 4].tolist() == [round(0.6 * 90 + 0.4 * part) for part in color(1)]
    assert (tinted[mask == 0] == 90).all()
    assert (tinted[mask > 0] != 90).any(axis=1).all()
    assert (gray == 90).all()


def test_names_are_brought_to_one_line_of_a_length_that_fits() -> None:
    assert words("line\nbreak $x$") == r"line?break \$x\$"
    assert words("line\nbreak $x$", math=False) == "line?break $x$"
    assert words("_hidden") == " _hidden"
    assert words("a" * 110) == "a" * 110
    assert words("a" * 61 + "b" * 50) == "a" * 60 + " … " + "b" * 45
    assert elided("a" * 22) == "a" * 22
    assert elided("a" * 12 + "b" * 11) == "a" * 11 + "…" + "b" * 10


def test_what_is_high_or_wide_is_shown_within_bounds() -> None:
    assert [flatness(shape) for shape in ((3, 50, 100), (100, 50), (10, 100), (5, 0))] == [0.5, 1.6, 0.3, 1.6]


def legend(names: Sequence[str], width: int) -> Rgb:
    return drawn_legend([(color(index), name) for index, name in enumerate(names) if index], width)


def test_a_legend_is_exact() -> None:
    strip = legend(("background", "a", "$", "c"), 100)
    assert strip.shape == (48, 100, 3)  # two rows, for the third name does not fit into the first
    assert strip[0, 0].tolist() == list(DARK)
    for index, (left, top) in {1: (6, 6), 2: (43, 6), 3: (6, 30)}.items():
        square = (strip == color(index)).all(axis=2)
        rows, columns = np.flatnonzero(square.any(axis=1)), np.flatnonzero(square.any(axis=0))
        assert (rows[0], rows[-1], columns[0], columns[-1]) == (top, top + 11, left, left + 11), index
    assert legend(("background", "a"), 900).shape == (40, 900, 3)
    assert legend(("background", "a"), 5000).shape == (80, 5000, 3)


def test_figures_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    figure = new_figure(1, 1)
    path = save_figure(figure, tmp_path / "a.png")
    with Pillow.open(path) as picture:
        assert picture.size == (120, 120)
    assert save_figure(Figure(figsize=(1, 1), dpi=50), tmp_path / "b").read_bytes()[1:4] == b"PNG"
    (tmp_path / "b").unlink()
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
    assert min(drawn[102, 150]) > 150  # inside lies a light border
    assert max(drawn[110, 150]) < 150 or ground == 255
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


def test_objects_are_counted_below_in_the_colors_of_their_classes() -> None:
    objects = np.zeros((60, 400), np.int32)
    for number in range(1, 6):
        objects[20:40, 60 * number : 60 * number + 20] = number * 7
    classes = np.where(objects > 0, 1, 0).astype(np.uint8)
    gray = np.full((60, 400, 3), 90, np.uint8)
    one = annotated_objects(gray, Labels(classes, objects, names=("background", "cell")))
    assert one.shape[0] > 60
    assert one.shape[1] == 400
    outlines = {tuple(one[20, 60 * number + 10]) for number in range(1, 6)}
    assert len(outlines) > 1  # neighbors apart
    assert annotated_objects(gray, Labels(classes, objects), counted=False).shape == gray.shape
    classes[objects == 14] = 2
    two = annotated_objects(gray, Labels(classes, objects, names=("background", "cell", "debris")))
    assert [tuple(two[20, 60 * number + 10]) for number in range(1, 6)] == [color(1), color(2), *[color(1)] * 3]
    assert {color(1), color(2)} <= {tuple(pixel) for pixel in two[60:].reshape(-1, 3)}


def test_what_is_not_annotated_is_darkened_and_not_outlined() -> None:
    gray = np.full((6, 6, 3), 100, np.uint8)
    mask = np.zeros((6, 6), np.uint8)
    mask[2:4] = IGNORE
    assert (overlay(gray, mask, opacity=0.25)[2:4] == 75).all()
    assert (overlay(gray, mask)[mask == 0] == 100).all()
    np.testing.assert_array_equal(annotated(gray, mask), darkened(gray, mask == IGNORE))
