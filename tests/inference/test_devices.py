from __future__ import annotations

import os
from collections import namedtuple
from types import SimpleNamespace

import pytest
import torch

from ulna.errors import UlnaError
from ulna.inference import devices
from ulna.inference.devices import (
    check_count,
    check_process,
    choose_device,
    described,
    device_of,
    free_on,
    is_forked,
    own_memory,
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with two CUDA GPUs and none of Apple's."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return monkeypatch


def test_the_gpu_is_taken_where_there_is_one(machine: pytest.MonkeyPatch) -> None:
    assert choose_device() == torch.device("cuda")
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    machine.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == torch.device("cpu")


def test_apples_gpu_is_taken_when_it_is_named(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("mps") == torch.device("mps")


def test_a_device_is_described_for_the_record(machine: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(name="Some GPU", total_memory=80 << 30)
    machine.setattr(torch.cuda, "get_device_properties", lambda device: found)
    machine.setattr(torch.version, "hip", None)
    machine.setattr(torch.version, "cuda", "12.8")
    assert described(torch.device("cuda")) == "Some GPU, 80.0 GiB, CUDA 12.8"
    machine.setattr(torch.version, "hip", "6.4")
    assert described(torch.device("cuda")) == "Some GPU, 80.0 GiB, ROCm 6.4"
    assert [described(torch.device(name)) for name in ("cpu", "mps")] == ["cpu", "mps"]
    assert described(torch.device("cuda"), 2) == "2 × Some GPU, 80.0 GiB, ROCm 6.4"
    assert described(torch.device("cpu"), 2) == "2 × cpu"


@pytest.mark.parametrize(
    ("name", "count", "what"),
    [
        ("cuda", 3, "3 GPUs are wanted, and PyTorch finds 2"),
        ("cuda:1", 2, "2 GPUs are wanted, and cuda:1 is one"),
        ("mps", 2, "there is one GPU of Apple's in a machine"),
    ],
)
def test_more_devices_than_there_are_are_refused(name: str, count: int, what: str, machine: pytest.MonkeyPatch) -> None:
    with pytest.raises(UlnaError) as caught:
        check_count(torch.device(name), count)
    assert (caught.value.what, caught.value.where) == (what, "training.devices")
    check_count(torch.device(name), 1)
    check_count(torch.device("cuda"), 2)
    check_count(torch.device("cpu"), 9)


@pytest.mark.parametrize("name", ["cuda:2", "mps", "cpu:1"])
def test_a_device_that_is_not_there_is_refused(name: str, machine: pytest.MonkeyPatch) -> None:
    with pytest.raises(UlnaError) as caught:
        choose_device(name)
    assert str(caught.value) == f"device: PyTorch finds no '{name}' on this machine\nIt finds: cpu, cuda:0, cuda:1."
    machine.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("mps").type == "mps"
    with pytest.raises(UlnaError, match=r"It finds: cpu, cuda:0, cuda:1, mps\."):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "tpu", "", "meta", "cuda:x"])
def test_a_name_that_is_unknown_is_refused(name: str) -> None:
    with pytest.raises(UlnaError) as caught:
        choose_device(name)
    assert str(caught.value) == f"device: there is no device '{name}'\nKnown: cpu, cuda, mps."


def test_device_of() -> None:
    assert device_of(torch.nn.Conv2d(1, 1, 1, device="meta")) == torch.device("meta")
    assert device_of(torch.nn.ReLU()) == torch.device("cpu")


def test_a_process_that_is_no_fork_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: pytest.fail("changed"))
    check_process(torch.device("cuda"))


def test_a_forked_process_cannot_use_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_PROCESS", os.getpid() + 1)
    with pytest.raises(UlnaError, match="spawn"):
        check_process(torch.device("cuda"))


def test_a_worker_that_loads_this_module_after_the_fork_is_recognized(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_forked()
    worker = namedtuple("ForkProcess", ())()
    monkeypatch.setattr(devices, "current_process", lambda: worker)
    assert is_forked()


def test_free_memory_is_that_of_where_the_network_runs() -> None:
    def ask(name: str) -> int:
        return free_on(torch.device(name), gpu=lambda device: (100 + (device.index or 0), 10**6), machine=lambda: 7)

    assert ask("cuda") == 100
    assert ask("cuda:1") == 101
    assert ask("cpu") == 7
    assert ask("mps") == 7  # it shares the memory of the machine
    assert [own_memory(torch.device(name)) for name in ("cuda:1", "cpu", "mps")] == [True, False, False]
    assert free_on(torch.device("cpu")) > 10**6
