"""The colors of pictures, as people with and without color blindness see them, and in gray."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pytest

from ulna.figures.colors import (
    COLORS,
    CORRECT,
    FALSE_POSITIVE,
    FATES,
    MISSED,
    NOT_ANNOTATED,
    WRONG_CLASS,
    Color,
    color,
    shade,
)

RIGHT_AND_WRONG = {*FATES.values(), CORRECT, MISSED, FALSE_POSITIVE, WRONG_CLASS}

SEEN: dict[str, npt.ArrayLike] = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""How linear red, green and blue are seen (Machado, Oliveira, Fernandes 2009, IEEE TVCG 15:1291)."""

XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(tint: Color, seen: npt.ArrayLike = SEEN["all cones"]) -> npt.NDArray[np.float64]:
    """A color in CIE L*a*b*, as it is seen."""
    part = np.asarray(tint) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt(np.maximum(XYZ @ np.clip(np.asarray(seen) @ linear, 0, 1) / WHITE, 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def apart(one: Color, other: Color, seen: npt.ArrayLike = SEEN["all cones"]) -> float:
    """The CIE 1976 difference of two colors; 2.3 are just noticeable."""
    return float(np.linalg.norm(lab(one, seen) - lab(other, seen)))


def test_what_is_wrong_has_no_color_of_a_class() -> None:
    assert min(apart(*pair) for pair in product(RIGHT_AND_WRONG, COLORS)) > 25


@pytest.mark.parametrize("seen", SEEN)
def test_what_is_right_and_wrong_is_told_apart_by_all(seen: str) -> None:
    pairs = combinations([*RIGHT_AND_WRONG, NOT_ANNOTATED], 2)
    assert min(apart(*pair, seen=SEEN[seen]) for pair in pairs) > 25


def test_colors_of_right_and_wrong_differ_in_gray_too() -> None:
    for together in ((CORRECT, MISSED, FALSE_POSITIVE, WRONG_CLASS), (FATES["split"], MISSED, FALSE_POSITIVE)):
        light = sorted(float(lab(tint)[0]) for tint in together)
        assert min(np.diff(light)) > 7


def test_the_first_classes_differ_in_gray_too() -> None:
    light = sorted(float(lab(tint)[0]) for tint in COLORS[:4])
    assert min(np.diff(light)) > 11


def test_there_is_a_color_for_every_class() -> None:
    assert len(set(COLORS)) == len(COLORS)
    assert color(1) == color(1 + len(COLORS)) != color(2)
    assert shade(color(1)) == "#e69f00"
