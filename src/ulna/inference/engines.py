"""Engines make runners of networks. An engine is a class with `compile`; a runner is a function of windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ulna.errors import in_memory
from ulna.inference.devices import check_process, device_of, dtype_of
from ulna.networks import Statistics, with_statistics

Windows = npt.NDArray[np.float32]

Runner = Callable[[Windows], Windows]
"""Images (N, C, *spatial) float32 → logits (N, K, *spatial) float32.

A runner may be called by several threads at once, and depends on nothing that happens after it was compiled but on
the weights of its network.
"""


class Engine(Protocol):
    """What runs networks: PyTorch, or another library that a network is exported to."""

    def compile(self, network: nn.Module, statistics: Statistics, shape: tuple[int, ...], precision: str) -> Runner:
        """Make a network ready for inputs of one shape.

        Parameters
        ----------
        network
            A network, which the engine must leave as it is.
        statistics
            By what the instance norms normalize; empty: each input by its own statistics.
            `ulna.networks.with_statistics(network, statistics)` is one module that holds both; an engine that copies,
            exports or compiles a network does so with that.
        shape
            (N, C, *spatial) of the inputs.
        precision
            "float32" or "bf16".

        Returns
        -------
        Runner
            A function of images (N, C, *spatial), which may be called by several threads at once.
        """
        ...


class TorchEngine:
    """PyTorch itself, on the device that holds the network's weights."""

    def compile(self, network: nn.Module, statistics: Statistics, shape: tuple[int, ...], precision: str) -> Runner:
        """Make a network ready; PyTorch takes inputs of any shape.

        Parameters
        ----------
        network
            It is left as it is.
        statistics
            By what the instance norms normalize; empty: each input by its own statistics.
        shape
            (N, C, *spatial) of the inputs; not needed here.
        precision
            "float32" or "bf16".

        Returns
        -------
        Runner
            It runs on the device that holds the weights.

        Raises
        ------
        UlnaError
            By the runner, where the memory does not hold the feature maps.
        """
        # An evaluating network that has nothing fixed is used as it is: a copy of its modules takes milliseconds.
        ready = with_statistics(network, statistics) if statistics or network.training else network
        return _TorchRunner(ready, device_of(network), autocast=precision == "bf16")


@dataclass(frozen=True)
class _TorchRunner:
    network: nn.Module
    device: torch.device
    autocast: bool

    def __call__(self, batch: Windows) -> Windows:
        check_process(self.device)
        layout = torch.channels_last if batch.ndim == 4 else torch.channels_last_3d
        images = torch.from_numpy(batch).to(self.device, dtype_of(self.network)).contiguous(memory_format=layout)
        with (
            torch.inference_mode(),
            # Threads would share the cache of cast weights; each weight is used once per call, so it saves nothing.
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast, cache_enabled=False),
            in_memory("Close other programs, or train with smaller tiles: the setting inference.tile."),
        ):
            outputs: torch.Tensor = self.network(images)
        return outputs.float().cpu().contiguous().numpy()


Average = Callable[[Iterable[Windows]], Windows]
"""Logits (K, *spatial) of several runners, one after the other → those of all together."""


def mean_logits(several: Iterable[Windows]) -> Windows:
    """The mean of the logits of several runners.

    Parameters
    ----------
    several
        One or more arrays of one shape.

    Returns
    -------
    Windows
        Their mean.
    """
    outputs = iter(several)
    total, count = next(outputs).copy(), 1
    for one in outputs:
        total += one
        count += 1
    total /= count
    return total


def averaged(runners: Sequence[Runner], average: Average = mean_logits) -> Runner:
    """An ensemble: several runners as one.

    Parameters
    ----------
    runners
        One or more, of networks with as many outputs.
    average
        What is made of their logits of an image; those of one runner are left as they are.

    Returns
    -------
    Runner
        By default of the mean of their logits.

    Examples
    --------
    >>> ensemble = averaged([lambda windows: windows, lambda windows: 3 * windows])
    >>> ensemble(np.ones((1, 1, 1, 2), np.float32))
    array([[[[2., 2.]]]], dtype=float32)
    """
    if len(runners) == 1:
        return runners[0]

    def run(batch: Windows) -> Windows:
        return np.stack([average(runner(image[None])[0] for runner in runners) for image in batch])

    return run


def torch_precision(wanted: str, device: torch.device) -> str:
    """The precision that a setting means on a device.

    Parameters
    ----------
    wanted
        "auto", "bf16" or "float32".
    device
        Where the network runs.

    Returns
    -------
    str
        "bf16" or "float32"; for "auto" bf16 where the machine multiplies it in hardware.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    able = torch.cpu.get_capabilities()
    fast = able.get("avx512_bf16") or able.get("amx_bf16")
    return "bf16" if device.type == "cpu" and fast else "float32"
