from __future__ import annotations

import pytest

from ulna.config import Config
from ulna.planning import dimensions


@pytest.mark.parametrize(
    ("shape", "spacing", "ndim", "axis"),
    [
        ((36, 50, 35), (1, 1, 1), 3, None),
        ((10, 220, 220), (8, 1.4, 1.4), 2, 0),
        ((220, 220, 10), (1.4, 1.4, 8), 2, 2),
        ((24, 512, 512), (1, 1, 1), 2, 0),
        ((512, 24, 512), (1, 1, 1), 2, 1),
        ((51, 128, 128), (1.75, 0.8, 0.8), 3, None),
        ((155, 240, 240), (1, 1, 1), 3, None),
        ((7, 30, 31), (1.5, 1, 1), 2, 0),
        ((8, 30, 31), (1.5, 1, 1), 3, None),
        ((30, 31, 5), (1.5, 1, 1), 2, 2),
        ((30, 31, 5), (4, 1, 1), 2, 2),
    ],
)
def test_volumes(shape: tuple[int, ...], spacing: tuple[float, ...], ndim: int, axis: int | None) -> None:
    found = {one.key: one for one in dimensions(Config(), [shape] * 3, [spacing] * 3)}
    assert found["network.ndim"].value == ndim
    assert "the other reading" in found["network.ndim"].reason
    assert ("data.slices" in found) == (axis is not None)
    if axis is not None:
        assert found["data.slices"].value == axis


def test_few_planes_are_the_reason_that_is_given() -> None:
    found = {one.key: one for one in dimensions(Config(), [(5, 30, 31)], [(4, 1, 1)])}
    assert found["network.ndim"].reason.startswith("volumes of 5 planes (median), too few to learn from their depth")
    assert found["data.slices"].reason == "slices follow along the axis Z, the shortest side"


def test_voxels_as_long_as_wide_are_a_volume_where_files_say_so() -> None:
    found = {
        measured: {one.key: one for one in dimensions(Config(), [(110, 512, 512)], [(0.7,) * 3], measured=measured)}
        for measured in (False, True)
    }
    assert found[False]["network.ndim"].value == 2
    assert found[False]["network.ndim"].reason.startswith("slices of up to 512 pixels, 110 of them: no distance")
    assert found[True]["network.ndim"].value == 3
    thin = {one.key: one for one in dimensions(Config(), [(6, 30, 31)], [(1.0,) * 3], measured=True)}
    assert thin["network.ndim"].reason.startswith("volumes of 6 planes")


def test_what_is_set_is_kept_and_images_have_no_choice() -> None:
    asked = Config().changed({"network.ndim": 2, "data.slices": 1})
    found = {one.key: one for one in dimensions(asked, [(36, 50, 35)], [(1, 1, 1)])}
    assert (found["network.ndim"].value, found["network.ndim"].overridden) == (2, True)
    assert (found["data.slices"].value, found["data.slices"].overridden) == (1, True)
    assert dimensions(Config(), [(50, 35)], [(1, 1)]) == ()
