from __future__ import annotations

import itertools
import time

import pytest

from ulna.training.schedule import EPOCHS_OF_A_TIME, WARM_UP, Budget, constant, one_cycle


def test_one_cycle_rises_to_one_and_falls_to_nearly_nothing() -> None:
    assert one_cycle(0) == pytest.approx(1 / 25)
    assert one_cycle(WARM_UP) == pytest.approx(1)
    assert one_cycle(1) == one_cycle(7) == pytest.approx(1e-4)
    falling = [one_cycle(WARM_UP + (1 - WARM_UP) * share / 50) for share in range(51)]
    assert falling == sorted(falling, reverse=True)


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


def test_epochs_in_steps_cover_each_step_once() -> None:
    budget = Budget(steps=25, epoch_steps=10)
    epochs = [list(budget.epoch(start)) for start in (0, 10, 20)]
    assert list(itertools.chain(*epochs)) == list(range(25))
    assert budget.progress(5) == 0.2
    assert budget.progress(50) == 1


def test_epochs_by_the_clock_end_with_their_share_of_the_time() -> None:
    budget = Budget(seconds=0.8)
    budget.start()
    epochs = []
    step = 0
    while budget.progress(step) < 1:
        began = time.monotonic()
        for number in budget.epoch(step):
            assert number == step
            step += 1
            time.sleep(0.002)
        epochs.append(time.monotonic() - began)
    assert len(epochs) <= EPOCHS_OF_A_TIME + 1
    assert sum(epochs) >= 0.79


@pytest.mark.parametrize(("validation", "epochs"), [(0.001, EPOCHS_OF_A_TIME), (0.05, 4), (5.0, 1)])
def test_what_takes_long_to_validate_is_validated_rarely(
    validation: float, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = Budget(seconds=1.0, validation=validation)
    ends = []
    for number in range(20):
        monkeypatch.setattr(budget, "progress", lambda step, began=number / 20: began + step / 1000)
        ends.append(number / 20 + sum(1 for _ in budget.epoch(0)) / 1000)
    assert all(end * epochs == pytest.approx(round(end * epochs), abs=0.03) for end in ends)
    assert ends[0] == pytest.approx(1 / epochs, abs=0.002)


def test_a_resumed_clock_goes_on() -> None:
    budget = Budget(seconds=100, used=60)
    assert budget.progress(0) == pytest.approx(0.6)
    assert budget.left(0) == pytest.approx(40)
    assert Budget(seconds=10).left(0) == float("inf")
