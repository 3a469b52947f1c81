"""Masks on the grids of their images."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import nibabel
import nibabel.processing
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.alignment import Misplaced, aligned, is_unset, judge, on_grid, rounded, same_planes
from ulna.config import DataConfig
from ulna.dataset import Case, load_image, slab
from ulna.formats import read
from ulna.formats.world import matrix_of
from ulna.image import Grid, Image, Source
from ulna.jobs.evaluate import evaluate
from ulna.labels.inference import infer
from ulna.orientation import Orientation
from ulna.store import build
from ulna.truth import load_truth, placed_truth

TILT = ((1, 0, 0), (0, math.cos(0.2), -math.sin(0.2)), (0, math.sin(0.2), math.cos(0.2)))
PLACED = Grid((6, 7, 8), (3.0, 0.5, 0.7), "mm", (10.0, -5.0, 2.0), TILT)
STRAIGHT = Grid((6, 7, 8), (3.0, 0.5, 0.7), "mm", (10.0, -5.0, 2.0))


def mask(grid: Grid, seed: int = 0) -> Image:
    """Labels 0, 1 and 2 in the middle of a grid."""
    array = np.zeros((1, *grid.shape), np.uint8)
    inner = array[0, 1:-1, 1:-1, 1:-1]
    inner[...] = np.random.default_rng(seed).integers(0, 3, inner.shape)
    return Image(array, grid)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("turned", list(product((False, True), repeat=3)))
def test_a_mask_that_is_stored_in_another_way_is_turned_exactly(
    order: tuple[int, ...], turned: tuple[bool, ...]
) -> None:
    upright, way = mask(PLACED), Orientation(order, turned)
    stored = Image(way.apply(upright.array), way.grid(PLACED))
    found, verdict = aligned(stored, PLACED, where="a")
    assert verdict.kind == ("resampled" if way.changes else "same")
    np.testing.assert_array_equal(found.array, upright.array)
    assert found.grid == PLACED


@settings(max_examples=25, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.4, 3)] * 3),
    shape=st.tuples(*[st.integers(3, 9)] * 3),
    angle=st.sampled_from([0.0, 0.1, 0.4]),
    seed=st.integers(0, 99),
)
def test_values_are_those_that_nibabel_takes(
    spacing: tuple[float, float, float], shape: tuple[int, int, int], angle: float, seed: int
) -> None:
    """Oblique or straight, finer or coarser: as nearest neighbors of another library."""
    turn = ((1, 0, 0), (0, math.cos(angle), -math.sin(angle)), (0, math.sin(angle), math.cos(angle)))
    grid = Grid(shape, tuple(round(side, 3) + 0.0123 for side in spacing), "mm", (9.3, -4.7, 2.2), turn)
    own = STRAIGHT if angle == 0 else PLACED  # along the same axes, and oblique to each other
    labels = mask(own, seed)
    library = [
        nibabel.Nifti1Image(array.T, matrix_of(one, ras=True))
        for array, one in ((labels.array[0], own), (np.zeros(shape, np.uint8), grid))
    ]
    expected = nibabel.processing.resample_from_to(library[0], library[1], order=0, cval=0)
    found = on_grid(labels.array, own, grid)
    # on a tie, and at the outer half of the last voxel, two libraries may take another neighbor
    assert np.mean(found[0] != np.asarray(expected.dataobj).T) <= 0.02


@pytest.mark.parametrize(
    ("own", "image", "kind"),
    [
        (STRAIGHT, STRAIGHT, "same"),
        (replace(STRAIGHT, origin=(10.0, -5.0, 2.0001)), STRAIGHT, "same"),
        (replace(STRAIGHT, origin=(10.0, -5.0, 2.01)), STRAIGHT, "rounding"),
        (replace(STRAIGHT, origin=()), STRAIGHT, "origin"),
        (STRAIGHT, replace(STRAIGHT, origin=()), "origin"),
        (Grid((6, 7, 8)), STRAIGHT, "unset"),
        (Grid((6, 7, 8), unit="mm", direction=((1, 0, 0), (0, -1, 0), (0, 0, -1))), PLACED, "unset"),
        # no more than the size of voxels is known: axes as in a matrix with nothing but a diagonal
        (replace(STRAIGHT, origin=(), direction=((1, 0, 0), (0, -1, 0), (0, 0, -1))), STRAIGHT, "unset"),
        # one begins at 0, and the axes of the other point elsewhere: that may be a mirrored mask
        (replace(STRAIGHT, origin=()), replace(STRAIGHT, direction=((1, 0, 0), (0, -1, 0), (0, 0, -1))), "unset"),
        (replace(STRAIGHT, direction=((1, 0, 0), (0, -1, 0), (0, 0, -1))), replace(STRAIGHT, origin=()), "unplaced"),
        (STRAIGHT, Grid((6, 7, 8)), "silent"),
        (Grid((6, 7, 8)), Grid((6, 7, 8), unit="mm"), "same"),
        (replace(STRAIGHT, origin=(40.0, -5.0, 2.0)), STRAIGHT, "elsewhere"),
        (replace(STRAIGHT, spacing=(3.0, 0.8, 0.7)), STRAIGHT, "elsewhere"),
        # mirrored, and then it lies beside the image
        (replace(STRAIGHT, direction=((1, 0, 0), (0, 1, 0), (0, 0, -1))), STRAIGHT, "elsewhere"),
        (Grid((6, 7, 9)), STRAIGHT, "size"),
        (replace(STRAIGHT, shape=(6, 7, 9)), Grid((6, 7, 8)), "size"),
        (Grid((12, 14, 16), (1.5, 0.25, 0.35), "mm", (9.25, -5.125, 1.825)), STRAIGHT, "resampled"),
        (Grid((6, 7, 9), (3.0, 0.5, 0.7), "mm", (100.0, -5.0, 2.0)), STRAIGHT, "elsewhere"),
        (Grid((6, 7, 9), (3000, 500, 700), "µm", (10000, -5000, 2000)), STRAIGHT, "resampled"),
        (Grid((6, 7, 9), (3, 0.5, 0.7), "inch", (10, -5, 2)), STRAIGHT, "size"),
    ],
)
def test_what_is_harmless_what_is_fixed_and_what_is_fatal(own: Grid, image: Grid, kind: str) -> None:
    verdict = judge(mask(own), image)
    assert verdict.kind == kind
    assert verdict.fatal == (kind in ("size", "elsewhere"))
    if verdict.fatal:
        with pytest.raises(Misplaced, match="case7"):
            aligned(mask(own), image, where="case7")
    else:
        found, _ = aligned(mask(own), image, where="case7")
        assert found.grid == image
        assert bool(found.array.any())


def test_a_mask_whose_labels_lie_outside_of_the_image_is_refused_and_one_without_labels_is_not() -> None:
    beside = Grid((6, 7, 8), (3.0, 0.5, 0.7), "mm", (16.0, -5.0, 2.0))
    cut = Grid((5, 7, 8), (3.0, 0.5, 0.7), "mm", (22.0, -5.0, 2.0))
    labels = mask(cut)
    assert judge(labels, STRAIGHT).kind == "elsewhere"
    assert "of what it shows is inside" in judge(labels, STRAIGHT).what
    assert judge(Image(labels.array, replace(cut, origin=(16.0, -5.0, 2.0))), STRAIGHT).kind == "resampled"
    empty = Image(np.zeros((1, *cut.shape), np.uint8), replace(cut, origin=(16.0, -5.0, 2.0)))
    assert judge(empty, STRAIGHT).kind == "resampled"
    far = replace(cut, origin=(90.0, 0.0, 0.0))
    assert judge(Image(np.zeros((1, *cut.shape), np.uint8), far), STRAIGHT).kind == "elsewhere"
    assert judge(mask(beside), STRAIGHT).kind == "elsewhere"  # of one shape: the words of one of them are wrong


def test_what_is_cut_off_or_lost_on_the_grid_of_the_image_is_said() -> None:
    fine, coarse = Grid((50, 90, 90), (1, 1, 1), "mm", (5, 5, 5)), Grid((10, 90, 89), (5, 1, 1), "mm", (5, 5, 5))
    labels = np.zeros((1, 50, 90, 90), np.uint8)
    labels[0, :45, :80, :80] = 1
    labels[0, 12, 30, 30] = 2  # between two slices of the image
    labels[0, 7, 7, 89] = 1  # beside it
    found, verdict = aligned(Image(labels, fine), coarse, where="a")
    assert np.unique(found.array).tolist() == [0, 1]
    assert verdict.kind == "resampled"
    assert "1 labeled voxel of it (under 0.1%) lies outside" in verdict.what
    assert verdict.what.endswith("1 value of it (2) is at no voxel of the image")


def test_planes_are_compared_and_never_moved() -> None:
    plane = Grid((7, 8), (0.5, 0.5), "mm")
    assert judge(Image(np.ones((1, 7, 8), np.uint8), Grid((7, 8), (1.0, 1.0), "mm")), plane).kind == "elsewhere"
    assert judge(Image(np.ones((1, 7, 8), np.uint8), Grid((7, 8))), plane).kind == "same"
    assert judge(Image(np.ones((1, 7, 9), np.uint8)), plane).kind == "size"


def test_unset_grids_and_planes_in_one_order() -> None:
    assert is_unset(Grid((3, 4)))
    assert not is_unset(PLACED)
    assert not is_unset(replace(Grid((3, 4, 5)), origin=(0.0, 0.0, 1.0)))
    assert same_planes(Grid((6, 7, 8)), PLACED)
    assert not same_planes(Orientation((0, 1, 2), (True, False, False)).grid(PLACED), PLACED)
    assert not same_planes(Grid((6, 7, 9)), PLACED)


def test_numbers_that_are_nearly_whole_are_rounded_and_others_left() -> None:
    array = np.array([0.0, 0.99999997, 2.0000002], np.float64)
    found, off = rounded(array)
    assert found.tolist() == [0, 1, 2]
    assert off == pytest.approx(2e-7)
    for other in (np.array([0.0, 1.0]), np.array([0.0, 0.4]), np.array([0, 3], np.uint8)):
        assert rounded(other) == (other, 0.0) or rounded(other)[0] is other


def stored(folder: Path, own: Grid, grid: Grid, dtype: type = np.uint8) -> Case:
    """A case whose mask lies on a grid of its own."""
    labels = mask(own)
    image = np.arange(np.prod(grid.shape), dtype=np.int16).reshape(grid.shape)
    for name, array, one in (("image", image, grid), ("mask", labels.array[0].astype(dtype), own)):
        nibabel.save(nibabel.Nifti1Image(array.T, matrix_of(one, ras=True)), folder / f"{name}.nii")
    return Case("a", (Source(folder / "image.nii"),), (Source(folder / "mask.nii"),))


def test_the_truth_of_a_case_and_of_its_slabs_lies_on_the_image(tmp_path: Path) -> None:
    fine = Grid((12, 14, 16), (1.5, 0.25, 0.35), "mm", (9.25, -5.125, 1.825))
    turned = Orientation((2, 0, 1), (True, False, True)).grid(fine)
    case = stored(tmp_path, turned, STRAIGHT)
    whole = load_truth(case)
    assert whole.shape == STRAIGHT.shape
    assert placed_truth(case).verdict.kind == "resampled"
    np.testing.assert_allclose(whole.grid.to_world([1, 2, 3]), STRAIGHT.to_world([1, 2, 3]), atol=1e-5)
    expected = on_grid(read(case.truth[0]).array, read(case.truth[0]).grid, load_image(case).grid)
    np.testing.assert_array_equal(whole.array, expected)
    part = slab(case, 2, 5)
    np.testing.assert_array_equal(load_truth(part).array, whole.array[:, 2:5])
    assert load_truth(part).grid == load_image(part).grid


def test_values_that_were_computed_are_rounded(tmp_path: Path) -> None:
    case = stored(tmp_path, STRAIGHT, STRAIGHT, np.float32)
    path = case.truth[0].path
    exact = read(case.truth[0]).array
    loaded = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.asarray(loaded.dataobj) * np.float32(0.9999999), loaded.affine), path)
    truth = placed_truth(case)
    np.testing.assert_array_equal(truth.image.array, exact)
    assert 0 < truth.off < 1e-6
    assert truth.dtype == "float32"


def test_a_store_holds_the_labels_at_the_pixels_of_the_image(tmp_path: Path) -> None:
    fine = Grid((12, 14, 16), (1.5, 0.25, 0.35), "mm", (9.25, -5.125, 1.825))
    case = stored(tmp_path, fine, STRAIGHT)
    classes = infer([load_truth(case).array], DataConfig())
    store = build(tmp_path / "store", [case], config=DataConfig(), classes=classes)
    np.testing.assert_array_equal(store.truth(0), load_truth(case).array)
    assert store.cases[0].grid.shape == STRAIGHT.shape
    elsewhere = stored(tmp_path, replace(STRAIGHT, origin=(80.0, 0.0, 0.0)), STRAIGHT)
    with pytest.raises(Misplaced, match="a: its files say that their pixels lie in different places"):
        build(tmp_path / "other", [elsewhere], config=DataConfig(), classes=classes)


def test_masks_that_are_scored_lie_on_their_images_too(tmp_path: Path) -> None:
    """True masks are finer than the images, and those that are scored are stored the other way round."""
    fine = Grid((12, 14, 16), (1.5, 0.25, 0.35), "mm", (9.25, -5.125, 1.825))
    turn = Orientation((0, 1, 2), (True, False, True))
    for number in range(2):
        draw = np.random.default_rng(number)
        coarse = mask(STRAIGHT, number).array
        made = {
            "images": (draw.integers(0, 99, STRAIGHT.shape).astype(np.int16), STRAIGHT),
            "labels": (coarse[0].repeat(2, 0).repeat(2, 1).repeat(2, 2), fine),
            "predicted": (turn.apply(coarse)[0], turn.grid(STRAIGHT)),
        }
        for folder, (array, grid) in made.items():
            root = tmp_path / folder if folder == "predicted" else tmp_path / "data" / folder
            root.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array.T, matrix_of(grid, ras=True)), root / f"c{number}.nii.gz")
    result = evaluate(tmp_path / "predicted", tmp_path / "data", out=tmp_path / "scores")
    assert result.summary.overall.scores["dice"].mean.estimate == 1
