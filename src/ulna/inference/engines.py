"""Engines run a network on windows. An engine is a class with `compile` and `run`."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ulna.errors import in_memory

Windows = npt.NDArray[np.float32]


class Engine(Protocol):
    """What runs a network on windows of one shape."""

    def compile(self, network: nn.Module, shape: tuple[int, ...], precision: str) -> Self:
        """Make ready for inputs (N, C, *spatial) of this `shape`, in "float32" or "bf16"."""
        ...

    def run(self, batch: Windows) -> Windows:
        """Images (N, C, *spatial) float32 → logits (N, K, *spatial) float32."""
        ...


class TorchEngine:
    """PyTorch itself, on the device that holds the network's weights."""

    def __init__(self) -> None:
        self._network: nn.Module = nn.Identity()
        self._device = torch.device("cpu")
        self._autocast = False

    def compile(self, network: nn.Module, shape: tuple[int, ...], precision: str) -> Self:
        """Keep the network; PyTorch takes any shape."""
        self._network = network.eval()
        self._device = next(network.parameters()).device
        self._autocast = precision == "bf16"
        return self

    def run(self, batch: Windows) -> Windows:
        """Images (N, C, *spatial) float32 → logits (N, K, *spatial) float32."""
        layout = torch.channels_last if batch.ndim == 4 else torch.channels_last_3d
        images = torch.from_numpy(batch).to(self._device).contiguous(memory_format=layout)
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast),
            in_memory("Close other programs, or train with smaller tiles: the setting inference.tile."),
        ):
            outputs: torch.Tensor = self._network(images)
        return outputs.float().cpu().contiguous().numpy()


def torch_precision(wanted: str, device: torch.device) -> str:
    """ "bf16" or "float32" for a wish of "auto": bf16 where the machine multiplies it in hardware."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    able = torch.cpu.get_capabilities()
    fast = able.get("avx512_bf16") or able.get("amx_bf16")
    return "bf16" if device.type == "cpu" and fast else "float32"
