"""Evaluation as it is used: masks in files or from a model, truth in any layout, and what is refused."""

from __future__ import annotations

import csv
import importlib
import io
import json
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import pytest
import tifffile
from rich.console import Console

from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.figures.results import Comparison
from ulna.image import Grid, Image, Labels
from ulna.jobs import scoring
from ulna.jobs.evaluate import evaluate
from ulna.jobs.evaluation import FILES
from ulna.labels.classes import Classes
from ulna.layouts import read_dataset
from ulna.model import load

SHAPES = {"a": (40, 52), "b": (48, 40), "c": (33, 47), "d": (64, 64)}


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(array).save(path)


def _discs(shape: tuple[int, int], *, shift: int = 0) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return ((y - 18) ** 2 + (x - 20 - shift) ** 2 < 100).astype(np.uint8)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A data set of four images of noise, and predicted masks that are shifted by 0, 1, 2 and 3 pixels."""
    rng = np.random.default_rng(0)
    for shift, (name, shape) in enumerate(SHAPES.items()):
        _save(tmp_path / f"data/images/{name}.png", rng.integers(0, 255, shape, dtype=np.uint8))
        _save(tmp_path / f"data/masks/{name}.png", _discs(shape) * 255)
        _save(tmp_path / f"predicted/{name}.png", _discs(shape, shift=shift) * 255)
    return tmp_path


def _dice(shift: int, shape: tuple[int, int]) -> float:
    a, b = _discs(shape) > 0, _discs(shape, shift=shift) > 0
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_masks_in_a_folder_against_a_data_set(place):
    found = evaluate(place / "predicted", place / "data", out=place / "scores")
    expected = [_dice(shift, shape) for shift, shape in enumerate(SHAPES.values())]
    assert [case.dice for case in found.cases] == pytest.approx(expected)
    assert found.summary.overall.scores["dice"].mean.estimate == pytest.approx(np.mean(expected))
    assert sorted(file.name for file in (place / "scores").iterdir()) == sorted(FILES)
    with (place / "scores/scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == list("abcd")
    assert [float(row["dice"]) for row in rows] == pytest.approx(expected)
    assert sorted(file.name for file in (place / "scores/gallery").iterdir()) == [
        *(f"{number:03d}.jpg" for number in range(1, 5)), "gallery.json",
    ]  # fmt: skip
    words = json.loads((place / "scores/metrics.json").read_text())
    assert "confusion" not in words  # of one class
    assert words["overall"]["dice"]["mean"] == pytest.approx(np.mean(expected))
    assert (words["cases"], words["groups"]) == (4, 4)
    with PIL.Image.open(place / "scores/cases.png") as picture:
        assert picture.width > 1000
    assert not [file for file in place.iterdir() if file.name.startswith(".")]


def test_how_a_model_predicts_can_be_stated(run, cells, place):
    stated = {"inference.mirror": True}
    found = evaluate(run, cells, out=place / "stated", changes=stated)
    same = evaluate(load(run).changed(stated), cells, out=place / "same")
    plain = evaluate(run, cells, out=place / "plain")
    assert [case.dice for case in found.cases] == [case.dice for case in same.cases]
    assert [case.dice for case in found.cases] != [case.dice for case in plain.cases]
    with pytest.raises(UlnaError, match=r"inference\.mirror says how a model predicts, and these masks are not made"):
        evaluate(place / "predicted", place / "data", out=place / "scores", changes=stated)


def test_it_prints_itself(place):
    console = Console(width=120, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as captured:
        console.print(evaluate(place / "predicted", place / "data", out=place / "scores [1]"))
    text = captured.get()
    assert "4 images in 4 groups" in text
    assert "scores [1]" in text
    assert f"{np.mean([_dice(s, shape) for s, shape in enumerate(SHAPES.values())]):.3f}" in text
    each = ", ".join(f"{name} {_dice(shift, shape):.3f}" for shift, (name, shape) in enumerate(SHAPES.items()))
    assert f"4 groups are too few: an interval needs 5. Mean Dice of each group: {each}" in " ".join(text.split())


def test_a_bare_folder_of_true_masks(place):
    found = evaluate(place / "predicted", place / "data/masks", out=place / "scores")
    assert [case.name for case in found.cases] == list("abcd")
    assert found.cases[0].dice == 1


def test_the_same_scores_from_a_function_a_model_and_files(place):
    dataset = read_dataset(place / "data")
    masks = {name: _discs(shape, shift=k) for k, (name, shape) in enumerate(SHAPES.items())}

    def predict(image: Image) -> Image:
        return image.with_array(masks[image.source.stem][None], ("background", "disc"))

    classes = Classes(("background", "disc"), ((0,), (255,)), "binary", "Values: 255 is disc.")

    class Fake:
        def __init__(self) -> None:
            self.channels = 0
            self.classes = classes
            self.predict = predict

    by_function = evaluate("run", dataset, out=place / "s1", predict=predict, classes=classes)
    by_model = evaluate(Fake(), place / "data", out=place / "s2")
    by_files = evaluate(place / "predicted", dataset, out=place / "s3", classes=classes)
    for name in ("scores.csv", "cases.png", "metrics.json"):
        contents = {(place / out / name).read_bytes() for out in ("s1", "s2", "s3")}
        assert len(contents) == 1, name
    assert by_function.summary == by_model.summary == by_files.summary


def test_a_modality_is_not_dropped_as_if_it_were_alpha(place):
    dataset = read_dataset(place / "data")
    doubled = [replace(case, images=(*case.images, *case.truth)) for case in dataset.cases]

    class OneChannel:
        channels = 1
        classes = Classes(("background", "disc"), ((0,), (255,)), "binary", "Values: 255 is disc.")

        def predict(self, image: Image) -> Image:
            return image.with_array(np.zeros((1, *image.shape), np.uint8), ("background", "disc"))

    with pytest.raises(UlnaError, match="2 channels, the network takes 1"):
        evaluate(OneChannel(), replace(dataset, cases=tuple(doubled)), out=place / "scores")


@pytest.mark.parametrize("cases", [["b", "d"], "list"])
def test_some_cases_only(place, cases):
    (place / "test.txt").write_text("b\n\nd\n")
    chosen = place / "test.txt" if cases == "list" else cases
    found = evaluate(place / "predicted", place / "data", out=place / "scores", cases=chosen)
    assert [case.name for case in found.cases] == ["b", "d"]


def test_tiles_of_one_picture_are_one_group(place):
    rng = np.random.default_rng(1)
    _save(place / "data/images/d.png", rng.integers(0, 255, SHAPES["d"], dtype=np.uint8))
    with PIL.Image.open(place / "data/images/d.png") as image:
        image.save(place / "data/images/e.png")
    _save(place / "data/masks/e.png", _discs(SHAPES["d"]) * 255)
    _save(place / "predicted/e.png", _discs(SHAPES["d"]) * 255)
    found = evaluate(place / "predicted", place / "data", out=place / "scores")
    groups = {case.name: case.group for case in found.cases}
    assert groups["d"] == groups["e"]
    assert (found.summary.cases, found.summary.groups) == (5, 4)
    dataset = read_dataset(place / "data")
    named = replace(dataset, cases=tuple(replace(case, group="one") for case in dataset.cases))
    taken = evaluate(place / "predicted", named, out=place / "other")
    assert taken.summary.groups == 1


def test_masks_may_say_it_with_other_values(place):
    for name, shape in SHAPES.items():
        _save(place / f"ones/{name}_pred.png", _discs(shape))
    found = evaluate(place / "ones", place / "data", out=place / "scores")
    assert found.summary.overall.scores["dice"].mean.estimate == 1
    assert "Of the predicted masks: Masks hold 0 and 1" in found.notes[-1]


def to_text(printed: object) -> str:
    """What is shown on a wide terminal."""
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(printed)
    return console.export_text()


def _touching(*, merged: bool) -> np.ndarray:
    """Two squares that touch, numbered 1 and 2 or merged, and a third."""
    numbers = np.zeros((40, 40), np.uint16)
    numbers[5:15, 5:15], numbers[5:15, 15:25], numbers[25:35, 5:15] = 1, 1 if merged else 2, 3
    return numbers


def test_objects_are_scored_by_the_measures_of_their_task(tmp_path):
    """Of merged squares (200 pixels) none matches a true one: its IoU is .5."""
    rng = np.random.default_rng(0)
    for name, merged in (("a", False), ("b", True)):
        _save(tmp_path / f"data/images/{name}.png", rng.integers(0, 255, (40, 40), dtype=np.uint8))
        _save(tmp_path / f"data/masks/{name}.png", _touching(merged=False))
        _save(tmp_path / f"predicted/{name}.png", _touching(merged=merged))
    changes = {"task.name": "instances", "data.values": [[0], ["other"]]}
    found = evaluate(tmp_path / "predicted", tmp_path / "data", out=tmp_path / "scores", changes=changes)
    assert found.summary.primary == "ap"
    assert [case.score("ap_50") for case in found.cases] == [1, 1 / 4]
    assert [case.dice for case in found.cases] == [1, 1]
    with (tmp_path / "scores/scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["ap_50"], row["dice"]) for row in rows] == [("a", "1.0", "1.0"), ("b", "0.25", "1.0")]
    assert [row["merged"] for row in rows] == ["0.0", str(2 / 3)]
    assert "Of 6 true objects 4 were found" in to_text(found)
    again = evaluate(
        tmp_path / "predicted", tmp_path / "data", out=tmp_path / "s", changes={"data.values": [[0], ["other"]]}
    )
    assert again.summary.primary == "ap"  # both sides number their objects
    assert not any("connected pieces" in note for note in found.notes)
    binary = {"task.name": "instances", "data.values": [[0], ["1..255"]]}
    parted = evaluate(tmp_path / "predicted", tmp_path / "data", out=tmp_path / "u", changes=binary)
    assert "The true masks do not number their objects: connected pieces are taken for objects." in parted.notes
    changes["task.name"] = "semantic"
    semantic = evaluate(tmp_path / "predicted", tmp_path / "data", out=tmp_path / "t", changes=changes)
    assert semantic.summary.primary == "dice"
    assert not any(row.measure == "ap_50" for row in semantic.rows)


def _two_classes(tmp_path: Path, *, number: bool) -> None:
    """Four images with a file per class, which numbers its objects or not; the same objects predicted in one file."""
    rng = np.random.default_rng(0)
    for k, name in enumerate("abcd"):
        numbers = np.zeros((40, 40), np.uint8)
        for n in range(6 + k):
            y, x = 12 * (n // 3), 12 * (n % 3)
            numbers[y : y + 6 + n % 2, x : x + 8] = n + 1
        _save(tmp_path / f"data/images/{name}.png", rng.integers(0, 255, (40, 40), dtype=np.uint8))
        for parity, of_class in enumerate(("cell", "debris")):
            own = np.where((numbers > 0) & (numbers % 2 == parity), (numbers + 1) // 2, 0)
            _save(tmp_path / f"data/masks/{of_class}/{name}.png", (own if number else (own > 0) * 255).astype(np.uint8))
        _save(tmp_path / f"predicted/{name}.png", numbers)


def _list(tmp_path: Path, lines: Sequence[str] = ()) -> None:
    every = [f"{name},{n},{('cell', 'debris')[n % 2]}," for k, name in enumerate("abcd") for n in range(1, 7 + k)]
    (tmp_path / "predicted/objects.csv").write_text("\n".join(["image,object,class,score", *(lines or every)]))


@pytest.mark.parametrize("number", [True, False])
def test_masks_that_number_objects_of_several_classes(tmp_path, number):
    """`objects.csv` says the class of each object, whatever the true masks are like; without it nothing does."""
    _two_classes(tmp_path, number=number)
    with pytest.raises(UlnaError, match=r"these masks number objects, and nothing says .*: cell, debris") as error:
        evaluate(tmp_path / "predicted", tmp_path / "data", out=tmp_path / "s")
    assert "Put objects.csv" in error.value.hint
    _list(tmp_path)
    found = evaluate(tmp_path / "predicted", tmp_path / "data", out=tmp_path / "s")
    assert found.classes == ("background", "cell", "debris")
    assert found.summary.primary == ("ap" if number else "dice")
    assert [case.dice for case in found.cases] == [1] * 4
    if number:
        assert [case.score("ap_90") for case in found.cases] == [1] * 4
    assert any("objects.csv says the class of each" in note for note in found.notes)
    _list(tmp_path, ["a,1,cell,"])
    with pytest.raises(UlnaError, match=r"objects\.csv does not list 5 objects of this mask: 2, 3, 4"):
        evaluate(tmp_path / "predicted", tmp_path / "data", out=tmp_path / "t", cases=["a"])
    assert not (tmp_path / "t").exists()


def test_class_indices_are_whole_numbers_of_the_classes(place):
    classes = Classes(("background", "disc"), ((0,), (255,)), "binary", "Values: 255 is disc.")
    for array, what in (
        (256 * np.ones((1, 40, 52), np.int32), "values from 256"),
        (np.full((1, 40, 52), 0.7), "whole"),
    ):
        with pytest.raises(UlnaError, match=what):
            evaluate(
                "run", place / "data", out=place / "s", classes=classes, cases=["a"],
                predict=lambda image, array=array: image.with_array(array, ("background", "disc")),
            )  # fmt: skip


def test_volumes_are_scored_as_a_whole(tmp_path):
    rng = np.random.default_rng(0)
    truth = np.stack([_discs((40, 40), shift=k) for k in range(5)]) * 255
    (tmp_path / "data").mkdir()
    (tmp_path / "out").mkdir()
    tifffile.imwrite(tmp_path / "data/train-volume.tif", rng.integers(0, 255, truth.shape, dtype=np.uint8))
    tifffile.imwrite(tmp_path / "data/train-labels.tif", truth)
    tifffile.imwrite(tmp_path / "out/train-volume.tif", truth)
    found = evaluate(tmp_path / "out", tmp_path / "data", out=tmp_path / "scores")
    assert [case.dice for case in found.cases] == [1]
    assert found.summary.groups == 1
    assert found.summary.overall.scores["hd95"].mean.estimate == 0
    assert "one group" in " ".join(found.summary.left_out())
    assert found.summary.overall.scores["dice"].mean.group_values == (("train-volume", 1.0),)


def test_empty_masks_are_named(place):
    for name in "ab":
        _save(place / f"data/masks/{name}.png", np.zeros(SHAPES[name], np.uint8))
    _save(place / "predicted/a.png", np.zeros(SHAPES["a"], np.uint8))
    found = evaluate(place / "predicted", place / "data", out=place / "scores")
    assert [case.states["foreground"] for case in found.cases] == [
        "empty, predicted empty", "false positive", "scored", "scored",
    ]  # fmt: skip
    with (place / "scores/scores.csv").open(newline="") as file:
        assert [row["dice"] for row in csv.DictReader(file)][:2] == ["", "0.0"]
    assert found.summary.overall.scores["dice"].mean.cases == 3


def _lose(place: Path) -> None:
    (place / "predicted/b.png").unlink()
    (place / "predicted/d.png").unlink()


def _resize(place: Path) -> None:
    _save(place / "predicted/c.png", _discs((20, 20)) * 255)


def _confuse(place: Path) -> None:
    _save(place / "predicted/c.png", np.arange(33 * 47, dtype=np.uint8).reshape(33, 47))


def _truncate(place: Path) -> None:
    path = place / "predicted/c.png"
    path.write_bytes(path.read_bytes()[:60])


def _occupy(place: Path) -> None:
    (place / "scores").mkdir()
    (place / "scores/thesis.txt").write_text("precious")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_lose, "2 of 4 cases have no mask here: b, d"),
        (_resize, r"c: the mask is 20 × 20 pixels, the truth 33 × 47"),
        (_confuse, "c.png"),
        (_truncate, "c.png"),
        (_occupy, "holds other things \\(thesis.txt\\)"),
    ],
    ids=["missing", "size", "values", "truncated", "foreign folder"],
)
def test_bad_masks_are_refused_and_nothing_is_written(place, spoil: Callable[[Path], None], words):
    spoil(place)
    before = sorted(str(path) for path in place.rglob("*"))
    with pytest.raises(UlnaError, match=words):
        evaluate(place / "predicted", place / "data", out=place / "scores")
    assert sorted(str(path) for path in place.rglob("*")) == before


def test_a_true_mask_that_is_none_is_named(place):
    (place / "data/masks/c.png").unlink()
    tifffile.imwrite(place / "data/masks/c.tif", _discs(SHAPES["c"]) / np.float32(2))
    for known in (None, Classes(("background", "disc"), ((0,), (255,)), "binary", "")):
        with pytest.raises(UlnaError, match=r"^c: the mask holds numbers that are not whole, like 0\.5"):
            evaluate(place / "predicted", place / "data", out=place / "scores", classes=known)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have names of proper Unicode only")
def test_a_name_that_is_no_proper_text_is_written(place):
    for folder in ("data/images", "data/masks", "predicted"):
        (place / folder / "b.png").rename(place / folder / "b\udcff.png")
    evaluate(place / "predicted", place / "data", out=place / "scores")
    assert r"b\udcff" in (place / "scores/scores.csv").read_text("utf-8")


def test_earlier_scores_are_replaced_only_where_this_is_asked_for(place):
    evaluate(place / "predicted", place / "data", out=place / "scores", cases=["a"])
    earlier = (place / "scores/metrics.json").read_bytes()
    with pytest.raises(
        UlnaError, match=r"earlier results are here already \(cases.png, gallery, metrics.json, scores.csv\)"
    ) as said:
        evaluate(place / "predicted", place / "data", out=place / "scores")
    assert "--overwrite" in said.value.hint
    assert (place / "scores/metrics.json").read_bytes() == earlier
    evaluate(place / "predicted", place / "data", out=place / "scores", overwrite=True)
    assert json.loads((place / "scores/metrics.json").read_text())["cases"] == 4
    with pytest.raises(UlnaError):
        evaluate(place / "nowhere", place / "data", out=place / "scores", overwrite=True)
    assert json.loads((place / "scores/metrics.json").read_text())["cases"] == 4
    (place / "scores/notes.txt").write_text("precious")
    with pytest.raises(UlnaError, match="holds other things"):
        evaluate(place / "predicted", place / "data", out=place / "scores", overwrite=True)
    (place / "empty").mkdir()
    evaluate(place / "predicted", place / "data", out=place / "empty")
    assert sorted(file.name for file in (place / "empty").iterdir()) == sorted(FILES)


def test_scores_that_appear_meanwhile_are_not_replaced(place):
    """Two evaluations into one folder: the later one finds the folder taken when it is done."""

    def progress(cases: Sequence[Case], _: str) -> Iterable[Case]:
        yield from cases
        if _ == "scoring":
            evaluate(place / "predicted", place / "data", out=place / "scores", cases=["a"])

    with pytest.raises(UlnaError, match="earlier results are here"):
        evaluate(place / "predicted", place / "data", out=place / "scores", progress=progress)
    assert json.loads((place / "scores/metrics.json").read_text())["cases"] == 1


@pytest.mark.parametrize("count", [1, 4])
def test_every_case_is_predicted_once(place, count):
    calls: list[str] = []

    def predict(image: Image) -> Image:
        calls.append(image.source.stem)
        return image.with_array(_discs(image.shape)[None], ("background", "disc"))

    classes = Classes(("background", "disc"), ((0,), (255,)), "binary", "Values: 255 is disc.")
    cases = list(SHAPES)[:count]
    evaluate("run", place / "data", out=place / "scores", predict=predict, classes=classes, cases=cases)
    assert sorted(calls) == cases


def test_what_is_pictured_is_what_was_scored(place, monkeypatch):
    """The masks of the picture, worst first, although each was made only once."""
    shown: list[Comparison] = []
    monkeypatch.setattr(
        importlib.import_module("ulna.jobs.evaluate"),
        "results_picture",
        lambda path, rows, classes: [shown.extend(rows), path.touch()],
    )
    evaluate(place / "predicted", place / "data", out=place / "scores")
    assert [row.title.split(" —")[0] for row in shown] == ["worst: d", "median: c", "best: a"]
    for row, name, shift in zip(shown, "dca", (3, 2, 0), strict=True):
        np.testing.assert_array_equal(row.mask[0], _discs(SHAPES[name], shift=shift))
        np.testing.assert_array_equal(row.truth[0], _discs(SHAPES[name]))
        assert row.image.shape == (1, *SHAPES[name])


def test_scores_are_columns_and_a_data_frame(place, monkeypatch):
    found = evaluate(place / "predicted", place / "data", out=place / "scores")
    with (place / "scores/scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = found.columns()
    assert list(table) == list(rows[0])
    assert table["case"] == list("abcd")
    assert table["dice"] == [float(row["dice"]) for row in rows]
    assert len(found.rows) == 4 * 10  # per case nine of the class, and the pixel accuracy
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=lambda columns: ("frame", columns)))
    assert found.to_pandas() == ("frame", table)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UlnaError, match="pandas is not installed") as said:
        found.to_pandas()
    assert "pip install pandas" in said.value.hint


def test_in_python_and_jupyter(place):
    found = evaluate(place / "predicted", place / "data", out=place / "scores <b>")
    assert "\n" not in repr(found)
    assert repr(found).startswith("<Evaluation: 4 images in 4 groups, Dice 0.9")
    assert "Means over 4 images in 4 groups" in str(found)
    html = found._repr_html_()
    assert html.startswith("<pre")
    assert "Means over 4 images in 4 groups" in html
    assert "<b>" not in html
    assert "scores &lt;b&gt;" in html


def test_one_case_and_two_thousand(tmp_path):
    def dataset(count: int) -> Path:
        folder = tmp_path / str(count)
        _save(folder / "truth/0.png", _discs((40, 40)) * 255)
        for k in range(1, count):
            (folder / f"truth/{k}.png").write_bytes((folder / "truth/0.png").read_bytes())
        return folder / "truth"

    one = evaluate(dataset(1), tmp_path / "1/truth", out=tmp_path / "one")
    assert (one.summary.cases, one.summary.groups) == (1, 1)
    assert "one group alone" in str(one)
    many = evaluate(dataset(2000), tmp_path / "2000/truth", out=tmp_path / "many")
    assert many.summary.cases == many.summary.groups == 2000
    assert "all groups have the same value" in str(many)


def test_nothing_but_empty_masks(place):
    for name, shape in SHAPES.items():
        _save(place / f"data/masks/{name}.png", np.zeros(shape, np.uint8))
        _save(place / f"predicted/{name}.png", np.zeros(shape, np.uint8))
    classes = Classes(("background", "disc"), ((0,), (255,)), "binary", "Values: 255 is disc.")
    found = evaluate(place / "predicted", place / "data", out=place / "scores", classes=classes)
    assert found.summary.overall.scores["dice"].mean.cases == 0
    assert "4 masks empty and predicted empty" in str(found)
    assert "–" in repr(found)
    assert found.summary.overall.scores["accuracy"].mean.estimate == 1
    with PIL.Image.open(place / "scores/cases.png") as picture:
        assert picture.width > 1000


def test_what_is_named_wrongly_is_said(place):
    with pytest.raises(UlnaError, match="no case or group 'x'"):
        evaluate(place / "predicted", place / "data", out=place / "scores", cases=["x"])
    with pytest.raises(UlnaError, match="list of cases cannot be read"):
        evaluate(place / "predicted", place / "data", out=place / "scores", cases=place / "no.txt")
    with pytest.raises(UlnaError, match="is no folder"):
        evaluate(place / "predicted", place / "data", out=place / "data/images/a.png")
    (place / "empty").mkdir()
    with pytest.raises(UlnaError, match="no mask here"):
        evaluate(place / "empty", place / "data", out=place / "scores")
    with pytest.raises(UlnaError, match="classes are not known"):
        evaluate(place / "predicted", place / "data", out=place / "scores", predict=lambda image: image)
    assert not (place / "scores").exists()


def test_three_classes_of_real_cells(data, tmp_path):
    dataset = read_dataset(data / "segmentation_wbc.zip")
    few = replace(dataset, cases=dataset.cases[:14])
    classes = Classes(("background", "cytoplasm", "nucleus"), ((0,), (128,), (255,)), "classes", "0, 128 and 255.")

    def bright(image: Image) -> Image:
        gray = image.array.mean(axis=0, keepdims=True)
        return image.with_array(np.where(gray < 120, 255, np.where(gray < 170, 128, 0)).astype(np.uint8))

    found = evaluate("thresholds", few, out=tmp_path / "scores", predict=bright, classes=classes)
    assert [part.name for part in found.summary.classes] == ["cytoplasm", "nucleus"]
    overall = found.summary.overall.scores["dice"]
    assert 0.2 < overall.mean.low < overall.mean.estimate < overall.mean.high < 1
    nucleus = found.summary.classes[1].scores["dice"].mean.estimate
    assert overall.mean.estimate == pytest.approx((nucleus + found.summary.classes[0].scores["dice"].mean.estimate) / 2)


def test_the_tally_by_group_is_shown_where_it_differs(place):
    dataset = read_dataset(place / "data")
    paired = replace(
        dataset, cases=tuple(replace(case, group="ab" if case.name in "ab" else "cd") for case in dataset.cases)
    )
    console = Console(width=140)
    with console.capture() as captured:
        console.print(evaluate(place / "predicted", paired, out=place / "scores"))
    assert "Dice with all pixels of a group together, mean over groups: 0." in captured.get()


def test_where_the_wrong_pixels_lie_is_counted_printed_and_written(place):
    console = Console(width=140)
    with console.capture() as captured:
        console.print(evaluate(place / "predicted", place / "data", out=place / "scores"))
    wrong = sum(int((_discs(shape) != _discs(shape, shift=shift)).sum()) for shift, shape in enumerate(SHAPES.values()))
    words = json.loads((place / "scores/metrics.json").read_text())["wrong_pixels"]
    assert words["outline"] + words["other"] == wrong  # discs moved by up to three pixels: along the outline
    assert words["outline"] > 0.8 * wrong
    assert words["sentence"] in captured.get()
    assert "within 2 pixels of a true outline" in words["sentence"]


def test_classes_are_those_of_all_true_masks_whatever_is_picked(place):
    """The one that is picked lacks a class, its predicted mask does not."""
    for name in SHAPES:
        _save(place / f"data/masks/{name}.png", _discs(SHAPES[name]) * 128 + _discs(SHAPES[name], shift=10) * 127)
    _save(place / "data/masks/a.png", _discs(SHAPES["a"]) * 128)
    _save(place / "predicted/a.png", _discs(SHAPES["a"]) * 128 + _discs(SHAPES["a"], shift=10) * 127)
    found = evaluate(place / "predicted", place / "data", out=place / "scores", cases=["a"])
    assert found.classes == ("background", "class 1 (127)", "class 2 (128)", "class 3 (255)")
    (place / "data/masks/d.png").write_bytes(b"")  # not picked: its fault is not asked for
    found = evaluate(place / "predicted", place / "data", out=place / "again", cases=["a"])
    assert found.cases[0].name == "a"


def test_truth_that_is_written_in_another_way_than_the_model_writes(place):
    """Trained on 0 and 255 with soft edges, judged on 0 and 1: not all background."""
    classes = Classes(("background", "foreground"), (("0..127",), ("128..255",)), "binary", "as it was trained")
    for name, shape in SHAPES.items():
        _save(place / f"data/masks/{name}.png", _discs(shape))

    def predict(image: Image) -> Image:
        return image.with_array(_discs(image.shape)[None], classes.names)

    found = evaluate("unused", place / "data", out=place / "scores", predict=predict, classes=classes)
    assert [case.dice for case in found.cases] == [1.0] * 4
    assert any("Of the true masks" in note for note in found.notes)


def test_classes_are_called_as_the_model_calls_them(place):
    """The files of the true masks, 0 and 1, name no class."""
    classes = Classes(("background", "nucleus"), ((0,), (255,)), "binary", "as it was trained")
    for name, shape in SHAPES.items():
        _save(place / f"data/masks/{name}.png", _discs(shape))
    found = evaluate(place / "predicted", place / "data", out=place / "scores", classes=classes)
    assert found.classes == ("background", "nucleus")
    assert [part.name for part in found.summary.classes] == ["nucleus"]
    assert set(found.columns()["class"]) == {"nucleus"}


def test_the_command_replaces_scores_when_told(place, cli):
    command = ["evaluate", str(place / "predicted"), str(place / "data"), "--out", str(place / "scores")]
    assert cli(*command).code == 0
    refused = cli(*command)
    assert refused.code == 2
    assert "--overwrite" in refused.err
    assert cli(*command, "--overwrite").code == 0


def test_images_that_a_run_learned_from_are_said_to_flatter(run, cells, tmp_path):
    learned = (run / "train.txt").read_text().split()
    kept = (run / "validation.txt").read_text().split()
    found = evaluate(run, cells, out=tmp_path / "all")
    assert f"{len(learned)} of these 8 images are images that the model was trained on" in " ".join(found.notes)
    found = evaluate(run, cells, out=tmp_path / "kept", cases=kept)
    assert "trained on" not in " ".join(found.notes)
    assert f"{len(kept)} of these {len(kept)} images are validation images" in " ".join(found.notes)


@pytest.mark.parametrize("foreground", [1, 255])
def test_pixels_that_are_not_annotated_are_in_no_score(place, foreground):
    """Truth of 0, 1 and 255 (not annotated); predicted masks hold 0 and 1, or 0 and 255, and mean the same."""
    ignored = {name: np.indices(shape)[1] < 20 for name, shape in SHAPES.items()}
    for shift, (name, shape) in enumerate(SHAPES.items()):
        _save(place / f"data/masks/{name}.png", np.where(ignored[name], 255, _discs(shape)).astype(np.uint8))
        _save(place / f"predicted/{name}.png", _discs(shape, shift=shift) * foreground)
    found = evaluate(place / "predicted", place / "data", out=place / "scores")
    for shift, ((name, shape), case) in enumerate(zip(SHAPES.items(), found.cases, strict=True)):
        truth, mask = _discs(shape)[~ignored[name]] > 0, _discs(shape, shift=shift)[~ignored[name]] > 0
        assert case.dice == pytest.approx(2 * (truth & mask).sum() / (truth.sum() + mask.sum()))
        assert case.errors.total == (truth != mask).sum()
    assert "255 is not annotated" in " ".join(found.notes)
    assert "ignore" not in " ".join(found.notes)
    assert "If it is a class, set:\ndata:\n" in " ".join(found.notes)


def test_a_run_is_loaded_where_it_is_said(run: Path, cells: Path, tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match="Known: cpu, cuda, mps"):
        evaluate(run, cells, out=tmp_path / "a", device="gpu")
    with pytest.raises(UlnaError, match="only a run or a model file"):
        evaluate(cells / "masks", cells, out=tmp_path / "a", device="cpu")
    assert evaluate(run, cells, out=tmp_path / "b", device="cpu", cases=["cells_000"]).rows


def test_masks_of_no_case_are_named(place):
    _save(place / "predicted/other.png", _discs((40, 40)) * 255)
    notes = evaluate(place / "predicted", place / "data", out=place / "scores").notes
    assert "1 of 5 masks belong to no case with a true mask and are not scored: other.png" in notes
    chosen = evaluate(place / "predicted", place / "data", out=place / "some", cases=["a"]).notes
    assert not [note for note in chosen if "not scored" in note]


def test_masks_of_another_pixel_size_are_not_scored() -> None:
    classes, case = np.zeros((20, 20), np.uint8), Case("a", ())
    found, truth = (Labels(classes, grid=Grid((20, 20), (side, side), "µm")) for side in (0.5, 0.25))
    scoring._check_shape(case, found, found)
    with pytest.raises(UlnaError, match="different places"):
        scoring._check_shape(case, found, truth)


def test_membranes_are_scored_by_the_cells_that_they_part(place, cli) -> None:
    out, halves = place / "scores", _discs(SHAPES["d"]) * 255
    halves[18] = 0
    _save(place / "predicted/d.png", halves)
    done = cli("evaluate", place / "predicted", place / "data", "--out", out, "--set", "task.borders=background")
    assert done.code == 0, done.err
    with (out / "scores.csv").open() as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert float(rows["a"]["rand"]) == float(rows["a"]["information"]) == 1
    assert 0.5 < float(rows["d"]["rand"]) < 0.8
    overall = json.loads((out / "metrics.json").read_text())
    assert overall["primary"]["measure"] == "dice"
    assert overall["overall"]["rand"]["mean"] == pytest.approx(np.mean([float(row["rand"]) for row in rows.values()]))
    assert "Rand" in done.out


def test_what_a_model_was_asked_for_is_scored(run: Path, cells: Path, tmp_path: Path) -> None:
    model = load(run)
    asked = replace(
        model, saved=replace(model.saved, config=model.config.changed({"task.borders": model.classes.names[1]}))
    )
    assert "rand" in evaluate(asked, cells, out=tmp_path / "scores").summary.measures


@pytest.mark.parametrize("axes", ["RAS", "LAS", "SPR"])
@pytest.mark.parametrize("listed", [False, True])
def test_volumes_are_scored_in_their_unit_whatever_the_order_of_their_axes(tmp_path, axes, listed):
    """One plane of 2 mm apart; the class of each object may be in a list."""
    truth = np.zeros((20, 24, 12), np.uint8)
    truth[4:12, 5:15, 3:8], truth[14:18, 5:10, 2:9] = 1, 2
    image = 60 * truth.astype(np.int16) + np.random.default_rng(0).integers(0, 40, truth.shape).astype(np.int16)
    found = np.roll(truth, 1, axis=2)
    named = {"task.name": "semantic", "data.classes": ["background", "a", "b"], "data.values": [[0], [1], [2]]}
    for folder, array, order in (("data/images", image, "RAS"), ("data/masks", truth, "RAS"), ("out", found, axes)):
        (tmp_path / folder).mkdir(parents=True)
        stored = nibabel.Nifti1Image(array, np.diag([0.5, 0.5, 2.0, 1.0]))
        turn = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(stored.affine), nibabel.orientations.axcodes2ornt(order)
        )
        nibabel.save(stored.as_reoriented(turn), tmp_path / folder / "v.nii.gz")
    if listed:
        lines = ["image,object,class,score", "v,1,a,", "v,2,b,"]
        (tmp_path / "out/objects.csv").write_text("\n".join(lines))
    scored = evaluate(tmp_path / "out", tmp_path / "data", out=tmp_path / "scores", changes=named)
    (case,) = scored.cases
    row = case.row("a", "hd95")
    assert (row.value, row.unit) == (2, "mm")
    assert case.row("a", "dice").value == pytest.approx(0.8)
    assert any("objects.csv" in note for note in scored.notes) == listed
    assert "HD95 [mm]" in str(scored)


def _volumes(place: Path, truth: np.ndarray, found: np.ndarray, **affines: np.ndarray | None) -> None:
    """A volume, its true and its predicted mask, each with a place of its own; numbers as they are."""
    image = (60 * np.rint(truth) + np.random.default_rng(0).integers(0, 40, truth.shape)).astype(np.int16)
    for name, array in (("data/images", image), ("data/masks", truth), ("out", found)):
        (place / name).mkdir(parents=True)
        affine = affines.get(name.rpartition("/")[2], np.diag([-0.5, -0.5, 2.0, 1.0]))
        nibabel.save(nibabel.Nifti1Image(array, affine), place / name / "v.nii.gz")


def test_masks_that_do_not_say_where_they_lie_are_scored_with_a_word(tmp_path):
    truth = np.zeros((20, 24, 12), np.uint8)
    truth[4:12, 5:15, 3:8] = 1
    placed = np.diag([-0.5, -0.5, 2.0, 1.0])
    placed[:3, 3] = 9.0, 8.0, 7.0
    _volumes(tmp_path, truth, truth, images=placed, masks=placed, out=np.diag([-1.0, -1.0, 1.0, 1.0]))
    found = evaluate(tmp_path / "out", tmp_path / "data", out=tmp_path / "scores")
    (said,) = [note for note in found.notes if note.startswith("Of the predicted masks: 1 mask does not say where")]
    assert "v: the image says" in said
    assert not any(note.startswith("Of the true masks: 1 mask") for note in found.notes)


def test_masks_that_are_whole_but_for_rounding_are_scored_as_whole(tmp_path):
    truth = np.zeros((20, 24, 12), np.float32)
    truth[4:12, 5:15, 3:8] = 0.99999997
    truth[14:18, 5:10, 2:9] = 1.9999999
    _volumes(tmp_path, truth, truth.copy())
    named = {"task.name": "semantic"}
    found = evaluate(tmp_path / "out", tmp_path / "data", out=tmp_path / "scores", changes=named)
    assert found.cases[0].dice == 1
