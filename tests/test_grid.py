"""Whether files that belong together say that they lie in the same place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulna.errors import UlnaError
from ulna.grid import Grid, apart, check_same_place


@given(
    spacing=st.lists(st.floats(0.1, 10), min_size=2, max_size=2),
    factor=st.floats(0.8, 1.2),
    corner=st.lists(st.floats(1, 50), min_size=2, max_size=2),
)
def test_apart_is_the_largest_distance_of_two_pixels(spacing: list[float], factor: float, corner: list[float]) -> None:
    """Where the origin is the same, that is at the far corner: by the world coordinates of all pixels."""
    one = Grid((7, 9), tuple(spacing), "µm", tuple(corner))
    other = Grid((7, 9), (spacing[0] * factor, spacing[1]), "µm", tuple(corner))
    index = np.stack(np.meshgrid(range(7), range(9), indexing="ij"), axis=-1)
    expected = np.abs(one.to_index(other.to_world(index)) - index).max()
    assert apart(one, other) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Grid((10, 10), (500, 500), "nm", (4000, 4000)), 0),
        (Grid((10, 10), (0.5, 0.5), "µm"), 0),  # it does not say where it begins
        (Grid((10, 10)), 0),
        (Grid((10, 10), (0.5, 0.5), "µm", (4, 6)), 4),
        (Grid((10, 10), (0.5, 1), "µm", (4, 4)), 9),
        (Grid((10, 10), (0.5, 0.5), "inch", (4, 4)), np.inf),
    ],
)
def test_units_and_origins(other: Grid, expected: float) -> None:
    assert apart(Grid((10, 10), (0.5, 0.5), "µm", (4, 4)), other) == pytest.approx(expected)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 2.4), (0.0, 1.2, 0.0), (0.3, 0.0, 0.0)])
def test_a_shift_is_counted_along_the_axes_of_the_volume(shift: tuple[float, float, float]) -> None:
    """Sagittal slices: the axes of the world are not those of the array, whose spacing they must not be counted in."""
    sagittal = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    one = Grid((20, 30, 40), (5.0, 1.0, 0.5), "mm", (10.0, 20.0, 30.0), sagittal)
    other = Grid((20, 30, 40), (5.0, 1.0, 0.5), "mm", tuple(np.add(one.origin, shift).tolist()), sagittal)
    assert apart(one, other) == pytest.approx(np.abs(one.to_index(other.to_world((0, 0, 0)))).max())


def test_what_a_volume_does_not_say_of_its_planes_is_not_compared() -> None:
    volume = Grid((5, 10, 10), (3, 0.5, 0.5), "µm")
    assert apart(volume, Grid((5, 10, 10), (1, 0.5, 0.5), "µm")) == 0
    assert apart(volume, Grid((5, 10, 10), (2, 0.5, 0.5), "µm")) == pytest.approx(4 / 3, abs=1e-5)
    placed = [Grid((5, 10, 10), (thick, 0.5, 0.5), "mm", (7, 8, 9)) for thick in (5, 1)]
    assert apart(*placed) == pytest.approx(4 * 0.8)  # one that says where it begins says how thick its planes are, too


def test_rounding_is_the_same_place_and_more_is_refused_with_both_files() -> None:
    one = Grid((1000, 1000), (0.5, 0.5), "µm")
    check_same_place("a", [("a.tif", one), ("b.tif", Grid((1000, 1000), (0.5002, 0.5), "µm"))])
    with pytest.raises(UlnaError, match=r"a: .*a\.tif 1000 × 1000 pixels of 0\.5 × 0\.5 µm.*b\.tif .* 0\.51 × 0\.5 µm"):
        check_same_place("a", [("a.tif", one), ("b.tif", Grid((1000, 1000), (0.51, 0.5), "µm"))])


def test_a_mask_that_points_elsewhere_is_refused_though_its_voxels_are_of_the_same_size() -> None:
    straight = Grid((8, 9, 10), (2.0, 1.0, 1.0), "mm", (5.0, 6.0, 7.0))
    mirrored = Grid((8, 9, 10), (2.0, 1.0, 1.0), "mm", (5.0, 6.0, 7.0), ((1.0, 0, 0), (0, 1.0, 0), (0, 0, -1.0)))
    assert apart(straight, straight) == 0
    assert apart(straight, mirrored) == 2 * 9
    with pytest.raises(UlnaError):
        check_same_place("case", [("the image", straight), ("the mask", mirrored)])


def test_a_volume_that_does_not_say_where_it_points_is_not_compared() -> None:
    mirrored = Grid((8, 9, 10), (2.0, 1.0, 1.0), "mm", (0.0, 0.0, 0.0), ((1.0, 0, 0), (0, 1.0, 0), (0, 0, -1.0)))
    assert apart(Grid((8, 9, 10), (2.0, 1.0, 1.0), "mm"), mirrored) == 0
