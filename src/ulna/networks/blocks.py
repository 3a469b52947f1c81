"""What a U-Net is built of: blocks of convolutions, levels of residual blocks, and the ways up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

from torch import Tensor, nn
from torch.nn import functional as F

from ulna.networks.layers import AVERAGE, CONV, DROPOUT, TRANSPOSED, Norm, activation, crop

Padding = Literal["same", "valid"]
Upsampling = Literal["transposed", "nearest", "linear"]
DropoutKind = Literal["values", "channels"]
DropoutPlace = Literal["end", "middle"]


@dataclass(frozen=True)
class Style:
    """How convolutions are built throughout a network.

    Parameters
    ----------
    padding
        "same" or "valid".
    norm
        Before each ReLU: "instance", "batch" or "none".
    bias
        Whether convolutions have a bias where a norm follows, too.
    dropout_kind
        Whether single values or whole channels are dropped.
    dropout_place
        At the end of blocks, or between their convolutions.
    """

    padding: Padding = "same"
    norm: Norm = "none"
    bias: bool = False
    dropout_kind: DropoutKind = "values"
    dropout_place: DropoutPlace = "end"

    def convolution(
        self, before: int, after: int, kernel: tuple[int, ...], stride: tuple[int, ...] | int = 1
    ) -> nn.Module:
        """A convolution; a norm that follows takes off every mean and has a shift of its own, so it has no bias."""
        padding = tuple(side // 2 if self.padding == "same" else 0 for side in kernel)
        bias = self.bias or self.norm == "none"
        return CONV[len(kernel)](before, after, kernel, stride=stride, padding=padding, bias=bias)

    def activation(self, channels: int, ndim: int, *, relu: bool = True) -> nn.Module:
        """Norm and ReLU (or the norm alone)."""
        return activation(self.norm, channels, ndim=ndim, relu=relu)

    def dropout(self, probability: float, ndim: int, place: DropoutPlace | None = None) -> nn.Module:
        """Dropout, if it is wanted, and at this place; by default at any."""
        if not probability or place not in (None, self.dropout_place):
            return nn.Identity()
        return DROPOUT[ndim](probability) if self.dropout_kind == "channels" else nn.Dropout(probability)


class Block(nn.Module):
    """Twice convolution, norm, ReLU: (N, before, *spatial) → (N, after, *spatial), 2 · (kernel − 1) less if valid."""

    def __init__(
        self, before: int, after: int, *, kernel: tuple[int, ...], style: Style, residual: bool, dropout: float
    ) -> None:
        super().__init__()
        ndim = len(kernel)
        self.conv1 = style.convolution(before, after, kernel)
        self.act1 = style.activation(after, ndim)
        self.between = style.dropout(dropout, ndim, "middle")
        self.conv2 = style.convolution(after, after, kernel)
        self.act2 = style.activation(after, ndim, relu=not residual)
        shortcut = CONV[ndim](before, after, 1) if before != after else nn.Identity()
        self.shortcut = shortcut if residual else None
        self.dropout = style.dropout(dropout, ndim, "end")

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as said above."""
        y = self.between(self.act1(self.conv1(x)))
        y = self.act2(self.conv2(y))
        if self.shortcut is not None:  # He, Zhang, Ren, Sun 2016: ReLU after the sum
            y = F.relu(y + crop(self.shortcut(x), y.shape[2:]))
        return cast(Tensor, self.dropout(y))


class Single(nn.Module):
    """Convolution, norm, ReLU, once: (N, before, *spatial) → (N, after, *spatial)."""

    def __init__(self, before: int, after: int, *, kernel: tuple[int, ...], style: Style, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv1 = style.convolution(before, after, kernel)
        self.act1 = style.activation(after, len(kernel))
        self.dropout = style.dropout(dropout, len(kernel))

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as said above."""
        return cast(Tensor, self.dropout(self.act1(self.conv1(x))))


class ResidualBlock(nn.Module):
    """A strided residual block of ResNet-D: (N, before, *spatial) → (N, after, *spatial / stride).

    The first convolution has the stride; the shortcut is averaged over the stride, and where channels differ brought to
    their number by a 1×1 convolution with its norm. ReLU comes after the sum.

    References
    ----------
    He, Zhang, Zhang, Zhang, Xie, Li 2019, Bag of tricks for image classification with convolutional neural networks,
    CVPR.
    """

    def __init__(
        self,
        before: int,
        after: int,
        *,
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        style: Style,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        ndim = len(kernel)
        self.conv1 = style.convolution(before, after, kernel, stride)
        self.act1 = style.activation(after, ndim)
        self.between = style.dropout(dropout, ndim, "middle")
        self.conv2 = style.convolution(after, after, kernel)
        self.act2 = style.activation(after, ndim, relu=False)
        shortcut: list[nn.Module] = [AVERAGE[ndim](stride)] if max(stride) > 1 else []
        if before != after:
            shortcut += [CONV[ndim](before, after, 1, bias=False), style.activation(after, ndim, relu=False)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as said above."""
        y = self.between(self.act1(self.conv1(x)))
        return F.relu(self.act2(self.conv2(y)) + self.shortcut(x))


def residual_level(
    before: int,
    after: int,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    blocks: int,
    style: Style,
    dropout: float,
) -> nn.Sequential:
    """Residual blocks in a row, the first of which has the stride and brings the channels to their number."""
    block = partial(ResidualBlock, kernel=kernel, style=style, dropout=dropout)
    more = [block(after, after, stride=(1,) * len(stride)) for _ in range(blocks - 1)]
    return nn.Sequential(block(before, after, stride=stride), *more, style.dropout(dropout, len(kernel), "end"))


def up(below: int, above: int, *, stride: tuple[int, ...], how: Upsampling) -> nn.Module:
    """Larger by the stride: a learned up-convolution to the channels of the level above, or plain interpolation."""
    ndim = len(stride)
    if how == "transposed":
        return TRANSPOSED[ndim](below, above, stride, stride=stride)
    mode = how if how == "nearest" else {2: "bilinear", 3: "trilinear"}[ndim]
    return nn.Upsample(scale_factor=stride, mode=mode)
