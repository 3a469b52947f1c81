"""COCO JSON: the objects of all images of a data set in one file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ulna.errors import ReadError
from ulna.formats.outlines.annotation import Annotation, Annotations
from ulna.formats.outlines.polygons import Mask, Outline, area, fill
from ulna.text import plural

_MOST = 1 << 31  # pixels of an image


@dataclass(frozen=True)
class CocoImage:
    """One image of the file: its name, its height and width, the outlines and the classes of its objects."""

    name: str
    shape: tuple[int, int]
    outlines: Sequence[Outline]
    classes: Mapping[int, str]


def to_bytes(images: Sequence[CocoImage]) -> bytes:
    """The file. Objects of one ring are polygons; those with holes or in pieces are run lengths (RLE)."""
    names = sorted({name or "object" for image in images for name in (*image.classes.values(), *_nameless(image))})
    places = {name: place for place, name in enumerate(names, start=1)}
    annotations: list[dict[str, Any]] = []
    for index, image in enumerate(images, start=1):
        for outline in image.outlines:
            category = places[image.classes.get(outline.number) or "object"]
            entry = {"id": len(annotations) + 1, "image_id": index, "category_id": category, "iscrowd": 0}
            annotations.append(entry | _shape(outline, image.shape))
    return json.dumps(
        {
            "images": [
                {"id": index, "file_name": image.name, "height": image.shape[0], "width": image.shape[1]}
                for index, image in enumerate(images, start=1)
            ],
            "categories": [{"id": place, "name": name} for name, place in places.items()],
            "annotations": annotations,
        }
    ).encode()


def from_bytes(data: bytes, where: object) -> list[Annotations]:
    """The objects of each image, in the order of the file.

    Regions marked as crowds are no single objects, and boxes say nothing of outlines: they are left out and said.
    Raises ReadError for what is damaged.
    """
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ReadError(f"this JSON is damaged ({error})", where=where) from error
    if not recognizes(content):
        raise ReadError("is no COCO file: it has no lists 'images' and 'annotations'", where=where)
    try:
        names = {one["id"]: str(one["name"]) for one in content.get("categories") or []}
        images = {one["id"]: one for one in content["images"]}
        if len(images) < len(content["images"]):
            raise ReadError("two images have the same id", where=where)
        named = Counter(str(one["file_name"]) for one in images.values())
        if twice := next((name for name, count in named.items() if count > 1), ""):
            raise ReadError(f"lists the image {twice} twice", where=where, hint="Give each image one entry.")
        objects: dict[Any, list[Annotation]] = {key: [] for key in images}
        skipped: dict[Any, Counter[str]] = {key: Counter() for key in images}
        for one in content["annotations"]:
            image = images[one["image_id"]]
            if one.get("iscrowd") or not one.get("segmentation"):
                skipped[image["id"]]["crowd" if one.get("iscrowd") else "box"] += 1
                continue
            shape = (int(image["height"]), int(image["width"]))
            objects[image["id"]].append(_annotation(one, shape, names))
        return [
            Annotations(
                tuple(objects[key]),
                image=str(image["file_name"]),
                shape=(int(image["height"]), int(image["width"])),
                skipped=tuple(
                    plural(count, kind, "boxes" if kind == "box" else "") for kind, count in skipped[key].items()
                ),
            )
            for key, image in images.items()
        ]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ReadError(f"this COCO file is damaged ({type(error).__name__}: {error})", where=where) from error


def recognizes(content: Any) -> bool:
    """Whether decoded JSON is a COCO file."""
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations"))


def run_lengths(mask: Mask, shape: tuple[int, int] | None = None, corner: tuple[int, int] = (0, 0)) -> list[int]:
    """The lengths of runs of 0 and 1 in turn, down the columns, the first of 0 (which may be of none).

    The mask (Y, X) is the part of an image of a shape (by default all of it) whose first pixel lies at a corner (y, x).
    """
    height, width = shape or mask.shape
    columns, rows = np.nonzero(mask.T)
    places = (columns + corner[1]) * height + rows + corner[0]
    if not places.size:
        return [height * width]
    last = np.append(np.diff(places) > 1, True)  # pixels with which a run ends
    starts, ends = places[np.roll(last, 1)], places[last] + 1
    turns = np.stack([starts, ends], axis=1).ravel()
    counts: list[int] = np.diff(turns, prepend=0, append=height * width).tolist()
    return counts if counts[-1] else counts[:-1]


def from_run_lengths(counts: Sequence[int], shape: tuple[int, int]) -> tuple[Mask, tuple[int, int]]:
    """The pixels of run lengths (Y, X) as far as they reach, and the row and column where that begins.

    Raises ValueError where they do not fill the image.
    """
    lengths = np.asarray(counts, np.int64)
    height, width = shape
    if (lengths < 0).any() or int(lengths.sum()) != height * width:
        raise ValueError(f"run lengths of {int(lengths.sum())} pixels do not fill {height} × {width}")
    starts, runs = (np.cumsum(lengths) - lengths)[1::2], lengths[1::2]
    places = np.repeat(starts - (np.cumsum(runs) - runs), runs) + np.arange(runs.sum())
    if not places.size:
        return np.zeros((0, 0), np.bool_), (0, 0)
    columns, rows = np.divmod(places, height)
    top, left = int(rows.min()), int(columns.min())
    mask = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1), np.bool_)
    mask[rows - top, columns - left] = True
    return mask, (top, left)


def decompressed(text: str) -> list[int]:
    """The run lengths in COCO's compressed text: six bits a character, later numbers as differences."""
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"run lengths do not contain {letter!r}")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("run lengths end within a number")
    return counts


def _nameless(image: CocoImage) -> list[str]:
    return ["" for outline in image.outlines if not image.classes.get(outline.number)]


def _shape(outline: Outline, shape: tuple[int, int]) -> dict[str, Any]:
    """Segmentation, area and bounding box of an object."""
    corners = np.concatenate(outline.rings)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    if outline.simple:
        segmentation: Any = [outline.rings[0].ravel().tolist()]
    else:
        inside = fill([ring - (left, top) for ring in outline.rings], (int(bottom - top), int(right - left)))
        segmentation = {"counts": run_lengths(inside, shape, (int(top), int(left))), "size": list(shape)}
    return {
        "segmentation": segmentation,
        "area": int(sum(area(ring) for ring in outline.rings)),
        "bbox": [left, top, right - left, bottom - top],
    }


def _annotation(one: dict[str, Any], shape: tuple[int, int], names: Mapping[Any, str]) -> Annotation:
    name = names[one["category_id"]] if names else ""
    found = one["segmentation"]
    if isinstance(found, dict):
        if shape[0] * shape[1] > _MOST or tuple(found["size"]) != shape:
            raise ValueError(f"run lengths for {found['size']} in an image of {list(shape)}")
        counts = found["counts"]
        lengths = decompressed(counts) if isinstance(counts, str) else counts
        mask, corner = from_run_lengths(lengths, shape)
        return Annotation(name=name, mask=mask, corner=corner)
    return Annotation(tuple((_ring(ring),) for ring in found), name)


def _ring(numbers: Any) -> npt.NDArray[np.float64]:
    ring = np.asarray(numbers, np.float64)
    if ring.ndim != 1 or len(ring) < 6 or len(ring) % 2 or not np.isfinite(ring).all():
        raise ValueError("a polygon needs three pairs of numbers or more")
    return ring.reshape(-1, 2)
