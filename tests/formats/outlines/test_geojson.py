"""GeoJSON: read back by shapely, and by ulna what QuPath writes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from shapely.geometry import shape as shapely_shape

from ulna.errors import ReadError
from ulna.formats.outlines import geojson
from ulna.formats.outlines.annotation import paint
from ulna.formats.outlines.polygons import outlines


def test_read_back_by_shapely(objects: np.ndarray, classes: dict[int, str]) -> None:
    content = json.loads(geojson.to_bytes(outlines(objects), classes))
    y, x = np.indices(objects.shape) + 0.5
    kinds = set()
    for feature, (number, name) in zip(content["features"], classes.items(), strict=True):
        geometry = shapely_shape(feature["geometry"])
        kinds.add((feature["geometry"]["type"], len(feature["geometry"]["coordinates"])))
        assert geometry.is_valid
        assert (shapely.contains_xy(geometry, x, y) == (objects == number)).all()
        assert feature["properties"] == {
            "objectType": "detection", "name": str(number), "classification": {"name": name}
        }  # fmt: skip
    assert kinds == {("Polygon", 1), ("Polygon", 2), ("MultiPolygon", 2)}


def test_read_back_by_ulna(objects: np.ndarray, classes: dict[int, str]) -> None:
    found = geojson.from_bytes(geojson.to_bytes(outlines(objects), classes), "x.geojson")
    painted = paint(found.objects, objects.shape)
    assert painted.names == tuple(classes.values())
    assert (np.array([0, *classes])[painted.numbers] == objects).all()


def _feature(geometry: object, properties: object = None) -> dict[str, object]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


SQUARE = [[0.6, 0.6], [3.4, 0.6], [3.4, 2.4], [0.6, 2.4], [0.6, 0.6]]


def test_what_qupath_writes() -> None:
    classified = {"classification": {"names": ["Tumor", "Positive"], "color": [1, 2, 3]}, "objectType": "annotation"}
    content = [
        _feature({"type": "Polygon", "coordinates": [SQUARE], "plane": {"c": -1, "z": 0, "t": 0}}, classified),
        _feature({"type": "Point", "coordinates": [1, 2]}),
        _feature({"type": "Polygon", "coordinates": [SQUARE]}, {"classification": None}),
    ]
    found = geojson.from_bytes(json.dumps(content).encode(), "x.geojson")
    assert [one.name for one in found.objects] == ["Tumor: Positive", ""]
    assert found.skipped == ("1 point",)
    painted = paint(found.objects, (4, 4))
    assert painted.overlapping == 2
    assert painted.lost == (1,)  # the second covers it


def test_a_ring_that_is_not_closed_keeps_its_last_corner() -> None:
    for corners in (SQUARE, SQUARE[:-1]):
        content = [_feature({"type": "Polygon", "coordinates": [corners]})]
        (one,) = geojson.from_bytes(json.dumps(content).encode(), "x").objects
        assert one.pixels((5, 5)).sum() == 2


def test_the_nuclei_within_cells_are_named() -> None:
    square = {"type": "Polygon", "coordinates": [SQUARE]}
    cell = _feature(square, {"objectType": "cell"}) | {"nucleusGeometry": square}
    found = geojson.from_bytes(json.dumps([cell, cell]).encode(), "x")
    assert len(found.objects) == 2
    assert found.skipped == ("2 nucleus outlines",)


@pytest.mark.parametrize(
    "content",
    [
        {},
        [1],
        {"type": "FeatureCollection", "features": [1]},
        _feature({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}),
        _feature({"type": "Polygon", "coordinates": [[["a", 0], [1, 1], [2, 2], [3, 3]]]}),
        _feature({"type": "Polygon"}),
        _feature({"type": "Polygon", "coordinates": [[[0, float("nan")], [1, 1], [2, 2], [3, 3]]]}),
        _feature({"type": "Circle", "coordinates": []}),
    ],
)
def test_damaged(content: object) -> None:
    with pytest.raises(ReadError):
        geojson.from_bytes(json.dumps(content).encode(), "x.geojson")


def test_no_json() -> None:
    with pytest.raises(ReadError, match="damaged"):
        geojson.from_bytes(b"{", "x.geojson")


@pytest.mark.parametrize("old", [False, True])
def test_what_is_drawn_around_cells_is_no_object(old: bool) -> None:
    """QuPath exports all objects: the tissue with the cells in it."""
    names = ("PathAnnotationObject", "PathDetectionObject") if old else ("annotation", "detection")
    features = []
    for kind, side in zip((names[0], names[1], names[1]), (50, 4, 4), strict=True):
        square = [[0, 0], [0, side], [side, side], [side, 0], [0, 0]]
        feature = _feature({"type": "Polygon", "coordinates": [square]}, {} if old else {"objectType": kind})
        features.append(feature | ({"id": kind} if old else {}))
    found = geojson.from_bytes(json.dumps(features).encode(), "x.geojson")
    assert len(found.objects) == 2
    assert found.skipped == ("1 enclosing annotation",)
    alone = geojson.from_bytes(json.dumps(features[:1]).encode(), "x.geojson")
    assert len(alone.objects) == 1
    beside = [[60, 60], [60, 64], [64, 64], [64, 60], [60, 60]]  # a nucleus that was drawn by hand
    drawn = _feature({"type": "Polygon", "coordinates": [beside]}, {} if old else {"objectType": names[0]})
    drawn |= {"id": names[0]} if old else {}
    assert len(geojson.from_bytes(json.dumps([*features, drawn]).encode(), "x.geojson").objects) == 3
