"""Tasks: one file per question asked of an image. Nothing outside this package asks which task it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ulna.config import TaskConfig
from ulna.labels.classes import Regions
from ulna.metrics.rows import Primary
from ulna.tasks.base import Maps, Task
from ulna.tasks.instances import Instances
from ulna.tasks.regions import NestedRegions
from ulna.tasks.semantic import Semantic

if TYPE_CHECKING:
    from ulna.networks.losses import Loss

__all__ = ["TASKS", "Instances", "Maps", "NestedRegions", "Primary", "Semantic", "Task", "build", "wants_objects"]

TASKS: dict[str, Callable[[TaskConfig, Sequence[str], Regions, Loss | None], Task]] = {
    "semantic": lambda config, classes, _, loss: Semantic(config, classes, loss),
    "instances": lambda config, classes, _, loss: Instances(config, classes, loss),
    "regions": NestedRegions,
}


def build(
    config: TaskConfig,
    classes: Sequence[str],
    regions: Regions = (),
    loss: Loss | None = None,
    *,
    objects: bool = False,
) -> Task:
    """The task that a configuration names.

    Parameters
    ----------
    config
        The section `task`.
    classes
        Names of the classes, the background first.
    regions
        What classes make up together, where that is stated.
    loss
        A function that takes the place of the loss that is named; only who trains needs it.
    objects
        Whether the masks tell objects apart.

    Returns
    -------
    Task
        One of `TASKS`; of a task that is left open ("auto") that of the objects, else that of the regions, or the
        semantic one where there are neither.
    """
    fitting = "instances" if objects else "regions" if regions else "semantic"
    return TASKS[fitting if config.name == "auto" else config.name](config, classes, regions, loss)


def wants_objects(config: TaskConfig) -> bool:
    """Whether the task that is named, if one is, learns objects: then that is what masks are likely to number.

    Parameters
    ----------
    config
        The section `task`.

    Returns
    -------
    bool
        False for a task that is left open.
    """
    return config.name == "instances"
