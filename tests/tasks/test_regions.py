from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.config import TaskConfig
from ulna.errors import UlnaError
from ulna.image import IGNORE, Grid, Labels
from ulna.metrics.overlap import measure
from ulna.metrics.surfaces import surface_rows
from ulna.networks.losses import LOSSES
from ulna.tasks import NestedRegions, build

NAMES = ("background", "edema", "necrosis", "enhancing")
TUMOR = (("whole", (1, 2, 3)), ("core", (2, 3)), ("enhancing", (3,)))
TASK = NestedRegions(TaskConfig(), NAMES, TUMOR)


def random_labels(seed: int, shape: tuple[int, ...] = (5, 6), *, ignored: bool = False) -> np.ndarray:
    values = [0, 1, 2, 3, IGNORE] if ignored else [0, 1, 2, 3]
    return np.random.default_rng(seed).choice(values, shape).astype(np.uint8)


def test_regions_are_the_task_where_there_are_some() -> None:
    assert isinstance(build(TaskConfig(), NAMES, TUMOR), NestedRegions)
    assert isinstance(build(TaskConfig(name="regions"), NAMES, TUMOR), NestedRegions)
    assert build(TaskConfig(name="semantic"), NAMES, TUMOR).outputs == 4
    assert (TASK.outputs, TASK.probable, TASK.pixelwise) == (3, ("whole", "core", "enhancing"), True)
    with pytest.raises(UlnaError, match="not known which regions"):
        build(TaskConfig(name="regions"), NAMES)
    for setting in ({"border_weight": 5.0}, {"borders": "edema"}):
        with pytest.raises(UlnaError, match="no borders between cells"):
            NestedRegions(TaskConfig.model_validate(setting), NAMES, TUMOR)


def test_a_pixel_is_in_every_region_that_holds_its_class_and_what_is_ignored_in_none() -> None:
    labels = random_labels(0, ignored=True)
    maps = TASK.maps(torch.from_numpy(np.stack([labels, labels])[None]), Grid(labels.shape)).numpy()
    assert maps.shape == (1, 3, *labels.shape)
    for found, (_, inside) in zip(maps[0], TUMOR, strict=True):
        np.testing.assert_array_equal(found, np.where(labels == IGNORE, IGNORE, np.isin(labels, inside)))


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_the_mean_of_that_of_each_region_alone(name: str) -> None:
    task = NestedRegions(TaskConfig(loss=name), NAMES, TUMOR)  # type: ignore[arg-type]
    maps = task.maps(torch.from_numpy(random_labels(1, (2, 1, 4, 5), ignored=True)), Grid((4, 5)))
    outputs = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    terms = task.losses(outputs, maps)
    alone = [LOSSES[name](outputs[:, k : k + 1], maps[:, k : k + 1]) for k in range(3)]
    assert list(terms) == ["whole", "core", "enhancing"]
    torch.testing.assert_close(torch.stack(list(terms.values())).sum(), torch.stack(alone).mean())


def test_a_function_that_is_passed_is_taken_of_each_region() -> None:
    task = build(TaskConfig(loss="own"), NAMES, TUMOR, lambda outputs, truth: (outputs * (truth == 1)).sum())
    outputs = torch.ones(1, 3, 4, 5)
    maps = task.maps(torch.from_numpy(random_labels(1, (1, 1, 4, 5))), Grid((4, 5)))
    terms = task.losses(outputs, maps)
    assert {name: round(3 * float(term)) for name, term in terms.items()} == {
        name: int((maps[:, place] == 1).sum()) for place, (name, _) in enumerate(TUMOR)
    }


@pytest.mark.parametrize("name", LOSSES)
def test_where_nothing_is_annotated_there_is_no_loss(name: str) -> None:
    task = NestedRegions(TaskConfig(loss=name), NAMES, TUMOR)  # type: ignore[arg-type]
    outputs = torch.randn(1, 3, 4, 5, requires_grad=True)
    total = torch.stack(list(task.losses(outputs, torch.full((1, 3, 4, 5), IGNORE)).values())).sum()
    assert float(total.detach()) == 0
    total.backward()
    assert (outputs.grad == 0).all()


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_masks_that_are_right_are_decoded_as_they_were(seed: int) -> None:
    labels = random_labels(seed)
    maps = TASK.maps(torch.from_numpy(labels[None, None]), Grid(labels.shape))[0].numpy()
    logits = np.where(maps == 1, 3, -3).astype(np.float32)
    found = TASK.decode(TASK.activate(logits), Grid(labels.shape))
    np.testing.assert_array_equal(found.classes, labels)
    assert found.names == NAMES
    scores = [row.value for row in TASK.evaluate(found, Labels(labels)) if row.measure == "dice"]
    assert all(score == 1 or math.isnan(score) for score in scores)


def test_the_innermost_region_decides_whatever_the_order_in_which_they_are_named() -> None:
    rows = [[0.9, 0.9, 0.9, 0.2, 0.2], [0.1, 0.9, 0.9, 0.9, 0.2], [0.1, 0.1, 0.9, 0.1, 0.8]]
    probabilities = np.array(rows, np.float32)
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        task = NestedRegions(TaskConfig(), NAMES, tuple(TUMOR[k] for k in order))
        assert task.decode(probabilities[list(order), None], Grid((1, 5))).classes.tolist() == [[1, 2, 3, 2, 3]]
    strict = NestedRegions(TaskConfig(threshold=0.85), NAMES, TUMOR)
    assert strict.decode(probabilities[:, None], Grid((1, 5))).classes.tolist() == [[1, 2, 3, 2, 0]]


def test_of_regions_that_are_apart_the_later_one_decides_and_their_union_is_the_likelier_of_both() -> None:
    regions = (("both", (1, 2)), ("left", (1,)), ("right", (2,)))
    task = NestedRegions(TaskConfig(), ("background", "left", "right"), regions)
    probabilities = np.array([[0.9, 0.9, 0.1], [0.9, 0.3, 0.1], [0.8, 0.4, 0.2]], np.float32)
    assert task.decode(probabilities[:, None], Grid((1, 3))).classes.tolist() == [[2, 2, 0]]


@given(st.integers(0, 1000), st.booleans())
@settings(max_examples=20, deadline=None)
def test_scores_are_those_of_each_region_as_a_mask_of_its_own(seed: int, ignored: bool) -> None:
    found, truth = random_labels(seed), random_labels(seed + 1, ignored=ignored)
    rows = TASK.evaluate(Labels(found), Labels(truth), briefly=True)
    for name, inside in TUMOR:
        there = np.where(truth == IGNORE, IGNORE, np.isin(truth, inside)).astype(np.uint8)
        alone = measure(np.isin(found, inside).astype(np.uint8), there, ("", name))
        assert [row for row in rows if row.subject == name] == [row for row in alone if row.subject == name]


@pytest.mark.parametrize("shape", [(12, 14), (6, 12, 14)])
def test_surfaces_of_each_region_in_2d_and_3d(shape: tuple[int, ...]) -> None:
    truth, found = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    truth[..., 2:9, 2:9], truth[..., 4:7, 4:7] = 1, 2
    found[..., 2:9, 3:10], found[..., 0, 0] = 1, 3
    grid = Grid(shape, (2.0,) * len(shape), "mm")
    rows = TASK.evaluate(Labels(found, grid=grid), Labels(truth, grid=grid))
    kept = {(row.subject, row.measure): row for row in rows}
    whole = surface_rows(found > 0, truth > 0, "whole", spacing=grid.spacing, unit="mm", tolerance=1)
    assert [kept["whole", row.measure] for row in whole] == whole
    assert kept["whole", "asd"].value > 0
    assert kept["core", "dice"].state == "scored"  # elsewhere
    assert kept["enhancing", "hd95"].state == "false positive"
    assert math.isnan(kept["enhancing", "hd95"].value)
    assert "hd95" not in {row.measure for row in TASK.evaluate(Labels(found), Labels(truth), briefly=True)}


@pytest.mark.parametrize("name", ["regions", "semantic"])
def test_surfaces_end_where_the_annotation_does(name: str) -> None:
    """Two single slices of a volume are annotated, and there the prediction is right."""
    truth = np.zeros((9, 12, 14), np.uint8)
    truth[:, 2:9, 2:9], truth[:, 4:7, 4:7] = 1, 2
    found, sparse = truth.copy(), np.full_like(truth, IGNORE)
    sparse[[2, 6]], found[4] = truth[[2, 6]], 3
    task = build(TaskConfig.model_validate({"name": name}), NAMES, TUMOR)
    rows = {(row.subject, row.measure): row.value for row in task.evaluate(Labels(found), Labels(sparse))}
    inner = "core" if name == "regions" else "necrosis"
    assert (rows[inner, "hd95"], rows[inner, "surface_dice"], rows[inner, "volume_difference"]) == (0, 1, 0)
    assert math.isnan(rows["enhancing", "surface_dice"])


def test_there_is_nothing_to_fit() -> None:
    assert (TASK.fits, TASK.fit([], []), TASK.primary.measure) == (0, {}, "dice")
