"""The contract of readers and writers: regions, levels, selections, whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import tracemalloc
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from ulna import formats
from ulna.errors import ReadError, UlnaError, WriteError
from ulna.formats import writer as writing
from ulna.formats.tiff_parts import Parts
from ulna.formats.writer import uncovered
from ulna.image import Channel, Grid, Image, Source

RNG = np.random.default_rng(5)
VOLUME = RNG.integers(0, 65536, (2, 4, 12, 17)).astype(np.uint16)  # C, Z, Y, X


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    color = RNG.integers(0, 256, (12, 17, 3)).astype(np.uint8)
    (folder / "a.png").write_bytes(imagecodecs.png_encode(color))
    Pillow.fromarray(color).save(folder / "a.bmp")
    tifffile.imwrite(folder / "tiled.tif", color, photometric="rgb", tile=(16, 16), compression="zlib")
    stack = np.moveaxis(VOLUME, 0, 1)
    tifffile.imwrite(folder / "stack.tif", stack, imagej=True, metadata={"axes": "ZCYX", "spacing": 3, "unit": "um"})
    return {path.name: path for path in folder.iterdir()}


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(["a.png", "a.bmp", "tiled.tif", "stack.tif"]), seed=st.integers(0, 999))
def test_a_region_is_that_part_of_the_whole(files: dict[str, Path], name: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    whole = formats.read(Source(files[name]))
    start = [int(draw.integers(0, n)) for n in whole.shape]
    region = tuple(slice(s, int(draw.integers(s + 1, n + 1))) for s, n in zip(start, whole.shape, strict=True))
    with formats.open_reader(Source(files[name])) as reader:
        assert (reader.grid, reader.dtype, reader.channels) == (whole.grid, whole.array.dtype, whole.channels)
        assert reader.nbytes == whole.array.nbytes
        assert reader.assumed == ""
        np.testing.assert_array_equal(reader.read(region), whole.array[(slice(None), *region)])


def test_only_the_planes_of_a_region_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"imagej": True, "compression": "zlib", "metadata": {"axes": "ZCYX"}}
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(VOLUME, 0, 1), **options)
    decoded = []
    real = Parts._decode
    monkeypatch.setattr(
        Parts, "_decode", lambda parts, frame, *rest: decoded.append(frame.index) or real(parts, frame, *rest)
    )
    with formats.open_reader(Source(tmp_path / "a.tif")) as reader:
        assert decoded == []
        reader.read((slice(2, 3), slice(0, 5), slice(0, 5)))
    assert sorted(decoded) == [4, 5]  # both channels of the third plane


@pytest.mark.parametrize("region", [(slice(0, 13), slice(0, 5)), (slice(0, 5),), (slice(3, 3), slice(0, 5))])
def test_a_region_that_is_not_there(files: dict[str, Path], region: tuple[slice, ...]) -> None:
    with formats.open_reader(Source(files["a.png"])) as reader:
        with pytest.raises(ReadError, match=r"a\.png.*region"):
            reader.read(region)
        with pytest.raises(ReadError, match="has 1 levels, level 1 is asked for"):
            reader.read(level=1)


def test_levels_of_a_pyramid(tmp_path: Path) -> None:
    levels = [RNG.integers(0, 256, (64 >> k, 96 >> k)).astype(np.uint8) for k in range(3)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(levels[0], subifds=2, tile=(16, 16), resolution=(1e4, 1e4), resolutionunit="CENTIMETER")
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, tile=(16, 16))
    with formats.open_reader(Source(tmp_path / "a.tif")) as reader:
        assert [grid.shape for grid in reader.levels] == [(64, 96), (32, 48), (16, 24)]
        assert [grid.spacing for grid in reader.levels] == [(1, 1), (2, 2), (4, 4)]
        assert reader.levels[2].origin == (1.5, 1.5)
        for k, level in enumerate(levels):
            np.testing.assert_array_equal(reader.read(level=k)[0], level)
        np.testing.assert_array_equal(reader.read((slice(3, 9), slice(4, 5)), 1)[0], levels[1][3:9, 4:5])


def test_what_a_caller_raises_is_no_damage_of_the_file(files: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="mine"), formats.open_reader(Source(files["a.png"])):
        raise ValueError("mine")


def test_time_points_channels_and_series_are_selected(tmp_path: Path) -> None:
    array = RNG.integers(0, 999, (3, 2, 4, 8, 9)).astype(np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, imagej=True, metadata={"axes": "TZCYX"})
    for source, expected in {
        Source(path): array.reshape(6, 4, 8, 9).swapaxes(0, 1),
        Source(path, time=2): array[2].swapaxes(0, 1),
        Source(path, time=1, channel=3): array[1].swapaxes(0, 1)[3:],
        Source(path, page=1, time=1): array[1, 1],
        Source(path, page=3, channel=0): array[1, 1, :1],
    }.items():
        np.testing.assert_array_equal(formats.read(source).array, expected)
    for source, message in {
        Source(path, time=3): "has 3 time points, time 3 is asked for",
        Source(path, channel=4): "has 4 channels, channel 4 is asked for",
        Source(path, page=2, time=0): "has 2 pages, page 2 is asked for",
        Source(path, scene=1): "holds 1 image, scene 1 is asked for",
    }.items():
        with pytest.raises(ReadError, match=message):
            formats.read(source)


def test_a_second_image_in_a_file_is_named_and_can_be_selected(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    first, second = np.zeros((8, 9), np.uint8), np.ones((5, 6), np.uint8)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(first, metadata=None)
        tiff.write(second, metadata=None)
    with formats.open_reader(Source(path)) as reader:
        assert reader.assumed == "holds 2 images (8 × 9, 5 × 6); the first one is read (data.scene chooses another)"
    np.testing.assert_array_equal(formats.read(Source(path, scene=1)).array[0], second)
    with formats.open_reader(Source(path, scene=1)) as reader:
        assert reader.assumed == ""


def test_an_animation_says_that_one_picture_is_read(tmp_path: Path) -> None:
    pictures = [Pillow.new("L", (5, 4), value) for value in (0, 255, 9)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:])
    with formats.open_reader(Source(tmp_path / "a.gif")) as reader:
        assert reader.assumed == (
            "holds 3 images (picture 0, picture 1, picture 2); the first one is read (data.scene chooses another)"
        )


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_writer_puts_regions_together(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    array, grid = VOLUME[:1, 0], Grid((12, 17), (0.5, 0.5), "µm")
    options: dict[str, Any] = {"dtype": np.dtype(np.uint16), "channels": (Channel("channel 0"),)}
    with formats.create(path, grid, **options) as writer:
        for region in ((slice(0, 5), slice(0, 17)), (slice(5, 12), slice(9, 17)), (slice(5, 12), slice(0, 9))):
            writer.write(region, array[(slice(None), *region)])
            assert not path.exists()
    back = formats.read(Source(path))
    np.testing.assert_array_equal(back.array, array)
    assert back.grid == grid
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_writer_leaves_nothing_half_written(tmp_path: Path) -> None:
    options: dict[str, Any] = {"dtype": np.dtype(np.uint8), "channels": (Channel("channel 0"),)}
    part, whole = np.ones((1, 4, 4), np.uint8), np.ones((1, 4, 5), np.uint8)

    def written(region: tuple[slice, ...] | None, array: np.ndarray, raised: Exception | None = None) -> None:
        with formats.create(tmp_path / "a.tif", Grid((4, 5)), **options) as writer:
            writer.write(region, array)
            if raised:
                raise raised

    with pytest.raises(UlnaError, match="4 of 20 pixels were not written"):
        written((slice(0, 4), slice(0, 4)), part)
    with pytest.raises(ValueError, match="mine"):
        written(None, whole, ValueError("mine"))
    with pytest.raises(UlnaError, match="does not fill a region"):
        written(None, part)
    assert not list(tmp_path.iterdir())
    for name, words in (
        ("a.jpg", "are read, not written"),
        ("a.xyz", r"written as \.png, \.tif, \.nii\.gz, \.nrrd, \.mha, \.zarr, not"),
    ):
        with pytest.raises(UlnaError, match=words):
            formats.create(tmp_path / name, Grid((4, 5)), **options)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_signals_are_written_as_signals_also_where_they_are_constant(
    tmp_path: Path, count: int, ndim: int, dtype: str
) -> None:
    shape = (3, 6, 7)[-ndim:]
    array = RNG.integers(0, 255, (count, *shape)).astype(dtype)
    array[-1] = 7
    formats.write(tmp_path / "a.tif", Image(array))
    back = formats.read(Source(tmp_path / "a.tif"))
    np.testing.assert_array_equal(back.array, array)
    assert {channel.role for channel in back.channels} == {"signal"}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("count", [2, 4])
def test_an_alpha_is_written_as_alpha(tmp_path: Path, suffix: str, count: int) -> None:
    path = tmp_path / f"a{suffix}"
    array = RNG.integers(0, 255, (count, 6, 7)).astype(np.uint8)
    names = ("red", "green", "blue") if count == 4 else ("gray",)
    channels = (*map(Channel, names), Channel("alpha", "alpha"))
    formats.write(path, Image(array, channels=channels))
    back = formats.read(Source(path))
    np.testing.assert_array_equal(back.array, array)
    assert back.channels == channels
    with Pillow.open(path) as picture:
        assert picture.mode == ("RGBA" if count == 4 else "LA")
    array[-1] = 200
    formats.write(path, Image(array, channels=channels))
    back = formats.read(Source(path))
    np.testing.assert_array_equal(back.array, array[:-1])
    assert back.channels == channels[:-1]


def test_an_alpha_that_no_format_declares_is_refused(tmp_path: Path) -> None:
    channels = (Channel("alpha", "alpha"), Channel("gray"))
    with pytest.raises(UlnaError, match="alpha behind"):
        formats.write(tmp_path / "a.tif", Image(np.zeros((2, 3, 4), np.uint8), channels=channels))
    with pytest.raises(UlnaError, match=r"a\.png: PNG cannot hold 4 channels"):
        formats.write(tmp_path / "a.png", Image(np.zeros((4, 3, 4), np.uint8)))  # it would become an alpha
    for wide in (np.full((1, 3, 4), 1 << 40), np.full((1, 3, 4), -1 << 40), np.zeros((1, 3, 4), np.float16)):
        with pytest.raises(UlnaError, match="numbers of the type"):
            formats.write(tmp_path / "a.tif", Image(wide))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("value", "dtype"), [(-100_000, np.int32), (1 << 31, np.uint32), (2**32 - 1, np.uint32)])
def test_whole_numbers_of_64_bits_are_written_where_32_hold_them(tmp_path: Path, value: int, dtype: type) -> None:
    formats.write(tmp_path / "a.tif", Image(np.full((1, 3, 4), value)))
    back = formats.read(Source(tmp_path / "a.tif")).array
    assert back.dtype == dtype
    assert (back == value).all()


def test_names_of_channels_are_kept(tmp_path: Path) -> None:
    for names in (("DAPI",), ("DAPI", "GFP"), ("DAPI", "GFP", "Cy5")):
        image = Image(VOLUME[:1, 0].repeat(len(names), 0), channels=tuple(map(Channel, names)))
        formats.write(tmp_path / "a.tif", image)
        assert tuple(c.name for c in formats.read(Source(tmp_path / "a.tif")).channels) == names


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=2, max_size=3),
    boxes=st.lists(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 9)), min_size=3, max_size=3), max_size=6),
)
def test_what_was_not_written_is_counted(shape: list[int], boxes: list[list[tuple[int, int]]]) -> None:
    regions = [
        tuple(
            slice(start % n, start % n + 1 + length % (n - start % n))
            for (start, length), n in zip(box, shape, strict=False)
        )
        for box in boxes
    ]
    marks = np.zeros(shape, bool)
    for region in regions:
        marks[region] = True
    assert uncovered(tuple(shape), regions) == int((~marks).sum())


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize(
    ("count", "shape"), [(1, (40, 30)), (2, (40, 30)), (3, (40, 30)), (3, (4, 20, 30)), (5, (4, 20, 30))]
)
def test_a_tiff_written_by_regions_is_the_one_written_as_a_whole(
    tmp_path: Path, count: int, shape: tuple[int, ...], dtype: str
) -> None:
    image = Image(RNG.integers(0, 255, (count, *shape)).astype(dtype), Grid(shape, (2.0,) * len(shape), "µm"))
    formats.write(tmp_path / "whole.tif", image)
    with formats.create(tmp_path / "parts.tif", image.grid, dtype=image.array.dtype, channels=image.channels) as writer:
        for start in range(0, shape[-1], 7):
            region = (*(slice(0, n) for n in shape[:-1]), slice(start, min(start + 7, shape[-1])))
            writer.write(region, image.array[(slice(None), *region)])
    whole, parts = (formats.read(Source(tmp_path / name)) for name in ("whole.tif", "parts.tif"))
    np.testing.assert_array_equal(parts.array, whole.array)
    assert (parts.grid, parts.channels) == (whole.grid, whole.channels)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_tiff_that_is_written_by_regions_is_not_in_memory(tmp_path: Path) -> None:
    options: dict[str, Any] = {"dtype": np.dtype(np.uint8), "channels": (Channel("channel 0"),)}
    row = np.ones((1, 100, 4000), np.uint8)
    tracemalloc.start()
    with formats.create(tmp_path / "a.tif", Grid((4000, 4000)), **options) as writer:
        for start in range(0, 4000, 100):
            writer.write((slice(start, start + 100), slice(0, 4000)), row)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4_000_000  # of 16 million pixels


def test_a_disk_without_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "_reserve", full)
    with pytest.raises(WriteError, match="disk is full"):
        formats.create(tmp_path / "a.tif", Grid((4, 5)), dtype=np.dtype(np.uint8), channels=(Channel("a"),))
    assert not list(tmp_path.iterdir())


def test_the_whole_of_an_image_is_asked_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def full(_file: int, offset: int, length: int) -> None:
        asked.append((offset, length))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(WriteError, match="disk is full"):
        formats.create(tmp_path / "a.tif", Grid((3, 4, 5)), dtype=np.dtype(np.uint16), channels=(Channel("a"),))
    assert asked == [(0, 3 * 4 * 5 * 2)]


def test_without_the_call_of_posix_room_is_made_by_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr(writing, "CHUNK", 7)
    channels = (Channel("channel 0"),)
    with formats.create(tmp_path / "a.tif", Grid((4, 5)), dtype=np.dtype(np.uint8), channels=channels) as writer:
        writer.write(None, np.full((1, 4, 5), 9, np.uint8))
    assert (formats.read(Source(tmp_path / "a.tif")).array == 9).all()


def test_numbers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    writer = formats.create(tmp_path / "a.tif", Grid((4, 5)), dtype=np.dtype(np.uint8), channels=(Channel("a"),))
    with pytest.raises(UlnaError, match="int64 do not fit into uint8"):
        writer.write(None, np.full((1, 4, 5), 300))


def test_strips_are_decoded_once_while_parts_of_them_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"imagej": True, "compression": "zlib", "metadata": {"axes": "ZCYX"}}
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(VOLUME, 0, 1), **options)
    decoded = []
    real = Parts._decode
    monkeypatch.setattr(
        Parts, "_decode", lambda parts, frame, *rest: decoded.append(frame.index) or real(parts, frame, *rest)
    )
    with formats.open_reader(Source(tmp_path / "a.tif")) as reader:
        first = reader.read((slice(0, 2), slice(0, 5), slice(0, 5)))
        first[:] = 0  # a caller's own copy
        again = reader.read((slice(0, 2), slice(0, 5), slice(0, 5)))
        np.testing.assert_array_equal(again, VOLUME[:, :2, :5, :5])
    assert decoded == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ("TYX", r"its 3 time points are read as pages.*data\.axes: TYX.*if they are planes, set data\.axes: ZYX"),
        ("TZYX", r"its 3 time points of 4 planes each are read as pages.*data\.axes: TZYX"),
    ],
)
def test_time_points_that_are_read_as_planes_are_said(tmp_path: Path, axes: str, message: str) -> None:
    path = tmp_path / "a.tif"
    array = RNG.integers(0, 999, (3, 4, 8, 9) if "Z" in axes else (3, 8, 9)).astype(np.uint16)
    tifffile.imwrite(path, array, imagej=True, metadata={"axes": axes})
    with formats.open_reader(Source(path)) as reader:
        assert re.search(message, reader.assumed)
    for said in (Source(path, axes=axes), Source(path, time=1)):
        with formats.open_reader(said) as reader:
            assert reader.assumed == ""


def test_a_part_of_a_plane_is_the_callers_own(files: dict[str, Path]) -> None:
    with formats.open_reader(Source(files["tiled.tif"])) as reader:
        whole, region = reader.read(), (slice(0, 5), slice(0, 5))
        reader.read(region)[:] = 0
        np.testing.assert_array_equal(reader.read(region), whole[:, :5, :5])
