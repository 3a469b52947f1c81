"""DICOM segmentations beside the masks of DICOM images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ulna import formats
from ulna.errors import UlnaError, WriteError
from ulna.formats import dicom
from ulna.formats.dicom.writing import PIP, can_write, write_segmentation
from ulna.image import Array, Source
from ulna.labels.classes import Classes

MAX_OBJECTS = 255
"""So many objects are written as a segment each."""


def is_dicom(source: Source) -> bool:
    """Whether an image is DICOM, by its suffix."""
    return source.suffix in dicom.SUFFIXES


def segmentation_beside(mask: Path, target: Path, source: Source, classes: Classes, *, objects: bool) -> list[str]:
    """Write a mask that is there once more, as a DICOM segmentation.

    Parameters
    ----------
    mask
        The mask, as it was written.
    target
        The file of the segmentation.
    source
        The DICOM image.
    classes
        What the values of the mask mean.
    objects
        Whether they number objects.

    Returns
    -------
    list of str
        Why it was not written; empty where it was.
    """
    if not can_write():
        return [f"{mask.name}: no DICOM segmentation is written beside it, for which highdicom is needed ({PIP})"]
    array = formats.read(Source(mask)).array
    try:
        segments, labels = _numbered(array) if objects else _by_class(array, classes)
        write_segmentation(target, segments, labels, source)
    except WriteError:
        raise
    except UlnaError as error:
        return [f"{mask.name}: no DICOM segmentation is written beside it: {error.what}"]
    return []


def _by_class(array: Array, classes: Classes) -> tuple[Array, tuple[str, ...]]:
    """A segment for each class but the background."""
    count = len(classes.names)
    values = classes.to_values(np.arange(count, dtype=np.uint8)[None, None])[:, 0]
    segments = np.zeros(array.shape[1:], np.uint8)
    for index in range(1, count):
        color = values[:, index].reshape(-1, *(1,) * segments.ndim)
        segments[(array == color).all(axis=0)] = index
    return segments, classes.names[1:]


def _numbered(array: Array) -> tuple[Array, tuple[str, ...]]:
    """A segment for each object."""
    count = int(array.max(initial=0))
    if count > MAX_OBJECTS:
        raise UlnaError(f"it has {count:,} objects, and a segment each is written of at most {MAX_OBJECTS}")
    return array[0].astype(np.uint8), tuple(f"object {number}" for number in range(1, max(count, 1) + 1))
