"""Files of runs that were stopped, damaged, or written by hand."""

from __future__ import annotations

import base64
from pathlib import Path

from ulna.runfiles import RunFiles, as_list, inner


def test_what_is_there_is_read_and_what_is_not_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"x": {"y": [1]}}')
    (tmp_path / "a.csv").write_text("name,value\na,1\nb,2\n")
    (tmp_path / "a.txt").write_bytes(b"one\ntw\xff\n")
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    run = RunFiles(tmp_path)
    assert run.record("a.json") == {"x": {"y": [1]}}
    assert run.table("a.csv") == [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]
    assert run.text("a.txt").encode("utf-8", "surrogateescape") == b"one\ntw\xff\n"
    assert base64.b64decode(run.picture("a.png")) == b"\x89PNG"
    assert (run.record("b.json"), run.table("b.csv"), run.text("b.txt"), run.picture("b.png")) == ({}, [], "", "")
    assert run.faults == []


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name, content in {"a.json": b"{", "list.json": b"[1]", "a.txt": b"a\0b", "a.csv": b"\xff\xfe"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.txt").mkdir()
    run = RunFiles(tmp_path)
    assert run.record("a.json") == run.record("list.json") == {}
    assert run.text("a.txt") == run.text("folder.txt") == ""
    assert run.table("a.csv") == []
    assert [fault.partition(" ")[0] for fault in run.faults] == ["a.json", "list.json", "a.txt", "folder.txt", "a.csv"]
    assert run.faults[1] == "list.json could not be read: it holds no names and values"
    assert run.faults[2] == "a.txt could not be read: it is no text"


def test_what_should_be_a_list_or_a_dictionary() -> None:
    assert [as_list(value) for value in (None, "", "a", [1, 2], (1,), 0)] == [[], [], ["a"], [1, 2], [1], []]
    record = {"a": {"b": {"c": 1}}, "d": 2}
    assert inner(record, "a", "b") == {"c": 1}
    assert inner(record) == record
    assert inner(record, "a", "x") == inner(record, "d") == inner(record, "d", "e") == {}
