"""Pages of volumes: proportions, one scale, letters and rulers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from ulna.figures.orthogonal import Orthogonal, orthogonal
from ulna.figures.sections import DPI, arrange, page, pixels, round_length
from ulna.grid import Grid

NAMES = ("background", "cell", "nucleus")
THICK = Grid((8, 40, 30), (5.0, 1.0, 1.0), "mm", (1.0, 2.0, 3.0))


def volume(grid: Grid = THICK, *, objects: bool = False) -> Orthogonal:
    truth = np.zeros((1 + objects, *grid.shape), np.uint8)
    truth[:, 2:5, 4:20, 4:20] = 1
    return orthogonal("a", truth[:1] * 9, grid, truth=truth, found=np.roll(truth, 2, axis=2), names=NAMES)


@pytest.mark.parametrize("spacing", [(5.0, 1.0, 1.0), (1.0, 1.0, 1.0), (0.2, 1.0, 3.0)])
def test_planes_have_the_proportions_of_their_voxels_and_one_scale(spacing: tuple[float, ...]) -> None:
    row = volume(replace(THICK, spacing=spacing))
    figure = page([row], NAMES)
    views = [view for section in row.sections for view in section.views]
    assert len(figure.axes) == len(views) == 6
    scales = []
    for axes, view in zip(figure.axes, views, strict=True):
        place, (width, height) = axes.get_position(), figure.get_size_inches()
        wide, high = place.width * width, place.height * height
        rows, columns = view.rgb.shape[:2]
        steps = view.cut.sides(spacing)
        assert (high / rows) / (wide / columns) == pytest.approx(steps[0] / steps[1])
        scales.append(wide / (columns * steps[1]))
        assert 0 <= place.x0 < place.x1 <= 1
        assert 0 <= place.y0 < place.y1 <= 1
    assert scales[:3] == pytest.approx([scales[0]] * 3)
    assert scales[3:] == pytest.approx([scales[3]] * 3)


def test_what_is_on_top_of_an_image_is_on_top_of_its_plane() -> None:
    truth = np.zeros((1, *THICK.shape), np.uint8)
    truth[0, 3, 30:36, 4:9] = 1
    image = np.zeros((1, *THICK.shape))
    image[:, :, :20] = 9
    figure = page([orthogonal("a", image, THICK, truth=truth, names=NAMES)], NAMES)
    drawn, place = pixels(figure)[..., 0], figure.axes[0].get_position()
    rows = [round((1 - y) * len(drawn)) for y in (place.y1 - 0.02, place.y0 + 0.02)]
    column = round((place.x0 + 0.8 * place.width) * drawn.shape[1])
    assert drawn[rows, column].tolist() == [255, 0]


def test_no_two_planes_overlap() -> None:
    for shape in ((8, 40, 30), (40, 40, 40), (3, 90, 90), (90, 20, 20)):
        figure = page([volume(Grid((8, 40, 30), tuple(n / m for n, m in zip(shape, (8, 40, 30), strict=True))))], NAMES)
        boxes = [axes.get_position() for axes in figure.axes]
        for place, one in enumerate(boxes):
            for other in boxes[place + 1 :]:
                assert not one.overlaps(other)


def test_thin_volumes_have_their_side_views_one_below_the_other() -> None:
    (first, second, third), scale = arrange([(100, 100), (20, 100), (20, 100)], 5.2)
    assert first.width == pytest.approx(2.5) == pytest.approx(100 * scale)
    assert (second.left, third.left) == (2.7, 2.7)
    assert third.top > second.top + second.height
    cubes, _ = arrange([(100, 100)] * 3, 50.0)
    assert {box.top for box in cubes} == {cubes[0].top}
    assert cubes[0].height == pytest.approx(3.4)  # no larger than needed


def test_truth_is_full_and_prediction_dashed_in_pixels_of_the_volume() -> None:
    row = volume()
    figure = page([row], NAMES)
    lines = [one for one in figure.axes[0].collections if isinstance(one, LineCollection)]
    styles = [one.get_linestyle()[0][1] for one in lines[:2]]
    assert styles[0] is None
    assert len(styles[1]) == 2
    around = lines[0].get_segments()[0]
    assert around.min(axis=0) == pytest.approx([4.25, 4.25], abs=0.01)
    assert around.max(axis=0) == pytest.approx([19.75, 19.75], abs=0.01)
    assert figure.axes[0].get_ylim() == (40, 0)  # rows run downwards
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["cell", "nucleus", "ground truth", "prediction"]
    assert [text.get_text() for text in page([row], NAMES[:2]).legends[0].get_texts()] == legend[2:]


def test_letters_and_ruler_stand_on_what_has_a_place() -> None:
    said = {text.get_text() for axes in page([volume()], NAMES).axes for text in axes.texts}
    assert said == {"R", "L", "A", "P", "S", "I", "5 mm"}
    assert not [text for axes in page([volume(Grid(THICK.shape))], NAMES).axes for text in axes.texts]
    thin = page([volume(replace(THICK, spacing=(0.1, 1.0, 1.0)))], NAMES).axes
    assert [len(axes.texts) for axes in thin[:3]] == [5, 0, 0]  # no room for letters at the sides


def test_the_ruler_is_as_long_as_it_says() -> None:
    axes = page([volume()], NAMES).axes[0]
    (bar,) = axes.lines
    length = float(next(text.get_text() for text in axes.texts if "mm" in text.get_text()).split()[0])
    assert np.ptp(bar.get_xdata()) == pytest.approx(length)
    for most in np.geomspace(1e-4, 1e5, 200):
        assert 0.39 * most < round_length(most) <= most * (1 + 1e-9)


def test_what_became_of_objects_is_in_the_legend() -> None:
    texts = [text.get_text() for text in page([volume(objects=True)], NAMES[:2]).legends[0].get_texts()]
    assert texts == ["found", "split", "merged", "missed", "false positive", "ground truth", "prediction"]


def test_cases_stand_in_columns() -> None:
    row = volume()
    alone = replace(row, sections=row.sections[:1], compared=False)
    figure = page([alone] * 3, NAMES, width=13.2, columns=2)
    lefts = [axes.get_position().x0 for axes in figure.axes[::3]]
    assert lefts[0] == lefts[2] < 0.5 < lefts[1]
    assert pixels(figure).shape[1] == pytest.approx(13.2 * DPI)
    assert len({text.get_text() for text in figure.texts if "largest" in text.get_text()}) == 1


def test_names_are_no_formulas_and_long_legends_wrap() -> None:
    row = replace(volume(), title="worst: $\\frac{broken$ " + "x" * 300)
    drawn = pixels(page([row], ("background", *(f"$_{{a rather long name of class {k}" for k in range(12)))))
    assert drawn.shape[1] == 1200


@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 700, 3), (300, 2, 2), (1, 1, 1)])
def test_volumes_of_odd_shapes_are_drawn(shape: tuple[int, ...]) -> None:
    truth = np.zeros((1, *shape), np.uint8)
    truth[0, :1, :1, :1] = 1
    row = orthogonal("a", np.full((1, *shape), np.nan), Grid(shape, (9.0, 0.1, 0.1), "mm", (1, 2, 3)), truth=truth)
    figure = page([row], NAMES)
    assert len(figure.axes) == 3
    assert pixels(figure).min() == 0
