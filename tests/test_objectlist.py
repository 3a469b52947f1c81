"""The list of objects beside masks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ulna.errors import ReadError
from ulna.objectlist import NAME, Listed, ObjectList, write_list

OBJECTS = np.array([[0, 1, 1], [2, 2, 7]], np.int32)


def test_written_and_read(tmp_path: Path) -> None:
    listed = [Listed("a", 1, "tumor, old", 0.5), Listed("a", 2, "cell", math.nan), Listed("a", 7, "tumor, old", 1)]
    write_list(tmp_path / NAME, listed)
    lines = (tmp_path / NAME).read_text("utf-8").splitlines()
    assert lines == ["image,object,class,score", 'a,1,"tumor, old",0.5000', "a,2,cell,", 'a,7,"tumor, old",1.0000']
    for place in (tmp_path, str(tmp_path), tmp_path / "a.png", [tmp_path / "a.png", tmp_path / "b.png"]):
        indices, names = ObjectList.beside(place).classes_of("a", OBJECTS)
        assert names == ("background", "tumor, old", "cell")
        assert indices.tolist() == [[0, 1, 1], [2, 2, 1]]


def test_what_is_not_listed_is_an_object(tmp_path: Path) -> None:
    assert ObjectList.beside(tmp_path) == ObjectList()
    indices, names = ObjectList({"a": {1: "cell"}}).classes_of("a", OBJECTS)
    assert names == ("background", "cell", "object")
    assert indices.tolist() == [[0, 1, 1], [2, 2, 2]]
    assert ObjectList().classes_of("b", OBJECTS * 0)[1] == ("background", "object")


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "image,object,class\na,x,cell\n", "image,object,class\na,1,c\na,1,d\n"]
)
def test_no_such_list(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    if not text:
        assert ObjectList.read(tmp_path / NAME) == ObjectList()
        return
    with pytest.raises(ReadError):
        ObjectList.read(tmp_path / NAME)
