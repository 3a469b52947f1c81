"""Tasks: one file per question asked of an image. Nothing outside this package asks which task it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ulna.config import TaskConfig
from ulna.labels.classes import Regions
from ulna.metrics.rows import Primary
from ulna.tasks.base import Maps, Task
from ulna.tasks.instances import Instances
from ulna.tasks.regions import NestedRegions
from ulna.tasks.semantic import Semantic

__all__ = ["TASKS", "Instances", "Maps", "NestedRegions", "Primary", "Semantic", "Task", "build"]

TASKS: dict[str, Callable[[TaskConfig, Sequence[str], Regions], Task]] = {
    "semantic": lambda config, classes, _: Semantic(config, classes),
    "instances": lambda config, classes, _: Instances(config, classes),
    "regions": NestedRegions,
}


def build(config: TaskConfig, classes: Sequence[str], regions: Regions = ()) -> Task:
    """The task that a configuration names.

    Parameters
    ----------
    config
        The section `task`.
    classes
        Names of the classes, the background first.
    regions
        What classes make up together, where that is stated.

    Returns
    -------
    Task
        One of `TASKS`; of a task that is left open ("auto") that of the regions, or the semantic one without any.
    """
    name = ("regions" if regions else "semantic") if config.name == "auto" else config.name
    return TASKS[name](config, classes, regions)
