from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_values import Golden
from small_clock import TestClock
from ulna import networks, tasks
from ulna.config import Config
from ulna.store import Store
from ulna.training.length import Length, expected, falling, rising, time_step, too_short
from ulna.training.timer import Timer

CONFIG = Config().changed(
    {
        "data.channels": 1,
        "network.widths": [4, 8],
        "training.patch": [32, 32],
        "training.final_patch": [64, 64],
        "training.batch_size": 4,
        "training.steps": 10,
        "training.epochs": 2,
        "training.precision": "float32",
    }
)
STEADY = [0.5] * 400
FALLING = list(np.linspace(1.0, 0.5, 400))


def test_the_length_counts_patches_and_passes(stores: tuple[Store, Store]) -> None:
    length = Length.of(CONFIG, stores[0], 20)  # 6 images of 64 by 64; the last 6 steps have one patch of 64 by 64
    assert (length.steps, length.patches) == (20, 14 * 4 + 6)
    assert length.per_image == pytest.approx(62 / 6)
    assert length.passes == pytest.approx(20 * 4 * 32 * 32 / (6 * 64 * 64))
    assert expected(CONFIG, stores[0], 20) == (
        "Expected length: 20 steps on 62 patches: 10 per image, 3.3 passes over all pixels."
    )
    by_time = CONFIG.changed({"training.epochs": None, "training.minutes": 3})
    assert expected(by_time, stores[0], 20).startswith("Expected length: about 20 steps")


def test_a_loss_that_falls_is_told_from_noise() -> None:
    assert falling(STEADY) == 0
    assert falling(FALLING) == pytest.approx(0.333 * 0.9 / 0.967, abs=0.03)  # from .75 to .5 in the last half
    assert falling(FALLING[::-1]) == 0
    assert falling(FALLING[:15]) == 0  # too few steps tell nothing
    assert falling([1.0] * 200 + [0.2] * 200) == 0  # it fell before


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_noise_alone_is_rarely_a_fall(seed: int) -> None:
    draw = np.random.default_rng(seed)
    found = sum(falling(list(draw.normal(1, 0.3, 200))) > 0.1 for _ in range(20))
    assert found <= 4


def test_a_dice_that_rises_is_told_by_its_last_quarter() -> None:
    assert rising([0.1] * 3)
    assert rising([0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7, 0.8])
    assert not rising([0.5, 0.6, 0.7, 0.8, 0.8, 0.8, 0.8, 0.805])


def test_a_short_training_says_why_and_what_would_be_longer(stores: tuple[Store, Store]) -> None:
    said = too_short(CONFIG, stores[0], FALLING, [0.2, 0.3])
    assert "the loss was still falling, by 3" in said
    assert "400 steps" in said
    assert said.endswith("--epochs 8")
    by_time = CONFIG.changed({"training.epochs": None, "training.minutes": 1.5})
    assert too_short(by_time, stores[0], FALLING, []).endswith("--minutes 6")
    assert "too few steps" in too_short(CONFIG, stores[0], [1.0], [])
    assert too_short(CONFIG, stores[0], STEADY, [0.2]) == ""
    assert too_short(CONFIG, stores[0], FALLING, [0.9] * 16) == ""
    tiny = CONFIG.changed({"training.batch_size": 600})
    assert too_short(tiny, stores[0], [1.0] * 10, []) == ""  # few steps, which have seen everything many times


def test_all_that_is_said_of_short_trainings(stores: tuple[Store, Store], golden: Golden) -> None:
    store, by_time = stores[0], CONFIG.changed({"training.epochs": None, "training.minutes": 1.5})
    steep = list(np.geomspace(1.0, 0.05, 400))
    flat = list(np.linspace(1.0, 0.905, 400))  # less than a tenth in the last half
    golden.check(
        "length",
        {
            "falling": too_short(CONFIG, store, FALLING, [0.2, 0.3]),
            "falling steeply": too_short(CONFIG, store, steep, []),
            "falling a little": too_short(CONFIG, store, flat, []),
            "19 steps": too_short(CONFIG, store, FALLING[:19], []),
            "20 steps": too_short(CONFIG, store, FALLING[::20], []),
            "by time": too_short(by_time, store, FALLING, []),
            "few steps by time": too_short(by_time, store, FALLING[:3], []),
            "in seconds": too_short(by_time.changed({"training.minutes": 0.1}), store, FALLING, []),
            "falls": [falling(losses) for losses in (FALLING, steep, flat, FALLING[:19], FALLING[::20], FALLING[::21])],
            "expected": [expected(config, store, 1234) for config in (CONFIG, by_time)],
            "resized": str(Length.of(CONFIG.changed({"data.resize": [32, 48]}), store, 40)),
            "one": str(Length(1, 1, 1.0, 0.04)),
            "ten": str(Length(1000, 20000, 9.96, 10.0)),
        },
    )


def test_what_counts_as_rising_and_falling() -> None:
    """A gain of more than .01 in the last quarter of eight epochs; a trend that is seldom chance."""
    assert rising([0.9] * 6 + [0.1])
    assert not rising([0.9] * 6 + [0.1, 0.1])
    assert not rising([0.5] * 6 + [0.5, 0.5099])
    assert rising([0.5] * 6 + [0.5, 0.5101])
    assert not rising([0.5] * 8 + [0.6] + [0.5] * 3)
    parts = np.arange(10, 0, -1.0)
    parts[[4, 5, 6, 7]] = parts[[5, 4, 7, 6]]  # two pairs are the other way: S = 41
    both = [1.0] * 10
    assert falling([*both, *parts]) > 0
    parts = np.array([10, 9, 8, 7, 6, 1, 2, 3, 5, 4.0])  # S = 45 - 2 · 9 = 27
    assert falling([*both, *parts]) > 0
    parts = np.array([10, 9, 8, 7, 6, 1, 2, 3, 4, 5.0])  # 25
    assert falling([*both, *parts]) == 0


def test_a_step_is_timed_without_changing_anything(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, costs = TestClock(), iter([9.0, 2.0, 3.0])
    monkeypatch.setattr(torch.Tensor, "backward", lambda _: clock.move(next(costs)))
    torch.manual_seed(0)
    net, task = networks.build(CONFIG.network, 1, 1), tasks.build(CONFIG.task, ("background", "cell"))
    before = {name: weights.clone() for name, weights in net.state_dict().items()}
    state = torch.get_rng_state()
    assert time_step(net, task, CONFIG, store=stores[0], timer=Timer(clock, limit=6000)) == 2
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], weights) for name, weights in net.state_dict().items())
    costs = iter([9.0])
    assert time_step(net, task, CONFIG, store=stores[0], timer=Timer(clock, limit=60)) == 9
    costs, recorded = iter([2.0, 1.5, 1.75, 0.1]), list[float]()
    timer = Timer(clock, limit=100, record=recorded.append)  # one takes 2 % of the time, and no more
    assert time_step(net, task, CONFIG, store=stores[0], timer=timer) == 1.5
    assert recorded == [2, 3.5, 5.25]
    costs = iter([2.01, 1.0])
    assert time_step(net, task, CONFIG, store=stores[0], timer=Timer(clock, limit=100)) == pytest.approx(2.01)
