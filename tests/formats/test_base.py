"""What a reader says of a file before it is decoded, and the steps that all formats share."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import psutil
import pytest
import tifffile
from PIL import Image as Pillow

from ulna import formats
from ulna.errors import ReadError, UlnaError
from ulna.formats import base, png
from ulna.formats.base import Format, Reader, begins, equal_channels, guard_memory, upright
from ulna.formats.writer import New
from ulna.image import Channel, Grid, Source

GRAY = np.arange(20, dtype=np.uint8).reshape(4, 5)
COLOR = np.stack([GRAY, GRAY[::-1], 9 * GRAY], axis=-1)


def _png(path: Path) -> Path:
    path.write_bytes(imagecodecs.png_encode(COLOR.astype(np.uint16)))
    return path


def _jpeg(path: Path) -> Path:
    exif = Pillow.Exif()
    exif[274] = 6
    Pillow.fromarray(COLOR).save(path, exif=exif)
    return path


def _gif(path: Path) -> Path:
    Pillow.fromarray(GRAY).save(path, save_all=True, append_images=[Pillow.fromarray(GRAY + 1)])
    return path


def _stack(path: Path) -> Path:
    words = {"axes": "TZCYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(path, np.zeros((2, 3, 2, 4, 5), np.uint16), imagej=True, metadata=words, resolution=(4, 2))
    return path


def _ome(path: Path) -> Path:
    words = {"axes": "CYX", "Channel": {"Name": ["dapi", "actin"]}, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    tifffile.imwrite(path, np.zeros((2, 4, 5), np.float32), ome=True, photometric="minisblack", metadata=words)
    return path


TURNED = (
    "its header says how it is turned (EXIF orientation 6), and it is read upright: a mask that was drawn without that "
    "does not lie on it"
)


def _turned(path: Path) -> Path:
    Pillow.fromarray(COLOR).save(path, tiffinfo={274: 6})
    return path


def _palette(path: Path) -> Path:
    Pillow.fromarray(COLOR).quantize(4).save(path)
    return path


def _alpha(path: Path) -> Path:
    Pillow.fromarray(np.dstack([COLOR, GRAY])).save(path)
    return path


RED_GREEN_BLUE = (("red", "signal"), ("green", "signal"), ("blue", "signal"))
DESCRIBED: dict[str, tuple[Any, dict[str, Any]]] = {
    "color.png": (_png, {"dtype": "uint16", "channels": RED_GREEN_BLUE, "nbytes": 120}),
    "alpha.png": (_alpha, {"channels": (*RED_GREEN_BLUE, ("alpha", "alpha")), "nbytes": 80}),
    "palette.png": (_palette, {"channels": RED_GREEN_BLUE, "palette": True, "nbytes": 60}),
    "turned.jpg": (_jpeg, {"channels": RED_GREEN_BLUE, "grid": Grid((5, 4)), "nbytes": 60, "assumed": TURNED}),
    "two.gif": (
        _gif,
        {
            "channels": RED_GREEN_BLUE,
            "palette": True,
            "nbytes": 60,
            "assumed": "holds 2 images (picture 0, picture 1); the first one is read (data.scene chooses another)",
        },
    ),
    "palette.bmp": (_palette, {"channels": RED_GREEN_BLUE, "palette": True, "nbytes": 60}),
    "stack.tif": (
        _stack,
        {
            "dtype": "uint16",
            "channels": (("channel 0", "signal"), ("channel 1", "signal")),
            "grid": Grid((6, 4, 5), (2.0, 0.5, 0.25), "µm"),
            "planes": 6,
            "times": 2,
            "nbytes": 2 * 6 * 4 * 5 * 2,
            "assumed": "its 2 time points of 3 planes each are read as pages one after the other (axes TZCYX; to keep "
            "it so without this note, set data.axes: TZCYX; data.time chooses one)",
        },
    ),
    "named.ome.tif": (
        _ome,
        {
            "dtype": "float32",
            "channels": (("dapi", "signal"), ("actin", "signal")),
            "grid": Grid((4, 5), (0.25, 0.5), "µm"),
            "nbytes": 160,
        },
    ),
    "turned.tif": (_turned, {"channels": RED_GREEN_BLUE, "grid": Grid((5, 4)), "nbytes": 60, "assumed": TURNED}),
    "palette.tif": (_palette, {"channels": RED_GREEN_BLUE, "palette": True, "nbytes": 60}),
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_all_that_is_said_of_a_file(name: str, tmp_path: Path) -> None:
    make, said = DESCRIBED[name]
    usual = {"dtype": "uint8", "channels": (("gray", "signal"),), "grid": Grid((4, 5)), "planes": 1, "times": 1}
    expected = usual | {"assumed": "", "palette": False, "nbytes": 20} | said
    with formats.open_reader(Source(make(tmp_path / name))) as reader:
        found = {key: getattr(reader, key) for key in expected}
        found["dtype"] = str(reader.dtype)
        found["channels"] = tuple((channel.name, channel.role) for channel in reader.channels)
        assert found == expected
        assert reader.levels == (reader.grid,)
        array = reader.read()
    assert array.dtype == expected["dtype"]
    assert array.shape == (len(expected["channels"]), *asdict(expected["grid"])["shape"])


def test_a_level_that_is_not_there(tmp_path: Path) -> None:
    with formats.open_reader(Source(_png(tmp_path / "a.png"))) as reader:
        for level in (-1, 1):
            with pytest.raises(ReadError) as caught:
                reader.read(level=level)
            assert str(caught.value) == f"{tmp_path / 'a.png'}: has 1 levels, level {level} is asked for"


def test_pixels_that_are_not_those_that_are_announced(tmp_path: Path) -> None:
    said = Reader(
        Source(tmp_path / "a.png"), Grid((4, 5)), np.dtype("u1"), base.GRAY, lambda region, level: GRAY[None, :3]
    )
    with pytest.raises(ReadError) as caught:
        said.read()
    assert str(caught.value) == f"{tmp_path / 'a.png'}: is damaged: its pixels are not those that it announces"


def test_a_constant_alpha_is_left_out_and_a_gray_palette_is_gray() -> None:
    def image(array: np.ndarray, channels: tuple[Channel, ...], *, palette: bool = False) -> tuple[list[str], int]:
        reader = Reader(Source(Path("a")), Grid((4, 5)), array.dtype, channels, lambda *_: array, palette=palette)
        made = reader.image()
        assert made.array.flags.c_contiguous
        return [channel.name for channel in made.channels], len(made.array)

    gray, clear, color = np.stack([GRAY] * 3), np.full((1, 4, 5), 7, np.uint8), np.moveaxis(COLOR, -1, 0)
    assert image(np.concatenate([color, clear]), base.BY_SAMPLES[4]) == (["red", "green", "blue"], 3)
    assert image(np.concatenate([color, color[:1]]), base.BY_SAMPLES[4]) == (["red", "green", "blue", "alpha"], 4)
    assert image(gray, base.RGB) == (["red", "green", "blue"], 3)
    assert image(gray, base.RGB, palette=True) == (["gray"], 1)
    assert image(color, base.RGB, palette=True) == (["red", "green", "blue"], 3)
    assert image(np.concatenate([gray, color[1:2]]), base.BY_SAMPLES[4], palette=True) == (["gray", "alpha"], 2)
    assert image(np.concatenate([gray, clear]), base.BY_SAMPLES[4], palette=True) == (["gray"], 1)
    assert image(np.stack([GRAY, GRAY]), base.BY_SAMPLES[2]) == (["gray", "alpha"], 2)


def test_memory_is_asked_for_an_image_and_a_copy_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    free = 3 * base.SMALL
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": free}))
    guard_memory(free // 2, "a.png", shape=(9, 9))
    with pytest.raises(ReadError) as caught:
        guard_memory(free // 2 + 1, "a.png", shape=(30, 40))
    assert str(caught.value) == (
        "a.png: an image of 30 × 40 needs 192.0 MiB of memory, 192.0 MiB are free\n"
        "Cut the image into smaller ones, or use a machine with more memory."
    )
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 0}))
    guard_memory(base.SMALL - 1, "a.png", shape=(9, 9))
    with pytest.raises(ReadError):
        guard_memory(base.SMALL, "a.png", shape=(9, 9))
    assert base.SMALL == 64 * 1024**2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_array_is_turned_as_its_tag_says(orientation: int) -> None:
    y, x = np.mgrid[:4, :5]
    stored = np.stack([y, x], axis=-1)
    # the page's first pixel and the one to its right, as (row, column) in the file: TIFF 6.0, page 36
    first, right = {
        1: ((0, 0), (0, 1)), 2: ((0, 4), (0, 3)), 3: ((3, 4), (3, 3)), 4: ((3, 0), (3, 1)),
        5: ((0, 0), (1, 0)), 6: ((3, 0), (2, 0)), 7: ((3, 4), (2, 4)), 8: ((0, 4), (1, 4)),
    }[orientation]  # fmt: skip
    turned = upright(stored, orientation)
    assert tuple(turned[0, 0].tolist()) == first
    assert tuple(turned[0, 1].tolist()) == right
    assert turned.shape == ((5, 4, 2) if orientation >= 5 else (4, 5, 2))


def test_small_steps() -> None:
    assert begins(b"ab", b"cd")(b"cde", "")
    assert not begins(b"ab", b"cd")(b"acd", "")
    assert equal_channels(GRAY[None])
    assert equal_channels(np.stack([GRAY, GRAY, GRAY]))
    assert not equal_channels(np.stack([GRAY, GRAY, GRAY + 1]))


def test_a_format_that_is_not_written_says_so(tmp_path: Path) -> None:
    family = Format("JPEG", (".jpg",), begins(b""), lambda stream, source: None, tuple)  # type: ignore[arg-type, return-value]
    written = png.FORMAT.create(New(tmp_path / "a.png", Grid((4, 5)), np.dtype("u1"), base.GRAY))
    written.write(None, GRAY[None])
    written.close()
    assert formats.read(Source(tmp_path / "a.png")).shape == (4, 5)
    for ask in (
        lambda: family.saver(tmp_path / "a.jpg"),
        lambda: family.create(New(tmp_path / "a.jpg", Grid((4, 5)), np.dtype("u1"), base.GRAY)),
    ):
        with pytest.raises(UlnaError) as caught:
            ask()
        assert str(caught.value) == f"{tmp_path / 'a.jpg'}: JPEG files are read, not written\nName it .png or .tif."
