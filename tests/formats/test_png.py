"""PNG of every kind, against Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from ulna import formats
from ulna.errors import ReadError
from ulna.formats import png
from ulna.image import Source

A = np.arange(20, dtype=np.uint8).reshape(4, 5) * 12


def saved(tmp_path: Path, picture: Pillow.Image, **options: object) -> np.ndarray:
    path = tmp_path / "a.png"
    picture.save(path, **options)
    return formats.read(Source(path)).array


def test_sixteen_bits_stay_sixteen_in_gray_and_color(tmp_path: Path) -> None:
    for shape in ((4, 5), (4, 5, 3)):
        array = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
        (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array))
        back = formats.read(Source(tmp_path / "a.png")).array
        assert back.dtype == np.uint16
        np.testing.assert_array_equal(back, array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0))


def test_one_bit_becomes_0_and_255(tmp_path: Path) -> None:
    back = saved(tmp_path, Pillow.fromarray(A).convert("1"))
    assert back.shape == (1, 4, 5)
    assert back.dtype == np.uint8
    assert set(np.unique(back)) <= {0, 255}


def test_a_palette_is_expanded_as_pillow_does(tmp_path: Path) -> None:
    picture = Pillow.fromarray(np.stack([A, A[::-1], 255 - A], -1)).quantize(16)
    expected = np.moveaxis(np.asarray(picture.convert("RGB")), -1, 0)
    np.testing.assert_array_equal(saved(tmp_path, picture), expected)


def test_a_gray_palette_gives_one_channel(tmp_path: Path) -> None:
    picture = Pillow.new("P", (5, 4))
    picture.putpalette([value for k in range(3) for value in (k * 100,) * 3])
    picture.putdata([int(v) % 3 for v in A.ravel()])
    back = saved(tmp_path, picture)
    assert back.shape == (1, 4, 5)
    assert set(np.unique(back)) <= {0, 100, 200}


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("LA", 1)])
def test_alpha_is_dropped_where_it_is_constant(tmp_path: Path, mode: str, channels: int) -> None:
    picture = Pillow.fromarray(np.stack([A, A, A[::-1]], -1)).convert(mode)
    assert saved(tmp_path, picture).shape == (channels, 4, 5)
    picture.putalpha(Pillow.fromarray(A))
    back = saved(tmp_path, picture)
    assert back.shape == (channels + 1, 4, 5)
    np.testing.assert_array_equal(back[-1], A)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_as_pillow_does(tmp_path: Path, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[274] = orientation
    back = saved(tmp_path, Pillow.fromarray(A), exif=exif)[0]
    with Pillow.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(back, np.asarray(ImageOps.exif_transpose(picture)))


def test_a_header_of_a_strange_kind_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Pillow.fromarray(A).save(stream, "PNG")
    data = bytearray(stream.getvalue())
    data[25] = 5
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ReadError, match="unknown kind of color"):
        formats.read(Source(tmp_path / "a.png"))


def encoded(picture: Pillow.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", **options)
    return stream.getvalue()


@pytest.mark.parametrize(("length", "said"), [(32, "ends within its header"), (33, "damaged or truncated")])
def test_a_file_that_ends_early_is_refused_for_what_it_lacks(tmp_path: Path, length: int, said: str) -> None:
    (tmp_path / "a.png").write_bytes(encoded(Pillow.fromarray(A))[:length])
    with pytest.raises(ReadError, match=said):
        formats.read(Source(tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("picture", "options", "nbytes"),
    [
        (Pillow.fromarray(A), {}, 20),
        (Pillow.fromarray(A.astype(np.uint16)), {}, 40),
        (Pillow.fromarray(A > 100), {}, 20),  # one bit becomes a byte
        (Pillow.fromarray(np.stack([A] * 3, axis=-1)), {}, 60),
        (Pillow.fromarray(np.stack([A] * 3, axis=-1)), {"transparency": (0, 0, 0)}, 80),  # becomes an alpha
        (Pillow.fromarray(np.stack([A] * 4, axis=-1)), {}, 80),
    ],
)
def test_the_memory_is_asked_for_what_is_decoded(
    picture: Pillow.Image, options: dict[str, object], nbytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, tuple[int, ...]]] = []
    monkeypatch.setattr(png, "guard_memory", lambda size, _where, *, shape: asked.append((size, shape)))
    (tmp_path / "a.png").write_bytes(encoded(picture, **options))
    with formats.open_reader(Source(tmp_path / "a.png")) as reader:
        array = reader.read()
    assert asked == [(nbytes, (4, 5))]
    assert array.nbytes == nbytes
