"""TIFF of every kind, written by tifffile and Pillow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from ulna import formats
from ulna.errors import ReadError
from ulna.image import Image, Source

RNG = np.random.default_rng(3)
COLOR = RNG.integers(0, 256, (16, 32, 3)).astype(np.uint8)


def saved(tmp_path: Path, array: np.ndarray, page: int | None = None, **options: Any) -> Image:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, **options)
    return formats.read(Source(path, page=page))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_numbers_keep_their_kind(tmp_path: Path, dtype: str) -> None:
    array = (RNG.random((6, 7)) * 100).astype(dtype)
    back = saved(tmp_path, array).array
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back[0], array)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "zstd", "jpeg", "lzma"])
def test_compressions(tmp_path: Path, compression: str) -> None:
    back = saved(tmp_path, COLOR, photometric="rgb", compression=compression).array
    assert back.shape == (3, 16, 32)
    if compression != "jpeg":
        np.testing.assert_array_equal(back, np.moveaxis(COLOR, -1, 0))


def test_tiles_planes_and_large_files_are_read_alike(tmp_path: Path) -> None:
    expected = np.moveaxis(COLOR, -1, 0)
    np.testing.assert_array_equal(saved(tmp_path, COLOR, photometric="rgb", tile=(16, 16)).array, expected)
    np.testing.assert_array_equal(saved(tmp_path, COLOR, photometric="rgb", bigtiff=True).array, expected)
    planar = saved(tmp_path, expected, photometric="rgb", planarconfig="separate").array
    np.testing.assert_array_equal(planar, expected)


def test_three_pages_are_not_three_colors(tmp_path: Path) -> None:
    stack = np.moveaxis(COLOR, -1, 0).copy()
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, photometric="minisblack")
    assert formats.pages(Source(path)) == 3
    np.testing.assert_array_equal(formats.read(Source(path, page=1)).array, stack[1:2])
    assert formats.read(Source(path)).array.shape == (1, 3, 16, 32)
    with pytest.raises(ReadError, match="has 3 pages, page 3 is asked for"):
        formats.read(Source(path, page=3))


def test_pages_of_color(tmp_path: Path) -> None:
    stack = np.stack([COLOR, COLOR[::-1]])
    page = saved(tmp_path, stack, page=1, photometric="rgb").array
    np.testing.assert_array_equal(page, np.moveaxis(COLOR[::-1], -1, 0))


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}])
def test_channels_of_imagej_and_ome_are_channels(tmp_path: Path, options: dict[str, Any]) -> None:
    stack = RNG.integers(0, 999, (5, 2, 8, 9)).astype(np.uint16)
    page = saved(tmp_path, stack, page=3, metadata={"axes": "ZCYX"}, **options)
    np.testing.assert_array_equal(page.array, stack[3])
    assert formats.pages(Source(tmp_path / "a.tif")) == 5
    whole = formats.read(Source(tmp_path / "a.tif")).array
    np.testing.assert_array_equal(whole, np.moveaxis(stack, 1, 0))


def ome_set(folder: Path, stacks: list[np.ndarray], **options: Any) -> list[Path]:
    """Files as bfconvert and Micro-Manager write them, one stack (Z, Y, X) each; each describes all of them."""
    paths = [folder / f"stack_{k}.ome.tif" for k in range(len(stacks))]
    depth, height, width = stacks[0].shape
    planes = "".join(
        f'<TiffData FirstZ="{z}" FirstT="{t}" IFD="{z}"><UUID FileName="{path.name}">urn:uuid:{t}</UUID></TiffData>'
        for t, path in enumerate(paths)
        for z in range(depth)
    )
    for t, (path, stack) in enumerate(zip(paths, stacks, strict=True)):
        words = (
            f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{t}">'
            f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{width}" '
            f'SizeY="{height}" SizeZ="{depth}" SizeC="1" SizeT="{len(paths)}" PhysicalSizeX="0.5" PhysicalSizeY="0.5">'
            f'<Channel ID="Channel:0:0"/>{planes}</Pixels></Image></OME>'
        )
        tifffile.imwrite(path, stack, description=words, metadata=None, photometric="minisblack", **options)
    return paths


@pytest.mark.parametrize("depth", [1, 3])
def test_each_file_of_a_set_is_read_alone(tmp_path: Path, depth: int) -> None:
    """Also where the files beside it are longer, shorter or lost."""
    stacks = [RNG.integers(0, 9 * 10**k, (depth, 16, 20)).astype(np.uint16) for k in range(4)]
    paths = ome_set(tmp_path, stacks, compression="zlib")
    ome_set(tmp_path, stacks[:1])  # the first is longer than the others, and tells of itself alone
    for path, stack in zip(paths[1:3], stacks[1:3], strict=True):
        assert formats.pages(Source(path)) == depth
        image = formats.read(Source(path))
        np.testing.assert_array_equal(image.array, stack if depth == 1 else stack[None])
        assert image.unit == "µm"
        np.testing.assert_array_equal(formats.read(Source(path, page=depth - 1)).array, stack[-1:])
    paths[0].unlink()
    np.testing.assert_array_equal(formats.read(Source(paths[3], page=0)).array, stacks[3][:1])


def test_channels_before_depth(tmp_path: Path) -> None:
    stack = RNG.integers(0, 999, (2, 5, 8, 9)).astype(np.uint16)
    page = saved(tmp_path, stack, page=3, metadata={"axes": "CZYX"}, ome=True)
    np.testing.assert_array_equal(page.array, stack[:, 3])


def test_a_volume_stored_as_one_block_is_read_by_page(tmp_path: Path) -> None:
    volume = RNG.integers(0, 255, (4, 32, 48)).astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, volume, tile=(2, 16, 16), volumetric=True, photometric="minisblack")
    assert formats.pages(Source(path)) == 4
    np.testing.assert_array_equal(formats.read(Source(path, page=2)).array, volume[2:3])


def test_one_bit_gives_0_and_1(tmp_path: Path) -> None:
    mask = np.eye(9, dtype=bool)
    back = saved(tmp_path, mask).array
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back[0], mask)


def test_a_palette_is_expanded(tmp_path: Path) -> None:
    picture = Pillow.fromarray(COLOR).quantize(16)
    picture.save(tmp_path / "a.tif")
    expected = np.moveaxis(np.asarray(picture.convert("RGB")), -1, 0)
    np.testing.assert_array_equal(formats.read(Source(tmp_path / "a.tif")).array, expected)


def test_alpha_is_dropped_where_it_is_constant(tmp_path: Path) -> None:
    alpha = np.full((16, 32, 1), 255, np.uint8)
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    assert saved(tmp_path, np.concatenate([COLOR, alpha], -1), **options).array.shape[0] == 3
    alpha[0] = 0
    assert saved(tmp_path, np.concatenate([COLOR, alpha], -1), **options).array.shape[0] == 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_tag_is_applied(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.tif"
    Pillow.fromarray(COLOR).save(path, tiffinfo={274: orientation})
    with Pillow.open(path) as picture:
        picture.load()  # Pillow applies the tag of a TIFF by itself
        expected = np.moveaxis(np.asarray(picture), -1, 0)
    np.testing.assert_array_equal(formats.read(Source(path)).array, expected)


def test_a_lost_page_at_the_end_is_noticed(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as tiff:
        for _ in range(3):
            tiff.write(COLOR, photometric="rgb", contiguous=False, metadata=None)
    data = stream.getvalue()
    stream.seek(0)
    with tifffile.TiffFile(stream) as written:
        end = written.pages[2].offset
    path = tmp_path / "a.tif"
    path.write_bytes(data[:end])
    for look in (formats.pages, formats.read):
        with pytest.raises(ReadError, match="truncated"):
            look(Source(path))


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="numbers of the kind complex64"):
        saved(tmp_path, np.zeros((4, 4), np.complex64))


def test_the_real_stack(data: Path) -> None:
    source = Source(data / "isbi2012" / "train-volume.tif")
    assert formats.pages(source) == 24
    expected = tifffile.imread(source.path)
    np.testing.assert_array_equal(formats.read(Source(source.path, page=5)).array[0], expected[5])
    np.testing.assert_array_equal(formats.read(source).array[0], expected)


@pytest.mark.parametrize("size", ["0,65", "", "many"])
def test_sizes_that_make_no_sense_are_no_reason_to_refuse_an_image(size: str, tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", pixels, metadata={"axes": "YX", "PhysicalSizeX": 0.65, "PhysicalSizeY": 0.65}
    )
    good = formats.read(Source(tmp_path / "a.ome.tif"))
    assert good.spacing == (0.65, 0.65)
    words = (tmp_path / "a.ome.tif").read_bytes()
    assert words.count(b"0.65") >= 2
    (tmp_path / "b.ome.tif").write_bytes(words.replace(b"0.65", size.ljust(4).encode()))
    odd = formats.read(Source(tmp_path / "b.ome.tif"))
    assert np.array_equal(odd.array, good.array)
    assert odd.unit == "pixel"
