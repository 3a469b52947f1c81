"""Whatever people call an image."""

from __future__ import annotations

from collections import UserList
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from ulna.errors import UlnaError
from ulna.formats import read
from ulna.image import Image, Source
from ulna.inference.inputs import as_image, is_several

NOISE = np.random.default_rng(0)
GRAY = NOISE.integers(0, 256, (20, 24), np.uint8)
RGB = NOISE.integers(0, 256, (20, 24, 3), np.uint8)
RGBA = NOISE.integers(0, 256, (20, 24, 4), np.uint8)


def given(image: Any, channels: int = 1, ndim: int = 2) -> np.ndarray:
    return as_image(image, ndim=ndim, channels=channels).array


@pytest.mark.parametrize(
    "image",
    [
        GRAY,
        GRAY[None],
        GRAY[..., None],
        np.asfortranarray(GRAY),
        np.ma.masked_array(GRAY),
        Pillow.fromarray(GRAY),
        torch.from_numpy(GRAY),
        torch.from_numpy(GRAY)[None],
        torch.from_numpy(GRAY.astype(np.float32)).requires_grad_(),
        torch.from_numpy(GRAY.astype(np.float32)).bfloat16(),  # 8 bits are exact
        torch.from_numpy(GRAY).T.contiguous().T,
        Image(GRAY[None]),
    ],
    ids=lambda image: type(image).__name__,
)
def test_every_kind_of_image_is_the_same(image: Any) -> None:
    np.testing.assert_array_equal(given(image), GRAY[None])
    assert not is_several(image)


def test_channels_are_found_by_their_number() -> None:
    for array in (RGB, np.moveaxis(RGB, -1, 0), torch.from_numpy(RGB), Pillow.fromarray(RGB)):
        np.testing.assert_array_equal(given(array, 3), np.moveaxis(RGB, -1, 0))
    np.testing.assert_array_equal(given(RGB, 1), np.moveaxis(RGB, -1, 0))  # so that its channels can be compared
    five = NOISE.random((5, 20, 24))
    np.testing.assert_array_equal(given(five, 5), five)
    volume = NOISE.random((6, 20, 24))
    np.testing.assert_array_equal(given(volume, ndim=3), volume[None])


def test_axes_that_can_be_read_in_two_ways_are_not_guessed() -> None:
    with pytest.raises(UlnaError) as caught:
        given(np.zeros((3, 20, 3)), 3)
    assert str(caught.value) == (
        "the channels of an array of shape (3, 20, 3) can be its first or its last axis\n"
        "Give ulna.Image(array), with its channels first."
    )
    with pytest.raises(UlnaError) as caught:
        given(np.zeros((2, 3, 20, 20)), 3)
    assert str(caught.value) == (
        "an array of shape (2, 3, 20, 20) is no image for this model\nIt takes 2 spatial axes, with 3 channels before "
        "or after them. Give the images of a batch one by one: model.predict(list(batch))."
    )
    with pytest.raises(UlnaError) as caught:
        given(np.zeros((9, 20, 20)), 1)
    assert caught.value.hint.endswith("Of a volume give ulna.Image(volume[None]), its planes first.")
    with pytest.raises(UlnaError) as caught:
        given(np.zeros(5), 3)
    assert caught.value.hint == "It takes 2 spatial axes, with 3 channels before or after them."
    with pytest.raises(UlnaError, match="can be its first or its last axis"):
        given(np.zeros((1, 20, 4)), 1)
    with pytest.raises(UlnaError, match="can be its first or its last axis"):
        given(np.zeros((3, 3, 3)), 3)
    assert given(np.zeros((1, 1, 1))).shape == (1, 1, 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "HSV", "YCbCr", "LAB"])
def test_pil_images_of_any_mode(mode: str) -> None:
    if mode in ("I;16", "I", "F"):
        dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        picture = Pillow.fromarray((GRAY * 100.0).astype(dtype))
        expected = (GRAY * 100.0).astype(dtype)[None]
        assert picture.mode == mode
    else:
        picture = (Pillow.fromarray(RGBA) if mode in ("LA", "RGBA") else Pillow.fromarray(RGB)).convert(mode)
        plain = "L" if mode in ("1", "L") else mode if mode in ("LA", "RGBA") else "RGB"
        array = np.asarray(picture.convert(plain))
        expected = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    image = as_image(picture, ndim=2, channels=1)
    np.testing.assert_array_equal(image.array, expected)
    assert [channel.role for channel in image.channels].count("alpha") == (mode in ("LA", "RGBA"))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif", ".tif"])
def test_pil_images_are_as_their_files(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Pillow.fromarray(GRAY).save(path)
    with Pillow.open(path) as picture:
        np.testing.assert_array_equal(given(picture.copy()), read(Source(path)).array)


def test_an_opaque_pil_image_has_no_alpha() -> None:
    np.testing.assert_array_equal(given(Pillow.fromarray(RGB).convert("RGBA"), 3), np.moveaxis(RGB, -1, 0))


@pytest.mark.parametrize("array", [GRAY, RGB], ids=["L", "RGB"])
def test_a_color_that_is_declared_transparent_is_an_alpha_as_in_files(array: np.ndarray, tmp_path: Path) -> None:
    clear = tuple(array[0, 0].tolist()) if array.ndim == 3 else int(array[0, 0])
    Pillow.fromarray(array).save(tmp_path / "a.png", transparency=clear)
    with Pillow.open(tmp_path / "a.png") as picture:
        image = as_image(picture, ndim=2, channels=1)
    expected = read(Source(tmp_path / "a.png"))
    np.testing.assert_array_equal(image.array, expected.array)
    assert image.channels == expected.channels
    assert image.channels[-1].role == "alpha"


def test_a_pil_image_of_a_truncated_file_is_refused(tmp_path: Path) -> None:
    Pillow.fromarray(RGB).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with Pillow.open(tmp_path / "a.png") as picture, pytest.raises(UlnaError, match="PIL image cannot be read"):
        given(picture)


def test_tensors_of_8_bit_floats() -> None:
    array = np.arange(16, dtype=np.float32).reshape(4, 4)
    np.testing.assert_array_equal(given(torch.from_numpy(array).to(torch.float8_e4m3fn)), array[None])


def test_a_pil_image_of_several_pictures_is_refused(tmp_path: Path) -> None:
    frames = [Pillow.fromarray(GRAY), Pillow.fromarray(255 - GRAY)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with Pillow.open(tmp_path / "a.tif") as picture, pytest.raises(UlnaError, match="holds 2 pictures"):
        given(picture)
    with Pillow.open(tmp_path / "a.tif") as picture:
        picture.seek(1)
        np.testing.assert_array_equal(given(picture.copy()), 255 - GRAY[None])


def test_yes_and_no_are_0_and_1() -> None:
    assert given(np.eye(8, dtype=bool)).dtype == np.uint8
    np.testing.assert_array_equal(given(torch.eye(8, dtype=torch.bool)), np.eye(8)[None])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((0, 0), np.uint8), "empty"),
        (np.zeros((0, 5, 5)), "no image|empty"),
        (torch.zeros(0, 7), "empty"),
        (Pillow.new("L", (0, 0)), "empty"),
        (GRAY.astype(complex), "complex"),
        (torch.zeros(4, 4, dtype=torch.complex64), "complex"),
        (np.array([[1, "a"]], object), "object"),
        (np.array([["a", "b"]]), "cannot be used"),
        (np.zeros((3, 3), "datetime64[s]"), "cannot be used"),
        (np.zeros((3, 3), [("a", "u1")]), "cannot be used"),
        (np.ma.masked_less(GRAY, 9), "behind its mask"),
        (np.array([[0.0, np.nan], [1.0, 2.0]]), "1 NaN"),
        (torch.tensor([[0.0, torch.inf]]), "1 infinite"),
        (np.zeros(5), "no image for this model"),
        (np.float32(3), "no image for this model"),
        (np.zeros((2, 3, 20, 20)), "one by one"),
        (None, "a NoneType is no image"),
        (3, "a int is no image"),
        ({"image": GRAY}, "a dict is no image"),
        (b"abc", "a bytes is no image"),
        (object(), "a object is no image"),
        (torch.eye(4).to_sparse(), "cannot be read"),
        (torch.zeros(4, 4, device="meta"), "cannot be read"),
    ],
    ids=range(23),
)
def test_everything_else_is_refused(image: Any, message: str) -> None:
    assert not is_several(image)
    with pytest.raises(UlnaError, match=message):
        given(image)


def test_what_is_several_images() -> None:
    for several in ([GRAY], (GRAY,), iter([GRAY]), (one for one in [GRAY]), UserList([GRAY]), {GRAY.tobytes()}, []):
        assert is_several(several)
