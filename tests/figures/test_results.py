"""The picture of results: what its pixels say, what it is made of, and that hostile names do no harm."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from ulna.errors import UlnaError
from ulna.figures import results
from ulna.figures.colors import CORRECT, FALSE_POSITIVE, MISSED, NOT_ANNOTATED, WRONG_CLASS, color
from ulna.figures.orthogonal import Orthogonal
from ulna.figures.results import Comparison, difference, results_picture
from ulna.image import IGNORE

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
        "missing": MISSED,
        "other": WRONG_CLASS,
        "none": (0, 0, 0),
    }
    expected = [["none", "right", "missing", "right"], ["much", "none", "right", "other"]]
    for y, x in np.ndindex(TRUTH.shape):
        assert found[y, x].tolist() == [round(0.85 * part) for part in tints[expected[y][x]]], (y, x)


def test_pixels_that_are_not_annotated_are_no_errors():
    truth = np.array([[255, 255, 1]], np.uint8)
    found = difference(np.zeros((1, 3, 3), np.uint8), truth, np.array([[0, 2, 1]], np.uint8))
    gray = [round(0.85 * part) for part in NOT_ANNOTATED]
    assert found[0, 0].tolist() == found[0, 1].tolist() == gray
    assert found[0, 2].tolist() == [round(0.85 * part) for part in CORRECT]


@pytest.fixture
def legends(monkeypatch) -> list[str]:
    """What the legends of figures say."""
    named: list[str] = []
    monkeypatch.setattr(results, "_key", lambda _, patches, *__: named.extend(one.get_label() for one in patches))
    return named


@pytest.mark.parametrize(
    ("truth", "mask", "rare"),
    [
        ([[0, 1]], [[1, 1]], []),
        ([[2, 1]], [[1, 1]], ["wrong class"]),
        ([[255, 1]], [[1, 1]], ["not annotated"]),
        ([[255, 1, 2]], [[1, 1, 1]], ["wrong class", "not annotated"]),
    ],
)
def test_the_legend_names_what_there_is(tmp_path, legends, truth, mask, rare):
    row = Comparison("a", None, np.array([truth], np.uint8), np.array([mask], np.uint8))
    results_picture(tmp_path / "cases.png", [row], classes=("background", "cell", "nucleus"))
    assert legends == ["cell", "nucleus", "correct", "false positive", "false negative", *rare]


def test_a_class_has_its_color_also_where_it_is_alone(tmp_path, monkeypatch):
    """A prediction without the second class was white beside a truth in colors."""
    shown: dict[str, np.ndarray] = {}
    monkeypatch.setattr(results, "show", lambda axes, picture, name: shown.update({name: picture}))
    row = Comparison("a", None, np.array([[[0, 1, 2, 255]]], np.uint8), np.array([[[0, 1, 1, 1]]], np.uint8))
    results_picture(tmp_path / "cases.png", [row], classes=("background", "cell", "nucleus"))
    assert shown["ground truth"][0].tolist() == [[0, 0, 0], list(color(1)), list(color(2)), list(NOT_ANNOTATED)]
    assert shown["prediction"][0].tolist() == [[0, 0, 0], *3 * [list(color(1))]]
    results_picture(tmp_path / "cases.png", [row], classes=("background", "cell"))
    assert shown["prediction"][0, 1].tolist() == [255, 255, 255]


@pytest.fixture
def shown(monkeypatch) -> dict[str, np.ndarray]:
    """What the cells of figures show."""
    cells: dict[str, np.ndarray] = {}
    monkeypatch.setattr(results, "show", lambda axes, picture, name: cells.update({name: picture}))
    return cells


@pytest.mark.parametrize(("side", "step"), [(1000, 1), (1999, 1), (2000, 2)])
@pytest.mark.parametrize("objects", [False, True])
def test_of_large_images_every_so_manieth_pixel_is_shown(tmp_path, shown, side, step, objects):
    truth = np.zeros((1 + objects, 2, side), np.uint8)
    truth[:, :, 100:110] = 1
    image = np.arange(2 * side).reshape(1, 2, side)
    results_picture(tmp_path / "cases.png", [Comparison("a", image, truth, truth)], classes=("background", "cell"))
    assert (
        shown["image"].shape == shown["ground truth"].shape == shown["difference"].shape == (2 // step, side // step, 3)
    )
    drawn = shown["ground truth"][0, 100 // step : 110 // step]
    assert (drawn > 0).any(axis=1).all()
    assert not (shown["ground truth"][0, 110 // step + 2 :] > 0).all(axis=1).any() or objects


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


def test_volumes_are_shown_in_planes_whole_or_taken_out_before(tmp_path):
    truth = np.zeros((1, 4, 20, 20), np.uint8)
    truth[0, 3, 5:15, 5:15] = 1
    volume = Comparison("volume", truth * 9, truth, truth)
    classes = ("background", "cell")
    ours = results_picture(tmp_path / "a.png", [volume], classes=classes)
    other = results_picture(tmp_path / "b.png", [volume.in_planes(classes)], classes=classes)
    assert ours.read_bytes() == other.read_bytes()
    assert volume.in_planes(classes).sections[0].views[0].cut.place == 3


def test_names_are_not_taken_for_formulas(tmp_path):
    row = _row("worst: $\\frac{broken$ \n\t\x00 _" + "x" * 300)
    results_picture(tmp_path / "cases.png", [row], classes=("background", "$_{", "_hidden"))


def test_nothing_to_show_is_said(tmp_path):
    with pytest.raises(UlnaError, match="no case to show"):
        results_picture(tmp_path / "cases.png", [], classes=("background", "cell"))


def test_of_crowded_volumes_the_worst_plane_is_shown_as_an_image():
    """Outlines of membranes would hide all."""
    walls = np.zeros((1, 4, 400, 400), np.uint8)
    walls[..., ::6, :] = walls[..., ::6] = 1
    mask = walls.copy()
    mask[0, 2, :9] = 0
    mask[0, 1, :30] = 0
    truth = walls.copy()
    truth[0, 1] = IGNORE  # what nobody annotated is not wrong
    row = Comparison("worst: a", walls * 9, truth, mask).reduced(("background", "wall"))
    assert isinstance(row, Comparison)
    assert row.title == "worst: a, slice 3 of 4"
    np.testing.assert_array_equal(row.truth, truth[:, 2])
    np.testing.assert_array_equal(row.mask, mask[:, 2])
    assert row.mask.base is None  # the volume need not stay in memory
    tall = np.repeat(np.repeat(walls[:, :, :20, :20], 20, axis=2), 20, axis=3)
    assert isinstance(Comparison("a", tall, tall, tall).reduced(("background", "wall")), Orthogonal)
