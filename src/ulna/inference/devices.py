"""Where networks run: the choice of a device, and whether this process may use it."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing import current_process

import torch
from torch import nn

from ulna.errors import UlnaError
from ulna.memory import free_memory
from ulna.text import amount

KINDS = ("cpu", "cuda", "mps")

_PROCESS = os.getpid()
"""The process that loaded this module; a forked process has another number."""


def choose_device(name: str | None = None) -> torch.device:
    """The device of a name.

    Parameters
    ----------
    name
        "cpu", "cuda" (an NVIDIA or AMD GPU; "cuda:1" is the second one) or "mps" (Apple's GPU, untested); None: the
        first CUDA GPU if there is one, else the CPU.

    Returns
    -------
    device
        As PyTorch names it.

    Raises
    ------
    UlnaError
        For a name that is unknown, and for a device that this machine does not have.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in KINDS:
        raise UlnaError(f"there is no device '{name}'", where="device", hint=f"Known: {', '.join(KINDS)}.")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[device.type]
    if (device.index or 0) >= count:
        has = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
        has += ["mps"] if torch.backends.mps.is_available() else []
        raise UlnaError(
            f"PyTorch finds no '{name}' on this machine", where="device", hint=f"It finds: {', '.join(has)}."
        )
    return device


def check_count(device: torch.device, count: int) -> None:
    """Refuse more devices than there are to train on.

    Parameters
    ----------
    device
        The kind that was chosen: of CUDA GPUs the first ones are taken, on the CPU so many processes share it.
    count
        How many.

    Raises
    ------
    UlnaError
        Also where one of several GPUs was named, and on Apple's GPU.
    """
    where, found = "training.devices", torch.cuda.device_count()
    if count == 1 or device.type == "cpu":
        return
    if device.type == "mps":
        raise UlnaError("there is one GPU of Apple's in a machine", where=where, hint="Set it to 1.")
    if str(device) != "cuda":
        hint = f"Write --device cuda: the first {count} GPUs are taken. CUDA_VISIBLE_DEVICES says which these are."
        raise UlnaError(f"{count} GPUs are wanted, and {device} is one", where=where, hint=hint)
    if count > found:
        raise UlnaError(f"{count} GPUs are wanted, and PyTorch finds {found}", where=where, hint=f"Set it to {found}.")


def described(device: torch.device, count: int = 1) -> str:
    """A device for the record of a run.

    Parameters
    ----------
    device
        Where networks run.
    count
        How many of its kind are used.

    Returns
    -------
    str
        "cpu", or of a GPU its name, its memory, and the version of what drives it; before them the number, of several.
    """
    several = f"{count} × " if count > 1 else ""
    if device.type != "cuda":
        return f"{several}{device.type}"
    found = torch.cuda.get_device_properties(device)
    driver = f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
    return f"{several}{found.name}, {amount(found.total_memory)}, {driver}"


def device_of(network: nn.Module) -> torch.device:
    """Where the weights of a network are; the CPU if it has none."""
    weight = next(network.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device


def dtype_of(network: nn.Module) -> torch.dtype:
    """The type of the weights of a network; float32 if it has none."""
    weight = next(network.parameters(), None)
    return torch.float32 if weight is None else weight.dtype


def own_memory(device: torch.device) -> bool:
    """Whether a device has a memory of its own: a CPU and Apple's GPU share that of the machine."""
    return device.type == "cuda"


def free_on(
    device: torch.device,
    *,
    gpu: Callable[[torch.device], tuple[int, int]] | None = None,
    machine: Callable[[], int] = free_memory,
) -> int:
    """Bytes that are free where a network runs.

    Parameters
    ----------
    device
        Where it runs.
    gpu
        Gives the free and all memory of a GPU; by default PyTorch is asked.
    machine
        Gives what is free beside it, for devices without a memory of their own.

    Returns
    -------
    int
        Of the GPU its own; else of the machine.
    """
    return int((gpu or _of_gpu)(device)[0]) if own_memory(device) else machine()


def _of_gpu(device: torch.device) -> tuple[int, int]:
    """The free and all memory of a GPU; what PyTorch keeps for itself and does not use is free."""
    free, whole = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device), whole


def check_process(device: torch.device) -> None:
    """Make a forked process fit to run networks.

    OpenMP's threads do not survive a fork, and the first parallel loop would wait for them for ever. So PyTorch gets
    one thread in a forked process, as PyTorch's own data loader does it; in all others nothing is changed.

    Raises
    ------
    UlnaError
        In a forked process for a GPU: its context does not survive either.
    """
    if not is_forked():
        return
    if device.type != "cpu":
        raise UlnaError(
            "a forked process cannot use the GPU of its parent",
            where=device,
            hint="Start processes with multiprocessing.get_context('spawn'), or load the model with device='cpu'.",
        )
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


def is_forked() -> bool:
    """Whether this process is a copy of one that may have used PyTorch."""
    return os.getpid() != _PROCESS or type(current_process()).__name__ == "ForkProcess"
