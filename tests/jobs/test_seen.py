"""Images that a model has seen are recognized by their pixels, under whatever name, and only these."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

import ulna
from small_data import cells, put
from ulna.dataset import Dataset
from ulna.errors import UlnaError
from ulna.image import Array
from ulna.jobs.seen import read_seen
from ulna.layouts import read_dataset
from ulna.leaks import fingerprint
from ulna.leaks.seen import FILE, Seen

SMALL = {
    "training.steps": 1,
    "network.widths": [4, 8],
    "training.patch": [32, 32],
    "training.batch_size": 2,
    "augmentation": None,
    "data.validation": 0.25,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained on six images of cells and validated on two."""
    place = tmp_path_factory.mktemp("seen")
    for index in range(8):
        put(place / "data", f"cell{index}", *cells((128, 128), index))
    ulna.train(place / "data", place / "run", epochs=1, changes=SMALL)
    return place / "run"


def images_of(run: Path, part: str) -> list[tuple[Array, Array]]:
    names = (run / f"{part}.txt").read_text("utf-8").split()
    data = run.parent / "data"
    return [
        (np.asarray(Pillow.open(data / "images" / f"{n}.png")), np.asarray(Pillow.open(data / "masks" / f"{n}.png")))
        for n in names
    ]


def notes(model: object, data: Path | Dataset, out: Path) -> list[str]:
    found = ulna.evaluate(model, data, out=out, overwrite=True)  # type: ignore[arg-type]
    return [note for note in found.notes if "optimistically biased" in note]


def test_other_names_and_the_model_file_alone(run: Path, tmp_path: Path) -> None:
    for number, (image, mask) in enumerate(images_of(run, "train")):
        put(tmp_path / "data", f"test_{number}", image, mask)
    for number, (image, mask) in enumerate(images_of(run, "validation")):
        put(tmp_path / "data", f"held_{number}", image, mask)
    put(tmp_path / "data", "new", *cells((128, 128), 99))
    alone = tmp_path / "alone.safetensors"
    shutil.copy(run / "model.safetensors", alone)
    for model in (run, alone, ulna.load(run)):
        trained, validated = notes(model, tmp_path / "data", tmp_path / "scores")
        assert trained.startswith("6 of these 9 images are images that the model was trained on")
        assert "equal pixels 6" in trained
        assert "test_0, test_1, test_2, test_3, test_4 and 1 more" in trained
        assert validated.startswith("2 of these 9 images are validation images")
        assert "held_0, held_1" in validated


def test_a_data_set_from_python_and_a_function_in_place_of_the_model(run: Path, tmp_path: Path) -> None:
    data = read_dataset(run.parent / "data")
    model = ulna.load(run)
    found = notes(model, data, tmp_path / "scores")
    assert [note.split(" images ")[0] for note in found] == ["6 of these 8", "2 of these 8"]
    result = ulna.evaluate(model, data, out=tmp_path / "other", predict=model.predict)
    assert set(found) <= set(result.notes)


def test_a_model_just_trained_knows_its_images_and_its_own_scores_do_not_say_so(tmp_path: Path) -> None:
    for index in range(4):
        put(tmp_path / "data", f"cell{index}", *cells((64, 64), index))
    trained = ulna.train(tmp_path / "data", tmp_path / "run", epochs=1, changes=SMALL)
    assert trained.scores is not None
    assert not any("optimistically biased" in note for note in trained.scores.notes)
    assert len(notes(trained.model, tmp_path / "data", tmp_path / "scores")) == 2
    assert trained.model.saved.seen == ulna.load(tmp_path / "run").saved.seen


def test_other_containers_flips_and_tiles(run: Path, tmp_path: Path) -> None:
    (image, mask), *others = images_of(run, "train")
    put(tmp_path / "data", "flipped", image[:, ::-1], mask[:, ::-1])
    put(tmp_path / "data", "tile", others[0][0][20:110, 30:120], others[0][1][20:110, 30:120])
    put(tmp_path / "data", "jpeg", None or others[1][0], others[1][1])
    (tmp_path / "data" / "images" / "jpeg.png").unlink()
    Pillow.fromarray(others[1][0]).save(tmp_path / "data" / "images" / "jpeg.jpg", quality=80)
    put(tmp_path / "data", "sixteen", others[2][0], others[2][1])
    (tmp_path / "data" / "images" / "sixteen.png").unlink()
    tifffile.imwrite(tmp_path / "data" / "images" / "sixteen.tif", others[2][0].astype(np.uint16) * 200)
    put(tmp_path / "data", "new", *cells((128, 128), 99))
    (note,) = notes(run, tmp_path / "data", tmp_path / "scores")
    assert note.startswith("4 of these 5 images are images that the model was trained on")
    assert "near-duplicates 3" in note
    assert "overlapping tiles 1" in note


def test_new_images_are_not_recognized(run: Path, tmp_path: Path) -> None:
    for index in range(6):
        put(tmp_path / "data", f"cell{index}", *cells((128, 128), 200 + index))
    assert notes(run, tmp_path / "data", tmp_path / "scores") == []


def test_a_run_without_fingerprints_compares_names(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / FILE).unlink()
    model = ulna.load(run)
    saved = model.saved.__class__(**{**model.saved.__dict__, "seen": ""})
    from ulna import modelfile

    modelfile.save(tmp_path / "run" / "model.safetensors", saved)
    (note,) = notes(tmp_path / "run", run.parent / "data", tmp_path / "scores")
    assert note.startswith("6 of these 8 images have names of images that the run learned from")


def test_fingerprints_are_small_and_come_back() -> None:
    images = [cells((128, 128), seed)[0][None] for seed in range(5)]
    prints = [fingerprint(image) for image in images]
    seen = Seen.of(prints[:3], prints[3:4])
    data = seen.to_bytes()
    assert len(data) < 4 * 4000
    again = Seen.from_bytes(data)
    assert again.parts == seen.parts == ("training",) * 3 + ("validation",)
    assert again.to_bytes() == data
    for one, other in zip(seen.prints, again.prints, strict=True):
        assert one.digest == other.digest
        np.testing.assert_allclose(one.thumbnail, other.thumbnail, atol=1e-6)
        np.testing.assert_array_equal(one.sketch.hashes, other.sketch.hashes)
    for each in (seen, again):
        assert [(found.index, found.part, found.kind) for found in each.recognize(prints)] == [
            (0, "training", "equal pixels"),
            (1, "training", "equal pixels"),
            (2, "training", "equal pixels"),
            (3, "validation", "equal pixels"),
        ]


def test_nothing_seen() -> None:
    seen = Seen.from_bytes(Seen.of([], []).to_bytes())
    assert seen.recognize([fingerprint(cells((64, 64), 0)[0][None])]) == []
    assert read_seen("") is None


@pytest.mark.parametrize("text", ["???", "AAAA", "UEsDBA=="])
def test_broken_fingerprints_are_an_error(text: str) -> None:
    with pytest.raises(UlnaError, match="fingerprints of the training images cannot be read"):
        read_seen(text)
