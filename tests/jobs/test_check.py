"""`check` says everything at once, the worst first, and gives the final groups."""

from __future__ import annotations

import io
import json
import shutil
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from rich.console import Console

from command_line import CommandLine
from small_data import cells, healthy, put
from ulna.caselist import case_names
from ulna.config import Config
from ulna.dataset import Case, load_image
from ulna.errors import UlnaError
from ulna.formats import write
from ulna.image import Grid, Image
from ulna.jobs import inspection
from ulna.jobs.check import Check, check
from ulna.jobs.split import FILES, split
from ulna.jobs.train import train


def told(found: Check) -> str:
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(found)
    return console.export_text()


def test_a_healthy_data_set(tmp_path: Path) -> None:
    found = check(healthy(tmp_path / "data"), out=tmp_path / "out")
    assert not found.fatal
    assert found.problems == ()
    assert len(found.dataset.cases) == len({case.group for case in found.dataset.cases}) == 12
    assert found.classes.names == ("background", "foreground")
    assert sum(found.share) == pytest.approx(1)
    text = told(found)
    assert "Nothing was found wrong" in text
    assert "12 with masks, in 12 groups" in text
    words = json.loads((tmp_path / "out" / "check.json").read_text("utf-8"))
    assert words == json.loads(json.dumps(found.as_dict()))
    assert words["size"] == "96 × 96"
    with Pillow.open(tmp_path / "out" / "samples.png") as picture:
        assert picture.width > picture.height > 100
    assert len(found.samples) == 8
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["check.json", "samples.png"]


def test_everything_is_said_at_once_and_the_worst_first(tmp_path: Path) -> None:
    data = healthy(tmp_path / "data")
    image, mask = cells((96, 96), 100)
    put(data, "no_mask", image, None)
    put(data, "small_mask", *(cells((96, 96), 101)[0], mask[:50]))
    put(data, "empty", cells((96, 96), 102)[0], mask * 0)
    put(data, "odd", cells((96, 96), 103)[0], mask)
    put(data, "flat", np.full((96, 96), 9, np.uint8), mask)
    color = np.stack([cells((96, 96), 104 + k)[0] for k in range(3)], axis=-1)
    put(data, "color", color, mask)
    (data / "images" / "odd.png").write_bytes((data / "images" / "odd.png").read_bytes()[:300])
    Pillow.fromarray(mask).save(data / "masks" / "nobody.png")
    found = check(data)
    weights = [problem.severity for problem in found.problems]
    assert weights == sorted(weights, key=["fatal", "warning", "note"].index)
    assert found.fatal
    text = told(found)
    for words in (
        "no mask",
        "no image",
        "cannot be read: 1 case",
        "mask of another size than the image: 1 case",
        "small_mask: image and mask differ in size: 96×96 and 50×96",
        "1 of 15 masks are empty",
        "one value only is in 1 image",
        "images have different numbers of channels: 1 in 14, 3 in 1",
    ):
        assert words in text, words
    assert {case.name for case in found.dataset.cases}.isdisjoint({"no_mask", "small_mask", "odd"})


def test_leaks_and_layout_groups_are_united(tmp_path: Path) -> None:
    data = healthy(tmp_path / "data", 10)
    image, mask = cells((192, 192), 50)
    for row in (0, 1):
        for column in (0, 1):
            part = np.s_[96 * row : 96 * row + 96, 96 * column : 96 * column + 96]
            put(data, f"tile{row}{column}", image[part], mask[part])
    copy, other = cells((96, 96), 3)
    put(data, "zcopy", copy, other[::-1])
    found = check(data)
    groups = {case.name: case.group for case in found.dataset.cases}
    assert {groups[f"tile{row}{column}"] for row in (0, 1) for column in (0, 1)} == {"tile00"}
    assert groups["cell03"] == groups["zcopy"] == "cell03"
    assert len(set(groups.values())) == 11
    text = told(found)
    assert "6 cases are near-duplicates or overlapping tiles (data leakage) and were joined to 2 groups" in text
    assert "equal images have different masks: 1 pair" in text


def test_values_that_fit_no_class_are_fatal(tmp_path: Path) -> None:
    data = healthy(tmp_path / "data")
    image, mask = cells((96, 96), 50)
    put(data, "strange", image, np.where(mask > 0, 77, 0).astype(np.uint8))
    found = check(data, config=Config().changed({"data.values": [[0], [255]]}))
    assert found.fatal
    assert "strange: the mask holds 77" in told(found)


def test_masks_that_are_none_are_named(tmp_path: Path) -> None:
    data = healthy(tmp_path / "data")
    image, mask = cells((96, 96), 50)
    put(data, "half", image, None)
    tifffile.imwrite(data / "masks" / "half.tif", (mask / 510).astype(np.float32))
    put(data, "layers", cells((96, 96), 51)[0], None)
    tifffile.imwrite(data / "masks" / "layers.tif", np.stack([mask] * 5), planarconfig="separate", photometric=1)
    put(data, "deep", cells((96, 96), 52)[0], None)
    deep = np.stack([mask.astype(np.uint16) * k for k in range(3)], axis=-1)
    tifffile.imwrite(data / "masks" / "deep.tif", deep, photometric="rgb")
    found = check(data)
    (problem,) = [problem for problem in found.problems if problem.severity == "fatal"]
    assert problem.what.startswith("mask that cannot be used: 3 cases. Fix or remove them")
    assert [where.partition(". ")[0] for where in sorted(problem.where)] == [
        "deep: the mask has colors of more than 8 bits",
        "half: the mask holds numbers that are not whole, like 0.5",
        "layers: the mask has 5 channels",
    ]
    assert found.classes.names == ("background", "foreground")
    assert len(found.dataset.cases) == 12


def test_a_case_larger_than_the_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(case: Case) -> Image:
        if case.name == "cell07":
            raise MemoryError
        return load_image(case)

    monkeypatch.setattr("ulna.jobs.inspection.load_image", read)
    found = check(healthy(tmp_path / "data"))
    (problem,) = [problem for problem in found.problems if problem.severity == "fatal"]
    assert problem.where == ("cell07: does not fit in the memory",)


def test_large_images_are_sampled_for_their_appearance() -> None:
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (3, 2048, 2048)).astype(np.uint8)
    tracemalloc.start()
    found = inspection._intensity_statistics(image, 0.25)
    assert tracemalloc.get_traced_memory()[1] < image.nbytes
    tracemalloc.stop()
    assert found[:2] == pytest.approx((0.5, 0.95), abs=0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have names of proper Unicode only")
def test_a_name_that_is_no_proper_text_is_written(tmp_path: Path) -> None:
    data = healthy(tmp_path / "data", 4)
    for part in ("images", "masks"):
        (data / part / "cell02.png").rename(data / part / "$cell\udcff$.png")
    found = check(data, out=tmp_path / "out")
    assert "$cell\udcff$" in found.samples
    assert "$cell\udcff$" in json.loads((tmp_path / "out" / "check.json").read_text("utf-8"))["groups"]
    split(data, test=0.5, out=tmp_path / "lists")
    listed = [name for side in FILES for name in case_names(tmp_path / "lists" / side)]
    assert sorted(listed) == sorted(case.name for case in found.dataset.cases)


def test_only_empty_masks_are_fatal(tmp_path: Path) -> None:
    for index in range(3):
        put(tmp_path, f"a{index}", cells((64, 64), index)[0], np.zeros((64, 64), np.uint8))
    found = check(tmp_path)
    assert found.fatal
    assert "nothing to learn" in found.problems[0].what
    with pytest.raises(UlnaError, match="could not be inferred"):
        _ = found.classes


def test_one_image_is_fatal_and_none_usable_too(tmp_path: Path) -> None:
    put(tmp_path / "one", "a", *cells((64, 64), 0))
    assert [p.severity for p in check(tmp_path / "one").problems] == ["fatal"]
    put(tmp_path / "none", "a", *cells((64, 64), 0))
    put(tmp_path / "none", "b", *cells((64, 64), 1))
    for path in (tmp_path / "none" / "images").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    found = check(tmp_path / "none", out=tmp_path / "out")
    assert found.fatal
    assert "no case can be used" in found.problems[0].what
    assert "0 with a mask" in told(found)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["check.json"]


def test_overlapping_object_files_and_selected_cases(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bowl.zip", "w") as archive:
        for index in range(3):
            image, _ = cells((64, 64), index)
            masks = np.zeros((2, 64, 64), np.uint8)
            masks[0, 10:20, 10:20] = masks[1, 19:30, 19 + index : 30] = 255
            for name, array in ((f"images/c{index}", image), ("masks/a", masks[0]), ("masks/b", masks[1])):
                packed = io.BytesIO()
                Pillow.fromarray(array).save(packed, "PNG")
                archive.writestr(f"c{index}/{name}.png", packed.getvalue())
    found = check(tmp_path / "bowl.zip")
    (overlap,) = [p for p in found.problems if "overlap" in p.what]
    assert overlap.where == ("c0: 1 pixel",)
    assert overlap.what == "objects overlap in 1 image (1 pixel in all, taken from 1 object); the first file keeps them"
    assert found.facts["objects"] == "6 in all, 2 to 2 per image"
    some = check(tmp_path / "bowl.zip", cases=["c1", "c2"], out=tmp_path / "out")
    assert [case.name for case in some.dataset.cases] == ["c1", "c2"]
    assert (tmp_path / "out" / "samples.png").is_file()


def test_a_volume_alone_can_be_learned_from(data: Path) -> None:
    """Its last planes are held out, which `check` says, and that scores are too good for it."""
    found = check(data / "isbi2012")
    assert not found.fatal
    assert any("there is one volume only" in problem.what for problem in found.problems)
    assert found.facts["size"] == "24 × 512 × 512"


def test_nothing_recognizable(tmp_path: Path) -> None:
    with pytest.raises(UlnaError):
        check(tmp_path)


def test_what_masks_mean_can_be_told(tmp_path: Path, cli: CommandLine) -> None:
    """Masks that look like none: noise below and above 100."""
    data = healthy(tmp_path / "data", 6)
    for path in (data / "masks").iterdir():
        with Pillow.open(path) as mask:
            inside = np.asarray(mask) > 0
        noise = np.random.default_rng(0)
        ramp = np.where(inside, noise.integers(100, 256, inside.shape), noise.integers(0, 100, inside.shape))
        Pillow.fromarray(ramp.astype(np.uint8)).save(path)
    refused = cli("check", data)
    assert (refused.code, "data.values" in refused.out) == (2, True), refused
    values = 'data.values=[["0..99"],["100..255"]]'
    (tmp_path / "my.yaml").write_text('data:\n  values: [["0..99"], ["100..255"]]\n')
    for words in (("--set", values), ("--config", tmp_path / "my.yaml")):
        said = cli("check", data, *words)
        assert (said.code, "fatal" in said.out) == (0, False), said
    lists = tmp_path / "lists"
    assert cli("split", data, "--out", lists, "--test", 0.3, "--set", values).code == 0
    masks = shutil.copytree(data / "masks", tmp_path / "predicted")
    said = cli("evaluate", masks, data, "--out", tmp_path / "scores", "--cases", lists / "test.txt", "--set", values)
    assert (said.code, "1.000" in said.out) == (0, True), said


def test_where_more_is_to_be_seen_is_said(run: Path, tmp_path: Path, cli: CommandLine) -> None:
    data = healthy(tmp_path / "data", 3)
    assert "add --out FOLDER" in cli("check", data).out
    assert f"Written to {tmp_path / 'found'}" in cli("check", data, "--out", tmp_path / "found").out
    assert cli("check", data, "--out", tmp_path / "found").code == 0  # looked at again
    before = (run / "check.json").read_bytes()
    said = cli("check", data, "--out", run)
    assert (said.code, "this folder holds a run" in said.err) == (2, True), said
    assert (run / "check.json").read_bytes() == before


def test_one_image_is_enough_where_none_is_kept_out(tmp_path: Path) -> None:
    data = healthy(tmp_path / "data", 1)
    assert check(data).fatal
    assert not check(data, changes={"data.validation": 0}).fatal


def test_masks_of_other_values_than_those_told_are_all_named(tmp_path: Path) -> None:
    data = healthy(tmp_path / "data", 3)
    found = check(data, changes={"data.values": [[0], [1]]}, out=tmp_path / "out")
    assert found.fatal
    assert len(found.problems[0].where) == 3
    assert (tmp_path / "out" / "check.json").is_file()


def test_what_is_not_sure_of_the_masks_is_a_warning_with_the_yaml(tmp_path: Path) -> None:
    data = healthy(tmp_path / "data")
    for path in sorted((data / "masks").iterdir())[:3]:
        with Pillow.open(path) as picture:
            mask = np.array(picture)
        mask[-1, -1] = 38
        Pillow.fromarray(mask).save(path)
    found = check(data, out=tmp_path / "out")
    (problem,) = [one for one in found.problems if "stray" in one.what]
    assert problem.severity == "warning"
    assert "values: [[0], [38], [255]]" in problem.what
    written = json.loads((tmp_path / "out" / "check.json").read_text("utf-8"))["classes"]
    assert written["runner_up"].startswith("Masks hold 0, 38 and 255")
    assert written["certainty"] == found.inference.certainty < 0.95
    assert written["values"] == [[38, 0], [255]]


def test_how_to_name_the_classes_is_shown(tmp_path: Path) -> None:
    text = told(check(healthy(tmp_path / "data", 3)))
    assert "To name the classes" in text
    assert 'classes: ["background", "foreground"]' in text
    assert "values: [[0], [255]]" in text


def test_shares_are_those_of_annotated_pixels(tmp_path: Path) -> None:
    data = healthy(tmp_path / "data", 4)
    truth = {}
    for path in sorted((data / "masks").iterdir()):
        with Pillow.open(path) as picture:
            truth[path.stem] = np.array(picture) // 255
        truth[path.stem][:24] = 255
        Pillow.fromarray(truth[path.stem]).save(path)
    found = check(data)
    annotated = np.concatenate([mask[24:].ravel() for mask in truth.values()])
    assert found.share == pytest.approx((1 - annotated.mean(), annotated.mean()))
    assert found.facts["not annotated"] == "25.0% of the pixels"
    assert found.classes.ignore == (255,)
    nothing = np.full((96, 96), 255, np.uint8)
    Pillow.fromarray(nothing).save(data / "masks" / "cell03.png")
    found = check(data)
    (problem,) = [one for one in found.problems if "nothing is annotated" in one.what]
    assert problem.where == ("cell03",)


def test_what_was_joined_is_pictured(tmp_path: Path) -> None:
    data = healthy(tmp_path / "data", 10)
    image, mask = cells((96, 96), 3)
    put(data, "zcopy", image[::-1], mask[::-1])
    put(data, "zequal", *cells((96, 96), 4))
    found = check(data, out=tmp_path / "out")
    assert {pair.kind for pair in found.leaks.pairs} == {"duplicate", "near duplicate"}
    text = told(found)
    assert "joined.png" in text
    assert "data.leaks=false" in text
    with Pillow.open(tmp_path / "out" / "joined.png") as picture:
        assert picture.width > picture.height > 100
    apart = check(data, changes={"data.leaks": False})
    assert {pair.kind for pair in apart.leaks.pairs} == {"duplicate"}
    assert len({case.group for case in apart.dataset.cases}) == len({case.group for case in found.dataset.cases}) + 1


def test_groups_are_shown(tmp_path: Path) -> None:
    for number in range(12):
        put(tmp_path / "data", f"P{number // 2}_slice{number % 2}", *cells((96, 96), number))
    found = check(tmp_path / "data")
    assert {case.name: case.group for case in found.dataset.cases}["P3_slice1"] == "P3"
    text = told(found)
    assert "12 with masks, in 6 groups" in text
    assert "'P0_slice0' belongs to 'P0'" in text
    assert "P5_slice0, P5_slice1" in text
    assert found.as_dict()["grouping"].startswith("found in names")
    stated = check(tmp_path / "data", changes={"data.groups": "slice(.)"})
    assert {case.group for case in stated.dataset.cases} == {"0", "1"}


def test_one_image_of_which_most_are_copies_is_a_warning(tmp_path: Path) -> None:
    for number in range(6):
        put(tmp_path / "data", f"a{number}", *cells((96, 96), max(number - 3, 0)))
    problem = next(p for p in check(tmp_path / "data").problems if "near-duplicates or" in p.what)
    assert problem.severity == "warning"
    assert "4 of 6 cases" in problem.what


def test_a_mask_of_another_pixel_size_cannot_be_used(tmp_path: Path) -> None:
    for k in range(12):
        draw = np.random.default_rng(k)
        for folder, array, spacing in (
            ("images", draw.integers(0, 255, (1, 40, 40), np.uint8), 0.5),
            ("masks", 255 * (draw.random((1, 40, 40)) > 0.7).astype(np.uint8), 0.25 if k == 3 else 0.5),
        ):
            write(tmp_path / folder / f"case{k:02d}.tif", Image(array, Grid((40, 40), (spacing, spacing), "µm")))
    found = check(tmp_path)
    (problem,) = [one for one in found.problems if "another place or pixel size" in one.what]
    assert problem.severity == "fatal"
    assert problem.where[0].startswith("case03: ")
    assert "0.25 × 0.25 µm" in problem.where[0]
    with pytest.raises(UlnaError, match="cannot be trained on"):
        train(tmp_path, tmp_path / "run", epochs=1)
