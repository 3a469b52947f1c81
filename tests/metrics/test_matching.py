"""Masks find their cases by name: plain, with folders, with endings, in archives and stacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.image import Source
from ulna.metrics.matching import match


def _case(name: str, image: str, truth: str = "") -> Case:
    return Case(name, (Source(Path(image)),), (Source(Path(truth)),) if truth else ())


def _masks(*paths: str) -> list[Source]:
    return [Source(Path(path)) for path in paths]


def _found(cases: list[Case], masks: list[Source]) -> dict[str, str]:
    return {name: str(mask) for name, mask in match(cases, masks, where="masks").items()}


def test_by_the_name_of_the_image():
    cases = [_case("a", "data/images/a.jpg", "data/masks/a.png"), _case("b", "data/images/b.jpg")]
    assert _found(cases, _masks("out/b.png", "out/a.png", "out/c.png")) == {
        "a": "out/a.png",
        "b": "out/b.png",
    }


@pytest.mark.parametrize("ending", ["_mask", "-labels", "_pred", " GT", "_Segmentation", "_seg", "_prediction"])
def test_usual_endings_may_differ(ending):
    cases = [_case("p/x_1", "data/p/x_1.tif", "data/p/x_1_mask.tif"), _case("p/x_11", "data/p/x_11.tif")]
    masks = _masks(f"out/x_1{ending}.png", f"out/x_11{ending}.png")
    assert _found(cases, masks) == {"p/x_1": str(masks[0]), "p/x_11": str(masks[1])}


def test_folders_tell_equal_names_apart():
    cases = [_case("p1/001", "data/p1/001.png"), _case("p2/001", "data/p2/001.png")]
    masks = _masks("out/p2/001.png", "out/p1/001.png")
    assert _found(cases, masks) == {"p1/001": "out/p1/001.png", "p2/001": "out/p2/001.png"}
    with pytest.raises(UlnaError, match="belong to two cases, p1/001 and p2/001"):
        match(cases, _masks("out/001.png"), where="out")
    with pytest.raises(UlnaError, match="several masks could belong to the case a"):
        match([_case("a", "data/a.png")], _masks("out/x/a.png", "out/y/a.png"), where="out")


def test_pictures_in_folders_below_do_not_confuse():
    masks = _masks("out/overlays/a.png", "out/a.png")
    assert _found([_case("a", "data/a.png")], masks) == {"a": "out/a.png"}


def test_archives_and_pages():
    zipped = Source(Path("d/stage1.zip"), ("abc/images/abc.png",))
    objects = tuple(Source(Path("d/stage1.zip"), (f"abc/masks/{k}.png",)) for k in range(3))
    case = Case("abc", (zipped,), objects, objects=True)
    assert _found([case], _masks("out/0.png", "out/abc.png")) == {"abc": "out/abc.png"}
    pages = [Source(Path("data/train-volume.tif"), page=page) for page in range(3)]
    cases = [Case(page.stem, (page,)) for page in pages]
    stack = [Source(Path("out/train-volume.tif"), page=page) for page in range(3)]
    assert match(cases, stack, where="out") == {page.stem: mask for page, mask in zip(pages, stack, strict=True)}


def test_all_that_are_missing_are_named():
    cases = [_case(f"case{k}", f"data/case{k}.png") for k in range(30)]
    with pytest.raises(UlnaError, match=r"29 of 30 cases have no mask here: case1, case2, .*case20 and 9 more") as told:
        match(cases, _masks("out/case0.png"), where="out")
    assert "case0.png" in told.value.hint


def test_accents_and_double_suffixes_may_differ():
    cases = [_case("Schnitt \u00e4", "data/Schnitt \u00e4.png"), _case("b", "data/b.ome.tif")]
    masks = _masks("out/Schnitt a\u0308.png", "out/b.ome.tif")
    assert _found(cases, masks) == {"Schnitt \u00e4": str(masks[0]), "b": str(masks[1])}
    assert _found(cases, _masks("out/Schnitt a\u0308_cp_masks.png", "out/b_Simple Segmentation.tif")).keys() == {
        case.name for case in cases
    }
    pages = [Source(Path("data/v.ome.tif"), page=page) for page in range(2)]
    stack = [Case(f"v_{page.page:04d}", (page,)) for page in pages]
    masks = [Source(Path("out/v.tif"), page=page) for page in range(2)]
    assert list(match(stack, masks, where="out").values()) == masks


def test_folders_within_an_archive_tell_equal_names_apart():
    cases = [_case(f"{folder}/001", f"data/p1/{folder}/001.png") for folder in "xy"]
    masks = [Source(Path("out.zip"), (f"p1/{folder}/001.png",)) for folder in "yx"]
    assert match(cases, masks, where="out") == {"x/001": masks[1], "y/001": masks[0]}


def test_a_folder_of_images_and_masks_gives_its_masks():
    """Two annotators, each with all files."""
    cases = [_case(name, f"A/images/{name}.png", f"A/masks/{name}.png") for name in "abc"]
    others = _masks(*(f"B/{kind}/{name}.png" for kind in ("images", "masks") for name in "abc"))
    assert _found(cases, others) == {name: f"B/masks/{name}.png" for name in "abc"}
