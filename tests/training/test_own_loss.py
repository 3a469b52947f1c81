"""A loss of the user's own: what is said where it is none, and what a run records of it."""

from __future__ import annotations

import functools
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from ulna.config import Config, TaskConfig
from ulna.errors import UlnaError
from ulna.networks.losses import dice
from ulna.training import own_loss
from ulna.training.own_loss import check_elsewhere, check_same, given_loss, name_of, record, with_loss

OWN = TaskConfig(loss="own")


def answer(loss: Any) -> Tensor:
    """What a loss says of zeros that are learned from."""
    made = given_loss(OWN, loss)
    assert made is not None
    return made(torch.zeros(1, 1, 2, 2, requires_grad=True), torch.ones(1, 1, 2, 2, dtype=torch.uint8))


def test_the_settings_say_that_it_is_a_function() -> None:
    assert with_loss(Config(), dice).task.loss == "own"
    assert with_loss(Config(), None) == Config()
    with pytest.raises(UlnaError, match="str is no loss"):
        with_loss(Config(), "dice")  # type: ignore[arg-type]
    with pytest.raises(UlnaError, match="which the loss `own` does not have"):
        with_loss(Config().changed({"task.border_weight": 5.0}), dice)


def test_a_function_that_is_missing_is_asked_for() -> None:
    assert given_loss(TaskConfig(), None) is None
    with pytest.raises(UlnaError, match=r"which is not given\nTrain from Python"):
        given_loss(OWN, None)


def test_it_gets_32_bits_and_its_answer_is_passed_on() -> None:
    seen: list[torch.dtype] = []

    def loss(outputs: Tensor, truth: Tensor) -> Tensor:
        seen.append(outputs.dtype)
        return ((outputs - truth) ** 2).mean()

    made = given_loss(OWN, loss)
    assert made is not None
    value = made(torch.zeros(1, 1, 2, 2, dtype=torch.bfloat16, requires_grad=True), torch.ones(1, 1, 2, 2))
    assert (value.item(), seen) == (1.0, [torch.float32])
    value.backward()


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda outputs, truth: outputs, r"returned a tensor \(1, 1, 2, 2\), not a scalar"),
        (lambda outputs, truth: 0.5, "returned float, not a scalar"),
        (lambda outputs, truth: None, "returned NoneType"),
        (lambda outputs, truth: ((outputs > 0) != truth).float().mean(), "does not depend on the outputs"),
    ],
)
def test_answers_that_are_none_of_a_loss(loss: Any, words: str) -> None:
    with pytest.raises(UlnaError, match=words):
        answer(loss)


def test_without_a_gradient_it_is_measured_only() -> None:
    """As in validation, where nothing is learned."""
    made = given_loss(OWN, dice)
    assert made is not None
    assert made(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2, dtype=torch.uint8)).ndim == 0


def test_names() -> None:
    class Weighted:
        def __call__(self, outputs: Tensor, truth: Tensor) -> Tensor:
            return outputs.mean()

    assert name_of(own_loss.record) == "ulna.training.own_loss.record"  # type: ignore[arg-type]
    assert name_of(functools.partial(dice, smooth=2.0)) == "functools.partial"
    assert name_of(Weighted()).endswith("Weighted")
    assert name_of(torch.nn.MSELoss()) == "torch.nn.modules.loss.MSELoss"


def test_a_run_goes_on_with_the_function_that_it_began_with() -> None:
    began = record(dice)
    assert (began, record(None)) == ({"loss": "ulna.networks.losses.dice"}, {})
    check_same(began, dice)
    check_same({}, None)
    check_same(began, None)  # that it is missing is said by `given_loss`
    with pytest.raises(UlnaError, match=r"began with the loss ulna.networks.losses.dice, not torch"):
        check_same(began, torch.nn.functional.mse_loss)
    with pytest.raises(UlnaError, match=r"began with the loss that task\.loss names"):
        check_same({}, dice)


def test_other_processes_must_find_it(monkeypatch: pytest.MonkeyPatch) -> None:
    check_elsewhere(None)
    check_elsewhere(dice)
    check_elsewhere(functools.partial(dice, smooth=2.0))
    for loss in (lambda outputs, truth: outputs.mean(), functools.partial(lambda outputs, truth: outputs.mean())):
        with pytest.raises(UlnaError, match=r"do not find it\nPut it into a file of its own"):
            check_elsewhere(loss)
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "typed", lambda outputs, truth: outputs.mean(), raising=False)
    typed = vars(main)["typed"]
    typed.__module__, typed.__qualname__ = "__main__", "typed"  # as of a script or a notebook
    with pytest.raises(UlnaError, match="do not find it"):
        check_elsewhere(typed)
