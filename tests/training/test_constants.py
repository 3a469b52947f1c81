from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from ulna.config import Config
from ulna.image import Grid, Labels
from ulna.store import Store
from ulna.tasks import Task
from ulna.training.constants import fit_constants, fitting, volumes


class Numbered:
    """Cases of a store, whose images and masks hold their own numbers."""

    def __init__(self, count: int) -> None:
        known = {"grid": Grid((4, 4), (0.5, 0.25), "µm"), "counts": {0: 16}, "plane": None}
        self.cases = [type("Stored", (), known) for _ in range(count)]
        self.selection = list(range(count))

    def __len__(self) -> int:
        return len(self.cases)

    def raw(self, case: int) -> np.ndarray:
        return np.full((1, 4, 4), case, np.float32)

    def image(self, case: int) -> np.ndarray:
        return self.raw(case)

    def scale(self, case: int, part: np.ndarray) -> np.ndarray:
        return part

    def truth(self, case: int) -> np.ndarray:
        return np.full((1, 4, 4), case, np.uint8)


class Asked:
    """A task that notes what it is fitted on."""

    outputs = 1
    fits_volumes = False

    def __init__(self, fits: float) -> None:
        self.fits = fits

    def activate(self, logits: np.ndarray) -> np.ndarray:
        assert torch.is_inference_mode_enabled()
        return logits

    def average(self, several: Iterable[np.ndarray]) -> np.ndarray:
        return np.mean(list(several), axis=0)

    def fit(self, answers: list[tuple[np.ndarray, Labels]], truth: list[Labels]) -> dict[str, Any]:
        answers, truth = list(answers), list(truth)
        for logits, labels in answers:
            assert float(logits.mean()) == pytest.approx(float(labels.classes.mean()))
            assert labels.grid == Grid((4, 4), (0.5, 0.25), "µm")
        return {
            "answers": [int(one.classes[0, 0]) for _, one in answers],
            "truth": [int(one.classes[0, 0]) for one in truth],
        }


def fitted(
    train: int,
    held_out: int | None,
    *,
    fits: float = 1.0,
    asked: Asked | None = None,
    stored: type[Numbered] = Numbered,
) -> dict[str, Any]:
    network = nn.Conv2d(1, 1, 1)
    nn.init.ones_(network.weight)
    nn.init.zeros_(cast(Any, network.bias))
    network.geometry = lambda: geometry_of_one_pixel()  # type: ignore[assignment]
    stores = stored(train), None if held_out is None else stored(held_out)
    config = Config().changed({"data.channels": 1, "inference.precision": "float32"})
    found = fit_constants(
        network.train(), cast(Task, asked or Asked(fits)), config, stores=cast("tuple[Store, Store | None]", stores)
    )
    assert network.training == (not found)
    return found


def geometry_of_one_pixel() -> Any:
    from ulna.networks import AxisGeometry, Geometry

    return Geometry((AxisGeometry(1, 0),) * 2)


def test_constants_are_fitted_on_up_to_24_cases_that_were_held_out() -> None:
    assert fitted(5, 3) == {"answers": [0, 1, 2], "truth": [0, 1, 2, 3, 4]}
    found = fitted(200, 47)
    assert found["answers"] == [*range(0, 47, 2)]
    assert len(found["truth"]) == 96
    assert (found["truth"][0], found["truth"][-1]) == (0, 199)


def test_without_any_held_out_those_learned_from_are_taken() -> None:
    assert fitted(3, None) == {"answers": [0, 1, 2], "truth": [0, 1, 2]}


def test_a_task_without_constants_is_asked_nothing() -> None:
    assert fitted(3, 2, fits=0) == {}


class Planes(Numbered):
    """Planes of volumes along X, of which each has one more than the one before; they hold their own numbers."""

    def __init__(self, count: int) -> None:
        super().__init__(sum(range(2, 2 + count)))
        self.selection = [volume for volume in range(count) for _ in range(2 + volume)]
        for number, case in enumerate(self.cases):
            case.plane = (2, number)


class OfVolumes(Asked):
    """A task that notes which volumes it is given."""

    fits_volumes = True

    def decode(self, activated: np.ndarray, grid: Grid) -> Labels:
        return Labels(activated[0].round().astype(np.uint8), grid=grid)

    def fit_volumes(self, pairs: Iterable[tuple[Labels, Labels]]) -> dict[str, Any]:
        seen = []
        for found, truth in pairs:
            np.testing.assert_array_equal(found.classes, truth.classes)
            seen.append(found.classes[0, 0].tolist())
        return {"volumes": seen}


def test_planes_are_judged_as_the_volumes_that_they_are_of() -> None:
    assert fitted(3, 2, asked=OfVolumes(0), stored=Planes) == {"volumes": [[0, 1], [2, 3, 4]]}
    assert fitting(cast(Task, OfVolumes(0)), cast(Store, Planes(3))) == 2 + 3 + 4
    assert fitting(cast(Task, Asked(3.0)), cast(Store, Numbered(5))) == 15
    assert fitted(3, None, asked=OfVolumes(0), stored=Planes) == {}  # what it has learned from says nothing


def test_images_are_no_volumes() -> None:
    assert volumes(cast(Store, Numbered(3))) == []
    assert volumes(None) == []
