from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as Pillow

import ulna
from ulna import modelfile
from ulna.errors import UlnaError
from ulna.formats import read
from ulna.image import Image, Source
from ulna.labels.classes import Classes
from ulna.layouts.own import own_files
from ulna.model import Model


@pytest.fixture(scope="module")
def model(run: Path) -> Model:
    return ulna.load(run)


def test_every_way_to_give_an_image_gives_the_same_mask(model: Model, cells: Path) -> None:
    path = cells / "images" / "cells_000.png"
    image = read(Source(path))
    mask = model.predict(path)
    assert (mask.array.shape, mask.array.dtype) == ((1, 64, 64), np.uint8)
    assert mask.classes == model.classes.names == ("background", "foreground")
    assert set(np.unique(model.classes.to_values(mask.array))) <= {0, 255}
    for given in (str(path), Source(path), image, image.array, image.array[0], np.moveaxis(image.array, 0, -1)):
        assert np.array_equal(model.predict(given).array, mask.array)


def test_probabilities_agree_with_the_mask(model: Model, cells: Path) -> None:
    image = read(Source(cells / "images" / "cells_001.png"))
    probabilities = model.probabilities(image).array
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-6)
    both = model.mask_and_probabilities(image)
    assert np.array_equal(both[0].array, model.predict(image).array)
    assert np.array_equal(both[1].array, probabilities)
    assert np.array_equal(both[0].array[0] == 1, probabilities[1] > 0.5)


def test_a_stack_gives_a_stack(model: Model, tmp_path: Path) -> None:
    pages = np.random.default_rng(0).integers(0, 255, (3, 20, 30), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    mask = model.predict(tmp_path / "stack.tif")
    assert mask.array.shape == (1, 3, 20, 30)
    assert np.array_equal(mask.array[0, 1], model.predict(pages[1]).array[0])
    probabilities = model.probabilities(tmp_path / "stack.tif").array
    assert np.array_equal(probabilities[:, 2], model.probabilities(pages[2]).array)


def test_what_is_no_image_for_it_is_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match="3 channels, the network takes 1"):
        model.predict(Image(np.arange(1200.0).reshape(3, 20, 20)))
    with pytest.raises(UlnaError, match="is no image for this model"):
        model.predict(np.zeros((20, 20, 20)))
    sizes = {"training.patch": [32, 32, 32], "training.final_patch": [32, 32, 32]}
    volumes = Model(replace(model.saved, config=model.config.changed({"network.ndim": 3} | sizes)))
    with pytest.raises(UlnaError, match="2 spatial axes, this model takes 3"):
        volumes.predict(Image(np.zeros((1, 20, 20))))
    with pytest.raises(UlnaError, match="no such file"):
        model.predict(tmp_path / "none.png")


def test_several_images_give_an_iterator(model: Model, cells: Path) -> None:
    paths = sorted((cells / "images").iterdir())[:3]
    expected = [model.predict(path).array for path in paths]
    seen: list[int] = []

    def counted(items: list[object], what: str) -> list[object]:
        seen.append(len(items))
        return items

    predictions = model.predict(paths, progress=counted)  # type: ignore[arg-type]
    assert iter(predictions) is predictions
    for found in (list(predictions), list(model.predict(path for path in paths)), list(model.predict(tuple(paths)))):
        assert [one.source for one in found] == [Source(path) for path in paths]
        assert all(np.array_equal(one.array, mask) for one, mask in zip(found, expected, strict=True))
    assert seen == [3]
    assert list(model.predict([])) == []


def test_an_iterator_reads_no_further_than_it_is_asked(model: Model) -> None:
    taken: list[int] = []

    def images() -> Iterator[np.ndarray]:
        for number in range(5):
            taken.append(number)
            yield np.full((20, 20), number, np.uint8)

    predictions = model.predict(images())
    assert taken == []
    next(predictions)
    next(predictions)
    assert taken == [0, 1]


def test_an_error_names_the_image_of_a_list(model: Model, tmp_path: Path) -> None:
    gray = np.zeros((20, 20), np.uint8)
    with pytest.raises(UlnaError, match=r"image 1 of those given.*no such file"):
        list(model.predict([gray, tmp_path / "none.png"]))
    with pytest.raises(UlnaError, match="image 0 of those given: an array"):
        list(model.predict([np.zeros(3)]))
    with pytest.raises(UlnaError, match="a list within the list"):
        list(model.predict([[1, 2], [3, 4]]))
    with pytest.raises(UlnaError, match="a int is no image"):
        list(model.predict([1, 2]))


def test_masks_of_several_images_go_into_files(model: Model, cells: Path, tmp_path: Path) -> None:
    paths = sorted((cells / "images").iterdir())[:2]
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((2, 20, 30), np.uint8), photometric="minisblack")
    images = [*paths, read(Source(paths[0])).array, tmp_path / "stack.tif"]
    written = model.predict(iter(images), out=tmp_path / "masks")
    assert [path.name for path in written] == ["cells_000.png", "cells_001.png", "0002.png", "stack.tif"]
    with Pillow.open(written[0]) as mask:
        values = model.classes.to_values(model.predict(paths[0]).array)[0]
        assert np.array_equal(np.asarray(mask), values)
    assert np.array_equal(read(Source(written[2])).array, read(Source(written[0])).array)
    assert tifffile.imread(written[3]).shape == (2, 20, 30)
    assert own_files(tmp_path / "masks", ["ulna.json"]) == set(written)
    with pytest.raises(UlnaError, match="there already"):
        model.predict(paths, out=tmp_path / "masks")
    assert model.predict(paths[0], out=tmp_path / "masks", overwrite=True) == written[:1]
    with pytest.raises(UlnaError, match=r"in cells_000\.png"):
        model.predict([paths[0], paths[0]], out=tmp_path / "other")
    with pytest.raises(UlnaError, match="over an image"):
        model.predict(paths[0], out=paths[0].parent, overwrite=True)
    (tmp_path / "there").mkdir()
    other = tmp_path / "there" / paths[0].name
    other.write_bytes(paths[1].read_bytes())
    with pytest.raises(UlnaError, match="over an image"):  # of another image in the list
        model.predict([paths[0], str(other)], out=tmp_path / "there", overwrite=True)
    assert other.read_bytes() == paths[1].read_bytes()


def test_what_a_reader_had_to_assume_is_said(model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for size in ((20, 30), (20, 31)):
            file.write(np.zeros(size, np.uint8), photometric="minisblack", contiguous=False)
    assert model.predict(tmp_path / "a.tif").shape == (20, 30)
    assert "a.tif" in capsys.readouterr().err


def test_a_stack_keeps_its_place_in_space(model: Model, tmp_path: Path) -> None:
    pages = np.zeros((3, 20, 30), np.uint8)
    spaced = {"spacing": 2.0, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "a.tif", pages, imagej=True, resolution=(4, 4), metadata=spaced)
    prediction = model.predict(tmp_path / "a.tif")
    assert prediction.spacing == read(Source(tmp_path / "a.tif")).spacing == (2.0, 0.25, 0.25)


def test_threads_share_a_model(model: Model) -> None:
    noise = np.random.default_rng(0)
    tiled = Model(replace(model.saved, config=model.config.changed({"inference.tile": 96})))
    images = [(noise.random((150 + 20 * k, 140)) ** (k + 1) * 255).astype(np.uint8) for k in range(6)]
    alone = [tiled.probabilities(image).array for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: tiled.probabilities(image).array, images))
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_model_says_what_it_is(model: Model) -> None:
    assert repr(model) == "<Model unet on cpu: 1-channel 2D images → background, foreground>"
    assert "unet on cpu" in model._repr_html_()
    assert model.network is model.saved.network
    assert model.device == torch.device("cpu")
    table = model.summary()
    assert table.parameters == sum(weight.numel() for weight in model.network.parameters())
    assert table.input == (1, 32, 32)  # the patch
    assert model.summary((64, 48)).layers[-1].shape == (1, 64, 48)
    assert "head" in str(table)
    assert "head" in table._repr_html_()
    assert "\n" not in repr(table)
    assert next(model.network.parameters()).device.type == "cpu"  # not moved by it


def test_a_model_is_saved_where_it_is_said(model: Model, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)
    assert model.save(tmp_path) == tmp_path / "model.safetensors"
    assert model.save(str(tmp_path / "new" / "other.safetensors")).is_file()
    for place in (tmp_path, tmp_path / "new" / "other.safetensors"):
        loaded = ulna.load(place, device="cpu")
        assert np.array_equal(loaded.probabilities(image).array, model.probabilities(image).array)
    with pytest.raises(UlnaError, match=r"Name it model\.safetensors"):
        model.save(tmp_path / "model.pt")


def test_a_device_that_is_not_there_is_refused(run: Path) -> None:
    with pytest.raises(UlnaError, match="Known: cpu, cuda, mps"):
        ulna.load(run, device="gpu")


def test_one_output_for_three_classes_is_refused(model: Model, tmp_path: Path) -> None:
    classes = replace(model.classes, names=("background", "a", "b"), values=((0,), (1,), (2,)))
    with pytest.raises(UlnaError, match="1 output channels, the task 'semantic' needs 3 for background, a, b"):
        Model(replace(model.saved, classes=classes))
    modelfile.save(tmp_path / "a.safetensors", replace(model.saved, classes=classes))
    with pytest.raises(UlnaError, match=r"a\.safetensors: the parts of this model contradict each other"):
        ulna.load(tmp_path / "a.safetensors")


def test_a_model_goes_to_spawned_processes(model: Model) -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)
    expected = model.predict(image)
    sent = pickle.loads(pickle.dumps(model))
    assert np.array_equal(sent.predict(image).array, expected.array)
    assert np.array_equal(pickle.loads(pickle.dumps(expected)).array, expected.array)


def test_predicting_writes_nothing_onto_the_network(model: Model) -> None:
    tiled = Model(replace(model.saved, config=model.config.changed({"inference.tile": 96})))
    before = [(module.training, dict(vars(module))) for module in model.network.modules()]
    tiled.predict(np.random.default_rng(0).random((200, 150)))
    assert [(module.training, dict(vars(module))) for module in model.network.modules()] == before


def test_scores_are_of_the_objects_that_are_left_on_the_image_s_own_grid() -> None:
    labels = Image(np.array([[[0, 1, 1, 1]], [[0, 1, 3, 3]]], np.int32))
    classes = Classes(("background", "cell"), ((0,), (1,)), "classes", "")
    there = SimpleNamespace(classes=classes, in_one_piece=lambda classes, _grid: classes)
    found = Model._prediction(there, labels, SimpleNamespace(scores=(0.9, 0.1, 0.8)))  # type: ignore[arg-type]
    assert found.object_scores == {1: 0.9, 3: 0.8}
