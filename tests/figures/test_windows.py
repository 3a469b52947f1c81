"""Which gray values become black and white."""

from __future__ import annotations

import numpy as np
import pytest

from ulna.figures.windows import SOFT_TISSUE, Window, window

RNG = np.random.default_rng(0)
INSIDE = np.zeros((8, 40, 40), bool)
INSIDE[2:6, 10:20, 10:20] = True


def ct(tissue: float) -> np.ndarray:
    body = np.full((1, 8, 40, 40), -1000.0) + RNG.normal(0, 5, (1, 8, 40, 40))
    body[0, :, 4:36, 4:36] += 1050
    body[0, INSIDE] += tissue - 50
    return body.astype(np.int16)


def test_organs_in_ct_are_shown_in_the_window_of_soft_tissue() -> None:
    assert window(ct(80), INSIDE, patient=True) == Window(*SOFT_TISSUE, 0)
    assert window(ct(80), INSIDE & False, patient=True) == Window(*SOFT_TISSUE, 0)


def test_lungs_and_bones_are_shown_in_a_window_of_their_own() -> None:
    lungs = window(ct(-850), INSIDE, patient=True)
    assert lungs.low < -880 < -820 < lungs.high < -700
    bones = window(ct(900), INSIDE, patient=True)
    assert 700 < bones.low < 880 < 920 < bones.high


def test_air_is_none_where_nobody_is_shown() -> None:
    assert window(ct(80), INSIDE & False, patient=False).low < -900


@pytest.mark.parametrize("outside", [0.0, -3.8])
def test_mr_is_shown_by_what_lies_inside_the_body(outside: float) -> None:
    image = np.full((1, 8, 40, 40), outside)
    image[0, :, 5:35, 5:35] = RNG.normal(100, 10, (8, 30, 30))
    low, high = np.percentile(image[0, :, 5:35, 5:35], (1, 99.5))
    found = window(image, INSIDE & False, patient=True)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    image[0, INSIDE] = RNG.normal(300, 10, 400)  # a bright tumor keeps its shades
    assert window(image, INSIDE, patient=True).high == pytest.approx(np.percentile(image[0, INSIDE], 99), rel=0.02)


def test_dim_nuclei_are_seen_beside_bright_ones() -> None:
    image = RNG.poisson(100, (1, 8, 40, 40)).astype(np.uint16)
    image[0, INSIDE] += 60
    image[0, 0, :10, :10] = 60000
    found = window(image, INSIDE, patient=False)
    assert found.high < 250
    assert window(image + 1700, INSIDE, patient=False).high == pytest.approx(found.high + 1700)


def test_the_channel_is_shown_in_which_the_foreground_stands_out() -> None:
    image = RNG.normal(0, 1, (4, 8, 40, 40))
    image[2, INSIDE] += 5
    assert window(image, INSIDE, patient=True).channel == 2
    assert window(image, INSIDE & False, patient=True).channel == 0


def test_colors_stay_colors() -> None:
    image = RNG.integers(0, 255, (3, 8, 40, 40), np.uint8)
    found = window(image, INSIDE, patient=False)
    assert found.channel is None
    np.testing.assert_array_equal(found.apply(image[:, 3]), np.moveaxis(image[:, 3], 0, -1))
    gray = np.repeat(image[:1], 3, axis=0)
    assert window(gray, INSIDE, patient=False).channel == 0


def test_flat_and_broken_volumes_are_black() -> None:
    for value in (0.0, 7.0, np.nan, np.inf):
        image = np.full((1, 4, 5, 6), value)
        assert window(image, np.zeros((4, 5, 6), bool), patient=True).apply(image[:, 0]).max() in (0, 255)
    image = np.zeros((1, 4, 5, 6))
    image[0, 0, 0, 1] = 3
    image[0, 0, 1, 1] = np.nan
    rgb = window(image, np.zeros((4, 5, 6), bool), patient=True).apply(image[:, 0])
    assert rgb[0, 1].tolist() == [255, 255, 255]
    assert rgb[1, 1].tolist() == [0, 0, 0]


def test_a_volume_of_one_value_and_of_nothing_has_a_window() -> None:
    volume = np.full((1, 8, 40, 40), np.nan, np.float32)
    volume[0, :2] = 7
    assert window(volume, INSIDE & False, patient=True) == Window(7, 7, 0)
