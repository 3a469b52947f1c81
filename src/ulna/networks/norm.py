"""Instance normalization, fused with the ReLU that follows it; its statistics can be measured and given as a value.

Ulyanov, Vedaldi, Lempitsky 2016: each channel of each image is brought to mean 0 and variance 1 over its
pixels and then scaled and shifted by learned numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Moments = tuple[Tensor, Tensor]
"""Mean and variance."""

Statistics = Mapping[str, Moments]
"""For the name of each instance norm within a network the mean and the variance of its input, (C,) each."""

_Note = tuple[int, Tensor, Tensor]  # pixels, mean, variance
PART = 2**17  # values whose statistics are taken at once: float32 in half a megabyte
FEW = 2**16  # pixels up to which PyTorch's batch-norm kernels may add up numbers of 16 bits by themselves: patches


class InstanceNorm(nn.Module):
    """Instance norm with learned scale and shift for images and volumes.

    Statistics are taken in float32 whatever the precision of the input. An image of a single pixel has no variance: the
    result is then the shift alone.

    Parameters
    ----------
    channels
        Of the feature maps.
    eps
        Added to the variance.
    relu
        Whether max(0, ·) is applied to the result in the same pass.

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky 2016, Instance normalization, arXiv:1607.08022.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, relu: bool = False) -> None:
        super().__init__()
        self.channels = channels
        self.eps = eps
        self.relu = relu
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize every image by its own statistics.

        Parameters
        ----------
        x
            (N, C, *spatial).

        Returns
        -------
        Tensor
            Of the same shape.
        """
        if x.device.type == "cpu" and not exported():
            return cast(Tensor, _Fused.apply(x, self.weight, self.bias, self.eps, self.relu))  # type: ignore[no-untyped-call]
        y = _composed(x, self.weight, self.bias, self.eps)
        return y.relu() if self.relu else y

    def extra_repr(self) -> str:
        """What stands in the brackets of the module's print.

        Returns
        -------
        str
            The constructor's arguments.
        """
        return f"{self.channels}, eps={self.eps}, relu={self.relu}"


def exported() -> bool:
    """Whether a network is being traced, exported or compiled, for which it must consist of plain operations."""
    traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return bool(traced or torch.compiler.is_compiling())


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


def _statistics(x: Tensor) -> Moments:
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


def _normalized_into(y: Tensor, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Moments:
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


def measure_statistics(network: nn.Module, windows: Iterable[Tensor]) -> Statistics:
    """The statistics that the instance norms of a network find in an image.

    The network runs once on each of the windows, which are the image itself or large parts of it. The statistics of
    several windows are those of their union: weighted by their pixels. `network` is left as it is.

    Parameters
    ----------
    network
        A network whose outputs need no gradient.
    windows
        Tensors (N, C, *spatial) on the network's device.

    Returns
    -------
    Statistics
        One entry per instance norm; empty for a network without any.
    """
    notes: dict[str, list[_Note]] = {}
    recorders: dict[nn.Module, nn.Module] = {}
    for name, norm in instance_norms(network):
        recorders[norm] = _Recorder(norm, notes.setdefault(name, []))
    if not recorders:
        return {}
    observed = weight_sharing_copy(network, recorders).eval()
    with torch.no_grad():
        for window in windows:
            observed(window)
    return {name: _pooled(seen) for name, seen in notes.items()}


def with_statistics(network: nn.Module, statistics: Statistics) -> nn.Module:
    """A network in evaluation mode that normalizes whatever it is given by these statistics.

    It shares its weights with `network`, which is left as it is, and is a module like any other: it can be copied,
    traced, exported and compiled, and the statistics go with it, for they are its buffers.

    Parameters
    ----------
    network
        The network that the statistics were measured of.
    statistics
        What `measure_statistics` returned; empty: every input is normalized by its own statistics.

    Returns
    -------
    Module
        In evaluation mode.

    Raises
    ------
    ValueError
        For the statistics of another network.
    """
    norms = dict(instance_norms(network))
    if statistics and set(statistics) != set(norms):
        raise ValueError(f"statistics of {sorted(statistics)} for the instance norms {sorted(norms)}")
    fixed: dict[nn.Module, nn.Module] = {
        norms[name]: FixedNorm(norms[name], *found) for name, found in statistics.items()
    }
    return weight_sharing_copy(network, fixed).eval()


def weight_sharing_copy(network: nn.Module, replaced: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """A copy of a network's modules around the same parameters and buffers, some of the modules replaced."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in chain(network.parameters(), network.buffers())}
    return copy.deepcopy(network, shared | {id(module): other for module, other in replaced.items()})


class FixedNorm(nn.Module):
    """An instance norm that normalizes by given statistics, (C,) each, instead of those of its input."""

    mean: Tensor
    var: Tensor

    def __init__(self, norm: InstanceNorm, mean: Tensor, var: Tensor) -> None:
        super().__init__()
        self.eps, self.relu = norm.eps, norm.relu
        self.weight, self.bias = norm.weight, norm.bias
        self.register_buffer("mean", mean)
        self.register_buffer("var", var)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) → the same shape."""
        y = F.batch_norm(x, self.mean, self.var, self.weight, self.bias, training=False, eps=self.eps)
        return y.relu() if self.relu else y


class _Recorder(InstanceNorm):
    """An instance norm that notes the statistics of all that it is given."""

    def __init__(self, norm: InstanceNorm, notes: list[_Note]) -> None:
        super().__init__(norm.channels, eps=norm.eps, relu=norm.relu)
        self.weight, self.bias = norm.weight, norm.bias
        self.notes = notes

    def forward(self, x: Tensor) -> Tensor:
        means, variances = _statistics(x)
        self.notes += [(x[0, 0].numel(), mean, var) for mean, var in zip(means, variances, strict=True)]
        return super().forward(x)


def instance_norms(network: nn.Module) -> list[tuple[str, InstanceNorm]]:
    """The instance norms of a network with their names, in the order of its modules."""
    return [(name, module) for name, module in network.named_modules() if isinstance(module, InstanceNorm)]


def _pooled(notes: Sequence[_Note]) -> Moments:
    """Mean and variance of the union of parts: the parts' variance plus the variance of their means."""
    pixels = torch.tensor([count for count, _, _ in notes], dtype=torch.float64)
    share = (pixels / pixels.sum()).to(notes[0][1])[:, None]
    means = torch.stack([mean for _, mean, _ in notes])  # (parts, C)
    mean = (share * means).sum(0)
    var = (share * (torch.stack([var for _, _, var in notes]) + (means - mean) ** 2)).sum(0)
    return mean, var
