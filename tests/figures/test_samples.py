"""The picture of samples, the choice of samples, and contact sheets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from ulna.errors import UlnaError
from ulna.figures import contact
from ulna.figures.colors import color
from ulna.figures.common import to_rgb
from ulna.figures.contact import Joint, contact_sheet, couples_picture
from ulna.figures.samples import Sample, samples_figure, samples_picture, spread
from ulna.image import IGNORE


def sample(shape: tuple[int, ...], name: str = "a") -> Sample:
    mask = np.zeros((1, *shape), np.uint8)
    mask[..., 5:15, 5:15] = 1
    mask[..., 20:26, 5:15] = 2
    return Sample(name, np.random.default_rng(0).random((1, *shape)), mask, mask.astype(np.int32))


@pytest.mark.parametrize("count", [0, 1, 3, 8])
@pytest.mark.parametrize("shape", [(32, 40), (4, 32, 40)])
def test_one_pair_a_sample(count: int, shape: tuple[int, ...]) -> None:
    planes = 3 if len(shape) == 3 else 2  # of a volume; of an image it and its mask
    figure = samples_figure([sample(shape, "x" * 99)] * count, ("background", "one", "two"))
    assert len(figure.axes) == planes * count
    if not count:
        assert figure.get_size_inches().tolist() == pytest.approx([3.3, 1.55 + 0.3 + 0.35])
    assert len(figure.legends) == (planes == 2 or not count)  # objects of volumes have their own colors
    alone = samples_figure([replace(sample(shape), objects=None)] * count, ("background", "one"))
    assert len(alone.legends) == (count > 0 and planes == 3)  # lines in one color need a word


def test_the_mask_is_outlined_in_the_class_color(tmp_path: Path) -> None:
    path = samples_picture(tmp_path / "samples.png", [sample((64, 64))], ("background", "one", "two"))
    with Pillow.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert (pixels == color(1)).all(axis=1).any()
    assert (pixels == color(2)).all(axis=1).any()


@pytest.mark.parametrize(("side", "width"), [(64, 1), (512, 2)])
def test_each_object_is_outlined_as_wide_as_the_image_is_large(side: int, width: int) -> None:
    mask = np.zeros((1, side, side), np.uint8)
    mask[0, 10:30, 10:30], mask[0, 40:50, 10:30] = 1, IGNORE
    objects = mask.astype(np.int32)
    objects[0, 10:30, 20:30] = 2
    figure = samples_figure([Sample("a", np.zeros((1, side, side)), mask, objects)], ("background", "one"))
    left, right = (axes.images[0].get_array() for axes in figure.axes)
    assert left.max() == 0
    line = (right == color(1)).all(axis=2)
    assert np.flatnonzero(line[20]).tolist() == [
        *range(10, 10 + width), *range(20 - width, 20 + width), *range(30 - width, 30),
    ]  # fmt: skip
    assert not line[35:].any()
    assert [axes.get_title() for axes in figure.axes] == ["a", f"{side} × {side}"]


def test_of_many_cases_a_thousand_are_compared() -> None:
    features = np.zeros((2001, 1))
    features[1] = 100.0  # one that is not among every other
    assert all(features[index] == 0 for index in spread(features, 2))
    assert 1 in spread(features[:1000], 2)


def test_samples_are_spread_over_what_there_is() -> None:
    draw = np.random.default_rng(0)
    kinds = np.repeat(np.arange(4), [50, 30, 15, 5])
    features = np.stack([kinds * 10.0, -kinds * 5.0], axis=1) + draw.normal(0, 0.1, (100, 2))
    assert [int(kinds[index]) for index in spread(features, 4)] == [0, 1, 2, 3]
    assert spread(features, 4) == spread(features, 4)
    far = np.concatenate([1000 + np.arange(-4, 5.0), [0.0, 1.0, 2.5]])[:, None]
    assert spread(far, 2) == [4, 10]  # the middle of each, whatever their place
    assert spread(features[:3], 8) == [0, 1, 2]
    assert len(spread(np.zeros((50, 3)), 8)) <= 8
    assert len(spread(draw.random((3000, 2)), 8)) == 8


def test_contact_sheets(tmp_path: Path) -> None:
    left, right = np.split(np.random.default_rng(0).integers(0, 255, (3, 60, 80), np.uint8), 2, axis=2)
    path = contact_sheet(tmp_path / "sheet.png", [Joint("seam", left, right, 1)] * 3, columns=2)
    with Pillow.open(path) as picture:
        assert picture.width > 200
    with pytest.raises(UlnaError, match=r"seam: borders of \(3, 50, 40\) and \(3, 60, 40\) do not fit"):
        contact_sheet(tmp_path / "bad.png", [Joint("seam", left[:, :50], right, 1)])
    with pytest.raises(UlnaError, match="no joint"):
        contact_sheet(tmp_path / "bad.png", [])
    with pytest.raises(UlnaError, match="no couple"):
        couples_picture(tmp_path / "bad.png", [])
    assert not (tmp_path / "bad.png").exists()


@pytest.mark.parametrize("axis", [0, 1])
def test_a_joint_is_shown_near_its_seam_as_roots(axis: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown: list[np.ndarray] = []
    monkeypatch.setattr(contact, "to_rgb", lambda array: shown.append(array) or to_rgb(array))
    first, second = np.random.default_rng(0).integers(5, 255, (2, 1, 30, 40), np.uint8)
    both = np.concatenate([first, second], axis=1 + axis)
    contact_sheet(tmp_path / "sheet.png", [Joint("a", first, second, axis)], depth=7)
    middle = first.shape[1 + axis]
    near = np.take(both, range(middle - 7, middle + 7), axis=1 + axis)
    np.testing.assert_allclose(shown[0], np.sqrt(near - float(near.min())), rtol=1e-6)
    contact_sheet(tmp_path / "sheet.png", [Joint("a", first, second, axis)])
    assert shown[1].shape == both.shape  # smaller than the depth


def test_of_crowded_volumes_the_fullest_plane_is_shown_as_an_image() -> None:
    walls = np.zeros((1, 4, 400, 400), np.uint8)
    walls[..., ::6, :] = walls[..., ::6] = 1
    walls[0, 2, 1::6] = 1
    volume = Sample("a", walls * 9, walls, walls.astype(np.int32))
    shown = volume.reduced(("background", "wall"))
    assert isinstance(shown, Sample)
    np.testing.assert_array_equal(shown.mask, walls[:, 2])
    np.testing.assert_array_equal(shown.objects, walls[:, 2])
    figure = samples_figure([volume, shown], ("background", "wall"))
    assert [axes.get_title() for axes in figure.axes] == ["a", "4 × 400 × 400"] * 2
    assert len(samples_figure([volume, sample((4, 32, 40))], ("background", "wall")).axes) == 4  # mixed: all in planes
