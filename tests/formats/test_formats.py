"""Reading and writing as every room does it: `read`, `write`, `pages`, and what is said when it fails."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Pillow

from small_files import planes
from ulna import formats
from ulna.errors import ReadError, UlnaError
from ulna.image import Grid, Image, Source


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@settings(max_examples=25, deadline=None)
@given(
    array=hnp.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9)),
    ),
    suffix=st.sampled_from([".png", ".tif"]),
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, suffix: str) -> None:
    path = tmp_path_factory.mktemp("whole") / f"image{suffix}"
    formats.write(path, Image(array))
    back = formats.read(Source(path))
    assert back.array.dtype == array.dtype
    np.testing.assert_array_equal(back.array, array)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_tiff_holds_any_number_of_channels_and_kind_of_number(tmp_path: Path, dtype: str, channels: int) -> None:
    array = (rng().random((channels, 6, 7)) * 100).astype(dtype)
    path = tmp_path / "a.tif"
    formats.write(path, Image(array, Grid((6, 7), spacing=(0.5, 0.25), unit="µm")))
    back = formats.read(Source(path))
    assert back.array.dtype == array.dtype
    np.testing.assert_array_equal(back.array, array)
    assert back.spacing == pytest.approx((0.5, 0.25))
    assert back.unit == "µm"


def test_other_programs_read_the_same(tmp_path: Path) -> None:
    color = rng().integers(0, 256, (3, 6, 7)).astype(np.uint8)
    for name in ("a.png", "a.tif"):
        formats.write(tmp_path / name, Image(color))
        with Pillow.open(tmp_path / name) as picture:
            np.testing.assert_array_equal(np.moveaxis(np.asarray(picture), -1, 0), color)


def test_a_boolean_mask_becomes_numbers(tmp_path: Path) -> None:
    mask = np.eye(4, dtype=bool)[None]
    for name in ("a.png", "a.tif"):
        formats.write(tmp_path / name, Image(mask))
        back = formats.read(Source(tmp_path / name)).array
        assert back.dtype == np.uint8
        np.testing.assert_array_equal(back, mask)


def test_pages_go_into_one_file(tmp_path: Path) -> None:
    pages = rng().integers(0, 256, (4, 1, 5, 6)).astype(np.uint8)
    path = tmp_path / "stack.tif"
    formats.write(path, Image(pages[:, 0][None]))
    assert planes(Source(path)) == 4
    np.testing.assert_array_equal(formats.read(Source(path, page=2)).array, pages[2])
    np.testing.assert_array_equal(formats.read(Source(path)).array, pages[:, 0][None])
    formats.write(path, formats.read(Source(path)))
    assert planes(Source(path)) == 4


def test_png_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for array in (
        np.zeros((2, 4, 4), np.uint8),
        np.zeros((1, 4, 4), np.float32),
        np.zeros((1, 2, 4, 4), np.uint8),
    ):
        with pytest.raises(UlnaError, match=r"Write it as \.tif"):
            formats.write(path, Image(array))
    with pytest.raises(UlnaError, match="are read, not written"):
        formats.write(tmp_path / "a.jpg", Image(np.zeros((1, 4, 4), np.uint8)))
    assert not list(tmp_path.iterdir())


def test_the_suffix_of_a_mask_suits_its_image() -> None:
    suffixes = {name: formats.mask_suffix(Source(Path(name))) for name in ("a.TIF", "a.tiff", "a.jpg", "a.png")}
    assert suffixes == {"a.TIF": ".tif", "a.tiff": ".tif", "a.jpg": ".png", "a.png": ".png"}


def test_a_suffix_that_lies_does_not_mislead(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Pillow.fromarray(np.full((4, 4, 3), 90, np.uint8)).save(path, "JPEG")
    assert formats.read(Source(path)).array.shape == (3, 4, 4)


def test_an_image_of_one_pixel(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif", "a.bmp", "a.jpg"):
        Pillow.new("L", (1, 1), 7).save(tmp_path / name)
        assert formats.read(Source(tmp_path / name)).array.shape == (1, 1, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_counted_and_refused(tmp_path: Path, value: float) -> None:
    array = np.zeros((5, 6), np.float32)
    array[1, :3] = value
    tifffile.imwrite(tmp_path / "a.tif", array)
    with pytest.raises(ReadError, match=r"holds 3 (NaN|infinite) values among 30"):
        formats.read(Source(tmp_path / "a.tif"))


def files() -> dict[str, bytes]:
    """One intact file of each format."""
    picture = rng().integers(0, 256, (40, 50, 3)).astype(np.uint8)
    made = {"a.png": imagecodecs.png_encode(picture)}
    for name, options in (("a.jpg", {}), ("a.bmp", {}), ("a.gif", {}), ("a.webp", {"lossless": True})):
        stream = io.BytesIO()
        Pillow.fromarray(picture).save(stream, Pillow.registered_extensions()[Path(name).suffix], **options)
        made[name] = stream.getvalue()
    for name, compression in (("a.tif", None), ("b.tif", "zlib"), ("c.tif", "lzw"), ("d.tif", "zstd")):
        stream = io.BytesIO()
        tifffile.imwrite(stream, picture, photometric="rgb", compression=compression)
        made[name] = stream.getvalue()
    return made


@pytest.mark.parametrize("name", sorted(files()))
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.9])
def test_a_truncated_file_is_a_read_error_that_names_it(tmp_path: Path, name: str, share: float) -> None:
    data = files()[name]
    path = tmp_path / name
    path.write_bytes(data)
    assert formats.read(Source(path)).array.shape == (3, 40, 50)
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ReadError, match=name):
        formats.read(Source(path))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(files())), where=st.floats(0, 1), value=st.integers(0, 255))
def test_a_damaged_byte_gives_an_image_or_a_read_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, where: float, value: int
) -> None:
    data = bytearray(files()[name])
    # Headers are where damage does strange things: half of the bytes are among the first 300.
    place = int(where * 2 * 300) if where < 0.5 else int((where - 0.5) * 2 * (len(data) - 1))
    data[min(place, len(data) - 1)] = value
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(bytes(data))
    try:
        image = formats.read(Source(path))
    except ReadError as error:
        assert name in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert image.array.ndim in (3, 4)


def test_what_is_no_image_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").write_text("hello, this is a text")
    (tmp_path / "c.xyz").write_text("hello, this is a text")
    (tmp_path / "folder.png").mkdir()
    known = ", ".join(sorted(formats.SUFFIXES))
    for name, message in {
        "a.png": "the file is empty (0 bytes)\nCopy or download it again.",
        "b.png": "is named .png but does not begin like a PNG file\n"
        "It is damaged or of another kind: copy it again, or save it as PNG or TIFF.",
        "c.xyz": f"is no image of a kind that is known here\nKnown: {known}.",
        "d.png": "there is no such file",
        "folder.png": "cannot be opened: Is a directory",
    }.items():
        with pytest.raises(ReadError) as caught:
            formats.read(Source(tmp_path / name))
        assert str(caught.value) == f"{tmp_path / name}: {message}"


def test_nan_and_infinity_are_counted_apart() -> None:
    array = np.array([np.nan, np.inf, -np.inf, 1.0])
    with pytest.raises(ReadError) as caught:
        formats.check_finite(array, "a.tif")
    assert str(caught.value) == (
        "a.tif: holds 1 NaN and 2 infinite values among 4\n"
        "Replace them by numbers (for example by the background) and save the image again."
    )
    with pytest.raises(
        ReadError, match=r"holds 2 NaN values among 4 .*data\.missing=-3 reads them as the lowest value"
    ):
        formats.check_finite(np.array([np.nan, 7, -3, np.nan]), "a.tif")
    formats.check_finite(array[3:], "a.tif")
    formats.check_finite(np.array([1, 2]), "a.tif")


def test_nan_is_read_as_a_number_where_that_is_said(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(5, 1, (6, 7, 8)).astype(np.float32)
    volume[:2], volume[:, 0] = np.nan, np.nan
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "a.nii.gz")
    source = Source(tmp_path / "a.nii.gz")
    with pytest.raises(ReadError, match=f"holds {np.isnan(volume).sum()} NaN"):
        formats.read(source)
    filled = replace(source, missing=-1.5)
    plain = np.nan_to_num(volume, nan=-1.5)
    whole = formats.read(filled).array
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(np.sort(whole, axis=None), np.sort(plain, axis=None))
    with formats.open_reader(filled) as reader:  # and region by region
        region = (slice(0, 2), slice(2, 7), slice(1, 4))
        np.testing.assert_array_equal(reader.read(region), whole[(slice(None), *region)])
    assert source.like(filled).missing == -1.5


def test_an_image_larger_than_the_memory_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = (30_000, 30_000)
    png = imagecodecs.png_encode(np.zeros((8, 8), np.uint8))
    (tmp_path / "a.png").write_bytes(png[:16] + np.array(sides, ">u4").tobytes() + png[24:])
    (tmp_path / "a.bmp").write_bytes(bmp_that_claims(sides))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tiff:
        for name, side in zip(("ImageLength", "ImageWidth"), sides, strict=True):
            tiff.pages[0].tags[name].overwrite(side)
    memory = type("Memory", (), {"available": 1 << 30})
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    for name in ("a.png", "a.bmp", "a.tif"):
        with pytest.raises(ReadError, match=r"30000 × 30000 needs 1\.7 GiB of memory, 1\.0 GiB are free"):
            formats.read(Source(tmp_path / name))


def bmp_that_claims(sides: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Pillow.new("L", (8, 8)).save(stream, "BMP")
    data = bytearray(stream.getvalue())
    data[18:26] = np.array(sides, "<u4").tobytes()
    return bytes(data)


def test_large_pictures_are_no_bombs(tmp_path: Path) -> None:
    """Pillow warns from 89 million pixels and refuses from 179 million on; whole slides are larger."""
    path = tmp_path / "large.jpg"
    side = 13_500
    path.write_bytes(imagecodecs.jpeg8_encode(np.zeros((side, side), np.uint8), level=1))
    assert formats.read(Source(path)).array.shape == (1, side, side)


def test_no_library_is_loaded_before_a_file_needs_it() -> None:
    code = (
        "import sys, ulna.formats; "
        "print(sorted({'nibabel', 'nrrd', 'pydicom', 'highdicom', 'h5py', 'SimpleITK'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
