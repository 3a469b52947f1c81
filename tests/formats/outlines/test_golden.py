"""The files that other programs open, as they were."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from golden_values import Golden
from ulna.formats.outlines import OutlineWriter
from ulna.formats.outlines.polygons import outlines


def test_files_of_outlines(objects: np.ndarray, classes: dict[int, str], golden: Golden, tmp_path: Path) -> None:
    writer = OutlineWriter(tmp_path, ("imagej", "geojson", "coco"))
    assert writer.files("a") == ["a.zip", "a.geojson", "coco.json"]
    writer.add("a", objects, classes, image="a.png")
    writer.add("b", objects[::-1], {1: "nucleus"})
    writer.close()
    with ZipFile(tmp_path / "a.zip") as archive:
        regions = {info.filename: archive.read(info).hex() for info in archive.infolist()}
    golden.check(
        "outlines",
        {
            "rings": [[one.number, [ring.tolist() for ring in one.rings]] for one in outlines(objects)],
            "imagej": regions,
            "geojson": json.loads((tmp_path / "a.geojson").read_bytes()),
            "coco": json.loads((tmp_path / "coco.json").read_bytes()),
        },
    )
