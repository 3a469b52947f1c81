"""The intensity fingerprint, against numpy on the whole image."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ulna.store.intensities import Intensities, measure

RNG = np.random.default_rng(2)
NOWHERE = np.zeros(0, np.int64)


def test_what_is_measured() -> None:
    image = np.stack([RNG.normal(100, 20, (60, 80)), RNG.normal(-5, 1, (60, 80))]).astype(np.float32)
    places = np.arange(100, 300)
    found = measure(image, places)
    assert (found.dtype, found.gray) == ("float32", False)
    assert (found.smallest, found.largest) == (image.min(), image.max())
    for records, values in (
        (found.channels, image.reshape(2, -1)),
        (found.foreground, image.reshape(2, -1)[:, places]),
    ):
        for record, channel in zip(records, values, strict=True):
            expected = np.percentile(channel, (0.5, 50, 99.5))
            assert (record.low, record.median, record.high) == pytest.approx(expected, rel=1e-5)
            assert (record.mean, record.deviation) == pytest.approx((channel.mean(), channel.std()), rel=1e-4)
    assert found.correlation == pytest.approx(np.corrcoef(image.reshape(2, -1))[0, 1], abs=1e-6)
    assert Intensities.from_json(json.loads(json.dumps(found.as_json()))) == found


def test_the_share_outside_is_that_of_its_one_value() -> None:
    image = np.full((2, 10, 10, 10), -1024, np.int16)
    image[:, 2:8, 2:7, 1:9] = RNG.integers(0, 99, (2, 6, 5, 8))
    assert measure(image, NOWHERE).outside == pytest.approx(1 - 6 * 5 * 8 / 1000)
    assert measure(RNG.normal(0, 1, (1, 9, 9)), NOWHERE).outside == 0


def test_brightness_tells_transmitted_light_from_fluorescence() -> None:
    dark = np.where(RNG.random((1, 50, 50)) < 0.2, 200, 10).astype(np.uint8)
    assert measure(dark, NOWHERE).brightness == pytest.approx(0, abs=0.01)
    assert measure(255 - dark, NOWHERE).brightness == pytest.approx(1, abs=0.01)
    assert measure(np.full((1, 4, 4), 9, np.uint8), NOWHERE).brightness == 0


def test_gray_pictures_that_are_stored_as_color_ones() -> None:
    gray = RNG.integers(0, 255, (1, 9, 9)).astype(np.uint8)
    assert measure(gray.repeat(3, 0), NOWHERE).gray
    assert measure(gray.repeat(3, 0), NOWHERE).correlation == pytest.approx(1)
    assert not measure(gray, NOWHERE).gray
    assert measure(gray, NOWHERE).correlation == 1
    flat = np.concatenate([gray, gray * 0])
    assert measure(flat, NOWHERE).correlation == 0
    assert measure(flat, NOWHERE).foreground == ()
