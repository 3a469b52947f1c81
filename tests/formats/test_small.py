"""JPEG, BMP, GIF and WebP, against Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from small_files import planes
from ulna import formats
from ulna.errors import ReadError
from ulna.image import Source

RGB = np.random.default_rng(1).integers(0, 256, (9, 12, 3)).astype(np.uint8)


def saved(path: Path, picture: Pillow.Image, **options: object) -> np.ndarray:
    picture.save(path, **options)
    return formats.read(Source(path)).array


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_as_pillow_does(tmp_path: Path, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[274] = orientation
    path = tmp_path / "a.jpg"
    back = saved(path, Pillow.fromarray(RGB), exif=exif)
    with Pillow.open(path) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(back, np.moveaxis(expected, -1, 0))


@pytest.mark.parametrize("name", ["a.bmp", "a.webp"])
def test_lossless_formats_give_back_what_was_saved(tmp_path: Path, name: str) -> None:
    options = {"lossless": True} if name.endswith("webp") else {}
    back = saved(tmp_path / name, Pillow.fromarray(RGB), **options)
    np.testing.assert_array_equal(back, np.moveaxis(RGB, -1, 0))


@pytest.mark.parametrize(("mode", "shape"), [("L", (1, 9, 12)), ("CMYK", (3, 9, 12))])
def test_jpeg_of_one_and_of_four_inks(tmp_path: Path, mode: str, shape: tuple[int, ...]) -> None:
    assert saved(tmp_path / "a.jpg", Pillow.fromarray(RGB).convert(mode)).shape == shape


def test_bmp_of_one_bit_and_of_a_palette(tmp_path: Path) -> None:
    assert set(np.unique(saved(tmp_path / "a.bmp", Pillow.fromarray(RGB).convert("1")))) <= {0, 255}
    picture = Pillow.fromarray(RGB).quantize(8)
    expected = np.moveaxis(np.asarray(picture.convert("RGB")), -1, 0)
    np.testing.assert_array_equal(saved(tmp_path / "b.bmp", picture), expected)


def test_gif_gives_its_first_picture(tmp_path: Path) -> None:
    gray = [Pillow.fromarray(np.full((4, 5), value, np.uint8)) for value in (0, 255)]
    back = saved(tmp_path / "a.gif", gray[0], save_all=True, append_images=gray[1:])
    assert back.shape == (1, 4, 5)
    assert back.max() == 0
    assert planes(Source(tmp_path / "a.gif")) == 1


def test_another_file_of_the_same_container_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.webp").write_bytes(b"RIFF\x24\0\0\0WAVEfmt " + bytes(40))
    with pytest.raises(ReadError, match=r"a\.webp"):
        formats.read(Source(tmp_path / "a.webp"))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_that_a_header_turns_an_image_is_said(tmp_path: Path, suffix: str) -> None:
    exif = Pillow.Exif()
    for orientation in (1, 3):
        exif[274] = orientation
        path = tmp_path / f"a{orientation}.{suffix}"
        Pillow.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6)).save(path, exif=exif)
        with formats.open_reader(Source(path)) as reader:
            assert ("EXIF orientation 3" in reader.assumed) == (orientation == 3)
