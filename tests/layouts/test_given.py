"""A `Dataset` that a user's own code has made is read as those of layouts are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from small_files import lay
from ulna.dataset import Case, Dataset
from ulna.errors import UlnaError
from ulna.image import Source
from ulna.layouts import Patterns, read_dataset
from ulna.layouts.given import as_given


def wells(folder: Path) -> Dataset:
    """Two wells with masks and one without."""
    lay(folder, "A/1.png", "A/1.seg.png", "B/1.png", "B/1.seg.png", "B/2.png")
    cases = []
    for image in sorted(path for path in folder.glob("*/*.png") if ".seg" not in path.name):
        mask = image.with_suffix(".seg.png")
        truth = (Source(mask),) if mask.exists() else ()
        cases.append(Case(f"{image.parent.name}{image.stem}", (Source(image),), truth, group=image.parent.name))
    return Dataset(tuple(cases), "three wells")


def test_its_cases_are_taken_as_they_are_and_those_without_masks_named(tmp_path: Path) -> None:
    made = wells(tmp_path)
    found = read_dataset(made)
    assert found.cases == made.cases[:2]
    assert found.sentence == "three wells"
    assert [(problem.what, problem.where) for problem in found.problems] == [
        ("1 image has no mask and is left out", ("B2",))
    ]


def test_a_split_of_its_own_is_said(tmp_path: Path) -> None:
    made = wells(tmp_path)
    found = read_dataset(replace(made, cases=(made.cases[0], replace(made.cases[1], part="test"))))
    assert [case.part for case in found.cases] == ["train", "test"]
    assert found.sentence == "three wells; a ready-made split: 1 for training, 1 for test, left out of training"


def test_what_is_stated_of_files_holds_where_they_do_not_say_it(tmp_path: Path) -> None:
    made = wells(tmp_path)
    own = replace(
        made.cases[1], images=(Source(Path("b.tif"), axes="YXC", spacing=(2.0, 2.0), unit="nm", missing=1.0),)
    )
    stated = Patterns(axes="CYX", spacing=(0.5, 0.5), unit="µm", missing=0.0)
    first, second = as_given(replace(made, cases=(made.cases[0], own)), stated).cases
    for source in (*first.images, *first.truth, *second.truth):
        assert (source.axes, source.spacing, source.unit, source.missing) == ("CYX", (0.5, 0.5), "µm", 0.0)
    assert second.images == own.images


def test_what_cannot_be_meant(tmp_path: Path) -> None:
    made = wells(tmp_path)
    for patterns in (Patterns(images=("*.png",)), Patterns(masks=("*.png",)), Patterns(labels="A")):
        with pytest.raises(UlnaError, match="says itself which files"):
            as_given(made, patterns)
    with pytest.raises(UlnaError, match="have one name: 'A1'"):
        as_given(replace(made, cases=(made.cases[0], made.cases[0])), Patterns())
    with pytest.raises(UlnaError, match="has no image: 'A1'"):
        as_given(replace(made, cases=(replace(made.cases[0], images=()),)), Patterns())


def test_errors_name_it_in_one_line() -> None:
    assert (str(Dataset((), "three wells")), str(Dataset((), ""))) == ("three wells", "data")
