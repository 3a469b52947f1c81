"""Units of length: one spelling for each, in files and in settings."""

from __future__ import annotations

import pytest

from ulna.config import Config, DataConfig
from ulna.grid import Grid
from ulna.planning.spacing import spacings
from ulna.resampling import planned_shape
from ulna.units import CENTIMETERS, comparable, factor, spelled

SPELLINGS = {
    "µm": ("um", "micron", "Microns", " micrometer ", "micrometers", "micrometre", "\\u00B5m", "μm", "µm", "UM"),
    "pixel": ("pixels", "", "pixel", "px"),
    "mm": ("millimeter", "millimetres", "mm", "MM"),
    "cm": ("centimeter",),
    "nm": ("nanometer",),
    "m": ("meter",),
    "furlong": (" furlong",),
}


def test_units_are_spelled_in_one_way() -> None:
    for unit, words in SPELLINGS.items():
        assert {spelled(word) for word in words} == {unit}


def test_settings_and_grids_spell_as_files_do() -> None:
    for unit, words in SPELLINGS.items():
        for word in words:
            assert Grid((4, 4), unit=word).unit == unit
            assert Config().changed({"data.unit": word}).data.unit == (unit if word else "")  # "": that of the files


@pytest.mark.parametrize("unit", ["um", "µm", "microns"])
def test_a_target_spacing_in_any_spelling_is_met(unit: str) -> None:
    grid = Grid((10, 20, 20), (2.0, 0.5, 0.5), "µm")
    data = DataConfig(target_spacing=(2.0, 1.0, 1.0), unit=unit)
    assert planned_shape(grid, data) == (10, 10, 10)
    spacings(Config.parse({"data": data.model_dump(exclude_unset=True)}), [grid])  # they can be compared


def test_lengths_are_compared_between_units() -> None:
    for unit in CENTIMETERS:
        assert comparable(unit, "mm")
        assert factor(unit, "mm") * factor("mm", unit) == pytest.approx(1)
    assert factor("mm", "µm") == pytest.approx(1000)
    assert not comparable("pixel", "mm")
    assert comparable("furlong", "furlong")
    assert factor("furlong", "furlong") == 1
