"""DICOM series for tests, written with pydicom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Sequence_
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

TILTED = np.array([[0.0, 0.0, 1.0], [0.6, -0.8, 0.0], [0.8, 0.6, 0.0]])
"""Columns are the directions of x, y and the normal: at right angles, and along no axis of the world."""


def write_series(
    folder: Path,
    volume: np.ndarray,
    *,
    spacing: tuple[float, float, float] = (2.5, 0.7, 0.5),
    origin: tuple[float, float, float] = (-10.0, 20.0, 30.0),
    axes: np.ndarray = TILTED,
    names: Sequence[str] = (),
    positions: np.ndarray | None = None,
    **words: Any,
) -> list[Path]:
    """Write a volume (Z, Y, X) as a file per slice; by default their names run against their places.

    `spacing` is that of (z, y, x), `origin` that of (x, y, z); `positions` are along the normal, and `words` other
    attributes of each file: lists where they differ, and tuples for several numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = np.arange(len(volume)) * spacing[0] if positions is None else positions
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for k, plane in enumerate(volume):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
        data.Modality, data.PatientID, data.PatientName, data.StudyID = "MR", "p", "p^q", "1"
        data.PatientBirthDate = data.PatientSex = data.AccessionNumber = data.ReferringPhysicianName = ""
        data.StudyDate, data.StudyTime = "20260101", "120000"
        data.SeriesInstanceUID, data.StudyInstanceUID, data.FrameOfReferenceUID = series, study, frame
        data.InstanceNumber, data.SeriesNumber = 1 + (7 * k) % len(volume), 3
        data.Rows, data.Columns = plane.shape
        data.PixelSpacing, data.SliceThickness = [spacing[1], spacing[2]], 99.0
        data.ImageOrientationPatient = [*axes[:, 0], *axes[:, 1]]
        data.ImagePositionPatient = [round(float(c), 8) for c in np.array(origin) + axes[:, 2] * places[k]]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 8 * plane.dtype.itemsize
        data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(plane.dtype.kind == "i")
        data.PixelData = plane.tobytes()
        for word, value in words.items():
            setattr(
                data, word, value[k] if isinstance(value, list) else list(value) if isinstance(value, tuple) else value
            )
        path = folder / (names[k] if names else f"{len(volume) - k}.dcm")
        pydicom.dcmwrite(path, data, enforce_file_format=True)
        paths.append(path)
    return paths


def write_enhanced(path: Path, volume: np.ndarray, order: Sequence[int], **words: Any) -> None:
    """Write a volume (Z, Y, X) as one file of many frames, in any order; each says where it lies."""
    (first, *_) = write_series(path.parent / "slices", volume)
    data = pydicom.dcmread(first)
    for path_of_slice in (path.parent / "slices").iterdir():
        path_of_slice.unlink()
    origin = np.array(data.ImagePositionPatient, float)
    shared, axes, measures = Dataset(), Dataset(), Dataset()
    axes.ImageOrientationPatient, measures.PixelSpacing = data.ImageOrientationPatient, data.PixelSpacing
    measures.SliceThickness = 99.0
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence_([axes]), Sequence_([measures])
    frames = []
    for k in order:
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [round(float(c), 8) for c in origin + TILTED[:, 2] * 2.5 * k]
        frame.PlanePositionSequence = Sequence_([position])
        frames.append(frame)
    data.SharedFunctionalGroupsSequence = Sequence_([shared])
    data.PerFrameFunctionalGroupsSequence = Sequence_(frames)
    del data.ImagePositionPatient, data.ImageOrientationPatient, data.PixelSpacing
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    data.NumberOfFrames, data.PixelData = len(order), volume[list(order)].tobytes()
    for word, value in words.items():
        setattr(data, word, value)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
