"""The files that other programs open, as they were."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image as Pillow

from golden_values import Golden
from ulna.errors import ReadError, UlnaError
from ulna.formats.outlines import OutlineWriter, coco, geojson, imagej, labelme
from ulna.formats.outlines.polygons import outlines


def test_files_of_outlines(objects: np.ndarray, classes: dict[int, str], golden: Golden, tmp_path: Path) -> None:
    writer = OutlineWriter(tmp_path, ("imagej", "geojson", "coco"))
    assert writer.files("a") == ["a.zip", "a.geojson", "coco.json"]
    writer.add("a", objects, classes, image="a.png")
    writer.add("b", objects[::-1], {1: "nucleus"})
    writer.close()
    with ZipFile(tmp_path / "a.zip") as archive:
        regions = {info.filename: archive.read(info).hex() for info in archive.infolist()}
    golden.check(
        "outlines",
        {
            "rings": [[one.number, [ring.tolist() for ring in one.rings]] for one in outlines(objects)],
            "imagej": regions,
            "geojson": json.loads((tmp_path / "a.geojson").read_bytes()),
            "coco": json.loads((tmp_path / "coco.json").read_bytes()),
        },
    )


def said(read: Callable[[bytes, object], object], content: Any) -> str:
    """The error that a file raises."""
    with pytest.raises(ReadError) as caught:
        read(content if isinstance(content, bytes) else json.dumps(content).encode(), "file")
    return str(caught.value)


def feature(geometry: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": None}


def polygon(*ring: Any) -> dict[str, Any]:
    return feature({"type": "Polygon", "coordinates": [list(ring)]})


def coco_file(**changes: Any) -> dict[str, Any]:
    one = {"id": 1, "image_id": 5, "category_id": 1, "segmentation": [[0, 0, 3, 0, 3, 3]], "iscrowd": 0}
    images = changes.pop("images", [{"id": 5, "file_name": "a.png", "height": 4, "width": 4}])
    return {"images": images, "categories": [{"id": 1, "name": "cell"}], "annotations": [one | changes]}


def labelme_file(points: Any, kind: str = "polygon", **more: Any) -> dict[str, Any]:
    whole = {"imageHeight": more.pop("height", 9), "imageWidth": 12}
    return {"shapes": [{"label": "cell", "points": points, "shape_type": kind, **more}], **whole}


def zipped(**files: bytes) -> bytes:
    made = io.BytesIO()
    with ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def test_what_is_said_of_damaged_files(golden: Golden) -> None:
    picture = io.BytesIO()
    Pillow.fromarray(np.full((2, 2), 255, np.uint8)).save(picture, "PNG")
    mask = base64.b64encode(picture.getvalue()).decode()
    image = {"id": 5, "file_name": "a.png", "height": 4, "width": 4}
    files: dict[str, tuple[Callable[[bytes, object], object], list[Any]]] = {
        "geojson": (
            geojson.from_bytes,
            [
                b"{", {}, [1], {"type": "FeatureCollection", "features": [1]},
                polygon([0, 0], [1, 1]), polygon([0, 0], [1, 1], [0, 0]),
                polygon([0, float("nan")], [1, 1], [2, 2], [3, 3]),
                polygon(0, 1, 2), polygon([0], [1], [2]), polygon(["a", 0], [1, 1], [2, 2], [3, 3]),
                feature({"type": "Polygon"}), feature({"type": "Circle", "coordinates": []}), feature(None),
            ],
        ),
        "coco": (
            coco.from_bytes,
            [
                b"{", [], {}, {"images": [], "annotations": 3}, coco_file(images=[image, image]),
                coco_file(images=[image, image | {"id": 6}]), coco_file(image_id=6), coco_file(category_id=2),
                coco_file(segmentation=[[0, 0, 1, 1]]), coco_file(segmentation=[[0, 0, 1, 1, 2, 2, 3]]),
                coco_file(segmentation=[[0, 0, 1, 1, 2, float("inf")]]), coco_file(segmentation=3),
                coco_file(segmentation={"counts": [3, 4], "size": [4, 4]}),
                coco_file(segmentation={"counts": [20, -4], "size": [4, 4]}),
                coco_file(segmentation={"counts": [16], "size": [2, 8]}),
                coco_file(segmentation={"counts": "~~", "size": [4, 4]}),
                coco_file(segmentation={"counts": "/", "size": [4, 4]}),
                coco_file(segmentation={"counts": "P", "size": [4, 4]}),
            ],
        ),
        "labelme": (
            labelme.from_bytes,
            [
                b"{", [], {}, {"shapes": [1]}, labelme_file([["x", 1], [2, 2], [3, 3]]),
                labelme_file([[float("inf"), 1], [2, 2], [3, 3]]), labelme_file([[11, 0]], "mask", mask=mask),
                labelme_file([[0, 8]], "mask", mask=mask), labelme_file([[-1, 0]], "mask", mask=mask),
                labelme_file([[0, -1]], "mask", mask=mask),
                labelme_file([[1, 0]], "mask", mask=mask, height=None),
            ],
        ),
        "imagej": (
            imagej.from_bytes,
            [b"", b"nonsense", zipped(**{"image.png": b"1", "b.png": b"2", "c": b"", "d": b""})],
        ),
    }  # fmt: skip
    golden.check("damaged", {name: [said(read, one) for one in content] for name, (read, content) in files.items()})


def test_masks_of_labelme_may_reach_the_last_pixel() -> None:
    picture = io.BytesIO()
    Pillow.fromarray(np.full((2, 2), 255, np.uint8)).save(picture, "PNG")
    mask = base64.b64encode(picture.getvalue()).decode()
    for corner in ([10, 7], [0, 0]):
        content = json.dumps(labelme_file([corner], "mask", mask=mask)).encode()
        (one,) = labelme.from_bytes(content, "file").objects
        assert np.argwhere(one.pixels((9, 12)))[0].tolist() == corner[::-1]


def test_of_volumes_and_for_other_programs_there_are_no_outlines(tmp_path: Path) -> None:
    with pytest.raises(UlnaError) as caught:
        OutlineWriter(tmp_path, ("imagej", "paint"))
    assert str(caught.value) == "outlines: outlines are written for imagej, geojson, coco, not for paint"
    with pytest.raises(UlnaError) as caught:
        OutlineWriter(tmp_path, ("imagej",)).add("a", np.zeros((2, 3, 4), int), {})
    assert str(caught.value) == "a: outlines are of planes, and this is a volume\nLeave --outlines away."
    nothing = OutlineWriter(tmp_path, ())
    nothing.add("a", np.zeros((2, 3, 4), int), {})
    nothing.close()
    assert list(tmp_path.iterdir()) == []
