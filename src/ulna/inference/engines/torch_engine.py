"""PyTorch itself as an engine: on the CPU or a GPU, for inputs of any shape."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from ulna.errors import in_memory
from ulna.inference.devices import check_process, device_of, dtype_of
from ulna.inference.engines.base import Runner, Windows
from ulna.networks import Statistics, measure_statistics, with_statistics


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

    def measure(self, network: nn.Module, windows: Iterable[Windows]) -> Statistics:
        """The statistics that the instance norms of a network find in an image.

        Parameters
        ----------
        network
            It is left as it is.
        windows
            (1, C, *spatial) each: the image itself, or parts of it.

        Returns
        -------
        Statistics
            On the device that holds the weights.
        """
        device = device_of(network)
        tensors = (torch.from_numpy(window).to(device, dtype_of(network)) for window in windows)
        with torch.autocast(device.type, enabled=False):  # the caller may be within one
            return measure_statistics(network, tensors)


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


def torch_precision(wanted: str, device: torch.device) -> str:
    """The precision that a setting means on a device.

    Parameters
    ----------
    wanted
        "auto", "bf16", "float32" or "int8".
    device
        Where the network runs.

    Returns
    -------
    str
        "bf16" or "float32"; for "auto" bf16 where the machine multiplies it in hardware, and for "int8", which is of
        quantized models, "float32".
    """
    if wanted != "auto":
        return "float32" if wanted == "int8" else wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    able = torch.cpu.get_capabilities()
    fast = able.get("avx512_bf16") or able.get("amx_bf16")
    return "bf16" if device.type == "cpu" and fast else "float32"
