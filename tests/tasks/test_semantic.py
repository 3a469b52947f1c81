from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.config import TaskConfig
from ulna.networks.losses import dice
from ulna.tasks import build
from ulna.tasks.semantic import Semantic


@pytest.mark.parametrize(("classes", "outputs"), [(("background", "cell"), 1), (("background", "a", "b"), 3)])
def test_outputs_follow_the_classes(classes: tuple[str, ...], outputs: int) -> None:
    assert build(TaskConfig(), classes).outputs == outputs


@given(st.integers(0, 1000), st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_the_mask_is_the_likeliest_class(seed: int, count: int) -> None:
    task = Semantic(TaskConfig(), [str(i) for i in range(count)])
    logits = np.random.default_rng(seed).standard_normal((task.outputs, 4, 5), dtype=np.float32)
    probabilities = task.probabilities(logits)
    assert probabilities.shape == (count, 4, 5)
    np.testing.assert_allclose(probabilities.sum(0), 1, rtol=1e-5)
    np.testing.assert_array_equal(task.decode(logits)[0], probabilities.argmax(0))


def test_a_threshold_is_a_probability() -> None:
    task = Semantic(TaskConfig(threshold=0.8), ("background", "cell"))
    logits = np.log(np.array([[[0.79 / 0.21, 0.81 / 0.19]]], np.float32))
    assert task.decode(logits).tolist() == [[[0, 1]]]


def test_a_passed_loss_is_used() -> None:
    task = Semantic(TaskConfig(loss="cross_entropy"), ("background", "cell"), loss=dice)
    outputs, truth = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2, dtype=torch.uint8)
    assert task.loss(outputs, task.targets(truth)) == dice(outputs, truth)


def test_scores_name_the_classes() -> None:
    task = Semantic(TaskConfig(), ("background", "a", "b"))
    truth = np.array([[[0, 1, 2, 2]]])
    scores = task.scores(np.array([[[0, 1, 2, 0]]]), truth)
    assert [score.name for score in scores] == ["a", "b"]
    assert [score.dice for score in scores] == [1, pytest.approx(2 / 3)]
