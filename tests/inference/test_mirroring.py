"""Mirroring at test time equals the mean over predictions of mirrored images."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from ulna.config import Config
from ulna.errors import UlnaError
from ulna.inference.engines import averaged
from ulna.inference.mirroring import flips, mirrored
from ulna.inference.pipeline import Pipeline
from ulna.labels.classes import Classes
from ulna.model import Model
from ulna.modelfile import Saved
from ulna.networks import UNet
from ulna.tasks import build

WIDTHS = (4, 6, 8)


def network(ndim: int, outputs: int, *, seed: int = 0, norm: str = "instance") -> UNet:
    torch.manual_seed(seed)
    return UNet(1, outputs, widths=WIDTHS, ndim=ndim, norm=norm).eval()


def config(ndim: int, **settings: Any) -> Config:
    changes = {"network.ndim": ndim, "network.widths": WIDTHS, "inference.margin": 8, "inference.mirror": True}
    return Config().changed(changes | {key.replace("__", "."): value for key, value in settings.items()})


@pytest.mark.parametrize(("shape", "outputs"), [((40, 56), 1), ((40, 56), 3), ((16, 24, 16), 3)])
@pytest.mark.parametrize("count", [1, 2])
def test_it_is_the_mean_over_mirrored_images(shape: tuple[int, ...], outputs: int, count: int) -> None:
    networks = [network(len(shape), outputs, seed=seed) for seed in range(count)]
    task = build(Config().task, ("background", "a", "b")[: max(outputs, 2)])
    image = np.random.default_rng(0).standard_normal((1, *shape), dtype=np.float32)
    settings = config(len(shape))
    pipeline = Pipeline(networks[0], settings, outputs, others=tuple(networks[1:]), average=task.average)
    plain = settings.changed({"inference.mirror": False})
    each = []
    for one in networks:
        alone = Pipeline(one, plain, outputs)
        for size in range(len(shape) + 1):
            for axes in combinations(range(1, len(shape) + 1), size):
                logits = np.flip(alone.normalized(np.ascontiguousarray(np.flip(image, axes))), axes)
                each.append(expit(logits) if outputs == 1 else softmax(logits, axis=0))
    assert len(each) == count * 2 ** len(shape)
    found = task.activate(pipeline.normalized(image))
    expected = np.mean(each, axis=0)
    np.testing.assert_allclose(found[-outputs:], expected, atol=1e-5)
    assert np.abs(each[0] - expected).max() > 1e-3


@pytest.mark.parametrize("norm", ["instance", "none"])
@pytest.mark.parametrize("shape", [(301, 277), (257, 190)])
def test_exact_tiles_of_a_mirrored_ensemble_equal_the_whole(shape: tuple[int, ...], norm: str) -> None:
    networks = [network(2, 1, seed=seed, norm=norm) for seed in (0, 1)]
    task = build(Config().task, ("background", "a"))
    image = np.random.default_rng(0).standard_normal((1, *shape), dtype=np.float32)
    image[:, :150] *= 3  # so that a tile's own statistics would be others

    def predicted(tile: int) -> np.ndarray:
        settings = config(2, inference__tile=tile)
        return Pipeline(networks[0], settings, 1, others=(networks[1],), average=task.average).normalized(image)

    whole = predicted(4000)
    np.testing.assert_allclose(predicted(96), whole, atol=1e-4 * np.abs(whole).max())


def test_nothing_is_mirrored_that_training_did_not_mirror() -> None:
    assert flips(Config()) == ((),)
    assert len(flips(config(3))) == 8
    assert flips(config(3, augmentation__flip=[1, 0])) == ((), (-3,), (-2,), (-3, -2))
    for changes in ({"augmentation": None}, {"augmentation.flip": False}):
        with pytest.raises(UlnaError, match=r"inference\.mirror needs augmentation\.flip"):
            Config().changed({"inference.mirror": True} | changes)


def test_a_runner_without_axes_is_left_as_it_is() -> None:
    assert mirrored(np.negative, ()) is np.negative
    batch = np.arange(12, dtype=np.float32).reshape(2, 1, 2, 3)
    np.testing.assert_array_equal(averaged([mirrored(np.copy, (-2,)), mirrored(np.copy, (-2, -1))])(batch), batch)


def test_a_model_mirrors_as_its_settings_say(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (32, 48)).astype(np.uint8)
    saved = Saved(
        network(2, 1), config(2, data__channels=1), Classes(("background", "a"), ((0,), (1,)), "binary", ""), 1
    )
    symmetric = Model(saved).probabilities(image).array[1]
    turned = Model(saved).probabilities(np.ascontiguousarray(image[::-1, ::-1])).array[1]
    np.testing.assert_allclose(symmetric, turned[::-1, ::-1], atol=1e-5)
