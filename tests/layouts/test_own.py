"""What ulna wrote into a folder is listed there, and left out and named later."""

from __future__ import annotations

import json
from pathlib import Path

from small_files import lay, told
from ulna.image import Source
from ulna.layouts import read_dataset
from ulna.layouts.own import MARK, classes_of, file_of, images_of, is_own, makers_of, mark, masks_in, own_files


def test_lists_grow_and_hold_paths_within_the_folder(tmp_path: Path) -> None:
    mark(tmp_path, {"p1/a.png": "/images/p1/a.tif"}, ["overlays/p1/a.png"])
    mark(tmp_path, {"b.png": "", "p1/a.png": ""}, [])
    words = json.loads((tmp_path / MARK).read_text("utf-8"))
    assert words == {
        "written by": "ulna predict",
        "masks": ["b.png", "p1/a.png"],
        "pictures": ["overlays/p1/a.png"],
        "classes": {},
        "by": {},
        "images": {},  # the one of the first time is not that of the second
    }
    mark(tmp_path, {"b.png": "", "c.png": ""}, [], by={"b.png": "x"})
    mark(tmp_path, {"c.png": ""}, [], by={"c.png": "y"})
    assert makers_of(tmp_path) == {"b.png": "x", "c.png": "y"}
    mark(tmp_path, {"b.png": "", "c.png": ""}, [], by={"c.png": "z"})
    assert makers_of(tmp_path) == {"c.png": "z"}  # what made the other is not known any more
    (tmp_path / MARK).write_text(json.dumps(words))
    assert own_files(tmp_path, [MARK]) == {tmp_path / name for name in ("b.png", "p1/a.png", "overlays/p1/a.png")}
    assert own_files(tmp_path, [MARK], masks=True) == {tmp_path / "overlays/p1/a.png"}
    assert own_files(tmp_path, ["b.png"]) == set()
    assert is_own(tmp_path / "p1" / "a.png", tmp_path)
    assert not is_own(tmp_path / "p1" / "a.png", tmp_path / "p1")
    assert not is_own(tmp_path / "c.png", tmp_path)


def test_a_mark_that_is_none_of_ours_marks_nothing(tmp_path: Path) -> None:
    for text in ("{}", "[1]", "no json", '{"masks": 1, "pictures": []}'):
        (tmp_path / MARK).write_text(text)
        assert own_files(tmp_path, [MARK]) == set()


def test_pictures_of_check_and_evaluate_go_with_their_records() -> None:
    folder = Path("d")
    assert own_files(folder, ["check.json", "a.png"]) == {folder / "samples.png", folder / "joined.png"}
    assert own_files(folder, ["metrics.json", "scores.csv"]) == {folder / "cases.png"}
    assert own_files(folder, ["metrics.json", "cases.png"]) == set()
    measured = {folder / name for name in ("sizes.png", "objects.png", "counts.csv", "table.parquet")}
    assert own_files(folder, ["table.csv", "sizes.png", "objects.png"]) == measured
    assert own_files(folder, ["table.csv", "objects.png"]) == set()


def test_a_data_set_says_what_was_left_out_and_passed_over(tmp_path: Path) -> None:
    place = lay(tmp_path, "images/a.png", "masks/a.png", "images/old/a.png")
    mark(tmp_path / "images" / "old", {"a.png": ""}, [])
    for name in ("images/b.xyz", "images/c", "README", "images/a.json"):
        (tmp_path / name).write_text("?")
    found = read_dataset(place)
    assert told(found) == {"a": ["a.png", "a.png"]}
    passed, left = found.problems
    assert passed.what == "2 files of formats that are not read (.xyz, without suffix) passed over"
    assert (passed.where, passed.severity) == (("images/b.xyz", "images/c"), "warning")
    assert left.what.startswith("1 file that 'ulna predict' wrote left out")
    assert (left.where, left.severity) == (("images/old/a.png",), "note")


def test_a_folder_that_two_links_lead_to_is_there_twice(tmp_path: Path) -> None:
    lay(tmp_path / "store", "images/0.png", "masks/0.png", "images/1.png", "masks/1.png")
    (tmp_path / "data").mkdir()
    for name in ("site1", "site2"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "store", target_is_directory=True)
    (tmp_path / "store" / "images" / "up").symlink_to(tmp_path / "data", target_is_directory=True)
    found = read_dataset(tmp_path / "data")
    own = [case for case in found.cases if "up" not in str(case.images[0])]
    assert [case.name for case in own] == [f"site{s}/images/{k}" for s in (1, 2) for k in (0, 1)]
    assert all(str(case.images[0].path).count("site1") <= 1 for case in found.cases)


def test_the_images_of_masks_are_known_where_they_are_files_of_their_own(tmp_path: Path) -> None:
    here = Source(tmp_path / "a.tif")
    assert file_of([here]) == file_of([Source(here.path, page=3)]) == str(here.path)
    odd = [
        Source(here.path, inside=("a.tif",)),
        Source(here.path, files=("a.dcm", "b.dcm")),
        Source(here.path, scene=1),
    ]
    assert {file_of([one]) for one in odd} | {file_of([here, here]), file_of([])} == {""}
    (tmp_path / "a.png").touch()
    mark(tmp_path, {"a.png": file_of([here]), "gone.png": ""}, [])
    assert masks_in(tmp_path) == (tmp_path / "a.png",)
    assert images_of(tmp_path) == {"a.png": str(here.path)}
    assert images_of(tmp_path / "nowhere") == {}


def test_the_classes_of_masks_are_those_of_the_last_prediction(tmp_path: Path) -> None:
    mark(tmp_path, {"p1/a.png": "", "b.png": ""}, [], classes={1: "liver", 7: "spleen"})
    mark(tmp_path, {"c.png": ""}, [])
    masks = [tmp_path / name for name in ("p1/a.png", "b.png", "c.png", "d.png")]
    (tmp_path / "p1").mkdir()
    assert classes_of(masks) == {mask: {1: "liver", 7: "spleen"} for mask in masks[:2]}
    mark(tmp_path, {"b.png": ""}, [])  # objects, this time
    assert list(classes_of(masks)) == masks[:1]
    assert classes_of([tmp_path.parent / "elsewhere.png"]) == {}
