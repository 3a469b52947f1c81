"""DICOM segmentations: read and written, against highdicom and on real files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from dicom_files import write_enhanced, write_series
from ulna import formats
from ulna.errors import ReadError, UlnaError
from ulna.formats.dicom import writing
from ulna.formats.dicom.writing import write_segmentation
from ulna.image import Source
from ulna.layouts import find, read_dataset

SHAPE = (5, 7, 6)
WORDS = {"InstanceNumber": 1, "ContentDate": "20260101", "ContentTime": "120000"}


def series(folder: Path, **words: Any) -> list[pydicom.Dataset]:
    """The headers of a new series, in the order of its slices."""
    volume = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.int16)
    return [pydicom.dcmread(path) for path in write_series(folder, volume, **words)]


def seg(path: Path, images: list[pydicom.Dataset], pixels: np.ndarray, kind: str = "BINARY", *names: str) -> Source:
    """A segmentation as highdicom writes it; `pixels` (Z, Y, X) or (Z, Y, X, segments)."""
    library: Any = highdicom
    count = pixels.shape[3] if pixels.ndim == 4 else int(pixels.max())
    labels = names or [f"part {k + 1}" for k in range(count)]
    algorithm = library.AlgorithmIdentificationSequence("a", codes.DCM.ArtificialIntelligence, "1")
    path.parent.mkdir(parents=True, exist_ok=True)
    library.seg.Segmentation(
        images, pixels, kind,
        [
            library.seg.SegmentDescription(k + 1, label, codes.SCT.Tissue, codes.SCT.Tissue, "AUTOMATIC", algorithm)
            for k, label in enumerate(labels)
        ],
        generate_uid(), 1, generate_uid(), 1, "m", "m", "1", "1",
    ).save_as(path)  # fmt: skip
    return Source(path)


def blobs(*boxes: tuple[slice, slice, slice]) -> np.ndarray:
    """(Z, Y, X, boxes)."""
    pixels = np.zeros((*SHAPE, len(boxes)), np.uint8)
    for k, box in enumerate(boxes):
        pixels[(*box, k)] = 1
    return pixels


LEFT = (slice(1, 3), slice(2, 5), slice(0, 2))
RIGHT = (slice(2, 4), slice(2, 5), slice(3, 6))
BIG, WITHIN = (slice(1, 4), slice(1, 6), slice(1, 5)), (slice(2, 3), slice(2, 4), slice(2, 4))


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_segments_lie_on_their_series(tmp_path: Path, kind: str) -> None:
    pixels = blobs(LEFT, RIGHT)
    seg(tmp_path / "masks" / "a.dcm", series(tmp_path / "scans" / "p1"), pixels, kind, "left", "right")
    found = read_dataset(tmp_path)
    (case,) = found.cases
    assert case.values == (("background", 0), ("left", 1), ("right", 2))
    assert found.sentence == ("1 DICOM series with its segmentation; their headers say that 1 is 'left', 2 is 'right'")
    image, mask = formats.read(case.images[0]), formats.read(case.truth[0])
    np.testing.assert_array_equal(mask.array[0], pixels[..., 0] + 2 * pixels[..., 1])
    assert mask.grid == image.grid
    assert mask.array.dtype == np.uint8


def test_a_segmentation_without_its_series_has_its_own_grid(tmp_path: Path) -> None:
    images = series(tmp_path / "p1")
    pixels = blobs((slice(1, 2), slice(1, 3), slice(1, 3)))[..., 0]
    pixels[3, 4, 2] = 1  # and no frame for slice 2 between
    image = formats.read(find(tmp_path / "p1").cases[0].images[0])
    alone = formats.read(seg(tmp_path / "a.dcm", images, pixels))
    np.testing.assert_array_equal(alone.array[0], pixels[1:4])
    np.testing.assert_allclose(alone.grid.to_world([1, 2, 3]), image.grid.to_world([2, 2, 3]), atol=1e-6)
    np.testing.assert_allclose(alone.spacing, image.spacing, atol=1e-6)


def test_fractions_count_from_one_half_on(tmp_path: Path) -> None:
    images = series(tmp_path / "p1")
    parts = np.random.default_rng(0).random((*SHAPE, 2))
    parts[..., 1] *= 1 - parts[..., 0]
    with formats.open_reader(seg(tmp_path / "a.dcm", images, parts, "FRACTIONAL")) as reader:
        mask = reader.read()[0]
        assert reader.assumed.startswith("it holds fractions")
    stored = np.round(parts * 255)
    clear = np.abs(stored - 127.5).min(axis=-1) > 1
    expected = np.where(stored.max(axis=-1) >= 127.5, stored.argmax(axis=-1) + 1, 0)
    np.testing.assert_array_equal(mask[clear], expected[clear])


def test_nested_segments_are_painted_and_others_refused(tmp_path: Path) -> None:
    images = series(tmp_path / "p1")
    nested = blobs(WITHIN, BIG)
    with formats.open_reader(seg(tmp_path / "a.dcm", images, nested, "BINARY", "core", "whole")) as reader:
        assert "'core' within 'whole'" in reader.assumed
        np.testing.assert_array_equal(reader.read()[0], np.where(nested[..., 0], 1, 2 * nested[..., 1])[1:4])
    apart = blobs(BIG, RIGHT)
    with pytest.raises(ReadError, match="'one' and 'two' overlap in 12 pixels, and none lies within the other"):
        formats.read(seg(tmp_path / "b.dcm", images, apart, "BINARY", "one", "two"))


def test_numbers_that_mean_two_things_are_refused(tmp_path: Path) -> None:
    for name, label in (("p1", "liver"), ("p2", "spleen")):
        seg(tmp_path / name / "seg" / "s.dcm", series(tmp_path / name / "ct"), blobs(LEFT), "BINARY", label)
    with pytest.raises(UlnaError, match="segment 1 is 'spleen' here and 'liver' in"):
        read_dataset(tmp_path)


def test_a_second_segmentation_is_named(tmp_path: Path) -> None:
    images = series(tmp_path / "ct")
    for name in "ab":
        seg(tmp_path / "seg" / f"{name}.dcm", images, blobs(LEFT))
    found = read_dataset(tmp_path)
    assert [problem.what for problem in found.problems] == ["1 further segmentation of a series not used: the first is"]


@pytest.mark.parametrize("suffix", ["", ".dcm"])
def test_what_is_written_is_what_others_read(tmp_path: Path, suffix: str) -> None:
    names = [f"I{k}{suffix}" for k in (3, 1, 4, 0, 2)]
    images = series(tmp_path / "p1", names=names)
    source = find(tmp_path / "p1").cases[0].images[0]
    pixels = blobs(LEFT, RIGHT)
    mask = pixels[..., 0] + 2 * pixels[..., 1] * (1 - pixels[..., 0])
    write_segmentation(tmp_path / "out.dcm", mask, ("left", "right"), source)
    data = pydicom.dcmread(tmp_path / "out.dcm")
    assert [segment.SegmentLabel for segment in data.SegmentSequence] == ["left", "right"]
    assert data.PatientID == "p"
    assert data.ReferencedSeriesSequence[0].SeriesInstanceUID == images[0].SeriesInstanceUID
    theirs = highdicom.seg.segread(tmp_path / "out.dcm").get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in images], combine_segments=True, assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(theirs, mask)
    own = formats.read(Source(tmp_path / "out.dcm")).grid
    grid = formats.read(source).grid
    np.testing.assert_allclose(own.to_world([0, 2, 3]), grid.to_world([1, 2, 3]), atol=1e-6)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_empty_mask_and_a_single_slice(tmp_path: Path) -> None:
    series(tmp_path / "p1")
    source = find(tmp_path / "p1").cases[0].images[0]
    write_segmentation(tmp_path / "empty.dcm", np.zeros(SHAPE, np.uint8), ("cell",), source)
    assert not pydicom.dcmread(tmp_path / "empty.dcm").pixel_array.any()
    one = Source(source.parts[2].path)
    write_segmentation(tmp_path / "one.dcm", np.eye(7, 6, dtype=np.uint8), ("cell",), one)
    read = formats.read(Source(tmp_path / "one.dcm"))
    np.testing.assert_array_equal(read.array[0], np.eye(7, 6))
    np.testing.assert_allclose(read.origin, formats.read(one).origin, atol=1e-6)


def test_frames_of_one_file_in_any_order(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.int16)
    write_enhanced(tmp_path / "a.dcm", array, (3, 0, 4, 1, 2), **WORDS)
    pixels = blobs(LEFT)[..., 0]
    write_segmentation(tmp_path / "seg.dcm", pixels, ("cell",), Source(tmp_path / "a.dcm"))
    read = formats.read(Source(tmp_path / "seg.dcm"))
    np.testing.assert_array_equal(read.array[0], pixels[1:3])
    grid = formats.read(Source(tmp_path / "a.dcm")).grid
    np.testing.assert_allclose(read.grid.to_world([0, 0, 0]), grid.to_world([1, 0, 0]), atol=1e-6)


def test_where_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series(tmp_path / "p1")
    source = find(tmp_path / "p1").cases[0].images[0]
    with pytest.raises(UlnaError, match="does not suit 5 slices"):
        write_segmentation(tmp_path / "a.dcm", np.zeros((4, 7, 6), np.uint8), ("cell",), source)
    monkeypatch.setattr(writing, "find_spec", lambda _name: None)
    with pytest.raises(UlnaError, match="which is not installed") as raised:
        write_segmentation(tmp_path / "a.dcm", np.zeros(SHAPE, np.uint8), ("cell",), source)
    assert raised.value.hint == 'pip install "ulna[medical]"'


def test_of_several_times_the_slices_are_those_of_the_one_that_was_read(tmp_path: Path) -> None:
    for time in range(2):
        folder = write_series(tmp_path / f"t{time}", np.full(SHAPE, time, np.int16), AcquisitionTime=f"12000{time}")
        for path in folder:
            (tmp_path / "p1").mkdir(exist_ok=True)
            data = pydicom.dcmread(path)
            data.SeriesInstanceUID = data.StudyInstanceUID = data.FrameOfReferenceUID = "1.2.3"
            pydicom.dcmwrite(tmp_path / "p1" / f"{time}{path.name}", data)
    (source,) = find(tmp_path / "p1").cases[0].images
    read = {
        data.SOPInstanceUID: int(data.pixel_array[0, 0]) for data in map(pydicom.dcmread, (tmp_path / "p1").iterdir())
    }
    for time in range(2):
        at = replace(source, time=time)
        image = formats.read(at)
        write_segmentation(tmp_path / f"{time}.dcm", np.ones(SHAPE, np.uint8), ("all",), at)
        named = highdicom.seg.segread(tmp_path / f"{time}.dcm").get_source_image_uids()
        assert {read[uid] for *_, uid in named} == {time} == set(image.array.ravel().tolist())


@pytest.mark.parametrize("name", ["series", "hippocrop"])
def test_real_series_get_segmentations(data: Path, tmp_path: Path, name: str) -> None:
    """Also one whose headers no longer name the patient."""
    source = find(data / "dicom" / f"{name}.zip").cases[0].images[0]
    image = formats.read(source)
    mask = np.zeros(image.shape, np.uint8)
    mask[3:7, 10:20, 5:30] = 1
    write_segmentation(tmp_path / "a.dcm", mask, ("box",), source)
    read = formats.read(Source(tmp_path / "a.dcm"))
    np.testing.assert_array_equal(read.array[0], mask[3:7])
    for z, y, x in ((0, 0, 0), (3, 20, 30)):  # the places of real slices are rounded, and the grid lies between them
        np.testing.assert_allclose(read.grid.to_world([z, y, x]), image.grid.to_world([z + 3, y, x]), atol=1e-5)


def test_real_segmentations(data: Path) -> None:
    folder = data / "formats" / "dicom_seg"
    for name in ("seg_image_ct_binary", "seg_image_ct_true_fractional", "seg_image_ct_binary_overlap"):
        image = formats.read(Source(folder / f"{name}.dcm"))
        theirs = highdicom.seg.segread(folder / f"{name}.dcm").get_volume(
            combine_segments=False, allow_missing_positions=True, rescale_fractional=False
        )
        highest = pydicom.dcmread(folder / f"{name}.dcm").get("MaximumFractionalValue", 1)
        pixels = theirs.array >= highest / 2
        sizes = pixels.sum(axis=(0, 1, 2))
        expected = np.zeros(pixels.shape[:3])
        for k in np.argsort(-sizes):
            expected[pixels[..., k]] = k + 1
        if theirs.affine[2, 0] * image.grid.direction[0][0] < 0:
            expected = expected[::-1]
        np.testing.assert_array_equal(image.array[0], expected)
        np.testing.assert_allclose(sorted(image.spacing), sorted(theirs.spacing), atol=1e-5)


def test_a_real_slide_in_tiles_with_its_segmentations(data: Path) -> None:
    folder = data / "formats" / "dicom_seg"
    image = formats.read(Source(folder / "sm_image.dcm"))
    theirs: Any = highdicom.imread(folder / "sm_image.dcm")
    np.testing.assert_array_equal(np.moveaxis(image.array, 0, -1), theirs.get_total_pixel_matrix())
    assert (image.shape, image.unit) == ((50, 50), "mm")
    with formats.open_reader(Source(folder / "sm_image.dcm")) as reader:
        part = (slice(7, 33), slice(41, 50))
        np.testing.assert_array_equal(reader.read(part), image.array[(slice(None), *part)])
    masks = [formats.read(Source(folder / f"seg_image_sm_control{kind}.dcm")) for kind in ("", "_labelmap")]
    expected = highdicom.seg.segread(folder / "seg_image_sm_control.dcm").get_total_pixel_matrix(combine_segments=True)
    for mask in masks:
        np.testing.assert_array_equal(mask.array[0], expected)
    found = read_dataset(folder)
    assert [case.name for case in found.cases] == ["sm_image"]
    assert formats.read(found.cases[0].truth[0]).shape == image.shape


def test_the_numbers_of_a_label_map_are_read_and_not_their_colors(tmp_path: Path) -> None:
    pixels = blobs(LEFT, RIGHT)
    source = seg(tmp_path / "a.dcm", series(tmp_path / "p1"), pixels, "LABELMAP")
    data = pydicom.dcmread(source.path)
    data.PhotometricInterpretation = "PALETTE COLOR"
    for name, shades in (("Red", b"\x00\xc8\x32"), ("Green", b"\x00\x0a\x0b"), ("Blue", b"\x00\x01\x02")):
        data.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [3, 0, 8])
        data.add_new(f"{name}PaletteColorLookupTableData", "OW", shades + b"\0")
    data.save_as(source.path)
    assert np.unique(formats.read(source).array).tolist() == [0, 1, 2]


def test_the_distance_of_frames_is_not_rounded(tmp_path: Path) -> None:
    folder = tmp_path / "p1"
    write_series(folder, np.zeros((100, *SHAPE[1:]), np.int16), spacing=(0.625, 0.7, 0.5))
    images = sorted(map(pydicom.dcmread, folder.iterdir()), key=lambda one: one.InstanceNumber)
    path = seg(tmp_path / "a.dcm", images, np.ones((100, *SHAPE[1:]), np.uint8)).path
    data = pydicom.dcmread(path)
    measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if "SpacingBetweenSlices" in measures:
        del measures.SpacingBetweenSlices
    data.save_as(path)
    alone = formats.read(Source(path))
    assert alone.shape[0] == 100
    assert alone.spacing[0] == pytest.approx(0.625)
