"""Which task is built, and that nothing outside its package asks which one it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ulna
from ulna.config import TaskConfig
from ulna.tasks import TASKS, Instances, NestedRegions, Semantic, build

CLASSES = ("background", "edema", "core")
REGIONS = (("whole", (1, 2)), ("core", (2,)))


@pytest.mark.parametrize(
    ("name", "objects", "regions", "kind"),
    [
        ("auto", False, (), Semantic),
        ("auto", False, REGIONS, NestedRegions),
        ("auto", True, (), Instances),
        ("auto", True, REGIONS, Instances),
        ("semantic", True, REGIONS, Semantic),
        ("regions", True, REGIONS, NestedRegions),
        ("instances", False, (), Instances),
    ],
)
def test_an_open_task_is_that_of_what_masks_tell(name: str, objects: bool, regions: tuple, kind: type) -> None:
    task = build(TaskConfig.model_validate({"name": name}), CLASSES, regions, objects=objects)
    assert isinstance(task, kind)
    assert task.finds_objects == (kind is Instances)


def test_nothing_else_asks_which_task_it_is() -> None:
    package = Path(ulna.__file__).parent
    asks = re.compile(r"task\.name\s*(==|!=|in\b|not in\b)|isinstance\([^)]*\b(Semantic|Instances|NestedRegions)\b")
    others = [path for path in package.rglob("*.py") if path.parent.name != "tasks"]
    assert len(others) > 100
    assert [path.name for path in others if asks.search(path.read_text(encoding="utf-8"))] == []
    assert set(TASKS) == {"semantic", "instances", "regions"}
