"""NIfTI: against nibabel, on real files and on files that are wrong."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from ulna import formats
from ulna.errors import ReadError
from ulna.grid import Grid
from ulna.image import Channel, Image, Source

RAS = np.array([[-0.5, 0.1, 0.0, 12.0], [0.1, 0.7, 0.2, -3.0], [0.0, 0.3, 2.5, 7.0], [0, 0, 0, 1]])


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = RAS, **header: object) -> Source:
    image = nibabel.Nifti1Image(array, affine)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return Source(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_voxels_and_places_are_those_of_nibabel(tmp_path: Path, name: str, dtype: type) -> None:
    array = np.random.default_rng(0).integers(0, 100, (4, 5, 6)).astype(dtype)
    source = save(tmp_path / name, array)
    image = formats.read(source)
    assert (source.stem, source.suffix) == ("a", name[1:])
    assert (image.array.dtype, image.unit) == (dtype, "mm")
    np.testing.assert_array_equal(image.array[0], array.T)
    affine = nibabel.load(tmp_path / name).affine
    for index in ([0, 0, 0], [3, 4, 5], [1, 0, 2]):
        x, y, z = affine[:3, :3] @ index + affine[:3, 3]
        np.testing.assert_allclose(image.grid.to_world(index[::-1]), (z, -y, -x), atol=1e-5)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_planes_slabs_and_regions(tmp_path: Path, name: str) -> None:
    array = np.random.default_rng(0).integers(0, 100, (4, 5, 6, 2)).astype(np.int16)
    source = save(tmp_path / name, array)
    with formats.open_reader(source) as reader:
        assert (len(reader.channels), reader.planes) == (2, 6)
        assert "its fourth axis, 2 volumes, is taken for channels" in reader.assumed
        part = reader.read((slice(1, 4), slice(0, 2), slice(2, 4)))
    whole = np.moveaxis(array, -1, 0).transpose(0, 3, 2, 1)
    np.testing.assert_array_equal(part, whole[:, 1:4, 0:2, 2:4])
    np.testing.assert_array_equal(formats.read(replace(source, page=3)).array, whole[:, 3])
    slab = formats.read(replace(source, slab=(2, 5)))
    np.testing.assert_array_equal(slab.array, whole[:, 2:5])
    np.testing.assert_allclose(slab.origin, formats.read(replace(source, page=2)).origin)
    one = formats.read(replace(source, time=1))
    np.testing.assert_array_equal(one.array[0], whole[1])
    for wrong in ({"page": 6}, {"slab": (4, 7)}, {"time": 2}):
        with pytest.raises(ReadError, match="asked for"):
            formats.read(replace(source, **wrong))


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"), [(1, -1024, np.int32), (2, 0, np.int32), (0.5, 1, np.float32), (0, 3, np.int16)]
)
def test_values_are_scaled(tmp_path: Path, slope: float, intercept: float, dtype: type) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = nibabel.Nifti1Image(array, RAS)
    image.header.set_slope_inter(slope or 1, intercept if slope else 0)
    data = bytearray(image.to_bytes())
    data[112:120] = np.array([slope, intercept], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(bytes(data))
    found = formats.read(Source(tmp_path / "a.nii")).array
    assert found.dtype == dtype
    stored = np.asarray(nibabel.Nifti1Image.from_bytes(bytes(data)).dataobj.get_unscaled()).T
    np.testing.assert_allclose(found[0], stored * slope + intercept if slope else stored)


@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_written_lies_on_its_image(tmp_path: Path, shape: tuple[int, ...], dtype: type, channels: int) -> None:
    array = np.random.default_rng(0).integers(0, 100, (channels, *shape)).astype(dtype)
    tilt = ((1.0, 0.0, 0.0), (0.0, 0.6, -0.8), (0.0, 0.8, 0.6))
    grid = (
        Grid(shape, (2.5, 0.5, 0.7), "mm", (1.0, -2.0, 3.0), tilt) if len(shape) == 3 else Grid(shape, (0.5, 0.7), "mm")
    )
    formats.write(tmp_path / "a.nii.gz", Image(array, grid))
    again = nibabel.load(tmp_path / "a.nii.gz")
    assert again.get_data_dtype() == dtype
    read = formats.read(Source(tmp_path / "a.nii.gz"))
    if len(shape) == 3:
        np.testing.assert_array_equal(read.array, array)
        np.testing.assert_allclose(
            read.grid.to_world([[0, 0, 0], [2, 3, 4]]), grid.to_world([[0, 0, 0], [2, 3, 4]]), atol=1e-5
        )
        np.testing.assert_allclose(again.header.get_qform(), again.affine, atol=1e-5)
        assert (int(again.header["sform_code"]), int(again.header["qform_code"])) == (1, 1)
    else:
        np.testing.assert_array_equal(read.array[:, 0], array)  # a plane is a volume of one slice
        np.testing.assert_allclose(read.spacing[1:], grid.spacing, rtol=1e-6)
    assert not list(tmp_path.glob(".*"))


def test_a_volume_that_says_nothing_of_its_place(tmp_path: Path) -> None:
    source = save(tmp_path / "a.nii", np.zeros((3, 4, 5), np.uint8), None, sform_code=0, qform_code=0)
    with formats.open_reader(source) as reader:
        assert "does not say where it lies" in reader.assumed
        assert reader.grid == Grid((5, 4, 3), unit="mm")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[76:92] = np.array([1, 1, 0, 1], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(bytes(data))
    with pytest.raises(ReadError, match="says that its voxels are of 1 × 0 × 1 mm"):
        formats.read(source)


def test_two_places_are_said(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.diag([1, 1, 1, 1.0]))
    image.set_sform(np.diag([1, 1, 1, 1.0]), code=1)
    image.set_qform(np.diag([1, 1, 3, 1.0]), code=1)
    nibabel.save(image, tmp_path / "a.nii")
    with formats.open_reader(Source(tmp_path / "a.nii")) as reader:
        assert "says two places (sform and qform); that of sform is taken" in reader.assumed
        assert reader.grid.spacing == (1, 1, 1)


def test_what_is_damaged_is_said(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.random.default_rng(0).integers(0, 99, (9, 9, 9)).astype(np.int16))
    data = (tmp_path / "a.nii").read_bytes()
    for name, content, words in (
        ("cut.nii", data[:-100], "is cut off: 100 of its bytes are missing"),
        ("cut.nii.gz", gzip.compress(data)[:-40], "is cut off or damaged within its pixels"),
        ("head.nii", data[:346], "does not begin like a NIfTI file"),
        ("as_text.nii.gz", gzip.compress(data)[:12].replace(b"\x08", b"\x07"), "does not begin like a NIfTI file"),
        ("bits.nii.gz", gzip.compress(data)[:10] + b"\xff" * 60, "does not begin like a NIfTI file"),
        ("none.nii.gz", b"hello, this is no image", "does not begin like a NIfTI file"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReadError, match=words):
            formats.read(Source(tmp_path / name))
    (tmp_path / "packed.nii").write_bytes(gzip.compress(data))  # a .nii that is gzip is read as what it is
    np.testing.assert_array_equal(
        formats.read(Source(tmp_path / "packed.nii")).array, formats.read(Source(tmp_path / "a.nii")).array
    )


def test_what_is_no_volume_of_gray_values_is_refused(tmp_path: Path) -> None:
    source = save(tmp_path / "a.nii", np.zeros((2, 2, 2, 3, 4), np.float32))
    with pytest.raises(ReadError, match="has 5 axes"):
        formats.read(source)
    source = save(tmp_path / "b.nii", np.zeros((2, 2, 2), np.complex64))
    with pytest.raises(ReadError, match="no gray values"):
        formats.read(source)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_an_axis_longer_than_nifti_1_can_say_is_written_as_nifti_2(tmp_path: Path, name: str) -> None:
    array = np.arange(2 * 40_000, dtype=np.uint16).reshape(1, 1, 2, 40_000)
    formats.write(tmp_path / name, Image(array, Grid((1, 2, 40_000), (3, 2, 1), "mm")))
    theirs: Any = nibabel.load(tmp_path / name)
    assert isinstance(theirs, nibabel.Nifti2Image)
    np.testing.assert_array_equal(np.asarray(theirs.dataobj).T, array[0])
    read = formats.read(Source(tmp_path / name))
    np.testing.assert_array_equal(read.array, array)
    assert read.grid.spacing == (3, 2, 1)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd"])
def test_a_mask_that_is_written_by_region_is_not_in_memory(tmp_path: Path, suffix: str) -> None:
    shape = (100, 400, 400)
    options: dict[str, Any] = {"dtype": np.dtype(np.uint8), "channels": (Channel("gray"),)}
    tracemalloc.start()
    with formats.create(tmp_path / f"a{suffix}", Grid(shape), **options) as writer:
        for z in range(shape[0]):
            writer.write((slice(z, z + 1), *map(slice, shape[1:])), np.full((1, 1, *shape[1:]), z, np.uint8))
        _, most = tracemalloc.get_traced_memory()
        assert most < 2_000_000  # of 16 million voxels
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if suffix != ".nrrd":  # pynrrd copies what it packs
        assert most < 4_000_000
    assert (formats.read(Source(tmp_path / f"a{suffix}")).array == np.arange(100).reshape(1, 100, 1, 1)).all()
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("side", [0.0, -2.0, np.nan, np.inf])
@pytest.mark.parametrize("codes", [(0, 0), (0, 1), (1, 0)])
def test_voxels_without_a_size_are_refused(tmp_path: Path, side: float, codes: tuple[int, int]) -> None:
    """Whichever of the three ways the header says it; without a place, and in an affine, a negative one has a sense."""
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.diag([1, 1, 2, 1])), path)
    data = path.read_bytes()
    header = nibabel.Nifti1Header(data[:348], check=False)
    header["sform_code"], header["qform_code"] = codes
    header["pixdim"][3], header["srow_z"][2] = side, side
    path.write_bytes(header.binaryblock + data[348:])
    if side < 0 and codes != (0, 1):
        with formats.open_reader(Source(path)) as reader:
            assert reader.grid.spacing[0] == 2
            assert ("negative size of voxels" in reader.assumed) == (codes == (0, 0))
        return
    with pytest.raises(
        ReadError, match=r"says no place in space|says that its voxels are of 1 × 1 × (0|-2|nan|inf) mm"
    ):
        formats.read(Source(path))


def test_axes_in_one_plane_are_refused(tmp_path: Path) -> None:
    matrix = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), np.uint8), matrix), tmp_path / "a.nii")
    with pytest.raises(ReadError, match="its three axes lie in one plane"):
        formats.read(Source(tmp_path / "a.nii"))


@pytest.mark.parametrize(("name", "other"), [("a.nii", "b.nii.gz"), ("a.nii.gz", "b.nii")])
def test_a_suffix_that_lies(tmp_path: Path, name: str, other: str) -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / name)
    (tmp_path / name).rename(tmp_path / other)
    np.testing.assert_array_equal(formats.read(Source(tmp_path / other)).array[0], array.T)


@pytest.mark.parametrize("shape", [(6, 7, 1), (1, 7, 5), (6, 1, 5)])
def test_a_single_slice_is_a_volume(tmp_path: Path, shape: tuple[int, ...]) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ones(shape, np.uint8), np.diag([1, 2, 3, 1])), tmp_path / "a.nii.gz")
    image = formats.read(Source(tmp_path / "a.nii.gz"))
    assert (image.shape, image.spacing) == (shape[::-1], (3.0, 2.0, 1.0))


def test_times_and_nan_are_said(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((6, 7, 5, 4)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii.gz")
    with formats.open_reader(Source(tmp_path / "a.nii.gz")) as reader:
        assert "its fourth axis, 4 volumes, is taken for channels; if it is time" in reader.assumed
    np.testing.assert_array_equal(formats.read(Source(tmp_path / "a.nii.gz", time=2)).array[0], array[..., 2].T)
    array[0] = np.nan
    nibabel.save(nibabel.Nifti1Image(array[..., 0], np.eye(4)), tmp_path / "b.nii.gz")
    with pytest.raises(ReadError, match="holds 35 NaN values among 210"):
        formats.read(Source(tmp_path / "b.nii.gz"))


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """What follows the voxels that the header announces is never read."""
    save(tmp_path / "a.nii", np.ones((3, 3, 3), np.uint8))
    data = (tmp_path / "a.nii").read_bytes()
    with gzip.open(tmp_path / "b.nii.gz", "wb", 1) as stream:
        stream.write(data)
        for _ in range(64):
            stream.write(bytes(1 << 20))
    assert formats.read(Source(tmp_path / "b.nii.gz")).array.sum() == 27
    header = bytearray(data[:352])
    header[108:112] = struct.pack("<f", 3e8)  # where the voxels are said to begin
    with gzip.open(tmp_path / "c.nii.gz", "wb", 1) as stream:
        stream.write(bytes(header) + data[352:])
    with pytest.raises(ReadError, match="no header is so long"):
        formats.read(Source(tmp_path / "c.nii.gz"))


def test_real_files(data: Path) -> None:
    for path in sorted([*(data / "sct_t2s").glob("*.nii.gz"), *(data / "formats" / "nifti").glob("*.nii*")]):
        if "truncated" in path.name:
            with pytest.raises(ReadError, match="cut off"):
                formats.read(Source(path))
            continue
        theirs = nibabel.load(path)
        image = formats.read(Source(path))
        expected = np.asanyarray(theirs.dataobj).T
        np.testing.assert_allclose(image.array, expected if expected.ndim == 4 else expected[None], rtol=1e-6)


def test_a_place_that_qform_cannot_say_is_not_said_by_it(tmp_path: Path) -> None:
    """Of axes that are not at right angles it would say another place, which some readers prefer."""
    sheared = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.2), (0.0, 0.0, float(np.sqrt(0.96))))
    for direction, code in ((sheared, 0), ((), 1)):
        grid = Grid((30, 20, 20), (2.0, 1.0, 1.0), "mm", (1.0, 2.0, 3.0), direction)
        written = Image(np.ones((1, *grid.shape), np.uint8), grid)
        formats.write(tmp_path / "a.nii", written)
        loaded = nibabel.load(tmp_path / "a.nii")
        assert (loaded.get_sform(coded=True)[1], loaded.get_qform(coded=True)[1]) == (1, code)
        with formats.open_reader(Source(tmp_path / "a.nii")) as reader:
            assert not reader.assumed
            np.testing.assert_allclose(reader.grid.matrix, grid.matrix, atol=1e-6)


@pytest.mark.parametrize(("sides", "said"), [((1, 2, 3), False), ((5, 5, 5), True), ((1, 1, 1), False)])
def test_two_sizes_of_voxels_are_said(tmp_path: Path, sides: tuple[int, int, int], said: bool) -> None:
    """Sides of 1 are what a header says that was never filled in."""
    save(tmp_path / "a.nii", np.zeros((3, 4, 5), np.uint8), np.diag([1, 2, 3, 1.0]), qform_code=0)
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[80:92] = np.array(sides, "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(bytes(data))
    with formats.open_reader(Source(tmp_path / "a.nii")) as reader:
        assert reader.grid.spacing == (3, 2, 1)
        assert ("two sizes of voxels (sform and pixdim)" in reader.assumed) == said


def test_a_mask_says_no_place_where_its_image_says_none(tmp_path: Path) -> None:
    source = save(tmp_path / "a.nii", np.zeros((3, 4, 5), np.uint8), None, sform_code=0, qform_code=0)
    image = formats.read(source)
    formats.write(tmp_path / "mask.nii.gz", image.with_array(np.ones((1, 5, 4, 3), np.uint8)))
    ours, theirs = nibabel.load(tmp_path / "mask.nii.gz"), nibabel.load(source.path)
    np.testing.assert_allclose(ours.affine, theirs.affine)
    assert (int(ours.header["sform_code"]), int(ours.header["qform_code"])) == (0, 0)
    itk = [SimpleITK.ReadImage(str(path)) for path in (source.path, tmp_path / "mask.nii.gz")]
    assert itk[0].GetDirection() == itk[1].GetDirection()
    assert itk[0].GetOrigin() == itk[1].GetOrigin()


@pytest.mark.parametrize(
    ("start", "value"), [(70, np.int16(77)), (70, np.int16(1)), (70, np.int16(0)), (108, np.float32(np.inf))]
)
def test_a_header_that_cannot_be_is_refused(tmp_path: Path, start: int, value: np.generic) -> None:
    save(tmp_path / "a.nii", np.zeros((3, 4, 5), np.uint8))
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[start : start + value.nbytes] = value.tobytes()
    (tmp_path / "a.nii").write_bytes(bytes(data))
    with pytest.raises(ReadError):
        formats.read(Source(tmp_path / "a.nii"))
