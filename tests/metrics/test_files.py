"""A folder of results appears whole or not at all, and what is not ours stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from ulna.errors import UlnaError, WriteError
from ulna.metrics.files import atomic_directory, check_free

FILES = ("scores.csv", "metrics.json")


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "new" / "scores", FILES) as fresh:
        (fresh / "scores.csv").write_text("1")
        assert not (tmp_path / "new" / "scores").exists()
    assert contents(tmp_path) == {"new/scores/scores.csv": "1"}
    (tmp_path / "empty").mkdir()
    with atomic_directory(tmp_path / "empty", FILES) as fresh:
        (fresh / "scores.csv").write_text("2")
    assert contents(tmp_path) == {"empty/scores.csv": "2", "new/scores/scores.csv": "1"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "new"]


@pytest.mark.parametrize("error", [ValueError("mine"), OSError(28, "No space left on device")])
def test_what_goes_wrong_leaves_all_as_it_was(tmp_path: Path, error: Exception) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    (folder / "scores.csv").write_text("old")
    raised = WriteError if isinstance(error, OSError) else ValueError

    def fail() -> None:
        with atomic_directory(folder, FILES, overwrite=True) as fresh:
            (fresh / "scores.csv").write_text("new")
            raise error

    with pytest.raises(raised, match="disk is full" if raised is WriteError else "mine"):
        fail()
    assert contents(tmp_path) == {"scores/scores.csv": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["scores"]


def test_earlier_results_are_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text("old")
    with pytest.raises(UlnaError) as caught:
        check_free(folder, FILES, overwrite=False)
    assert str(caught.value) == (
        f"{folder}: earlier results are here already (metrics.json, scores.csv)\n"
        "Name another --out, or add --overwrite (from Python overwrite=True)."
    )
    with pytest.raises(UlnaError), atomic_directory(folder, FILES):
        pass
    with atomic_directory(folder, FILES, overwrite=True) as fresh:
        (fresh / "scores.csv").write_text("new")
    assert contents(tmp_path) == {"scores/scores.csv": "new"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_not_ours_stays(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    (tmp_path / "other.txt").write_text("mine")
    with pytest.raises(UlnaError) as caught, atomic_directory(tmp_path, FILES, overwrite=overwrite):
        pass
    assert str(caught.value) == (
        f"{tmp_path}: this folder holds other things (letter.txt and 1 more), nothing was written\n"
        "Name another folder with --out."
    )
    for place in ("letter.txt", "link"):
        if place == "link":
            (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(UlnaError) as caught:
            check_free(tmp_path / place, FILES, overwrite=overwrite)
        assert str(caught.value) == f"{tmp_path / place}: this is no folder\nName a folder with --out."


def test_what_comes_into_the_folder_meanwhile_stays(tmp_path: Path) -> None:
    folder = tmp_path / "scores"

    def meanwhile() -> None:
        with atomic_directory(folder, FILES) as fresh:
            (fresh / "scores.csv").write_text("new")
            folder.mkdir()
            (folder / "letter.txt").write_text("mine")

    with pytest.raises(UlnaError, match="other things"):
        meanwhile()
    assert contents(tmp_path) == {"scores/letter.txt": "mine"}


def test_an_earlier_folder_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = tmp_path / "scores", Path.rename
    folder.mkdir()
    (folder / "scores.csv").write_text("old")

    def refused(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)

    def replace() -> None:
        with atomic_directory(folder, FILES, overwrite=True) as fresh:
            (fresh / "scores.csv").write_text("new")

    with pytest.raises(WriteError, match="cannot be written: permission denied"):
        replace()
    assert contents(tmp_path) == {"scores/scores.csv": "old"}
