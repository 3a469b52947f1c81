"""Which DICOM files are slices of one image: series told apart, by their headers and not by names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ulna.errors import UlnaError
from ulna.formats.archive import opened
from ulna.formats.dicom.headers import MAGIC, PREAMBLE, is_segmentation, no_image, read_header, slices_of
from ulna.image import Source

ALIKE = 0.01
"""By so much the directions of slices of one series may differ, as they do by rounding."""

Axes = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Found:
    """One image of a folder.

    Parameters
    ----------
    source
        Its file, or all of them in the order of its slices.
    uid
        Of its series; "" for a file that cannot be read.
    name
        What its header calls it; may be empty.
    masks
        Whether it is a segmentation.
    """

    source: Source
    uid: str
    name: str = ""
    masks: bool = False

    @property
    def several(self) -> bool:
        """Whether it is made of several files."""
        return len(self.source.files) > 1


def maybe_dicom(source: Source) -> bool:
    """Whether a file without a known suffix is DICOM, which often has none: by its first bytes.

    Parameters
    ----------
    source
        Any file.

    Returns
    -------
    bool
        False for suffixes that DICOM files do not have; these are not opened.
    """
    suffix = PurePosixPath(source.name).suffix
    if suffix and not suffix[1:].isdecimal():
        return False
    try:
        with opened(source) as stream:
            return stream.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC
    except UlnaError:
        return False


def together(sources: Sequence[Source]) -> tuple[list[Found], list[tuple[Source, str]]]:
    """The images that the DICOM files of one folder make.

    Slices belong together where they are of one series, of one size and lie in one direction. Files of many frames,
    segmentations and slices without a place are images by themselves.

    Parameters
    ----------
    sources
        The files.

    Returns
    -------
    list of Found, list of (Source, str)
        In the order of the files; and what holds no image, with what it is instead.
    """
    groups: dict[Any, list[tuple[Source, Any, float]]] = {}
    left: list[tuple[Source, str]] = []
    known: dict[Any, list[Axes]] = {}
    for source in sources:
        try:
            data = read_header(source)
            what = no_image(data)
            slices = [] if what else list(slices_of(source, data))
        except (UlnaError, ValueError, TypeError, AttributeError, KeyError, OSError):
            groups[source] = [(source, None, 0.0)]  # said when it is read
            continue
        if what:
            left.append((source, what))
            continue
        first = slices[0]
        alone = len(slices) > 1 or is_segmentation(data) or first.position is None or first.axes is None
        series = (str(data.get("SeriesInstanceUID", "")), first.shape, first.spacing)
        key = source if alone else (series, _direction(known.setdefault(series, []), first.axes or ()))
        groups.setdefault(key, []).append((source, data, first.depth))
    return [_found(members) for members in groups.values()], left


def _direction(known: list[Axes], axes: Axes) -> Axes:
    """The first of the directions of a series that is nearly this one, which else becomes one of them."""
    same = next((one for one in known if np.allclose(one, axes, 0, ALIKE)), None)
    if same is None:
        known.append(axes)
    return axes if same is None else same


def _found(members: list[tuple[Source, Any, float]]) -> Found:
    source, data, _ = members[0]
    if data is None:
        return Found(source, "")
    number, text = data.get("SeriesNumber"), str(data.get("SeriesDescription") or "").strip()
    name = text or ("" if number is None else f"series {number}")
    if len(members) > 1:
        ordered = [one for one, _, _ in sorted(members, key=lambda member: member[2])]
        names = tuple(one.inside[-1] if one.inside else one.path.name for one in ordered)
        source = replace(ordered[0], files=names, title=name or "series")
    return Found(source, str(data.get("SeriesInstanceUID", "")), name, is_segmentation(data))
