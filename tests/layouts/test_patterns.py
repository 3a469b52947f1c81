"""Layouts that are stated by patterns, and what is said where no layout is recognized."""

from __future__ import annotations

from pathlib import Path

import pytest

from small_files import lay, pack, told
from ulna.config import Config, DataConfig
from ulna.errors import UlnaError
from ulna.jobs.check import check
from ulna.layouts import Patterns, find_cases, read_dataset
from ulna.source import Source


def read(place: Path, images: tuple[str, ...] = (), masks: tuple[str, ...] = ()) -> dict[str, list[str]]:
    return told(read_dataset(place, Patterns(images, masks)))


@pytest.mark.parametrize(
    ("images", "masks", "files"),
    [
        ("scans/{case}.png", "drawn/{case}_roi.png", ("scans/N.png", "drawn/N_roi.png", "drawn/N_x.png")),
        ("scans/*.png", "drawn/*_roi.png", ("scans/N.png", "drawn/N_roi.png", "drawn/N_x.png")),
        ("**/{case}.ct.png", "**/{case}.roi.png", ("p1/N.ct.png", "p1/N.roi.png")),
        ("{case}/ct.png", "{case}/roi.png", ("N/ct.png", "N/roi.png", "N/pet.png")),
        ("", "drawn/{case}_roi.png", ("scans/N.png", "drawn/N_roi.png")),
        ("scans/{case}.png", "", ("scans/N.png", "drawn/N.png")),
        ("s?/{case}.png", "./d/*/{case}.png", ("s1/N.png", "d/x/N.png")),
        ("s/*.png", "d/*/*.png", ("s/N.png", "d/x/N.png")),
        ("s/{case}.png", "d/{case}/{case}.png", ("s/N.png", "d/N/N.png", "d/N/b.png")),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_patterns_join_by_what_stands_for_the_case(
    tmp_path: Path, images: str, masks: str, files: tuple[str, ...], packed: bool
) -> None:
    names = [file.replace("N", case) for case in ("a", "b10") for file in files]
    place = lay(tmp_path / "d", *names)
    place = pack(place, tmp_path / "d.zip") if packed else place
    found = read_dataset(place, Patterns(*((one,) if one else () for one in (images, masks))))
    assert len(found.cases) == 2
    for case, name in zip(found.cases, ("a", "b10"), strict=True):
        for source, file in zip((*case.images, *case.truth), files[:2], strict=True):
            assert str(source).endswith(file.replace("N", name))
    assert "as data.images and data.masks say" in found.sentence


def test_a_class_in_the_pattern(tmp_path: Path) -> None:
    files = [f"{n}_{c}.png" for n in ("img_1", "img_1_b") for c in ("left_lung", "heart")]
    place = lay(tmp_path, "img_1.png", "img_1_b.png", *(f"m/{file}" for file in files))
    found = read_dataset(place, Patterns(("{case}.png",), ("m/{case}_{class}.png",)))
    assert [case.truth_classes for case in found.cases] == [("heart", "left_lung")] * 2
    assert [case.classes for case in found.cases] == [("heart", "left_lung")] * 2
    assert [source.name for source in found.cases[1].truth] == ["img_1_b_heart.png", "img_1_b_left_lung.png"]
    assert "one mask per class: 'heart', 'left_lung'" in found.sentence


def test_folders_tell_cases_of_one_name_apart(tmp_path: Path) -> None:
    place = lay(tmp_path, *(f"p{k}/{f}/1.png" for k in (1, 2) for f in ("ct", "roi")))
    found = read_dataset(place, Patterns(("**/ct/{case}.png",), ("**/roi/{case}.png",)))
    assert [case.truth[0].path.parent.parent.name for case in found.cases] == ["p1", "p2"]
    assert [case.name for case in found.cases] == ["p1/ct/1", "p2/ct/1"]


def test_what_fits_nothing_names_what_is_there(tmp_path: Path) -> None:
    place = lay(tmp_path, "scans/a.png", "drawn/a_roi.png")
    with pytest.raises(
        UlnaError, match=r"data\.masks: no image file fits the pattern 'drawn/\{case\}\.tif'(.|\n)*a_roi\.png"
    ):
        read(place, masks=("drawn/{case}.tif",))
    with pytest.raises(UlnaError, match=r"no image finds its mask by name: images are called 'scans/a\.png', masks"):
        read(place, ("scans/*",), ("drawn/*",))


def test_one_image_and_one_mask_in_a_folder_are_a_pair_whatever_they_are_called(tmp_path: Path) -> None:
    place = lay(tmp_path, "p1/flair.png", "p1/seg.png", "p1/t1.png", "p2/Flair_n.png", "p2/OTMulti.png")
    images, masks = ("p1/flair.png", "p2/Flair*.png"), ("p1/seg.png", "p2/OT*.png")
    found = read_dataset(place, Patterns(images, masks))
    assert {(case.images[0].name, case.truth[0].name) for case in found.cases} == {
        ("flair.png", "seg.png"),
        ("Flair_n.png", "OTMulti.png"),
    }
    assert "one of each in a folder" in found.sentence
    with pytest.raises(UlnaError, match="no image finds its mask by name"):  # two in p1, and none in p2
        read_dataset(place, Patterns(("p1/flair.png", "p1/t1.png"), ("p1/seg.png", "p2/OT*.png")))


def test_patterns_are_settings_and_predict_leaves_masks_out(tmp_path: Path) -> None:
    assert Config.parse({"data": {"masks": "x/*.png"}}).data.masks == ("x/*.png",)
    assert Config().changed({"data.images": ["a", "b"], "data.masks": None}).data.images == ("a", "b")
    place = lay(tmp_path, "scans/a.png", "scans/b.png", "drawn/a_roi.png", "drawn/b_roi.png")
    patterns = Patterns((), ("drawn/{case}_roi.png",))
    assert [case.name for case in find_cases(place, patterns=patterns)] == ["a", "b"]
    assert len(find_cases(place / "scans", patterns=patterns)) == 2
    found = check(place, changes={"data.masks": "drawn/{case}_roi.png", "data.validation": 0})
    assert [case.name for case in found.dataset.cases] == ["a"] or len(found.dataset.cases) <= 2


UNKNOWN = {
    ("images/a.png", "images/b.png", "masks/x.png", "masks/y.png"): r"2 images \('images/a\.png', .*2 masks \('masks/x",
    ("a.png", "b.png"): r"All images and nothing to go with them: 2 files \('a\.png'",
    ("masks/a.png",): "All masks and nothing to go with them",
    ("a.png", "a.json"): r"1 file \(a\.json, …\) may be annotations as JSON, but not those of labelme",
    ("Tissue Images/a.png", "Annotations/a.xml"): "annotations as XML",
    ("images.npy",): "There is no image file here",
}


@pytest.mark.parametrize("names", UNKNOWN)
def test_where_names_do_not_agree_it_says_which_were_found(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(UlnaError, match=UNKNOWN[names]) as raised:
        read_dataset(lay(tmp_path, *names))
    assert ("data.masks=" in str(raised.value)) == any(name.endswith(("png", "tif")) for name in names)


def test_the_cell_tracking_challenge_can_be_stated(tmp_path: Path) -> None:
    names = [name for k in range(2) for name in (f"01/t00{k}.png", f"01_GT/SEG/man_seg00{k}.png")]
    found = read(lay(tmp_path, *names), ("01/t{case}.png",), ("01_GT/SEG/man_seg{case}.png",))
    assert found == {f"t00{k}": [f"t00{k}.png", f"man_seg00{k}.png"] for k in range(2)}


def test_what_nan_is_read_as_goes_with_every_source(tmp_path: Path) -> None:
    place = Patterns.of(DataConfig(missing=-1)).place(tmp_path)
    assert place.missing == -1
    assert Source(tmp_path / "a.nii").like(place).missing == -1


def test_the_folder_beside_that_may_hold_the_masks_is_named(tmp_path: Path) -> None:
    lay(tmp_path / "pair", "images/a.png", "images/b.png", "masks/a.png", "masks/b.png")
    with pytest.raises(UlnaError) as caught:
        read_dataset(tmp_path / "pair" / "images")
    assert f"Beside this folder there is 'masks': give the folder that holds both, '{tmp_path / 'pair'}'" in str(
        caught.value
    )
