"""The constants of a task that are chosen once its network is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ulna.config import Config
from ulna.image import Grid, Labels, Region
from ulna.inference.pipeline import Pipeline
from ulna.store import Store
from ulna.tasks import Task
from ulna.tasks.base import Maps
from ulna.training import batches
from ulna.training.validated import part

FITTED = 24
"""On so many cases, or volumes, at most the constants of a task are fitted."""


def fit_constants(
    network: nn.Module, task: Task, config: Config, *, stores: tuple[Store, Store | None]
) -> dict[str, Any]:
    """The constants of a task, from what a trained network says of the cases held out, or else of those learned from.

    What is done with the labels of whole volumes is chosen on volumes held out alone.

    Parameters
    ----------
    network, task, config
        As they were trained.
    stores
        The cases learned from, and those held out.

    Returns
    -------
    dict
        Settings by their dotted names; empty for a task that has none.
    """
    train, held_out = stores
    store = held_out or train
    if not task.fits and not (task.fits_volumes and volumes(held_out)):
        return {}
    network.eval()
    pipeline = Pipeline(network, config, task.outputs, average=task.average)

    def labels(store: Store, case: int, region: Region | None = None) -> Labels:
        truth, grid = np.asarray(store.truth(case)), store.cases[case].grid
        if region is not None:
            truth, grid = truth[(slice(None), *region)], grid.crop(region)
        return Labels.from_array(truth, grid)

    def found_in(case: int) -> npt.NDArray[np.uint8]:
        """The classes of what the network sees at once; they are found pixel by pixel."""
        grid = store.cases[case].grid
        classes = np.zeros(grid.shape, np.uint8)
        for region, said in pipeline.parts(np.asarray(store.image(case))):
            classes[region] = task.decode(task.activate(said), grid.crop(region)).classes
        return classes

    def pair(members: list[int]) -> tuple[Labels, Labels]:
        """Predicted and true labels of a volume, out of all that the network sees of it."""
        found = [found_in(case) for case in members]
        truth = [np.asarray(store.truth(case))[0] for case in members]
        plane = store.cases[members[0]].plane
        whole = [one[0] if plane is None else np.stack(one, plane[0]) for one in (found, truth)]
        grid = Grid(whole[0].shape)
        return Labels(whole[0], grid=grid), Labels(whole[1], grid=grid)

    def answer(case: int) -> tuple[Maps, Labels]:
        """What the network says of a case, or of the part of a huge one that validation looks at, and the truth."""
        region = part(store.truth(case), task.outputs)
        image = store.scale(case, store.raw(case)[(slice(None), *region)])
        return task.activate(pipeline.normalized(np.asarray(image))), labels(store, case, region)

    with torch.inference_mode():
        if task.fits:
            said = (answer(case) for case in _some(store))
            return task.fit(said, (labels(train, case) for case in spread(len(train), 4 * FITTED)))
        return task.fit_volumes(pair(members) for members in volumes(held_out))


def fitting(task: Task, held_out: Store) -> int:
    """How many validations of an image, or of what the network sees of a volume, it takes to fit the constants."""
    whole = volumes(held_out) if task.fits_volumes else []
    return round(task.fits * len(_some(held_out))) + sum(map(len, whole))


def volumes(store: Store | None) -> list[list[int]]:
    """The cases that make up each of at most `FITTED` volumes: one, or its planes in order. None of images.

    Parameters
    ----------
    store
        The cases; None: there are none.

    Returns
    -------
    list of list of int
        Their numbers.
    """
    if store is None:
        return []
    several = [list(one.cases) for one in batches.volumes(store)]
    first = [store.cases[cases[0]] for cases in several]
    whole = [cases for cases, one in zip(several, first, strict=True) if one.plane is not None or one.grid.ndim > 2]
    return [whole[place] for place in spread(len(whole), FITTED)]


def spread(count: int, most: int) -> list[int]:
    """At most so many numbers below `count`, spread evenly."""
    return [int(i) for i in np.linspace(0, count - 1, min(count, most)).round()]


def _some(store: Store) -> list[int]:
    return spread(len(store), FITTED)
