"""What the networks say of their reach, against what backpropagation from one output pixel finds."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ulna.errors import UlnaError
from ulna.networks import FCN8, AxisGeometry, UNet, geometry

AVERAGE = {2: nn.AvgPool2d, 3: nn.AvgPool3d}


def measured(network: UNet | FCN8, axis: int = -1) -> int:
    """The largest distance between an output and an input that it depends on, over all phases of the stride.

    With positive weights and inputs no ReLU closes a path, and average pooling lets every pixel through.
    """
    along = geometry(network).axes[axis]
    network = network.double()
    if isinstance(network.pool, nn.ModuleList):
        network.pool = nn.ModuleList(AVERAGE[network.ndim](pool.kernel_size) for pool in network.pool)
    else:
        network.pool = AVERAGE[network.ndim](2)
    for weight in network.parameters():
        weight.data.abs_().add_(0.01)
    size = [each.smallest if each.shrink else each.stride for each in geometry(network).axes]
    size[axis] = along.next_size(2 * (along.halo + along.stride) + 1)
    worst = 0
    for phase in range(along.stride):
        x = torch.rand(1, 1, *size, dtype=torch.float64, requires_grad=True)
        y = network(x)
        middle = [n // 2 for n in y.shape[2:]]
        middle[axis] = middle[axis] // along.stride * along.stride + phase
        (grad,) = torch.autograd.grad(y[(0, 0, *middle)], x)
        touched = grad[0, 0].ne(0).movedim(axis, 0).flatten(1).any(1).nonzero()
        here = middle[axis] + along.shrink
        worst = max(worst, here - int(touched.min()), int(touched.max()) - here)
    return worst


def perturbed(network: UNet, axis: int) -> int:
    """As `measured`, of the network as it is: each of `stride` pixels is made very bright, and outputs change."""
    fit = geometry(network)
    network = network.double()
    for weight in network.parameters():
        weight.data.abs_().add_(0.01)
    along = fit.axes[axis]
    size = [each.smallest if each.shrink else each.stride for each in fit.axes]
    size[axis] = along.next_size(2 * (along.halo + along.shrink + along.stride) + 1)
    size[axis] += 0 if along.shrink else -size[axis] % along.stride  # nothing is mirrored
    x = torch.ones(1, 1, *size, dtype=torch.float64)
    worst = 0
    with torch.no_grad():
        before = network(x)
        for place in range(size[axis] // 2, size[axis] // 2 + along.stride):
            bright = x.clone()
            bright.select(axis - network.ndim, place)[(0, 0, *(n // 2 for k, n in enumerate(size) if k != axis))] = 1e9
            changed = network(bright).ne(before)[0, 0].movedim(axis, 0).flatten(1).any(1).nonzero() + along.shrink
            worst = max(worst, int((changed - place).abs().max()))
    return worst


@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "linear"])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_halo_of_the_unet(depth: int, padding: str, upsampling: str) -> None:
    network = UNet(1, 1, widths=(2,) * depth, padding=padding, upsampling=upsampling)
    assert measured(network) == network.geometry().axes[-1].halo


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_halo_in_three_dimensions(padding: str) -> None:
    network = UNet(1, 1, widths=(1, 1), padding=padding, ndim=3, residual=True, norm="none")
    fit = network.geometry()
    assert [measured(network, axis) for axis in range(3)] == [axis.halo for axis in fit.axes]
    assert fit.axes[1:] == UNet(1, 1, widths=(1, 1), padding=padding).geometry().axes


ANISOTROPIC: dict[str, dict[str, Any]] = {
    "thick slices": {"kernels": [[1, 3, 3], [3, 3, 3]], "strides": [[1, 2, 2]]},
    "slices apart": {"kernels": [[1, 3, 3], [1, 3, 3]], "strides": [[1, 2, 2]]},
    "pooled alone": {"kernels": [[1, 3, 3], [1, 3, 3]], "strides": [[2, 2, 2]]},
    "by three": {"kernels": [[3, 1, 5], [3, 5, 1], [1, 1, 3]], "strides": [[3, 2, 1], [1, 2, 4]]},
    "an image": {"kernels": [[1, 3], [3, 5], [3, 3]], "strides": [[1, 2], [2, 2]]},
}


@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "linear"])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("name", ANISOTROPIC)
def test_each_axis_has_its_own_halo(name: str, padding: str, upsampling: str) -> None:
    sides = ANISOTROPIC[name]
    network = UNet(
        1, 1, widths=(1,) * len(sides["kernels"]), ndim=len(sides["kernels"][0]), padding=padding,
        upsampling=upsampling, residual=True, **sides,
    )  # fmt: skip
    fit = network.geometry()
    assert fit.strides == tuple(math.prod(steps) for steps in zip(*sides["strides"], strict=True))
    assert [perturbed(network, axis) for axis in range(network.ndim)] == [axis.halo for axis in fit.axes]
    for more in (0, 1, 2, 3):
        size = fit.next_size([axis.smallest + more for axis in fit.axes])
        with torch.no_grad():
            outputs = network(torch.rand(1, 1, *size, dtype=torch.float64)).shape[2:]
        assert tuple(outputs) == tuple(n - 2 * axis.shrink for n, axis in zip(size, fit.axes, strict=True))


def test_sides_are_those_that_were_asked_for() -> None:
    network = UNet(1, 1, widths=(1, 2, 2), ndim=3, kernels=[[1, 3, 3], [1, 5, 5], [3, 3, 3]], strides=[[1, 2, 2]] * 2)
    assert [block.conv2.kernel_size for block in network.down] == [(1, 3, 3), (1, 5, 5), (3, 3, 3)]
    assert [block.conv1.kernel_size for block in network.join] == [(1, 3, 3), (1, 5, 5)]
    assert network.geometry().axes[0] == AxisGeometry(1, 2)  # two kernels of 3 at the lowest level, and nothing else


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ({"kernels": [[1, 3, 3]]}, "network.kernels: needs 2 lists of 3 numbers"),
        ({"kernels": [[3, 3], [3, 3]]}, "needs 2 lists of 3 numbers"),
        ({"kernels": [[2, 3, 3], [3, 3, 3]]}, "odd numbers"),
        ({"kernels": 0}, "odd numbers"),
        ({"strides": [[2, 2, 2], [2, 2, 2]]}, "1 list of 3 numbers"),
        ({"strides": [[0, 2, 2]]}, "numbers from 1"),
    ],
)
def test_sides_that_do_not_suit_are_refused(sides: dict[str, Any], message: str) -> None:
    with pytest.raises(UlnaError, match=message):
        UNet(1, 1, widths=(1, 1), ndim=3, **sides)


def test_halo_of_fcn8() -> None:
    network = FCN8(1, 1, widths=(1, 1, 1, 1, 1, 1), dropout=0.0)
    assert measured(network) == network.geometry().axes[0].halo


def test_the_papers_own_numbers() -> None:
    fit = UNet(1, 2, widths=(1, 1, 1, 1, 1), padding="valid").geometry().axes[0]
    assert (fit.stride, fit.shrink) == (16, 92)
    assert fit.fits(572)
    assert fit.next_size(573) == 588
    assert not fit.fits(fit.smallest - 16)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_smallest_is_the_smallest(depth: int) -> None:
    network = UNet(1, 1, widths=(1,) * depth, padding="valid")
    fit = network.geometry().axes[0]
    with torch.no_grad():
        assert min(network(torch.rand(1, 1, fit.smallest, fit.smallest)).shape[2:]) >= 1
    assert fit.smallest - fit.stride - 2 * fit.shrink < 1
    with pytest.raises(UlnaError, match=f"{fit.smallest}"):
        network(torch.rand(1, 1, 8, 8))


@settings(deadline=None, max_examples=30)
@given(size=st.integers(1, 400), shrink=st.sampled_from([0, 20]))
def test_next_size_fits_and_is_next(size: int, shrink: int) -> None:
    fit = AxisGeometry(stride=4, halo=23, shrink=shrink, smallest=44 if shrink else 1)
    following = fit.next_size(size)
    assert fit.fits(following)
    assert following >= size
    assert not any(fit.fits(between) for between in range(size, following))


def test_a_stranger_has_no_geometry() -> None:
    with pytest.raises(
        UlnaError, match=r"the network Conv2d does not say how far it looks(.|\n)Give it a method geometry"
    ):
        geometry(nn.Conv2d(1, 1, 3))
