"""How much memory a step of a training takes, by the feature maps of its network, and how many patches fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from ulna.config import Config
from ulna.inference.engines import torch_precision
from ulna.networks import build

FLOAT = 4
"""Bytes of a number."""

PAIR = 2
"""Patches that are passed through: of one alone, a batch norm over a single pixel has no variance."""

OPTIMIZER = 4
"""A weight, its gradient, and two averages of it."""

LOSS = 6
"""Maps per output in the loss: logits, probabilities, truth, their products and gradients."""

GRADIENTS = 3
"""Maps as large as the largest that are at work while the gradient goes through it: in, out, and a copy to compute
on."""

USABLE = 0.85
"""Share of the free memory that a step may take: the estimate is good to a few tenths, images are read beside it."""


@dataclass(frozen=True)
class StepMemory:
    """What a step takes beside what the process has before, in bytes.

    Parameters
    ----------
    fixed
        For weights, their gradients and the optimizer.
    patch
        For each patch of the batch.

    Examples
    --------
    >>> StepMemory(10, 30).most(100)
    2
    """

    fixed: int
    patch: int

    def total(self, batch: int) -> int:
        """Of a batch of so many patches."""
        return self.fixed + batch * self.patch

    def most(self, free: int) -> int:
        """How many patches fit into so much free memory; 0 where not one does."""
        return max(0, int(USABLE * free - self.fixed) // self.patch)


def step_memory(config: Config, outputs: int, patch: Sequence[int], device: torch.device) -> StepMemory:
    """What a step on patches of a size takes.

    Nothing is computed: the network runs on tensors without content, and what it keeps for the gradient is counted.

    Parameters
    ----------
    config
        With the channels that the network takes, and the precision: where it is "bf16", maps take half as much, if the
        device multiplies it in hardware or imitates it by AVX-512. If not, they are copied to float32 for each
        convolution.
    outputs
        Of the network.
    patch
        The spatial size.
    device
        Where the step is computed.

    Returns
    -------
    StepMemory
        In bytes.
    """
    with torch.device("meta"):
        network = build(config.network, config.data.inputs, outputs).train()
    weights = sum(weight.numel() for weight in network.parameters())
    halves = 2 if config.training.precision == "bf16" and _keeps_bf16(device) else 1
    kept, largest = (size // halves for size in kept_bytes(network, (config.data.inputs, *patch)))
    pixels = prod(patch)
    given = FLOAT * pixels * (2 * config.data.inputs + len(patch) + 2)  # images, where they are read, and labels
    each = kept + GRADIENTS * largest + FLOAT * LOSS * outputs * pixels + given
    return StepMemory(OPTIMIZER * FLOAT * weights, each)


def _keeps_bf16(device: torch.device) -> bool:
    """Whether convolutions of bf16 are computed without copies in float32."""
    return torch_precision("auto", device) == "bf16" or (device.type == "cpu" and imitates_bf16())


def imitates_bf16() -> bool:
    """Whether oneDNN computes convolutions of bf16 on this processor, as it does from AVX-512 on.

    Returns
    -------
    bool
        As PyTorch asks it.
    """
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(available and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def kept_bytes(network: nn.Module, shape: Sequence[int]) -> tuple[int, int]:
    """What a network on the device "meta" keeps of one image for the gradient, and the largest map among it.

    Parameters
    ----------
    network
        In training mode.
    shape
        (C, *spatial) of the image.

    Returns
    -------
    tuple of int
        Bytes in float32.
    """
    known = {_storage(weight) for weight in network.parameters()}
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in known:
            kept[_storage(tensor)] = tensor  # held, so that no address is given twice
        return tensor

    def same(tensor: Any) -> Any:
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, same):
        network(torch.empty(PAIR, *shape, device="meta"))
    sizes = [tensor.untyped_storage().nbytes() // PAIR for tensor in kept.values()]
    return sum(sizes), max(sizes, default=0)


def _storage(tensor: Tensor) -> int:
    """What tensors that share their memory have in common, also where there is none."""
    return int(tensor.untyped_storage()._cdata)
