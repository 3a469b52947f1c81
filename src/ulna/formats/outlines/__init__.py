"""Outlines of objects in the files of other programs; one file per program, and a line in `OUTLINES`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.formats.atomic import atomic_write
from ulna.formats.outlines import coco, geojson, imagej
from ulna.formats.outlines.coco import CocoImage
from ulna.formats.outlines.polygons import outlines

__all__ = ["COCO_FILE", "OUTLINES", "OutlineWriter"]

OUTLINES = {"imagej": ".zip", "geojson": ".geojson", "coco": ".json"}
"""The programs, and the suffix of their files: ROI zips of ImageJ and Fiji, GeoJSON of QuPath, and COCO JSON."""

COCO_FILE = "coco.json"
"""The one file for all images."""


class OutlineWriter:
    """Writes the outlines of one image after the other into a folder.

    Parameters
    ----------
    folder
        Where the files lie.
    programs
        Which of `OUTLINES` are written.

    Raises
    ------
    UlnaError
        For a program that is not known.
    """

    def __init__(self, folder: Path, programs: tuple[str, ...]) -> None:
        unknown = [name for name in programs if name not in OUTLINES]
        if unknown:
            raise UlnaError(f"outlines are written for {', '.join(OUTLINES)}, not for {unknown[0]}", where="outlines")
        self.folder = folder
        self.programs = programs
        self._images: list[CocoImage] = []

    def files(self, name: str) -> list[str]:
        """The files that an image's outlines go into, within the folder."""
        return [COCO_FILE if one == "coco" else f"{name}{OUTLINES[one]}" for one in self.programs]

    def add(
        self, name: str, objects: npt.NDArray[np.integer], classes: Mapping[int, str], *, image: str | None = None
    ) -> None:
        """Write the outlines of an image; those for COCO are kept until `close`.

        Parameters
        ----------
        name
            Of the files.
        objects
            (Y, X) numbers of objects.
        classes
            The class of each number.
        image
            The file name of the image, as COCO has it; by default `name`.

        Raises
        ------
        UlnaError
            For a volume, which no outline holds, and where the file cannot be written.
        """
        if not self.programs:
            return
        if objects.ndim != 2:
            raise UlnaError("outlines are of planes, and this is a volume", where=name, hint="Leave --outlines away.")
        found = list(outlines(objects))
        for program, make in (("imagej", imagej.to_bytes), ("geojson", geojson.to_bytes)):
            if program in self.programs:
                with atomic_write(self.folder / f"{name}{OUTLINES[program]}") as beside:
                    beside.write_bytes(make(found, classes))
        if "coco" in self.programs:
            self._images.append(CocoImage(image or name, (objects.shape[0], objects.shape[1]), found, dict(classes)))

    def close(self) -> None:
        """Write what is one file for all images."""
        if "coco" in self.programs:
            with atomic_write(self.folder / COCO_FILE) as beside:
                beside.write_bytes(coco.to_bytes(self._images))
