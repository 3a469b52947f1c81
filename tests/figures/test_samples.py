"""The picture of samples, the choice of samples, and contact sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from ulna.errors import UlnaError
from ulna.figures.common import color
from ulna.figures.contact import Joint, contact_sheet
from ulna.figures.samples import Sample, samples_figure, samples_picture, spread


def sample(shape: tuple[int, ...], name: str = "a") -> Sample:
    mask = np.zeros((1, *shape), np.uint8)
    mask[..., 5:15, 5:15] = 1
    mask[..., 20:26, 5:15] = 2
    return Sample(name, np.random.default_rng(0).random((1, *shape)), mask, mask.astype(np.int32))


@pytest.mark.parametrize("count", [0, 1, 3, 8])
@pytest.mark.parametrize("shape", [(32, 40), (4, 32, 40)])
def test_one_pair_a_sample(count: int, shape: tuple[int, ...]) -> None:
    figure = samples_figure([sample(shape, "x" * 99)] * count, ("background", "one", "two"))
    assert len(figure.axes) == 2 * count
    assert len(figure.legends) == 1
    assert len(samples_figure([sample(shape)] * count, ("background", "one")).legends) == 0


def test_the_mask_is_outlined_in_the_class_color(tmp_path: Path) -> None:
    path = samples_picture(tmp_path / "samples.png", [sample((64, 64))], ("background", "one", "two"))
    with Pillow.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert (pixels == color(1)).all(axis=1).any()
    assert (pixels == color(2)).all(axis=1).any()


def test_samples_are_spread_over_what_there_is() -> None:
    draw = np.random.default_rng(0)
    kinds = np.repeat(np.arange(4), [50, 30, 15, 5])
    features = np.stack([kinds * 10.0, -kinds * 5.0], axis=1) + draw.normal(0, 0.1, (100, 2))
    assert [int(kinds[index]) for index in spread(features, 4)] == [0, 1, 2, 3]
    assert spread(features, 4) == spread(features, 4)
    assert spread(features[:3], 8) == [0, 1, 2]
    assert len(spread(np.zeros((50, 3)), 8)) <= 8
    assert len(spread(draw.random((3000, 2)), 8)) == 8


def test_contact_sheets(tmp_path: Path) -> None:
    left, right = np.split(np.random.default_rng(0).integers(0, 255, (3, 60, 80), np.uint8), 2, axis=2)
    path = contact_sheet(tmp_path / "sheet.png", [Joint("seam", left, right, 1)] * 3, columns=2)
    with Pillow.open(path) as picture:
        assert picture.width > 200
    with pytest.raises(UlnaError, match="do not fit"):
        contact_sheet(tmp_path / "bad.png", [Joint("seam", left[:, :50], right, 1)])
    with pytest.raises(UlnaError, match="no joint"):
        contact_sheet(tmp_path / "bad.png", [])
    assert not (tmp_path / "bad.png").exists()
