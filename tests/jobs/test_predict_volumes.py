"""Masks of volumes lie exactly on their images, whatever the format: read back by another library than wrote them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
import tifffile
import torch
from scipy import ndimage

from dicom_files import write_series
from ulna import formats, networks
from ulna.config import Config
from ulna.formats.dicom import writing
from ulna.grid import Grid
from ulna.image import Image, Source
from ulna.jobs.predict import predict
from ulna.labels.classes import Classes
from ulna.layouts import read_dataset
from ulna.model import Model
from ulna.modelfile import Saved
from ulna.orientation import Orientation, orientation

CLASSES = Classes(("background", "left part", "right part"), ((0,), (2,), (7,)), "classes", "")
TILT = 0.2
OBLIQUE = ((1, 0, 0), (0, math.cos(TILT), -math.sin(TILT)), (0, math.sin(TILT), math.cos(TILT)))
GRID = Grid((9, 12, 11), (3.0, 0.5, 0.7), "mm", (10.0, -5.0, 2.0), OBLIQUE)


def model(ndim: int = 3, slices: int = 0, *, channels: int = 1) -> Model:
    """Has learned nothing, and makes masks that show where they are."""
    torch.manual_seed(0)
    data = {"channels": channels, "slices": slices}
    config = Config.parse({"data": data, "network": {"widths": [4, 8], "ndim": ndim}})
    return Model(Saved(networks.build(config.network, channels, 3).eval(), config, CLASSES, outputs=3))


def anatomy(shape: tuple[int, ...] = GRID.shape) -> np.ndarray:
    """A volume without any symmetry."""
    noise = np.random.default_rng(0).normal(size=shape)
    return np.asarray(ndimage.gaussian_filter(noise, 1) * 3000 + 100).astype(np.int16)


def itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The voxels as SimpleITK reads them, and the matrix (4, 4) of their places, LPS."""
    image = SimpleITK.ReadImage(str(path))
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image), matrix


WAYS = [Orientation(order, turned) for order in permutations(range(3)) for turned in product((False, True), repeat=3)]


@pytest.mark.parametrize(("ndim", "slices", "ways"), [(2, 0, WAYS), (2, 2, WAYS[5::12]), (3, 0, WAYS[3::12])])
def test_the_mask_is_on_the_anatomy_however_it_is_stored(
    tmp_path: Path, ndim: int, slices: int, ways: list[Orientation]
) -> None:
    """The 48 ways to store a volume all give one mask, which lies on its image."""
    upright = Image(anatomy()[None], GRID)
    for k, way in enumerate(ways):
        stored = Image(np.ascontiguousarray(way.apply(upright.array)), way.grid(GRID))
        formats.write(tmp_path / "scans" / f"{k:02d}{('.nii.gz', '.nrrd')[k % 2]}", stored)
    done = predict(model(ndim, slices), tmp_path / "scans", out=tmp_path / "masks")
    assert len(done.masks) == len(ways)
    reference = None
    for path in done.masks:
        array, matrix = itk(path)
        _, image = itk(tmp_path / "scans" / path.name)
        np.testing.assert_allclose(matrix, image, atol=1e-6)
        mask = orientation(formats.read(Source(path)).grid).apply(array[None])
        reference = mask if reference is None else reference
        np.testing.assert_array_equal(mask, reference)
    assert set(np.unique(reference)) == {0, 2, 7}


def test_a_real_volume_has_one_mask_however_it_is_stored(data: Path, tmp_path: Path) -> None:
    """All 48 ways, by a network of volumes that sees them at another spacing."""
    archive = data / "hippocampus" / "Task04_Hippocampus.tar"
    real = formats.read(read_dataset(archive).cases[0].images[0])
    target = tuple(1.25 * side for side in orientation(real.grid).grid(real.grid).spacing)
    saved = model().saved
    resampling = Model(replace(saved, config=saved.config.changed({"data.target_spacing": target})))
    reference = None
    for way in WAYS:
        stored = Image(np.ascontiguousarray(way.apply(real.array)), way.grid(real.grid), source=real.source)
        mask = resampling.predict(stored).to_image()
        turn = orientation(mask.grid)
        np.testing.assert_allclose(
            turn.grid(mask.grid).matrix, orientation(real.grid).grid(real.grid).matrix, atol=1e-5
        )
        upright = turn.apply(mask.array)
        reference = upright if reference is None else reference
        np.testing.assert_array_equal(upright, reference)
    assert set(np.unique(reference)) == {0, 2, 7}


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("shear", [0.0, 0.1])
def test_places_go_from_the_image_to_the_mask(tmp_path: Path, suffix: str, shear: float) -> None:
    rows = np.array(OBLIQUE) + np.outer([0, 1, 0], [shear, 0, 0])
    grid = Grid(GRID.shape, GRID.spacing, "mm", GRID.origin, tuple(map(tuple, rows.tolist())))
    formats.write(tmp_path / f"a{suffix}", Image(anatomy()[None], grid))
    image = formats.read(Source(tmp_path / f"a{suffix}"))
    (path,) = predict(model(), tmp_path / f"a{suffix}", out=tmp_path / "masks").masks
    mask = formats.read(Source(path))
    for corner in product(*((0, side - 1) for side in GRID.shape)):
        np.testing.assert_allclose(mask.grid.to_world(corner), image.grid.to_world(corner), atol=1e-6)
    if not shear:  # ITK knows no sheared axes
        np.testing.assert_allclose(itk(path)[1], itk(tmp_path / f"a{suffix}")[1], atol=1e-6)
    np.testing.assert_array_equal(mask.array[0], CLASSES.to_values(model().predict(image).array)[0])


@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_stacks_of_microscopes_keep_their_spacing(tmp_path: Path, kind: str) -> None:
    array = anatomy().astype(np.uint16)
    if kind == "ome":
        sides = dict(zip("ZYX", (1.5, 0.4, 0.2), strict=True))
        said: dict[str, Any] = {f"PhysicalSize{axis}": side for axis, side in sides.items()}
        said |= {f"PhysicalSize{axis}Unit": "µm" for axis in sides} | {"axes": "ZYX"}
        tifffile.imwrite(tmp_path / "a.tif", array, ome=True, metadata=said)
    else:
        said = {"spacing": 1.5, "unit": "um", "axes": "ZYX"}
        tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, resolution=(1 / 0.2, 1 / 0.4), metadata=said)
    (path,) = predict(model(2), tmp_path / "a.tif", out=tmp_path / "masks").masks
    with tifffile.TiffFile(path) as tiff:
        pixels = ElementTree.fromstring(str(tiff.ome_metadata)).find(".//{*}Pixels")
    assert pixels is not None
    assert [float(pixels.attrib[f"PhysicalSize{axis}"]) for axis in "ZYX"] == pytest.approx([1.5, 0.4, 0.2], rel=1e-6)
    assert {pixels.attrib[f"PhysicalSize{axis}Unit"] for axis in "ZYX"} == {"µm"}
    np.testing.assert_array_equal(tifffile.imread(path).shape, array.shape)


def test_from_python_volumes_keep_their_format(tmp_path: Path) -> None:
    formats.write(tmp_path / "a.nii.gz", Image(anatomy()[None], GRID))
    (path,) = model().predict([tmp_path / "a.nii.gz"], out=tmp_path / "masks")
    assert path.name == "a.nii.gz"
    np.testing.assert_allclose(itk(path)[1], itk(tmp_path / "a.nii.gz")[1], atol=1e-6)


@pytest.mark.parametrize("ndim", [2, 3])
def test_dicom_in_gives_dicom_out(tmp_path: Path, ndim: int) -> None:
    paths = write_series(tmp_path / "scans" / "p1", anatomy())
    done = predict(model(ndim), tmp_path / "scans", out=tmp_path / "masks")
    assert [path.name for path in done.masks] == ["p1.nii.gz"]
    assert done.notes == ()
    values, matrix = itk(tmp_path / "masks" / "p1.nii.gz")
    series = SimpleITK.ReadImage([str(path) for path in paths])
    expected = np.column_stack([np.reshape(series.GetDirection(), (3, 3)) * series.GetSpacing(), series.GetOrigin()])
    np.testing.assert_allclose(matrix[:3], expected, rtol=1e-6, atol=1e-6)
    data = pydicom.dcmread(tmp_path / "masks" / "p1.dcm")
    assert [one.SegmentLabel for one in data.SegmentSequence] == ["left part", "right part"]
    instances = [pydicom.dcmread(path).SOPInstanceUID for path in paths]
    theirs: Any = highdicom.seg.segread(tmp_path / "masks" / "p1.dcm")
    indices = theirs.get_pixels_by_source_instance(
        instances, combine_segments=True, assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(np.array([0, 2, 7])[indices], values)
    again = predict(model(ndim), tmp_path / "masks" / "..", out=tmp_path / "more")
    assert [path.name for path in again.masks] == ["p1.nii.gz"]  # what was written is not taken for an image


def test_going_on_writes_the_segmentation_that_is_missing_and_predicts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(tmp_path / "p1", anatomy())
    predict(model(), tmp_path / "p1", out=tmp_path / "masks")
    (tmp_path / "masks" / "p1.dcm").unlink()
    monkeypatch.setattr(Model, "predict", None)  # nothing is
    done = predict(model(), tmp_path / "p1", out=tmp_path / "masks", resume=True)
    assert (tmp_path / "masks" / "p1.dcm").exists()
    assert done.notes == ("1 mask of the prediction that is gone on with stayed as they are",)
    (tmp_path / "masks" / "p1.dcm").unlink()
    monkeypatch.setattr(writing, "find_spec", lambda _name: None)
    done = predict(model(), tmp_path / "p1", out=tmp_path / "masks", resume=True)
    assert "no DICOM segmentation is written beside it" in done.notes[0]


def test_a_slide_of_dicom_gets_a_tiff(data: Path, tmp_path: Path) -> None:
    slide = data / "formats" / "dicom_seg" / "sm_image.dcm"
    done = predict(model(2, channels=3), slide, out=tmp_path / "masks")
    assert [path.name for path in done.masks] == ["sm_image.tif"]
    assert done.complete
    assert not list((tmp_path / "masks").glob("*.dcm"))


def test_without_highdicom_the_nifti_is_written_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "p1", anatomy())
    monkeypatch.setattr(writing, "find_spec", lambda _name: None)
    done = predict(model(), tmp_path / "p1", out=tmp_path / "masks")
    assert [path.name for path in done.masks] == ["p1.nii.gz"]
    assert not (tmp_path / "masks" / "p1.dcm").exists()
    assert done.notes == (
        "p1.nii.gz: no DICOM segmentation is written beside it, for which highdicom is needed "
        '(pip install "ulna[medical]")',
    )


def test_from_python_a_folder_of_a_series_is_an_image(tmp_path: Path) -> None:
    write_series(tmp_path / "p1", anatomy())
    found = model().predict(tmp_path / "p1")
    assert found.shape == GRID.shape
    write_series(tmp_path / "p2", anatomy())
    with pytest.raises(Exception, match="this folder holds 2 images"):
        model().predict(str(tmp_path))
