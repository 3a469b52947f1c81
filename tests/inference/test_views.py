"""Images as they are read region by region."""

from __future__ import annotations

import numpy as np
import pytest

from ulna.config import DataConfig
from ulna.inference import views
from ulna.inference.views import View
from ulna.normalization import fixed_scaling, normalize

CT = DataConfig(normalization="ct", window=(-100, 300), center=50, scale=40)


def volume(offset: float) -> np.ndarray:
    """Noise within a frame of one value."""
    image = np.full((2, 9, 8, 7), offset, np.float32)
    image[:, 1:-2, 2:, 1:] += np.random.default_rng(0).gamma(2, 50, (2, 6, 6, 6)).astype(np.float32)
    return image


@pytest.mark.parametrize("offset", [0, 1730])
@pytest.mark.parametrize("how", ["percentile", "percentile_by_channel", "zscore", "zscore_inside"])
def test_regions_are_normalized_as_the_whole(how: str, offset: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "BAND", 300)  # a few planes at a time
    view = View.of(volume(offset)).normalized(DataConfig(normalization=how))
    region = (slice(2, 7), slice(0, 8), slice(3, 6))
    expected = normalize(volume(0), how)[(slice(None), *region)]
    np.testing.assert_allclose(view.read(region), expected, atol=2e-3)


def test_ct_needs_no_statistics_of_the_image() -> None:
    asked: list[object] = []

    def read(region: tuple[slice, ...]) -> np.ndarray:
        asked.append(region)
        return volume(0)[(slice(None), *region)]

    view = View((2, 9, 8, 7), np.dtype(np.float32), read).normalized(CT)
    assert not asked
    region = (slice(0, 3), slice(0, 8), slice(0, 7))
    scale = fixed_scaling(CT)
    assert scale is not None
    np.testing.assert_array_equal(view.read(region), scale.apply(volume(0)[:, :3]))
