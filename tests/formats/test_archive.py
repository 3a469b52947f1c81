"""Archives read in place, and those made to do harm."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from small_files import planes
from ulna import formats
from ulna.errors import ReadError, UlnaError
from ulna.formats.archive import Kept, members, opened
from ulna.image import Source

PNG = imagecodecs.png_encode(np.arange(12, dtype=np.uint8).reshape(3, 4))


def zipped(path: Path, files: dict[str, bytes]) -> Source:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return Source(path)


def test_members_and_their_images(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"one/": b"", "one/a.png": PNG, "b.png": PNG})
    assert members(archive) == ("one/a.png", "b.png")
    assert formats.read(Source(archive.path, ("one/a.png",))).array.shape == (1, 3, 4)


def test_a_zip_within_a_zip_is_read_in_place(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.png", PNG)
    outer = zipped(tmp_path / "outer.zip", {"stage1_train.zip": inner.getvalue()})
    source = Source(outer.path, ("stage1_train.zip", "a.png"))
    assert members(Source(outer.path, ("stage1_train.zip",))) == ("a.png",)
    assert formats.read(source).array.shape == (1, 3, 4)
    assert [entry.name for entry in tmp_path.iterdir()] == ["outer.zip"]


def test_pages_of_a_stack_within(tmp_path: Path) -> None:
    stack = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    stream = io.BytesIO()
    tifffile.imwrite(stream, stack, photometric="minisblack")
    archive = zipped(tmp_path / "a.zip", {"s.tif": stream.getvalue()})
    assert planes(Source(archive.path, ("s.tif",))) == 3
    for page in range(3):
        array = formats.read(Source(archive.path, ("s.tif",), page)).array
        np.testing.assert_array_equal(array[0], stack[page])


def test_an_archive_that_changes_is_opened_anew(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", {"a.png": PNG})
    assert members(Source(tmp_path / "a.zip")) == ("a.png",)
    zipped(tmp_path / "a.zip", {"a.png": PNG, "b.png": PNG})
    assert members(Source(tmp_path / "a.zip")) == ("a.png", "b.png")


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.png",
        "/etc/evil.png",
        "a/../../evil.png",
        "C:\\evil.png",
        "..\\x.png",
        "C:out.png",
        "images\\\\..\\\\..\\\\out.png",
    ],
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / "a.zip", {"good.png": PNG, name: PNG})
    with pytest.raises(UlnaError) as raised:
        members(archive)
    assert str(raised.value) == (
        f"{archive.path}: the archive holds '{name}', a name that leads out of it\n"
        "Such archives are made to overwrite files. Get it from a source you trust, or repack it."
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"good.png": PNG, "bomb.png": b"\0" * 2_000_000})
    declare(archive.path, "bomb.png", 3 << 30)
    with pytest.raises(UlnaError, match=r"'bomb\.png'.*3\.0 GiB: this is a bomb"):
        members(archive)


@pytest.mark.parametrize(("declared", "refused"), [(1 << 30, False), ((1 << 30) + 1, True)])
def test_below_a_gibibyte_nothing_is_a_bomb(tmp_path: Path, declared: int, refused: bool) -> None:
    archive = zipped(tmp_path / "a.zip", {"bomb.png": b"\0" * 200_000})
    declare(archive.path, "bomb.png", declared)
    if not refused:
        assert members(archive) == ("bomb.png",)
        return
    with pytest.raises(UlnaError) as caught:
        members(archive)
    with zipfile.ZipFile(archive.path) as listed:
        packed = listed.infolist()[0].compress_size
    assert str(caught.value) == (
        f"{archive.path}: the archive holds 'bomb.png', which would unpack {packed:,} bytes to 1.0 GiB: "
        "this is a bomb, not data"
    )


@pytest.mark.parametrize(("more", "refused"), [(0, False), (1, True)])
def test_what_is_packed_a_thousandfold_is_no_bomb(tmp_path: Path, more: int, refused: bool) -> None:
    archive = zipped(tmp_path / "a.zip", {"dense.png": np.random.default_rng(0).bytes(1_200_000)})
    with zipfile.ZipFile(archive.path) as listed:
        packed = listed.infolist()[0].compress_size
    declare(archive.path, "dense.png", 1000 * packed + more)
    if refused:
        with pytest.raises(UlnaError, match="this is a bomb"):
            members(archive)
    else:
        assert members(archive) == ("dense.png",)


def test_a_member_that_does_not_fit_in_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.bin": b"\0" * 3_000_000})
    monkeypatch.setattr("ulna.formats.archive.SMALL", 2_000_000)
    for free, refused in ((3_000_000, False), (2_999_999, True)):
        monkeypatch.setattr(
            "ulna.formats.archive.psutil.virtual_memory",
            lambda free=free: type("M", (), {"total": 0, "available": free}),
        )
        source = Source(archive.path, ("a.bin",))
        if refused:
            with pytest.raises(ReadError) as caught, opened(source):
                pass
            assert str(caught.value) == f"{source}: needs 2.9 MiB of memory, more than is free"
        else:
            with opened(source) as stream:
                assert len(stream.read()) == 3_000_000
    monkeypatch.setattr("ulna.formats.archive.SMALL", 3_000_000)
    with opened(source) as stream:  # of small ones nobody asks
        assert len(stream.read()) == 3_000_000


def test_a_header_that_lies_does_not_fill_the_memory(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"bomb.png": b"\0" * 300_000_000})
    declare(archive.path, "bomb.png", 100)
    with pytest.raises(ReadError, match=r"bomb\.png"):
        formats.read(Source(archive.path, ("bomb.png",)))


def declare(path: Path, name: str, size: int) -> None:
    """Change the size that the archive's directory declares for a member."""
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    data[entry + 24 : entry + 28] = size.to_bytes(4, "little")
    path.write_bytes(data)


def test_damaged_archives(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(ReadError, match="no zip archive"):
        members(Source(tmp_path / "text.zip"))
    archive = zipped(tmp_path / "cut.zip", {"a.png": PNG, "b.png": bytes(np.random.default_rng(0).bytes(5000))})
    whole = archive.path.read_bytes()
    archive.path.write_bytes(whole[:3000])
    with pytest.raises(ReadError, match=r"cut\.zip"):
        members(archive)
    flipped = bytearray(whole)
    flipped[1500] ^= 255
    archive.path.write_bytes(flipped)
    with pytest.raises(ReadError, match=r"b\.png"):
        formats.read(Source(archive.path, ("b.png",)))
    with pytest.raises(ReadError, match="no such member"):
        formats.read(Source(archive.path, ("c.png",)))
    with pytest.raises(ReadError, match="No such file"):
        members(Source(tmp_path / "absent.zip"))


def test_an_encrypted_member_is_said_to_be(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.png": PNG})
    data = bytearray(archive.path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    archive.path.write_bytes(data)
    with pytest.raises(ReadError, match="it is encrypted"):
        formats.read(Source(archive.path, ("a.png",)))


def test_a_stack_and_its_masks_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "stacks.zip"
    pixels = io.BytesIO()
    tifffile.imwrite(pixels, np.zeros((5, 8, 8), np.uint8), photometric="minisblack")
    with zipfile.ZipFile(place, "w") as zipped:
        for name in ("volume.tif", "labels.tif"):
            zipped.writestr(name, pixels.getvalue())
    unpacked: list[str] = []
    whole = formats.archive._member
    monkeypatch.setattr(formats.archive, "_member", lambda source: unpacked.append(source.name) or whole(source))
    for page in range(5):
        for name in ("volume.tif", "labels.tif"):
            assert formats.read(Source(place, (name,), page)).shape == (8, 8)
    assert sorted(unpacked) == ["labels.tif", "volume.tif"]


def stacks(folder: Path, count: int, compression: int) -> list[Source]:
    """Stacks of 3 MiB, a zip each."""
    sources = []
    for k in range(count):
        stream = io.BytesIO()
        stack = np.random.default_rng(k).integers(0, 255, (12, 512, 512), dtype=np.uint8)
        tifffile.imwrite(stream, stack, photometric="minisblack")
        with zipfile.ZipFile(folder / f"{k}.zip", "w", compression) as archive:
            archive.writestr("before.txt", "text")
            archive.writestr("s.tif", stream.getvalue())
        sources.append(Source(folder / f"{k}.zip", ("s.tif",)))
    return sources


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    """What is kept, fresh and with little room."""
    fresh = Kept()
    monkeypatch.setattr("ulna.formats.archive._KEPT", fresh)
    monkeypatch.setattr("ulna.formats.archive.MIN_KEPT", 7 << 20)
    monkeypatch.setattr(
        "ulna.formats.archive.psutil.virtual_memory", lambda: type("M", (), {"total": 0, "available": 1 << 33})
    )
    return fresh


def test_unpacked_stacks_are_kept_by_their_bytes(tmp_path: Path, kept: Kept) -> None:
    for source in stacks(tmp_path, 4, zipfile.ZIP_DEFLATED):
        expected = formats.read(source).array[0]
        for page in (0, 5):
            np.testing.assert_array_equal(formats.read(replace(source, page=page)).array[0], expected[page])
    assert 6 << 20 < kept.nbytes <= 7 << 20  # two of the four


def test_the_newest_is_kept_whatever_it_weighs(tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ulna.formats.archive.MIN_KEPT", 1)
    for source in stacks(tmp_path, 2, zipfile.ZIP_DEFLATED):
        formats.read(replace(source, page=0))
    assert 3 << 20 < kept.nbytes < 4 << 20


@pytest.mark.parametrize("inner", [False, True])
def test_large_stored_members_are_read_where_they_lie(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch, inner: bool
) -> None:
    monkeypatch.setattr("ulna.formats.archive.IN_PLACE", 1 << 20)
    (source,) = stacks(tmp_path, 1, zipfile.ZIP_STORED)
    expected = formats.read(source).array[0]
    if inner:
        with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
            archive.write(source.path, "inner.zip")
        source = Source(tmp_path / "outer.zip", ("inner.zip", "s.tif"))
    assert planes(source) == 12
    np.testing.assert_array_equal(formats.read(replace(source, page=7)).array[0], expected[7])
    np.testing.assert_array_equal(formats.read(source).array[0], expected)
    assert (kept.nbytes == 0) == (not inner)  # of two zips the outer one is read in place


def test_a_member_where_it_lies_is_a_file_like_any_other(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = np.random.default_rng(0).bytes(5000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("before.txt", "text")
        archive.writestr("a.bin", content)
        archive.writestr("after.txt", "text")
    source = Source(tmp_path / "a.zip", ("a.bin",))
    for limit, in_place in ((4999, True), (5000, False)):
        monkeypatch.setattr("ulna.formats.archive.IN_PLACE", limit)
        with opened(source) as stream:
            assert isinstance(stream, io.BytesIO) != in_place
            assert stream.readable()
            assert stream.seekable()
            assert stream.read(7) == content[:7]
            assert stream.seek(10, io.SEEK_CUR) == 17
            assert stream.read(3) == content[17:20]
            assert stream.seek(-4, io.SEEK_END) == 4996
            assert stream.read() == content[-4:]  # and nothing of what follows
            assert stream.read() == b""
            assert stream.seek(0) == 0
            assert stream.read() == content
        assert stream.closed


def test_a_stored_member_that_is_cut_off_is_an_error(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ulna.formats.archive.IN_PLACE", 1 << 20)
    (source,) = stacks(tmp_path, 1, zipfile.ZIP_STORED)
    data = bytearray(source.path.read_bytes())
    start = data.rindex(b"PK\3\4")
    data[start : start + 4] = b"junk"
    source.path.write_bytes(data)
    with pytest.raises(ReadError, match=r"s\.tif"):
        formats.read(source)


def test_what_is_used_stays_and_what_is_not_goes() -> None:
    kept = Kept()
    made: list[str] = []

    def get(name: str) -> str:
        return kept.get((name, Path(), (), 0, 0, 0), lambda: made.append(name) or (name, 200 << 40))

    assert [get(name) for name in ("a", "a", "b", "a", "a")] == ["a", "a", "b", "a", "a"]
    assert made == ["a", "b", "a"]
    assert kept.nbytes == 200 << 40


def test_a_member_that_was_replaced_is_there_once(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.png": PNG, "b.png": PNG})
    newer = imagecodecs.png_encode(np.full((5, 6), 9, np.uint8))
    with zipfile.ZipFile(archive.path, "a") as longer, pytest.warns(UserWarning, match="Duplicate name"):
        longer.writestr("a.png", newer)
    assert members(archive) == ("a.png", "b.png")
    assert formats.read(Source(archive.path, ("a.png",))).array.shape == (1, 5, 6)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ReadError, match="is a pipe"):
        formats.read(Source(tmp_path / "a.png"))
