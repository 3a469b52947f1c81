"""The U-Net (Ronneberger, Fischer, Brox 2015), in two and three dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ulna import text
from ulna.config import Sides, by_level
from ulna.errors import UlnaError
from ulna.networks.geometry import (
    AxisGeometry,
    Geometry,
    Interval,
    halo,
    join,
    through_convolution,
    through_linear,
    through_pooling,
    through_transposed,
)
from ulna.networks.layers import (
    CONV,
    INITIALIZATIONS,
    POOL,
    TRANSPOSED,
    Norm,
    activation,
    crop,
    front,
    padded,
)

Padding = Literal["same", "valid"]
Upsampling = Literal["transposed", "nearest", "linear"]


class UNet(nn.Module):
    """The U-Net, (N, channels, *spatial) → logits (N, outputs, *spatial), or fewer pixels where convolutions are valid.

    Each level has a block of two convolutions with ReLU (and a norm before it); max-pooling leads down, `upsampling`
    leads up. What comes up is concatenated with the skip, cropped to its size where convolutions are valid; a 1×1
    convolution makes the logits.

    With `padding` "same" every input size works: it is mirrored at its far side to a multiple of the product of the
    strides and the output is cropped. With "valid" sizes must fit (see `geometry`); an axis along which all kernels are
    1 loses nothing, and every size works.

    Parameters
    ----------
    channels
        Of the images.
    outputs
        Channels of the logits.
    widths
        Channels of each level from the top; their number is the depth.
    ndim
        Spatial axes, 2 or 3.
    kernels, strides
        Sides of the convolutions, and of pooling and upsampling: one number for all, or a list with one side per axis
        for each level, from the top (strides: for each step between levels). A volume of thick slices may have
        `kernels` ((1, 3, 3), (3, 3, 3)) and `strides` ((1, 2, 2),).
    padding
        "same", or "valid" as in the paper.
    norm
        Before each ReLU: "instance", "batch" or "none".
    upsampling
        "transposed" is the paper's up-convolution that brings the channels to those of the level above; "nearest" and
        "linear" have nothing to learn.
    residual
        Whether each block's input is added to its output.
    dropout
        A probability, at the end of blocks.
    dropout_levels
        Of "all" blocks, or of the two deepest ("bottom"), as in the authors' own network.
    initialization
        "he" or "glorot".

    Raises
    ------
    UlnaError
        For settings that do not go together; by `forward` for a size that does not fit, with the next that does.

    References
    ----------
    Ronneberger, Fischer, Brox 2015, U-Net: convolutional networks for biomedical image segmentation, MICCAI.
    Çiçek et al. 2016, 3D U-Net, MICCAI. He et al. 2015, Delving deep into rectifiers, ICCV. Glorot, Bengio 2010,
    Understanding the difficulty of training deep feedforward neural networks, AISTATS.

    Examples
    --------
    >>> network = UNet(3, 1, widths=(4, 8))
    >>> network(torch.zeros(1, 3, 31, 20)).shape
    torch.Size([1, 1, 31, 20])
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        ndim: int = 2,
        kernels: Sides = 3,
        strides: Sides = 2,
        padding: Padding = "same",
        norm: Norm = "none",
        upsampling: Upsampling = "transposed",
        residual: bool = False,
        dropout: float = 0.0,
        dropout_levels: Literal["all", "bottom"] = "all",
        initialization: Literal["he", "glorot"] = "he",
    ) -> None:
        super().__init__()
        if ndim not in CONV or len(widths) < 2:
            raise UlnaError(f"a U-Net has 2 or 3 dimensions, not {ndim}, and at least two widths, not {len(widths)}")
        self.depth, self.ndim = len(widths), ndim
        sides = by_level(kernels, self.depth, ndim, "network.kernels")
        steps = by_level(strides, self.depth - 1, ndim, "network.strides")
        how = partial(_axis_geometry, padding=padding, upsampling=upsampling)
        self._geometry = Geometry(tuple(map(how, zip(*sides, strict=True), zip(*steps, strict=True))))
        block = partial(Block, padding=padding, norm=norm, residual=residual)
        every = dropout if dropout_levels == "all" else 0.0
        drops = [dropout if level >= self.depth - 2 else every for level in range(self.depth)]

        self.down = nn.ModuleList(
            block(before, width, kernel=kernel, dropout=drop)
            for before, width, kernel, drop in zip((channels, *widths[:-1]), widths, sides, drops, strict=True)
        )
        self.pool = nn.ModuleList(POOL[ndim](stride) for stride in steps)
        self.up = nn.ModuleList()  # level by level from the top, as the blocks that follow
        self.join = nn.ModuleList()
        for (above, below), kernel, stride in zip(pairwise(widths), sides[:-1], steps, strict=True):
            rising = above if upsampling == "transposed" else below  # channels of what comes up
            self.up.append(up(below, above, stride=stride, how=upsampling))
            self.join.append(block(rising + above, above, kernel=kernel, dropout=every))
        self.head = CONV[ndim](widths[0], outputs, 1)
        self.apply(INITIALIZATIONS[initialization])

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images.

        Parameters
        ----------
        x
            (N, channels, *spatial).

        Returns
        -------
        Tensor
            (N, outputs, *spatial), or fewer pixels where convolutions are valid.

        Raises
        ------
        UlnaError
            For a size that does not fit valid convolutions, with the next that does.
        """
        size = [n - 2 * axis.shrink for n, axis in zip(x.shape[2:], self._geometry.axes, strict=True)]
        x = self._fit(x)  # (N, channels, Y, X)
        skips = []
        for level, block in enumerate(self.down):
            x = block(self.pool[level - 1](x) if level else x)  # (N, widths[level], Y / 2^level, X / 2^level)
            skips.append(x)
        skips.pop()  # the bottom has no skip
        for level in reversed(range(self.depth - 1)):
            x = self.up[level](x)  # (N, widths[level] or widths[level + 1], Y / 2^level, X / 2^level)
            skip = crop(skips[level], x.shape[2:])
            x = self.join[level](torch.cat((x, skip), dim=1))  # (N, widths[level], Y / 2^level, X / 2^level)
        x = self.head(x)  # (N, outputs, Y, X)
        return front(x, size)

    def geometry(self) -> Geometry:
        """How far the network looks and what it does to sizes.

        Returns
        -------
        Geometry
            Per spatial axis.
        """
        return self._geometry

    def _fit(self, x: Tensor) -> Tensor:
        fit = self._geometry
        lossless = [1 if axis.shrink else axis.stride for axis in fit.axes]
        if not fit.fits(x.shape[2:]):
            raise UlnaError(
                f"this network's valid convolutions do not fit an input of {text.size(x.shape[2:], '×')} pixels",
                hint=f"The next size that fits is {text.size(fit.next_size(x.shape[2:]), '×')}; the smallest is "
                f"{text.size([axis.smallest for axis in fit.axes], '×')}.",
            )
        return padded(x, lossless)


def _axis_geometry(
    kernels: Sequence[int], strides: Sequence[int], *, padding: Padding, upsampling: Upsampling
) -> AxisGeometry:
    """Of a U-Net along one axis, by its kernel at each level and its stride at each step between levels."""
    stride = math.prod(strides)
    cuts = crops(kernels, strides)
    reach = partial(_reach, kernels=kernels, strides=strides, padding=padding, upsampling=upsampling)
    lost = cuts[0] + 2 * (kernels[0] - 1) if padding == "valid" else 0  # per side: two blocks, and the top skip's crop
    if not lost:
        return AxisGeometry(stride, halo(reach, stride))
    rest = 2 * (kernels[-1] - 1)  # an input of stride·n + rest pixels comes out of the lowest block with n
    for kernel, step in zip(reversed(kernels[:-1]), reversed(strides), strict=True):
        rest = rest * step + 2 * (kernel - 1)
    smallest = rest + stride * ((2 * lost - rest) // stride + 1)
    clamped = next(out for out in itertools.count() if reach((out, out))[0] >= 0)
    return AxisGeometry(stride, halo(reach, stride, shrink=lost), lost, smallest, clamped)


def _reach(
    out: Interval, *, kernels: Sequence[int], strides: Sequence[int], padding: Padding, upsampling: Upsampling
) -> Interval:
    """The input pixels that these output pixels depend on, along one axis."""
    cuts = crops(kernels, strides) if padding == "valid" else (0,) * len(strides)

    def block(out: Interval, kernel: int) -> Interval:
        pad = kernel // 2 if padding == "same" else 0
        return through_convolution(through_convolution(out, kernel, pad), kernel, pad)

    skips = []
    for kernel, stride, cut in zip(kernels[:-1], strides, cuts, strict=True):
        both = block(out, kernel)  # of the concatenation
        skips.append((both[0] + cut, both[1] + cut))
        out = through_linear(both, stride) if upsampling == "linear" else through_transposed(both, stride, stride)
    out = block(out, kernels[-1])
    for kernel, stride, skip in zip(reversed(kernels[:-1]), reversed(strides), reversed(skips), strict=True):
        out = block(join(through_pooling(out, stride), skip), kernel)
    return out


class Block(nn.Module):
    """Twice convolution, norm, ReLU: (N, before, *spatial) → (N, after, *spatial), 2 · (kernel − 1) less if valid."""

    def __init__(
        self,
        before: int,
        after: int,
        *,
        kernel: tuple[int, ...],
        padding: Padding,
        norm: Norm,
        residual: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        ndim = len(kernel)
        conv = partial(
            CONV[ndim], kernel_size=kernel, padding=tuple(k // 2 if padding == "same" else 0 for k in kernel)
        )
        bias = norm == "none"  # a norm takes off every mean, and has a shift of its own
        self.conv1 = conv(before, after, bias=bias)
        self.act1 = activation(norm, after, ndim=ndim)
        self.conv2 = conv(after, after, bias=bias)
        self.act2 = activation(norm, after, ndim=ndim, relu=not residual)
        shortcut = CONV[ndim](before, after, 1) if before != after else nn.Identity()
        self.shortcut = shortcut if residual else None
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as said above."""
        y = self.act1(self.conv1(x))
        y = self.act2(self.conv2(y))
        if self.shortcut is not None:  # He, Zhang, Ren, Sun 2016: ReLU after the sum
            y = F.relu(y + crop(self.shortcut(x), y.shape[2:]))
        return cast(Tensor, self.dropout(y))


def up(below: int, above: int, *, stride: tuple[int, ...], how: Upsampling) -> nn.Module:
    """Larger by the stride: a learned up-convolution to the channels of the level above, or plain interpolation."""
    ndim = len(stride)
    if how == "transposed":
        return TRANSPOSED[ndim](below, above, stride, stride=stride)
    mode = how if how == "nearest" else {2: "bilinear", 3: "trilinear"}[ndim]
    return nn.Upsample(scale_factor=stride, mode=mode)


def crops(kernels: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """How many pixels a side of each level's skip are cropped in a valid network.

    Examples
    --------
    >>> crops((3, 3, 3, 3, 3), (2, 2, 2, 2))
    (88, 40, 16, 4)
    """
    cuts: list[int] = []
    for kernel, stride in zip(reversed(kernels[1:]), reversed(strides), strict=True):
        lost = kernel - 1 + (cuts[-1] + kernel - 1 if cuts else 0)  # the lowest level has one block, others two
        cuts.append(stride * lost)
    return tuple(reversed(cuts))
