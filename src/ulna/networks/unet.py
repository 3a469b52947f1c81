"""The U-Net (Ronneberger, Fischer, Brox 2015), in two and three dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ulna import text
from ulna.config import Sides, by_level
from ulna.errors import UlnaError
from ulna.networks.blocks import (
    Block,
    DropoutKind,
    DropoutPlace,
    Padding,
    Single,
    Style,
    Upsampling,
    residual_level,
    up,
)
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
from ulna.networks.layers import CONV, INITIALIZATIONS, POOL, Norm, crop, front, padded

__all__ = ["UNet", "supervised_strides", "up"]


class UNet(nn.Module):
    """The U-Net, (N, channels, *spatial) → logits (N, outputs, *spatial), or fewer pixels where convolutions are valid.

    Each level has a block of two convolutions with ReLU (and a norm before it); max-pooling leads down, `upsampling`
    leads up. What comes up is concatenated with the skip, cropped to its size where convolutions are valid; a 1×1
    convolution makes the logits.

    With `encoder_blocks` the levels of the way down are residual blocks instead, the first of each with the stride,
    after a convolution at the top, and one convolution per level leads up: nnU-Net's ResEnc.

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
    encoder_blocks
        Residual blocks of each level of the way down, from the top; more numbers than levels are not used. Empty: no
        residual encoder.
    deep_supervision
        Whether, in training, the levels on the way up have outputs of their own, the lowest left out.
    bias
        Whether convolutions have a bias where a norm follows, too, which takes it off again.
    dropout
        A probability.
    dropout_levels
        Of "all" blocks, of the two deepest ("bottom"), as in the authors' own network, or of these levels of the way
        down, 1 the top.
    dropout_kind, dropout_place
        Whether single "values" or whole "channels" are dropped, at the "end" of blocks or in the "middle" of them.
    initialization
        "he", "he_uniform" or "glorot".

    Raises
    ------
    UlnaError
        For settings that do not go together; by `forward` for a size that does not fit, with the next that does.

    References
    ----------
    Ronneberger, Fischer, Brox 2015, U-Net: convolutional networks for biomedical image segmentation, MICCAI.
    Çiçek et al. 2016, 3D U-Net, MICCAI. He et al. 2015, Delving deep into rectifiers, ICCV. Glorot, Bengio 2010,
    Understanding the difficulty of training deep feedforward neural networks, AISTATS. Isensee et al. 2024, nnU-Net
    revisited, MICCAI (ResEnc).

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
        encoder_blocks: Sequence[int] = (),
        deep_supervision: bool = False,
        bias: bool = False,
        dropout: float = 0.0,
        dropout_levels: Literal["all", "bottom"] | Sequence[int] = "all",
        dropout_kind: DropoutKind = "values",
        dropout_place: DropoutPlace = "end",
        initialization: Literal["he", "he_uniform", "glorot"] = "he",
    ) -> None:
        super().__init__()
        if ndim not in CONV or len(widths) < 2:
            raise UlnaError(f"a U-Net has 2 or 3 dimensions, not {ndim}, and at least two widths, not {len(widths)}")
        self.depth, self.ndim = len(widths), ndim
        if encoder_blocks:
            _check_blocks(encoder_blocks, self.depth, padding)
        sides = by_level(kernels, self.depth, ndim, "network.kernels")
        steps = by_level(strides, self.depth - 1, ndim, "network.strides")
        self.supervised = supervised_strides(steps) if deep_supervision else ()
        how = partial(
            _axis_geometry, padding=padding, upsampling=upsampling, blocks=tuple(encoder_blocks[: self.depth])
        )
        self._geometry = Geometry(tuple(map(how, zip(*sides, strict=True), zip(*steps, strict=True))))
        style = Style(padding, norm, bias, dropout_kind, dropout_place)
        drops = _dropouts(dropout, dropout_levels, self.depth)
        every = dropout if dropout_levels == "all" else 0.0
        block = partial(Block, style=style, residual=residual)
        rising = partial(Single, style=style) if encoder_blocks else block

        if encoder_blocks:
            self.down = _residual_encoder(channels, widths, sides, steps, encoder_blocks, style=style, dropouts=drops)
            self.pool = nn.ModuleList(nn.Identity() for _ in steps)
        else:
            self.down = nn.ModuleList(
                block(before, width, kernel=kernel, dropout=drop)
                for before, width, kernel, drop in zip((channels, *widths[:-1]), widths, sides, drops, strict=True)
            )
            self.pool = nn.ModuleList(POOL[ndim](stride) for stride in steps)
        self.up = nn.ModuleList()  # level by level from the top, as the blocks that follow
        self.join = nn.ModuleList()
        for (above, below), kernel, stride in zip(pairwise(widths), sides[:-1], steps, strict=True):
            coming = above if upsampling == "transposed" else below  # channels of what comes up
            self.up.append(up(below, above, stride=stride, how=upsampling))
            self.join.append(rising(coming + above, above, kernel=kernel, dropout=every))
        self.head = CONV[ndim](widths[0], outputs, 1)
        self.heads = nn.ModuleList(CONV[ndim](width, outputs, 1) for width in widths[1 : len(self.supervised)])
        self.apply(INITIALIZATIONS[initialization])

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits of images.

        Parameters
        ----------
        x
            (N, channels, *spatial).

        Returns
        -------
        Tensor or tuple of Tensor
            (N, outputs, *spatial), or fewer pixels where convolutions are valid. With deep supervision in training a
            tuple: after these the logits of lower levels, (N, outputs, *spatial / stride) for each of `supervised`.

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
        lower: list[Tensor] = []
        for level in reversed(range(self.depth - 1)):
            x = self.up[level](x)  # (N, widths[level] or widths[level + 1], Y / 2^level, X / 2^level)
            skip = crop(skips[level], x.shape[2:])
            x = self.join[level](torch.cat((x, skip), dim=1))  # (N, widths[level], Y / 2^level, X / 2^level)
            if self.training and 0 < level < len(self.supervised):
                seen = [-(-n // stride) for n, stride in zip(size, self.supervised[level], strict=True)]
                lower.insert(0, front(self.heads[level - 1](x), seen))  # (N, outputs, Y / 2^level, X / 2^level)
        x = front(self.head(x), size)  # (N, outputs, Y, X)
        return (x, *lower) if lower else x

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


def supervised_strides(steps: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """By how much smaller than the image the outputs of deep supervision are, from the top; the lowest is left out.

    Parameters
    ----------
    steps
        The strides between levels, from the top.

    Returns
    -------
    tuple of tuple of int
        The strides of each output; of the first 1.

    Raises
    ------
    UlnaError
        For networks that have no level between the top and the lowest on the way up.

    Examples
    --------
    >>> supervised_strides([(1, 2, 2), (2, 2, 2), (2, 2, 2)])
    ((1, 1, 1), (1, 2, 2))
    """
    if len(steps) < 3:
        raise UlnaError(
            f"needs at least four levels, not {len(steps) + 1}: of fewer no output but the last one is left",
            where="network.deep_supervision",
        )
    totals = [tuple(math.prod(axis) for axis in zip(*steps[:level], strict=True)) for level in range(1, len(steps) - 1)]
    return ((1,) * len(steps[0]), *totals)


def _dropouts(dropout: float, levels: Literal["all", "bottom"] | Sequence[int], depth: int) -> list[float]:
    """The probability for each level of the way down."""
    if levels == "all":
        dropped = set(range(1, depth + 1))
    elif levels == "bottom":
        dropped = {depth - 1, depth}
    else:
        dropped = {int(level) for level in levels}
        if not dropped or max(dropped) > depth:
            raise UlnaError(f"levels count from 1 to {depth}, not {list(levels)}", where="network.dropout_levels")
    return [dropout if level in dropped else 0.0 for level in range(1, depth + 1)]


def _check_blocks(blocks: Sequence[int], depth: int, padding: Padding) -> None:
    where = "network.encoder_blocks"
    if padding != "same":
        raise UlnaError("residual blocks with strides need padding: same", where=where)
    if len(blocks) < depth or min(blocks) < 1:
        raise UlnaError(f"needs a number from 1 on for each of {depth} levels, not {list(blocks)}", where=where)


def _residual_encoder(
    channels: int,
    widths: Sequence[int],
    sides: Sequence[tuple[int, ...]],
    steps: Sequence[tuple[int, ...]],
    blocks: Sequence[int],
    *,
    style: Style,
    dropouts: Sequence[float],
) -> nn.ModuleList:
    """The levels of the way down, each with its stride: of nnU-Net's ResEnc."""
    levels = nn.ModuleList()
    for level, (before, width) in enumerate(pairwise((widths[0], *widths))):
        stride = steps[level - 1] if level else (1,) * len(sides[0])
        made = residual_level(
            before,
            width,
            kernel=sides[level],
            stride=stride,
            blocks=blocks[level],
            style=style,
            dropout=dropouts[level],
        )
        stem = [] if level else [Single(channels, width, kernel=sides[0], style=style)]
        levels.append(nn.Sequential(*stem, *made))
    return levels


def _axis_geometry(
    kernels: Sequence[int], strides: Sequence[int], *, padding: Padding, upsampling: Upsampling, blocks: Sequence[int]
) -> AxisGeometry:
    """Of a U-Net along one axis, by its kernel at each level and its stride at each step between levels."""
    stride = math.prod(strides)
    cuts = crops(kernels, strides)
    reach = partial(_reach, kernels=kernels, strides=strides, padding=padding, upsampling=upsampling, blocks=blocks)
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
    out: Interval,
    *,
    kernels: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    upsampling: Upsampling,
    blocks: Sequence[int],
) -> Interval:
    """The input pixels that these output pixels depend on, along one axis."""
    cuts = crops(kernels, strides) if padding == "valid" else (0,) * len(strides)

    def convolution(out: Interval, kernel: int, stride: int = 1) -> Interval:
        return through_convolution(out, kernel, kernel // 2 if padding == "same" else 0, stride)

    def twice(out: Interval, kernel: int) -> Interval:
        return convolution(convolution(out, kernel), kernel)

    def level_down(out: Interval, level: int) -> Interval:
        """Through a level of the way down and what leads to it from the one above."""
        kernel, stride = kernels[level], strides[level - 1] if level else 1
        if not blocks:
            return through_pooling(twice(out, kernel), stride)
        for _ in range(blocks[level] - 1):
            out = twice(out, kernel)
        out = join(convolution(convolution(out, kernel), kernel, stride), through_pooling(out, stride))
        return out if level else convolution(out, kernel)

    skips = []
    for kernel, stride, cut in zip(kernels[:-1], strides, cuts, strict=True):
        both = convolution(out, kernel) if blocks else twice(out, kernel)  # of the concatenation
        skips.append((both[0] + cut, both[1] + cut))
        out = through_linear(both, stride) if upsampling == "linear" else through_transposed(both, stride, stride)
    out = level_down(out, len(kernels) - 1)
    for level in reversed(range(len(skips))):
        out = level_down(join(out, skips[level]), level)
    return out


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
