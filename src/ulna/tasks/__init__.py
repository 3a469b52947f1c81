"""Tasks: one file per question asked of an image. Nothing outside this package asks which task it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ulna.config import TaskConfig
from ulna.metrics.rows import Primary
from ulna.tasks.base import Maps, Task
from ulna.tasks.instances import Instances
from ulna.tasks.semantic import Semantic

__all__ = ["TASKS", "Instances", "Maps", "Primary", "Semantic", "Task", "build"]

TASKS: dict[str, Callable[[TaskConfig, Sequence[str]], Task]] = {"semantic": Semantic, "instances": Instances}


def build(config: TaskConfig, classes: Sequence[str]) -> Task:
    """The task that a configuration names.

    Parameters
    ----------
    config
        The section `task`.
    classes
        Names of the classes, the background first.

    Returns
    -------
    Task
        One of `TASKS`; of a task that is left open ("auto") the semantic one.
    """
    return TASKS["semantic" if config.name == "auto" else config.name](config, classes)
