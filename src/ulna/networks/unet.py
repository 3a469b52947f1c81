"""The U-Net (Ronneberger, Fischer, Brox 2015), in two and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ulna.errors import UlnaError
from ulna.networks.geometry import (
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
    times,
)

Padding = Literal["same", "valid"]
Upsampling = Literal["transposed", "nearest", "linear"]


class UNet(nn.Module):
    """(N, channels, *spatial) → logits (N, outputs, *spatial), or fewer pixels where convolutions are valid.

    `widths` are the channels of each level from the top; their number is the depth. Each level has a block of
    two 3×3 convolutions with ReLU (and a norm before it); 2×2 max-pooling leads down, `upsampling` leads up:
    "transposed" is the paper's up-convolution, 2×2, that brings the channels to those of the level above;
    "nearest" and "linear" have nothing to learn. What comes up is concatenated with the skip, cropped to its
    size where convolutions are valid; a 1×1 convolution makes the logits. `residual` adds each block's input
    to its output. `dropout` is a probability, at the end of every block or (`dropout_levels` "bottom") of the
    two deepest, as in the authors' own network. `initialization` draws the weights as He et al. 2015, or as
    Glorot and Bengio 2010.

    With `padding` "same" every input size works: it is mirrored at its far side to a multiple of 2^(depth−1)
    and the output is cropped. With "valid" sizes must fit (see `geometry`), else an UlnaError names the next
    that does.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        ndim: int = 2,
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
        self.depth, self.ndim, self.padding, self.upsampling = len(widths), ndim, padding, upsampling
        block = partial(Block, ndim=ndim, padding=padding, norm=norm, residual=residual)
        every = dropout if dropout_levels == "all" else 0.0
        drops = [dropout if level >= self.depth - 2 else every for level in range(self.depth)]

        self.down = nn.ModuleList(
            block(before, width, dropout=drop)
            for before, width, drop in zip((channels, *widths[:-1]), widths, drops, strict=True)
        )
        self.pool = POOL[ndim](2)
        self.up = nn.ModuleList()  # level by level from the top, as the blocks that follow
        self.join = nn.ModuleList()
        for above, below in pairwise(widths):
            rising = above if upsampling == "transposed" else below  # channels of what comes up
            self.up.append(up(below, above, ndim=ndim, how=upsampling))
            self.join.append(block(rising + above, above, dropout=every))
        self.head = CONV[ndim](widths[0], outputs, 1)
        self.apply(INITIALIZATIONS[initialization])

    def forward(self, x: Tensor) -> Tensor:
        """Logits; shapes as said above."""
        size = x.shape[2:]
        x = self._fit(x)  # (N, channels, Y, X)
        skips = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)  # (N, widths[level], Y / 2^level, X / 2^level)
            skips.append(x)
        skips.pop()  # the bottom has no skip
        for level in reversed(range(self.depth - 1)):
            x = self.up[level](x)  # (N, widths[level] or widths[level + 1], Y / 2^level, X / 2^level)
            skip = crop(skips[level], x.shape[2:])
            x = self.join[level](torch.cat((x, skip), dim=1))  # (N, widths[level], Y / 2^level, X / 2^level)
        x = self.head(x)  # (N, outputs, Y, X)
        return x if self.padding == "valid" else front(x, size)

    def geometry(self) -> Geometry:
        """How far the network looks and what it does to sizes."""
        stride = 2 ** (self.depth - 1)
        if self.padding == "same":
            return Geometry(stride, halo(self._reach, stride))
        lost = crops(self.depth)[0] + 4  # per side: half of two blocks' 8 pixels and the top skip's crop
        rest = 8 * stride - 4  # an input of stride·n + rest pixels comes out of the lowest block with n
        smallest = rest + stride * ((2 * lost - rest) // stride + 1)
        return Geometry(stride, halo(self._reach, stride, shrink=lost), lost, smallest)

    def _reach(self, out: Interval) -> Interval:
        """The input pixels that these output pixels depend on."""
        pad = 1 if self.padding == "same" else 0
        cut = crops(self.depth) if self.padding == "valid" else (0,) * self.depth

        def block(out: Interval) -> Interval:
            return through_convolution(through_convolution(out, 3, pad), 3, pad)

        skips = []
        for level in range(self.depth - 1):
            both = block(out)  # of the concatenation
            skips.append((both[0] + cut[level], both[1] + cut[level]))
            out = through_linear(both) if self.upsampling == "linear" else through_transposed(both, 2, 2)
        out = block(out)
        for skip in reversed(skips):
            out = block(join(through_pooling(out), skip))
        return out

    def _fit(self, x: Tensor) -> Tensor:
        if self.padding == "same":
            return padded(x, 2 ** (self.depth - 1))
        fit = self.geometry()
        wanted = tuple(fit.next_size(int(n)) for n in x.shape[2:])
        if wanted != tuple(x.shape[2:]):
            raise UlnaError(
                f"this network's valid convolutions do not fit an input of {times(x.shape[2:])} pixels",
                hint=f"The next size that fits is {times(wanted)}; the smallest side is {fit.smallest}.",
            )
        return x


class Block(nn.Module):
    """Twice 3×3 convolution, norm, ReLU: (N, before, *spatial) → (N, after, *spatial), 4 less if valid."""

    def __init__(
        self,
        before: int,
        after: int,
        *,
        ndim: int,
        padding: Padding,
        norm: Norm,
        residual: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        pad = 1 if padding == "same" else 0
        bias = norm == "none"  # a norm takes off every mean, and has a shift of its own
        self.conv1 = CONV[ndim](before, after, 3, padding=pad, bias=bias)
        self.act1 = activation(norm, after, ndim=ndim)
        self.conv2 = CONV[ndim](after, after, 3, padding=pad, bias=bias)
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


def up(below: int, above: int, *, ndim: int, how: Upsampling) -> nn.Module:
    """Twice the size: a learned up-convolution to the channels of the level above, or plain interpolation."""
    if how == "transposed":
        return TRANSPOSED[ndim](below, above, 2, stride=2)
    mode = how if how == "nearest" else {2: "bilinear", 3: "trilinear"}[ndim]
    return nn.Upsample(scale_factor=2, mode=mode)


def crops(depth: int) -> tuple[int, ...]:
    """How many pixels a side of each level's skip are cropped in a valid network: (…, 88, 40, 16, 4)."""
    cut = [4]
    for _ in range(depth - 2):
        cut.append(2 * cut[-1] + 8)
    return tuple(reversed(cut))
