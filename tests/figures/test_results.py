"""The picture of results: what its pixels say, what it is made of, and that hostile names do no harm."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from ulna.errors import UlnaError
from ulna.figures.results import (
    CORRECT,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    WRONG_CLASS,
    Comparison,
    difference,
    results_picture,
)

TRUTH = np.array([[0, 1, 1, 2], [0, 0, 1, 2]], np.uint8)
MASK = np.array([[0, 1, 0, 2], [1, 0, 1, 1]], np.uint8)


def _row(title: str = "best: a — Dice 0.9", *, shape: tuple[int, ...] = (40, 60), channels: int = 1) -> Comparison:
    rng = np.random.default_rng(0)
    image = rng.integers(255, size=(channels, *shape), dtype=np.uint8)
    return Comparison(title, image, *rng.integers(3, size=(2, 1, *shape), dtype=np.uint8))


def test_the_difference_says_what_each_pixel_is():
    found = difference(np.zeros((2, 4, 3), np.uint8), TRUTH, MASK)
    tints = {
        "right": CORRECT,
        "much": FALSE_POSITIVE,
        "missing": FALSE_NEGATIVE,
        "other": WRONG_CLASS,
        "none": (0, 0, 0),
    }
    expected = [["none", "right", "missing", "right"], ["much", "none", "right", "other"]]
    for y, x in np.ndindex(TRUTH.shape):
        assert found[y, x].tolist() == [round(0.85 * part) for part in tints[expected[y][x]]], (y, x)


def test_colors_differ_in_lightness_too():
    light = sorted(
        float(np.dot(tint, (0.2126, 0.7152, 0.0722))) for tint in (CORRECT, FALSE_POSITIVE, FALSE_NEGATIVE, WRONG_CLASS)
    )
    assert min(np.diff(light)) > 10


@pytest.mark.parametrize(
    "rows",
    [
        [_row()],
        [_row(shape=(200, 30)), _row(channels=3), _row(shape=(1, 1))],
        [_row(shape=(5, 30, 40)), _row(shape=(3, 20, 20), channels=2)],
        [Comparison("bare", None, TRUTH[None], MASK[None]), Comparison("none", None, TRUTH[None] * 0, MASK[None] * 0)],
    ],
    ids=["one", "odd shapes", "volumes", "no image"],
)
def test_any_rows_make_a_picture(tmp_path, rows):
    path = results_picture(tmp_path / "cases.png", rows, classes=("background", "cell", "nucleus"))
    with PIL.Image.open(path) as picture:
        assert picture.width == 1200
        assert picture.height > 200
        assert np.ptp(np.asarray(picture)) > 200
    assert list(tmp_path.iterdir()) == [path]


def test_a_volume_is_shown_where_it_is_fullest(tmp_path):
    truth = np.zeros((1, 4, 20, 20), np.uint8)
    truth[0, 3, 5:15, 5:15] = 1
    volume = Comparison("volume", np.zeros((1, 4, 20, 20), np.uint8), truth, truth)
    flat = Comparison("volume", volume.image[:, 3], truth[:, 3], truth[:, 3])
    ours = results_picture(tmp_path / "a.png", [volume], classes=("background", "cell"))
    other = results_picture(tmp_path / "b.png", [flat], classes=("background", "cell"))
    assert ours.read_bytes() == other.read_bytes()


def test_names_are_not_taken_for_formulas(tmp_path):
    row = _row("worst: $\\frac{broken$ \n\t\x00 _" + "x" * 300)
    results_picture(tmp_path / "cases.png", [row], classes=("background", "$_{", "_hidden"))


def test_nothing_to_show_is_said(tmp_path):
    with pytest.raises(UlnaError, match="no case to show"):
        results_picture(tmp_path / "cases.png", [], classes=("background", "cell"))
