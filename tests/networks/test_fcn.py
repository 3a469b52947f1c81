"""FCN-8s: sizes, size of the paper's network, interpolation at first, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ulna.errors import UlnaError
from ulna.networks import FCN8
from ulna.networks.fcn import bilinear


@pytest.mark.parametrize("size", [(128, 128), (33, 70), (1, 1), (16, 16)])
def test_any_size_comes_back(size: tuple[int, int]) -> None:
    network = FCN8(3, 2, widths=(2, 2, 2, 2, 2)).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, *size)).shape == (1, 2, *size)


def test_three_dimensions() -> None:
    network = FCN8(1, 2, widths=(1, 1, 1, 1, 1, 2), ndim=3).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 1, 5, 33, 20)).shape == (1, 2, 5, 33, 20)


def test_the_papers_size() -> None:
    """VGG-16's 134,260,544 without its last layer, and what FCN-8s adds for 21 classes."""
    with torch.device("meta"):
        stages = FCN8(3, 21, widths=(64, 128, 256, 512, 512)).stages
        network = FCN8(3, 21, widths=(64, 128, 256, 512, 512, 4096))
    assert sum(w.numel() for w in stages.parameters()) == 14_714_688  # VGG-16's convolutions
    scores = 21 * (4096 + 512 + 256 + 3) + 21 * 21 * (16 + 16 + 256)
    assert sum(w.numel() for w in network.parameters()) == 134_260_544 + scores


@pytest.mark.parametrize("factor", [2, 8])
def test_upsampling_starts_as_interpolation(factor: int) -> None:
    x = torch.rand(1, 3, 7, 9)
    with torch.no_grad():
        y = bilinear(3, factor, ndim=2)(x)
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear")
    inner = slice(factor, -factor)  # at the border the transposed convolution sees zeros outside
    torch.testing.assert_close(y[..., inner, inner], expected[..., inner, inner])


@pytest.mark.parametrize("size", [128, 32])
def test_it_learns_a_bright_square(size: int) -> None:
    torch.manual_seed(0)
    network = FCN8(1, 1, widths=(4, 8, 8, 16, 16, 32), norm="batch", dropout=0.0)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    images, truth = torch.randn(4, 1, size, size) * 0.1, torch.zeros(4, 1, size, size)
    for n, place in enumerate((0, 8, 12, 16)):
        truth[n, :, place : place + size // 2, 8 : 8 + size // 2] = 1
    losses = []
    for _ in range(40):
        loss = F.binary_cross_entropy_with_logits(network(images + truth), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_scores_start_at_nothing() -> None:
    with torch.no_grad():
        assert FCN8(1, 3, widths=(2, 2, 2, 2, 2))(torch.rand(1, 1, 40, 40)).abs().max() == 0


def test_five_stages_it_has() -> None:
    with pytest.raises(UlnaError, match="five stages"):
        FCN8(1, 1, widths=(16, 32, 64))


def test_instance_norm_fits_too() -> None:
    network = FCN8(1, 1, widths=(2, 2, 2, 2, 2, 4), norm="instance")
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert network(torch.rand(1, 1, 20, 20)).shape == (1, 1, 20, 20)
