from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.config import AugmentationConfig, DataConfig, TrainingConfig
from ulna.dataset import load_truth
from ulna.image import IGNORE
from ulna.labels.inference import infer
from ulna.layouts import read_dataset
from ulna.store import Store, build
from ulna.training.augmentation import context
from ulna.training.batches import Batches, sampling_probabilities
from ulna.training.phases import Phase


@pytest.fixture(scope="module")
def store(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    cases = read_dataset(cells).cases
    classes = infer([load_truth(case).array for case in cases], DataConfig())
    return build(tmp_path_factory.mktemp("cache") / "all", cases, config=DataConfig(), classes=classes)


def drawn_from(store: Store, phase: Phase, *, final: Phase | None = None, **training: Any) -> Batches:
    """Batches of one phase, or from step 100 on of another."""
    parts = (phase, final or phase)
    return Batches(store, TrainingConfig(**training), phases=parts, steps=range, final=lambda step: step >= 100)


def test_every_group_is_drawn_alike() -> None:
    groups = ("a", "a", "a", "b")
    assert sampling_probabilities(groups, "groups").tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert sampling_probabilities(groups, "images").tolist() == [0.25] * 4


def test_a_step_is_the_same_whenever_it_is_asked_for(store: Store) -> None:
    part = Phase((40, 48), 4, None)
    batches = Batches(store, TrainingConfig(seed=3), phases=(part, part), steps=lambda: range(5, 8))
    drawn = list(batches)
    assert [batch.step for batch in drawn] == [5, 6, 7]
    again = batches.batch(6)
    assert torch.equal(again.images, drawn[1].images)
    assert torch.equal(again.truth, drawn[1].truth)
    assert (again.images.shape, again.images.dtype) == ((4, 1, 40, 48), torch.float32)
    assert (again.truth.shape, again.truth.dtype) == ((4, 1, 40, 48), torch.uint8)
    assert not torch.equal(drawn[0].images, drawn[1].images)
    assert not torch.equal(drawn_from(store, part, seed=4).batch(6).images, again.images)


def test_the_window_is_what_augmentation_needs_and_at_the_end_patches_are_of_another_size(store: Store) -> None:
    varied = Phase((32, 32), 4, AugmentationConfig())
    batches = drawn_from(store, varied, final=Phase((64, 64), 1, None))
    early, late = batches.batch(99), batches.batch(100)
    assert not early.final
    assert early.images.shape == (4, 1, *context(AugmentationConfig(), (32, 32)))
    assert late.final
    assert late.images.shape == (1, 1, 64, 64)


def test_of_large_masks_some_of_the_foreground_is_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ulna.training.batches.MAX_COORDINATES", 5)
    batches = drawn_from(store, Phase((1, 1), 50, None), foreground=1.0)
    batch = batches.batch(0)
    assert batch.truth.all()
    assert len(batch.images.unique()) > 5  # of several cases
    assert all(len(places) == 5 for places in batches._coordinates.values())


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 1000))
def test_image_and_truth_are_cut_alike_and_the_patch_lies_inside(store: Store, y: int, x: int, step: int) -> None:
    batch = drawn_from(store, Phase((y, x), 2, None), foreground=0.5).batch(step)
    for image, truth in zip(batch.images.numpy(), batch.truth.numpy(), strict=True):
        if y <= 64 and x <= 64:
            assert any(_holds(store, i, image, truth) for i in range(len(store)))
        assert image.shape == truth.shape == (1, y, x)


def _holds(store: Store, case: int, image: np.ndarray, truth: np.ndarray) -> bool:
    whole = store.image(case)[0]
    for row, column in np.argwhere(whole == image[0, 0, 0]):
        place = np.s_[row : row + image.shape[1], column : column + image.shape[2]]
        if np.array_equal(whole[place], image[0]) and np.array_equal(store.truth(case)[0][place], truth[0]):
            return True
    return False


def test_patches_are_centerd_on_the_foreground_as_often_as_asked(store: Store) -> None:
    part = Phase((1, 1), 64, None)
    assert (drawn_from(store, part, foreground=1.0).batch(0).truth > 0).all()
    assert (drawn_from(store, part, foreground=0.0).batch(0).truth > 0).float().mean() < 0.5


def ignoring(store: Store, ignored: np.ndarray) -> Store:
    """The store with its first case only, of which some pixels are not annotated."""
    truth = np.array(store.truth(0))
    truth[0][ignored] = IGNORE
    changed = replace(store, names=store.names[:1], groups=store.groups[:1], shapes=store.shapes[:1])
    object.__setattr__(changed, "_truths", truth.ravel())
    return changed


@pytest.mark.parametrize("foreground", [0.0, 1.0])
def test_patches_are_not_centered_on_ignored_pixels(store: Store, foreground: float) -> None:
    """All but one tenth of the image is not annotated."""
    shape = store.truth(0).shape[1:]
    keep = np.zeros(shape, bool)
    keep[3:-3, 3:-3] = np.random.default_rng(0).random(shape)[3:-3, 3:-3] < 0.1  # no patch is moved off the border
    holed = ignoring(store, ~keep)
    batches = drawn_from(holed, Phase((5, 5), 40, None), foreground=foreground)
    centers = np.concatenate([batches.batch(step).truth[:, 0, 2, 2].numpy() for step in range(20)])
    assert not (centers == IGNORE).any()
    assert set(centers.tolist()) == ({1} if foreground else {0, 1})
