"""DICOM: against pydicom and SimpleITK, on series that are written here and on real ones."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_files import TILTED, write_enhanced, write_series
from ulna import formats
from ulna.errors import ReadError, UlnaError
from ulna.formats.dicom.series import together
from ulna.image import Image, Source
from ulna.layouts import find, read_dataset

TIMES = 3


def volume(depth: int = 5, dtype: str = "int16") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (depth, 7, 6)).astype(dtype)


def only(place: Path) -> Source:
    (case,) = find(place).cases
    (source,) = case.images
    return source


def check_against_itk(image: Image, paths: list[Path]) -> None:
    """`paths` in the order of their places; SimpleITK reads them in the order in which they are given."""
    theirs = SimpleITK.ReadImage([str(path) for path in paths])
    np.testing.assert_array_equal(image.array[0], SimpleITK.GetArrayFromImage(theirs))
    for index in np.ndindex(2, 2, 2):
        corner = np.array(index) * (np.array(image.shape) - 1)
        point = theirs.TransformContinuousIndexToPhysicalPoint([float(k) for k in corner[::-1]])
        np.testing.assert_allclose(image.grid.to_world(corner)[::-1], point, atol=1e-6)


def test_a_series_is_sorted_by_its_places(tmp_path: Path) -> None:
    array = volume()
    paths = write_series(tmp_path / "p1", array)
    source = only(tmp_path)
    assert (source.stem, source.suffix, len(source.files)) == ("p1", ".dcm", 5)
    image = formats.read(source)
    np.testing.assert_array_equal(image.array[0], array)
    assert image.array.dtype == np.int16
    np.testing.assert_allclose(image.spacing, (2.5, 0.7, 0.5))  # and not the 99 mm of its slices' thickness
    check_against_itk(image, paths)


@settings(max_examples=5, deadline=None)
@given(order=st.permutations(range(5)))
def test_names_and_numbers_do_not_matter(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    folder = tmp_path_factory.mktemp("any")
    array = volume()
    write_series(folder, array, names=[f"IM{k}" for k in order], InstanceNumber=[order[-1 - k] for k in range(5)])
    np.testing.assert_array_equal(formats.read(only(folder)).array[0], array)


def test_a_part_of_a_series_decodes_its_slices_alone(tmp_path: Path) -> None:
    array = volume()
    first, *_ = write_series(tmp_path / "p1", array)
    source = only(tmp_path)
    with formats.open_reader(source) as reader:
        part = (slice(2, 4), slice(1, 3), slice(0, 5))
        data = first.read_bytes()
        first.write_bytes(data[:-20])  # a slice that is not asked for
        np.testing.assert_array_equal(reader.read(part)[0], array[part])
        with pytest.raises(ReadError, match=rf"{first.name}: this DICOM file is damaged or truncated"):
            reader.read()


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"), [(1.0, -1024.0, "int32"), (2.0, 0.0, "int32"), (0.5, 1.0, "float32")]
)
def test_values_are_scaled(tmp_path: Path, slope: float, intercept: float, dtype: str) -> None:
    array = volume()
    write_series(tmp_path, array, RescaleSlope=slope, RescaleIntercept=intercept)
    read = formats.read(only(tmp_path)).array[0]
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, array * slope + intercept)


def test_each_slice_has_its_own_scale(tmp_path: Path) -> None:
    array, slopes = volume(), [0.1, 0.2, 0.3, 0.4, 0.5]
    write_series(tmp_path, array, RescaleSlope=slopes, RescaleIntercept=0)
    expected = array * np.array(slopes)[:, None, None]
    np.testing.assert_allclose(formats.read(only(tmp_path)).array[0], expected, rtol=1e-6)


def test_white_is_zero(tmp_path: Path) -> None:
    array = volume(dtype="uint16")
    write_series(tmp_path, array, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    with formats.open_reader(only(tmp_path)) as reader:
        np.testing.assert_array_equal(reader.read()[0], 4095 - array)
        assert "inverted" in reader.assumed


def test_series_of_one_folder_are_told_apart(tmp_path: Path) -> None:
    one, other = volume(), volume(4)[:, :5]
    write_series(tmp_path / "p1", one, SeriesDescription="T1 post/contrast")
    write_series(tmp_path / "p1", other, names=[f"b{k}.dcm" for k in range(4)], SeriesDescription="Flair")
    write_series(tmp_path / "p1", other, names=[f"c{k}.dcm" for k in range(4)], SeriesDescription="Flair")
    cases = {case.name: case for case in find(tmp_path).cases}
    assert set(cases) == {"T1_post_contrast", "Flair_1", "Flair_2"}
    np.testing.assert_array_equal(formats.read(cases["T1_post_contrast"].images[0]).array[0], one)
    np.testing.assert_array_equal(formats.read(cases["Flair_2"].images[0]).array[0], other)


def test_a_localizer_of_one_series_is_three_images(tmp_path: Path) -> None:
    for k, turn in enumerate([(0, 1, 2), (1, 2, 0), (2, 0, 1)]):
        axes = np.eye(3)[:, turn]
        write_series(tmp_path, volume(1), axes=axes, names=[f"{k}.dcm"], SeriesInstanceUID="1.2.3")
    assert [case.name for case in find(tmp_path).cases] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("gone", "said"), [(2, "1 slice of it is missing"), (slice(2, 4), "2 slices of it are missing")]
)
def test_a_missing_slice_is_refused(tmp_path: Path, gone: int | slice, said: str) -> None:
    paths = write_series(tmp_path, volume(8))
    for path in np.atleast_1d(np.array(paths, object)[gone]):
        path.unlink()
    with pytest.raises(ReadError, match=f"{said}, between -7.5 and"):
        formats.read(only(tmp_path))


def test_distances_that_differ(tmp_path: Path) -> None:
    write_series(tmp_path / "a", volume(), positions=np.array([0, 2.5, 5.05, 7.5, 10]))
    with formats.open_reader(only(tmp_path / "a")) as reader:
        assert reader.assumed == "its slices lie 2.45 to 2.55 mm apart; 2.5 mm is taken"
    write_series(tmp_path / "b", volume(), positions=np.array([0, 2.5, 5.6, 7.5, 10]))
    with pytest.raises(ReadError, match="which is no regular grid"):
        formats.read(only(tmp_path / "b"))


def test_a_tilted_gantry_keeps_its_shear(tmp_path: Path) -> None:
    array = volume()
    shifted = [[0.0, 0.3 * k, 2.0 * k] for k in range(5)]
    write_series(tmp_path, array, axes=np.eye(3), ImagePositionPatient=shifted)
    with formats.open_reader(only(tmp_path)) as reader:
        assert "not at right angles" in reader.assumed
        np.testing.assert_allclose(reader.grid.to_world([3, 0, 0]), (6, 0.9, 0), atol=1e-6)


def test_several_volumes_of_one_series(tmp_path: Path) -> None:
    arrays = [volume() + k for k in range(TIMES)]
    for k, array in enumerate(arrays):
        write_series(
            tmp_path, array, names=[f"{k}_{z}.dcm" for z in range(5)], SeriesInstanceUID="1.2.3",
            TemporalPositionIdentifier=TIMES - k,
        )  # fmt: skip
    source = only(tmp_path)
    with formats.open_reader(source) as reader:
        assert "has 3 slices at each place, which are taken for the channels" in reader.assumed
        np.testing.assert_array_equal(reader.read(), arrays[::-1])
    with formats.open_reader(Source(source.path, files=source.files, title="a", time=0)) as reader:
        np.testing.assert_array_equal(reader.read()[0], arrays[2])
        assert reader.assumed == ""
    (tmp_path / "1_2.dcm").unlink()
    with pytest.raises(ReadError, match="1 of the 5 places where its slices lie have 2, the others up to 3"):
        formats.read(only(tmp_path))


def test_frames_of_one_file_are_sorted_by_their_places(tmp_path: Path) -> None:
    array, order = volume(), (3, 0, 4, 1, 2)
    write_enhanced(tmp_path / "a.dcm", array, order, RescaleSlope=2, RescaleIntercept=1)
    write_series(tmp_path / "p1", array)
    image, series = formats.read(Source(tmp_path / "a.dcm")), formats.read(only(tmp_path / "p1"))
    np.testing.assert_array_equal(image.array, series.array * 2 + 1)
    corners = [[0, 0, 0], [4, 6, 5]]
    np.testing.assert_allclose(image.grid.to_world(corners), series.grid.to_world(corners), atol=1e-6)


def test_frames_without_a_place_are_a_film(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "a.dcm", volume(), range(5))
    data = pydicom.dcmread(tmp_path / "a.dcm")
    del data.PerFrameFunctionalGroupsSequence
    data.save_as(tmp_path / "a.dcm")
    with formats.open_reader(Source(tmp_path / "a.dcm")) as reader:
        assert (reader.times, reader.grid.shape) == (5, (5, 7, 6))
        np.testing.assert_array_equal(reader.read()[0], volume())
    cases = find(tmp_path / "a.dcm").cases
    assert [case.name for case in cases] == [f"a_{k:04d}" for k in range(5)]
    np.testing.assert_array_equal(formats.read(cases[3].images[0]).array[0], volume()[3])


def test_colors(tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 255, (7, 6, 3), dtype=np.uint8)
    (path,) = write_series(tmp_path, colors[None, ..., 0], SamplesPerPixel=3, PlanarConfiguration=0)
    data = pydicom.dcmread(path)
    data.PhotometricInterpretation, data.PixelData = "RGB", colors.tobytes()
    data.save_as(path)
    image = formats.read(Source(path))
    np.testing.assert_array_equal(image.array, np.moveaxis(colors, -1, 0))
    assert [channel.name for channel in image.channels] == ["red", "green", "blue"]


def test_a_file_that_is_there_twice_is_used_once(tmp_path: Path) -> None:
    paths = write_series(tmp_path, volume())
    (tmp_path / "copy.dcm").write_bytes(paths[1].read_bytes())
    with formats.open_reader(only(tmp_path)) as reader:
        np.testing.assert_array_equal(reader.read()[0], volume())
        assert reader.assumed == "1 further copy of a file left out"


def test_slices_at_the_end_that_are_missing_are_said(tmp_path: Path) -> None:
    paths = write_series(tmp_path, volume(), ImagesInAcquisition=5, AcquisitionNumber=1)
    paths[-1].unlink()
    with formats.open_reader(only(tmp_path)) as reader:
        assert reader.assumed == "its header speaks of 5 slices, 4 are here"


def test_a_slice_by_itself_is_a_plane_in_its_place(tmp_path: Path) -> None:
    path = write_series(tmp_path, volume())[3]
    image = formats.read(Source(path))
    np.testing.assert_array_equal(image.array[0], volume()[3])
    x, y, z = np.array((-10.0, 20.0, 30.0)) + TILTED[:, 2] * 7.5
    np.testing.assert_allclose(image.origin, (z, y, x), atol=1e-6)


def test_series_within_zips(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "p1", volume())
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        for path in paths:
            archive.write(path, f"p1/{path.name}")
    np.testing.assert_array_equal(formats.read(only(tmp_path / "scans.zip")).array[0], volume())


def test_series_have_masks_as_pictures_have(tmp_path: Path) -> None:
    for name in ("p1", "p2"):
        write_series(tmp_path / "images" / name, volume())
        mask = formats.read(only(tmp_path / "images" / name))
        formats.write(tmp_path / "labels" / f"{name}.nii.gz", mask.with_array((mask.array > 100).astype(np.uint8)))
    found = read_dataset(tmp_path)
    assert [(case.name, case.images[0].stem, case.truth[0].name) for case in found.cases] == [
        ("p1", "p1", "p1.nii.gz"),
        ("p2", "p2", "p2.nii.gz"),
    ]


@pytest.mark.parametrize("spacing", [(0.0, 0.5), (-0.7, 0.5)])
def test_pixels_without_a_size_are_refused(tmp_path: Path, spacing: tuple[float, float]) -> None:
    write_series(tmp_path, volume(), PixelSpacing=spacing)
    with pytest.raises(ReadError, match=r"says no place in space"):
        formats.read(only(tmp_path))


def test_what_the_header_does_not_say(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path, volume(1))
    data = pydicom.dcmread(path)
    del data.ImagePositionPatient, data.ImageOrientationPatient, data.PixelSpacing
    data.save_as(path)
    with formats.open_reader(Source(path)) as reader:
        assert reader.assumed == "it does not say where it lies in the patient, nor how large its pixels are"
        assert reader.grid.unit == "pixel"


def test_other_objects_are_named(tmp_path: Path) -> None:
    write_series(tmp_path / "images" / "p1", volume())
    (path,) = write_series(tmp_path / "outlines", volume(1), Modality="RTSTRUCT")
    data = pydicom.dcmread(path)
    del data.Rows, data.Columns, data.PixelData
    data.save_as(path)
    with pytest.raises(ReadError, match=r"outlines drawn for radiotherapy \(RTSTRUCT\)") as raised:
        formats.read(Source(path))
    assert "3D Slicer" in raised.value.hint
    assert [case.name for case in find(tmp_path).cases] == ["p1"]


def test_real_series(data: Path) -> None:
    for name, shape in (("series", (22, 320, 280)), ("hippocrop", (40, 50, 34))):
        image = formats.read(only(data / "dicom" / f"{name}.zip"))
        assert image.shape == shape
    with pytest.raises(ReadError, match="1 slice of it is missing, between 16 and 18 mm: the others are 1 mm apart"):
        formats.read(only(data / "formats" / "dicom_missing_slice" / "hippocrop_without_17.zip"))


def test_a_real_oblique_series_lies_where_itk_says(data: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(data / "dicom" / "series.zip").extractall(tmp_path)
    source = only(tmp_path)
    check_against_itk(formats.read(source), [part.path for part in source.parts])
    theirs = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    assert [part.path.name for part in source.parts] == [Path(path).name for path in theirs]


@pytest.mark.parametrize("kind", ["RLE", "bigendian", "jp2klossless", "jpeg_ls_lossless"])
def test_real_encodings(data: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data / "formats" / "dicom_single"
    plain = formats.read(Source(folder / "MR_small.dcm")).array
    np.testing.assert_array_equal(plain[0], pydicom.dcmread(folder / "MR_small.dcm").pixel_array)
    packed = Source(folder / f"MR_small_{kind}.dcm")
    np.testing.assert_array_equal(formats.read(packed).array, plain)
    if kind.startswith("j"):  # also where pydicom has no plugin
        monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.is_available", False)
        np.testing.assert_array_equal(formats.read(packed).array, plain)
        monkeypatch.setattr("ulna.formats.dicom.pixels._codecs", dict)
        with pytest.raises(ReadError, match="which nothing that is installed decodes") as raised:
            formats.read(packed)
        assert "pip install" in raised.value.hint


def test_real_damage(data: Path) -> None:
    folder = data / "formats" / "dicom_single"
    with pytest.raises(ReadError, match=r"MR_truncated.dcm: this DICOM file is damaged or truncated"):
        formats.read(Source(folder / "MR_truncated.dcm"))
    with pytest.raises(UlnaError, match="RTSTRUCT"):
        formats.read(Source(folder / "rtstruct.dcm"))
    with pytest.raises(ReadError, match="does not begin like a DICOM file"):
        formats.read(Source(folder / "no_meta.dcm"))


def test_directions_that_differ_by_rounding_are_of_one_series(tmp_path: Path) -> None:
    volume = np.zeros((4, 5, 6), np.int16)
    ways = [[1.0, slope, 0.0, -slope, 1.0, 0.0] for slope in (0.0049999, 0.0050001, 0.0049999, 0.0050001)]
    paths = write_series(tmp_path, volume, axes=np.eye(3), ImageOrientationPatient=ways)
    (found,), _ = together([Source(path) for path in paths])
    assert len(found.source.files) == 4


def test_slices_of_one_uid_at_several_places_are_a_volume(tmp_path: Path) -> None:
    """Programs write them so, from one header."""
    volume = np.random.default_rng(0).integers(0, 200, (5, 7, 6)).astype(np.int16)
    write_series(tmp_path / "p1", volume, SOPInstanceUID="1.2.3")
    (case,) = find(tmp_path / "p1").cases
    np.testing.assert_array_equal(formats.read(case.images[0]).array[0], volume)


def test_slices_that_lie_beside_each_other_are_no_volume(tmp_path: Path) -> None:
    moved = [[0.0, 5.0 * (k == 2), 2.0 * k] for k in range(5)]  # the table was moved for one of them
    write_series(tmp_path / "moved", volume(), axes=np.eye(3), ImagePositionPatient=moved)
    with pytest.raises(ReadError, match=r"do not lie above one another: .* by 5 mm"):
        formats.read(only(tmp_path / "moved"))
    for station in range(2):
        places = [[0.0, 100.0 * station, 2.0 * k] for k in range(5)]
        names = [f"{station}_{k}.dcm" for k in range(5)]
        words = {"SeriesInstanceUID": "1.2.3", "ImagePositionPatient": places}
        write_series(tmp_path / "two", volume(), axes=np.eye(3), names=names, **words)
    with pytest.raises(ReadError, match="by 100 mm"):
        formats.read(only(tmp_path / "two"))
