from __future__ import annotations

import pytest

from ulna.training.schedule import WARM_UP, constant, one_cycle


def test_one_cycle_rises_to_one_and_falls_to_nearly_nothing() -> None:
    assert one_cycle(0) == pytest.approx(1 / 25)
    assert one_cycle(WARM_UP) == pytest.approx(1)
    assert one_cycle(1) == one_cycle(7) == pytest.approx(1e-4)
    falling = [one_cycle(WARM_UP + (1 - WARM_UP) * share / 50) for share in range(51)]
    assert falling == sorted(falling, reverse=True)


def test_one_cycle_is_made_of_two_halves_of_a_cosine() -> None:
    for progress, rate in {
        0.05: 0.04 + 0.96 * 0.1464466,
        0.1: 0.52,
        0.6: 0.50005,
        0.8: 1e-4 + 0.9999 * 0.1464466,
    }.items():
        assert one_cycle(progress) == pytest.approx(rate, rel=1e-5)
    assert one_cycle(-1) == one_cycle(0)


def test_one_cycle_agrees_with_pytorch() -> None:
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], 1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, total_steps=101, pct_start=0.2, final_div_factor=400, cycle_momentum=False
    )
    for step in range(101):
        # PyTorch's peak lies at step 0.2·101 - 1 and its end at step 100: the same curve, a step apart
        assert theirs.get_last_lr()[0] == pytest.approx(one_cycle(step / 100), abs=0.04)
        optimizer.step()
        if step < 100:
            theirs.step()


def test_constant() -> None:
    assert constant(0) == constant(0.5) == 1
