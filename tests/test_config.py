from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from ulna.config import Config, dotted, nearest
from ulna.errors import UlnaError


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.patch", [8, 16, 16]),
        ("training.final_patch", (8, 16, 16)),
        ("data.resize", [8, 8, 8]),
        ("augmentation.flip", [2]),
    ],
)
def test_three_numbers_are_of_volumes(key: str, value: object) -> None:
    assert Config().changed({key: value}).given()["network.ndim"] == 3
    with pytest.raises(UlnaError, match=r"2 numbers|axes below 2"):
        Config().changed({"network.ndim": 2, key: value})
    assert "network.ndim" not in Config().changed({"training.patch": [8, 16], "augmentation.flip": [1]}).given()


def test_a_config_survives_the_way_through_json() -> None:
    config = Config().changed({"training.patch": [64, 32], "training.minutes": 3, "augmentation.flip": False})
    assert Config.parse(config.model_dump(mode="json")) == config
    assert config.training.patch == (64, 32)
    assert Config().augmentation is not None
    assert Config().training.minutes is None  # the original is as it was


def test_augmentation_can_be_switched_off_and_on() -> None:
    off = Config().changed({"augmentation": None})
    assert off.augmentation is None
    on = off.changed({"augmentation.flip": False})
    assert on.augmentation is not None
    assert (on.augmentation.flip, on.augmentation.rotation) == (False, 180)
    two = off.changed({"augmentation.flip": False, "augmentation.rotation": 10})
    assert two.augmentation is not None
    assert (two.augmentation.flip, two.augmentation.rotation) == (False, 10)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("training.batchsize", 1, "Did you mean 'training.batch_size'?"),
        ("trainng.batch_size", 1, "Did you mean 'training.batch_size'?"),
        ("batch_size", 1, "Did you mean 'training.batch_size'?"),
        ("network.name.x", 1, "there is no setting 'network.name.x'"),
        ("task.unheard", 1, "Known here: task.border_sigma, task.border_weight, task.borders"),
        ("nonsense", 1, "Known here: augmentation, data"),
        ("", 1, "there is no setting ''"),
        ("augmentation.x", 1, "there is no setting 'augmentation.x'"),
        ("network", 3, "network must be a valid section"),
        ("network.name", "vnet", "network.name must be 'unet' or 'fcn8', not vnet"),
        ("network.widths", [8], "network.widths needs at least 2 numbers"),
        ("network.widths", [0, 8], "network.widths must be greater than 0"),
        ("training.patch", [32], "training.patch needs 2 numbers, one per spatial axis, not 1"),
        ("training.patch", [-1, 8], "training.patch must be greater than 0, not -1"),
        ("training.batch_size", "many", "training.batch_size must be a valid integer, not many"),
        ("training.minutes", math.nan, "training.minutes must be a finite number"),
        ("training.seed", -1, "training.seed must be greater than or equal to 0"),
        ("augmentation.scale", [2, 1], "augmentation.scale must be a range (low, high) above 0, not [2, 1]"),
        ("training.devices", 0, "training.devices must be greater than or equal to 1"),
        ("data.resize", [0, 0], "data.resize must be greater than 0"),
    ],
)
def test_what_makes_no_sense_is_said(key: str, value: object, said: str) -> None:
    with pytest.raises(UlnaError) as caught:
        Config().changed({key: value}, where="my.yaml")
    assert said.replace("valid section", "section") in str(caught.value).replace("valid section", "section")
    assert caught.value.where == "my.yaml"


def test_batch_norm_is_for_one_device() -> None:
    with pytest.raises(UlnaError, match=r"training\.devices must be 1 with network\.norm: batch"):
        Config().changed({"training.devices": 2, "network.norm": "batch"})


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(UlnaError) as caught:
        Config.parse({"training": {"batchsize": 1, "momentum": 2}, "netwrk": {}})
    assert all(word in str(caught.value) for word in ("batch_size", "training.momentum", "netwrk"))


def test_a_config_does_not_change() -> None:
    with pytest.raises(ValidationError):
        Config().training.seed = 3  # type: ignore[misc]


def test_nearest() -> None:
    assert nearest("instnce", ["batch", "instance"]) == " Did you mean 'instance'?"
    assert nearest("xyz", ["b", "a"]) == " Known here: a, b."


def test_dotted() -> None:
    assert dotted({"a": {"b": {"c": 1}, "d": 2}, 3: None}) == {"a.b.c": 1, "a.d": 2, "3": None}


def test_what_was_given_is_known_also_where_it_is_the_default() -> None:
    assert Config().given() == {}
    changed = Config().changed({"augmentation.stain": 0.4, "training.minutes": 3})
    assert changed.given() == {"augmentation.stain": 0.4, "training.minutes": 3}
    assert changed.changed({"training.minutes": 4}).given() == {"augmentation.stain": 0.4, "training.minutes": 4}
    assert changed.augmentation == Config().augmentation
    off = Config().changed({"augmentation": None})
    assert off.given() == {"augmentation": None}
    assert off.changed({"augmentation.blur": 0.5}).given() == {"augmentation.blur": 0.5}


def test_sides_per_level_and_axis() -> None:
    sides = {"network.ndim": 3, "network.widths": [4, 8], "network.kernels": [[1, 3, 3], [3, 3, 3]]}
    config = Config().changed(sides | {"network.strides": [[1, 2, 2]]})
    assert config.network.kernels == ((1, 3, 3), (3, 3, 3))
    assert Config.parse(config.model_dump(mode="json")) == config
    for key, value, message in (
        ("network.kernels", [1, 3, 3], "network.kernels must be one number, or per level a list"),
        ("network.kernels", True, "network.kernels must be one number"),
        ("network.strides", [[1, 2, 2]] * 2, "network.strides needs 1 list of 3 numbers"),
        ("network.widths", [4, 8, 16], "network.kernels needs 3 lists of 3 numbers"),
        ("network.kernels", 4, "network.kernels needs odd numbers"),
    ):
        with pytest.raises(UlnaError, match=message):
            config.changed({key: value})
