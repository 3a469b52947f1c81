"""What settings on the command line mean."""

from __future__ import annotations

import pytest

from ulna.errors import UlnaError
from ulna.options import changes, each_with_option


def test_a_pattern_is_no_mapping() -> None:
    said = ["data.images={case}/ct.png", "data.masks={class}/{case}.png", "data.values=[[0], [7]]", "data.classes={}"]
    assert changes(said) == {
        "data.images": "{case}/ct.png",
        "data.masks": "{class}/{case}.png",
        "data.values": [[0], [7]],
        "data.classes": {},
    }


@pytest.mark.parametrize("said", ["training.batch_size", "data.values=[[0]", "data.values={"])
def test_what_is_no_setting_is_said(said: str) -> None:
    with pytest.raises(UlnaError, match=r"setting|cannot be read"):
        changes([said])


def test_settings_that_follow_one_are_settings() -> None:
    words = ["train", "DATA", "--set", "a.b=1", "c.d_e.f=[1, 2]", "--out", "run", "x.y=3"]
    assert each_with_option(words) == [
        *("train", "DATA", "--set", "a.b=1", "--set", "c.d_e.f=[1, 2]", "--out", "run", "x.y=3"),
    ]
