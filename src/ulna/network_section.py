"""The section `network` of the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, PlainValidator

from ulna.errors import UlnaError
from ulna.section import Section, Size, shown
from ulna.text import plural

Sides = int | Sequence[Sequence[int]]
"""Sides of something at several levels: one number for all, or for each level a list with one side per axis."""


def by_level(sides: Sides, levels: int, ndim: int, name: str) -> tuple[tuple[int, ...], ...]:
    """One side per level and axis.

    Raises
    ------
    UlnaError
        For another number of levels or axes, for sides below 1 and, where `name` is that of kernels, for even ones:
        they have no middle.

    Examples
    --------
    >>> by_level(2, 2, 3, "network.strides")
    ((2, 2, 2), (2, 2, 2))
    >>> by_level([[1, 3, 3], [3, 3, 3]], 2, 3, "network.kernels")
    ((1, 3, 3), (3, 3, 3))
    """
    found = ((sides,) * ndim,) * levels if isinstance(sides, int) else tuple(map(tuple, sides))
    if len(found) != levels or {len(level) for level in found} != {ndim}:
        raise UlnaError(
            f"needs {plural(levels, 'list')} of {ndim} numbers, or one number for all, not {shown(sides)}", where=name
        )
    odd = name.endswith("kernels")
    if any(side < 1 or (odd and side % 2 == 0) for level in found for side in level):
        raise UlnaError(f"needs {'odd numbers' if odd else 'numbers'} from 1 on, not {shown(sides)}", where=name)
    return found


def _sides(value: object) -> object:
    """One number, or lists of numbers, by levels; how many is checked where the other settings are known."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, list | tuple) and all(
        isinstance(level, list | tuple) and all(type(side) is int for side in level) for level in value
    ):
        return tuple(map(tuple, value))
    raise ValueError("must be one number, or per level a list with one number per axis, as in [[1, 3, 3], [3, 3, 3]]")


def _levels(value: object) -> object:
    """`all`, `bottom`, or numbers of levels."""
    if value in ("all", "bottom"):
        return value
    if isinstance(value, list | tuple) and value and all(type(level) is int and level > 0 for level in value):
        return tuple(value)
    raise ValueError("must be 'all', 'bottom', or a list of levels, 1 the top, as in [3, 4]")


class NetworkConfig(Section):
    """The shape of the network. `widths` are the channels of each level, from the top; its length is the depth."""

    name: Literal["unet", "fcn8"] = Field("unet", description="`unet`, `fcn8`")
    ndim: Literal[2, 3] = Field(2, description="number of spatial dimensions")
    widths: tuple[Size, ...] = Field(
        (16, 32, 64, 128, 256),
        min_length=2,
        description="channels of each level from the top; their number is the depth",
    )
    kernels: Annotated[Sides, PlainValidator(_sides)] = Field(
        3,
        description="sides of the convolutions, odd: one number, or per level a list with one number per axis, "
        "`[[1, 3, 3], [3, 3, 3]]`",
    )
    strides: Annotated[Sides, PlainValidator(_sides)] = Field(
        2,
        description="by how much pooling makes an image smaller: one number, or per step between levels a list with "
        "one number per axis, `[[1, 2, 2]]`",
    )
    padding: Literal["same", "valid"] = Field("same", description="`same`, or `valid` as in the paper")
    norm: Literal["none", "batch", "instance"] = Field("instance", description="`instance`, `batch`, `none`")
    upsampling: Literal["transposed", "nearest", "linear"] = Field(
        "transposed", description="`transposed`, `nearest`, `linear`"
    )
    residual: bool = Field(False, description="add each block's input to its output")
    encoder_blocks: tuple[Size, ...] = Field(
        (),
        description="residual blocks of each level of the contracting path, with strides in place of pooling, and one "
        "convolution per level of the other: nnU-Net's ResEnc is `[1, 3, 4, 6, 6, 6]`. More numbers than levels are "
        "not used; empty: two convolutions per level",
    )
    deep_supervision: bool = Field(
        False,
        description="the loss is also taken of outputs of lower levels, each with half the weight of the one above; "
        "only while training",
    )
    bias: bool = Field(
        False,
        description="a bias in convolutions that a norm follows, too, as in Keras and nnU-Net: the norm takes it off, "
        "so that it changes nothing but the number of weights",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="probability of dropping")
    dropout_levels: Annotated[str | Sequence[int], PlainValidator(_levels)] = Field(
        "all",
        description="where it drops: `all` levels, `bottom` (the end of the contracting path), or a list of levels of "
        "the contracting path, `[3, 4]`, 1 the top",
    )
    dropout_kind: Literal["values", "channels"] = Field(
        "values", description="what is dropped: single `values`, or whole `channels` (spatial dropout)"
    )
    dropout_place: Literal["end", "middle"] = Field(
        "end", description="at the `end` of the blocks of a level, or in the `middle` of them, between two convolutions"
    )
    initialization: Literal["he", "he_uniform", "glorot"] = Field(
        "he", description="initial weights: `he`, evenly drawn `he_uniform`, or `glorot` as Keras draws them"
    )
