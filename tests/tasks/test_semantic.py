from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.config import TaskConfig
from ulna.errors import UlnaError
from ulna.image import IGNORE, Grid, Labels
from ulna.metrics.borders import border_rows
from ulna.networks.losses import dice
from ulna.tasks import build
from ulna.tasks.semantic import Semantic

GRID = Grid((4, 5))


def labels(*rows: list[int], objects: bool = False) -> Labels:
    classes = np.array(rows, np.uint8)
    return Labels(classes, classes.astype(np.int32) if objects else None)


@pytest.mark.parametrize(("classes", "outputs"), [(("background", "cell"), 1), (("background", "a", "b"), 3)])
def test_outputs_follow_the_classes(classes: tuple[str, ...], outputs: int) -> None:
    assert build(TaskConfig(), classes).outputs == outputs


def test_the_old_name() -> None:
    assert TaskConfig.model_validate({"name": "masks"}).name == "semantic"


@given(st.integers(0, 1000), st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_the_mask_is_the_likeliest_class(seed: int, count: int) -> None:
    task = Semantic(TaskConfig(), [str(i) for i in range(count)])
    logits = np.random.default_rng(seed).standard_normal((task.outputs, 4, 5), dtype=np.float32)
    probabilities = task.activate(logits)
    assert probabilities.shape == (count, 4, 5)
    np.testing.assert_allclose(probabilities.sum(0), 1, rtol=1e-5)
    decoded = task.decode(probabilities, GRID)
    np.testing.assert_array_equal(decoded.classes, probabilities.argmax(0))
    assert (decoded.objects, decoded.grid, decoded.names) == (None, GRID, task.classes)


def test_a_threshold_is_a_probability() -> None:
    task = Semantic(TaskConfig(threshold=0.8), ("background", "cell"))
    logits = np.log(np.array([[[0.79 / 0.21, 0.81 / 0.19]]], np.float32))
    assert task.decode(task.activate(logits), Grid((1, 2))).classes.tolist() == [[0, 1]]


def test_a_passed_loss_is_used() -> None:
    task = Semantic(TaskConfig(loss="cross_entropy"), ("background", "cell"), loss=dice)
    outputs, truth = torch.zeros(1, 1, 2, 2), torch.ones(1, 2, 2, 2, dtype=torch.int32)
    maps = task.maps(truth, Grid((2, 2)))
    assert torch.equal(maps, truth[:, :1])
    assert task.losses(outputs, maps) == {"classes": dice(outputs, truth[:, :1])}


def test_rows_name_the_classes_and_leave_out_what_is_not_annotated() -> None:
    task = Semantic(TaskConfig(), ("background", "a", "b"))
    rows = task.evaluate(labels([0, 1, 2, 0, 1]), labels([0, 1, 2, 2, IGNORE]))
    found = {row.subject: row.value for row in rows if row.measure == task.primary.measure}
    assert (found["a"], found["b"]) == (1, pytest.approx(2 / 3))
    assert task.primary.higher_is_better


def two_cells() -> torch.Tensor:
    """Two cells with a gap of three pixels, numbered: (1, 2, 21, 23)."""
    numbers = np.zeros((21, 23), np.int32)
    numbers[:, :10], numbers[:, 13:] = 1, 2
    return torch.from_numpy(np.stack([(numbers > 0).astype(np.int32), numbers])[None])


def test_borders_between_cells_weigh_more() -> None:
    config = TaskConfig(border_weight=10, loss="cross_entropy", class_weights=(2.0, 0.5))
    task = Semantic(config, ("background", "cell"))
    maps = task.maps(two_cells(), Grid((21, 23)))
    assert maps.shape == (1, 2, 21, 23)
    weights = maps[0, 1].numpy()
    assert weights[10, 11] == pytest.approx(2 + 10 * np.exp(-16 / 50), rel=1e-5)
    assert weights[10, 5] == 0.5
    outputs = torch.randn(1, 1, 21, 23, generator=torch.Generator().manual_seed(0))
    (loss,) = task.losses(outputs, maps).values()
    truth = maps[:, :1]
    each = torch.nn.functional.binary_cross_entropy_with_logits(outputs, truth, reduction="none")
    torch.testing.assert_close(loss, (each * maps[:, 1:]).mean())


def test_the_width_of_a_border_is_in_pixels_of_the_smaller_side() -> None:
    task = Semantic(TaskConfig(border_weight=10, loss="cross_entropy"), ("background", "cell"))
    weights = [
        float(task.maps(two_cells(), Grid((21, 23), spacing))[0, 1, 10, 11])
        for spacing in ((1.0, 1.0), (0.2, 0.2), (0.2, 0.4), (30.0, 60.0), (0.4, 0.2))
    ]
    near, wide = 1 + 10 * np.exp(-16 / 50), 1 + 10 * np.exp(-64 / 50)  # the gap lies along the columns
    assert weights == pytest.approx([near, near, wide, wide, near], rel=1e-5)


def test_without_numbers_connected_regions_are_cells_and_what_is_ignored_is_none() -> None:
    task = Semantic(TaskConfig(border_weight=10), ("background", "cell"))
    labels = two_cells()[:, :1].byte()
    assert torch.equal(task.maps(labels, Grid((21, 23))), task.maps(two_cells(), Grid((21, 23))))
    labels[..., 13:] = IGNORE
    assert (task.maps(labels, Grid((21, 23)))[0, 1] == 1).all()  # one cell is left, without a neighbor


def test_border_weights_need_a_cross_entropy() -> None:
    with pytest.raises(ValueError, match="cross-entropy"):
        TaskConfig(border_weight=10, loss="dice")


def test_there_is_nothing_to_fit() -> None:
    task = Semantic(TaskConfig(), ("background", "cell"))
    assert task.fits == 0
    assert task.fit([], []) == {}


def test_borders_part_cells() -> None:
    cells = np.ones((31, 31), np.uint8)
    cells[:, 14:17] = cells[14:17] = 0
    gap = cells.copy()
    gap[5:9, 14:17] = 1
    task = Semantic(TaskConfig(borders="background"), ("background", "cell"))
    found = {row.measure: row for row in task.evaluate(Labels(gap), Labels(cells))}
    rows = border_rows(gap, cells, "cell")
    assert [found[row.measure] for row in rows] == rows
    assert 0.5 < found["rand"].value < 0.9
    # with the borders as the class the same image has the same scores, of another subject
    swapped = Semantic(TaskConfig(borders="membrane"), ("background", "membrane"))
    other = {row.measure: row for row in swapped.evaluate(Labels(1 - gap), Labels(1 - cells))}
    assert (other["rand"].subject, other["rand"].value) == ("membrane", found["rand"].value)
    assert "rand" not in {
        row.measure for row in Semantic(TaskConfig(), task.classes).evaluate(Labels(gap), Labels(cells))
    }


def test_what_is_not_annotated_is_of_no_cell() -> None:
    cells = np.ones((31, 31), np.uint8)
    cells[:, 14:17] = 0
    seen = cells.copy()
    seen[20:, :] = 0
    truth = cells.copy()
    truth[20:, :] = IGNORE
    task = Semantic(TaskConfig(borders="background"), ("background", "cell"))
    found = {row.measure: row.value for row in task.evaluate(Labels(seen), Labels(truth))}
    assert found["rand"] == pytest.approx(1, abs=0.02)


def test_borders_that_are_no_class() -> None:
    with pytest.raises(UlnaError, match="Did you mean 'membrane'"):
        build(TaskConfig(borders="membranes"), ("background", "membrane"))
