"""The notebooks run, from their first line to their last, and what they find is right."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from notebooks import execute

NOTEBOOKS = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
LARGEST = 50_000  # bytes: outputs are made anew by who runs them
FIRST = "scores.summary.overall.scores[scores.summary.primary].pooled.estimate"


def test_objects_from_fluorescence(tmp_path: Path) -> None:
    said = execute(
        NOTEBOOKS / "objects_from_fluorescence.ipynb",
        tmp_path,
        {
            "task": "model.config.task.name",
            "measure": "scores.summary.primary",
            "score": FIRST,
            "images": "scores.summary.cases",
            "rows": "len(measured)",
            "true": "int(sum(read(p).max() for p in (folder / 'unseen' / 'masks').iterdir()))",
        },
    )
    facts = said.facts
    assert (facts["task"], facts["measure"], facts["images"]) == ("instances", "ap", 6)
    assert facts["score"] > 0.35
    assert 0.5 < facts["rows"] / facts["true"] < 1.5
    assert said.pictures == 5
    assert "ipywidgets" not in said.texts
    assert "6 images in 6 groups" in said.texts


def test_an_organ_in_3d(tmp_path: Path) -> None:
    said = execute(
        NOTEBOOKS / "an_organ_in_3d.ipynb",
        tmp_path,
        {
            "ndim": "model.config.network.ndim",
            "measures": "scores.summary.measures",
            "score": FIRST,
            "found": "found",
            "true": "true",
            "spacing": "volume.grid.spacing",
        },
    )
    facts = said.facts
    assert (facts["ndim"], facts["spacing"]) == (3, [3.0, 1.5, 1.5])
    assert {"dice", "surface_dice", "hd95"} <= set(facts["measures"])
    assert facts["score"] > 0.8
    shares = [found / true for found, true in zip(facts["found"], facts["true"], strict=True)]
    assert 0.8 < statistics.median(shares) < 1.25
    assert said.pictures == 3
    assert "volumes of 16 × 48 × 48 voxels" in said.texts


def test_own_loss_and_layout(tmp_path: Path) -> None:
    said = execute(
        NOTEBOOKS / "own_loss_and_layout.ipynb",
        tmp_path,
        {
            "results": "{run: [float(value) for value in pair] for run, pair in results.items()}",
            "losses": "[ulna.load(folder / run).config.task.loss for run in results]",
            "sides": "[(own.run / f'{side}.txt').read_text().split() for side in ('train', 'validation')]",
            "plates": "plates",
            "score": FIRST,
        },
    )
    facts = said.facts
    assert facts["losses"] == ["dice", "own"]
    assert "__main__.tversky is the loss that the run records" in said.texts
    train, validation = ({facts["plates"][name] for name in side} for side in facts["sides"])
    assert not train & validation
    assert len(train | validation) == 6
    (dice_missed, _), (own_missed, own_false) = facts["results"]["dice"], facts["results"]["tversky"]
    assert own_missed < dice_missed
    assert own_false < 0.5
    assert facts["score"] > 0.6
    assert "right: 0.000" in said.texts
    assert said.pictures == 1


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_what_is_stored_are_lines_and_no_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text("utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in cells] == [[]] * len(cells)
    assert {cell["execution_count"] for cell in cells} == {None}
    assert path.stat().st_size < LARGEST
