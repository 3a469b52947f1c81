"""`dataset.json` of the Decathlon and of nnU-Net."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ulna.jobs.check import check
from ulna.layouts import read_dataset

DECATHLON = {"0": "background", "1": "Anterior", "2": "Posterior"}
NNUNET = {"background": 0, "Posterior": 2, "Anterior": 1, "ignore": 3}


def place(root: Path, content: Any, top: int = 2) -> Path:
    draw = np.random.default_rng(0)
    for k in range(10):
        for folder, array in (
            ("imagesTr", draw.integers(0, 255, (3, 8, 9))),
            ("labelsTr", draw.integers(0, top + 1, (3, 8, 9))),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / folder / f"c{k}.tif", array.astype(np.uint8), photometric="minisblack")
    (root / "dataset.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return root


@pytest.mark.parametrize(("labels", "top"), [(DECATHLON, 2), (NNUNET, 3)])
def test_names_of_classes(tmp_path: Path, labels: dict[str, Any], top: int) -> None:
    found = check(place(tmp_path, {"labels": labels}, top))
    assert (
        "dataset.json says that 0 is 'background', 1 is 'Anterior', 2 is 'Posterior'"
        in found.dataset.sentence.replace("2 is 'Posterior', 1 is 'Anterior'", "1 is 'Anterior', 2 is 'Posterior'")
    )
    assert set(found.classes.names) == {"background", "Anterior", "Posterior"}
    values = dict(zip(found.classes.names, found.classes.values, strict=True))
    assert (values["Anterior"], values["Posterior"]) == ((1,), (2,))
    assert found.classes.ignore == ((3,) if top == 3 else ())


def test_a_value_that_is_not_named_is_fatal(tmp_path: Path) -> None:
    found = check(place(tmp_path, {"labels": DECATHLON}, 4))
    assert any(problem.severity == "fatal" for problem in found.problems)


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[1]",
        {"name": "x"},
        {"labels": {"1": "a", "2": "b"}},
        {"labels": {"a": 0, "b": 0}},
        {"labels": {"a": 0, "b": [1, 2]}},
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, content: Any) -> None:
    found = read_dataset(place(tmp_path, content))
    assert any("dataset.json is not used" in problem.what for problem in found.problems)
    assert found.cases[0].values == ()
