"""Read the outlines of an image, whatever program wrote them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ulna.errors import ReadError, UlnaError
from ulna.formats.archive import is_archive, members, opened
from ulna.formats.outlines import coco, geojson, imagej, labelme
from ulna.formats.outlines.annotation import Annotations
from ulna.image import Source

JSON = (".json", ".geojson")
MOST = 1 << 30
"""Bytes of a JSON file at most."""


def is_outline(source: Source) -> bool:
    """Whether a source names a file of outlines, or an image within a COCO file, by the suffixes of its path."""
    names = [source.path.name, *source.inside]
    return any(name.lower().endswith(JSON) for name in names[-2:]) or names[-1].lower().endswith((".roi", ".zip"))


def read_annotations(source: Source) -> Annotations:
    """The objects of one image.

    Parameters
    ----------
    source
        A file of outlines; of a COCO file `inside` ends with the name of the image.

    Returns
    -------
    Annotations
        In the order of the file.

    Raises
    ------
    ReadError
        For a file that is damaged or of no known program, and an image that a COCO file does not list.
    """
    names = [source.path.name, *source.inside]
    if len(names) > 1 and names[-2].lower().endswith(JSON):
        file = replace(source, inside=source.inside[:-1])
        for one in coco_images(file):
            if one.image == names[-1]:
                return one
        raise ReadError(f"lists no image {names[-1]}", where=file)
    if names[-1].lower().endswith(JSON):
        content = decoded(source)
        if geojson.recognizes(content):
            return geojson.from_bytes(_bytes(source), source)
        if labelme.recognizes(content):
            return labelme.from_bytes(_bytes(source), source)
        raise ReadError("this JSON is of no program that is known: QuPath (GeoJSON), labelme or COCO", where=source)
    return imagej.from_bytes(_bytes(source), source)


def coco_images(file: Source) -> list[Annotations]:
    """The objects of each image of a COCO file; files that do not change are read once.

    Parameters
    ----------
    file
        The file.

    Returns
    -------
    list of Annotations
        In the order of the file.

    Raises
    ------
    ReadError
        For a file that is damaged.
    """
    entry = file.path.stat()
    return _coco_images(file, entry.st_size, entry.st_mtime_ns)


@lru_cache(maxsize=2)
def _coco_images(file: Source, _size: int, _changed: int) -> list[Annotations]:
    return coco.from_bytes(_bytes(file), file)


def decoded(source: Source) -> Any:
    """The content of a JSON file; None where it is none.

    Parameters
    ----------
    source
        The file.

    Returns
    -------
    Any
        Lists, dictionaries and numbers.

    Raises
    ------
    ReadError
        For a file that cannot be opened.
    """
    try:
        return json.loads(_bytes(source))
    except ValueError:
        return None


def holds_regions(archive: Source) -> bool:
    """Whether a zip holds nothing but regions of ImageJ.

    Parameters
    ----------
    archive
        The zip.

    Returns
    -------
    bool
        False for a zip that cannot be opened.
    """
    if not is_archive(archive):
        return False
    try:
        names = members(archive)
    except UlnaError:
        return False
    return bool(names) and all(name.lower().endswith(".roi") for name in names)


def _bytes(source: Source) -> bytes:
    with opened(source) as stream:
        data = stream.read(MOST + 1)
    if len(data) > MOST:
        raise ReadError("is larger than files of outlines are", where=source)
    return data
