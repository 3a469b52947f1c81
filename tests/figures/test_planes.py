"""Which planes of a volume are shown, how they are turned, and what their sides are called."""

from __future__ import annotations

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from ulna.figures import planes
from ulna.figures.planes import Upright, bounds, largest_component
from ulna.formats.world import matrix_of
from ulna.grid import Grid
from ulna.orientation import Orientation

RNG = np.random.default_rng(0)
WORLD = RNG.integers(0, 255, (1, 4, 5, 6))
"""A volume as people look at it: towards superior, posterior and left."""
PLACED = Grid((4, 5, 6), (3.0, 2.0, 1.0), "mm", (7.0, -5.0, 2.0))


def everything(shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(0, side) for side in shape)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), share=st.floats(0.05, 0.7), ndim=st.sampled_from([2, 3]))
def test_the_planes_pass_through_the_largest_region(seed: int, share: float, ndim: int) -> None:
    mask = np.random.default_rng(seed).random((5, 7, 9)[-ndim:]) < share
    found = largest_component(mask)
    if not mask.any():
        assert found is None
        return
    assert found is not None
    regions = regionprops(label(mask, connectivity=1))
    own = next(region for region in regions if tuple(found.center) in {tuple(at) for at in region.coords})
    assert own.area == found.voxels == max(region.area for region in regions)
    assert tuple((part.start, part.stop) for part in found.box) == tuple(
        zip(own.bbox[:ndim], own.bbox[ndim:], strict=True)
    )
    if ndim == 3:  # its slice holds most of it
        assert np.count_nonzero(own.coords[:, 0] == found.center[0]) == np.bincount(own.coords[:, 0]).max()


def test_the_center_is_far_from_the_border_in_the_units_of_the_volume() -> None:
    mask = np.zeros((3, 9, 30), bool)
    mask[1, 1:4, 1:26] = True
    mask[1, 4:8, 1:6] = True
    assert largest_component(mask).center == (1, 3, 3)
    assert largest_component(mask, (1.0, 9.0, 0.2)).center[2] > 5  # a row is now thicker than the wide part is broad


def test_large_volumes_are_looked_at_every_so_many_voxels(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((20, 20, 20), bool)
    mask[2:5, 2:5, 2:5], mask[8:18, 7:17, 9:19] = True, True
    whole = largest_component(mask)
    monkeypatch.setattr(planes, "LABELED", 300)
    found = largest_component(mask)
    assert whole.voxels == 1000
    assert 500 < found.voxels < 2000
    assert all(8 <= at < 19 for at in found.center)
    assert mask[found.center]
    assert all(part.start <= at < part.stop for part, at in zip(found.box, found.center, strict=True))
    sparse = np.zeros((40, 40, 40), bool)
    sparse[0, 0, 1], sparse[39, 39, 38] = True, True
    monkeypatch.setattr(planes, "LABELED", 8)
    assert sparse[largest_component(sparse).center]


def test_bounds() -> None:
    mask = np.zeros((4, 5), bool)
    assert bounds(mask) is None
    mask[1:3, 4] = True
    assert bounds(mask) == (slice(1, 3), slice(4, 5))


def test_what_is_near_a_region_is_shown_in_millimeters() -> None:
    mask = np.zeros((40, 200, 200), bool)
    mask[20, 90:110, 95:99] = True
    box = largest_component(mask).surroundings(mask.shape, (5.0, 1.0, 0.5))
    assert box == (slice(18, 23), slice(80, 120), slice(75, 119))
    mask[:] = False
    mask[0, 0, 0] = True
    assert largest_component(mask).surroundings((40, 200, 200), (5.0, 1.0, 1.0)) == (
        slice(0, 5), slice(0, 17), slice(0, 17),
    )  # fmt: skip


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_volume_looks_the_same_however_its_file_is_turned(order: tuple[int, ...]) -> None:
    for turned in product((False, True), repeat=3):
        turn = Orientation(order, turned)
        file, grid = turn.apply(WORLD), turn.grid(PLACED)
        upright = Upright.of(grid)
        assert nibabel.aff2axcodes(matrix_of(upright.grid, ras=True)) == ("L", "P", "S")
        np.testing.assert_array_equal(upright.apply(file), WORLD)
        axial, coronal, sagittal = upright.cuts((1, 2, 3), everything(WORLD.shape[1:]))
        np.testing.assert_array_equal(axial.of(WORLD), WORLD[:, 1])
        np.testing.assert_array_equal(coronal.of(WORLD), WORLD[:, ::-1, 2])
        np.testing.assert_array_equal(sagittal.of(WORLD), WORLD[:, ::-1, :, 3])
        assert (axial.ends, coronal.ends, sagittal.ends) == (
            ("R", "L", "A", "P"), ("R", "L", "S", "I"), ("A", "P", "S", "I"),
        )  # fmt: skip
        for axis, cut in enumerate((axial, coronal, sagittal)):
            name, _, number, _, count = cut.title.split()
            assert name == ("axial,", "coronal,", "sagittal,")[axis]
            plane = np.take(file, int(number) - 1, 1 + order.index(axis))  # as a viewer counts the slices of the file
            assert int(count) == WORLD.shape[1 + axis]
            np.testing.assert_array_equal(np.sort(plane.ravel()), np.sort(np.take(WORLD, cut.place, 1 + axis).ravel()))


@pytest.mark.parametrize(
    ("grid", "medical", "letters", "unit"),
    [
        (PLACED, True, True, "mm"),
        (Grid((4, 5, 6), (5.0, 1.0, 1.0), "mm"), False, False, "mm"),  # only the size of the voxels is known
        (Grid((4, 5, 6), unit="mm", direction=((1, 0, 0), (0, -1, 0), (0, 0, -1))), True, False, ""),  # an identity
        (Grid((4, 5, 6), (1.0, 0.2, 0.2), "µm", (30.0, 2.0, 5.0)), False, False, "µm"),  # a stage
        (Grid((4, 5, 6)), False, False, ""),
    ],
)
def test_letters_and_lengths_stand_where_the_file_says_them(
    grid: Grid, medical: bool, letters: bool, unit: str
) -> None:
    upright = Upright.of(grid)
    assert (upright.medical, upright.in_patient, upright.unit) == (medical, letters, unit)
    first, second, third = upright.cuts((0, 0, 0), everything(grid.shape))
    assert any(first.ends) == letters
    if not letters:
        assert [cut.title.split(",")[0] for cut in (first, second, third)] == ["xy", "xz", "yz"]
    assert (first.upwards, second.upwards) == (False, medical)


def test_of_an_image_the_image_is_the_plane() -> None:
    image = RNG.random((2, 7, 8))
    (cut,) = Upright.of(Grid((7, 8))).cuts((3, 3), (slice(1, 4), slice(0, 8)))
    np.testing.assert_array_equal(cut.of(image), image[:, 1:4])
    assert (cut.title, cut.sides((7, 8))) == ("", (7, 8))
