"""What labelme writes."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from ulna.errors import ReadError
from ulna.formats.outlines import labelme

SQUARE = [[1, 1], [4, 1], [4, 3], [1, 3]]


def _shape(
    label: str, points: Any, kind: str | None = "polygon", group: int | None = None, **more: Any
) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": group, **more}


def _file(*shapes: Any, **more: Any) -> bytes:
    content = {"version": "5.4.1", "shapes": list(shapes), "imagePath": "../a.jpg", "imageHeight": 9, "imageWidth": 12}
    return json.dumps(content | more).encode()


def _picture(mask: np.ndarray) -> str:
    made = io.BytesIO()
    PillowImage.fromarray(mask.astype(np.uint8) * 255).save(made, "PNG")
    return base64.b64encode(made.getvalue()).decode()


def test_shapes() -> None:
    small = np.array([[1, 0, 1], [1, 1, 1]])
    found = labelme.from_bytes(
        _file(
            _shape("cell", SQUARE, None),  # older files name no type
            _shape("cell", [[6, 7], [9, 5]], "rectangle"),
            _shape("spot", [[6, 3], [6, 5]], "circle"),
            _shape("spot", [[3, 4], [6, 6]], "mask", mask=_picture(small)),
            _shape("way", [[0, 0], [2, 2], [3, 3]], "linestrip"),
        ),
        "a.json",
    )
    assert [one.name for one in found.objects] == ["cell", "cell", "spot", "spot"]
    areas = [int(one.pixels((9, 12)).sum()) for one in found.objects]
    assert areas[0] == 6
    assert areas[1] == 6
    assert areas[2] == pytest.approx(np.pi * 4, abs=1)
    assert areas[3] == 5
    assert (found.objects[3].pixels((9, 12))[4:6, 3:6] == small).all()
    assert found.skipped == ("1 linestrip",)
    assert (found.image, found.shape) == ("../a.jpg", (9, 12))


def test_shapes_of_one_group_are_one_object() -> None:
    other = [[6, 5], [8, 5], [8, 7], [6, 7]]
    shapes = [_shape("cell", SQUARE, group=1), _shape("cell", other, group=1), _shape("dirt", other, group=1)]
    found = labelme.from_bytes(_file(*shapes), "a.json")
    assert [(one.name, int(one.pixels((9, 12)).sum())) for one in found.objects] == [("cell", 10), ("dirt", 4)]
    mask = _shape("cell", [[9, 0]], "mask", group=1, mask=_picture(np.ones((2, 2))))
    (united, _) = labelme.from_bytes(_file(*shapes, mask), "a.json").objects
    assert united.pixels((9, 12)).sum() == 14


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b"{}",
        _file(1),
        _file(_shape("a", [["x", 1], [2, 2], [3, 3]])),
        _file(_shape("a", [[float("inf"), 1], [2, 2], [3, 3]])),
        _file(_shape("a", [[11, 0]], "mask", mask=_picture(np.ones((2, 2))))),
        _file(_shape("a", [[1, 0]], "mask", mask="no picture")),
        _file(_shape("a", [[1, 0]], "mask", mask=_picture(np.ones((2, 2)))), imageHeight=None),
    ],
)
def test_damaged(data: bytes) -> None:
    with pytest.raises(ReadError):
        labelme.from_bytes(data, "a.json")


def test_a_rectangle_may_have_all_of_its_corners() -> None:
    shape = _shape("cell", [[1, 1], [4, 1], [4, 3], [1, 3]], "rectangle")
    (one,) = labelme.from_bytes(json.dumps({"shapes": [shape]}).encode(), "x").objects
    assert one.pixels((9, 12)).sum() == 6
