"""Files of one class each that show one object each, or number the objects of their class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ulna import formats
from ulna.dataset import Dataset
from ulna.image import Array, Image
from ulna.jobs.check import check
from ulna.layouts import Patterns, read_dataset
from ulna.truth import load_truth

NAMES = ("p0", "p1", "p2", "p3", "p4", "p5")


def _objects(seed: int) -> dict[str, Array]:
    """Squares of two classes, some of them touching each other; each class numbers its own from 1."""
    draw = np.random.default_rng(seed)
    found = {name: np.zeros((48, 48), np.uint8) for name in ("stroma", "tumor")}
    for y in range(0, 48, 8):
        for x in range(0, 48, 8):
            if draw.random() < 0.5:
                of_it = found[str(draw.choice(list(found)))]
                of_it[y : y + draw.integers(4, 9), x : x + draw.integers(4, 9)] = of_it.max() + 1
    return found


TRUTH = {name: _objects(seed) for seed, name in enumerate(NAMES)}


def _write(path: Path, array: Array) -> None:
    formats.write(path, Image(array[None]))


def _images(root: Path, image: str) -> Path:
    for seed, name in enumerate(NAMES):
        noise = np.random.default_rng(seed).integers(0, 256, (48, 48)).astype(np.uint8)
        _write(root / image.format(n=name), noise)
    return root


def _check(found: Dataset) -> None:
    """Every object is one, of its class, and no two of them are the same."""
    assert [case.name for case in found.cases] == list(NAMES)
    for case in found.cases:
        labels = load_truth(case).array[0]
        for k, of_class in enumerate(TRUTH[case.name].values(), start=1):
            np.testing.assert_array_equal(labels // 1_000_000 == k, of_class > 0)
            pairs = {(int(a), int(b)) for a, b in zip(labels[of_class > 0], of_class[of_class > 0], strict=True)}
            assert len(pairs) == len({a for a, _ in pairs}) == of_class.max()


NUMBERED = {
    "a folder each": ("images/{n}.png", "masks/{c}/{n}.png"),
    "beside the image": ("{n}.png", "{n}_{c}.png"),
    "beside the image, with a word for masks": ("{n}.png", "{n}_mask_{c}.png"),
    "in a folder of masks": ("images/{n}.png", "masks/{n}_{c}.tif"),
    "in a case's folder": ("{n}/images/{n}.png", "{n}/masks/{c}.png"),
}


@pytest.mark.parametrize("layout", NUMBERED)
def test_files_that_number_the_objects_of_a_class(tmp_path: Path, layout: str) -> None:
    image, mask = NUMBERED[layout]
    for n, truth in TRUTH.items():
        for c, of_class in truth.items():
            _write(tmp_path / mask.format(n=n, c=c), of_class)
    found = read_dataset(_images(tmp_path, image))
    assert found.sentence == "6 images with one mask per class, whose values number objects: 'stroma', 'tumor'"
    assert not found.problems
    _check(found)


ONE_EACH = {
    "a folder for each class": ("images/{n}.png", "masks/{c}/{n}_{k}.png"),
    "beside the image": ("{n}.png", "{n}_mask_{c}_{k}.png"),
    "in a case's folder": ("{n}/images/{n}.png", "{n}/masks/{c}_{k}.png"),
    "in a case's folder, a folder for each class": ("{n}/images/{n}.png", "{n}/masks/{c}/{k}.png"),
    "a folder for each class and in it one for each image": ("images/{n}.png", "masks/{c}/{n}/{k}.png"),
    "a folder for each image and in it one for each class": ("images/{n}.png", "masks/{n}/{c}/{k}.png"),
}


@pytest.mark.parametrize("layout", ONE_EACH)
def test_files_of_one_object_of_a_class(tmp_path: Path, layout: str) -> None:
    image, mask = ONE_EACH[layout]
    count = 0
    for n, truth in TRUTH.items():
        for c, of_class in truth.items():
            for k in range(1, int(of_class.max()) + 1):
                _write(tmp_path / mask.format(n=n, c=c, k=k), (of_class == k).astype(np.uint8) * 255)
                count += 1
    found = read_dataset(_images(tmp_path, image))
    assert f"{count} masks, one file per object, of the classes 'stroma', 'tumor'" in found.sentence
    _check(found)


def test_files_of_one_object_in_a_folder_that_has_the_image_s_name(tmp_path: Path) -> None:
    for n, truth in TRUTH.items():
        for k in range(1, int(truth["tumor"].max()) + 1):
            _write(tmp_path / "masks" / n / f"{k}.png", (truth["tumor"] == k).astype(np.uint8))
    found = read_dataset(_images(tmp_path, "images/{n}.png"))
    assert "one file per object" in found.sentence
    for case in found.cases:
        labels = load_truth(case).array[0]
        np.testing.assert_array_equal(labels > 0, TRUTH[case.name]["tumor"] > 0)
        assert len(np.unique(labels)) == 1 + TRUTH[case.name]["tumor"].max()


def test_stated_classes_of_numbered_objects(tmp_path: Path) -> None:
    for n, truth in TRUTH.items():
        for c, of_class in truth.items():
            _write(tmp_path / f"drawn/{c}-{n}.png", of_class)
    place = _images(tmp_path, "scans/{n}.png")
    found = read_dataset(place, Patterns(("scans/{case}.png",), ("drawn/{class}-{case}.png",)))
    assert found.sentence.endswith("one mask per class, whose values number objects: 'stroma', 'tumor'")
    _check(found)


def test_what_check_says_of_objects_with_classes(tmp_path: Path) -> None:
    for n, truth in TRUTH.items():
        for c, of_class in truth.items():
            _write(tmp_path / f"masks/{c}/{n}.tif", of_class)
    place = _images(tmp_path, "images/{n}.png")
    found = check(place)
    assert found.classes.names == ("background", "stroma", "tumor")
    assert found.classes.numbers_objects
    assert "  objects: true" in found.classes.yaml()  # the lines say the same if they are set
    total = sum(int(of_class.max()) for truth in TRUTH.values() for of_class in truth.values())
    assert found.facts["objects"].startswith(f"{total} in all")
    for name in NAMES:  # the nuclei of a tumor's cells: rings are left of these
        tumor = TRUTH[name]["tumor"]
        _write(place / f"masks/nucleus/{name}.tif", np.where(ndimage.minimum_filter(tumor, 3), tumor, 0))
    said = [problem.what for problem in check(place).problems]
    assert any("'nucleus' lies within 'tumor' in 6 images" in what and "have holes there" in what for what in said)


def test_a_class_without_numbers_beside_one_with_numbers(tmp_path: Path) -> None:
    for n, truth in TRUTH.items():
        _write(tmp_path / f"masks/tumor/{n}.tif", truth["tumor"])
        _write(tmp_path / f"masks/stroma/{n}.tif", (truth["stroma"] > 0).astype(np.uint8) * 255)
    (problem,) = read_dataset(_images(tmp_path, "images/{n}.png")).problems
    assert problem.severity == "warning"
    assert "the masks of 'stroma' do not number their objects" in problem.what
    assert len(problem.where) == 6


def test_other_values_of_a_class_are_named(tmp_path: Path) -> None:
    """Grades within a class are no objects, and are lost."""
    y, x = np.indices((48, 48))
    for shift, n in enumerate(NAMES):
        graded = np.select([(y < 20 + shift) & (x < 40), x < 40], [1, 2], 0).astype(np.uint8)
        _write(tmp_path / f"masks/tumor/{n}.png", graded)
        _write(tmp_path / f"masks/stroma/{n}.png", (x >= 40).astype(np.uint8))
    found = read_dataset(_images(tmp_path, "images/{n}.png"))
    assert not found.cases[0].objects
    (problem,) = found.problems
    assert "masks of one class hold several values, which are taken for the same" in problem.what
    assert problem.where == tuple(f"masks/tumor/{n}.png" for n in NAMES)


def test_files_of_classes_hold_no_values_to_ignore(tmp_path: Path) -> None:
    for n, truth in TRUTH.items():
        for c, of_class in truth.items():
            _write(tmp_path / f"masks/{c}/{n}.png", of_class)
    place = _images(tmp_path, "images/{n}.png")
    found = check(place, changes={"data.ignore": [255]})
    assert found.fatal
    assert "data.ignore names values of masks, but here files or lists say" in found.problems[0].what


def test_a_value_that_seems_not_annotated_is_named(tmp_path: Path) -> None:
    """255 along borders, as PASCAL VOC has it, beside 1."""
    for n, truth in TRUTH.items():
        for c, of_class in truth.items():
            shown = (of_class > 0).astype(np.uint8)
            edge = ndimage.binary_dilation(shown) & (shown == 0)
            _write(tmp_path / f"masks/{c}/{n}.png", np.where(edge, 255, shown).astype(np.uint8))
    found = read_dataset(_images(tmp_path, "images/{n}.png"))
    assert any("255, which seems to mean 'not annotated' and is taken for the class" in p.what for p in found.problems)


def test_classes_alone_where_that_is_stated(tmp_path: Path) -> None:
    for n, truth in TRUTH.items():
        for c, of_class in truth.items():
            _write(tmp_path / f"masks/{c}/{n}.png", of_class)
    found = check(_images(tmp_path, "images/{n}.png"), changes={"data.objects": False})
    assert found.classes.names == ("background", "stroma", "tumor")
    assert not found.classes.numbers_objects
