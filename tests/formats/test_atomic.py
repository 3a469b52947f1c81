"""Files are written atomically."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from ulna import formats
from ulna.errors import UlnaError
from ulna.formats.atomic import atomic_write, hidden, is_partial, remove_partial
from ulna.image import Image


def test_nothing_is_there_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "deeper" / "a.txt"
    with atomic_write(path) as beside:
        beside.write_text("new")
        assert not path.exists()
        assert is_partial(beside)
        assert beside.suffix == path.suffix
        assert not any(is_partial(Path(name)) for name in ("a.txt", ".hidden", "a.part-3.txt"))
    assert path.read_text() == "new"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def write_half(path: Path, raised: BaseException) -> None:
    with atomic_write(path) as beside:
        beside.write_text("half")
        raise raised


@pytest.mark.parametrize("raised", [ValueError("no"), KeyboardInterrupt()])
def test_what_was_there_stays_when_writing_fails(tmp_path: Path, raised: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(raised)):
        write_half(path, raised)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_what_killed_processes_left_can_be_removed(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b [1].tif", "c"):
        hidden(tmp_path / name).write_text("half")
    hidden(tmp_path / "d.zarr").mkdir()
    others = [".a.tif.part-kept", ".objects.csv.part-new", "a.part-3.tif", ".e.part-7.tif"]
    for name in others:
        (tmp_path / name).touch()
    remove_partial([tmp_path / name for name in ("a.nii.gz", "b [1].tif", "c", "d.zarr", "a.tif", "none/f.tif")])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


@pytest.mark.parametrize("name", ["mask.png", "mask.tif"])
def test_a_full_disk_is_said_in_plain_words(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr("ulna.formats.tiff_writer.tifffile.TiffWriter", full)
    with pytest.raises(UlnaError, match="the disk is full"):
        formats.write(tmp_path / name, Image(np.zeros((1, 3, 3), np.uint8)))
    assert not list(tmp_path.iterdir())


def write_to_the_full_device(path: Path) -> None:
    with atomic_write(path) as beside:
        beside.symlink_to("/dev/full")
        beside.write_bytes(b"x" * 100_000)


def test_a_device_that_is_really_full(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(UlnaError, match=r"cannot be written: the disk is full\nFree some space and try again\."):
        write_to_the_full_device(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(
        UlnaError,
        match=r"a\.png: cannot be written: (not a directory|file exists)\nChoose another place for the output\.",
    ):
        formats.write(tmp_path / "out" / "a.png", Image(np.zeros((1, 3, 3), np.uint8)))
    assert (tmp_path / "out").read_text() == "a file"
