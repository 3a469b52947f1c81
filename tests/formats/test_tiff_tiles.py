"""Large TIFFs that are written in tiles with a pyramid, as regions come."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna import formats
from ulna.errors import UlnaError, WriteError
from ulna.formats import tiff_tiles
from ulna.formats.base import RGB
from ulna.formats.pyramid import Assembler, halved
from ulna.image import Array, Channel, Grid, Image, Source

RNG = np.random.default_rng(2)
ONE = (Channel("channel 0"),)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_tiles, "LARGE", 0)
    monkeypatch.setattr(tiff_tiles, "SIDE", 32)


def written(path: Path, image: Image, *, height: int = 20, labels: bool = False) -> None:
    """Write an image in bands of rows, each in two parts."""
    sides = image.shape
    with formats.create(path, image.grid, dtype=image.array.dtype, channels=image.channels, labels=labels) as writer:
        for plane in range(sides[0]) if len(sides) == 3 else [None]:
            outer = () if plane is None else (slice(plane, plane + 1),)
            for top in range(0, sides[-2], height):
                for left, right in ((0, 45), (45, sides[-1])):
                    region = (*outer, slice(top, min(top + height, sides[-2])), slice(left, right))
                    writer.write(region, image.array[(slice(None), *region)])


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "i4"])
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize(("count", "shape"), [(1, (70, 100)), (3, (70, 100)), (5, (70, 100)), (3, (3, 70, 100))])
def test_what_is_written_is_read_back(
    tmp_path: Path, count: int, shape: tuple[int, ...], dtype: str, name: str
) -> None:
    array = RNG.integers(0, 255, (count, *shape)).astype(dtype)
    image = Image(array, Grid(shape, (3.0, 0.5, 0.25)[-len(shape) :], "µm", (1.0, 2.0, 3.0)[-len(shape) :]))
    path = tmp_path / name
    written(path, image)
    back = formats.read(Source(path))
    np.testing.assert_array_equal(back.array, array)
    assert back.grid == image.grid
    assert len(back.channels) == count
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
        assert tiff.is_ome
        assert tiff.pages[0].is_tiled
        assert [level.shape[-2:] if count != 3 or dtype not in ("u1", "u2") else level.shape[-3:-1]
                for level in tiff.series[0].levels] == [(70, 100), (35, 50), (18, 25)]  # fmt: skip
    with formats.open_reader(Source(path)) as reader:
        assert reader.assumed == ""
        expected = array
        for level in range(3):
            np.testing.assert_array_equal(reader.read(level=level), expected)
            expected = halved(expected, labels=False)


def test_names_of_channels_and_colors_stay(tmp_path: Path) -> None:
    names = (Channel("DAPI"), Channel("GFP"))
    written(tmp_path / "a.tif", Image(np.zeros((2, 40, 60), np.uint16), channels=names))
    assert formats.read(Source(tmp_path / "a.tif")).channels == names
    written(tmp_path / "b.tif", Image(np.zeros((3, 40, 60), np.uint8), channels=RGB))
    assert formats.read(Source(tmp_path / "b.tif")).channels == RGB


def test_labels_are_never_mixed(tmp_path: Path) -> None:
    labels = np.zeros((1, 70, 100), np.uint16)
    labels[0, 10:31, 10:55], labels[0, 31:60, 20:80] = 7, 1000
    written(tmp_path / "a.tif", Image(labels), labels=True)
    written(tmp_path / "b.tif", Image(labels))
    with formats.open_reader(Source(tmp_path / "a.tif")) as reader:
        assert set(np.unique(reader.read(level=2))) == {0, 7, 1000}
    with formats.open_reader(Source(tmp_path / "b.tif")) as reader:
        assert set(np.unique(reader.read(level=2))) > {0, 7, 1000}


def test_an_alpha_stays_one(tmp_path: Path) -> None:
    channels = (*RGB, Channel("alpha", "alpha"))
    array = RNG.integers(0, 255, (4, 40, 60)).astype(np.uint8)
    written(tmp_path / "a.tif", Image(array, channels=channels))
    assert formats.read(Source(tmp_path / "a.tif")).channels == channels


def test_nothing_is_left_of_what_was_not_finished(tmp_path: Path) -> None:
    with (
        pytest.raises(UlnaError, match="4,200 of 7,000 pixels were not written"),
        formats.create(tmp_path / "a.tif", Grid((70, 100)), dtype=np.dtype(np.uint8), channels=ONE) as writer,
    ):
        writer.write((slice(0, 28), slice(0, 100)), np.zeros((1, 28, 100), np.uint8))
    assert not list(tmp_path.iterdir())


def test_pixels_that_are_written_twice_are_refused(tmp_path: Path) -> None:
    rows, array = (slice(0, 40), slice(0, 100)), np.zeros((1, 40, 100), np.uint8)
    with formats.create(tmp_path / "a.tif", Grid((40, 100)), dtype=array.dtype, channels=ONE) as writer:
        writer.write(rows, array)
        with pytest.raises(UlnaError, match="written twice"):
            writer.write(rows, array)


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(WriteError, match="disk is full"):
        formats.create(tmp_path / "a.tif", Grid((70, 100)), dtype=np.dtype(np.uint8), channels=ONE)


def test_small_images_are_written_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_tiles, "LARGE", 1 << 30)
    for name in ("a.tif", "a.ome.tif"):
        written(tmp_path / name, Image(np.zeros((1, 70, 100), np.uint8)))
        with tifffile.TiffFile(tmp_path / name) as tiff:
            assert not tiff.pages[0].is_tiled
    monkeypatch.setattr(tiff_tiles, "SMALL", 1000)
    written(tmp_path / "b.ome.tif", Image(np.zeros((1, 70, 100), np.uint8)))
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as tiff:
        assert tiff.pages[0].is_tiled


def test_the_memory_is_that_of_a_band_and_not_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_tiles, "SIDE", 512)
    row = np.ones((1, 200, 8000), np.uint8)
    row[:, ::3, ::5] = 7
    tracemalloc.start()
    with formats.create(tmp_path / "a.tif", Grid((8000, 8000)), dtype=row.dtype, channels=ONE, labels=True) as writer:
        for start in range(0, 8000, 200):
            writer.write((slice(start, start + 200), slice(0, 8000)), row)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 16_000_000  # of 64 million pixels
    with formats.open_reader(Source(tmp_path / "a.tif")) as reader:
        assert [grid.shape[0] for grid in reader.levels] == [8000, 4000, 2000, 1000, 500]
        np.testing.assert_array_equal(reader.read((slice(7800, 8000), slice(0, 8000))), row)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9999), ndim=st.integers(2, 3))
def test_tiles_become_whole_in_any_order(seed: int, ndim: int) -> None:
    draw = np.random.default_rng(seed)
    shape = tuple(int(n) for n in draw.integers(1, 14, ndim))
    image = draw.integers(0, 99, (2, *shape))
    found = np.full_like(image, -1)
    tile = tuple(int(n) for n in draw.integers(1, 6, ndim))

    def emit(index: tuple[int, ...], pixels: Array) -> None:
        found[(slice(None), *(slice(k * n, (k + 1) * n) for k, n in zip(index, tile, strict=True)))] = pixels

    cuts = [sorted({0, n, *draw.integers(0, n, 2).tolist()}) for n in shape]
    regions = [
        tuple(slice(cuts[axis][k], cuts[axis][k + 1]) for axis, k in enumerate(place))
        for place in np.ndindex(*(len(cut) - 1 for cut in cuts))
    ]
    tiles = Assembler(Path("a"), image.shape, tile, image.dtype, emit=emit)
    for k in draw.permutation(len(regions)):
        tiles.put(regions[k], image[(slice(None), *regions[k])])
    np.testing.assert_array_equal(found, image)


def test_smaller_levels_say_how_large_their_own_pixels_are(tmp_path: Path) -> None:
    written(tmp_path / "a.tif", Image(np.zeros((1, 70, 100), np.uint8), Grid((70, 100), (0.5, 0.25), "µm")))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        for level, (high, wide) in enumerate([(70, 100), (35, 50), (18, 25)]):
            tags = tiff.series[0].levels[level].keyframe.tags
            apart = [1e4 * tags[name].value[1] / tags[name].value[0] for name in ("YResolution", "XResolution")]
            assert apart == pytest.approx([70 * 0.5 / high, 100 * 0.25 / wide], rel=1e-3)
