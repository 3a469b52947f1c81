from __future__ import annotations

import pytest

from ulna.config import Config
from ulna.errors import UlnaError
from ulna.grid import Grid
from ulna.planning import Fingerprint, spacings

MM = [Grid((10, 200, 200), (depth, side, side), "mm") for depth, side in ((5, 0.8), (10, 1.5), (10, 1.9))]


def found(grids: list[Grid], **settings: object) -> dict[str, object]:
    return {
        one.key: one.value
        for one in spacings(Config().changed({k.replace("_", ".", 1): v for k, v in settings.items()}), grids)
    }


def test_the_median_and_slices_that_lie_far_apart_as_they_are() -> None:
    assert found(MM) == {"data.target_spacing": (0, 1.5, 1.5), "data.unit": "mm"}
    (spacing, _) = spacings(Config(), MM)
    assert spacing.reason == (
        "the median of 5–10 × 0.8–1.9 × 0.8–1.9 mm; between slices (axis Z) nothing is interpolated"
    )


def test_of_slices_that_are_learned_one_by_one_none_is_made_of_two() -> None:
    alike = [Grid((30, 40, 50), (side, 1, 1), "mm") for side in (1, 1.2, 1.5)]
    assert found(alike)["data.target_spacing"] == (1.2, 1, 1)
    assert found(alike, network_ndim=2, data_slices=1)["data.target_spacing"] == (1.2, 0, 1)


def test_units_are_compared_and_unknown_ones_are_not() -> None:
    mixed = [
        Grid((9, 9, 9), (2, 2, 2), "mm"),
        Grid((9, 9, 9), (1000, 1000, 1000), "µm"),
        Grid((9, 9, 9), (2,) * 3, "mm"),
    ]
    assert found(mixed) == {"data.target_spacing": (2000, 2000, 2000), "data.unit": "mm"} or found(mixed) == {
        "data.target_spacing": (2, 2, 2),
        "data.unit": "mm",
    }
    assert found([*MM, Grid((9, 9, 9), (2, 2, 2))]) == {"data.target_spacing": None}
    silent = [Grid((9, 9, 9))] * 3
    assert found(silent) == {"data.target_spacing": None}
    assert "data.spacing" in spacings(Config(), silent)[0].reason


def test_what_is_set_is_kept() -> None:
    assert found(MM, data_target_spacing=(4, 1, 1))["data.target_spacing"] == (4, 1, 1)
    assert found(MM, data_target_spacing=None) == {"data.target_spacing": None}
    with pytest.raises(UlnaError, match=r"target_spacing.*3 axes, not 2"):
        found(MM, data_target_spacing=(1, 1))


def test_images_are_learned_at_their_own_pixels() -> None:
    planes = [Grid((40, 50), (0.5, 0.5), "µm"), Grid((40, 50), (0.25, 0.25), "µm")]
    assert found(planes) == {}
    assert found(planes, data_target_spacing=(0.5, 0.5)) == {"data.target_spacing": (0.5, 0.5), "data.unit": "µm"}


def test_the_fingerprint_at_a_spacing() -> None:
    facts = Fingerprint(1, ((10, 100), (20, 50)), ("a", "b"), 1, spacings=((5, 1), (4, 2)), unit="mm")
    seen = facts.at((0, 1), "mm")
    assert (seen.shapes, seen.spacings) == (((10, 100), (20, 100)), ((5, 1), (4, 1)))
    assert facts.at(None, "mm") == facts
    assert facts.at((0, 1000), "µm").shapes == seen.shapes
    assert facts.at((0, 1), "pixel") == facts


def test_the_unit_that_is_set_is_the_targets() -> None:
    planes = [Grid((40, 50), (0.5, 0.5), "µm")] * 3
    wanted = {"data.target_spacing": (0.001, 0.001), "data.unit": "mm"}
    decided = spacings(Config().changed(wanted), planes)
    assert {one.key: one.value for one in decided} == wanted
    assert all(one.overridden for one in decided)
    assert found(MM, data_unit="µm")["data.target_spacing"] == (0, 1500, 1500)
    assert found(MM, data_unit="pixel") == {"data.target_spacing": None}


@pytest.mark.parametrize(
    ("grids", "settings", "error"),
    [
        ([Grid((40, 50))] * 3, {}, "do not say how far apart"),
        ([Grid((40, 50))] * 3, {"data_unit": "mm"}, "do not say how far apart"),
        ([Grid((40, 50)), Grid((40, 50), (0.5, 0.5), "mm")], {}, "files count in pixel, the target spacing in mm"),
        ([Grid((40, 50), (0.5, 0.5), "mm")], {"data_unit": "pixel"}, "files count in mm, the target spacing in pixel"),
        ([Grid((40, 50), (0.5, 0.5), "mm")], {"data_resize": (32, 32)}, "data.resize"),
    ],
)
def test_a_target_that_images_cannot_be_brought_to_is_refused(
    grids: list[Grid], settings: dict[str, object], error: str
) -> None:
    with pytest.raises(UlnaError, match=error):
        found(grids, data_target_spacing=(0.5, 0.5), **settings)
    assert found(grids, data_target_spacing=(0, 0), **{k: v for k, v in settings.items() if k != "data_resize"})


def test_images_that_are_resized_have_no_target() -> None:
    assert found(MM, data_resize=(8, 64, 64), network_ndim=3) == {"data.target_spacing": None}
