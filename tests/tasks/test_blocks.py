"""Objects in blocks: those of the whole image, whatever the blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ulna.config import Config
from ulna.image import Array, Grid, Labels, Region
from ulna.synthetic import cells
from ulna.tasks import Task, build
from ulna.tasks.blocks import decoded_bands
from ulna.tasks.targets import distances

TASK = build(Config().changed({"task.name": "instances"}).task, ("background", "cell"))


def said(truth: npt.NDArray[np.integer], seed: int = 0) -> Array:
    """What a network might say of cells: probabilities of background and cell, and distances."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=truth.shape), 1)
    cell = ndimage.gaussian_filter((truth > 0).astype(np.float32), 1)
    distance = np.clip(distances(truth) + 0.1 * noise, 0, 1)
    return np.stack([1 - cell, cell, distance]).astype(np.float32)


def together(maps: Array, block: tuple[int, ...], halo: int, task: Task = TASK, **more: Any) -> Labels:
    """All bands of an image as one; each pixel comes once, in the order of rows."""
    grid = Grid(maps.shape[1:])

    def read(region: Region) -> Array:
        return maps[(slice(None), *region)]

    bands = list(decoded_bands(read, grid, task.decode, block=block, halo=halo, **more))
    assert [band.region[0].start for band in bands] == [0, *(band.region[0].stop for band in bands[:-1])]
    assert bands[-1].region[0].stop == grid.shape[0]
    parts = [band.labels for band in bands]
    assert [len(band.classes) for band in bands] == [len(band.labels.scores) for band in bands]
    objects = np.concatenate([part.objects for part in parts if part.objects is not None])
    scores = tuple(score for part in parts for score in part.scores)
    return Labels(np.concatenate([part.classes for part in parts]), objects, grid, parts[0].names, scores)


def assert_same(found: Labels, whole: Labels) -> None:
    """Equal up to the order of numbers, and each object with its own score."""
    assert found.objects is not None
    assert whole.objects is not None
    pairs = np.unique(np.stack([found.objects.ravel(), whole.objects.ravel()]), axis=1)
    count = int(whole.objects.max())
    assert pairs.shape[1] == count + 1  # one to one, the background among them
    assert sorted(pairs[0].tolist()) == sorted(pairs[1].tolist()) == list(range(count + 1))
    assert (found.classes == whole.classes).all()
    scores = {int(one): whole.scores[other - 1] for one, other in pairs.T if one}
    assert found.scores == pytest.approx([scores[number] for number in range(1, count + 1)], abs=1e-6)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 500), st.sampled_from([(32, 32), (17, 50), (64, 200), (200, 23)]), st.sampled_from([1, 8, 40]))
def test_as_of_the_whole_image_whatever_the_blocks(seed: int, block: tuple[int, int], halo: int) -> None:
    truth = cells(1, (120, 140), seed=seed)[0][1][0]
    maps = said(truth, seed)
    whole = TASK.decode(maps, Grid(truth.shape))
    found = together(maps, block, halo)
    assert found.objects is not None
    assert whole.objects is not None
    assert ((found.objects > 0) == (whole.objects > 0)).all()
    assert_same(found, whole)


def test_an_object_longer_than_many_blocks_is_one() -> None:
    truth = np.zeros((150, 150), np.int32)
    truth[5:145, 70:78] = 1
    truth[140:145, 10:140] = 1
    maps = np.stack([truth == 0, truth == 1, 0.9 * (truth == 1)]).astype(np.float32)
    found = together(maps, (16, 16), 2)
    assert found.objects is not None
    assert (found.objects == truth).all()
    assert len(found.scores) == 1


def test_an_object_that_no_window_may_hold_is_cut_and_nothing_of_it_is_lost_in_the_first_window() -> None:
    truth = np.zeros((200, 20), np.int32)
    truth[5:195, 5:15] = 1
    maps = np.stack([truth == 0, truth == 1, 0.9 * (truth == 1)]).astype(np.float32)
    found = together(maps, (20, 20), 10, most=20 * 60)
    assert found.objects is not None
    assert found.objects.max() >= 1
    assert (found.objects[5:25, 5:15] == 1).all()
    assert (found.objects[truth == 0] == 0).all()


def test_volumes() -> None:
    rng = np.random.default_rng(3)
    seeds = ndimage.gaussian_filter(rng.normal(size=(20, 40, 44)), 2.5)
    truth = np.asarray(ndimage.label(seeds > np.quantile(seeds, 0.8))[0], np.int32)
    maps = said(truth)
    assert_same(together(maps, (8, 16, 15), 6), TASK.decode(maps, Grid(truth.shape)))


def test_an_image_without_objects() -> None:
    maps = np.stack([np.ones((30, 30)), np.zeros((30, 30)), np.zeros((30, 30))]).astype(np.float32)
    found = together(maps, (8, 8), 2)
    assert found.objects is not None
    assert (found.objects.max(), found.scores, found.names) == (0, (), ("background", "cell"))


def test_a_tail_that_leads_out_of_a_window_is_no_small_object() -> None:
    """It is small where it is seen alone, and its object is large."""
    truth = np.zeros((200, 200), np.int32)
    truth[10:90, 100:102] = 1
    truth[90:160, 60:140] = 1
    maps = np.stack([truth == 0, truth > 0, np.where(truth > 0, 0.9, 0)]).astype(np.float32)
    sized = build(
        Config().changed({"task.name": "instances", "task.decoding": {"smallest": 200}}).task, ("background", "cell")
    )
    whole = sized.decode(maps, Grid(truth.shape))
    found = together(maps, (64, 64), 16, smallest=200)
    assert whole.objects is not None
    assert found.objects is not None
    assert whole.objects.max() == 1
    assert (found.objects == whole.objects).all()
    maps[:, 100:] = maps[:, :1, :1]  # the tail alone, and a bit
    assert (together(maps, (64, 64), 16, smallest=100_000).objects == 0).all()


def test_of_an_object_that_no_window_holds_a_part_is_numbered_and_that_is_said() -> None:
    truth = np.zeros((200, 200), np.int32)
    truth[20:180, 20:180] = 1
    maps = np.stack([truth == 0, truth > 0, np.where(truth > 0, 0.9, 0)]).astype(np.float32)
    parts: list[int] = []
    found = together(maps, (32, 32), 8, cut=parts.append, most=5000)
    assert found.objects is not None
    assert sum(parts) == 1
    assert 0 < (found.objects == 1).sum() < (truth > 0).sum()
    parts.clear()
    assert (together(maps, (32, 32), 8, cut=parts.append).objects == truth).all()
    assert not parts
