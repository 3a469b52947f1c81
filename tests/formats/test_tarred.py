"""Tar archives: read where they lie or unpacked once, and what is hostile in them."""

from __future__ import annotations

import gc
import io
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ulna import formats
from ulna.errors import ReadError, UlnaError
from ulna.formats import archive, tarred
from ulna.image import Source

MODES = {"a.tar": "w", "a.tar.gz": "w:gz", "a.tgz": "w:gz", "a.tar.bz2": "w:bz2", "a.tar.xz": "w:xz"}


def pack(path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Source:
    with tarfile.open(path, MODES[path.name]) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
    return Source(path)


def tiff(value: int) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.full((4, 5), value, np.uint8))
    return stream.getvalue()


@pytest.mark.parametrize("name", MODES)
def test_members_are_read(tmp_path: Path, name: str) -> None:
    folder = tarfile.TarInfo("data")
    folder.type = tarfile.DIRTYPE
    source = pack(tmp_path / name, folder, ("./data/a.tif", tiff(3)), ("data/b.tif", tiff(7)))
    assert source.suffix == name[1:]
    assert archive.is_archive(source)
    assert archive.members(source) == ("data/a.tif", "data/b.tif")
    for member, value in (("data/a.tif", 3), ("data/b.tif", 7)):
        assert formats.read(Source(source.path, (member,))).array.max() == value
    with pytest.raises(ReadError, match="no such member"):
        formats.read(Source(source.path, ("data/c.tif",)))


def test_what_is_unpacked_goes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "room"))
    (tmp_path / "room").mkdir()
    found = tarred.open_tar(pack(tmp_path / "a.tar.gz", ("a.tif", tiff(1))), lambda name: None)
    assert list((tmp_path / "room").iterdir())
    del found
    gc.collect()
    assert not list((tmp_path / "room").iterdir())


@pytest.mark.parametrize("name", ["../a.tif", "/a.tif", "b/../../a.tif", "C:\\a.tif"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UlnaError, match="a name that leads out of it"):
        archive.members(pack(tmp_path / "a.tar", (name, b"x")))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_are_refused(tmp_path: Path, kind: bytes) -> None:
    link = tarfile.TarInfo("a.tif")
    link.type, link.linkname = kind, "b.tif"
    with pytest.raises(UlnaError, match="which is a link or a device"):
        archive.members(pack(tmp_path / "a.tar", link))


def test_members_without_their_zeros_are_refused(tmp_path: Path) -> None:
    """Their bytes are not those of the file."""
    info = tarfile.TarInfo("a.nii")
    info.pax_headers = {"GNU.sparse.map": "0,4", "GNU.sparse.size": "4096"}
    info.size = 4
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(b"head"))
    with pytest.raises(UlnaError, match="as a sparse file"):
        archive.members(Source(tmp_path / "a.tar"))


def test_damaged_archives_bombs_and_full_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack(tmp_path / "a.tar.gz", ("a.tif", tiff(1))).path.read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(data[:-20])
    (tmp_path / "c.tar").write_bytes(b"no tar at all" * 100)
    for name in ("b.tar.gz", "c.tar"):
        with pytest.raises(ReadError, match="no tar archive that can be read"):
            archive.members(Source(tmp_path / name))
    with pytest.raises(ReadError, match="a tar within an archive"):
        tarred.open_tar(Source(tmp_path / "x.zip", ("a.tar",)), lambda name: None)
    big = pack(tmp_path / "a.tar.xz", ("a.bin", bytes(4 << 20)))
    monkeypatch.setattr(tarred, "SPARE", 1 << 20)
    monkeypatch.setattr(tarred, "BOMB_RATIO", 100)
    with pytest.raises(UlnaError, match="this is a bomb"):
        archive.members(big)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(tarred, "BOMB_RATIO", 10**6)
    monkeypatch.setattr(tarred.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(ReadError, match="more than the disk holds"):
        archive.members(big)
