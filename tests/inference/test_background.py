"""Tiles without anything in them are passed over where that is asked for, and no others."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ulna import networks
from ulna.config import Config
from ulna.image import Grid
from ulna.inference.background import SURE, Ground, nothing
from ulna.inference.engines import Runner, TorchEngine, Windows
from ulna.inference.pipeline import Pipeline
from ulna.inference.views import View
from ulna.networks import Statistics
from ulna.tasks import build


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.lists(st.integers(8, 40), min_size=2, max_size=3), st.floats(0.01, 1000))
def test_noise_is_background_where_cells_are_brighter(seed: int, sides: list[int], scale: float) -> None:
    noise = np.random.default_rng(seed).normal(size=(2, *sides)).astype(np.float32) * scale / 200
    cells = noise.copy()
    cells[..., : sides[-1] // 2] += scale
    ground = Ground.of([cells, noise, noise])
    assert ground.holds(noise)
    assert not ground.holds(cells)
    assert not ground.holds(noise + scale)  # flat, and as bright as cells
    assert not Ground.of([0 * noise]).holds(0 * noise)  # an image without any variation: who knows


def test_a_small_cell_in_one_channel_is_enough() -> None:
    window = np.zeros((3, 1024, 1024), np.float32)
    window[1, 200:206, 200:206] = 1
    ground = Ground.of([window * 0, np.random.default_rng(0).random(window.shape).astype(np.float32) * 4])
    assert ground.holds(window * 0)
    assert not ground.holds(window)


@dataclass
class Counting(TorchEngine):
    """Runs networks, and counts how often."""

    count: int = 0

    def compile(self, network: nn.Module, statistics: Statistics, shape: tuple[int, ...], precision: str) -> Runner:
        run = super().compile(network, statistics, shape, precision)

        def counted(windows: Windows) -> Windows:
            self.count += 1
            return run(windows)

        return counted


@pytest.mark.parametrize("task", ["semantic", "instances"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_tiles_of_glass_are_passed_over(task: str, padding: str) -> None:
    words = {"data.channels": 1, "network.widths": [4, 8], "network.padding": padding, "inference.tile": 96}
    config = Config().changed(words | {"task.name": task})
    asked = build(config.task, ("background", "a", "b"))
    network = networks.build(config.network, 1, asked.outputs).eval()
    image = np.full((1, 300, 400), 200, np.uint8)
    image[:, :100, :150] = np.random.default_rng(0).integers(0, 255, (1, 100, 150))
    grid = Grid(image.shape[1:])
    found, counts = [], []
    for blank in ((), nothing(asked)):
        engine = Counting()
        pipeline = Pipeline(network, config, asked.outputs, engine=engine, precision="float32", blank=blank)
        whole = np.full((asked.outputs, *grid.shape), np.nan, np.float32)
        for region, logits in pipeline.regions(View.of(image), grid):
            whole[(slice(None), *region)] = logits
        found.append(whole)
        counts.append(engine.count)
    every, some = found
    passed = (some == np.reshape(nothing(asked), (-1, 1, 1))).all(axis=0)
    assert 0 < counts[1] < counts[0]
    assert passed.any()
    assert not passed[:100, :150].any()
    np.testing.assert_array_equal(some[:, ~passed], every[:, ~passed])
    labels = asked.decode(asked.activate(some), grid)
    assert not labels.classes[passed].any()


@pytest.mark.parametrize("name", ["semantic", "instances", "regions"])
@pytest.mark.parametrize("classes", [("background", "a"), ("background", "a", "b")])
def test_nothing_is_background(name: str, classes: tuple[str, ...]) -> None:
    regions = tuple((word, (k,)) for k, word in enumerate(classes) if k) if name == "regions" else ()
    task = build(Config().changed({"task.name": name}).task, classes, regions)
    logits = np.tile(np.reshape(nothing(task), (-1, 1, 1)), (1, 9, 9)).astype(np.float32)
    assert not task.decode(task.activate(logits), Grid((9, 9))).classes.any()
    assert prod(logits.shape) == task.outputs * 81
    assert set(np.abs(logits).ravel()) == {SURE}
