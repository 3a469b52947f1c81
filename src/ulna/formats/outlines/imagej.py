"""Regions of interest of ImageJ and Fiji: a zip of .roi files, as the ROI Manager saves and opens."""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from ulna.errors import ReadError
from ulna.formats.outlines.annotation import Annotation, Annotations
from ulna.formats.outlines.polygons import Outline
from ulna.text import listed, plural

MOVE, LINE, CLOSE = 0.0, 1.0, 4.0  # operations of a path, as Java's PathIterator numbers them

_AREAS = {ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED, ROI_TYPE.RECT, ROI_TYPE.OVAL}
_OTHERS = {ROI_TYPE.POINT: "point", ROI_TYPE.ANGLE: "angle"} | dict.fromkeys(
    (ROI_TYPE.LINE, ROI_TYPE.FREELINE, ROI_TYPE.POLYLINE), "line"
)
_PLACE = re.compile(r"(\d{4,}-)?\d{4,}-\d{4,}(-\d+)?")
"""The names that ImageJ gives to regions: slice, y and x, four digits or more each, and a count where one repeats."""

_MOST = 1 << 20
"""Regions and megabytes beyond which a zip is not of the ROI Manager."""


def to_bytes(outlines: Iterable[Outline], classes: Mapping[int, str]) -> bytes:
    """The zip: one region per object, named by its number and its class.

    Objects with holes or in pieces become composite regions. Without objects the zip is empty.
    """
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for outline in outlines:
            name = "-".join(part for part in (f"{outline.number:05d}", classes.get(outline.number, "")) if part)
            archive.writestr(f"{name.replace('/', '_')}.roi", _region(outline, name).tobytes())
    return made.getvalue()


def from_bytes(data: bytes, where: object) -> Annotations:
    """The regions of a zip, or of a single .roi file. The class is what follows the number in a region's name.

    Raises ReadError for what is damaged or no region.
    """
    members = [("", data)] if data[:4] == b"Iout" else _members(data, where)
    objects: list[Annotation] = []
    skipped: Counter[str] = Counter()
    unread = []
    for name, content in members:
        try:
            region = ImagejRoi.frombytes(content)
            rings = _rings(region)
        except (ValueError, IndexError, KeyError, RuntimeError, NotImplementedError, TypeError) as error:
            what = f"the region {name}" if name else "this region"
            raise ReadError(f"{what} is damaged ({error})", where=where) from error
        if rings:
            called = region.name or Path(name).stem
            objects.append(Annotation((rings,), _class(called)))
            unread += [called] * (not objects[-1].name and any(map(str.isalpha, called)))
        else:
            skipped[_OTHERS.get(region.roitype, "other region")] += 1
    others = tuple(plural(count, kind) for kind, count in skipped.items())
    return Annotations(tuple(objects), skipped=others, unread=tuple(unread))


def _members(data: bytes, where: object) -> list[tuple[str, bytes]]:
    """The names and contents of the .roi files in a zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = [one for one in archive.infolist() if one.filename.lower().endswith(".roi")]
            if len(inside) > _MOST or sum(one.file_size for one in inside) > _MOST << 10:
                raise ReadError("holds more than regions take", where=where)
            others = [one.filename for one in archive.infolist() if one not in inside and not one.is_dir()]
            if others and not inside:
                raise ReadError(f"holds no .roi file, but {listed(others)}", where=where)
            return [(one.filename, archive.read(one)) for one in inside]
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ReadError(f"this zip is damaged ({error})", where=where) from error


def _region(outline: Outline, name: str) -> ImagejRoi:
    """One polygon, or a composite of all rings."""
    if outline.simple:
        return ImagejRoi.frompoints(outline.rings[0].astype(np.int64), name=name)
    path: list[float] = []
    for ring in outline.rings:
        for place, (x, y) in enumerate(ring):
            path += [LINE if place else MOVE, float(x), float(y)]
        path.append(CLOSE)
    corners = np.concatenate(outline.rings)
    (left, top), (right, bottom) = corners.min(axis=0).astype(int).tolist(), corners.max(axis=0).astype(int).tolist()
    made = ImagejRoi(roitype=ROI_TYPE.RECT, name=name, left=left, top=top, right=right, bottom=bottom)
    made.multi_coordinates = np.asarray(path, np.float32)
    made.shape_roi_size = len(path)
    return made


def _rings(region: ImagejRoi) -> tuple[np.ndarray, ...]:
    """The closed lines of a region; none where it is no area."""
    if region.roitype not in _AREAS or region.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE, ROI_SUBTYPE.ARROW):
        return ()
    if region.roitype == ROI_TYPE.FREEHAND and region.subtype == ROI_SUBTYPE.ELLIPSE:
        return ()  # its corners are not in the file
    rings = region.coordinates(multi=True)
    return tuple(np.asarray(ring, np.float64) for ring in rings if len(ring) > 2)


def _class(name: str) -> str:
    """`00012-tumor` → `tumor`; ImageJ's own names, such as `0012-0034`, are places and no classes."""
    number, _, rest = name.partition("-")
    return rest if number.isdigit() and not _PLACE.fullmatch(name) else ""
