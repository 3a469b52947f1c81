"""COCO JSON: read back by pycocotools, and by ulna what pycocotools writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from ulna.errors import ReadError
from ulna.formats.outlines import coco
from ulna.formats.outlines.annotation import Annotation, paint
from ulna.formats.outlines.polygons import outlines


def _image(objects: np.ndarray, classes: dict[int, str], name: str = "a.png") -> coco.CocoImage:
    return coco.CocoImage(name, (objects.shape[0], objects.shape[1]), list(outlines(objects)), classes)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
def test_read_back_by_pycocotools(
    objects: np.ndarray, classes: dict[int, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cells.json"
    path.write_bytes(coco.to_bytes([_image(objects, classes), _image(objects.T, {}, "b.png")]))
    read = COCO(str(path))
    capsys.readouterr()
    assert [one["name"] for one in read.loadCats(read.getCatIds())] == ["nucleus", "object", "tumor, old"]
    for index, (truth, names) in enumerate(
        [(objects, classes), (objects.T, dict.fromkeys(classes, "object"))], start=1
    ):
        assert read.loadImgs(index)[0]["file_name"] == ("a.png", "b.png")[index - 1]
        annotations = read.loadAnns(read.getAnnIds(imgIds=index))
        for one, number in zip(annotations, classes, strict=True):
            mask = read.annToMask(one).astype(bool)
            inside = truth == number
            assert (mask & inside).sum() / (mask | inside).sum() >= 0.99
            assert one["area"] == inside.sum()
            rows, columns = np.nonzero(inside)
            box = [columns.min(), rows.min(), columns.max() - columns.min() + 1, rows.max() - rows.min() + 1]
            assert one["bbox"] == box
            assert read.loadCats(one["category_id"])[0]["name"] == names[number]


def test_read_back_by_ulna(objects: np.ndarray, classes: dict[int, str]) -> None:
    (found,) = coco.from_bytes(coco.to_bytes([_image(objects, classes)]), "x.json")
    painted = paint(found.objects, objects.shape)
    assert painted.names == tuple(classes.values())
    assert (np.array([0, *classes])[painted.numbers] == objects).all()
    assert found.image == "a.png"
    assert found.shape == objects.shape


@settings(max_examples=60, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_run_lengths_as_pycocotools(mask: np.ndarray) -> None:
    theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    counts = coco.decompressed(theirs["counts"].decode())
    assert counts == coco.run_lengths(mask)
    assert (_whole(counts, mask.shape) == mask).all()


def _whole(counts: list[int], shape: tuple[int, int]) -> np.ndarray:
    mask, corner = coco.from_run_lengths(counts, shape)
    return Annotation(mask=mask, corner=corner).pixels(shape)


def _content(**changes: Any) -> dict[str, Any]:
    annotation = {"id": 1, "image_id": 5, "category_id": 1, "segmentation": [[0, 0, 3, 0, 3, 3]], "iscrowd": 0}
    return {
        "images": [{"id": 5, "file_name": "a.png", "height": 4, "width": 4}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [annotation | changes],
    }


def test_polygons_that_overlap_are_one_object_and_crowds_are_said() -> None:
    content = _content(segmentation=[[0, 0, 3, 0, 3, 3, 0, 3], [1, 1, 4, 1, 4, 4, 1, 4]])
    content["annotations"].append({**content["annotations"][0], "iscrowd": 1})
    (found,) = coco.from_bytes(json.dumps(content).encode(), "x.json")
    assert found.objects[0].pixels((4, 4)).sum() == 9 + 9 - 4
    assert found.skipped == ("1 crowd",)


def test_boxes_without_outlines_are_left_out_and_said() -> None:
    content = _content()
    box = {key: value for key, value in content["annotations"][0].items() if key != "segmentation"}
    content["annotations"] += [box, box | {"segmentation": []}, box | {"segmentation": None}]
    (found,) = coco.from_bytes(json.dumps(content).encode(), "x.json")
    assert len(found.objects) == 1
    assert found.skipped == ("3 boxes",)


@pytest.mark.parametrize(
    "changes",
    [
        {"image_id": 6},
        {"category_id": 2},
        {"segmentation": [[0, 0, 1, 1]]},
        {"segmentation": [[0, 0, 1, 1, 2]]},
        {"segmentation": {"counts": [3, 4], "size": [4, 4]}},
        {"segmentation": {"counts": [16], "size": [2, 8]}},
        {"segmentation": {"counts": "~~", "size": [4, 4]}},
        {"segmentation": {"counts": "P", "size": [4, 4]}},
        {"segmentation": 3},
    ],
)
def test_damaged(changes: dict[str, Any]) -> None:
    with pytest.raises(ReadError):
        coco.from_bytes(json.dumps(_content(**changes)).encode(), "x.json")


@pytest.mark.parametrize("data", [b"{", b"[]", b"{}", b'{"images": [], "annotations": 3}'])
def test_no_coco_file(data: bytes) -> None:
    with pytest.raises(ReadError):
        coco.from_bytes(data, "x.json")


def test_two_images_of_one_id() -> None:
    content = _content()
    content["images"] *= 2
    with pytest.raises(ReadError, match="same id"):
        coco.from_bytes(json.dumps(content).encode(), "x.json")


def test_two_images_of_one_name() -> None:
    content = _content()
    content["images"].append(content["images"][0] | {"id": 6})
    with pytest.raises(ReadError, match=r"lists the image a\.png twice"):
        coco.from_bytes(json.dumps(content).encode(), "x.json")


def test_run_lengths_of_a_part() -> None:
    whole = np.zeros((7, 9), np.bool_)
    whole[2:5, 3:8], whole[3, 4:6], whole[0, 8] = True, False, False
    assert coco.run_lengths(whole[2:6, 3:9], (7, 9), (2, 3)) == coco.run_lengths(whole)
    assert (_whole(coco.run_lengths(whole), (7, 9)) == whole).all()
    part, corner = coco.from_run_lengths(coco.run_lengths(whole), (7, 9))
    assert (part.shape, corner) == ((3, 5), (2, 3))
    assert coco.from_run_lengths([63], (7, 9))[0].size == 0
