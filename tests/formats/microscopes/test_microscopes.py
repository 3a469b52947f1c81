"""CZI, LIF and ND2: real files; CZI files made byte by byte, and frames of ND2 given by a stand-in."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import liffile
import nd2
import numpy as np
import pytest
from nd2.structures import Position, StagePosition, XYPosLoop, XYPosLoopParams

from ulna import formats
from ulna.errors import ReadError, UlnaError
from ulna.formats import optional
from ulna.image import Channel, Grid, Source
from ulna.layouts import find

RNG = np.random.default_rng(4)
PIXELS = {"u1": 0, "u2": 1, "f4": 2}
BGR = 3
WORDS = (
    "<ImageDocument><Metadata><Information><Image><Dimensions><Channels><Channel Name='DAPI'/><Channel Name='GFP'/>"
    "</Channels></Dimensions></Image></Information><Scaling><Items><Distance Id='X'><Value>5E-7</Value></Distance>"
    "<Distance Id='Y'><Value>2.5E-7</Value></Distance><Distance Id='Z'><Value>2E-6</Value></Distance></Items></Scaling>"
    "</Metadata></ImageDocument>"
)


def segment(name: str, content: bytes) -> bytes:
    size = -(-len(content) // 32) * 32
    return struct.pack("<16sqq", name.encode(), size, len(content)) + content.ljust(size, b"\0")


def entry(kind: int, place: int, axes: dict[str, tuple[int, int]]) -> bytes:
    """Where a tile lies: start and size along each axis, the fastest one first."""
    head = struct.pack("<2siqiiBB4si", b"DV", kind, place, 0, 0, 0, 0, b"", len(axes))
    return head + b"".join(struct.pack("<4siifi", name.encode(), s, n, float(s), n) for name, (s, n) in axes.items())


def write_czi(path: Path, tiles: list[tuple[dict[str, int], np.ndarray]], *, color: bool = False) -> None:
    """A CZI of tiles (Y, X), or (Y, X, BGR), each at a place along the axes."""
    data = b""
    entries = []
    start = 32 + 512  # behind the header
    for place, pixels in tiles:
        axes = {"X": (place.get("X", 0), pixels.shape[1]), "Y": (place.get("Y", 0), pixels.shape[0])}
        axes |= {name: (index, 1) for name, index in place.items() if name not in "XY"}
        kind = BGR if color else PIXELS[pixels.dtype.str[1:]]
        own = entry(kind, start + len(data), axes)
        entries.append(own)
        content = struct.pack("<iiq", 0, 0, pixels.nbytes) + own
        data += segment("ZISRAWSUBBLOCK", content.ljust(max(256, 16 + len(own)), b"\0") + pixels.tobytes())
    directory = start + len(data)
    data += segment("ZISRAWDIRECTORY", struct.pack("<i124x", len(entries)) + b"".join(entries))
    metadata = start + len(data)
    words = WORDS.encode()
    data += segment("ZISRAWMETADATA", struct.pack("<ii248x", len(words), 0) + words)
    header = struct.pack("<iiii16s16siqqiq", 1, 0, 0, 0, b"a" * 16, b"a" * 16, 0, directory, metadata, 0, 0)
    path.write_bytes(segment("ZISRAWFILE", header.ljust(512, b"\0")) + data)


def test_a_czi_of_planes_channels_and_times(tmp_path: Path) -> None:
    array = RNG.integers(0, 999, (2, 3, 2, 20, 30)).astype(np.uint16)  # T, Z, C, Y, X
    tiles = [(dict(zip("TZC", place, strict=True)), array[place]) for place in np.ndindex(2, 3, 2)]
    write_czi(tmp_path / "a.czi", tiles)
    with formats.open_reader(Source(tmp_path / "a.czi")) as reader:
        assert (reader.times, reader.planes) == (2, 6)
        assert (
            reader.assumed
            == "its 2 time points of 3 planes each are read as pages one after the other (data.time chooses one)"
        )
        assert reader.channels == (Channel("DAPI"), Channel("GFP"))
        np.testing.assert_array_equal(reader.read(), array.reshape(6, 2, 20, 30).swapaxes(0, 1))
    image = formats.read(Source(tmp_path / "a.czi", time=1))
    np.testing.assert_array_equal(image.array, array[1].swapaxes(0, 1))
    assert image.grid == Grid((3, 20, 30), (2.0, 0.25, 0.5), "µm")
    np.testing.assert_array_equal(
        formats.read(Source(tmp_path / "a.czi", time=0, page=2, channel=1)).array, array[0, 2, 1:]
    )
    assert len(find(tmp_path).cases) == 2


def test_tiles_of_a_czi_lie_where_the_file_says_and_the_last_one_is_on_top(tmp_path: Path) -> None:
    left, right = np.full((20, 30), 1, np.uint8), np.full((20, 30), 2, np.uint8)
    write_czi(tmp_path / "a.czi", [({"X": -5, "Y": 10, "M": 1}, left), ({"X": 20, "Y": 15, "M": 0}, right)])
    with formats.open_reader(Source(tmp_path / "a.czi")) as reader:
        whole = reader.read()[0]
        expected = np.zeros((25, 55), np.uint8)
        expected[5:25, 25:55] = 2
        expected[0:20, 0:30] = 1
        np.testing.assert_array_equal(whole, expected)
        np.testing.assert_array_equal(reader.read((slice(3, 22), slice(20, 40)))[0], expected[3:22, 20:40])


def test_one_of_several_scenes_of_a_czi_is_picked_and_said(tmp_path: Path) -> None:
    scenes = [np.full((10 + k, 20), k + 1, np.uint8) for k in range(2)]
    write_czi(tmp_path / "a.czi", [({"X": 100 * k, "S": k}, scene) for k, scene in enumerate(scenes)])
    with formats.open_reader(Source(tmp_path / "a.czi")) as reader:
        assert reader.assumed == "holds 2 images (scene 0, scene 1); the first one is read (data.scene chooses another)"
        np.testing.assert_array_equal(reader.read()[0], scenes[0])
    np.testing.assert_array_equal(formats.read(Source(tmp_path / "a.czi", scene=1)).array[0], scenes[1])
    with pytest.raises(ReadError, match="holds 2 images, scene 2 is asked for"):
        formats.read(Source(tmp_path / "a.czi", scene=2))


def test_colors_of_a_czi(tmp_path: Path) -> None:
    color = RNG.integers(0, 255, (20, 30, 3)).astype(np.uint8)
    write_czi(tmp_path / "a.czi", [({}, color)], color=True)
    image = formats.read(Source(tmp_path / "a.czi"))
    np.testing.assert_array_equal(image.array, np.moveaxis(color[..., ::-1], -1, 0))
    assert [channel.name for channel in image.channels] == ["red", "green", "blue"]


def test_an_axis_of_another_kind_is_said(tmp_path: Path) -> None:
    tiles = [({"H": h, "C": 0}, np.full((10, 20), h + 1, np.uint8)) for h in range(3)]
    write_czi(tmp_path / "a.czi", tiles)
    with formats.open_reader(Source(tmp_path / "a.czi")) as reader:
        assert reader.assumed == "of its axis 'H' (3) the first is read"
        assert (reader.read() == 1).all()


def test_where_a_czi_was_not_scanned_it_is_white_in_color_and_that_is_said(tmp_path: Path) -> None:
    tile = RNG.integers(0, 200, (10, 12, 3)).astype(np.uint8)
    write_czi(tmp_path / "a.czi", [({"X": 0}, tile), ({"X": 20}, tile)], color=True)
    with formats.open_reader(Source(tmp_path / "a.czi")) as reader:
        assert "where nothing was scanned it is white" in reader.assumed
        assert (reader.read()[:, :, 12:20] == 255).all()
    write_czi(tmp_path / "b.czi", [({"X": 0}, tile), ({"X": 12}, tile)], color=True)
    with formats.open_reader(Source(tmp_path / "b.czi")) as reader:
        assert "scanned" not in reader.assumed
    write_czi(tmp_path / "c.czi", [({"X": 0}, tile[..., 0]), ({"X": 20}, tile[..., 0])])
    with formats.open_reader(Source(tmp_path / "c.czi")) as reader:
        assert "where nothing was scanned it is black (0)" in reader.assumed
        assert not reader.read()[..., 12:20].any()


@pytest.mark.parametrize("cut", [40, 700, 1200, 1500])
def test_a_damaged_czi_is_said(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.czi"
    write_czi(path, [({}, np.zeros((20, 30), np.uint8))])
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ReadError):
        formats.read(Source(path))


def test_a_tile_of_a_czi_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.czi"
    write_czi(path, [({}, np.zeros((20, 30), np.uint8))])
    content = path.read_bytes().replace(struct.pack("<ii", 0, 30), struct.pack("<ii", 0, 1 << 30))
    path.write_bytes(content.replace(struct.pack("<fi", 0.0, 30), struct.pack("<fi", 0.0, 1 << 30)))
    monkeypatch.setattr("ulna.formats.base.free_memory", lambda: 1 << 30)
    with formats.open_reader(Source(path)) as reader, pytest.raises(ReadError, match="needs"):
        reader.read((slice(0, 5), slice(0, 5)))


def test_real_files(data: Path) -> None:
    folder = data / "formats"
    image = formats.read(Source(folder / "czi" / "tiles.czi"))
    assert (image.shape, [channel.name for channel in image.channels]) == ((512, 510), ["Ch1", "T PMT"])
    assert image.grid.spacing == pytest.approx((0.83027, 0.83027), rel=1e-4)
    path = folder / "lif" / "LeicaLASX_wavelength-sweep_example.lif"
    with formats.open_reader(Source(path)) as reader:
        assert (
            "holds 3 images (x_y_lambdaEmi, x_y_lambdaExc, x_y_z_t_lambdaEmi); the first one is read" in reader.assumed
        )
        assert "its axis 'λ' (20) is read as channels" in reader.assumed
    stack = Source(path, scene=2, time=1)
    image = formats.read(stack)
    assert image.grid.spacing == pytest.approx((0.5002, 0.1048, 0.1048), rel=1e-3)
    with liffile.LifFile(path) as file:
        np.testing.assert_array_equal(image.array, file.images[2].asarray()[1])
    with formats.open_reader(stack) as reader:
        region = (slice(3, 5), slice(10, 30), slice(0, 64))
        np.testing.assert_array_equal(reader.read(region), image.array[(slice(None), *region)])
    path = folder / "nd2" / "example-zstack.nd2"
    image = formats.read(Source(path))
    np.testing.assert_array_equal(image.array[0], nd2.imread(path))
    assert image.grid.spacing == pytest.approx((6.0, 0.32339, 0.32339), rel=1e-4)
    assert image.channels == (Channel("FITC BP"),)


class Positions:
    """An ND2 file of two positions, three planes and two channels, as the library describes it."""

    array = RNG.integers(0, 999, (2, 3, 2, 8, 9)).astype(np.uint16)  # P, Z, C, Y, X
    sizes: dict[str, int] = dict(zip("PZCYX", array.shape, strict=True))  # noqa: RUF012
    dtype = array.dtype
    loop_indices = tuple({"P": p, "Z": z} for z in range(3) for p in range(2))
    channel = SimpleNamespace(channel=SimpleNamespace(name="DAPI"), volume=SimpleNamespace(axesCalibrated=(False,) * 3))
    metadata = SimpleNamespace(channels=[channel, channel])
    points = [Position(StagePosition(0, 0, 0), name=name) for name in (None, "left")]  # noqa: RUF012
    experiment = [XYPosLoop(2, 0, XYPosLoopParams(isSettingZ=False, points=points))]  # noqa: RUF012

    def read_frame(self, number: int) -> Any:
        place = self.loop_indices[number]
        return self.array[place["P"], place["Z"]]


def test_positions_of_an_nd2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.nd2").write_bytes(b"\xda\xce\xbe\x0a")
    monkeypatch.setattr(nd2, "ND2File", lambda _stream: Positions())
    with formats.open_reader(Source(tmp_path / "a.nd2")) as reader:
        assert reader.assumed == "holds 2 images (position 0, left); the first one is read (data.scene chooses another)"
        np.testing.assert_array_equal(reader.read(), Positions.array[0].swapaxes(0, 1))
        assert reader.grid == Grid((3, 8, 9))  # not calibrated
    for scene in (1, "LEFT"):
        found = formats.read(Source(tmp_path / "a.nd2", scene=scene, page=2)).array
        np.testing.assert_array_equal(found, Positions.array[1, 2])


@pytest.mark.parametrize(
    ("name", "head", "library"),
    [
        ("a.czi", b"ZISRAWFILE", "czifile"),
        ("a.lif", b"\x70\0\0\0", "liffile"),
        ("a.nd2", b"\xda\xce\xbe\x0a", "nd2"),
    ],
)
def test_what_is_not_installed_or_damaged_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, head: bytes, library: str
) -> None:
    for content in (head, head + b"junk" * 100):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReadError, match=r"damaged|holds no image"):
            formats.read(Source(tmp_path / name))
    monkeypatch.setattr(optional, "find_spec", lambda _name: None)
    with pytest.raises(UlnaError, match=rf'through {library}, which is not.*\n.*pip install "ulna\[microscopes\]"'):
        formats.read(Source(tmp_path / name))
