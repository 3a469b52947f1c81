from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.cache import Cache, build
from ulna.classes import understand
from ulna.config import DataConfig, TrainingConfig
from ulna.dataset import load_truth
from ulna.layouts import read_dataset
from ulna.learning.batches import Batches, weights


@pytest.fixture(scope="module")
def cache(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    cases = read_dataset(cells).cases
    classes = understand([load_truth(case).array for case in cases], DataConfig())
    return build(tmp_path_factory.mktemp("cache") / "all", cases, config=DataConfig(), classes=classes)


def test_every_group_is_drawn_alike() -> None:
    groups = ("a", "a", "a", "b")
    assert weights(groups, "groups").tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert weights(groups, "images").tolist() == [0.25] * 4


def test_a_step_is_the_same_whenever_it_is_asked_for(cache: Cache) -> None:
    training = TrainingConfig(patch=(32, 32), batch_size=4, seed=3)
    batches = Batches(cache, training, size=(40, 48), steps=lambda: range(5, 8))
    drawn = list(batches)
    assert [batch.step for batch in drawn] == [5, 6, 7]
    again = batches.batch(6)
    assert torch.equal(again.images, drawn[1].images)
    assert torch.equal(again.truth, drawn[1].truth)
    assert (again.images.shape, again.images.dtype) == ((4, 1, 40, 48), torch.float32)
    assert (again.truth.shape, again.truth.dtype) == ((4, 1, 40, 48), torch.uint8)
    assert not torch.equal(drawn[0].images, drawn[1].images)
    other = Batches(cache, TrainingConfig(patch=(32, 32), batch_size=4, seed=4), size=(40, 48), steps=range)
    assert not torch.equal(other.batch(6).images, again.images)


def test_of_large_masks_some_of_the_foreground_is_remembered(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ulna.learning.batches.PLACES", 5)
    training = TrainingConfig(patch=(1, 1), batch_size=50, foreground=1.0)
    batches = Batches(cache, training, size=(1, 1), steps=range)
    batch = batches.batch(0)
    assert batch.truth.all()
    assert len(batch.images.unique()) > 5  # of several cases
    assert all(len(places) == 5 for places in batches._places.values())


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 1000))
def test_image_and_truth_are_cut_alike_and_the_patch_lies_inside(cache: Cache, y: int, x: int, step: int) -> None:
    training = TrainingConfig(patch=(y, x), batch_size=2, foreground=0.5)
    batch = Batches(cache, training, size=(y, x), steps=range).batch(step)
    for image, truth in zip(batch.images.numpy(), batch.truth.numpy(), strict=True):
        if y <= 64 and x <= 64:
            assert any(_holds(cache, i, image, truth) for i in range(len(cache)))
        assert image.shape == truth.shape == (1, y, x)


def _holds(cache: Cache, case: int, image: np.ndarray, truth: np.ndarray) -> bool:
    whole = cache.image(case)[0]
    for row, column in np.argwhere(whole == image[0, 0, 0]):
        place = np.s_[row : row + image.shape[1], column : column + image.shape[2]]
        if np.array_equal(whole[place], image[0]) and np.array_equal(cache.truth(case)[0][place], truth[0]):
            return True
    return False


def test_patches_are_centred_on_the_foreground_as_often_as_asked(cache: Cache) -> None:
    training = TrainingConfig(patch=(1, 1), batch_size=64, foreground=1.0)
    batch = Batches(cache, training, size=(1, 1), steps=range).batch(0)
    assert (batch.truth > 0).all()
    training = TrainingConfig(patch=(1, 1), batch_size=64, foreground=0.0)
    assert (Batches(cache, training, size=(1, 1), steps=range).batch(0).truth > 0).float().mean() < 0.5
