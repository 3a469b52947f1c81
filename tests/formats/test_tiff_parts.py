"""Regions of TIFFs: equal to the same part of the whole, and no more is decoded than they touch."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna import formats
from ulna.errors import ReadError
from ulna.formats import base
from ulna.formats.tiff_parts import Parts
from ulna.image import Source

RNG = np.random.default_rng(11)
COLOR = (RNG.integers(0, 6, (50, 70, 3)) * 40).astype(np.uint8)
PALETTE = {"photometric": "palette", "colormap": RNG.integers(0, 65536, (3, 256)).astype(np.uint16)}
RGB = {"photometric": "rgb"}
TILED = {"tile": (16, 32)}
STRIPS = {"rowsperstrip": 7}
KINDS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "flat": (COLOR, RGB),
    "flat strips": (COLOR, RGB | STRIPS),
    "packed strips": (COLOR, RGB | STRIPS | {"compression": "zlib", "predictor": True}),
    "one packed strip": (COLOR, RGB | {"rowsperstrip": 50, "compression": "lzw"}),
    "tiles": (COLOR, RGB | TILED),
    "packed tiles": (COLOR, RGB | TILED | {"compression": "zlib"}),
    "big endian": (COLOR.astype(np.uint16), RGB | {"byteorder": ">"}),
    "big endian tiles": (COLOR.astype(np.uint16), RGB | TILED | {"byteorder": ">"}),
    "JPEG": (COLOR, RGB | TILED | {"compression": "jpeg"}),
    "YCbCr": (COLOR, {"photometric": "ycbcr", "compression": "jpeg"} | TILED),
    "planar": (np.moveaxis(COLOR, -1, 0), RGB | {"planarconfig": "separate"}),
    "planar tiles": (np.moveaxis(COLOR, -1, 0), RGB | TILED | {"planarconfig": "separate", "compression": "zstd"}),
    "palette": (COLOR[..., 0], PALETTE | TILED),
    "CMYK": (np.concatenate([COLOR, COLOR[..., :1]], -1), {"photometric": "separated"} | TILED),
    "white is zero": (COLOR[..., 0], {"photometric": "miniswhite"} | STRIPS),
    "one bit": (COLOR[..., 0] > 100, {"photometric": "minisblack"} | STRIPS),
    "floats": (COLOR[..., 0].astype(np.float32), TILED | {"compression": "zlib", "predictor": 3}),
    "stack": (np.moveaxis(COLOR, -1, 0), {"photometric": "minisblack", "compression": "zlib"} | STRIPS),
    "flat stack": (np.moveaxis(COLOR, -1, 0).astype(np.uint16), {"photometric": "minisblack"}),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    for name, (array, options) in KINDS.items():
        tifffile.imwrite(folder / f"{name}.tif", array, **options)
    for orientation in range(1, 9):
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(folder / f"turned {orientation}.tif", COLOR, extratags=tags, **RGB, **TILED)
    return folder


@settings(max_examples=120, deadline=None)
@given(name=st.sampled_from([*KINDS, *(f"turned {k}" for k in range(1, 9))]), seed=st.integers(0, 999))
def test_a_region_is_that_part_of_the_whole(files: Path, name: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    with formats.open_reader(Source(files / f"{name}.tif")) as reader:
        whole = reader.read()
        for _ in range(3):
            start = [int(draw.integers(0, n)) for n in reader.grid.shape]
            region = tuple(
                slice(s, int(draw.integers(s + 1, n + 1))) for s, n in zip(start, whole.shape[1:], strict=True)
            )
            np.testing.assert_array_equal(reader.read(region), whole[(slice(None), *region)])


def test_only_the_tiles_that_are_touched_are_decoded_and_each_once(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    real = Parts._decode
    monkeypatch.setattr(
        Parts, "_decode", lambda parts, frame, index, offset: decoded.append(index) or real(parts, frame, index, offset)
    )
    with formats.open_reader(Source(files / "packed tiles.tif")) as reader:
        reader.read((slice(17, 30), slice(10, 40)))
        reader.read((slice(20, 33), slice(0, 32)))
    assert decoded == [3, 4, 6]  # of four rows of three


def test_the_memory_is_that_of_the_region_and_not_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = np.tile(np.arange(256, dtype=np.uint8), 32)[:8000]
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiles = (np.tile(row[:512], (512, 1)) for _ in range(16 * 16))
        tiff.write(tiles, shape=(8000, 8000), dtype=np.uint8, tile=(512, 512), compression="zlib")
    flat = np.memmap(tmp_path / "flat.raw", np.uint8, "w+", shape=(8000, 8000))
    tifffile.imwrite(tmp_path / "flat.tif", flat)
    del flat
    monkeypatch.setattr("ulna.formats.tiff.KEPT", 4 << 20)
    monkeypatch.setattr(base, "SMALL", 0)
    monkeypatch.setattr(base, "free_memory", lambda: 16 << 20)
    for name in ("a.tif", "flat.tif"):
        with formats.open_reader(Source(tmp_path / name)) as reader:
            tracemalloc.start()
            total = 0
            for top in range(0, 8000, 1000):
                for left in range(0, 8000, 1000):
                    total += int(reader.read((slice(top, top + 1000), slice(left, left + 1000))).size)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert total == 64_000_000
            assert most < 12_000_000, name
            with pytest.raises(ReadError, match="8000 × 8000 needs"):
                reader.read()


def test_a_slide_says_its_spacing_and_its_levels(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    levels = [np.full((256 >> k, 384 >> k, 3), 50 * k, np.uint8) for k in (0, 2)]
    words = "Aperio Image Library v11.2.1\r\n384x256 (256x256) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990"
    with tifffile.TiffWriter(path) as tiff:
        options = {"photometric": "rgb", "metadata": None}
        tiff.write(levels[0], tile=(64, 64), description=words, **options)
        tiff.write(levels[1][:32], description=words.replace("(256x256)", "-> 96x32"), **options)  # a thumbnail
        tiff.write(levels[1], tile=(64, 64), description=words.replace("(256x256)", "-> 96x64"), **options)
    with formats.open_reader(Source(path)) as reader:
        assert [grid.shape for grid in reader.levels] == [(256, 384), (64, 96)]
        assert (reader.grid.spacing, reader.grid.unit) == ((0.499, 0.499), "µm")
        assert reader.levels[1].spacing == (4 * 0.499, 4 * 0.499)
        assert (reader.read((slice(8, 20), slice(3, 9)), 1) == 100).all()


def test_a_real_slide(data: Path) -> None:
    with formats.open_reader(Source(data / "formats" / "wsi" / "CMU-1-Small-Region.svs")) as reader:
        assert reader.grid.shape == (2967, 2220)
        assert reader.grid.spacing == (0.499, 0.499)
        whole = reader.read()
        np.testing.assert_array_equal(reader.read((slice(900, 1300), slice(7, 800))), whole[:, 900:1300, 7:800])


def test_a_pyramid_that_is_none_is_said(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=True) as tiff:
        tiff.write(COLOR[..., 0], subifds=2, tile=(16, 16))
        tiff.write(COLOR[::2, ::2, 0], subfiletype=1, tile=(16, 16))
        tiff.write(COLOR[:20, ::4, 0], subfiletype=1, tile=(16, 16))
    with formats.open_reader(Source(tmp_path / "a.tif")) as reader:
        assert [grid.shape for grid in reader.levels] == [(50, 70), (25, 35)]
        assert reader.assumed == "1 level of its pyramid (20 × 18) not used: no smaller copies of the image"
        with pytest.raises(ReadError, match="has 2 levels, level 2 is asked for"):
            reader.read(level=2)


def test_a_tile_that_is_cut_off_or_damaged_is_said(tmp_path: Path) -> None:
    noise = RNG.integers(0, 256, (256, 256)).astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise, tile=(64, 64), compression="zlib")
    data = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        last, first = tiff.pages[0].dataoffsets[-1], tiff.pages[0].dataoffsets[0]
    path.write_bytes(data[: last + 100])
    with formats.open_reader(Source(path)) as reader:
        np.testing.assert_array_equal(reader.read((slice(0, 64), slice(0, 256)))[0], noise[:64])
        with pytest.raises(ReadError, match="truncated"):
            reader.read((slice(200, 256), slice(200, 256)))
    path.write_bytes(data[:first] + bytes(200) + data[first + 200 :])
    with formats.open_reader(Source(path)) as reader, pytest.raises(ReadError, match="damaged"):
        reader.read((slice(0, 10), slice(0, 10)))
    flat = tmp_path / "flat.tif"
    tifffile.imwrite(flat, noise)
    flat.write_bytes(flat.read_bytes()[:-100])
    with formats.open_reader(Source(flat)) as reader, pytest.raises(ReadError, match="cut off: 100 of its bytes"):
        reader.read((slice(250, 256), slice(0, 256)))


def test_a_tile_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((100, 100), np.uint8), tile=(4096, 4096), compression="zlib")
    monkeypatch.setattr(base, "SMALL", 0)
    monkeypatch.setattr(base, "free_memory", lambda: 16 << 20)
    with formats.open_reader(Source(path)) as reader, pytest.raises(ReadError, match="4096 × 4096 needs"):
        reader.read((slice(0, 10), slice(0, 10)))
