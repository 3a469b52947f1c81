from __future__ import annotations

import json
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as Pillow
from scipy import ndimage
from torch import nn

import ulna
from command_line import CommandLine, all_files
from ulna import networks, synthetic, tasks
from ulna.config import Config
from ulna.errors import UlnaError
from ulna.formats import open_reader, read, write
from ulna.formats.outlines import coco, geojson, imagej
from ulna.formats.outlines.annotation import paint
from ulna.image import Channel, Grid, Image, Labels, Source
from ulna.inference import room
from ulna.inference.large import Large
from ulna.jobs.evaluate import evaluate
from ulna.jobs.predict import predict
from ulna.labels.classes import Classes
from ulna.labels.inference import infer
from ulna.layouts.own import classes_of
from ulna.metrics.objects import compare
from ulna.model import Model
from ulna.modelfile import Saved
from ulna.objectlist import read_list
from ulna.orientation import Orientation
from ulna.prediction import Prediction


@pytest.fixture
def untrained() -> Model:
    """Makes masks of nothing; enough to see which files they go to."""
    return make_model(channels=1)


def make_model(*, channels: int) -> Model:
    config = Config.parse({"data": {"channels": channels}, "network": {"widths": [4, 8]}})
    classes = infer([np.array([[[0, 255]]])], config.data)
    return Model(Saved(networks.build(config.network, channels, 1).eval(), config, classes, outputs=1))


def make_instances(classes: int = 2) -> Model:
    """Finds objects in noise: none has been learned."""
    config = Config.parse({"data": {"channels": 1}, "network": {"widths": [4, 8]}, "task": {"name": "instances"}})
    names = ("background", "a", "b")[:classes]
    known = Classes(names, tuple((k,) for k in range(classes)), "classes", "")
    torch.manual_seed(0)
    outputs = tasks.build(config.task, names).outputs
    return Model(Saved(networks.build(config.network, 1, outputs).eval(), config, known, outputs=outputs))


def gray(path: Path, *, pages: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(0).integers(0, 255, (pages, 20, 24), dtype=np.uint8)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array, photometric="minisblack")
    else:
        Pillow.fromarray(array[0]).save(path)


def volume_model(*, task: str, ndim: int) -> Model:
    """Sees volumes at 1.5 mm: whole, or slice by slice along the second axis."""
    data = {"channels": 1, "unit": "mm", "slices": None if ndim == 3 else 1}
    data |= {"target_spacing": (1.5, 1.5, 1.5) if ndim == 3 else (1.5, 0, 1.5)}
    words = {"data": data, "network": {"widths": [4, 8], "ndim": ndim}, "task": {"name": task}}
    config = Config.parse(words)
    known = Classes(("background", "a"), ((0,), (1,)), "classes", "")
    torch.manual_seed(1)
    outputs = tasks.build(config.task, known.names).outputs
    return Model(Saved(networks.build(config.network, 1, outputs).eval(), config, known, outputs=outputs))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("task", ["semantic", "instances"])
def test_a_volume_of_another_spacing_gets_a_mask_on_its_own_grid(tmp_path: Path, task: str, ndim: int) -> None:
    """In a file, from a file, from an array with its grid, turned round: the same mask, where the image lies."""
    model = volume_model(task=task, ndim=ndim)
    grid = Grid((20, 16, 24), (1.2, 1.5, 1.0), "mm", (3.0, 4.0, 5.0))
    noise = np.random.default_rng(0).random((1, *grid.shape)).astype(np.float32)
    image = Image(ndimage.gaussian_filter(noise, (0, 2, 2, 2)), grid)
    write(tmp_path / "scans" / "a.nii.gz", image)
    turned = Image(image.array[:, ::-1].transpose(0, 2, 1, 3), Orientation((1, 0, 2), (False, True, False)).grid(grid))
    expected = model.predict(image)
    assert expected.grid == grid
    assert 0 < (expected.labels.classes > 0).mean() < 1
    assert np.asarray(model.predict(turned)).transpose(1, 0, 2)[::-1].tolist() == np.asarray(expected).tolist()
    done = predict(model, tmp_path / "scans", out=tmp_path / "masks")
    assert not done.failed
    found = read(Source(done.masks[0]))
    np.testing.assert_array_equal(found.array[0], np.asarray(expected))
    np.testing.assert_allclose(found.grid.spacing, grid.spacing)
    mask, per_class = model.mask_and_probabilities(image)
    assert (mask.grid, per_class.grid) == (grid, grid)
    np.testing.assert_array_equal(np.asarray(mask), np.asarray(expected))
    np.testing.assert_allclose(per_class.array, model.probabilities(image).array, atol=1e-6)
    if task == "semantic":
        np.testing.assert_array_equal(per_class.array[1] > 0.5, expected.labels.classes == 1)


def test_a_volume_of_unknown_spacing_is_said_to_be_taken_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = volume_model(task="semantic", ndim=3)
    volume = np.random.default_rng(0).random((12, 16, 16)).astype(np.float32)
    model.predict(volume)
    assert "does not say how large its voxels are" in capsys.readouterr().err
    write(tmp_path / "scans" / "a.tif", Image(volume[None]))
    (note,) = predict(model, tmp_path / "scans", out=tmp_path / "masks").notes
    assert note.startswith("a: does not say how large its voxels are")
    stated = model.config.changed({"data.spacing": (2, 1.5, 1.5)})
    model = Model(replace(model.saved, config=stated))
    (note,) = predict(model, tmp_path / "scans", out=tmp_path / "stated").notes
    assert note == "a: does not say how far apart its pixels lie; taken as was stated in training: 2 × 1.5 × 1.5 mm"


@pytest.mark.parametrize("name", ["a.png", "a.tif", "stack.tif", "color.png"])
def test_by_region_the_masks_are_those_of_the_whole(
    untrained: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Of tiles, of a stack with its place in space, and of an image whose colors are equal, which is read whole."""
    draw, shape = np.random.default_rng(0), (3, 150, 130) if name == "stack.tif" else (150, 130)
    array = draw.integers(0, 256, (1, *shape), np.uint8).repeat(3 if name == "color.png" else 1, axis=0)
    write(tmp_path / name, Image(array, Grid(shape, (0.5,) * len(shape), "µm")))
    config = untrained.config.changed({"inference.tile": 128})
    network = untrained.saved.network
    torch.manual_seed(0)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.3)
    model = Model(replace(untrained.saved, config=config, network=network))
    by_region: list[bool] = []
    masks = Large.masks
    monkeypatch.setattr(Large, "masks", lambda *args, **kwargs: by_region.append(True) or masks(*args, **kwargs))
    predict(model, tmp_path / name, out=tmp_path / "regions")
    assert len(by_region) == {"color.png": 0}.get(name, 1)
    monkeypatch.setattr(Large, "takes", lambda *_: False)
    predict(model, tmp_path / name, out=tmp_path / "whole")
    found, expected = (read(Source(tmp_path / folder / name)) for folder in ("regions", "whole"))
    np.testing.assert_array_equal(found.array, expected.array)
    assert 0 < expected.array.mean() < 255
    assert (found.grid, found.channels) == (expected.grid, expected.channels)


def test_what_needs_the_whole_image_is_not_predicted_by_region(untrained: Model, tmp_path: Path) -> None:
    """A constant alpha is dropped by what the whole image shows, and a resizing model needs all of it."""
    array = np.random.default_rng(0).integers(0, 256, (2, 40, 40), np.uint8)
    array[1] = 255
    write(tmp_path / "alpha.png", Image(array, channels=(Channel("gray"), Channel("alpha", "alpha"))))
    write(tmp_path / "gray.png", Image(array[:1]))
    resizing = Model(replace(untrained.saved, config=untrained.config.changed({"data.resize": [32, 32]})))
    two = Model(replace(untrained.saved, config=untrained.config.changed({"data.channels": 2})))
    for name, model, expected in (
        ("gray", untrained, True),
        ("gray", resizing, False),
        ("gray", two, False),
        ("alpha", untrained, False),
        ("alpha", two, False),
    ):
        with open_reader(Source(tmp_path / f"{name}.png")) as reader:
            assert model.large.takes(reader) == expected
    predict(untrained, tmp_path / "alpha.png", out=tmp_path / "masks")
    assert read(Source(tmp_path / "masks" / "alpha.png")).shape == (40, 40)


def test_masks_suit_their_images(run: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name, size in (("a.png", (33, 50)), ("b.bmp", (20, 20)), ("c.jpg", (17, 64))):
        Pillow.fromarray(noise.integers(0, 255, size, dtype=np.uint8)).save(tmp_path / "in" / name)
    tifffile.imwrite(tmp_path / "in" / "d.tif", noise.integers(0, 60_000, (40, 41), dtype=np.uint16))
    done = predict(run, tmp_path / "in", out=tmp_path / "out")
    assert [path.name for path in done.masks] == ["a.png", "b.png", "c.png", "d.tif"]
    assert done.failed == ()
    assert tifffile.imread(tmp_path / "out" / "d.tif").shape == (40, 41)
    with Pillow.open(tmp_path / "out" / "a.png") as mask:
        assert mask.size == (50, 33)


def test_a_model_in_hand_predicts_the_same(run: Path, cells: Path, tmp_path: Path) -> None:
    model = ulna.load(run)
    done = predict(model, cells / "images", out=tmp_path / "out", cases=["cells_002"], overlay=True)
    assert all_files(tmp_path / "out") == {"cells_002.png", "overlays", "overlays/cells_002.png", "ulna.json"}
    mask = model.predict(cells / "images" / "cells_002.png")
    assert np.array_equal(np.asarray(Pillow.open(done.masks[0])), model.classes.to_values(mask.array)[0])


def test_how_it_predicts_can_be_changed_and_what_it_learned_cannot(
    run: Path, cells: Path, tmp_path: Path, cli: CommandLine
) -> None:
    image = cells / "images" / "cells_002.png"
    mirrored = {"inference.mirror": True}
    done = predict(run, image, out=tmp_path / "mirrored", changes=mirrored, probabilities=True)
    plain = predict(run, image, out=tmp_path / "plain", probabilities=True)
    first, second = (read(Source(one.folder / "probabilities" / "cells_002.tif")).array for one in (done, plain))
    assert not np.array_equal(first, second)
    model = ulna.load(run).changed(mirrored)
    np.testing.assert_array_equal(model.probabilities(image).array, first)
    assert ulna.load(run).config.inference.mirror is False
    same = cli("predict", run, image, "--out", tmp_path / "typed", "--set", "inference.mirror=true", "--probabilities")
    assert same.code == 0
    np.testing.assert_array_equal(read(Source(tmp_path / "typed" / "probabilities" / "cells_002.tif")).array, first)
    with pytest.raises(UlnaError, match=r"training\.patch is fixed by training") as caught:
        predict(run, image, out=tmp_path / "refused", changes={"training.patch": [32, 32]})
    assert "inference.overlap" in caught.value.hint
    with pytest.raises(UlnaError, match=r"there is no setting 'inference\.miror'"):
        predict(run, image, out=tmp_path / "refused", changes={"inference.miror": True})
    assert not (tmp_path / "refused").exists()


def test_how_objects_are_made_may_be_changed(cells: Path, tmp_path: Path, run: Path) -> None:
    image = cells / "images" / "cells_000.png"
    model = make_instances()
    found = np.bincount(np.asarray(model.predict(image)).ravel())[1:]
    large = model.changed({"task.decoding.smallest": int(np.median(found)) + 1})
    kept = np.bincount(np.asarray(large.predict(image)).ravel())[1:]
    assert sorted(kept) == sorted(found[found > np.median(found)])
    with pytest.raises(UlnaError, match="fixed by training") as caught:
        model.changed({"task.target": "none"})
    assert "task.decoding.smallest" in caught.value.hint
    with pytest.raises(UlnaError, match="fixed by training") as caught:  # its masks have classes, no objects
        predict(run, image, out=tmp_path / "refused", changes={"task.decoding.smallest": 40})
    assert "task.decoding" not in caught.value.hint


def test_the_classes_of_masks_are_told_to_measure(run: Path, cells: Path, tmp_path: Path) -> None:
    predict(run, cells / "images" / "cells_000.png", out=tmp_path / "masks")
    assert classes_of([tmp_path / "masks" / "cells_000.png"]) == {
        tmp_path / "masks" / "cells_000.png": ulna.load(run).classes.written_values()
    }
    predict(make_instances(), cells / "images" / "cells_000.png", out=tmp_path / "masks", overwrite=True)
    assert classes_of([tmp_path / "masks" / "cells_000.png"]) == {}


def test_nothing_is_written_over(run: Path, cells: Path, tmp_path: Path) -> None:
    image = cells / "images" / "cells_000.png"
    predict(run, image, out=tmp_path)
    with pytest.raises(UlnaError, match="there already"):
        predict(run, image, out=tmp_path)
    predict(run, image, out=tmp_path, overwrite=True)
    with pytest.raises(UlnaError, match="over the images"):
        predict(run, image, out=image.parent, overwrite=True)


def test_two_images_of_one_name_get_two_masks(run: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "a.bmp"):
        Pillow.new("L", (20, 20)).save(tmp_path / "in" / name)
    done = predict(run, tmp_path / "in", out=tmp_path / "out")
    assert len(set(done.masks)) == len(all_files(tmp_path / "out") - {"ulna.json"}) == 2


def test_a_pattern_over_sub_folders_writes_a_mask_for_each(untrained: Model, tmp_path: Path) -> None:
    for name in ("p1/image.png", "p2/image.png"):
        gray(tmp_path / "patients" / name)
    done = predict(untrained, str(tmp_path / "patients" / "*" / "image.png"), out=tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in done.masks] == ["p1/image.png", "p2/image.png"]
    assert {"p1/image.png", "p2/image.png"} < all_files(tmp_path / "out")


def test_two_masks_never_go_to_one_file(untrained: Model, tmp_path: Path) -> None:
    """Films keep their names; volumes and images of such names are told apart by more."""
    for name in ("a.tif", "A.tif"):
        (tmp_path / "in").mkdir(exist_ok=True)
        film = np.random.default_rng(0).integers(0, 255, (2, 20, 24), dtype=np.uint8)
        tifffile.imwrite(tmp_path / "in" / name, film, imagej=True, metadata={"axes": "TYX"})
    if len(list((tmp_path / "in").iterdir())) == 1:
        pytest.skip("this system takes them for one file")
    with pytest.raises(UlnaError, match=r"masks in one file: .*[aA]\.tif, .*[aA]\.tif"):
        predict(untrained, tmp_path / "in", out=tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out").exists()


def test_names_that_differ_in_case_alone_give_masks_that_do_not(untrained: Model, tmp_path: Path) -> None:
    for name in ("a.png", "A.png", "b.tif", "B.tif"):
        gray(tmp_path / "in" / name, pages=2)
    if len(list((tmp_path / "in").iterdir())) == 2:
        pytest.skip("this system takes them for one file")
    done = predict(untrained, tmp_path / "in", out=tmp_path / "out")
    assert len({path.name.casefold() for path in done.masks}) == 4


def test_a_stack_beside_an_image_of_its_name(untrained: Model, tmp_path: Path) -> None:
    gray(tmp_path / "in" / "a.tif", pages=2)
    gray(tmp_path / "in" / "a.png")
    gray(tmp_path / "in" / "b_0000.tif", pages=2)
    done = predict(untrained, tmp_path / "in", out=tmp_path / "out")
    assert [path.name for path in done.masks] == ["a.png.png", "a.tif.tif", "b_0000.tif"]
    assert tifffile.imread(done.masks[1]).shape == (2, 20, 24)


def test_modalities_are_predicted_together(tmp_path: Path) -> None:
    for name in ("a_0000.png", "a_0001.png", "b.png"):
        gray(tmp_path / "in" / name)
    for k in range(2):
        gray(tmp_path / "in" / f"s_{k:04d}.tif", pages=3)
    done = predict(make_model(channels=2), tmp_path / "in", out=tmp_path / "out")
    assert [path.name for path in done.masks] == ["a.png", "s.tif"]
    assert tifffile.imread(done.masks[1]).shape == (3, 20, 24)
    assert [name for name, _ in done.failed] == ["b"]
    assert "1 channel, the network takes 2" in done.failed[0][1]


@pytest.mark.parametrize("large", [False, True])
def test_channels_in_another_order_give_the_same_mask(
    tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    saved = make_model(channels=2).saved
    learned = Model(replace(saved, config=saved.config.changed({"data.channel_names": ["DAPI", "GFP"]})))
    array = np.random.default_rng(0).integers(0, 255, (2, 40, 48), dtype=np.uint8)
    for name, order in (("a", (0, 1)), ("b", (1, 0)), ("c", (0, 1))):
        names = [("DAPI", "GFP")[k] if name != "c" else ("GFP", "Cy5")[k] for k in order]
        planes, words = array[list(order)], {"axes": "CYX", "Channel": {"Name": names}}
        tifffile.imwrite(tmp_path / f"{name}.tif", planes, ome=True, metadata=words)
    if large:
        monkeypatch.setitem(room.LARGE, 2, 0)
    done = predict(learned, [tmp_path / f"{name}.tif" for name in "abc"], out=tmp_path / "out")
    one, other = (tifffile.imread(path) for path in done.masks)
    np.testing.assert_array_equal(one, other)
    assert 0 < one.mean() < 255
    assert done.notes == ("b: its channels lie in another order than those learned: they are taken by their names",)
    ((name, why),) = done.failed
    assert name == "c"
    assert "its channels are called" in why
    chosen = {"data.channel_names": []}
    (mask,) = predict(learned, tmp_path / "b.tif", out=tmp_path / "as_it_lies", changes=chosen).masks
    assert (tifffile.imread(mask) != one).any()


def test_a_modality_is_not_dropped_as_if_it_were_alpha(untrained: Model, tmp_path: Path) -> None:
    for name in ("images/a_0000.png", "images/a_0001.png", "masks/a.png"):
        gray(tmp_path / "in" / name)
    other = np.asarray(Pillow.open(tmp_path / "in" / "images" / "a_0000.png")) // 2
    Pillow.fromarray(other).save(tmp_path / "in" / "images" / "a_0001.png")
    done = predict(untrained, tmp_path / "in", out=tmp_path / "out")
    assert "2 channels, the network takes 1" in done.failed[0][1]


def test_values_that_no_png_holds_are_written_as_tiff(tmp_path: Path) -> None:
    model = make_model(channels=1)
    classes = infer([np.array([[[0, 100_000]]], np.int32)], model.config.data)
    wide = Model(replace(model.saved, classes=classes))
    gray(tmp_path / "in" / "a.png")
    done = predict(wide, tmp_path / "in", out=tmp_path / "out")
    assert [path.name for path in done.masks] == ["a.tif"]
    assert set(np.unique(tifffile.imread(done.masks[0]))) <= {0, 100_000}


@pytest.mark.parametrize("name", ["tif", "zarr", "nii.gz", "nrrd", "mha", "png"])
def test_the_format_of_masks_may_be_named(run: Path, cells: Path, tmp_path: Path, cli: CommandLine, name: str) -> None:
    images = sorted((cells / "images").iterdir())[:2]
    usual = predict(run, images, out=tmp_path / "usual")
    said = cli("predict", run, *images, "--out", tmp_path / "masks", "--format", name)
    assert said.code == 0, said.err
    masks = [tmp_path / "masks" / f"{path.stem}.{name}" for path in images]
    for mask, path in zip(masks, usual.masks, strict=True):
        expected = read(Source(path))
        np.testing.assert_array_equal(read(Source(mask)).array.squeeze(), expected.array.squeeze())
    if name in ("tif", "zarr", "png"):  # those of scanners hold volumes, of a single plane too
        scores = evaluate(tmp_path / "masks", cells, out=tmp_path / "scores", cases=[path.stem for path in images])
        assert scores.summary.cases == 2


@pytest.mark.parametrize(
    ("name", "words"), [("bmp", "Name one of these: png, tif,"), ("png", "no PNG holds the planes")]
)
def test_a_format_that_does_not_hold_the_masks(untrained: Model, tmp_path: Path, name: str, words: str) -> None:
    gray(tmp_path / "in" / "a.tif", pages=2)
    with pytest.raises(UlnaError, match=words):
        predict(untrained, tmp_path / "in", out=tmp_path / "out", format_=name)
    assert not (tmp_path / "out").exists()


def test_more_objects_than_a_png_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TIFF of 32 bits for a TIFF; for a PNG nothing is written at all."""
    numbers = np.arange(300 * 300, dtype=np.int32).reshape(300, 300)
    model = make_instances()
    found = Prediction(Labels((numbers > 0).astype(np.uint8), numbers, names=model.classes.names), model.classes)
    monkeypatch.setattr(Model, "predict", lambda *_, **__: found)
    for name in ("a.png", "b.tif"):
        gray(tmp_path / "in" / name)
    done = predict(model, tmp_path / "in" / "a.png", out=tmp_path / "png", overlay=True)
    ((name, why),) = done.failed
    assert name == "a"
    assert "89,999 objects were found, and a PNG numbers at most 65,535" in why
    assert ".tif" in why
    assert {path.name for path in all_files(tmp_path / "png")} <= {"ulna.json"}
    (mask,) = predict(model, tmp_path / "in" / "b.tif", out=tmp_path / "tif").masks
    written = tifffile.imread(mask)
    assert (written.dtype, int(written.max())) == (np.int32, 89_999)


def test_arrays_are_looked_at_as_files_are() -> None:
    model = make_model(channels=1)
    holed, filled = np.array([[0.0, np.nan], [1.0, 2.0]]), np.array([[0.0, 0.0], [1.0, 2.0]])
    with pytest.raises(UlnaError, match="1 NaN"):
        model.predict(holed)
    said = Model(Saved(model.network, model.config.changed({"data.missing": 0}), model.classes, outputs=1))
    np.testing.assert_array_equal(said.predict(holed).array, said.predict(filled).array)
    assert model.predict(np.eye(8, dtype=bool)).shape == (8, 8)


def test_overlays_have_outlines_and_a_legend(run: Path, cells: Path, tmp_path: Path) -> None:
    model = ulna.load(run)
    image = cells / "images" / "cells_002.png"
    predict(model, image, out=tmp_path / "out", overlay=True, probabilities=True)
    picture = np.asarray(Pillow.open(tmp_path / "out" / "overlays" / "cells_002.png"))
    expected = model.predict(image).overlay(read(Source(image)))
    assert np.array_equal(picture, expected)
    assert picture.shape[0] > 64
    probabilities = tifffile.imread(tmp_path / "out" / "probabilities" / "cells_002.tif")
    assert np.array_equal(probabilities, model.probabilities(image).array)


def test_objects_are_numbered_through_a_stack(tmp_path: Path) -> None:
    """Parted as page by page, with numbers of their own on each."""
    model = make_instances()
    stack = np.random.default_rng(0).integers(0, 255, (3, 20, 24), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    (path,) = predict(model, tmp_path / "a.tif", out=tmp_path / "out").masks
    written = tifffile.imread(path)
    assert written.dtype == np.uint16
    found = model.predict(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.asarray(found), written)
    count = 0
    for page, plane in zip(stack, written, strict=True):
        alone = np.asarray(model.predict(page))
        assert alone.max() > 1
        np.testing.assert_array_equal(plane, np.where(alone > 0, alone + count, 0))
        count += int(alone.max())
    assert sorted(found.object_classes) == list(range(1, count + 1))


def test_the_classes_of_objects_are_listed(tmp_path: Path) -> None:
    gray(tmp_path / "in" / "a.png")
    model = make_instances(3)
    done = predict(model, tmp_path / "in", out=tmp_path / "out")
    assert any("classes and scores are in objects.csv" in note for note in done.notes)
    found = {one.number: one.name for one in read_list(Source(tmp_path / "out" / "objects.csv"))}
    assert found == model.predict(tmp_path / "in" / "a.png").object_classes


def test_what_is_decoded_knows_the_spacing_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, grids = make_instances(), []
    decode = tasks.Instances.decode

    def noted(task: tasks.Instances, activated: np.ndarray, grid: Grid) -> Labels:
        grids.append(grid)
        return decode(task, activated, grid)

    monkeypatch.setattr(tasks.Instances, "decode", noted)
    grid = Grid((20, 24), spacing=(2.0, 0.5), unit="µm")
    model.predict(Image(np.zeros((1, 20, 24), np.uint8), grid))
    assert grids == [grid]


def test_a_stack_keeps_its_place_in_space(untrained: Model, tmp_path: Path) -> None:
    spaced = {"spacing": 2.0, "unit": "um", "axes": "ZYX"}
    stack = np.random.default_rng(0).integers(0, 255, (3, 20, 24), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(4, 4), metadata=spaced)
    done = predict(untrained, tmp_path / "a.tif", out=tmp_path / "out")
    mask = read(Source(done.masks[0]))
    assert mask.spacing == (2.0, 0.25, 0.25)
    for page in range(3):
        expected = untrained.classes.to_values(untrained.predict(stack[page]).array)
        assert np.array_equal(mask.array[:, page], expected)


def test_home_is_home(untrained: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    gray(tmp_path / "a.png")
    assert predict(untrained, "a.png", out="~/masks").folder == tmp_path / "masks"
    assert (tmp_path / "masks" / "a.png").is_file()
    assert not (tmp_path / "~").exists()


def test_a_device_is_named_where_a_model_is_loaded(run: Path, untrained: Model, tmp_path: Path) -> None:
    gray(tmp_path / "a.png")
    assert predict(run, tmp_path / "a.png", out=tmp_path / "out", device="cpu").masks
    with pytest.raises(UlnaError, match="Known: cpu, cuda, mps"):
        predict(run, tmp_path / "a.png", out=tmp_path / "other", device="gpu")
    with pytest.raises(UlnaError, match="when you load the model"):
        predict(untrained, tmp_path / "a.png", out=tmp_path / "other", device="cpu")
    assert not (tmp_path / "other").exists()


def test_the_command_takes_a_device(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    gray(tmp_path / "a.png")
    done = cli("predict", run, tmp_path / "a.png", "--out", tmp_path / "out", "--device", "gpu")
    assert done.code == 2
    assert "no device 'gpu'" in done.err
    assert cli("predict", run, tmp_path / "a.png", "--out", tmp_path / "out", "--device", "cpu").code == 0


def test_files_of_unknown_formats_are_named_and_the_exit_code_says_so(
    run: Path, tmp_path: Path, cli: CommandLine
) -> None:
    gray(tmp_path / "in" / "a.png")
    for name in ("b.xyz", "deep/c.lsm9", "notes.txt", "LICENSE", "table.csv", ".hidden.xyz"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"?")
    done = predict(run, tmp_path / "in", out=tmp_path / "out")
    assert done.passed_over == ("b.xyz", "deep/c.lsm9")
    assert not done.complete
    typed = cli("predict", run, tmp_path / "in", "--out", tmp_path / "typed")
    assert typed.code == 2
    assert "passed over: 2 files of formats that are not read: b.xyz, deep/c.lsm9" in typed.out
    pattern = predict(run, str(tmp_path / "in" / "*"), out=tmp_path / "pattern")
    assert pattern.passed_over == ("b.xyz",)
    assert cli("predict", run, tmp_path / "in" / "a.png", "--out", tmp_path / "one").code == 0
    with pytest.raises(UlnaError, match=r"no image here that can be read, but b\.xyz"):
        predict(run, str(tmp_path / "in" / "*.xyz"), out=tmp_path / "none")


def test_masks_of_before_are_no_images(untrained: Model, tmp_path: Path) -> None:
    for name in ("c0", "c1"):
        gray(tmp_path / "d" / f"{name}.png")
    first = predict(untrained, tmp_path / "d", out=tmp_path / "d" / "out", overlay=True, probabilities=True)
    assert (first.own, first.complete) == ((), True)
    gray(tmp_path / "d" / "c2.png")
    again = predict(untrained, tmp_path / "d", out=tmp_path / "o2")
    assert [path.name for path in again.masks] == ["c0.png", "c1.png", "c2.png"]
    assert len(again.own) == 6
    assert again.complete
    pattern = predict(untrained, str(tmp_path / "d" / "**" / "*.png"), out=tmp_path / "o3")
    assert [path.name for path in pattern.masks] == ["c0.png", "c1.png", "c2.png"]
    predict(untrained, tmp_path / "d" / "c2.png", out=tmp_path / "d" / "out")
    gray(tmp_path / "d" / "out" / "mine.png")
    third = predict(untrained, tmp_path / "d", out=tmp_path / "o4")
    assert [path.name for path in third.masks] == ["c0.png", "c1.png", "c2.png", "mine.png"]
    (tmp_path / "d" / "out" / "mine.png").unlink()
    with pytest.raises(UlnaError, match=r"no image here, but 7 files that 'ulna predict' wrote(.|\n)*ulna\.json"):
        predict(untrained, tmp_path / "d" / "out", out=tmp_path / "o5")
    one = predict(untrained, tmp_path / "d" / "out" / "c0.png", out=tmp_path / "o6")
    assert len(one.masks) == 1


def test_masks_beside_their_images_are_told_apart_later(untrained: Model, tmp_path: Path) -> None:
    gray(tmp_path / "d" / "a.bmp")
    predict(untrained, tmp_path / "d", out=tmp_path / "d")
    assert all_files(tmp_path / "d") == {"a.bmp", "a.png", "ulna.json"}
    again = predict(untrained, tmp_path / "d", out=tmp_path / "out")
    assert [path.name for path in again.masks] == ["a.png"]
    assert again.own == ("a.png",)


def test_predicted_masks_are_evaluated_from_folder_and_pattern(run: Path, cells: Path, tmp_path: Path) -> None:
    predict(run, cells, out=tmp_path / "masks", overlay=True)
    for k, place in enumerate((tmp_path / "masks", str(tmp_path / "masks" / "*.png"))):
        assert evaluate(place, cells, out=tmp_path / f"scores{k}").summary.cases == 8


def test_what_was_assumed_of_a_file_is_said(untrained: Model, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (5, 20, 24), dtype=np.uint8)
    gray(tmp_path / "in" / "b.png")
    tifffile.imwrite(tmp_path / "in" / "a.tif", stack, metadata=None)
    done = predict(untrained, tmp_path / "in", out=tmp_path / "out")
    (note,) = done.notes
    assert note.startswith("a.tif: ")
    assert " ".join(note.split()) in " ".join(str(done).split())


def test_what_is_taken_for_masks_is_said(untrained: Model, tmp_path: Path) -> None:
    gray(tmp_path / "data/x/a.png")
    gray(tmp_path / "data/y/a.png")
    made = predict(untrained, tmp_path / "data", out=tmp_path / "out")
    assert len(made.masks) == 1
    (note,) = made.notes
    assert note.startswith("taken for masks of the images and not predicted: 1 file, ")
    assert note.endswith("a.png for one")


def test_links_in_a_circle_are_named(untrained: Model, tmp_path: Path) -> None:
    gray(tmp_path / "images/a.png")
    (tmp_path / "images/b.png").symlink_to("b.png")
    made = predict(untrained, tmp_path / "images", out=tmp_path / "out")
    assert [name for name, _ in made.failed] == ["b"]
    assert len(made.masks) == 1


def test_cases_are_named_by_the_groups_of_the_training(tmp_path: Path) -> None:
    """Stated by an expression or a table, or found in names; a table that is gone is missed where it is needed."""
    for name in ("P1_a", "P1_b", "P2_a", "P2_b"):
        gray(tmp_path / "in" / f"{name}.png")
    table = tmp_path / "groups.csv"
    table.write_text("name,group\nP1_a,mouse\nP1_b,mouse\nP2_a,rat\nP2_b,rat\n")
    for number, (groups, name, wanted) in enumerate(
        [
            ("", "P2", ["P2_a", "P2_b"]),
            ("_(.)", "a", ["P1_a", "P2_a"]),
            (str(table), "mouse", ["P1_a", "P1_b"]),
        ]
    ):
        made = make_model(channels=1)
        data = made.config.data.model_copy(update={"groups": groups})
        model = Model(replace(made.saved, config=made.config.model_copy(update={"data": data})))
        done = predict(model, tmp_path / "in", out=tmp_path / f"out{number}", cases=[name])
        assert [path.stem for path in done.masks] == wanted
        rest = predict(model, tmp_path / "in", out=tmp_path / f"rest{number}", except_=[name])
        assert {path.stem for path in rest.masks} == {"P1_a", "P1_b", "P2_a", "P2_b"} - set(wanted)
    table.unlink()
    assert len(predict(model, tmp_path / "in", out=tmp_path / "alone", cases=["P2_b"]).masks) == 1
    with pytest.raises(UlnaError, match="the table of groups cannot be read"):
        predict(model, tmp_path / "in", out=tmp_path / "none", cases=["mouse"])


def test_one_channel_for_three_that_are_no_colors_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gray(tmp_path / "a.png")
    for normalization, said in (("percentile_by_channel", True), ("percentile", False)):
        model = make_model(channels=3)
        model = Model(replace(model.saved, config=model.config.changed({"data.normalization": normalization})))
        made = predict(model, tmp_path / "a.png", out=tmp_path / normalization)
        assert ("a: its one channel is taken for each" in " ".join(made.notes)) == said
        capsys.readouterr()
        model.predict(tmp_path / "a.png")
        assert ("its one channel" in "".join(capsys.readouterr())) == said


def test_objects_are_listed_and_outlined(tmp_path: Path, cli: CommandLine) -> None:
    gray(tmp_path / "images" / "a.png")
    gray(tmp_path / "images" / "b.tif")
    model = make_instances()
    done = predict(
        model, tmp_path / "images", out=tmp_path / "masks", outlines=["imagej", "geojson", "coco"], overlay=True
    )
    names = {path.name for path in (tmp_path / "masks" / "outlines").iterdir()}
    assert names == {"a.zip", "b.zip", "a.geojson", "b.geojson", "coco.json"}
    lines = (tmp_path / "masks" / "objects.csv").read_text("utf-8").splitlines()
    counts = {path.stem: int(read(Source(path)).array.max()) for path in done.masks}
    assert len(lines) == 1 + sum(counts.values())
    assert any("objects.csv" in note for note in done.notes)
    assert Counter(one.image for one in read_list(Source(tmp_path / "masks" / "objects.csv"))) == counts
    prediction = model.predict(tmp_path / "images" / "a.png")
    regions = imagej.from_bytes((tmp_path / "masks" / "outlines" / "a.zip").read_bytes(), "a.zip").objects
    assert (paint(regions, (20, 24)).numbers > 0).tolist() == (np.asarray(prediction) > 0).tolist()
    assert all(0 <= score <= 1 for score in prediction.object_scores.values())
    assert set(prediction.object_scores) == set(prediction.object_classes)
    again = ulna.measure(tmp_path / "masks", tmp_path / "images", out=tmp_path / "measured")
    assert len(again) == sum(counts.values())


def test_a_volume_has_one_picture_of_three_planes(untrained: Model, tmp_path: Path) -> None:
    gray(tmp_path / "v.tif", pages=9)
    predict(untrained, tmp_path / "v.tif", out=tmp_path / "out", overlay=True)
    assert all_files(tmp_path / "out") == {"overlays", "overlays/v.png", "ulna.json", "v.tif"}
    image = read(Source(tmp_path / "v.tif"))
    with Pillow.open(tmp_path / "out" / "overlays" / "v.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), untrained.predict(tmp_path / "v.tif").overlay(image))
    listed = json.loads((tmp_path / "out" / "ulna.json").read_text())["pictures"]
    assert [name for name in listed if name.startswith("overlays")] == ["overlays/v.png"]


def test_outlines_have_the_numbers_of_the_mask_and_names_of_their_own(tmp_path: Path) -> None:
    images = [tmp_path / name for name in ("x/a.png", "y/a.png", "f.tif")]
    for path in images:
        gray(path, pages=3)
    predict(make_instances(), images, out=tmp_path / "out", outlines=["imagej", "geojson", "coco"])
    beside = tmp_path / "out" / "outlines"
    stack = read(Source(tmp_path / "out" / "f.tif")).array[0]
    for page, numbers in enumerate(stack):
        features = json.loads((beside / f"f_{page:04d}.geojson").read_text())["features"]
        expected = [str(number) for number in np.unique(numbers[numbers > 0])]
        assert [one["properties"]["name"] for one in features] == expected
        with zipfile.ZipFile(beside / f"f_{page:04d}.zip") as archive:
            assert [str(int(name.split("-")[0])) for name in archive.namelist()] == expected
    names = [one.image for one in coco.from_bytes((beside / "coco.json").read_bytes(), "coco.json")]
    assert sorted(names) == ["f_0000.tif", "f_0001.tif", "f_0002.tif", "x/a.png", "y/a.png"]


def test_what_a_later_call_does_not_predict_stays_listed(tmp_path: Path) -> None:
    gray(tmp_path / "a.png")
    gray(tmp_path / "b.png")
    for name in "ab":
        predict(make_instances(3), tmp_path / f"{name}.png", out=tmp_path / "out")
    listed = {one.image for one in read_list(Source(tmp_path / "out" / "objects.csv"))}
    assert listed == {"a", "b"}
    predict(make_model(channels=1), tmp_path / "a.png", out=tmp_path / "out", overwrite=True)  # a mask of classes
    assert {one.image for one in read_list(Source(tmp_path / "out" / "objects.csv"))} == {"b"}


def test_masks_are_listed_though_the_prediction_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gray(tmp_path / "in" / "a.png")
    gray(tmp_path / "in" / "b.png")
    model, decode = make_instances(), tasks.Instances.decode
    calls = []

    def stopped(task: tasks.Instances, activated: np.ndarray, grid: Grid) -> Labels:
        calls.append(grid)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return decode(task, activated, grid)

    monkeypatch.setattr(tasks.Instances, "decode", stopped)
    with pytest.raises(KeyboardInterrupt):
        predict(model, tmp_path / "in", out=tmp_path / "out", outlines="coco")
    listed = read_list(Source(tmp_path / "out" / "objects.csv"))
    assert {one.image for one in listed} == {"a"}
    assert (tmp_path / "out" / "outlines" / "coco.json").exists()


@pytest.mark.parametrize("fault", ["a list of something else", "earlier outlines", "volumes"])
def test_what_is_in_the_way_of_objects_is_said_first(tmp_path: Path, fault: str) -> None:
    gray(tmp_path / "a.png")
    model, out = make_instances(), tmp_path / "out"
    if fault == "a list of something else":
        out.mkdir()
        (out / "objects.csv").write_text("telescope,lens\n1,2\n")
        words = "is no list of objects"
    elif fault == "earlier outlines":
        gray(tmp_path / "b.png")
        predict(model, tmp_path / "b.png", out=out, outlines="coco")
        words = "earlier outlines are here already"
    else:
        config = model.config.changed({"network.ndim": 3})
        network = networks.build(config.network, 1, model.saved.outputs).eval()
        model, words = Model(replace(model.saved, config=config, network=network)), "this model finds volumes"
    before = all_files(out) if out.exists() else {}
    with pytest.raises(UlnaError, match=words):
        predict(model, tmp_path / "a.png", out=out, outlines="coco")
    assert (all_files(out) if out.exists() else {}) == before


def test_outlines_of_classes_are_those_of_connected_regions(untrained: Model, tmp_path: Path) -> None:
    gray(tmp_path / "a.png")
    predict(untrained, tmp_path / "a.png", out=tmp_path / "masks", outlines="geojson")
    mask = np.asarray(untrained.predict(tmp_path / "a.png"))
    found = geojson.from_bytes((tmp_path / "masks" / "outlines" / "a.geojson").read_bytes(), "a").objects
    assert (paint(found, mask.shape).numbers > 0).tolist() == (mask > 0).tolist()
    assert not (tmp_path / "masks" / "objects.csv").exists()


def test_outlines_for_a_program_that_is_not_known(untrained: Model, tmp_path: Path) -> None:
    gray(tmp_path / "a.png")
    with pytest.raises(UlnaError, match="not for cellpose"):
        predict(untrained, tmp_path / "a.png", out=tmp_path / "masks", outlines=["cellpose"])
    assert not (tmp_path / "masks").exists()


def test_objects_that_cross_tiles_are_one() -> None:
    """Whatever the tile, they are those of the whole image, up to the order of their numbers."""
    image, model = synthetic.cells(1, (150, 130), seed=3)[0][0], make_instances()
    decoding = {"foreground": 0.6, "seed": 0.3, "depth": 0.0, "smallest": 20, "holes": True}
    changes = {f"task.decoding.{key}": value for key, value in decoding.items()}
    whole, *tiled = (
        np.asarray(
            Model(replace(model.saved, config=model.config.changed(changes | {"inference.tile": tile}))).predict(image)
        )
        for tile in (4000, 48, 64, 96)
    )
    widths = [np.ptp(np.nonzero(whole == number)[1]) for number in range(1, whole.max() + 1)]
    assert max(widths) > 48 - 32  # one is wider than a tile without its margins
    for found in tiled:
        assert compare(found, whole).counts(90) == (whole.max(), 0, 0)
