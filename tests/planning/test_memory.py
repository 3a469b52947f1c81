"""The memory of a step: what is said of it, against what it takes; and what the plan makes of it."""

from __future__ import annotations

import ctypes
import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ulna import networks, tasks
from ulna.config import Config
from ulna.errors import UlnaError
from ulna.planning import Fingerprint, memory, plan
from ulna.planning.memory import StepMemory, step_memory
from ulna.preset import load_preset
from ulna.training.batches import Batch
from ulna.training.learner import Learner

CPU = torch.device("cpu")
RESET = Path("/proc/self/clear_refs")
GIB = 2**30


def bytes_of(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))


def step(config: Config, batch: int, patch: tuple[int, ...]) -> None:
    task = tasks.build(config.task, ("background", "cell"))
    learner = Learner(networks.build(config.network, 1, task.outputs), task, config)
    optimizer = torch.optim.Adam(learner.parameters())
    truth = torch.randint(0, 2, (batch, 1, *patch), dtype=torch.uint8)
    given = Batch(torch.rand(batch, 1, *patch), truth, ((1.0,) * len(patch),) * batch, 0)
    with torch.autocast("cpu", torch.bfloat16, enabled=config.training.precision == "bf16"):
        loss = learner(learner.augmented(given))
    loss.backward()
    optimizer.step()


def settings(patch: tuple[int, ...], **network: Any) -> Config:
    precision = {"training.precision": network.pop("precision", "float32")}
    changes = {f"network.{key}": value for key, value in network.items()} | {"network.ndim": len(patch)}
    return Config().changed(
        {"data.channels": 1, "augmentation": None, "training.patch": list(patch)} | precision | changes
    )


@pytest.mark.parametrize(
    ("patch", "batch", "network"),
    [
        ((128, 128), 12, {"widths": [8, 16, 32], "norm": "none"}),
        ((128, 128), 24, {"widths": [8, 16, 32], "norm": "none", "precision": "bf16"}),
        ((40, 48, 48), 2, {"widths": [8, 16, 32], "norm": "batch"}),
        ((40, 48, 48), 2, {"widths": [8, 16, 16, 16], "encoder_blocks": [1, 1, 1, 1], "deep_supervision": True}),
    ],
)
def test_a_step_takes_about_what_is_said(patch: tuple[int, ...], batch: int, network: dict[str, Any]) -> None:
    """The most that the process held at once, as Linux counts it."""
    config = settings(patch, **network)
    small = tuple(side // 4 for side in patch)
    step(config.changed({"training.patch": list(small)}), 2, small)  # what is loaded once does not count
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        RESET.write_text("5")
    except OSError:
        pytest.skip("this system does not say how much memory was held at most")
    before = bytes_of("VmRSS")
    step(config, batch, patch)
    taken = bytes_of("VmHWM") - before
    said = step_memory(config, 1, patch, CPU).total(batch)
    assert taken > 60e6
    assert taken / 1.5 < said < 1.5 * taken


@pytest.mark.parametrize(
    ("fast", "imitated", "share"), [(True, True, 0.5), (True, False, 0.5), (False, True, 0.5), (False, False, 1.0)]
)
def test_maps_are_half_as_large_where_the_machine_multiplies_bf16(
    monkeypatch: pytest.MonkeyPatch, fast: bool, imitated: bool, share: float
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": fast})
    monkeypatch.setattr(memory, "imitates_bf16", lambda: imitated)
    config = settings((64, 64), widths=[32, 64, 128])
    full, asked = (
        step_memory(each, 1, (64, 64), CPU) for each in (config, config.changed({"training.precision": "bf16"}))
    )
    assert asked.patch == pytest.approx(share * full.patch, rel=0.05)


def test_it_grows_with_patches_and_with_pixels() -> None:
    config = settings((64, 64), widths=[4, 8])
    small, large = step_memory(config, 1, (64, 64), CPU), step_memory(config, 1, (128, 64), CPU)
    assert large.patch == pytest.approx(2 * small.patch, rel=1e-3)  # but for what a norm keeps of each channel
    assert large.fixed == small.fixed
    assert StepMemory(100, 50).most(1000) == 15
    assert StepMemory(100, 50).most(100) == 0


FACTS = Fingerprint(1, ((155, 240, 240),) * 9, ("background", "tumor"), 1, spacings=((1.0, 1.0, 1.0),) * 9, unit="mm")


def test_batches_are_smaller_where_the_memory_does_not_hold_what_is_wanted() -> None:
    wanted = load_preset("intel-3d").changed({"data.use_channels": [], "training.precision": "float32"})
    plenty = plan(wanted, replace(FACTS, memory=64 * GIB), device=CPU)
    assert plenty.config.training.batch_size == 8
    little = plan(wanted, replace(FACTS, memory=13 * GIB), device=CPU)
    assert little.config.training.batch_size == 2
    (found,) = [one for one in little.decisions if one.key == "training.batch_size"]
    assert not found.overridden
    assert found.reason.startswith(
        "smaller than the 8 wanted: a step on these takes about 29.5 GiB of memory, 13.0 GiB"
    )
    assert any(one.startswith("Batches are smaller than the 8 wanted") for one in little.sentences)
    assert "batch_size: 8" in little.yaml(wanted)
    assert little.config.training.steps > plenty.config.training.steps
    with pytest.raises(UlnaError, match="one patch of 144×144×144 takes about") as caught:
        plan(wanted, replace(FACTS, memory=3 * GIB), device=CPU)
    assert caught.value.where == "training.patch"


def test_each_of_several_devices_has_a_batch_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Config().changed({"network.ndim": 3, "training.patch": [32, 32, 32], "training.precision": "float32"})
    one = plan(wanted, replace(FACTS, memory=64 * GIB), device=CPU)
    three = plan(wanted.changed({"training.devices": 3}), replace(FACTS, memory=64 * GIB), device=CPU)
    assert three.config.training.batch_size == 3 * one.config.training.batch_size
    each = one.config.training.batch_size
    assert f"Each batch is computed by 3 devices together, {each} patches on each." in three.sentences
    assert not any("devices" in sentence for sentence in one.sentences)
    step = step_memory(one.config, 1, (32, 32, 32), CPU)
    little = replace(FACTS, memory=3 * int(step.total(2) / 0.8))  # of the machine, which the processes share
    assert plan(wanted.changed({"training.devices": 3}), little, device=CPU).config.training.batch_size == 6
    with pytest.raises(UlnaError, match="a batch of 2 patches leaves some of 3 devices idle"):
        plan(wanted.changed({"training.devices": 3, "training.batch_size": 2}), FACTS, device=CPU)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (64 * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    on_gpu = plan(wanted, FACTS, device=torch.device("cuda"))
    assert on_gpu.config.training.devices == 1
    assert "It uses one GPU of 4 GPUs; training.devices=4 takes all of them." in on_gpu.sentences


def test_what_is_planned_fits_too() -> None:
    facts = replace(FACTS, memory=GIB // 2)
    wanted = Config().changed({"network.ndim": 3, "training.patch": [32, 64, 64], "training.batch_size": 4})
    wanted = wanted.changed({"training.precision": "float32"})
    training = plan(wanted, facts, device=CPU).config
    assert step_memory(training, 1, (32, 64, 64), CPU).total(training.training.batch_size) < GIB // 2
    assert training.training.batch_size < 4
    unknown = plan(wanted, FACTS, device=CPU)
    assert unknown.config.training.batch_size == 4
