"""GeoJSON as QuPath writes and imports it: one feature per object, in pixels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ulna.errors import ReadError
from ulna.formats.outlines.annotation import Annotation, Annotations
from ulna.formats.outlines.polygons import Outline, Ring
from ulna.text import plural

OBJECTS = ("detection", "cell", "PathDetectionObject", "PathCellObject")
AROUND = ("annotation", "tmaCore", "PathAnnotationObject", "TMACoreObject")
"""What QuPath calls objects, and areas that may be drawn around such: those that are count for none."""

_OTHERS = {"Point": "point", "MultiPoint": "point", "LineString": "line", "MultiLineString": "line"}


def to_bytes(outlines: Iterable[Outline], classes: Mapping[int, str]) -> bytes:
    """A collection of detections; objects with holes are polygons with holes, objects in pieces MultiPolygons."""
    features = [_feature(outline, classes.get(outline.number, "")) for outline in outlines]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def from_bytes(data: bytes, where: object) -> Annotations:
    """The areas of a collection, a list of features, or one feature. Raises ReadError for anything else."""
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ReadError(f"this JSON is damaged ({error})", where=where) from error
    objects: list[Annotation] = []
    kinds: list[str] = []
    skipped: Counter[str] = Counter()
    for feature in _features(content, where):
        geometry: dict[str, Any] = feature.get("geometry") or {}
        kind = geometry.get("type")
        if kind in _OTHERS:
            skipped[_OTHERS[kind]] += 1
            continue
        if kind not in ("Polygon", "MultiPolygon"):
            raise ReadError(f"a feature's geometry is {kind!r}; Polygon and MultiPolygon are areas", where=where)
        try:
            corners: Any = geometry["coordinates"]
            pieces = [corners] if kind == "Polygon" else corners
            rings = tuple(tuple(_ring(ring) for ring in piece) for piece in pieces)
        except (KeyError, TypeError, ValueError) as error:
            raise ReadError(f"the coordinates of a {kind} are damaged ({error})", where=where) from error
        objects.append(Annotation(rings, _class(feature)))
        kinds.append(_kind(feature))
        skipped["nucleus outline"] += "nucleusGeometry" in feature  # QuPath's cells have one within the cell's own
    around = _around(objects, kinds)
    skipped["enclosing annotation"] = len(around)
    kept = tuple(one for place, one in enumerate(objects) if place not in around)
    return Annotations(kept, skipped=tuple(plural(count, kind) for kind, count in skipped.items() if count))


def _around(objects: Sequence[Annotation], kinds: Sequence[str]) -> set[int]:
    """Which are annotations with objects in them, by the boxes of both: tissue, which QuPath exports with its cells."""
    boxes = np.array([_box(one) for one in objects]).reshape(-1, 2, 2)
    within = boxes[[kind in OBJECTS for kind in kinds]]
    return {
        place
        for place, kind in enumerate(kinds)
        if kind in AROUND
        and bool(((within[:, 0] >= boxes[place, 0]) & (within[:, 1] <= boxes[place, 1])).all(axis=1).any())
    }


def _box(one: Annotation) -> tuple[Ring, Ring]:
    corners = np.concatenate([ring for piece in one.pieces for ring in piece])
    return corners.min(axis=0), corners.max(axis=0)


def _kind(feature: dict[str, Any]) -> str:
    """What QuPath calls it, today or in older files: "detection", "PathAnnotationObject"; "" of other programs."""
    return str((feature.get("properties") or {}).get("objectType") or feature.get("id") or "")


def recognizes(content: Any) -> bool:
    """Whether decoded JSON is GeoJSON."""
    if isinstance(content, list):
        content = content[0] if content else None
    return isinstance(content, dict) and content.get("type") in ("FeatureCollection", "Feature")


def _feature(outline: Outline, name: str) -> dict[str, Any]:
    pieces = [[_closed(ring) for ring in (piece.outer, *piece.holes)] for piece in outline.pieces]
    one = len(pieces) == 1
    properties: dict[str, Any] = {"objectType": "detection", "name": str(outline.number)}
    if name:
        properties["classification"] = {"name": name}
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon" if one else "MultiPolygon", "coordinates": pieces[0] if one else pieces},
        "properties": properties,
    }


def _closed(ring: Ring) -> list[list[int]]:
    """With the first corner again at the end, and turned as RFC 7946 asks: with y downwards, the other way around."""
    corners = ring[::-1].astype(int).tolist()
    return [*corners, corners[0]]


def _features(content: Any, where: object) -> list[dict[str, Any]]:
    if not recognizes(content):
        raise ReadError("is no GeoJSON: a FeatureCollection or a list of features", where=where)
    if isinstance(content, dict):
        content = content["features"] if content["type"] == "FeatureCollection" and "features" in content else [content]
    if not all(isinstance(one, dict) for one in content):
        raise ReadError("holds what is no feature", where=where)
    return list(content)


def _ring(corners: Any) -> Ring:
    ring = np.asarray(corners, np.float64)
    if ring.ndim != 2 or ring.shape[1] < 2 or not np.isfinite(ring).all():
        raise ValueError("a ring is a list of pairs of numbers")
    if len(ring) > 1 and (ring[0] == ring[-1]).all():  # some programs leave the last corner, the first again, away
        ring = ring[:-1]
    if len(ring) < 3:
        raise ValueError("a ring needs three corners or more")
    return ring[:, :2]


def _class(feature: dict[str, Any]) -> str:
    """The class that QuPath gave it: `classification.name`, in older files within `classification` as well."""
    properties = feature.get("properties") or {}
    said = properties.get("classification")
    if isinstance(said, dict):
        names = said.get("names")
        return str(said.get("name") or (": ".join(map(str, names)) if isinstance(names, list) else ""))
    return str(said) if said else ""
