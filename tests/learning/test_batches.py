from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.cache import Cache, build
from ulna.classes import understand
from ulna.config import AugmentationConfig, DataConfig, TrainingConfig
from ulna.dataset import load_truth
from ulna.layouts import read_dataset
from ulna.learning.augment import context
from ulna.learning.batches import Batches, weights
from ulna.learning.parts import Part


@pytest.fixture(scope="module")
def cache(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    cases = read_dataset(cells).cases
    classes = understand([load_truth(case).array for case in cases], DataConfig())
    return build(tmp_path_factory.mktemp("cache") / "all", cases, config=DataConfig(), classes=classes)


def drawn_from(cache: Cache, part: Part, *, settling: Part | None = None, **training: Any) -> Batches:
    """Batches of one part, or from step 100 on of another."""
    parts = (part, settling or part)
    return Batches(cache, TrainingConfig(**training), parts=parts, steps=range, settling=lambda step: step >= 100)


def test_every_group_is_drawn_alike() -> None:
    groups = ("a", "a", "a", "b")
    assert weights(groups, "groups").tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert weights(groups, "images").tolist() == [0.25] * 4


def test_a_step_is_the_same_whenever_it_is_asked_for(cache: Cache) -> None:
    part = Part((40, 48), 4, None)
    batches = Batches(cache, TrainingConfig(seed=3), parts=(part, part), steps=lambda: range(5, 8))
    drawn = list(batches)
    assert [batch.step for batch in drawn] == [5, 6, 7]
    again = batches.batch(6)
    assert torch.equal(again.images, drawn[1].images)
    assert torch.equal(again.truth, drawn[1].truth)
    assert (again.images.shape, again.images.dtype) == ((4, 1, 40, 48), torch.float32)
    assert (again.truth.shape, again.truth.dtype) == ((4, 1, 40, 48), torch.uint8)
    assert not torch.equal(drawn[0].images, drawn[1].images)
    assert not torch.equal(drawn_from(cache, part, seed=4).batch(6).images, again.images)


def test_the_window_is_what_augmentation_needs_and_at_the_end_patches_are_of_another_size(cache: Cache) -> None:
    varied = Part((32, 32), 4, AugmentationConfig())
    batches = drawn_from(cache, varied, settling=Part((64, 64), 1, None))
    early, late = batches.batch(99), batches.batch(100)
    assert not early.settling
    assert early.images.shape == (4, 1, *context(AugmentationConfig(), (32, 32)))
    assert late.settling
    assert late.images.shape == (1, 1, 64, 64)


def test_of_large_masks_some_of_the_foreground_is_remembered(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ulna.learning.batches.PLACES", 5)
    batches = drawn_from(cache, Part((1, 1), 50, None), foreground=1.0)
    batch = batches.batch(0)
    assert batch.truth.all()
    assert len(batch.images.unique()) > 5  # of several cases
    assert all(len(places) == 5 for places in batches._places.values())


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 1000))
def test_image_and_truth_are_cut_alike_and_the_patch_lies_inside(cache: Cache, y: int, x: int, step: int) -> None:
    batch = drawn_from(cache, Part((y, x), 2, None), foreground=0.5).batch(step)
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
    part = Part((1, 1), 64, None)
    assert (drawn_from(cache, part, foreground=1.0).batch(0).truth > 0).all()
    assert (drawn_from(cache, part, foreground=0.0).batch(0).truth > 0).float().mean() < 0.5
