"""Writing DICOM segmentations, through highdicom (the extra `medical`)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ulna.errors import UlnaError
from ulna.formats.archive import opened
from ulna.formats.atomic import atomic_write
from ulna.formats.dicom import errors, of_time, stack_of
from ulna.formats.dicom.headers import Slice
from ulna.image import Array, Source

PIP = 'pip install "ulna[medical]"'
MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""What a segmentation must have and may leave empty (type 2); files whose patients are no longer named lack some."""
MAX_LABEL = 64
"""So many characters a segment's label may have."""


def can_write() -> bool:
    """Whether highdicom is installed."""
    return find_spec("highdicom") is not None


def write_segmentation(path: Path, mask: Array, labels: Sequence[str], source: Source) -> None:
    """Write a mask as a DICOM segmentation that refers to the slices it was drawn on.

    Parameters
    ----------
    path
        The file.
    mask
        (Z, Y, X) as the source is read, or (Y, X) of a single slice: 0, and from 1 on the segments.
    labels
        What each segment is called, from the first on.
    source
        The DICOM image.

    Raises
    ------
    UlnaError
        Without highdicom, for a mask of another shape, and where the image's headers lack what a segmentation needs.
    """
    if not can_write():
        raise UlnaError("a DICOM segmentation is written through highdicom, which is not installed", hint=PIP)
    stack, time = stack_of(source), source.at if source.time is None else source.time
    volumes = of_time(stack, time)[0] if time is not None and stack.volumes else stack.volumes
    slices = next(iter(volumes), ())
    if not slices:
        raise UlnaError("of a slide in tiles, or of a segmentation, none is written", where=source)
    planes = mask.reshape(-1, *mask.shape[-2:])
    if planes.shape != (len(slices), *slices[0].shape):
        raise UlnaError(f"a mask of {mask.shape} does not suit {len(slices)} slices", where=path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what highdicom thinks of the names of patients
            made = _made(planes, labels, slices)
    except errors() as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UlnaError(f"no DICOM segmentation can be made of it: {reason}", where=source) from error
    with atomic_write(path) as beside:
        made.save_as(beside)


def _made(planes: Array, labels: Sequence[str], slices: Sequence[Slice]) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    library: Any = highdicom
    release = version("ulna")
    algorithm = library.AlgorithmIdentificationSequence("ulna", codes.DCM.ArtificialIntelligence, release)
    # What a network has learned is known by its name alone; "tissue" claims nothing of it.
    segments = [
        library.seg.SegmentDescription(
            number, label[:MAX_LABEL], codes.SCT.Tissue, codes.SCT.Tissue, "AUTOMATIC", algorithm
        )
        for number, label in enumerate(labels, 1)
    ]
    headers = _headers(slices)
    if len(headers) < len(slices):  # one file: its frames in its own order
        ordered = np.zeros_like(planes)
        ordered[[one.frame for one in slices]] = planes
        planes = ordered
    return library.seg.Segmentation(
        source_images=headers,
        pixel_array=np.ascontiguousarray(planes),
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="ulna",
        manufacturer_model_name="ulna",
        software_versions=release,
        device_serial_number="none",
    )


def _headers(slices: Sequence[Slice]) -> list[Any]:
    """All attributes of each file but its pixels, in the order of the slices."""
    import pydicom

    found = []
    for source in dict.fromkeys(one.source for one in slices):
        with opened(source) as stream:
            data = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
        for word in MAY_BE_EMPTY:
            if word not in data:
                setattr(data, word, "")
        found.append(data)
    return found
