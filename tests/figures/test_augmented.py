"""The picture of augmented samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from ulna.errors import UlnaError
from ulna.figures.augmented import augmented_picture
from ulna.image import Array


def sample(shape: tuple[int, ...], *, bright: float = 1.0) -> tuple[Array, Array]:
    truth = np.zeros((1, *shape), np.uint8)
    truth[..., 8:20, 6:18] = 1
    image = np.repeat(truth * 0.5, 3, axis=0).astype(np.float32) * bright
    return image, truth


def columns(path: Path, count: int) -> list[Array]:
    with Pillow.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return list(np.array_split(pixels, count, axis=1))


def test_every_sample_has_a_row_with_the_original_and_its_draws(tmp_path: Path) -> None:
    original = sample((40, 40))
    rows = [[original] * 5, [original] * 3]
    path = augmented_picture(tmp_path / "augmented.png", [original, sample((30, 32))], rows)
    assert path == tmp_path / "augmented.png"
    assert [file.name for file in tmp_path.iterdir()] == ["augmented.png"]
    half = len(columns(path, 6)[0]) // 2
    filled = [[int((part < 30).all(axis=2).sum()) > 500 for part in columns(path, 6)]]
    assert filled == [[True] * 6]
    blank = columns(path, 6)[5][half + 40 :]
    assert (blank == 255).all()  # the second row has three draws


def test_pictures_of_a_row_are_stretched_alike(tmp_path: Path) -> None:
    path = augmented_picture(tmp_path / "a.png", [sample((40, 40))], [[sample((40, 40), bright=0.4)]])
    left, right = columns(path, 2)
    gray = [
        part[(np.ptp(part.astype(int), axis=2) == 0) & (part[..., 0] > 30) & (part[..., 0] < 250)]
        for part in (left, right)
    ]
    assert np.median(gray[1]) < 0.6 * 255


def test_volumes_show_their_middle_plane_and_label_outlines(tmp_path: Path) -> None:
    path = augmented_picture(tmp_path / "a.png", [sample((5, 40, 40))], [[sample((5, 40, 40))]])
    pixels = columns(path, 1)[0].astype(int)
    orange = (abs(pixels - np.array([230, 159, 0])).max(axis=2) < 12).sum()
    assert orange > 50


def test_rows_must_suit(tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match="do not suit"):
        augmented_picture(tmp_path / "a.png", [sample((40, 40))], [])
    assert not list(tmp_path.iterdir())
