from __future__ import annotations

import pytest

from ulna.config import Config
from ulna.planning import Fingerprint
from ulna.planning.variation import sides, volume_variation

ASKED = {"network.ndim": 3, "data.modality": "mr"}


def decided(
    changes: dict[str, object],
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    unit: str = "mm",
    classes: tuple[str, ...] = ("background", "a"),
) -> dict[str, object]:
    facts = Fingerprint(1, (shape,) * 3, classes, 1, spacings=(spacing,) * 3, unit=unit)
    config = Config().changed(ASKED | changes)
    found = volume_variation(config, facts)
    assert all(one.reason for one in found)
    config.changed({one.key: one.value for one in found})  # they go together
    return {one.key.partition(".")[2]: one.value for one in found}


def test_volumes_of_alike_voxels_are_rotated_about_each_axis() -> None:
    expected = {"slices": None, "flip": (2,), "rotation": 30.0, "tilt": 30.0, "elastic": 0.0, "low_resolution": 0.25}
    assert decided({}, (36, 50, 35), (1, 1, 1)) == expected
    assert decided({}, (36, 50, 35), (2.5, 1, 1)) == expected


def test_cells_lie_anyhow() -> None:
    found = decided({"data.modality": "fluorescence"}, (36, 50, 35), (2, 1, 1), "µm")
    assert not {"rotation", "flip"} & found.keys()
    assert found["tilt"] == 30


def test_bodies_are_flipped_from_side_to_side_unless_classes_have_a_side() -> None:
    shape, spacing = (36, 50, 35), (1, 1, 1)
    assert decided({}, shape, spacing, classes=("background", "Left kidney", "liver"))["flip"] == (2,)
    sided = ("background", "Left kidney", "Right kidney")
    assert decided({}, shape, spacing, classes=sided)["flip"] is False
    assert decided({"augmentation.flip": True}, shape, spacing, classes=sided)["flip"] is True
    assert decided({}, (10, 100, 100), (8, 1, 1), classes=sided)["rotation"] == 30
    two = {"network.ndim": 2}
    assert decided(two, (100, 100), (1, 1), classes=sided) == {"flip": False, "rotation": 30}
    assert decided(two, (100, 100), (1, 1)) == {}
    assert decided(two | {"data.modality": "fluorescence"}, (100, 100), (1, 1), classes=sided) == {}
    assert "flip" not in decided({}, shape, spacing, "pixel")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("background", "kidney_right", "kidney_left"), ("kidney_left", "kidney_right")),
        (("LeftVentricle", "RightVentricle"), ("LeftVentricle", "RightVentricle")),
        (("hippocampus L", "hippocampus R"), ("hippocampus L", "hippocampus R")),
        (("left kidney", "right lung"), ()),
        (("cleft", "bright"), ()),
        (("1", "2"), ()),
    ],
)
def test_classes_of_either_side(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert sides(names) == expected


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices_are_varied_within_their_plane(axis: int) -> None:
    spacing = [1.4] * 3
    spacing[axis] = 8
    assert decided({}, (10, 100, 100), tuple(spacing)) == {
        "slices": axis, "flip": (2,), "elastic": 0.0, "low_resolution": 0.25
    }  # fmt: skip


def test_two_thick_axes_are_no_slices() -> None:
    assert decided({}, (30, 30, 200), (5, 5, 1))["slices"] is None


def test_few_slices_at_no_stated_distance_count_as_thick() -> None:
    assert decided({}, (10, 100, 100), (1, 1, 1), "pixel")["slices"] == 0
    found = decided({}, (50, 100, 100), (1, 1, 1), "pixel")
    assert found["slices"] is None
    assert "tilt" not in found


def test_what_is_set_is_kept_and_the_rest_goes_with_it() -> None:
    found = decided({"augmentation.tilt": 10, "augmentation.elastic": 3}, (10, 100, 100), (8, 1, 1))
    assert (found["slices"], found["tilt"], found["elastic"]) == (None, 10, 3)
    found = decided({"augmentation.slices": 1}, (50, 50, 50), (1, 1, 1))
    assert found["slices"] == 1
    assert "tilt" not in found


def test_networks_of_planes_and_trainings_without_augmentation_are_left_alone() -> None:
    facts = Fingerprint(1, ((9, 9),) * 3, ("background", "a"), 1)
    assert volume_variation(Config(), facts) == []
    plain = Config.parse({"network": {"ndim": 3}, "augmentation": None})
    assert volume_variation(plain, facts) == []
