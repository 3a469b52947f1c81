"""Files of pixels beside a header: those that are there, and none that lead elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from ulna.formats.beside import companions


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.mhd", "NDims = 3\nElementDataFile = a.raw\n"),
        ("a.mhd", "NDims = 3\r\nElementDataFile=a.raw\r\n"),
        ("a.nhdr", "NRRD0004\ntype: short\ndata file: a.raw\n"),
        ("a.nhdr", "NRRD0004\nDataFile: a.raw"),
    ],
)
def test_the_file_that_a_header_names_belongs_to_it(tmp_path: Path, name: str, header: str) -> None:
    (tmp_path / name).write_text(header)
    assert companions(tmp_path / name) == ()  # it is not there
    (tmp_path / "a.raw").touch()
    assert companions(tmp_path / name) == (tmp_path / "a.raw",)
    assert companions(tmp_path / "a.raw") == ()


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.raw").touch()
    (tmp_path / "b" / "a.mhd").write_text("ElementDataFile = ../a.raw")
    (tmp_path / "b" / "b.mhd").write_text("ElementDataFile = LOCAL")
    assert companions(tmp_path / "b" / "a.mhd") == companions(tmp_path / "b" / "b.mhd") == ()
    assert companions(tmp_path / "b" / "none.mhd") == ()
