from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ulna import networks, tasks
from ulna.config import Config
from ulna.image import IGNORE, Grid
from ulna.store import Store
from ulna.training.augmentation import apply, draw
from ulna.training.batches import Batch, Batches
from ulna.training.learner import Learner, subsampled, total

CONFIG = Config().changed(
    {"data.channels": 1, "network.widths": [4, 8], "training.patch": [32, 32], "training.batch_size": 2}
)


def learner(**changes: Any) -> Learner:
    config = CONFIG.changed(changes)
    torch.manual_seed(0)
    return Learner(networks.build(config.network, 1, 1), tasks.build(config.task, ("background", "cell")), config)


def test_augmentation_is_the_same_for_the_same_step(stores: tuple[Store, Store]) -> None:
    one = learner()
    batch = Batches(stores[0], CONFIG.training, phases=one.phases).batch(3)
    first, second = one.augmented(batch), one.augmented(batch)
    assert first.images.shape == (2, 1, 32, 32)
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.truth, second.truth)
    assert not torch.equal(first.images, one.augmented(batch._replace(step=4)).images)


def test_augmentation_rotates_in_the_proportions_of_space(stores: tuple[Store, Store]) -> None:
    one = learner()
    batch = Batches(stores[0], CONFIG.training, phases=one.phases).batch(3)
    spaced = batch._replace(spacings=((1.0, 2.0),) * 2)
    drawn = draw(
        CONFIG.augmentation,
        batch=2,
        ndim=2,
        size=(32, 32),
        channels=1,
        generator=torch.Generator().manual_seed(one.seed(3, 0)),
        spacings=spaced.spacings,
    )
    found = one.augmented(spaced)
    assert torch.equal(found.images, apply(drawn, batch.images, batch.truth, size=(32, 32))[0])
    assert not torch.equal(found.images, one.augmented(batch).images)


def test_what_is_learned_from_a_patch_depends_on_the_spacing_of_its_case(stores: tuple[Store, Store]) -> None:
    spacings = [(0.5, 0.5), (2.0, 0.25)] * 3
    cases = tuple(
        replace(case, grid=replace(case.grid, spacing=spacing))
        for case, spacing in zip(stores[0].cases, spacings, strict=True)
    )
    one = learner(**{"training.batch_size": 16})
    batch = Batches(replace(stores[0], cases=cases), one.config.training, phases=one.phases).batch(0)
    assert set(batch.spacings) == set(spacings)
    drawn = one.augmented(batch)
    assert drawn.spacings == batch.spacings
    asked: list[Grid] = []

    def maps(labels: Tensor, grid: Grid) -> Tensor:
        asked.append(grid)
        return labels[:, :1]

    one.task.maps = maps  # type: ignore[method-assign]
    one(drawn)
    assert asked == [Grid((32, 32), spacing) for spacing in batch.spacings]


def test_pixels_lie_with_their_channels_side_by_side() -> None:
    flat = learner().network.down[1].conv1.weight
    assert flat.is_contiguous(memory_format=torch.channels_last)
    deep = learner(**{"network.ndim": 3, "training.patch": [8, 8, 8]}).network.down[1].conv1.weight
    assert deep.is_contiguous(memory_format=torch.channels_last_3d)


def test_the_loss_is_the_sum_of_its_terms() -> None:
    terms = {"classes": torch.tensor(0.5), "distance": torch.tensor(0.25)}
    assert float(total(terms)) == 0.75
    assert float(total({"classes": torch.tensor(0.5)})) == 0.5


def test_seeds_differ_by_run_step_and_purpose() -> None:
    other = learner(**{"training.seed": 1})
    seeds = {one.seed(step, use) for one in (learner(), other) for step in range(5) for use in (0, 1)}
    assert len(seeds) == 20
    assert learner().seed(3, 1) == learner().seed(3, 1)


def test_a_validation_is_the_score_of_the_prediction(stores: tuple[Store, Store]) -> None:
    one = learner().eval()
    store = stores[1]
    with torch.inference_mode():
        measured = one.validate(store, 1)
        mask = one.network(torch.from_numpy(np.array(store.image(1)))[None])[0, 0].numpy() > 0
    truth = store.truth(1)[0] > 0
    assert measured["val_foreground"] == pytest.approx(mask.mean(), abs=0.02)  # whole, without the mirrored border
    assert measured["val_dice"] == pytest.approx(2 * (mask & truth).sum() / (mask.sum() + truth.sum()), abs=0.05)
    assert 0 < measured["val_loss"] < 10


def test_the_score_of_a_validation_is_the_primary_measure_of_the_task(stores: tuple[Store, Store]) -> None:
    config = CONFIG.changed({"task.name": "instances"})
    torch.manual_seed(0)
    one = Learner(networks.build(config.network, 1, 2), tasks.build(config.task, ("background", "cell")), config).eval()
    with torch.inference_mode():
        one.network.head.bias += torch.tensor([100.0, 0.0])  # type: ignore[operator]
        measured = one.validate(stores[1], 1)
    assert measured["val_ap"] == 0  # all of the image is one object
    assert "val_dice" not in measured


def test_an_empty_image_says_nothing_of_what_is_found(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = learner().eval()
    shape = stores[1].truth(0).shape
    monkeypatch.setattr(Store, "truth", lambda self, case: np.zeros(shape, np.uint8))
    with torch.inference_mode():
        assert "val_foreground" not in one.validate(stores[1], 0)
        one.network.head.bias += -100  # type: ignore[operator]
        assert set(one.validate(stores[1], 0)) == {"val_loss"}


def test_pixels_that_are_not_annotated_say_nothing(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = learner().eval()
    shape = stores[1].truth(0).shape
    truth = np.full(shape, IGNORE, np.uint8)
    monkeypatch.setattr(Store, "truth", lambda self, case: truth)
    with torch.inference_mode():
        assert one.validate(stores[1], 0) == {"val_loss": pytest.approx(0, abs=1e-6)}
        truth[0, 10:20, 10:20] = 1
        one.network.head.bias += 100  # type: ignore[operator]
        measured = one.validate(stores[1], 0)
    assert (measured["val_dice"], measured["val_foreground"]) == (1, 1)


DEEP = {"network.widths": [2, 3, 4, 5, 6], "network.deep_supervision": True}


def test_with_deep_supervision_each_level_weighs_half_of_the_one_above(stores: tuple[Store, Store]) -> None:
    one = learner(**DEEP)
    batch = Batches(stores[0], CONFIG.training, phases=one.phases).batch(0)
    batch = one.augmented(batch)
    assert batch.truth.any()
    loss = one(batch)
    loss.backward()
    assert all(head.weight.grad.any() for head in one.network.heads)  # type: ignore[union-attr, operator]
    outputs = one.network(batch.images)
    assert [tuple(out.shape[2:]) for out in outputs] == [(32, 32), (16, 16), (8, 8)]
    truths = [batch.truth, batch.truth[..., 1::2, 1::2], batch.truth[..., 2::4, 2::4]]
    terms = [total(one.task.losses(out, truth)) for out, truth in zip(outputs, truths, strict=True)]
    torch.testing.assert_close(loss, (4 * terms[0] + 2 * terms[1] + terms[2]) / 7)
    with torch.no_grad():
        torch.testing.assert_close(one.eval()(batch), terms[0])  # one output, one loss


@pytest.mark.parametrize("strides", [(1, 2, 2), (2, 4, 1), (3, 2, 2)])
def test_labels_of_lower_levels_are_labels_of_pixels(strides: tuple[int, ...]) -> None:
    numbers = torch.arange(2 * 5 * 9 * 8).view(1, 2, 5, 9, 8)
    batch = Batch(torch.zeros(1, 1, 5, 9, 8), numbers, ((3.0, 0.5, 0.5),), 0)
    lower = subsampled(batch, strides)
    sizes = [-(-side // stride) for side, stride in zip((5, 9, 8), strides, strict=True)]
    assert lower.truth.shape == (1, 2, *sizes)
    for place in np.ndindex(*sizes):
        middle = tuple(min(i * s + s // 2, n - 1) for i, s, n in zip(place, strides, (5, 9, 8), strict=True))
        assert torch.equal(lower.truth[(0, slice(None), *place)], numbers[(0, slice(None), *middle)])
    assert lower.spacings == (tuple(a * b for a, b in zip((3.0, 0.5, 0.5), strides, strict=True)),)


@pytest.mark.parametrize("target", ["distance", "neighbors", "none"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_objects_are_supervised_at_lower_levels_too(target: str, ndim: int) -> None:
    size = (8, 32, 32)[-ndim:]
    changes = {"task.name": "instances", "task.target": target, "network.ndim": ndim, "training.patch": list(size)}
    config = CONFIG.changed(DEEP | changes | {"network.strides": [[1, 2, 2][-ndim:], *[[2] * ndim] * 3]})
    task = tasks.build(config.task, ("background", "cell"))
    one = Learner(networks.build(config.network, 1, task.outputs), task, config)
    classes = torch.zeros(1, 2, *size, dtype=torch.int32)
    classes[:, :, ..., 2:12, 2:12] = 1
    classes[:, :, ..., 12:30, 2:12] = torch.tensor([1, 2]).view(1, 2, *(1,) * ndim)  # touches the first

    loss = one(Batch(torch.rand(1, 1, *size), classes, ((1.0,) * ndim,), 0))
    assert torch.isfinite(loss)
