"""What networks are made of, for two and three dimensions: layers by `ndim`, first weights, and sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ulna.networks.norm import InstanceNorm, exported

Norm = Literal["none", "batch", "instance"]


SLOW = 20_480
"""Numbers of a single image, its last axis left out, up to which PyTorch convolves volumes without oneDNN."""


class Conv3d(nn.Conv3d):
    """PyTorch's own, but for two cases on a CPU.

    A single volume with few numbers PyTorch (2.13) convolves without oneDNN, which takes up to 17 times as long: here
    oneDNN is asked for, or where gradients are wanted the volume is one of two, for which PyTorch takes it by itself.

    In volumes of two planes that are learned from in bf16 the gradient of kernels that reach across planes holds
    numbers from memory that nobody has written (oneDNN, as of PyTorch 2.13). With a third plane of zeros, as the
    padding has it, all is the same and none is wrong.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, Z, Y, X) → (N, K, …)."""
        if x.device.type != "cpu" or exported():
            return super().forward(x)
        if torch.is_autocast_enabled("cpu"):
            return self._in_autocast(x)
        available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        if len(x) > 1 or x.dtype != torch.float32 or not available:
            return super().forward(x)
        return self._single(x).contiguous(memory_format=torch.channels_last_3d)

    def _single(self, x: Tensor) -> Tensor:
        """Of a volume (1, C, Z, Y, X) in float32."""
        if torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad):
            small = x[..., 0].numel() <= SLOW and max(self.kernel_size) > 1
            return super().forward(torch.cat([x, torch.zeros_like(x)]))[:1] if small else super().forward(x)
        padding = cast("tuple[int, ...]", self.padding)
        return torch.mkldnn_convolution(x, self.weight, self.bias, padding, self.stride, self.dilation, self.groups)

    def _in_autocast(self, x: Tensor) -> Tensor:
        across = (self.kernel_size[0], self.padding[0], self.stride[0]) == (3, 1, 1)
        if not (self.training and torch.is_grad_enabled() and across and x.shape[2] == 2):
            return super().forward(x)
        return super().forward(F.pad(x, (0, 0, 0, 0, 0, 1)))[:, :, :2]


# Sizes are tuples of any length here, which the types of PyTorch's classes do not allow.
CONV: dict[int, Callable[..., nn.Conv2d | nn.Conv3d]] = {2: nn.Conv2d, 3: Conv3d}
TRANSPOSED: dict[int, Callable[..., nn.ConvTranspose2d | nn.ConvTranspose3d]] = {
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
POOL: dict[int, type[nn.MaxPool2d] | type[nn.MaxPool3d]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE: dict[int, Callable[..., nn.AvgPool2d | nn.AvgPool3d]] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
DROPOUT: dict[int, type[nn.Dropout2d] | type[nn.Dropout3d]] = {2: nn.Dropout2d, 3: nn.Dropout3d}
BATCH_NORM: dict[int, type[nn.BatchNorm2d] | type[nn.BatchNorm3d]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
UP_CONVOLUTIONS = (nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, *UP_CONVOLUTIONS)


def activation(norm: Norm, channels: int, *, ndim: int, relu: bool = True) -> nn.Module:
    """Norm and ReLU (or the norm alone)."""
    if norm == "instance":
        return InstanceNorm(channels, relu=relu)
    steps: list[nn.Module] = [BATCH_NORM[ndim](channels)] if norm == "batch" else []
    return nn.Sequential(*steps, *([nn.ReLU(inplace=True)] if relu else []))


def he(module: nn.Module) -> None:
    """Weights from a Gaussian of standard deviation √(2/N), N the inputs of one neuron (He et al. 2015)."""
    if isinstance(module, CONVOLUTIONS):
        nn.init.normal_(module.weight, std=_he_deviation(module))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def he_uniform(module: nn.Module) -> None:
    """Weights evenly from ±√(6/N), which has the deviation of `he`."""
    if isinstance(module, CONVOLUTIONS):
        bound = math.sqrt(3) * _he_deviation(module)
        nn.init.uniform_(module.weight, -bound, bound)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _he_deviation(module: nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d) -> float:
    # the kernel of an up-convolution is its stride: one tap of it reaches each output
    taps = 1 if isinstance(module, UP_CONVOLUTIONS) else math.prod(module.kernel_size)
    return math.sqrt(2 / (module.in_channels * taps))


def glorot(module: nn.Module) -> None:
    """Weights evenly from ±√(6 / (inputs + outputs)) of one neuron (Glorot, Bengio 2010), Keras' own default."""
    if isinstance(module, CONVOLUTIONS):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


INITIALIZATIONS = {"he": he, "he_uniform": he_uniform, "glorot": glorot}


def crop(x: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of an image, of this size."""
    for axis, (has, wants) in enumerate(zip(x.shape[2:], size, strict=True), start=2):
        if has != wants:
            x = x.narrow(axis, (has - wants) // 2, wants)
    return x


def front(x: Tensor, size: Sequence[int]) -> Tensor:
    """The first pixels of each axis, of this size."""
    for axis, (has, wants) in enumerate(zip(x.shape[2:], size, strict=True), start=2):
        if has != wants:
            x = x.narrow(axis, 0, wants)
    return x


def padded(x: Tensor, multiples: Sequence[int]) -> Tensor:
    """Mirrored at each axis' far side to a multiple; where too small to mirror, the edge is repeated."""
    pad = [-n % multiple for n, multiple in zip(x.shape[2:], multiples, strict=True)]
    if not any(pad):
        return x
    mode = "reflect" if all(p < n for p, n in zip(pad, x.shape[2:], strict=True)) else "replicate"
    return F.pad(x, [side for p in reversed(pad) for side in (0, p)], mode=mode)
