"""ROI zips: read back by read-roi, and by ulna what others write."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from read_roi import read_roi_zip
from roifile import ROI_TYPE, ImagejRoi

from ulna.errors import ReadError
from ulna.formats.outlines import imagej
from ulna.formats.outlines.annotation import paint
from ulna.formats.outlines.polygons import fill, outlines


def test_read_back_by_read_roi(objects: np.ndarray, classes: dict[int, str], tmp_path: Path) -> None:
    path = tmp_path / "cells.zip"
    path.write_bytes(imagej.to_bytes(outlines(objects), classes))
    regions = read_roi_zip(str(path))
    assert list(regions) == [f"{number:05d}-{name}" for number, name in classes.items()]
    for name, region in regions.items():
        if region["type"] == "composite":
            rings = [np.array(ring, float) for ring in region["paths"]]
        else:
            rings = [np.stack([region["x"], region["y"]], axis=1).astype(float)]
        assert (fill(rings, objects.shape) == (objects == int(name[:5]))).all()


def test_read_back_by_ulna(objects: np.ndarray, classes: dict[int, str]) -> None:
    found = imagej.from_bytes(imagej.to_bytes(outlines(objects), classes), "x.zip")
    painted = paint(found.objects, objects.shape)
    assert painted.names == tuple(classes.values())
    numbers = np.array([0, *classes])
    assert (numbers[painted.numbers] == objects).all()
    assert not painted.overlapping
    assert not painted.lost


def test_rectangles_ovals_and_what_is_no_area() -> None:
    regions = [
        ImagejRoi(roitype=ROI_TYPE.RECT, left=2, top=3, right=6, bottom=5, name="0003-0004"),
        ImagejRoi(roitype=ROI_TYPE.OVAL, left=10, top=10, right=20, bottom=20, name="0007-cell-a"),
        ImagejRoi(roitype=ROI_TYPE.LINE, x1=0, y1=0, x2=3, y2=3),
    ]
    point = ImagejRoi.frompoints(np.array([[1.0, 2.0]]))
    point.roitype = ROI_TYPE.POINT
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for place, region in enumerate([*regions, point]):
            archive.writestr(f"{place}.roi", region.tobytes())
    found = imagej.from_bytes(made.getvalue(), "x.zip")
    assert [one.name for one in found.objects] == ["", "cell-a"]
    assert set(found.skipped) == {"1 line", "1 point"}
    rectangle, oval = (one.pixels((24, 24)) for one in found.objects)
    assert np.argwhere(rectangle).min(axis=0).tolist() == [3, 2]
    assert rectangle.sum() == 8
    y, x = np.indices((24, 24)) + 0.5
    disk = (y - 15) ** 2 + (x - 15) ** 2 < 25
    assert (disk & oval).sum() / (disk | oval).sum() > 0.95


def test_one_region_without_a_zip(objects: np.ndarray) -> None:
    region = ImagejRoi.frompoints(np.array([[1, 1], [5, 1], [5, 4], [1, 4]]))
    (one,) = imagej.from_bytes(region.tobytes(), "x.roi").objects
    assert one.pixels((6, 6)).sum() == 12


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 broken", b"Iout", b"nonsense"])
def test_damaged(data: bytes) -> None:
    with pytest.raises(ReadError):
        imagej.from_bytes(data, "x.zip")


def test_the_region_that_is_damaged_is_named() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.roi", b"Iout")
    for data, name in ((made.getvalue(), "the region a.roi"), (b"Iout", "this region")):
        with pytest.raises(ReadError, match=rf"^x\.zip: {name} is damaged \("):
            imagej.from_bytes(data, "x.zip")


def test_a_zip_of_something_else() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("image.png", b"1")
    with pytest.raises(ReadError, match=r"no \.roi file, but image\.png"):
        imagej.from_bytes(made.getvalue(), "x.zip")


def test_coordinates_beyond_16_bits() -> None:
    objects = np.zeros((3, 70_000), np.int32)
    objects[1, 69_990:69_999] = 1
    found = imagej.from_bytes(imagej.to_bytes(outlines(objects), {}), "x.zip")
    assert (paint(found.objects, objects.shape).numbers == objects).all()


def test_an_image_without_objects() -> None:
    assert imagej.from_bytes(imagej.to_bytes([], {}), "x.zip").objects == ()


def test_names_of_places_are_no_classes_and_classes_may_be_numbers() -> None:
    square = list(outlines(np.ones((2, 2), np.int32)))
    for name, expected in (("3", "3"), ("0034", ""), ("0012-0034", ""), ("0012-0034-1", ""), ("01-a-1", "01-a-1")):
        (found,) = imagej.from_bytes(imagej.to_bytes(square, {1: name}), "x.zip").objects
        assert found.name == expected, name
