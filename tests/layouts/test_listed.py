"""Masks that number objects, with a list that says the class of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ulna.classfiles import with_classes
from ulna.errors import UlnaError
from ulna.formats import write
from ulna.image import Image
from ulna.jobs.check import check
from ulna.jobs.evaluate import evaluate
from ulna.layouts import read_dataset
from ulna.truth import load_truth

CLASSES = {"a": {1: "tumor", 2: "cell"}, "b": {1: "cell", 300: "cell"}, "c": {7: "tumor"}}


def _put(root: Path, *, masks: str = "masks/{}.tif") -> Path:
    for seed, (name, classes) in enumerate(CLASSES.items()):
        noise = np.random.default_rng(seed).integers(0, 256, (1, 24, 24)).astype(np.uint8)
        write(root / "images" / f"{name}.png", Image(noise))
        numbers = np.zeros((1, 24, 24), np.uint16)
        for k, number in enumerate(classes):
            numbers[0, 8 * k : 8 * k + 6, 3 : 9 + seed] = number
        write(root / masks.format(name), Image(numbers))
    return root


def _list(path: Path, classes: dict[str, dict[int, str]] = CLASSES) -> None:
    lines = [f"{name},{number},{of}" for name, own in classes.items() for number, of in own.items()]
    path.write_text("\n".join(["image,object,class", *lines]))


def test_each_object_has_its_class_and_its_number(tmp_path: Path) -> None:
    _list(_put(tmp_path) / "masks/objects.csv")
    found = read_dataset(tmp_path)
    assert found.sentence.endswith("; objects.csv says the class of each object: 'cell', 'tumor'")
    there = {case.name: np.unique(load_truth(case).array).tolist() for case in found.cases}
    assert there == {"a": [0, 1_000_002, 2_000_001], "b": [0, 1_000_001, 1_000_300], "c": [0, 2_000_007]}
    seen = check(tmp_path)
    assert seen.classes.names == ("background", "cell", "tumor")
    assert seen.facts["objects"] == "5 in all, 1 to 2 per image"
    assert not seen.fatal
    scores = evaluate(tmp_path / "masks", tmp_path, out=tmp_path / "scores")
    assert scores.summary.primary == "ap"
    assert [case.score("ap_90") for case in scores.cases] == [1, 1, 1]
    alone = evaluate(tmp_path / "masks", tmp_path / "masks", out=tmp_path / "s")  # true masks without images
    assert alone.classes == ("background", "cell", "tumor")


def test_classes_are_those_of_a_model(tmp_path: Path) -> None:
    _list(_put(tmp_path) / "masks/objects.csv")
    cases = read_dataset(tmp_path).cases
    moved = with_classes(cases, ("background", "blood", "cell", "tumor"))
    assert np.unique(load_truth(moved[0]).array).tolist() == [0, 2_000_002, 3_000_001]
    (single, *_) = with_classes(cases, ("background", "object"))
    assert np.unique(load_truth(single).array).tolist() == [0, 1, 2]
    with pytest.raises(UlnaError, match="shows the class 'tumor', the classes are background, cell, blood"):
        with_classes(cases, ("background", "cell", "blood"))


def test_objects_that_are_not_listed_are_fatal(tmp_path: Path) -> None:
    _list(_put(tmp_path) / "masks/objects.csv", CLASSES | {"b": {1: "cell"}})
    found = check(tmp_path)
    (problem,) = [one for one in found.problems if one.severity == "fatal"]
    assert problem.where == ("b: objects.csv does not list 1 object of this mask: 300",)


def test_a_list_of_something_else(tmp_path: Path) -> None:
    (_put(tmp_path) / "masks/objects.csv").write_text("a,b\n1,2\n")
    (problem,) = read_dataset(tmp_path).problems
    assert "objects.csv is not read: it is no list of objects with the columns" in problem.what
    (tmp_path / "masks/objects.csv").rename(tmp_path / "objects.csv")  # of the data set, maybe
    assert not read_dataset(tmp_path).problems
    _list(tmp_path / "objects.csv", {"other": {1: "cell"}})
    assert not any(case.classes for case in read_dataset(tmp_path).cases)
