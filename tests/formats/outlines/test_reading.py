"""The outlines of an image, whatever program wrote them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ulna.errors import ReadError
from ulna.formats.outlines import OutlineWriter, reading
from ulna.formats.outlines.annotation import paint
from ulna.formats.outlines.reading import decoded, holds_regions, is_outline, read_annotations
from ulna.image import Source


@pytest.fixture
def folder(objects: np.ndarray, classes: dict[int, str], tmp_path: Path) -> Path:
    """The same objects for every program."""
    writer = OutlineWriter(tmp_path, ("imagej", "geojson", "coco"))
    writer.add("a", objects, classes, image="a.png")
    writer.add("b", objects[::-1], classes, image="b.png")
    writer.close()
    square = {"label": "cell", "points": [[1, 1], [4, 1], [4, 3], [1, 3]]}
    (tmp_path / "a.json").write_text(json.dumps({"shapes": [square]}))
    return tmp_path


@pytest.mark.parametrize("inside", [False, True])
def test_each_program_is_recognized(folder: Path, objects: np.ndarray, inside: bool) -> None:
    files = {"a.zip": objects, "a.geojson": objects, "coco.json/a.png": objects, "coco.json/b.png": objects[::-1]}
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for name in ("a.zip", "a.geojson", "coco.json", "a.json"):
            archive.write(folder / name, name)
    for name, expected in files.items():
        first, *rest = name.split("/")
        source = Source(folder / "all.zip", (first, *rest)) if inside else Source(folder / first, tuple(rest))
        assert is_outline(source)
        found = read_annotations(source)
        numbers = np.array([0, 1, 2, 4, 5, 7])[paint(found.objects, expected.shape).numbers]
        np.testing.assert_array_equal(numbers, expected)
    source = Source(folder / "all.zip", ("a.json",)) if inside else Source(folder / "a.json")
    assert [one.name for one in read_annotations(source).objects] == ["cell"]


@pytest.mark.parametrize(
    ("path", "inside", "expected"),
    [
        ("a.GeoJSON", (), True),
        ("a.json", (), True),
        ("a.roi", (), True),
        ("a.ZIP", (), True),
        ("a.png", (), False),
        ("coco.json", ("a.png",), True),
        ("all.zip", ("a.png",), False),
        ("all.zip", ("coco.json", "a.png"), True),
        ("coco.json", ("b", "a.png"), False),
    ],
)
def test_which_files_are_outlines(path: str, inside: tuple[str, ...], expected: bool) -> None:
    assert is_outline(Source(Path(path), inside)) == expected


def test_what_is_of_no_program_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "other.json").write_text("{}")
    (folder / "broken.json").write_text("{")
    with pytest.raises(ReadError) as caught:
        read_annotations(Source(folder / "coco.json", ("c.png",)))
    assert str(caught.value) == f"{folder / 'coco.json'}: lists no image c.png"
    for name in ("other.json", "broken.json"):
        with pytest.raises(ReadError) as caught:
            read_annotations(Source(folder / name))
        assert str(caught.value) == (
            f"{folder / name}: this JSON is of no program that is known: QuPath (GeoJSON), labelme or COCO"
        )
    assert decoded(Source(folder / "other.json")) == {}
    assert decoded(Source(folder / "broken.json")) is None
    monkeypatch.setattr(reading, "MOST", 2)
    assert decoded(Source(folder / "other.json")) == {}
    monkeypatch.setattr(reading, "MOST", 1)
    with pytest.raises(ReadError, match=r"other\.json: is larger than files of outlines are"):
        decoded(Source(folder / "other.json"))


def test_a_zip_of_regions_and_of_nothing_else(folder: Path) -> None:
    assert holds_regions(Source(folder / "a.zip"))
    assert not holds_regions(Source(folder / "a.geojson"))
    (folder / "broken.zip").write_bytes(b"no zip")
    assert not holds_regions(Source(folder / "broken.zip"))
    for name, files in {"empty.zip": (), "mixed.zip": ("a.roi", "a.png")}.items():
        with zipfile.ZipFile(folder / name, "w") as archive:
            for file in files:
                archive.writestr(file, b"1")
        assert not holds_regions(Source(folder / name))


def test_a_coco_file_that_changes_is_read_anew(folder: Path) -> None:
    source = Source(folder / "coco.json", ("a.png",))
    count = len(read_annotations(source).objects)
    content = json.loads((folder / "coco.json").read_bytes())
    content["annotations"] = content["annotations"][1:]
    (folder / "coco.json").write_text(json.dumps(content))
    assert len(read_annotations(source).objects) == count - 1
