"""FCN-8s (Long, Shelhamer, Darrell 2015), the baseline: scores at three depths, added up from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ulna.errors import UlnaError
from ulna.networks.geometry import (
    AxisGeometry,
    Geometry,
    Interval,
    halo,
    join,
    through_convolution,
    through_pooling,
    through_transposed,
)
from ulna.networks.layers import CONV, POOL, TRANSPOSED, Norm, activation, front, he, padded

VGG16 = (2, 2, 3, 3, 3)  # convolutions of each stage


class FCN8(nn.Module):
    """FCN-8s, (N, channels, *spatial) → logits (N, outputs, *spatial), for any spatial size.

    The backbone is that of VGG-16: five stages of 3×3 convolutions with ReLU, each ended by 2×2 max-pooling, then its
    fully connected layers as convolutions, 7×7 and 1×1. Scores are 1×1 convolutions, zero at first; the upsamplings are
    learned and interpolate linearly at first. The paper starts from ImageNet's weights; here the backbone starts from
    He's, and `norm` helps it on its way. The paper mirrors nothing but pads the image by 100 zeros and crops; here
    convolutions keep the size and the image is mirrored to a multiple of 32.

    Parameters
    ----------
    channels
        Of the images.
    outputs
        Channels of the logits.
    widths
        Channels of the five stages and of the two last layers: (64, 128, 256, 512, 512, 4096) is the paper's network;
        with five numbers the last is eight times the fifth, as in the paper.
    ndim
        Spatial axes, 2 or 3.
    norm
        Before each ReLU: "instance", "batch" or "none".
    dropout
        A probability, after each of the two last layers.

    Raises
    ------
    UlnaError
        For another number of widths.

    References
    ----------
    Long, Shelhamer, Darrell 2015, Fully convolutional networks for semantic segmentation, CVPR.

    Examples
    --------
    >>> network = FCN8(3, 1, widths=(2, 2, 4, 4, 4))
    >>> network(torch.zeros(1, 3, 31, 20)).shape
    torch.Size([1, 1, 31, 20])
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        widths: Sequence[int] = (16, 32, 64, 128, 128),
        ndim: int = 2,
        norm: Norm = "none",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if len(widths) not in (5, 6):
            raise UlnaError(
                f"FCN-8 has five stages, the widths {tuple(widths)} are for {len(widths)}",
                where="network.widths",
                hint="Give five widths, or a sixth for its two last layers.",
            )
        *stages, last = widths if len(widths) == 6 else (*widths, 8 * widths[-1])
        self.ndim = ndim
        self.pool = POOL[ndim](2)
        self.stages = nn.ModuleList()
        before = channels
        for width, count in zip(stages, VGG16, strict=True):
            kernels = [3] * count
            self.stages.append(convolutions(before, width, kernels, ndim=ndim, norm=norm))
            before = width
        self.fc6 = convolutions(before, last, [7], ndim=ndim, norm=norm)
        self.fc7 = convolutions(last, last, [1], ndim=ndim, norm=norm)
        self.dropout = nn.Dropout(dropout)
        self.apply(he)
        self.score3 = score(stages[2], outputs, ndim=ndim)
        self.score4 = score(stages[3], outputs, ndim=ndim)
        self.score7 = score(last, outputs, ndim=ndim)
        self.up7 = bilinear(outputs, 2, ndim=ndim)
        self.up4 = bilinear(outputs, 2, ndim=ndim)
        self.up3 = bilinear(outputs, 8, ndim=ndim)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images.

        Parameters
        ----------
        x
            (N, channels, *spatial).

        Returns
        -------
        Tensor
            (N, outputs, *spatial).
        """
        size = x.shape[2:]
        x = padded(x, (32,) * self.ndim)  # (N, channels, Y, X)
        pooled = []
        for stage in self.stages:
            x = self.pool(stage(x))  # (N, widths[stage], Y / 2^(stage + 1), X / 2^(stage + 1))
            pooled.append(x)
        x = self.dropout(self.fc6(x))  # (N, last, Y / 32, X / 32)
        x = self.dropout(self.fc7(x))
        x = self.up7(self.score7(x)) + self.score4(pooled[3])  # (N, outputs, Y / 16, X / 16)
        x = self.up4(x) + self.score3(pooled[2])  # (N, outputs, Y / 8, X / 8)
        return front(self.up3(x), size)  # (N, outputs, Y, X)

    def geometry(self) -> Geometry:
        """How far the network looks and what it does to sizes.

        Returns
        -------
        Geometry
            Per spatial axis.
        """
        return Geometry((AxisGeometry(32, halo(_reach, 32)),) * self.ndim)


def _reach(out: Interval) -> Interval:
    """The input pixels that these output pixels depend on."""
    pool3 = through_transposed(out, 16, 8, 4)
    pool4 = through_transposed(pool3, 4, 2, 1)
    pool5 = through_convolution(through_transposed(pool4, 4, 2, 1), 7, 3)
    out = pool5
    for count, score_too in zip(reversed(VGG16), (pool4, pool3, None, None, None), strict=True):
        out = through_pooling(out, 2)
        for _ in range(count):
            out = through_convolution(out, 3, 1)
        out = join(out, score_too) if score_too else out
    return out


def convolutions(before: int, after: int, kernels: Sequence[int], *, ndim: int, norm: Norm) -> nn.Sequential:
    """Convolutions that keep the size, one per kernel, each with its norm and ReLU."""
    steps: list[nn.Module] = []
    for kernel in kernels:
        steps.append(CONV[ndim](before, after, kernel, padding=kernel // 2, bias=norm == "none"))
        steps.append(activation(norm, after, ndim=ndim))
        before = after
    return nn.Sequential(*steps)


def score(before: int, outputs: int, *, ndim: int) -> nn.Module:
    """A 1×1 convolution that gives 0 at first, so that the fusion starts with nothing to undo."""
    layer = CONV[ndim](before, outputs, 1)
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def bilinear(channels: int, factor: int, *, ndim: int) -> nn.Module:
    """A transposed convolution that enlarges by an even factor and starts as linear interpolation."""
    layer = TRANSPOSED[ndim](channels, channels, 2 * factor, stride=factor, padding=factor // 2, bias=False)
    ramp = 1 - (torch.arange(2 * factor) - factor + 0.5).abs() / factor  # a triangle of width 2 · factor
    kernel = ramp
    for _ in range(ndim - 1):
        kernel = kernel[..., None] * ramp
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.weight[range(channels), range(channels)] = kernel
    return layer
