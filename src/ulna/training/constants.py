"""The constants of a task that are chosen once its network is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from ulna.config import Config
from ulna.image import Labels
from ulna.inference.pipeline import Pipeline
from ulna.store import Store
from ulna.tasks import Task

FITTED = 24
"""On so many cases at most the constants of a task are fitted."""


def fit_constants(
    network: nn.Module, task: Task, config: Config, *, stores: tuple[Store, Store | None]
) -> dict[str, Any]:
    """The constants of a task, from what a trained network says of the cases held out, or else of those learned from.

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
    if not task.fits:
        return {}
    train, held_out = stores
    store = held_out or train
    network.eval()
    pipeline = Pipeline(network, config, task.outputs, average=task.average)

    def labels(store: Store, case: int) -> Labels:
        return Labels.from_array(np.asarray(store.truth(case)), store.cases[case].grid)

    with torch.inference_mode():
        answers = [
            (task.activate(pipeline.normalized(np.asarray(store.image(case)))), labels(store, case))
            for case in spread(len(store), FITTED)
        ]
        return task.fit(answers, [labels(train, case) for case in spread(len(train), 4 * FITTED)])


def spread(count: int, most: int) -> list[int]:
    """At most so many numbers below `count`, spread evenly."""
    return [int(i) for i in np.linspace(0, count - 1, min(count, most)).round()]
