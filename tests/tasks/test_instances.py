"""Objects: maps from labels, labels from maps, and their scores, against scipy and by hand."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label

from ulna.config import Config, TaskConfig
from ulna.image import IGNORE, Grid, Labels
from ulna.networks.losses import dice
from ulna.numbering import planes_of
from ulna.synthetic import cells
from ulna.tasks import build
from ulna.tasks.instances import Instances
from ulna.tasks.targets import UNKNOWN, distances, neighbor_distances

TWO = ("background", "cell")
THREE = ("background", "a", "b")
GRID = Grid((40, 60))


def touching() -> np.ndarray:
    """Two disks that touch, numbered 3 and 8, and a square: (2, 40, 60) int32."""
    y, x = np.mgrid[:40, :60]
    numbers = np.zeros((40, 60), np.int32)
    numbers[np.hypot(y - 20, x - 15) < 9] = 3
    numbers[(np.hypot(y - 20, x - 32) < 9) & (numbers == 0)] = 8
    numbers[5:12, 48:55] = 9
    return np.stack([(numbers > 0).astype(np.int32), numbers])


def maps_of(labels: np.ndarray, classes: tuple[str, ...] = TWO, grid: Grid = GRID) -> np.ndarray:
    return Instances(TaskConfig(name="instances"), classes).maps(torch.from_numpy(labels[None]), grid)[0].numpy()


def decoded(maps: np.ndarray, classes: tuple[str, ...] = TWO) -> Labels:
    """Labels from maps that a network would give which knows them."""
    count = len(classes)
    probabilities = (np.arange(count)[:, None, None] == maps[0]).astype(np.float32)
    task = Instances(TaskConfig(name="instances"), classes)
    return task.decode(np.concatenate([probabilities, maps[1:]]), Grid(maps.shape[1:]))


def same_objects(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two numberings part the pixels alike."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return pairs.shape[1] == len(np.unique(a)) == len(np.unique(b)) and bool(((a > 0) == (b > 0)).all())


def test_outputs_and_names() -> None:
    config = TaskConfig(name="instances")
    assert (build(config, TWO).outputs, build(config, THREE).outputs) == (2, 4)
    assert build(config, TWO).primary.measure == "ap"
    assert [build(TaskConfig(name="instances", target=t), TWO).outputs for t in ("none", "neighbors")] == [1, 3]


def test_distances_are_those_of_each_object_alone() -> None:
    labels = touching()
    maps = maps_of(labels)
    np.testing.assert_array_equal(maps[0], labels[0])
    assert not maps[1][labels[0] == 0].any()
    for number in (3, 8, 9):
        alone = ndimage.distance_transform_edt(labels[1] == number)
        np.testing.assert_allclose(maps[1][labels[1] == number], (alone / alone.max())[labels[1] == number], rtol=1e-5)


def test_distances_know_the_spacing() -> None:
    labels = touching()
    maps = maps_of(labels, grid=Grid((40, 60), (3.0, 1.0)))
    alone = ndimage.distance_transform_edt(labels[1] == 3, sampling=(3.0, 1.0))
    np.testing.assert_allclose(maps[1][labels[1] == 3], (alone / alone.max())[labels[1] == 3], rtol=1e-5)


def test_an_object_cut_in_two_is_two_and_a_border_that_cuts_is_no_border_of_it() -> None:
    labels = touching()
    labels[:, 18:22] = 0  # as a fold of augmentation would
    assert decoded(maps_of(labels)).objects.max() == 5
    cut = touching()[:, :, 15:]  # through the middle of the first disk
    distance = maps_of(cut, grid=Grid(cut.shape[1:]))[1]
    assert distance[20, 0] == 1
    whole = np.ones((2, 5, 5), np.int32)
    assert (maps_of(whole, grid=Grid((5, 5)))[1] == 1).all()


def test_without_numbers_objects_are_connected_regions_and_what_is_ignored_is_none() -> None:
    labels = touching()[:1].astype(np.uint8)
    labels[0, 5:12, 48:55] = IGNORE
    maps = maps_of(labels)
    assert maps[0].max() == IGNORE
    assert not maps[1][5:12, 48:55].any()
    assert (maps[1] == 1).sum() >= 1


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 200))
def test_from_labels_to_maps_and_back(seed: int) -> None:
    numbers = label(cells(1, (96, 96), seed=seed)[0][1], connectivity=1)  # what lies in two pieces is found as two
    labels = np.concatenate([(numbers > 0).astype(np.int32), numbers])
    found = decoded(maps_of(labels, grid=Grid((96, 96))))
    rows = Instances(TaskConfig(name="instances"), TWO).evaluate(found, Labels.from_array(labels))
    ap = next(row for row in rows if row.measure == "ap_50")
    assert ap.value > 0.8  # the least of these 201: one of ten wrong is one missed and one false
    assert found.objects is not None
    assert set(np.unique(found.objects)) == set(range(found.objects.max() + 1))


def test_touching_objects_come_apart_and_regions_without_a_seed_are_kept() -> None:
    labels = touching()
    maps = maps_of(labels)
    found = decoded(maps)
    assert found.objects is not None
    assert (found.objects > 0).sum() == (labels[1] > 0).sum()
    assert found.objects.max() == 3
    maps[1, 5:12, 48:55] = 0.1
    assert same_objects(decoded(maps).objects, found.objects)


def test_an_object_has_one_class() -> None:
    labels = touching()
    maps = maps_of(labels)
    maps[0][(labels[1] == 8) & (np.mgrid[:40, :60][0] > 24)] = 2  # a smaller part of it
    maps[0][labels[1] == 9] = 2
    found = decoded(maps, THREE)
    assert [set(np.unique(found.classes[labels[1] == number])) for number in (3, 9)] == [{1}, {2}]
    assert set(np.unique(found.classes[found.objects == found.objects[20, 32]])) == {1}


def test_the_target_of_neighbors_makes_seeds_of_touching_objects_smaller() -> None:
    config = TaskConfig(name="instances", target="neighbors")
    task = Instances(config, TWO)
    maps = task.maps(torch.from_numpy(touching()[None]), GRID)[0].numpy()
    assert maps.shape == (3, 40, 60)
    np.testing.assert_array_equal(maps[1], distances(touching()[1]))
    np.testing.assert_array_equal(maps[2], neighbor_distances(touching()[1]))
    probabilities = np.stack([maps[0] == 0, maps[0] == 1]).astype(np.float32)
    found = task.decode(np.concatenate([probabilities, maps[1:]]), GRID)
    assert same_objects(np.asarray(found.objects), touching()[1])
    losses = task.losses(torch.zeros(1, 3, 40, 60), torch.from_numpy(maps[None]))
    assert set(losses) == {"classes", "distance", "neighbors"}
    inside = maps[0] == 1
    assert float(losses["neighbors"]) == pytest.approx(np.abs(0.5 - maps[2])[inside].mean(), rel=1e-5)


def test_without_a_target_objects_are_connected_regions_with_lines_between() -> None:
    task = Instances(TaskConfig(name="instances", target="none"), TWO)
    labels = torch.from_numpy(touching()[None])
    maps = task.maps(labels, GRID)
    inside = maps[0, 0].numpy().astype(np.float32)
    lost = (touching()[0] > 0) & (inside == 0)
    assert 0 < lost.sum() < 15  # a line of one pixel where the disks touch
    found = task.decode(np.stack([1 - inside, inside]), GRID)
    assert found.objects is not None
    assert found.objects.max() == 3
    weighted = Instances(TaskConfig(name="instances", target="none", border_weight=10, loss="cross_entropy"), TWO)
    assert weighted.maps(labels, GRID)[0, 1].numpy()[lost].min() > 9  # 1 + 10 exp(-(1 + 1)² / 50)


def test_scores_of_objects_are_mean_probabilities_of_their_class() -> None:
    maps = maps_of(touching())
    probabilities = np.stack([maps[0] == 0, maps[0] == 1]) * 0.8 + 0.1
    task = Instances(TaskConfig(name="instances"), TWO)
    found = task.decode(np.concatenate([probabilities, maps[1:]]).astype(np.float32), GRID)
    assert found.scores == pytest.approx([0.9] * 3)


def test_constants_that_are_set_are_used_and_the_others_are_fitted() -> None:
    labels = Labels.from_array(touching())
    maps = maps_of(touching())
    said = np.concatenate([np.stack([maps[0] == 0, maps[0] == 1]).astype(np.float32), maps[1:]])
    task = Instances(TaskConfig(name="instances"), TWO)
    assert task.fits > 0
    found = task.fit([(said, labels)], [labels])
    assert set(found) == {f"task.decoding.{name}" for name in ("foreground", "seed", "depth", "smallest", "holes")}
    sizes = np.bincount(touching()[1].ravel())[[3, 8, 9]]
    assert found["task.decoding.smallest"] == int(0.5 * np.percentile(sizes, 1))
    config = Config().changed({"task.name": "instances", "task.decoding.smallest": 60}).task
    partly = Instances(config, TWO)
    assert partly.fits > 0
    assert partly.decode(said, GRID).objects.max() == 2
    assert partly.fit([(said, labels)], [labels]) == found | {"task.decoding.smallest": 60}
    config = Config().changed({"task.name": "instances", **found, "task.decoding.seed": 0.4}).task
    assert Instances(config, TWO).fits == 0
    assert Instances(config, TWO).fit([(said, labels)], [labels]) == found | {"task.decoding.seed": 0.4}


def test_the_size_of_debris_goes_by_all_true_objects_of_the_training() -> None:
    task = Instances(TaskConfig(name="instances"), TWO)
    numbers = np.zeros((40, 60), np.int32)
    numbers[::4, ::4] = np.arange(150).reshape(10, 15) + 1  # a pixel each
    numbers[1, 1:5] = 200
    labels = Labels.from_array(np.stack([(numbers > 0).astype(np.int32), numbers]))
    large = Labels.from_array(touching())
    found = task.fit([], [labels, large])
    assert found["task.decoding.smallest"] == int(0.5 * 1)
    assert task.fit([], [large, large])["task.decoding.smallest"] > 10
    assert found["task.decoding.holes"]
    assert task.fit([], [])["task.decoding.smallest"] == 0


def test_objects_of_each_class_are_scored_by_themselves() -> None:
    labels = touching()
    labels[0][labels[1] == 9] = 2
    task = Instances(TaskConfig(name="instances"), THREE)
    swapped = labels.copy()
    swapped[0][labels[1] == 9] = 1
    rows = task.evaluate(Labels.from_array(swapped), Labels.from_array(labels))
    found = {(row.subject, row.measure): (row.numerator, row.denominator) for row in rows}
    assert found["a", "ap_50"] == (2, 3)
    assert found["b", "ap_50"] == (0, 1)
    assert found["b", "missed"] == (1, 1)
    assert found["a", "false positive"] == (1, 3)


def test_losses_are_those_of_the_classes_and_of_the_distance() -> None:
    labels = torch.from_numpy(touching()[None])
    labels[:, 0, 5:12, 48:55] = IGNORE
    task = Instances(TaskConfig(name="instances"), TWO, loss=dice)
    maps = task.maps(labels, GRID)
    outputs = torch.randn(1, 2, 40, 60, generator=torch.Generator().manual_seed(0), requires_grad=True)
    losses = task.losses(outputs, maps)
    assert set(losses) == {"classes", "distance"}
    assert torch.equal(losses["classes"], dice(outputs[:, :1], labels[:, :1].to(torch.uint8)))
    inside = labels[0, 0] == 1
    expected = (outputs[0, 1].sigmoid() - maps[0, 1])[inside].abs().mean()
    torch.testing.assert_close(losses["distance"], expected)
    (gradient,) = torch.autograd.grad(losses["distance"], outputs)
    assert not gradient[0, 1][~inside].any()
    empty = task.losses(outputs, task.maps(torch.zeros_like(labels), GRID))
    assert float(empty["distance"].detach()) == 0


def test_the_score_counts_objects() -> None:
    task = Instances(TaskConfig(name="instances"), TWO)
    truth = Labels.from_array(touching())
    merged = touching()
    merged[1][merged[1] == 8] = 3  # two true objects in one, of which it is no half
    merged[1, 30:33, 2:5], merged[0, 30:33, 2:5] = 20, 1  # a false one
    (row,) = (row for row in task.evaluate(Labels.from_array(merged), truth) if row.measure == "ap_50")
    assert row.subject == "cell"
    best = max(np.count_nonzero(touching()[1] == n) / np.count_nonzero(merged[1] == 3) for n in (3, 8))
    matched = 1 + (best > 0.5)
    assert (row.numerator, row.denominator) == (matched, 3 + 3 - matched)
    ignored = touching()
    ignored[0, 30:33, 2:5] = IGNORE
    ignored[1, 30:33, 2:5] = 0
    (row,) = (r for r in task.evaluate(Labels.from_array(merged), Labels.from_array(ignored)) if r.measure == "ap_50")
    assert row.denominator == 3 + 2 - matched
    merged[1, 29, 2:5], merged[0, 29, 2:5] = 20, 1  # a quarter of it is annotated
    (row,) = (r for r in task.evaluate(Labels.from_array(merged), Labels.from_array(ignored)) if r.measure == "ap_50")
    assert row.denominator == 3 + 2 - matched
    nothing = Labels(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.int32))
    (row,) = (row for row in task.evaluate(nothing, nothing) if row.measure == "ap_50")
    assert np.isnan(row.value)
    assert row.state == "empty, predicted empty"


def test_activated_maps_are_probabilities_and_a_distance() -> None:
    task = Instances(TaskConfig(name="instances"), THREE)
    activated = task.activate(np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32))
    assert activated.shape == (4, 5, 6)
    np.testing.assert_allclose(activated[:3].sum(0), 1, rtol=1e-5)
    assert ((activated[3] > 0) & (activated[3] < 1)).all()
    assert task.decode(activated, Grid((5, 6))).classes.dtype == np.uint8


def test_train_and_predict_numbered_objects(tmp_path: Path) -> None:
    import ulna
    from ulna.formats import read
    from ulna.image import Source
    from ulna.synthetic import write_dataset

    write_dataset(tmp_path / "data", 6, size=(64, 64), objects=True)
    small = {"training.steps": 3, "network.widths": [4, 8], "training.patch": [32, 32], "training.batch_size": 2}
    changes = small | {"task.name": "instances", "data.values": [[0], ["1..65535"]], "training.final_phase": 0.0}
    trained = ulna.train(tmp_path / "data", tmp_path / "run", epochs=1, changes=changes)
    image = next((tmp_path / "data" / "images").iterdir())
    prediction = ulna.load(trained.run).predict(image)
    assert prediction.labels.objects is not None
    assert prediction.labels.objects.shape == (64, 64)
    assert ((prediction.labels.objects > 0) == (prediction.labels.classes > 0)).all()
    saved = read(Source(prediction.save(tmp_path / "objects.tif"))).array
    np.testing.assert_array_equal(saved[0], prediction.labels.objects)
    assert ulna.load(trained.run).probabilities(image).array.shape == (2, 64, 64)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_objects_of_slices_are_compared_slice_by_slice_along_any_axis(axis: int) -> None:
    """The same objects, numbered anew in each slice: found as such all of them."""
    labels = np.stack([touching()] * 3, 1)
    found = labels.copy()
    for place in range(3):
        found[1, place] = np.where(labels[1, place], labels[1, place] + 10 * place, 0)
    truth, found = (np.moveaxis(one, 1, 1 + axis) for one in (labels, found))
    assert planes_of(found[1]) == axis
    task = Instances(TaskConfig(name="instances"), TWO)
    rows = task.evaluate(Labels.from_array(found), Labels.from_array(truth), apart=axis)
    (row,) = (row for row in rows if row.measure == "ap_50")
    assert row.value == 1


def test_nothing_is_learned_of_distances_to_what_is_not_annotated() -> None:
    truth = touching()
    truth[:, :, 22:] = 0
    truth[0, :, 26:] = IGNORE
    truth[0, 15:25, 20:26], truth[1, 15:25, 20:26] = 1, 4  # goes on to the right
    task = Instances(TaskConfig(name="instances"), TWO)
    maps = task.maps(torch.from_numpy(truth[None]), GRID)
    unknown = maps[:, 1:] == UNKNOWN
    assert unknown.any()
    assert not (unknown & (torch.from_numpy(truth[1]) != 4)).any()
    outputs = torch.randn(1, 2, 40, 60, generator=torch.Generator().manual_seed(0))
    before = task.losses(outputs, maps)["distance"]
    outputs[:, 1:][unknown] += 5
    assert task.losses(outputs, maps)["distance"] == before


def test_large_numbers_of_objects_take_no_memory_by_their_size() -> None:
    truth = touching()
    truth[1] = np.where(truth[1] > 0, truth[1] + 2_000_000_000, 0)
    labels = Labels.from_array(truth, GRID)
    task = Instances(TaskConfig(name="instances"), TWO)
    tracemalloc.start()
    found = task.fit([], [labels])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["task.decoding.smallest"] > 0
    assert most < 1 << 24
