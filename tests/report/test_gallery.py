"""The gallery on the page: in order, with a legend, and what is left out."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image as Pillow

from ulna.report.gallery import gallery
from ulna.runfiles import RunFiles


def _write(run: Path, **words: object) -> None:
    folder = run / "scores" / "gallery"
    folder.mkdir(parents=True)
    picture = io.BytesIO()
    Pillow.new("RGB", (8, 4)).save(picture, "JPEG")
    (folder / "001.jpg").write_bytes(picture.getvalue())
    first = {"file": "001.jpg", "case": "a", "group": "g", "score": 0.25, "odd": "cell: missed"}
    cases = [first, first | {"file": "../../../001.jpg", "score": None}, first | {"file": "none.jpg"}, 3]
    legend = {"difference": {"correct": [240, 240, 240], "odd": "red"}, "none": 1}
    (folder / "gallery.json").write_text(json.dumps({"cases": cases, "legend": legend, "left_out": "1 of 3.", **words}))


def test_what_is_there_is_shown(tmp_path: Path) -> None:
    _write(tmp_path)
    found = gallery(RunFiles(tmp_path))
    assert found is not None
    assert [(one["case"], one["score"], one["scored"], one["odd"]) for one in found["cases"]] == [
        ("a", "0.250", True, "cell: missed"),
        ("a", "–", False, "cell: missed"),  # only files of the folder are read
    ]
    assert found["legend"] == [("difference", [("correct", "#f0f0f0"), ("odd", "#808080")]), ("none", [])]
    assert found["left_out"] == "1 of 3."


def test_without_pictures_there_is_none(tmp_path: Path) -> None:
    assert gallery(RunFiles(tmp_path)) is None
    _write(tmp_path, cases=[])
    assert gallery(RunFiles(tmp_path)) is None
