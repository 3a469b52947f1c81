"""Instance normalization, fused with the ReLU that follows it, whose statistics can be frozen.

Ulyanov, Vedaldi, Lempitsky 2016: each channel of each image is brought to mean 0 and variance 1 over its
pixels and then scaled and shifted by learned numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Statistics = tuple[Tensor, Tensor]
PART = 2**17  # values whose statistics are taken at once: float32 in half a megabyte
FEW = 2**16  # pixels up to which PyTorch's batch-norm kernels may add up numbers of 16 bits by themselves: patches


class InstanceNorm(nn.Module):
    """Instance norm with learned scale and shift for images and volumes, (N, C, *spatial) → the same shape.

    Statistics are taken in float32 whatever the precision of the input. An image of a single pixel has no
    variance: the result is then the shift alone. `relu` applies max(0, ·) to the result in the same pass.
    """

    frozen: Statistics | None

    def __init__(self, channels: int, *, eps: float = 1e-5, relu: bool = False) -> None:
        super().__init__()
        self.channels = channels
        self.eps = eps
        self.relu = relu
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.frozen = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize; with frozen statistics every image is normalized by those."""
        if self.frozen is not None:
            mean, var = self.frozen
            y = F.batch_norm(x, mean, var, self.weight, self.bias, training=False, eps=self.eps)
        elif x.device.type == "cpu" and not torch.compiler.is_compiling():
            return cast(Tensor, _Fused.apply(x, self.weight, self.bias, self.eps, self.relu))  # type: ignore[no-untyped-call]
        else:
            y = _composed(x, self.weight, self.bias, self.eps)
        return y.relu() if self.relu else y

    def extra_repr(self) -> str:
        """What stands in the brackets of the module's print."""
        return f"{self.channels}, eps={self.eps}, relu={self.relu}"


def _composed(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """The definition in plain operations: what is compiled, exported, and run on accelerators."""
    axes = tuple(range(2, x.ndim))
    shape = (1, -1) + (1,) * len(axes)
    var, mean = torch.var_mean(_wide(x), dim=axes, correction=0, keepdim=True)
    scale = weight.view(shape) * (var + eps).rsqrt()
    shift = bias.view(shape) - mean * scale
    return torch.addcmul(shift, x, scale).to(x.dtype)


def _wide(x: Tensor) -> Tensor:
    """In the precision that statistics are taken in: at least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _statistics(x: Tensor) -> Statistics:
    """Mean and variance of each channel of each image, (N, C), in two passes over parts that fit a processor cache.

    PyTorch's batch-norm kernels add up all pixels one after the other, which at 3000×3000 is off by a tenth
    of a standard deviation; its sums, used here, add in tiers.
    """
    axes = tuple(range(2, x.ndim))
    means, variances = [], []
    size = max(1, PART // x[0].numel())  # images at once
    for images in torch.split(x, size):
        pixels = images[0, 0].numel()
        rows = max(1, PART * images.shape[2] // images.numel())
        parts = torch.split(images, rows, dim=2)
        mean = torch.stack([_wide(part).sum(axes, keepdim=True) for part in parts]).sum(0) / pixels
        squares = [(_wide(part) - mean).square_().sum(axes) for part in parts]
        means.append(mean.view(images.shape[:2]))
        variances.append(torch.stack(squares).sum(0) / pixels)
    return torch.cat(means), torch.cat(variances)


def _normalized_into(y: Tensor, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Statistics:
    """Write one image, (1, C, *spatial), normalized into `y`; its means and 1 / standard deviations, (C,)."""
    if x.element_size() == 2 and x[0, 0].numel() <= FEW:
        mean, inverse = torch.empty_like(weight), torch.empty_like(weight)
        torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps, out=(y, mean, inverse))
        return mean, inverse
    mean, var = (values[0] for values in _statistics(x))
    out = (y, weight.new_empty(0), weight.new_empty(0))
    torch.native_batch_norm(x, weight, bias, mean, var, False, 0.0, eps, out=out)
    return mean, (var + eps).rsqrt()


class _Fused(torch.autograd.Function):
    """Norm and ReLU by PyTorch's batch-norm kernels, image by image.

    On CPU PyTorch's own instance norm copies a channels-last batch to channels-first and back; its batch-norm
    kernels read channels-last as it lies, and for a batch of one image batch norm is instance norm.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool) -> Tensor:
        y = torch.empty_like(x)
        statistics = []
        for n in range(len(x)):
            one = slice(n, n + 1)
            statistics.append(_normalized_into(y[one], x[one], weight, bias, eps))
            if relu:
                y[one].relu_()
        means, inverses = (torch.stack(values) for values in zip(*statistics, strict=True))
        ctx.save_for_backward(x, y if relu else None, weight, means, inverses)
        ctx.eps = eps
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, y, weight, means, inverses = ctx.saved_tensors
        grads = torch.empty_like(x)
        weights, biases = torch.empty_like(means), torch.empty_like(means)
        for n in range(len(x)):
            one = slice(n, n + 1)
            part = grad[one] if y is None else torch.ops.aten.threshold_backward(grad[one], y[one], 0)
            torch.ops.aten.native_batch_norm_backward.out(
                part, x[one], weight, None, None, means[n], inverses[n], True, ctx.eps,
                [True, True, True], out0=grads[one], out1=weights[n], out2=biases[n],
            )  # fmt: skip
        return grads, weights.sum(0), biases.sum(0), None, None


@contextmanager
def frozen_statistics(network: nn.Module, reference: Tensor | Iterable[Tensor]) -> Iterator[None]:
    """Within the context every instance norm uses the statistics that `reference` has, whatever it is given.

    So a large image can be predicted in tiles with the result of predicting it at once: `reference` is the
    image itself (N, C, *spatial), or some large components of it, whose statistics are weighted by their pixels.
    The network runs once on each. A network without instance norm is left as it is.
    """
    norms = [module for module in network.modules() if isinstance(module, InstanceNorm)]
    before = [norm.frozen for norm in norms]
    if norms:
        components = [reference] if isinstance(reference, Tensor) else reference
        for norm, statistics in zip(norms, _record(network, norms, components), strict=True):
            norm.frozen = statistics
    try:
        yield
    finally:
        for norm, statistics_before in zip(norms, before, strict=True):
            norm.frozen = statistics_before


def _record(network: nn.Module, norms: Sequence[InstanceNorm], components: Iterable[Tensor]) -> list[Statistics]:
    seen: list[list[tuple[int, Tensor, Tensor]]] = [[] for _ in norms]  # for each norm: pixels, mean, variance
    watches = []
    for norm, notes in zip(norms, seen, strict=True):
        norm.frozen = None

        def note(_: nn.Module, given: tuple[Tensor, ...], notes: list[tuple[int, Tensor, Tensor]] = notes) -> None:
            x = given[0]
            means, variances = _statistics(x)
            for mean, var in zip(means, variances, strict=True):
                notes.append((x[0, 0].numel(), mean, var))

        watches.append(norm.register_forward_pre_hook(note))
    try:
        with torch.no_grad():
            for piece in components:
                network(piece)
    finally:
        for watch in watches:
            watch.remove()
    return [_pooled(notes) for notes in seen]


def _pooled(notes: Sequence[tuple[int, Tensor, Tensor]]) -> Statistics:
    """Mean and variance of the union of parts: the parts' variance plus the variance of their means."""
    pixels = torch.tensor([count for count, _, _ in notes], dtype=torch.float64)
    share = (pixels / pixels.sum()).to(notes[0][1])[:, None]
    means = torch.stack([mean for _, mean, _ in notes])  # (components, C)
    mean = (share * means).sum(0)
    var = (share * (torch.stack([var for _, _, var in notes]) + (means - mean) ** 2)).sum(0)
    return mean, var
