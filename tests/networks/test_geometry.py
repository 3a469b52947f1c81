"""What the networks say of their reach, against what backpropagation from one output pixel finds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ulna.errors import UlnaError
from ulna.networks import FCN8, Geometry, UNet, geometry

AVERAGE = {2: nn.AvgPool2d, 3: nn.AvgPool3d}


def measured(network: UNet | FCN8, *, thin: int) -> int:
    """The largest distance between an output and an input that it depends on, over all phases of the stride.

    With positive weights and inputs no ReLU closes a path, and average pooling lets every pixel through.
    """
    fit = geometry(network)
    network = network.double()
    network.pool = AVERAGE[network.ndim](2)
    for weight in network.parameters():
        weight.data.abs_().add_(0.01)
    long = fit.next_size(2 * (fit.halo + fit.stride) + 1)
    worst = 0
    for phase in range(fit.stride):
        x = torch.rand(1, 1, *(network.ndim - 1) * (thin,), long, dtype=torch.float64, requires_grad=True)
        y = network(x)
        middle = y.shape[-1] // 2 // fit.stride * fit.stride + phase
        (grad,) = torch.autograd.grad(y[(0, 0, *(network.ndim - 1) * (y.shape[-2] // 2,), middle)], x)
        touched = grad.ne(0).reshape(-1, long).any(0).nonzero()
        here = middle + fit.shrink
        worst = max(worst, here - int(touched.min()), int(touched.max()) - here)
    return worst


@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "linear"])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_halo_of_the_unet(depth: int, padding: str, upsampling: str) -> None:
    network = UNet(1, 1, widths=(2,) * depth, padding=padding, upsampling=upsampling)
    fit = network.geometry()
    thin = fit.smallest if padding == "valid" else fit.stride
    assert measured(network, thin=thin) == fit.halo


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_halo_in_three_dimensions(padding: str) -> None:
    network = UNet(1, 1, widths=(1, 1), padding=padding, ndim=3, residual=True, norm="none")
    fit = network.geometry()
    assert measured(network, thin=fit.next_size(2)) == fit.halo
    assert fit == UNet(1, 1, widths=(1, 1), padding=padding).geometry()


def test_halo_of_fcn8() -> None:
    network = FCN8(1, 1, widths=(1, 1, 1, 1, 1, 1), dropout=0.0)
    assert measured(network, thin=32) == network.geometry().halo


def test_the_papers_own_numbers() -> None:
    fit = UNet(1, 2, widths=(1, 1, 1, 1, 1), padding="valid").geometry()
    assert (fit.stride, fit.shrink) == (16, 92)
    assert fit.fits(572)
    assert fit.next_size(573) == 588
    assert not fit.fits(fit.smallest - 16)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_smallest_is_the_smallest(depth: int) -> None:
    network = UNet(1, 1, widths=(1,) * depth, padding="valid")
    fit = network.geometry()
    with torch.no_grad():
        assert min(network(torch.rand(1, 1, fit.smallest, fit.smallest)).shape[2:]) >= 1
    assert fit.smallest - fit.stride - 2 * fit.shrink < 1
    with pytest.raises(UlnaError, match=f"{fit.smallest}"):
        network(torch.rand(1, 1, 8, 8))


@settings(deadline=None, max_examples=30)
@given(size=st.integers(1, 400), shrink=st.sampled_from([0, 20]))
def test_next_size_fits_and_is_next(size: int, shrink: int) -> None:
    fit = Geometry(stride=4, halo=23, shrink=shrink, smallest=44 if shrink else 1)
    following = fit.next_size(size)
    assert fit.fits(following)
    assert following >= size
    assert not any(fit.fits(between) for between in range(size, following))


def test_a_stranger_has_no_geometry() -> None:
    with pytest.raises(UlnaError, match="Conv2d"):
        geometry(nn.Conv2d(1, 1, 3))
