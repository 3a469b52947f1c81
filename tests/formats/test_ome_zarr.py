"""OME-Zarr: written by zarr and by ulna, read by both; metadata that lie, and processes that are killed."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from ulna import formats
from ulna.errors import ReadError, UlnaError
from ulna.formats import base
from ulna.formats.ome_zarr import writing
from ulna.formats.ome_zarr.store import Files
from ulna.formats.pyramid import halved
from ulna.image import Channel, Grid, Image, Source
from ulna.layouts import Patterns, find, read_dataset

RNG = np.random.default_rng(7)
ONE = (Channel("channel 0"),)
SPACE = ("z", "y", "x")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHUNKS", {2: (32, 32), 3: (2, 32, 32)})


def axes_of(names: str, unit: str = "micrometer") -> list[dict[str, str]]:
    kinds = {"t": {"type": "time"}, "c": {"type": "channel"}}
    return [{"name": name, **kinds.get(name, {"type": "space", "unit": unit})} for name in names]


def stored(
    folder: Path, names: str, levels: list[np.ndarray], scales: list[list[float]], version: str = "0.4", **words: Any
) -> Path:
    """An OME-Zarr as another program writes it, with zarr."""
    multiscale = {
        "axes": axes_of(names),
        "datasets": [
            {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
            for k, scale in enumerate(scales)
        ],
    }
    if version == "0.4":
        group = zarr.open_group(str(folder), mode="w", zarr_format=2)
        group.attrs.update({"multiscales": [{"version": "0.4", **multiscale}], **words})
    else:
        group = zarr.open_group(str(folder), mode="w", zarr_format=3)
        group.attrs.update({"ome": {"version": "0.5", "multiscales": [multiscale], **words}})
    for k, level in enumerate(levels):
        chunks = tuple(min(side, 16) for side in level.shape)
        more: dict[str, Any] = {}
        if version == "0.4":
            more = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        group.create_array(str(k), shape=level.shape, dtype=level.dtype, chunks=chunks, **more)[...] = level
    return folder


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_time_channels_and_levels_of_another_writer(tmp_path: Path, version: str) -> None:
    array = RNG.integers(1, 999, (3, 2, 4, 40, 60)).astype(np.uint16)
    smaller = array[..., ::2, ::2]
    channels = {"channels": [{"label": "DAPI", "color": "0000FF"}, {"label": "GFP", "color": "00FF00"}]}
    scales = [[9.0, 1.0, 2.0, 0.5, 0.25], [9.0, 1.0, 2.0, 1.0, 0.5]]
    path = stored(tmp_path / "a.zarr", "tczyx", [array, smaller], scales, version, omero=channels)
    with formats.open_reader(Source(path)) as reader:
        assert (
            reader.assumed
            == "its 3 time points of 4 planes each are read as pages one after the other (data.time chooses one)"
        )
        assert (reader.times, reader.planes) == (3, 12)
        assert [channel.name for channel in reader.channels] == ["DAPI", "GFP"]
        np.testing.assert_array_equal(reader.read(), array.swapaxes(1, 2).reshape(12, 2, 40, 60).swapaxes(0, 1))
    for source, expected in {
        Source(path, time=2): array[2],
        Source(path, time=1, channel=1): array[1, 1:],
        Source(path, page=1, time=1): array[1, :, 1],
        Source(path, page=5): array[1, :, 1],
        Source(path, time=0, slab=(1, 3)): array[0, :, 1:3],
    }.items():
        np.testing.assert_array_equal(formats.read(source).array, expected)
    with formats.open_reader(Source(path, time=1)) as reader:
        assert (reader.assumed, reader.times) == ("", 1)
        assert [grid.shape for grid in reader.levels] == [(4, 40, 60), (4, 20, 30)]
        assert reader.grid == Grid((4, 40, 60), (2.0, 0.5, 0.25), "µm")
        assert reader.levels[1] == Grid((4, 20, 30), (2.0, 1.0, 0.5), "µm", (0.0, 0.25, 0.125))
        region = (slice(1, 3), slice(5, 19), slice(7, 8))
        np.testing.assert_array_equal(reader.read(region, 1), smaller[1][(slice(None), *region)])
    for source, message in {
        Source(path, time=3): "has 3 time points, time 3 is asked for",
        Source(path, channel=2): "has 2 channels, channel 2 is asked for",
        Source(path, time=0, page=4): "has 4 pages, page 4 is asked for",
    }.items():
        with pytest.raises(ReadError, match=message):
            formats.read(source)


def test_levels_that_have_fewer_planes(tmp_path: Path) -> None:
    array = RNG.integers(1, 255, (8, 40, 60)).astype(np.uint8)
    path = stored(tmp_path / "a.zarr", "zyx", [array, array[::2, ::2, ::2]], [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    with formats.open_reader(Source(path)) as reader:
        assert [grid.shape for grid in reader.levels] == [(8, 40, 60), (4, 20, 30)]
        np.testing.assert_array_equal(reader.read(level=1)[0], array[::2, ::2, ::2])
    with formats.open_reader(Source(path, page=6)) as reader:
        assert [grid.shape for grid in reader.levels] == [(40, 60)]


def test_a_single_plane_is_an_image_of_two_axes(tmp_path: Path) -> None:
    array = RNG.integers(1, 255, (1, 3, 1, 40, 60)).astype(np.uint8)
    path = stored(tmp_path / "a.zarr", "tczyx", [array], [[1.0, 1.0, 5.0, 0.5, 0.5]])
    image = formats.read(Source(path))
    np.testing.assert_array_equal(image.array, array[0, :, 0])
    assert image.grid == Grid((40, 60), (0.5, 0.5), "µm")


@pytest.mark.parametrize("version", ["", "0.5"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "i8", "f4"])
@pytest.mark.parametrize(("count", "shape"), [(1, (70, 100)), (3, (70, 100)), (2, (5, 70, 100))])
def test_what_is_written_is_read_back(
    tmp_path: Path, count: int, shape: tuple[int, ...], dtype: str, version: str
) -> None:
    array = RNG.integers(0, 255, (count, *shape)).astype(dtype)
    grid = Grid(shape, (3.0, 0.5, 0.25)[-len(shape) :], "µm", (1.0, 2.0, 3.0)[-len(shape) :])
    channels = tuple(Channel(f"marker {k}") for k in range(count))
    path = tmp_path / "a.ome.zarr"
    with formats.create(path, grid, dtype=array.dtype, channels=channels, version=version) as writer:
        for top in range(0, 70, 20):
            for left, right in ((0, 45), (45, 100)):
                region = (*(slice(0, n) for n in shape[:-2]), slice(top, min(top + 20, 70)), slice(left, right))
                writer.write(region, array[(slice(None), *region)])
                assert not path.exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ome.zarr"]
    with formats.open_reader(Source(path)) as reader:
        assert (reader.grid, reader.channels, reader.dtype, reader.assumed) == (grid, channels, array.dtype, "")
        expected = array
        assert [level.shape[-2:] for level in reader.levels] == [(70, 100), (35, 50), (18, 25)]
        for level in range(3):
            np.testing.assert_array_equal(reader.read(level=level), expected)
            expected = halved(expected, labels=False)
    np.testing.assert_array_equal(zarr.open_array(str(path), path="0", mode="r")[...], array)
    words = json.loads((path / (".zattrs" if not version else "zarr.json")).read_text())
    words = words if not version else words["attributes"]["ome"]
    assert words["multiscales"][0]["version"] == "0.4" if not version else words["version"] == "0.5"
    assert [axis["name"] for axis in words["multiscales"][0]["axes"]] == ["c", *SPACE[-len(shape) :]]
    steps = words["multiscales"][0]["datasets"][1]["coordinateTransformations"]
    assert steps[0]["scale"][-2:] == [1.0, 0.5]
    assert steps[1]["translation"][-2:] == [grid.origin[-2] + 0.25, grid.origin[-1] + 0.125]


def test_labels_are_never_mixed_and_an_earlier_one_is_replaced(tmp_path: Path) -> None:
    labels = np.zeros((1, 70, 100), np.uint16)
    labels[0, 10:31, 10:55], labels[0, 31:60, 20:80] = 7, 1000
    path = tmp_path / "a.zarr"
    for _ in range(2):
        formats.write(path, Image(labels), labels=True)
        with formats.open_reader(Source(path)) as reader:
            assert set(np.unique(reader.read(level=2))) == {0, 7, 1000}
    assert "image-label" in json.loads((path / ".zattrs").read_text())
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zarr"]


def test_what_cannot_be_said_or_would_be_lost_is_refused(tmp_path: Path) -> None:
    array = np.zeros((2, 8, 9), np.uint8)
    with pytest.raises(UlnaError, match="has no alpha"):
        formats.write(tmp_path / "a.zarr", Image(array, channels=(Channel("gray"), Channel("alpha", "alpha"))))
    turned = Grid((8, 9), direction=((0.0, 1.0), (1.0, 0.0)))
    with pytest.raises(UlnaError, match="axes that do not run along"):
        formats.write(tmp_path / "a.zarr", Image(array, turned))
    with pytest.raises(UlnaError, match=r"not written as version '0\.6'.*\n.*0\.4 or 0\.5"):
        formats.create(tmp_path / "a.zarr", Grid((8, 9)), dtype=array.dtype, channels=ONE, version="0.6")
    with pytest.raises(UlnaError, match=r"not written as version '0\.4'"):
        formats.create(tmp_path / "a.tif", Grid((8, 9)), dtype=array.dtype, channels=ONE, version="0.4")
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "thesis.txt").write_text("mine")
    with pytest.raises(UlnaError, match="something else than a Zarr folder"):
        formats.write(tmp_path / "a.zarr", Image(array))
    assert (tmp_path / "a.zarr" / "thesis.txt").read_text() == "mine"


def test_nothing_is_left_of_what_was_not_finished(tmp_path: Path) -> None:
    options: dict[str, Any] = {"dtype": np.dtype(np.uint8), "channels": ONE}
    with pytest.raises(ValueError, match="mine"), formats.create(tmp_path / "a.zarr", Grid((70, 100)), **options):
        raise ValueError("mine")
    with (
        pytest.raises(UlnaError, match="7,000 of 7,000 pixels were not written"),
        formats.create(tmp_path / "a.zarr", Grid((70, 100)), **options),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_the_memory_is_that_of_a_band_and_not_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHUNKS", {2: (512, 512), 3: (2, 32, 32)})
    row = np.ones((1, 256, 8192), np.uint8)
    row[:, ::3, ::5] = 7
    tracemalloc.start()
    with formats.create(tmp_path / "a.zarr", Grid((8192, 8192)), dtype=row.dtype, channels=ONE, labels=True) as writer:
        for start in range(0, 8192, 256):
            writer.write((slice(start, start + 256), slice(0, 8192)), row)
    _, wrote = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    monkeypatch.setattr(base, "SMALL", 0)
    monkeypatch.setattr(base, "free_memory", lambda: 16 << 20)
    with formats.open_reader(Source(tmp_path / "a.zarr")) as reader:
        for corner in range(0, 8000, 1000):
            reader.read((slice(corner, corner + 1000), slice(corner, corner + 1000)))
        _, read = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        with pytest.raises(ReadError, match="needs"):
            reader.read()
    assert wrote < 16_000_000  # of 64 million pixels
    assert read < 24_000_000


def test_chunks_are_unpacked_once_while_parts_of_them_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = RNG.integers(1, 255, (64, 64)).astype(np.uint8)
    path = stored(tmp_path / "a.zarr", "yx", [array], [[1.0, 1.0]])
    read = []
    real = Files.read
    monkeypatch.setattr(Files, "read", lambda files, key, part=None: read.append(key) or real(files, key, part))
    with formats.open_reader(Source(path)) as reader:
        read.clear()
        for top in range(0, 16, 4):
            band = (slice(top, top + 4), slice(0, 64))
            found = reader.read(band)
            np.testing.assert_array_equal(found[0], array[band])
            found[:] = 0  # a caller's own copy
    assert sorted(key for key in read if "/." not in key) == [f"0/0/{k}" for k in range(4)]


def test_a_folder_is_one_image_and_no_folder_of_files(tmp_path: Path) -> None:
    for name in ("a.zarr", "b.ome.zarr", "sub/c.zarr"):
        formats.write(tmp_path / "in" / name, Image(np.full((1, 40, 50), 3, np.uint8)))
    for place in (tmp_path / "in", tmp_path / "in" / "*.zarr", tmp_path / "in" / "a.zarr"):
        found = find(place)
        assert not found.passed_over
        assert [case.name for case in found.cases] == ["a", "b", "c"][: len(found.cases)]
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for file in sorted((tmp_path / "in").rglob("*")):
            archive.write(file, file.relative_to(tmp_path / "in"))
    found = find(tmp_path / "in.zip")
    assert [case.name for case in found.cases] == ["a", "b", "c"]
    for case in found.cases:
        assert (formats.read(case.images[0]).array == 3).all()


def test_one_of_several_images_is_picked_and_said(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    group = zarr.open_group(str(root), mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    for k in range(2):
        stored(root / str(k), "yx", [np.full((20, 30), k + 1, np.uint8)], [[1.0, 1.0]])
    with formats.open_reader(Source(root)) as reader:
        assert reader.assumed == "holds 2 images (0, 1); the first one is read (data.scene chooses another)"
        assert (reader.read() == 1).all()
    assert (formats.read(Source(root, scene=1)).array == 2).all()
    assert (formats.read(Source(root, array="1")).array == 2).all()
    with pytest.raises(ReadError, match="holds 2 images, scene 2 is asked for"):
        formats.read(Source(root, scene=2))
    plate = tmp_path / "plate.zarr"
    words = {"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}}
    zarr.open_group(str(plate), mode="w", zarr_format=2).attrs.update(words)
    for k, well in enumerate(("A/1", "B/2")):
        zarr.open_group(str(plate / well), mode="w", zarr_format=2).attrs["well"] = {"images": [{"path": "0"}]}
        stored(plate / well / "0", "yx", [np.full((20, 30), k + 1, np.uint8)], [[1.0, 1.0]])
    with formats.open_reader(Source(plate)) as reader:
        assert reader.assumed == "holds 2 images (A/1/0, B/2/0); the first one is read (data.scene chooses another)"
    assert (formats.read(Source(plate, scene=1)).array == 2).all()


def test_arrays_without_metadata(tmp_path: Path) -> None:
    array = RNG.integers(1, 9, (4, 20, 30)).astype(">u2")
    zarr.save_array(str(tmp_path / "a.zarr"), array, zarr_format=2)
    with formats.open_reader(Source(tmp_path / "a.zarr")) as reader:
        assert "the axes (4 × 20 × 30) are not stated" in reader.assumed
        assert reader.dtype == np.dtype(np.uint16)
        np.testing.assert_array_equal(reader.read()[0], array)
    np.testing.assert_array_equal(formats.read(Source(tmp_path / "a.zarr", axes="CYX")).array, array)
    named = zarr.create_array(
        str(tmp_path / "b.zarr"), shape=(4, 20, 30), dtype="u2", chunks=(4, 20, 30), dimension_names=("c", "y", "x")
    )
    named[...] = array
    np.testing.assert_array_equal(formats.read(Source(tmp_path / "b.zarr")).array, array)
    group = zarr.open_group(str(tmp_path / "c.zarr"), mode="w", zarr_format=2)
    for name in ("raw", "other"):
        group.create_array(name, shape=(20, 30), dtype="u1")[...] = 1
    with pytest.raises(ReadError, match="holds the arrays 'other', 'raw', and does not say which"):
        formats.read(Source(tmp_path / "c.zarr"))
    assert formats.read(Source(tmp_path / "c.zarr", array="raw")).shape == (20, 30)
    with pytest.raises(ReadError, match="no group or array 'xyz'"):
        formats.read(Source(tmp_path / "c.zarr", array="xyz"))


def test_real_folders(data: Path) -> None:
    folder = data / "formats" / "zarr"
    (case,) = find(folder / "6001240_labels_v0.5.zarr.zip").cases
    image = formats.read(case.images[0])
    assert (image.shape, [channel.name for channel in image.channels]) == ((236, 68, 67), ["LaminB1", "Dapi"])
    (case,) = find(folder / "plate_ones_v0.4.zarr.zip").cases  # paths of its levels are numbers
    image = formats.read(case.images[0])
    assert image.grid.spacing == (1.0, 0.1625, 0.1625)
    assert (image.array == 1).all()
    (case,) = find(folder / "xyz_8bit__mitotic_plate_calibrated.ome.zarr.zip").cases
    image = formats.read(case.images[0])
    assert image.shape == (6, 263, 263)
    assert image.array.max() > 100
    cases = find(folder / "test_image_tczyx_v0.4.zarr.zip").cases
    assert len(cases) == 4
    with formats.open_reader(cases[0].images[0]) as reader:
        assert reader.assumed == "none of its chunks is there: it is read as one value, as Zarr says"


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    array = RNG.integers(1, 255, (64, 64)).astype(np.uint8)
    return stored(tmp_path / "a.zarr", "yx", [array, array[::2, ::2]], [[1.0, 1.0], [2.0, 2.0]])


def edited(path: Path, **words: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | words))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"shape": [1 << 25, 1 << 25]}, "needs|33554432"),
        ({"shape": [1 << 60, 64]}, "make no sense"),
        ({"chunks": [1 << 24, 1 << 24]}, "needs"),
        ({"chunks": [0, 16]}, "make no sense"),
        ({"chunks": [16]}, "has chunks of 16"),
        ({"dtype": "|O"}, "is no image"),
        ({"dtype": "<c8"}, "is no image"),
        ({"dtype": "xyz"}, "damaged"),
        ({"filters": [{"id": "pickle"}]}, "packed with 'pickle'"),
        ({"compressor": {"id": "pickle"}}, "packed with 'pickle'"),
        ({"shape": [64, 64, 64]}, "has 3 axes, its metadata name 2"),
        ({"shape": [0, 64]}, "is no image"),
        ({"zarr_format": 7}, "make no sense"),
    ],
)
def test_arrays_that_lie(honest: Path, words: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "free_memory", lambda: 1 << 30)
    edited(honest / "0" / ".zarray", **words)
    with pytest.raises(ReadError, match=message):
        formats.read(Source(honest))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"multiscales": []}, "holds the arrays '0', '1'"),
        ({"multiscales": [{"axes": axes_of("yx"), "datasets": []}]}, "make no sense"),
        ({"multiscales": [{"axes": axes_of("yx"), "datasets": [{"path": "../../a.zarr/0"}]}]}, "outside of its folder"),
        ({"multiscales": [{"axes": axes_of("yx"), "datasets": [{"path": "/etc"}]}]}, "missing|outside"),
        ({"multiscales": [{"axes": axes_of("yx"), "datasets": [{"path": "7"}]}]}, "level '7' is missing"),
        ({"multiscales": [{"axes": axes_of("qx"), "datasets": [{"path": "0"}]}]}, "only t, c, z, y and x"),
        ({"multiscales": 3}, "make no sense"),
    ],
)
def test_groups_that_lie(honest: Path, words: dict[str, Any], message: str) -> None:
    (honest / ".zattrs").write_text(json.dumps(words))
    with pytest.raises(ReadError, match=message):
        formats.read(Source(honest))


@pytest.mark.parametrize("numbers", [[0.0, 1.0], [-1.0, 1.0], [1.0], [float("inf"), 1.0], ["a", 1.0]])
def test_scales_that_make_no_sense(honest: Path, numbers: list[Any]) -> None:
    steps = [{"type": "scale", "scale": numbers}]
    level = {"path": "0", "coordinateTransformations": steps}
    (honest / ".zattrs").write_text(json.dumps({"multiscales": [{"axes": axes_of("yx"), "datasets": [level]}]}))
    with pytest.raises(ReadError):
        formats.read(Source(honest))


def test_a_pyramid_that_is_none_is_said(honest: Path) -> None:
    edited(honest / "1" / ".zarray", shape=[50, 10])
    with formats.open_reader(Source(honest)) as reader:
        assert reader.assumed == "its levels '1' are not used: no smaller copies of the image"
        assert len(reader.levels) == 1


def test_links_that_lead_out_of_the_folder_are_not_followed(honest: Path, tmp_path: Path) -> None:
    chunk = honest / "0" / "1" / "1"
    chunk.rename(tmp_path / "secret")
    chunk.symlink_to(tmp_path / "secret")
    with pytest.raises(ReadError, match="links to something outside of its folder"):
        formats.read(Source(honest))
    shutil.move(honest / "1", tmp_path / "outside")
    (honest / "1").symlink_to(tmp_path / "outside")
    with (
        pytest.raises(ReadError, match="links to something outside of its folder"),
        formats.open_reader(Source(honest)),
    ):
        pass


@pytest.mark.parametrize("codec", ["blosc", "zstd", "gzip", "zlib", "lz4"])
def test_a_chunk_that_would_fill_the_memory_is_refused(honest: Path, codec: str) -> None:
    codecs = {
        "blosc": numcodecs.Blosc("zstd"),
        "zstd": numcodecs.Zstd(),
        "gzip": numcodecs.GZip(),
        "zlib": numcodecs.Zlib(),
        "lz4": numcodecs.LZ4(),
    }
    edited(honest / "0" / ".zarray", compressor=codecs[codec].get_config())
    bomb = codecs[codec].encode(np.zeros(400_000_000 if codec in ("gzip", "zlib") else 50_000_000, np.uint8))
    for chunk in (honest / "0").glob("*/*"):
        chunk.write_bytes(bytes(bomb))
    tracemalloc.start()
    with pytest.raises(ReadError, match="would unpack to"):
        formats.read(Source(honest))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 45_000_000  # a bomb would be ten times as much


def test_chunks_that_are_missing_are_said_and_damaged_ones_refused(honest: Path) -> None:
    (honest / "0" / "0" / "0").unlink()
    with formats.open_reader(Source(honest)) as reader:
        assert reader.assumed == "1 of its 16 chunks are not there: they are read as one value, as Zarr says"
        assert (reader.read()[0, :16, :16] == 0).all()
    for junk in (b"", b"junk", os.urandom(300)):
        (honest / "0" / "0" / "1").write_bytes(junk)
        with pytest.raises(ReadError):
            formats.read(Source(honest))


@pytest.mark.parametrize("kept", [3, 15, 16, -1])
def test_a_chunk_of_blosc_that_is_cut_off_is_not_unpacked(tmp_path: Path, kept: int) -> None:
    formats.write(tmp_path / "a.zarr", Image(RNG.integers(0, 255, (1, 32, 32)).astype(np.uint8)))
    chunk = tmp_path / "a.zarr" / "0" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:kept])
    with pytest.raises(ReadError, match="a chunk is cut off"):
        formats.read(Source(tmp_path / "a.zarr"))


def test_shards_are_read(tmp_path: Path) -> None:
    array = RNG.integers(1, 255, (64, 64)).astype(np.uint8)
    path = stored(tmp_path / "a.zarr", "yx", [array], [[1.0, 1.0]], "0.5")
    shutil.rmtree(path / "0")
    made = zarr.create_array(str(path), name="0", shape=(64, 64), dtype="u1", chunks=(8, 8), shards=(32, 32))
    made[...] = array
    with formats.open_reader(Source(path)) as reader:
        np.testing.assert_array_equal(reader.read()[0], array)
        np.testing.assert_array_equal(reader.read((slice(3, 20), slice(30, 50)))[0], array[3:20, 30:50])


def test_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(ReadError, match="is no Zarr folder"):
        formats.read(Source(tmp_path / "a.zarr"))
    for junk in (b"{", b"[]", b"\xff\xfe", b"[" * 200_000):
        (tmp_path / "a.zarr" / ".zattrs").write_bytes(junk)
        with pytest.raises(ReadError, match=r"its file \.zattrs"):
            formats.read(Source(tmp_path / "a.zarr"))


def test_labels_within_are_those_of_the_image(tmp_path: Path) -> None:
    for k in range(3):
        folder = tmp_path / f"{k}.zarr"
        stored(folder, "yx", [np.full((20, 30), 9, np.uint8)], [[1.0, 1.0]])
        zarr.open_group(str(folder / "labels"), mode="w", zarr_format=2).attrs["labels"] = ["cells"]
        stored(folder / "labels" / "cells", "yx", [np.eye(20, 30, dtype=np.uint8)], [[1.0, 1.0]])
    for found in (
        read_dataset(tmp_path),
        read_dataset(tmp_path, Patterns(("{case}.zarr/.",), ("{case}.zarr/labels/cells",))),
    ):
        assert [case.name for case in found.cases] == ["0", "1", "2"]
        for case in found.cases:
            assert (formats.read(case.images[0]).array == 9).all()
            assert formats.read(case.truth[0]).array.sum() == 20
    assert read_dataset(tmp_path).sentence.startswith("3 Zarr folders of image and labels: '.' with 'labels/cells'")
