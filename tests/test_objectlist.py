"""The list of objects beside masks."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ulna.errors import ReadError, UlnaError
from ulna.image import Source
from ulna.objectlist import NAME, Journal, Listed, ObjectLists, class_indices, class_maps, read_list, write_list

OBJECTS = np.array([[0, 1, 1], [2, 2, 7]], np.int32)


def test_written_and_read(tmp_path: Path) -> None:
    listed = [
        Listed("a", 1, "tumor, old", 0.5),
        Listed("x/a.b", 2, "cell", math.nan),
        Listed("a", 7, "tumor, old", 1.0),
    ]
    write_list(tmp_path / NAME, listed)
    lines = (tmp_path / NAME).read_text("utf-8").splitlines()
    assert lines == ["image,object,class,score", 'a,1,"tumor, old",0.5000', "x/a.b,2,cell,", 'a,7,"tumor, old",1.0000']
    assert str(read_list(Source(tmp_path / NAME))) == str(tuple(listed))


def test_a_mask_is_found_in_the_list_beside_it_or_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_list(tmp_path / NAME, [Listed("x/a.b", 1, "cell", 1), Listed("a", 2, "debris", 1)])
    (tmp_path / "x").mkdir()
    lists = ObjectLists()
    assert lists.classes(Source(tmp_path / "x" / "a.b.tif")) == {1: "cell"}
    assert lists.classes(Source(tmp_path / "a.png", page=3)) == {2: "debris"}
    assert lists.classes(Source(tmp_path / "a.nii.gz")) == {2: "debris"}
    assert lists.classes(Source(tmp_path / "x" / "c.png")) == {}
    monkeypatch.chdir(tmp_path / "x")
    assert ObjectLists().classes(Source(Path("a.b.png"))) == {1: "cell"}
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.write(tmp_path / NAME, f"masks/{NAME}")
    assert lists.classes(Source(tmp_path / "m.zip", ("masks/x/a.b.tif",))) == {1: "cell"}


def test_no_list_at_all(tmp_path: Path) -> None:
    assert ObjectLists().classes(Source(tmp_path / "a.png")) is None


def test_what_is_not_listed_is_an_object() -> None:
    indices, names = class_maps(OBJECTS, {1: "cell"})
    assert names == ("background", "cell", "object")
    assert indices.tolist() == [[0, 1, 1], [2, 2, 2]]
    assert class_maps(OBJECTS * 0, {})[1] == ("background", "object")
    with pytest.raises(UlnaError, match="255 classes"):
        class_maps(np.arange(256), {number: str(number) for number in range(256)})


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "image,object,class\na,x,cell\n", "image,object,class\na,1,c\na,1,d\n", "\xff\xfe"]
)
def test_no_such_list(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_bytes(text.encode("latin-1"))
    lists = ObjectLists()
    assert lists.classes(Source(tmp_path / "x" / "a.png")) is None  # somebody's file further up
    with pytest.raises(ReadError, match="list"):
        lists.classes(Source(tmp_path / "a.png"))


def test_an_empty_list(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("")
    assert read_list(Source(tmp_path / NAME)) == ()


def test_classes_in_the_order_of_a_data_set() -> None:
    names = ("background", "cell", "tumor")
    objects = np.array([[0, 1, 1], [2, 2, 70_000]], np.int32)
    listed = {1: "tumor", 2: "cell", 70_000: "tumor", 9: "lymph"}
    assert class_indices(objects, listed, names).tolist() == [[0, 2, 2], [1, 1, 2]]
    assert not class_indices(objects * 0, {}, names).any()
    with pytest.raises(UlnaError, match=r"objects\.csv does not list 2 objects of this mask: 2, 70000"):
        class_indices(objects, {1: "cell"}, names)
    with pytest.raises(UlnaError, match="are of the class 'lymph', the classes are background, cell, tumor"):
        class_indices(np.array([[9]]), listed, names)


def test_what_a_killed_process_has_listed_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write_list(path, [Listed("a", 1, "cell", 0.5), Listed("b", 1, "cell", 0.5)])
    first = Journal(path)
    first.add("b", [Listed("b", 1, "debris", 0.25), Listed("b", 2, "cell", math.nan)])
    first.add("c, d", [])
    first.add("e", [Listed("e", 7, "cell", 1.0)])
    with first.place.open("a") as file:
        file.write("e,8,ce")  # killed while it wrote
    Journal(path).close()
    found = {(one.image, one.number): (one.name, one.score) for one in read_list(Source(path))}
    assert found.pop(("b", 2))[0] == "cell"
    assert found == {("a", 1): ("cell", 0.5), ("b", 1): ("debris", 0.25), ("e", 7): ("cell", 1.0)}
    assert [place.name for place in tmp_path.iterdir()] == [NAME]


def test_an_image_that_is_predicted_again_has_its_new_objects_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / NAME)
    journal.add("a", [Listed("a", 1, "cell", 0.5), Listed("a", 2, "cell", 0.5)])
    journal.add("a", [Listed("a", 2, "cell", 0.75)])
    journal.close()
    assert read_list(Source(tmp_path / NAME)) == (Listed("a", 2, "cell", 0.75),)


def test_processes_share_a_journal(tmp_path: Path) -> None:
    one, other = Journal(tmp_path / NAME), Journal(tmp_path / NAME)
    one.add("a", [Listed("a", 1, "cell", 0.5)])
    other.add("b", [Listed("b", 1, "cell", 0.5)])
    one.close()
    other.add("c", [Listed("c", 1, "cell", 0.5)])
    other.close()
    assert [listed.image for listed in read_list(Source(tmp_path / NAME))] == ["a", "b", "c"]


def test_a_journal_that_was_cut_off_within_a_letter_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / NAME)
    journal.add("a", [Listed("a", 1, "kör", 0.5)])
    with journal.place.open("ab") as file:
        file.write("a,2,kö".encode()[:-1])
    journal.close()
    assert read_list(Source(tmp_path / NAME)) == (Listed("a", 1, "kör", 0.5),)


@pytest.mark.parametrize("create", [True, False])
def test_a_list_of_no_objects_is_written_where_objects_were_looked_for(tmp_path: Path, create: bool) -> None:
    journal = Journal(tmp_path / NAME)
    journal.add("a", [])
    journal.close(create=create)
    assert (tmp_path / NAME).exists() == create
