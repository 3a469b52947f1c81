"""How far a network looks, by interval arithmetic on its layers: what tiled prediction has to know.

Walking backwards from an interval of output pixels, each layer says which of its inputs they depend on. All
intervals are `(first, last)`, both inclusive, in indices of the layer's own grid, along one axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import nn

from ulna.errors import UlnaError

Interval = tuple[int, int]


@dataclass(frozen=True)
class AxisGeometry:
    """What a network does to the size of an image along one axis and how far it looks, in pixels of one side.

    Parameters
    ----------
    stride
        Outputs whose positions differ by a multiple of it are computed alike, so tiles must start at multiples of it.
    halo
        The output at a position depends on no input further away than this (with instance norm: once its statistics are
        fixed).
    shrink
        How many pixels valid convolutions take off each side; 0 where the output has the input's size.
    smallest
        The smallest input size; where `shrink` is not 0, input sizes must be `smallest` plus a multiple of `stride`.
    clamped
        So many outputs on each side that valid convolutions leave depend on where the input ends, for linear upsampling
        repeats what is at its edge.
    """

    stride: int
    halo: int
    shrink: int = 0
    smallest: int = 1
    clamped: int = 0

    def fits(self, size: int) -> bool:
        """Whether the network takes an input of this size.

        Parameters
        ----------
        size
            Pixels.

        Returns
        -------
        bool
            True for every size from `smallest` on where `shrink` is 0.
        """
        return size >= self.smallest and (self.shrink == 0 or (size - self.smallest) % self.stride == 0)

    def next_size(self, size: int) -> int:
        """The smallest size that fits and is not below another.

        Parameters
        ----------
        size
            Pixels.

        Returns
        -------
        int
            Pixels.

        Examples
        --------
        >>> AxisGeometry(stride=16, halo=92, shrink=92, smallest=188).next_size(190)
        204
        """
        if size <= self.smallest:
            return self.smallest
        return size if self.shrink == 0 else size + (self.smallest - size) % self.stride


@dataclass(frozen=True)
class Geometry:
    """What a network does to the size of an image and how far it looks, for each spatial axis.

    Parameters
    ----------
    axes
        One per spatial axis.

    Examples
    --------
    >>> volume = Geometry((AxisGeometry(1, 2), AxisGeometry(4, 12), AxisGeometry(4, 12)))
    >>> volume.strides
    (1, 4, 4)
    """

    axes: tuple[AxisGeometry, ...]

    @property
    def strides(self) -> tuple[int, ...]:
        """The stride of each axis."""
        return tuple(axis.stride for axis in self.axes)

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether the network takes an input of this spatial shape.

        Parameters
        ----------
        shape
            Of the input.

        Returns
        -------
        bool
            Whether every axis fits.
        """
        return all(axis.fits(size) for axis, size in zip(self.axes, shape, strict=True))

    def next_size(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The smallest spatial shape that fits and has no side below that of another.

        Parameters
        ----------
        shape
            Of an input.

        Returns
        -------
        tuple of int
            A shape that fits.
        """
        return tuple(axis.next_size(int(size)) for axis, size in zip(self.axes, shape, strict=True))


@runtime_checkable
class HasGeometry(Protocol):
    """A network that knows its own geometry."""

    def geometry(self) -> Geometry:
        """What it does to sizes and how far it looks."""
        ...


def geometry(network: nn.Module) -> Geometry:
    """The geometry of a network.

    Parameters
    ----------
    network
        One that `build` made, or any module with a method `geometry`.

    Returns
    -------
    Geometry
        Per spatial axis.

    Raises
    ------
    UlnaError
        For any other module.
    """
    if isinstance(network, HasGeometry):
        return network.geometry()
    raise UlnaError(
        f"the network {type(network).__name__} does not say how far it looks",
        hint="Give it a method geometry() -> ulna.networks.Geometry.",
    )


def halo(reach: Callable[[Interval], Interval], stride: int, *, shrink: int = 0) -> int:
    """How far, to either side, any output looks along one axis.

    Output o lies at input o + `shrink`. How far it looks depends on its phase in the pooling grid.

    Parameters
    ----------
    reach
        Gives the inputs that an interval of outputs needs.
    stride
        Of the network.
    shrink
        How many pixels valid convolutions take off each side.

    Returns
    -------
    int
        Pixels.
    """
    needs = ((output + shrink, *reach((output, output))) for output in range(stride))
    return max(max(place - first, last - place) for place, first, last in needs)


def join(a: Interval, b: Interval) -> Interval:
    """The smallest interval that holds two.

    Parameters
    ----------
    a, b
        (first, last).

    Returns
    -------
    Interval
        (first, last).

    Examples
    --------
    >>> join((0, 3), (2, 9))
    (0, 9)
    """
    return min(a[0], b[0]), max(a[1], b[1])


def through_convolution(out: Interval, kernel: int, padding: int = 0, stride: int = 1) -> Interval:
    """The inputs of a convolution that outputs depend on.

    Parameters
    ----------
    out
        The outputs, (first, last).
    kernel
        The side of the kernel.
    padding
        On each side.
    stride
        Of the convolution.

    Returns
    -------
    Interval
        (first, last).

    Examples
    --------
    >>> through_convolution((0, 0), kernel=3, padding=1)
    (-1, 1)
    >>> through_convolution((1, 2), kernel=3, padding=1, stride=2)
    (1, 5)
    """
    return out[0] * stride - padding, out[1] * stride - padding + kernel - 1


def through_pooling(out: Interval, factor: int) -> Interval:
    """The inputs of a pooling that outputs depend on.

    Parameters
    ----------
    out
        The outputs, (first, last).
    factor
        The side of the window, and the stride.

    Returns
    -------
    Interval
        (first, last).

    Examples
    --------
    >>> through_pooling((1, 2), 2)
    (2, 5)
    """
    return out[0] * factor, out[1] * factor + factor - 1


def through_transposed(out: Interval, kernel: int, stride: int, padding: int = 0) -> Interval:
    """The inputs of a transposed convolution that outputs depend on.

    Input i reaches outputs i·stride − padding + t for t in 0 … kernel − 1. Nearest upsampling is the one with `kernel`
    equal to `stride`.

    Parameters
    ----------
    out
        The outputs, (first, last).
    kernel
        The side of the kernel.
    stride
        By how much it enlarges.
    padding
        On each side.

    Returns
    -------
    Interval
        (first, last).
    """
    return -((kernel - 1 - out[0] - padding) // stride), (out[1] + padding) // stride


def through_linear(out: Interval, factor: int) -> Interval:
    """The inputs of linear upsampling that outputs depend on.

    Output o lies at input (o + ½)/factor − ½, mostly between two pixels.

    Parameters
    ----------
    out
        The outputs, (first, last).
    factor
        By how much it enlarges.

    Returns
    -------
    Interval
        (first, last).
    """
    first, last = (2 * place + 1 - factor for place in out)  # in pixels of the input, times 2 · factor
    return first // (2 * factor), -(-last // (2 * factor))
