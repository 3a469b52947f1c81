"""JSON as labelme writes it: one file per image, polygons with a label. Read only."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from ulna.errors import ReadError
from ulna.formats.outlines.annotation import Annotation, Annotations
from ulna.formats.outlines.polygons import Ring
from ulna.text import plural

_CORNERS = 64  # of a circle, as a polygon


def from_bytes(data: bytes, where: object) -> Annotations:
    """The polygons, rectangles, circles and masks of a file; shapes of one group are one object.

    Raises ReadError for what is damaged.
    """
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ReadError(f"this JSON is damaged ({error})", where=where) from error
    if not recognizes(content):
        raise ReadError("is no labelme file: it has no list 'shapes'", where=where)
    try:
        shape = (int(content["imageHeight"]), int(content["imageWidth"])) if content.get("imageHeight") else None
        objects: dict[Any, Annotation] = {}
        skipped: Counter[str] = Counter()
        for place, one in enumerate(content["shapes"]):
            kind, group = one.get("shape_type") or "polygon", one.get("group_id")
            found = _annotation(one, kind, shape)
            if found is None:
                skipped[kind] += 1
                continue
            key = ("single", place) if group is None else (group, found.name)
            objects[key] = _together(objects[key], found, shape) if key in objects else found
    except (KeyError, TypeError, ValueError, IndexError, OSError, AttributeError) as error:
        raise ReadError(f"this labelme file is damaged ({type(error).__name__}: {error})", where=where) from error
    names = tuple(plural(count, kind) for kind, count in skipped.items())
    return Annotations(tuple(objects.values()), str(content.get("imagePath") or ""), shape, names)


def recognizes(content: Any) -> bool:
    """Whether decoded JSON is a labelme file."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list)


def _annotation(one: dict[str, Any], kind: str, shape: tuple[int, int] | None) -> Annotation | None:
    """One shape as an object; None where it is no area."""
    name = str(one["label"])
    points = np.asarray(one["points"], np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("a corner is no number")
    if kind == "mask":
        return _mask(one["mask"], points, shape, name)
    ring = _ring(points, kind)
    return None if ring is None else Annotation(((ring,),), name)


def _ring(points: Ring, kind: str) -> Ring | None:
    if kind in ("polygon", "rectangle") and len(points) > 2:  # some programs write all corners of a rectangle
        return points
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    if kind == "circle" and len(points) == 2:
        radius = float(np.linalg.norm(points[1] - points[0]))
        angles = np.arange(_CORNERS) * (2 * np.pi / _CORNERS)
        return np.asarray(points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1))
    return None


def _mask(encoded: str, points: Ring, shape: tuple[int, int] | None, name: str) -> Annotation:
    """A mask is a small picture; its first point is the pixel at its first corner."""
    if shape is None:
        raise ValueError("a mask needs the size of its image")
    with PillowImage.open(io.BytesIO(base64.b64decode(encoded, validate=True))) as picture:
        inside = np.asarray(picture.convert("L")) > 0
    left, top = np.floor(points[0]).astype(int).tolist()
    if left < 0 or top < 0 or top + inside.shape[0] > shape[0] or left + inside.shape[1] > shape[1]:
        raise ValueError("a mask reaches beyond the image")
    return Annotation(name=name, mask=inside, corner=(top, left))


def _together(first: Annotation, second: Annotation, shape: tuple[int, int] | None) -> Annotation:
    """Two shapes of one object."""
    if shape is None or (first.mask is None and second.mask is None):  # a mask needs the size of its image
        return Annotation((*first.pieces, *second.pieces), first.name)
    return Annotation(name=first.name, mask=first.pixels(shape) | second.pixels(shape))
