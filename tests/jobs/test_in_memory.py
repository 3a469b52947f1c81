from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import ulna
from small_data import cells
from ulna import runfolder as runs
from ulna.errors import UlnaError
from ulna.formats import read
from ulna.image import Image, Source
from ulna.jobs.in_memory import write_pairs

MASK = np.eye(6, 8, dtype=np.uint8)
IMAGE = np.arange(48, dtype=np.uint16).reshape(6, 8)
COLOR = np.arange(144, dtype=np.uint8).reshape(3, 6, 8)


def written(folder: Path, number: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    image, mask = (read(Source(folder / kind / f"image_{number:06d}.tif")).array for kind in ("images", "masks"))
    return image, mask


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (IMAGE, IMAGE[None]),
        (IMAGE[None], IMAGE[None]),
        (COLOR, COLOR),
        (np.moveaxis(COLOR, 0, -1), COLOR),
        (torch.tensor(COLOR), COLOR),
        (torch.tensor(COLOR).bfloat16(), COLOR.astype(np.float32)),
        (Image(COLOR), COLOR),
        (IMAGE.astype(np.float64) / 7, (IMAGE.astype(np.float64) / 7)[None]),
        (IMAGE.astype(np.float16), IMAGE.astype(np.float32)[None]),
        (IMAGE.astype(np.int64), IMAGE.astype(np.int32)[None]),
    ],
)
def test_arrays_are_written_as_they_are(given: Any, wanted: np.ndarray[Any, Any], tmp_path: Path) -> None:
    folder, groups = write_pairs([(given, MASK)], tmp_path)
    image, mask = written(folder, 1)
    np.testing.assert_array_equal(image, wanted)
    assert image.dtype == wanted.dtype
    np.testing.assert_array_equal(mask, MASK[None])
    assert groups is None


def test_masks_may_be_boolean_or_have_a_channel(tmp_path: Path) -> None:
    folder, _ = write_pairs(iter([(IMAGE, MASK == 1), (IMAGE, MASK[None].astype(np.int64) * 300)]), tmp_path)
    assert [int(written(folder, n)[1].max()) for n in (1, 2)] == [1, 300]


def test_groups_are_written_in_a_table(tmp_path: Path) -> None:
    _, groups = write_pairs([(IMAGE, MASK, "a"), (IMAGE, MASK, "a"), (IMAGE, MASK)], tmp_path)
    assert groups is not None
    with groups.open(newline="") as file:
        table = {row["name"]: row["group"] for row in csv.DictReader(file)}
    assert table == {"image_000001": "a", "image_000002": "a", "image_000003": "image_000003"}


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (IMAGE, "no (image, mask)"),
        ((IMAGE,), "no (image, mask)"),
        ((IMAGE, MASK[:, :3]), "the image has the shape (6, 8), its mask (6, 3)"),
        ((IMAGE, COLOR), "a mask is (Y, X)"),
        ((IMAGE, "mask.png"), "no image"),
        ((IMAGE * 1j, MASK), "no image"),
        ((np.ma.masked_array(IMAGE), MASK), "masked array"),
        ((np.full((6, 8), 2**40), MASK), "32 bits"),
        ((np.zeros((0, 8)), MASK), "no image"),
    ],
)
def test_what_is_no_pair_is_refused_with_its_number(pair: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UlnaError) as caught:
        write_pairs([(IMAGE, MASK), pair], tmp_path)
    assert words in str(caught.value)
    assert "item 2" in str(caught.value)


def test_no_pair_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match="no image to train on"):
        write_pairs([], tmp_path)


SMALL = {"training.steps": 2, "network.widths": [4, 8], "training.patch": [32, 32], "training.batch_size": 2}


def test_arrays_are_trained_on_by_group_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pairs(seed: int = 0) -> Callable[[], Any]:
        return lambda: ((*cells((64, 64), seed + k), f"patient {k // 2}") for k in range(8))

    straight = ulna.train(pairs()(), tmp_path / "straight", epochs=1, changes=SMALL)
    assert straight.scores is not None
    train, validation = runs.names(tmp_path / "straight")
    assert len(train) + len(validation) == 8
    sides = [{(int(name[-6:]) - 1) // 2 for name in side} for side in (train, validation)]
    assert not sides[0] & sides[1]
    assert not (tmp_path / "straight" / runs.PAIRS).exists()
    assert straight.model.config.data.groups == ""  # the table was of this training alone
    said = runs.words(tmp_path / "straight")["command"]
    assert said.startswith("From Python, with 8 pairs (image, mask) in memory: ulna.train(pairs, ")
    assert "groups.csv" not in said

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ulna.run.fit", stopped)
        with pytest.raises(KeyboardInterrupt):
            ulna.train(pairs()(), tmp_path / "run", epochs=1, changes=SMALL)
    with pytest.raises(UlnaError, match="are not those"):
        ulna.train(pairs(50)(), tmp_path / "run", resume=True)
    ulna.train(pairs()(), tmp_path / "run", resume=True)
    first, again = (load_file(tmp_path / name / "model.safetensors") for name in ("straight", "run"))
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(IMAGE, 0 * MASK)] * 3, "cannot be trained on"),
        ([(IMAGE * np.nan, MASK)] * 3, "cannot be trained on"),
        ([(IMAGE, MASK), (5, MASK)], "item 2 of the data"),
        (object(), "object is no data"),
    ],
    ids=["no foreground", "NaN", "no pair", "no data"],
)
def test_arrays_that_cannot_be_trained_on_leave_nothing_behind(pairs: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match=words):
        ulna.train(pairs, tmp_path / "run", epochs=1, changes=SMALL)
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_stopped_before_its_plan_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    pairs = [cells((64, 64), k) for k in range(4)]
    with monkeypatch.context() as patched:
        patched.setattr("ulna.jobs.fitting.check", stopped)
        with pytest.raises(KeyboardInterrupt):
            ulna.train(pairs, tmp_path / "run", epochs=1, changes=SMALL)
    assert (tmp_path / "run" / runs.PAIRS).is_dir()
    assert ulna.train(pairs, tmp_path / "run", epochs=1, changes=SMALL, resume=True).run == tmp_path / "run"
