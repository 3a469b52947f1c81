"""TIFF of every kind, written by tifffile and Pillow."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from PIL import ImageCms

from small_files import planes
from ulna import formats
from ulna.errors import ReadError
from ulna.image import Channel, Image, Source

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
    assert planes(Source(path)) == 3
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
    assert planes(Source(tmp_path / "a.tif")) == 5
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
        assert planes(Source(path)) == depth
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
    assert planes(Source(path)) == 4
    np.testing.assert_array_equal(formats.read(Source(path, page=2)).array, volume[2:3])


def test_one_bit_gives_0_and_1(tmp_path: Path) -> None:
    mask = np.eye(9, dtype=bool)
    back = saved(tmp_path, mask).array
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back[0], mask)


def test_a_bool_array_of_tifffile_is_read_as_it_was(tmp_path: Path) -> None:
    """tifffile declares 0 to be white for bool; whoever saved True meant 1. That is said."""
    tifffile.imwrite(tmp_path / "a.tif", np.eye(9, dtype=bool))
    with formats.open_reader(Source(tmp_path / "a.tif")) as reader:
        assert "viewers show the opposite" in reader.assumed


MASK = np.zeros((16, 24), bool)
MASK[4:9, 5:15] = True


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("compression", ["raw", "group3", "group4", "packbits", "tiff_lzw"])
def test_one_bit_is_read_as_pillow_shows_it(tmp_path: Path, photometric: int, compression: str) -> None:
    path = tmp_path / "a.tif"
    Pillow.fromarray(MASK).save(path, compression=compression, tiffinfo={262: photometric})
    with Pillow.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture), MASK)
    with formats.open_reader(Source(path)) as reader:
        assert reader.assumed == ""
    np.testing.assert_array_equal(formats.read(Source(path)).array[0], MASK)


@pytest.mark.parametrize(("dtype", "bits"), [("u1", 8), ("u2", 16), ("u1", 4)])
def test_white_is_zero_is_read_as_shown_and_named(tmp_path: Path, dtype: str, bits: int) -> None:
    stored = RNG.integers(0, 1 << bits, (16, 24)).astype(dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="miniswhite", bitspersample=bits if bits < 8 else None)
    with formats.open_reader(Source(path)) as reader:
        assert f"read as {(1 << bits) - 1} - v" in reader.assumed
        assert reader.dtype == dtype
    np.testing.assert_array_equal(formats.read(Source(path)).array[0], (1 << bits) - 1 - stored.astype(int))
    if bits == 8:
        with Pillow.open(path) as picture:
            np.testing.assert_array_equal(formats.read(Source(path)).array[0], np.asarray(picture))


def test_white_is_zero_of_signed_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="0 is white, which has no meaning"):
        saved(tmp_path, np.zeros((4, 5), np.float32), photometric="miniswhite")


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg"])
def test_inks_and_ycbcr_become_rgb_as_in_pillow(tmp_path: Path, mode: str, compression: str) -> None:
    path = tmp_path / "a.tif"
    smooth = Pillow.fromarray(COLOR).resize((64, 48), Pillow.Resampling.BICUBIC).convert(mode)
    smooth.save(path, compression=compression)
    with Pillow.open(path) as picture:
        expected = np.asarray(picture.convert("RGB"))
    image = formats.read(Source(path))
    assert [channel.name for channel in image.channels] == ["red", "green", "blue"]
    np.testing.assert_allclose(np.moveaxis(image.array, 0, -1).astype(int), expected, atol=1)


def test_inks_beside_an_extra_sample_become_rgb(tmp_path: Path) -> None:
    inks = RNG.integers(0, 256, (8, 9, 5)).astype(np.uint8)
    image = saved(tmp_path, inks, photometric="separated", extrasamples=[0], planarconfig="contig")
    assert [channel.name for channel in image.channels] == ["red", "green", "blue", "channel 3"]
    expected = Pillow.frombytes("CMYK", (9, 8), inks[..., :4].tobytes()).convert("RGB")
    np.testing.assert_array_equal(np.moveaxis(image.array[:3], 0, -1), np.asarray(expected))
    np.testing.assert_array_equal(image.array[3], inks[..., 4])


def test_the_whole_message_of_what_is_refused(tmp_path: Path) -> None:
    hint = "Convert it to gray or RGB in the program that wrote it, or with ImageJ or GIMP."
    for array, photometric, what in (
        (np.zeros((8, 9, 4), np.uint16), "separated", "it holds 4 inks of uint16; CMYK of 8 bits can be converted"),
        (COLOR.astype(np.uint16), "ycbcr", "it holds YCbCr colors of a kind that cannot be converted"),
        (
            np.zeros((4, 5), np.float32),
            "miniswhite",
            "it says that 0 is white, which has no meaning for numbers of the type float32",
        ),
    ):
        with pytest.raises(ReadError) as caught:
            saved(tmp_path, array, photometric=photometric)
        where = tmp_path / "a.tif"
        assert str(caught.value) == f"{where}: this TIFF cannot be read as gray or RGB: {what}\n{hint}"


def test_colors_that_cannot_be_converted_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lab.tif"
    profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    turned = ImageCms.buildTransform(*profiles, "RGB", "LAB")
    lab = ImageCms.applyTransform(Pillow.fromarray(COLOR), turned)
    assert lab is not None
    lab.save(path)
    with pytest.raises(ReadError, match=r"lab\.tif.*CIELAB\n"):
        formats.read(Source(path))
    inks = RNG.integers(0, 999, (8, 9, 4)).astype(np.uint16)
    with pytest.raises(ReadError, match="4 inks of uint16"):
        saved(tmp_path, inks, photometric="separated")
    with pytest.raises(ReadError, match=r"cannot be read as gray or RGB.*CFA"):
        saved(tmp_path, COLOR[..., 0], photometric="cfa", extratags=[(33421, 3, 2, (2, 2)), (33422, 1, 4, b"\0\1\1\2")])
    with pytest.raises(ReadError, match="YCbCr colors of a kind"):
        saved(tmp_path, COLOR.astype(np.uint16), photometric="ycbcr")
    tifffile.imwrite(path, COLOR[..., 0])
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags["PhotometricInterpretation"].overwrite(3)
    with pytest.raises(ReadError, match="palette that does not suit its uint8"):
        formats.read(Source(path))


@pytest.mark.parametrize(
    "colors", [np.array([[0, 9], [1, 8], [2, 7]]), np.array([[0, 9 << 8], [256, 8 << 8], [512, 7 << 8]])]
)
def test_palettes_of_one_bit_and_of_8_bits_a_color(tmp_path: Path, colors: np.ndarray) -> None:
    colormap = np.zeros((3, 256), np.uint16)
    colormap[:, :2] = colors
    image = saved(tmp_path, MASK.astype(np.uint8), photometric="palette", colormap=colormap)
    np.testing.assert_array_equal(image.array[:, ~MASK][:, 0], [0, 1, 2])
    np.testing.assert_array_equal(image.array[:, MASK][:, 0], [9, 8, 7])


def test_a_stack_of_one_palette(tmp_path: Path) -> None:
    stack = RNG.integers(0, 256, (3, 16, 24)).astype(np.uint8)
    colormap = RNG.integers(0, 65536, (3, 256)).astype(np.uint16)
    image = saved(tmp_path, stack, photometric="palette", colormap=colormap)
    np.testing.assert_array_equal(image.array, np.moveaxis((colormap >> 8).T[stack], -1, 0))


def test_every_page_has_its_own_palette(tmp_path: Path) -> None:
    pages = [Pillow.fromarray(COLOR[..., k]).convert("P") for k in range(3)]
    for k, page in enumerate(pages):
        page.putpalette([value * (c == k) for value in range(256) for c in range(3)])
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    whole = formats.read(Source(tmp_path / "a.tif")).array
    for k, page in enumerate(pages):
        expected = np.moveaxis(np.asarray(page.convert("RGB")), -1, 0)
        np.testing.assert_array_equal(whole[:, k], expected)
        np.testing.assert_array_equal(formats.read(Source(tmp_path / "a.tif", page=k)).array, expected)


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("colors", [1, 3])
def test_an_extra_sample_is_alpha_only_where_it_is_declared(tmp_path: Path, kind: int, colors: int) -> None:
    array = RNG.integers(0, 256, (16, 24, colors + 1)).astype(np.uint8)
    array[..., -1] = 77
    options: dict[str, Any] = {"photometric": "rgb" if colors == 3 else "minisblack", "planarconfig": "contig"}
    image = saved(tmp_path, array, extrasamples=[kind], **options)
    kept = colors if kind else colors + 1
    np.testing.assert_array_equal(image.array, np.moveaxis(array, -1, 0)[:kept])
    array[0, 0, -1] = 78
    image = saved(tmp_path, array, extrasamples=[kind], **options)
    np.testing.assert_array_equal(image.array, np.moveaxis(array, -1, 0))
    assert [c.role for c in image.channels] == ["signal"] * colors + ["alpha" if kind else "signal"]


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}])
def test_constant_stains_stay(tmp_path: Path, count: int, options: dict[str, Any]) -> None:
    stains = RNG.integers(0, 256, (count, 16, 24)).astype(np.uint8)
    stains[-1] = 5
    words = {"axes": "CYX"} | ({"Channel": {"Name": list("abcd")[:count]}} if "ome" in options else {})
    image = saved(tmp_path, stains, photometric="minisblack", metadata=words, **options)
    np.testing.assert_array_equal(image.array, stains)
    assert {channel.role for channel in image.channels} == {"signal"}
    if "ome" in options:
        assert [channel.name for channel in image.channels] == list("abcd")[:count]


def test_words_of_ome_that_are_cut_off_cost_the_image_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, COLOR[..., 0], metadata={"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})
    path.write_bytes(path.read_bytes().replace(b"</Pixels>", b"</Pixelz>"))
    image = formats.read(Source(path))
    np.testing.assert_array_equal(image.array[0], COLOR[..., 0])
    assert (image.spacing, image.unit, image.channels) == ((1, 1), "pixel", (Channel("gray"),))


def test_channels_that_are_colors_each(tmp_path: Path) -> None:
    array = np.stack([COLOR, COLOR[::-1]])
    image = saved(tmp_path, array, photometric="rgb", ome=True, metadata={"axes": "CYXS"})
    np.testing.assert_array_equal(image.array, np.moveaxis(array, -1, 1).reshape(6, 16, 32))
    names = ["red", "green", "blue"]
    assert [channel.name for channel in image.channels] == [f"{c} {name}" for c in (0, 1) for name in names]


@pytest.mark.parametrize("dtype", ["u8", "i8"])
def test_64_bits(tmp_path: Path, dtype: str) -> None:
    array = np.array([[0, 2**62 + 1]]).astype(dtype)
    back = saved(tmp_path, array).array
    assert back.dtype == dtype
    np.testing.assert_array_equal(back[0], array)


def axes_case(tmp_path: Path, shape: tuple[int, ...], axes: str = "", **options: Any) -> tuple[Image, str, np.ndarray]:
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    source = Source(path, axes=axes)
    with formats.open_reader(source) as reader:
        return formats.read(source), reader.assumed, array


@pytest.mark.parametrize("options", [{}, {"metadata": None}])
def test_five_planes_or_five_channels(tmp_path: Path, options: dict[str, Any]) -> None:
    image, assumed, array = axes_case(tmp_path, (5, 64, 48), **options)
    np.testing.assert_array_equal(image.array, array[None])
    assert assumed == (
        "the axes (5 × 64 × 48) are not stated: read as a stack of 5 planes (data.axes: ZYX); "
        "if they are channels, set data.axes: CYX"
    )
    image, assumed, _ = axes_case(tmp_path, (5, 64, 48), "CYX", **options)
    np.testing.assert_array_equal(image.array, array)
    assert assumed == ""
    image, assumed, _ = axes_case(tmp_path, (5, 64, 48), "zyx", **options)
    np.testing.assert_array_equal(image.array, array[None])
    assert assumed == ""


@pytest.mark.parametrize("options", [{}, {"metadata": None}])
def test_channels_behind_the_columns(tmp_path: Path, options: dict[str, Any]) -> None:
    image, assumed, array = axes_case(tmp_path, (64, 48, 5), **options)
    np.testing.assert_array_equal(image.array, np.moveaxis(array, -1, 0))
    assert "read as 64 × 48 pixels of 5 channels (data.axes: YXC); if they are planes, set data.axes: ZYX" in assumed
    image, _, _ = axes_case(tmp_path, (64, 48, 5), "ZYX", **options)
    np.testing.assert_array_equal(image.array, array[None])


def test_a_stack_of_channels_behind_the_columns(tmp_path: Path) -> None:
    image, assumed, array = axes_case(tmp_path, (3, 64, 48, 2))
    np.testing.assert_array_equal(image.array, np.moveaxis(array, -1, 0))
    assert "(data.axes: ZYXC); if they are planes, set data.axes: TZYX" in assumed


@pytest.mark.parametrize("count", [3, 4])
def test_planes_that_tifffile_takes_for_colors_are_named_and_can_be_said(tmp_path: Path, count: int) -> None:
    array = RNG.integers(0, 256, (count, 16, 24)).astype(np.uint8)
    array[-1] = 7
    path = tmp_path / "a.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tifffile.imwrite(path, array)
    with formats.open_reader(Source(path)) as reader:
        assert f"its {count} planes are declared to be red, green, blue" in reader.assumed
        assert ("and alpha" in reader.assumed) == (count == 4)
    np.testing.assert_array_equal(formats.read(Source(path)).array, array[:3])
    for axes, expected in (("CYX", array), ("ZYX", array[None])):
        with formats.open_reader(Source(path, axes=axes)) as reader:
            assert reader.assumed == ""
        image = formats.read(Source(path, axes=axes))
        np.testing.assert_array_equal(image.array, expected)
        assert {channel.role for channel in image.channels} == {"signal"}


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_channels_that_a_file_states_are_no_colors_whatever_tifffile_declares(
    tmp_path: Path, count: int, dtype: type
) -> None:
    array = RNG.integers(0, 256, (2, count, 16, 24)).astype(dtype)
    array[:, -1] = 7
    path = tmp_path / "a.tif"
    for axes, written, expected in (("CYX", array[0], array[0]), ("ZCYX", array, array.swapaxes(0, 1))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            tifffile.imwrite(path, written, metadata={"axes": axes})
        with formats.open_reader(Source(path)) as reader:
            assert reader.assumed == ""
        image = formats.read(Source(path))
        np.testing.assert_array_equal(image.array, expected)
        assert {channel.role for channel in image.channels} == {"signal"}


def test_what_is_said_of_axes_wins_over_imagej_and_leaves_plain_and_color_files_alone(tmp_path: Path) -> None:
    image, _, array = axes_case(tmp_path, (5, 16, 24), "CYX", imagej=True, metadata={"axes": "ZYX"})
    np.testing.assert_array_equal(image.array, array)
    image, assumed, array = axes_case(tmp_path, (16, 24), "CYX")
    np.testing.assert_array_equal(image.array[0], array)
    assert assumed == ""
    path = tmp_path / "color.tif"
    tifffile.imwrite(path, COLOR, photometric="rgb")
    np.testing.assert_array_equal(formats.read(Source(path, axes="CYX")).array, np.moveaxis(COLOR, -1, 0))


@pytest.mark.parametrize("axes", ["CYQ", "YYX", "CX", "TZCYX"])
def test_axes_that_make_no_sense(tmp_path: Path, axes: str) -> None:
    with pytest.raises(ReadError, match=r"a\.tif.*data\.axes"):
        axes_case(tmp_path, (5, 16, 24), axes)


def test_a_long_stack_is_no_question(tmp_path: Path) -> None:
    _, assumed, _ = axes_case(tmp_path, (30, 64, 48))
    assert assumed == ""


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
    for look in (planes, formats.read):
        with pytest.raises(ReadError) as caught:
            look(Source(path))
        assert str(caught.value) == (
            f"{path}: this TIFF is truncated: it ends after {end:,} bytes, its data reach to {end:,}\n"
            "Copy or download the file again."
        )
    path.write_bytes(data[: end + 5])
    with pytest.raises(ReadError, match=r"this TIFF is (truncated|damaged)|damaged or truncated"):
        formats.read(Source(path))


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="numbers of the kind complex64"):
        saved(tmp_path, np.zeros((4, 4), np.complex64))


def test_the_real_stack(data: Path) -> None:
    source = Source(data / "isbi2012" / "train-volume.tif")
    assert planes(source) == 24
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


def test_planes_that_are_announced_and_not_there_are_no_black_images(tmp_path: Path) -> None:
    """As of an acquisition that was stopped."""
    path, planes = tmp_path / "a.ome.tif", np.full((6, 8, 9), 7, np.uint8)
    with tifffile.TiffWriter(path) as tiff:
        said = tifffile.OmeXml()
        said.addimage(np.uint8, (10, 8, 9), (10, 1, 1, 8, 9, 1), axes="TYX")
        for k, plane in enumerate(planes):
            text = said.tostring(declaration=True).encode() if k == 0 else None
            tiff.write(plane, description=text, metadata=None, contiguous=False)
    assert (formats.read(Source(path, time=5)).array == 7).all()
    with pytest.raises(ReadError, match="announces more planes than it holds"):
        formats.read(Source(path, time=8))
