"""Images with outlines beside them, from each program."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from roifile import ImagejRoi

from ulna.errors import UlnaError
from ulna.formats import write
from ulna.formats.outlines import coco, geojson, imagej
from ulna.formats.outlines.polygons import outlines
from ulna.image import Image
from ulna.jobs.check import check
from ulna.jobs.label_mapping import infer_truth
from ulna.layouts import find, read_dataset
from ulna.preset import settings
from ulna.truth import load_truth

SHAPE = (24, 32)


def _objects(shift: int) -> np.ndarray:
    objects = np.zeros(SHAPE, np.int32)
    objects[2:9, 2 + shift : 10 + shift], objects[2:9, 10 + shift : 16 + shift], objects[14:20, 4:12] = 1, 2, 3
    return objects


TRUTH = {f"cell_{k}": _objects(k) for k in range(4)}
CLASSES = {1: "nucleus", 2: "debris", 3: "nucleus"}


def _images(root: Path, folder: str = "") -> Path:
    rng = np.random.default_rng(0)
    for name in TRUTH:
        write(root / folder / f"{name}.png", Image(rng.integers(0, 255, (1, *SHAPE)).astype(np.uint8)))
    return root


def _put(root: Path, program: str, classes: dict[int, str]) -> Path:
    _images(root, "images" if program == "coco" else "")
    if program == "coco":
        made = [coco.CocoImage(f"{name}.png", SHAPE, list(outlines(one)), classes) for name, one in TRUTH.items()]
        (root / "annotations.json").write_bytes(coco.to_bytes(made))
    for name, one in TRUTH.items():
        if program == "imagej":
            (root / f"RoiSet_{name}.zip").write_bytes(imagej.to_bytes(outlines(one), classes))
        elif program == "geojson":
            (root / f"{name}.geojson").write_bytes(geojson.to_bytes(outlines(one), classes))
        elif program == "labelme":
            rings = [(outline.number, outline.rings[0].tolist()) for outline in outlines(one)]
            shapes = [{"label": classes.get(n, "cell"), "points": ring, "shape_type": "polygon"} for n, ring in rings]
            words = {"shapes": shapes, "imagePath": f"{name}.png", "imageHeight": SHAPE[0], "imageWidth": SHAPE[1]}
            (root / f"{name}.json").write_text(json.dumps(words))
    return root


PROGRAMS = ["imagej", "geojson", "labelme", "coco"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_objects_of_one_class(tmp_path: Path, program: str) -> None:
    dataset = read_dataset(_put(tmp_path, program, {}))
    assert [case.name for case in dataset.cases] == list(TRUTH)
    assert "the outlines of 12 objects" in dataset.sentence
    assert not dataset.problems
    classes = infer_truth(dataset.cases, settings().data, chosen=dataset.cases).classes
    for case in dataset.cases:
        labels = classes.to_labels(load_truth(case).array)
        assert labels.objects is not None
        assert (labels.objects == TRUTH[case.name]).all()
        assert (labels.classes == (TRUTH[case.name] > 0)).all()


@pytest.mark.parametrize("program", PROGRAMS)
def test_objects_of_several_classes(tmp_path: Path, program: str) -> None:
    dataset = read_dataset(_put(tmp_path, program, CLASSES))
    assert "'debris'" in dataset.sentence
    inferred = infer_truth(dataset.cases, settings().data, chosen=dataset.cases)
    assert inferred.classes.names == ("background", "debris", "nucleus")
    for case in dataset.cases:
        labels = inferred.classes.to_labels(load_truth(case).array)
        truth = TRUTH[case.name]
        assert (labels.classes == np.array([0, 2, 1, 2])[truth]).all()
        assert labels.objects is not None
        pairs = np.unique(np.stack([labels.objects.ravel(), truth.ravel()]), axis=1)
        assert pairs.shape[1] == 4  # the objects are the same, whatever their numbers


@pytest.mark.parametrize("program", PROGRAMS)
def test_check_says_what_it_found(tmp_path: Path, program: str) -> None:
    checked = check(_put(tmp_path, program, CLASSES))
    assert not checked.fatal
    assert checked.classes is not None
    assert checked.classes.numbers_objects


def test_images_without_outlines_and_what_is_no_area(tmp_path: Path) -> None:
    root = _put(tmp_path, "geojson", {})
    (root / "cell_0.geojson").unlink()
    content = json.loads((root / "cell_1.geojson").read_text())
    content["features"].append(
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}, "properties": {}}
    )
    (root / "cell_1.geojson").write_text(json.dumps(content))
    dataset = read_dataset(root)
    assert [case.name for case in dataset.cases] == ["cell_1", "cell_2", "cell_3"]
    said = " ".join(problem.what for problem in dataset.problems)
    assert "1 image has no mask" in said
    assert "no area" in said


def _said(root: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What is said of a data set: severity and places by the first words."""
    problems = read_dataset(root).problems
    return {" ".join(one.what.split()[:4]): (one.severity, one.where) for one in problems}


def test_masks_beside_the_images_count_and_outlines_are_named(tmp_path: Path) -> None:
    _images(tmp_path, "images")
    for name, one in TRUTH.items():
        write(tmp_path / "masks" / f"{name}.png", Image(one[None].astype(np.uint8)))
    (tmp_path / "images" / "cell_1.geojson").write_bytes(geojson.to_bytes(outlines(TRUTH["cell_1"]), {}))
    dataset = read_dataset(tmp_path)
    assert [len(case.truth) for case in dataset.cases] == [1] * 4
    assert all(case.truth[0].suffix == ".png" for case in dataset.cases)
    assert _said(tmp_path) == {"1 file of outlines": ("warning", ("images/cell_1.geojson",))}
    assert [case.name for case in find(tmp_path).cases] == list(TRUTH)


def test_outlines_without_an_image_or_with_several_are_named(tmp_path: Path) -> None:
    root = _put(tmp_path, "geojson", {})
    (root / "orphan.geojson").write_bytes((root / "cell_0.geojson").read_bytes())
    write(root / "other" / "cell_3.png", Image(np.zeros((1, *SHAPE), np.uint8)))
    (root / "cell_3.geojson").rename(root / "annotations.geojson")
    (root / "third").mkdir()
    (root / "annotations.geojson").rename(root / "third" / "cell_3.geojson")
    assert [case.name for case in read_dataset(root).cases] == ["cell_0", "cell_1", "cell_2"]
    said = _said(root)
    assert said["1 set of outlines"][1] == ("third/cell_3.geojson",)
    (root / "third" / "cell_3.geojson").unlink()
    assert _said(root)["1 set of outlines"] == ("warning", ("orphan.geojson",))


def test_coco_entries_without_an_image_are_named(tmp_path: Path) -> None:
    root = _put(tmp_path, "coco", {})
    (root / "images" / "cell_2.png").unlink()
    assert _said(root)["1 set of outlines"] == ("warning", ("annotations.json: cell_2.png",))


def test_a_file_without_objects_is_an_image_without_objects(tmp_path: Path) -> None:
    root = _put(tmp_path, "geojson", {})
    (root / "cell_2.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    dataset = read_dataset(root)
    assert [case.name for case in dataset.cases] == list(TRUTH)
    assert not load_truth(dataset.cases[2]).array.any()
    assert _said(root) == {"1 image is taken": ("note", ("cell_2.png",))}


def test_a_file_that_is_cut_off_and_two_of_one_image_are_fatal(tmp_path: Path) -> None:
    root = _put(tmp_path, "geojson", {})
    (root / "cell_2.geojson").write_bytes((root / "cell_2.geojson").read_bytes()[:50])
    (root / "cell_1.json").write_text(json.dumps({"shapes": [], "imagePath": "cell_1.png"}))
    said = _said(root)
    assert said["1 file of outlines"] == ("fatal", ("cell_2.geojson",))
    assert said["1 image has outlines"] == ("fatal", ("cell_1.png: cell_1.geojson, cell_1.json",))


def test_files_of_coco_named_after_the_parts_of_a_split_make_it(tmp_path: Path) -> None:
    _images(tmp_path, "images")
    made = [coco.CocoImage(f"{name}.png", SHAPE, list(outlines(one)), {}) for name, one in TRUTH.items()]
    (tmp_path / "instances_train.json").write_bytes(coco.to_bytes(made[:3]))
    (tmp_path / "instances_val.json").write_bytes(coco.to_bytes(made[3:]))
    dataset = read_dataset(tmp_path)
    assert [case.part for case in dataset.cases] == ["train", "train", "train", "validation"]
    assert "a ready-made split" in dataset.sentence


def test_names_that_may_be_classes_are_named(tmp_path: Path) -> None:
    _images(tmp_path)
    for name, one in TRUTH.items():
        found = list(outlines(one))
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for number, called in enumerate(("tumor-1", "normal-2", "tumor-3")):
                region = ImagejRoi.frompoints(found[number].rings[0].astype(int), name=called)
                archive.writestr(f"{called}.roi", region.tobytes())
    dataset = read_dataset(tmp_path)
    assert not dataset.cases[0].classes
    (problem,) = dataset.problems
    assert "'tumor-3', 'normal-2'" in problem.what


def test_damaged_outlines_and_those_of_another_image_are_errors(tmp_path: Path) -> None:
    root = _put(tmp_path, "labelme", {})
    words = json.loads((root / "cell_2.json").read_text())
    (root / "cell_2.json").write_text(json.dumps(words | {"imageWidth": 99}))
    with pytest.raises(UlnaError, match="this one is"):
        load_truth(read_dataset(root).cases[2])
    (root / "cell_2.json").write_text(json.dumps(words | {"shapes": [{"label": "a"}]}))
    with pytest.raises(UlnaError, match="damaged"):
        read_dataset(root)


def test_json_of_something_else_is_no_outline(tmp_path: Path) -> None:
    _images(tmp_path, "images")
    for name, one in TRUTH.items():
        write(tmp_path / "masks" / f"{name}.png", Image(one[None].astype(np.uint8)))
        (tmp_path / "images" / f"{name}.json").write_text('{"exposure": 3}')
    assert "outlines" not in read_dataset(tmp_path).sentence


def test_outlines_without_pixels_and_overlaps_are_said(tmp_path: Path) -> None:
    root = _put(tmp_path, "labelme", {})
    words = json.loads((root / "cell_2.json").read_text())
    for points in ([[90, 90], [95, 90], [95, 95]], [[3, 3], [12, 3], [12, 7]]):  # outside, and upon others
        words["shapes"].append({"label": "cell", "points": points, "shape_type": "polygon"})
    (root / "cell_2.json").write_text(json.dumps(words))
    said = {problem.what: problem.where for problem in check(root).problems}
    (lost,) = (what for what in said if "no pixel" in what)
    assert lost.startswith("1 outline shows no pixel")
    assert said[lost] == ("cell_2: 1 outline",)
    assert any("the later outline keeps them" in what for what in said)
    assert not any("of one object" in what for what in said)
    assert not any("no pixel" in problem.what for problem in check(_put(tmp_path / "b", "coco", {})).problems)
