from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

from ulna.config import TaskConfig
from ulna.tasks import build
from ulna.tasks.averaging import average


@given(seed=st.integers(0, 1000), exclusive=st.sampled_from([0, 2, 3]), count=st.integers(1, 5))
def test_the_activation_of_the_average_is_the_mean_of_the_activations(seed: int, exclusive: int, count: int) -> None:
    several = np.random.default_rng(seed).normal(0, 4, (count, 4, 3, 2)).astype(np.float32)

    def activated(logits: np.ndarray) -> np.ndarray:
        first = softmax(logits[:exclusive], axis=0) if exclusive else logits[:0]
        return np.concatenate([first, expit(logits[exclusive:])])

    found = average(iter(several), exclusive)
    assert found.dtype == np.float32
    np.testing.assert_allclose(activated(found), np.mean([activated(one) for one in several], axis=0), atol=1e-5)


def test_sure_networks_leave_finite_logits() -> None:
    several = [np.array([[-200.0], [200.0], [-500.0]], np.float32), np.array([[200.0], [-200.0], [-500.0]], np.float32)]
    for exclusive in (0, 3):
        found = average(several, exclusive)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[0], found[1], atol=1e-3)


def test_one_alone_is_left_as_it_is() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (3, 5)).astype(np.float32)
    np.testing.assert_allclose(average([logits], 0), logits, atol=1e-5)


@pytest.mark.parametrize("name", ["semantic", "instances"])
@pytest.mark.parametrize("classes", [("background", "a"), ("background", "a", "b")])
def test_every_task_averages_what_it_activates(name: str, classes: tuple[str, ...]) -> None:
    task = build(TaskConfig(name=name), classes)
    several = np.random.default_rng(1).normal(0, 3, (3, task.outputs, 4, 5)).astype(np.float32)
    found = task.activate(task.average(several))
    np.testing.assert_allclose(found, np.mean([task.activate(one) for one in several], axis=0), atol=1e-5)
