"""What is drawn of a volume: where its planes lie, what is outlined, and what is said of it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon
from scipy import ndimage

from ulna.figures.colors import FATES, NOT_ANNOTATED, color
from ulna.figures.common import UNANNOTATED
from ulna.figures.orthogonal import WEIGHTS, Orthogonal, View, orthogonal, outlines
from ulna.formats import read
from ulna.grid import Grid
from ulna.image import IGNORE, Source

NAMES = ("background", "cell", "nucleus")
GRID = Grid((9, 20, 30), (5.0, 1.0, 1.0), "mm", (1.0, 2.0, 3.0))


def empty(channels: int = 1) -> np.ndarray:
    return np.zeros((channels, *GRID.shape), np.uint8)


def colors(view: View, *, dashed: bool) -> set[tuple[int, int, int]]:
    return {contour.color for contour in view.contours if contour.dashed == dashed}


def titles(drawn: Orthogonal) -> list[str]:
    return [section.title for section in drawn.sections]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), high=st.floats(0.2, 6), wide=st.floats(0.2, 6))
def test_outlines_enclose_their_region_and_nothing_else(seed: int, high: float, wide: float) -> None:
    region = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(11, 13)), 1.2) > 0.05
    lines = outlines(region, (high, wide))
    rows, columns = np.indices(region.shape)
    centers = np.stack([(columns.ravel() + 0.5) * wide, (rows.ravel() + 0.5) * high], axis=1)
    around = np.sum([Polygon(line).contains_points(centers) for line in lines], axis=0) % 2 == 1  # holes are left out
    np.testing.assert_array_equal(np.broadcast_to(around, region.size), region.ravel())


def test_outlines_of_neighbors_lie_apart() -> None:
    plane = np.array([[1, 1, 2, 2]])
    (first,), (second,) = (outlines(plane == number, (1.0, 2.0)) for number in (1, 2))
    assert first[:, 0].max() == pytest.approx(3.5, abs=0.01)
    assert second[:, 0].min() == pytest.approx(4.5, abs=0.01)
    assert (first[0] == first[-1]).all()
    assert outlines(plane == 3) == []


def test_planes_lie_in_the_largest_true_and_the_largest_wrong_region() -> None:
    truth, found = empty(), empty()
    truth[0, 2:5, 4:10, 4:10], truth[0, 7, 1, 1] = 1, 2
    found[:] = truth
    found[0, 6:8, 12:18, 20:26] = 1
    drawn = orthogonal("a", None, GRID, truth=truth, found=found, names=NAMES)
    assert titles(drawn) == ["largest true region: 540 mm³", "largest wrong region: 360 mm³, false positive (cell)"]
    for section, inside in zip(drawn.sections, (truth == 1, (found == 1) & (truth == 0)), strict=True):
        axial, coronal, sagittal = (view.cut for view in section.views)
        assert inside[0, axial.place, coronal.place, sagittal.place]
        for view in section.views:
            assert color(1) in colors(view, dashed=True)
    first = drawn.sections[0].views
    assert [view.size for view in first] == [(20, 30), (45, 30), (45, 20)]  # 5 × 1 × 1 mm
    assert [view.rgb.shape[:2] for view in first] == [(20, 30), (9, 30), (9, 20)]
    axial, coronal, sagittal = (view.cut.place + 0.5 for view in first)
    assert first[0].crossing == (coronal, sagittal)
    assert first[1].crossing == (45 - 5 * axial, sagittal)  # the head is on top
    assert first[2].crossing == (45 - 5 * axial, coronal)
    near = drawn.sections[1].views[0]
    assert near.size < first[0].size
    assert near.crossing is not None


@pytest.mark.parametrize(
    ("expected", "seen", "words"),
    [
        (1, 0, "missed (cell)"), (0, 2, "false positive (nucleus)"), (1, 2, "nucleus instead of cell"),
        (IGNORE, 2, None), (1, 1, None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(expected: int, seen: int, words: str | None) -> None:
    truth, found = empty(), empty()
    truth[0, 1:3, 1:4, 1:4] = found[0, 1:3, 1:4, 1:4] = 1
    truth[0, 5:8, 9:14, 9:14], found[0, 5:8, 9:14, 9:14] = expected, seen
    said = titles(orthogonal("a", None, GRID, truth=truth, found=found, names=NAMES))
    assert said[1:] == ([f"largest wrong region: 375 mm³, {words}"] if words else [])
    if words and 0 in (expected, seen):
        short = titles(orthogonal("a", None, GRID, truth=truth > 0, found=found > 0, names=NAMES[:2]))[1]
        assert short == f"largest wrong region: 375 mm³, {words.split(' (')[0]}"


def test_each_side_has_its_lines_where_the_other_is_empty() -> None:
    one = empty()
    one[0, 2:4, 2:9, 2:9] = 1
    missed = orthogonal("a", None, GRID, truth=one, found=empty(), names=NAMES)
    assert len(missed.sections) == 2
    invented = orthogonal("a", None, GRID, truth=empty(), found=one, names=NAMES)
    assert titles(invented)[0] == "largest predicted region: 490 mm³"
    alone = orthogonal("a", None, GRID, found=one, names=NAMES)
    assert colors(alone.sections[0].views[0], dashed=False) == {color(1)}
    assert (missed.compared, alone.compared) == (True, False)
    nothing = orthogonal("a", None, GRID, truth=empty(), found=empty(), names=NAMES)
    assert titles(nothing) == ["nothing is outlined"]
    assert [view.cut.place for view in nothing.sections[0].views] == [4, 10, 15]


def test_classes_are_apart_without_colors_too() -> None:
    truth = empty()
    truth[0, 2:6, 2:9, 2:9], truth[0, 2:6, 2:9, 9:15] = 1, 2
    lines = orthogonal("a", None, GRID, truth=truth, found=truth, names=NAMES).sections[0].views[0].contours
    assert [(line.color, line.weight, line.dashed) for line in lines] == [
        (color(1), WEIGHTS[0], False), (color(2), WEIGHTS[1], False),
        (color(1), WEIGHTS[0], True), (color(2), WEIGHTS[1], True),
    ]  # fmt: skip
    assert len(set(WEIGHTS)) == len(WEIGHTS)


def test_objects_show_what_became_of_them() -> None:
    truth, found = empty(2), empty(2)
    for number, left in enumerate((1, 8, 15, 22), start=1):
        truth[:, 2:6, 4:10, left : left + 5] = np.array([1, number], np.uint8)[:, None, None, None]
    found[:] = truth
    found[:, 2:6, 4:10, 6:8] = np.array([1, 1], np.uint8)[:, None, None, None]
    found[1][found[1] == 2] = 1  # the first two merge
    found[:, found[1] == 4] = 0
    truth[0, :, 15:], truth[1, :, 15:], found[:, 2:6, 16:19, 2:9] = IGNORE, 0, 9
    found[0][found[0] == 9] = 1
    drawn = orthogonal("a", None, GRID, truth=truth, found=found, names=NAMES[:2])
    assert titles(drawn) == ["largest true object: 600 mm³", "largest wrong object: 1.44 cm³, merged"]
    axial = drawn.sections[0].views[0]
    assert colors(axial, dashed=False) == {FATES["merged"], FATES["found"], FATES["missed"]}
    assert colors(axial, dashed=True) == {FATES["merged"], FATES["found"], NOT_ANNOTATED}
    assert drawn.objects
    right = orthogonal("a", None, GRID, truth=truth, found=truth, names=NAMES[:2])
    assert titles(right) == ["largest true object: 600 mm³"]


def test_neighbors_differ_and_an_object_has_one_color_in_all_planes() -> None:
    truth = empty(2)
    truth[0, 2:7, 4:16, 4:24] = 1
    truth[1] = truth[0] * (1 + (np.indices(GRID.shape)[0] > 4) + 2 * (np.indices(GRID.shape)[2] > 12)) * 70
    views = orthogonal("a", None, GRID, truth=truth, names=NAMES[:2]).sections[0].views
    own = [view.cut.of(truth[1]) for view in views]
    shades: dict[int, set[tuple[int, int, int]]] = {}
    for view, plane in zip(views, own, strict=True):
        for number, contour in zip(np.unique(plane[plane > 0]).tolist(), view.contours, strict=True):
            shades.setdefault(number, set()).add(contour.color)
    assert all(len(found) == 1 for found in shades.values())
    assert len(set.union(*shades.values())) == len(shades) > 2


def test_what_nobody_annotated_is_darker() -> None:
    truth = empty()
    truth[0, 3:6, 5:9, 5:9], truth[0, 6:] = 1, IGNORE
    image = np.full((1, *GRID.shape), 200.0)
    image[0, 0, 0, 0] = 0
    drawn = orthogonal("a", image, GRID, truth=truth, names=NAMES)
    coronal = drawn.sections[0].views[1].rgb[::-1]  # the head is on top
    assert coronal[5].min() == 255
    assert coronal[6].max() == int(UNANNOTATED * 255)
    assert drawn.unannotated


def test_of_several_channels_the_one_that_is_shown_is_named() -> None:
    truth = empty()
    truth[0, 3:6, 5:9, 5:9] = 1
    image = np.stack([truth[0] * 0, truth[0] * 9])
    assert orthogonal("a", image, GRID, truth=truth, names=NAMES).title == "a (channel 2 of 2)"


def test_an_image_is_a_volume_of_one_plane() -> None:
    truth = np.zeros((1, 20, 30), np.uint8)
    truth[0, 3:9, 5:9] = 1
    drawn = orthogonal("a", truth * 9, Grid((20, 30)), truth=truth, found=truth * 0, names=NAMES[:2])
    assert titles(drawn) == ["largest true region: 24 pixels", "largest wrong region: 24 pixels, missed"]
    assert [len(section.views) for section in drawn.sections] == [1, 1]


def test_no_volume_is_copied_as_numbers_of_many_bytes() -> None:
    shape = (100, 120, 120)
    image = np.broadcast_to(np.int16(3), (1, *shape))  # takes no memory
    truth = np.zeros((1, *shape), np.uint8)
    truth[0, 40:50, 50:60, 50:60] = 1
    found = np.roll(truth, 4, axis=2)
    tracemalloc.start()
    orthogonal("a", image, Grid(shape), truth=truth, found=found, names=NAMES)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * truth.nbytes


def test_many_pixels_are_thinned() -> None:
    truth = np.zeros((1, 3, 2, 2500), np.uint8)
    truth[0, 1, 1, 100:900] = 1
    first = orthogonal("a", truth, Grid((3, 2, 2500)), truth=truth, names=NAMES).sections[0].views[0]
    assert first.rgb.shape == (2, 1250, 3)
    assert first.size == (2, 2500)
    assert np.flatnonzero(first.rgb[1, :, 0]).tolist() == list(range(50, 450))


def test_a_spleen_stands_as_radiologists_look_at_it(data: Path) -> None:
    image = read(Source(data / "spleen" / "sub-spleen2_ct.nii.gz"))
    truth = (read(Source(data / "spleen" / "sub-spleen2_ct_seg-manual.nii.gz")).array > 0).astype(np.uint8)
    drawn = orthogonal("a", image.array, image.grid, truth=truth, names=("background", "spleen"))
    axial, coronal, _ = drawn.sections[0].views
    assert (axial.cut.title, coronal.cut.title) == ("axial, slice 16 of 26", "coronal, slice 69 of 166")
    assert axial.cut.ends == ("R", "L", "A", "P")
    assert coronal.size[0] == pytest.approx(26 * 5)
    spleen, lung = coronal.rgb[11, 90], coronal.rgb[1, 30]  # below the diaphragm, and above
    assert (spleen[0] > 120, lung[0]) == (True, 0)
