"""What DICOM files say of themselves before their pixels are decoded: where each slice lies, and of what series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ulna.errors import ReadError
from ulna.formats.archive import opened
from ulna.image import Floats, Source

PREAMBLE = 128
MAGIC = b"DICM"
SEGMENTATIONS = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}
"""Of the storage classes those of masks: one segment or fraction a frame, and label maps."""
DIRECTORY = "1.2.840.10008.1.3.10"
WORDS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription",
    "Modality", "InstanceNumber", "AcquisitionNumber", "ImagesInAcquisition", "TemporalPositionIdentifier",
    "TemporalPositionIndex", "EchoTime", "TriggerTime", "DiffusionBValue", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation",
    "PixelSpacing", "ImagerPixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SpacingBetweenSlices",
    "SliceThickness", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "TotalPixelMatrixRows", "TotalPixelMatrixColumns",
    "NumberOfOpticalPaths", "TotalPixelMatrixFocalPlanes",
    "DimensionOrganizationType", "SegmentSequence", "SegmentationType", "MaximumFractionalValue",
    "ReferencedSeriesSequence", "MediaStorageSOPClassUID",
)  # fmt: skip
"""The attributes that are read of a header; nothing else is, neither names of patients nor what else it holds."""


@dataclass(frozen=True)
class Slice:
    """One plane of a series: a file, or a frame of one.

    Parameters
    ----------
    source
        The file.
    frame
        Which frame of it, from 0 on.
    shape
        Rows and columns.
    position
        World coordinates (x, y, z) of the center of the first pixel, in mm; None where the file does not say.
    axes
        The directions in which columns and rows are counted, (2, 3); None where the file does not say.
    spacing
        The distance of rows and that of columns, in mm; None where the file does not say.
    scale
        Slope and intercept of its values.
    order
        By what slices at one place are told apart: time, echo, number.
    uid
        Of its file.
    """

    source: Source
    frame: int
    shape: tuple[int, int]
    position: tuple[float, ...] | None
    axes: tuple[tuple[float, ...], ...] | None
    spacing: tuple[float, float] | None
    scale: tuple[float, float]
    order: tuple[float, ...]
    uid: str

    @property
    def normal(self) -> Floats:
        """The direction that is at right angles to the plane."""
        x, y = np.asarray(self.axes or ((1, 0, 0), (0, 1, 0)), float)
        return np.cross(x, y)

    @property
    def depth(self) -> float:
        """How far along its normal it lies."""
        return float(np.dot(self.position or (0, 0, 0), self.normal))


def read_header(source: Source) -> Any:
    """The attributes `WORDS` of a file, as a pydicom Dataset.

    Parameters
    ----------
    source
        The file.

    Returns
    -------
    Dataset
        Without pixels.

    Raises
    ------
    ReadError
        For what is no DICOM.
    """
    import pydicom

    with opened(source) as stream:
        data = pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=list(WORDS))
    if "SOPClassUID" not in data and "Rows" not in data and "MediaStorageSOPClassUID" not in data.file_meta:
        raise ReadError("is no DICOM file that can be read", where=source, hint="Copy or export it again.")
    return data


def is_segmentation(data: Any) -> bool:
    """Whether a file holds a mask."""
    return str(data.get("SOPClassUID", "")) in SEGMENTATIONS


def no_image(data: Any) -> str:
    """What a file without pixels is, in words; "" for an image."""
    if "Rows" in data and "Columns" in data:
        return ""
    kind = str(data.get("Modality", ""))
    if "MediaStorageSOPClassUID" in data.file_meta and str(data.file_meta.MediaStorageSOPClassUID) == DIRECTORY:
        return "a list of other files (DICOMDIR)"
    return "outlines drawn for radiotherapy (RTSTRUCT)" if kind == "RTSTRUCT" else f"no image ({kind or 'unknown'})"


def slices_of(source: Source, data: Any) -> Iterator[Slice]:
    """The planes of a file: one, or one per frame.

    Parameters
    ----------
    source
        The file.
    data
        Its header.

    Yields
    ------
    Slice
        In the file's order.
    """
    shared = _first(data, "SharedFunctionalGroupsSequence")
    frames = data.get("PerFrameFunctionalGroupsSequence") or [None] * int(data.get("NumberOfFrames") or 1)
    for number, own in enumerate(frames):

        def look(group: str, word: str, own: Any = own) -> Any:
            """An attribute of the frame, of all frames, or of the file."""
            for place in (_first(own, group), _first(shared, group), data):
                value = None if place is None else place.get(word)
                if value is not None and value != "":
                    return value
            return None

        position = look("PlanePositionSequence", "ImagePositionPatient")
        axes = look("PlaneOrientationSequence", "ImageOrientationPatient")
        spacing = look("PixelMeasuresSequence", "PixelSpacing") or data.get("ImagerPixelSpacing")
        slope = look("PixelValueTransformationSequence", "RescaleSlope")
        intercept = look("PixelValueTransformationSequence", "RescaleIntercept")
        times = (
            look("TemporalPositionSequence", "TemporalPositionIdentifier")
            or look("FrameContentSequence", "TemporalPositionIndex"),
            data.get("DiffusionBValue"),
            data.get("EchoTime"),
            data.get("AcquisitionNumber"),
            data.get("TriggerTime"),
            data.get("InstanceNumber"),
            number,
        )
        yield Slice(
            source,
            number,
            (int(data.Rows), int(data.Columns)),
            _numbers(position, 3),
            _axes(_numbers(axes, 6)),
            _pair(_numbers(spacing, 2)),
            (1.0 if slope is None else float(slope), float(intercept or 0)),
            tuple(float(time or 0) for time in times),
            str(data.get("SOPInstanceUID", source)),
        )


def _first(data: Any, word: str) -> Any:
    """The first item of a sequence; None where there is none."""
    items = None if data is None else data.get(word)
    return items[0] if items else None


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    if value is None or isinstance(value, str | float) or len(value) != count:
        return None
    return tuple(float(number) for number in value)


def _axes(numbers: tuple[float, ...] | None) -> tuple[tuple[float, ...], ...] | None:
    return None if numbers is None or not any(numbers) else (numbers[:3], numbers[3:])


def _pair(numbers: tuple[float, ...] | None) -> tuple[float, float] | None:
    return None if numbers is None else (numbers[0], numbers[1])
