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
from ulna.errors import ReadError, UlnaError
from ulna.formats import png
from ulna.image import Grid, Image, Source

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


def test_png_says_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(UlnaError) as caught:
        formats.write(tmp_path / "a.png", Image(np.zeros((5, 4, 4), np.float32)))
    assert str(caught.value) == (
        f"{tmp_path / 'a.png'}: PNG cannot hold 5 channels of float32 with 2 axes\nWrite it as .tif."
    )


def resolution(x: int, y: int, unit: int = 1) -> Grid:
    """What is read of a PNG with so many pixels per unit."""
    data = encoded(Pillow.fromarray(A))
    content = b"pHYs" + struct.pack(">IIB", x, y, unit)
    chunk = struct.pack(">I", 9) + content + struct.pack(">I", zlib.crc32(content))
    source = Source(Path("a.png"))
    return png.open_png(io.BytesIO(data[:33] + chunk + data[33:]), source).grid


def test_pixels_per_meter_are_a_size_unless_a_printer_has_them() -> None:
    assert resolution(2_000_000, 500_000) == Grid((4, 5), (2.0, 0.5), "µm")
    assert resolution(2_000_000, 500_000, unit=0) == Grid((4, 5))
    assert resolution(2_000_000, 0) == resolution(0, 2_000_000) == Grid((4, 5))
    for inch in (72, 75, 96, 100, 120, 144, 150, 180, 200, 240, 300, 350, 400, 600, 1200):
        assert (
            resolution(round(inch / 0.0254), 2_000_000) == resolution(2_000_000, round(inch / 0.0254)) == Grid((4, 5))
        )
    assert resolution(round(97 / 0.0254), round(97 / 0.0254)).unit == "µm"


@pytest.mark.parametrize(
    ("grid", "meters"),
    [
        (Grid((4, 5), (0.5, 0.25), "nm"), (4_000_000_000, 2_000_000_000)),
        (Grid((4, 5), (0.5, 0.25), "µm"), (4_000_000, 2_000_000)),
        (Grid((4, 5), (0.5, 0.25), "mm"), (4000, 2000)),
        (Grid((4, 5), (0.5, 0.25), "cm"), (400, 200)),
        (Grid((4, 5), (0.5, 0.25), "m"), (4, 2)),
        (Grid((4, 5), (4.0, 4.0), "m"), (0, 0)),
        (Grid((4, 5), (0.5, 0.25), "pixel"), None),
        (Grid((4, 5)), None),
    ],
)
def test_the_size_of_pixels_is_written_for_other_programs(
    tmp_path: Path, grid: Grid, meters: tuple[int, int] | None
) -> None:
    formats.write(tmp_path / "a.png", Image(A[None], grid))
    assert formats.read(Source(tmp_path / "a.png")).grid == grid
    data = (tmp_path / "a.png").read_bytes()
    fits = meters is not None and min(meters) > 0 and max(meters) < 1 << 31
    assert (b"pHYs" in data) == fits
    if fits:
        place = data.index(b"pHYs")
        assert struct.unpack(">IIB", data[place + 4 : place + 13]) == (*meters, 1)
        assert struct.unpack(">I", data[place + 13 : place + 17]) == (zlib.crc32(data[place : place + 13]),)
    assert (b"ulna grid" in data) == (grid != Grid((4, 5)))
