"""FCN-8s: sizes, size of the paper's network, interpolation at first, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ulna.errors import UlnaError
from ulna.networks import FCN8, InstanceNorm
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
    with pytest.raises(UlnaError, match="five stages") as caught:
        FCN8(1, 1, widths=(16, 32, 64))
    assert str(caught.value) == (
        "network.widths: FCN-8 has five stages, the widths (16, 32, 64) are for 3\n"
        "Give five widths, or a sixth for its two last layers."
    )


def test_what_is_not_said_is_as_documented() -> None:
    network = FCN8(1, 1)
    assert [stage[0].out_channels for stage in network.stages] == [16, 32, 64, 128, 128]
    assert (network.fc6[0].out_channels, network.fc7[0].out_channels) == (1024, 1024)  # eight times the fifth
    assert (network.fc6[0].kernel_size, network.fc7[0].kernel_size) == ((7, 7), (1, 1))
    assert network.dropout.p == 0.5
    assert not any(isinstance(module, InstanceNorm | nn.BatchNorm2d) for module in network.modules())
    assert all(not weights.any() for name, weights in network.named_parameters() if name.endswith("bias"))
    assert FCN8(1, 1, norm="batch").fc6[0].bias is None  # the norm has one of its own


@pytest.mark.parametrize("size", [(64, 32), (40, 65)])
def test_logits_are_the_sum_of_three_scores(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = FCN8(2, 3, widths=(2, 3, 4, 5, 6, 7)).eval()
    for one in (network.score3, network.score4, network.score7):
        nn.init.normal_(one.weight)
    x = torch.rand(1, 2, *size)
    with torch.no_grad():
        found = network(x)
        y = F.pad(x, (0, -size[1] % 32, 0, -size[0] % 32), mode="reflect")
        pooled = []
        for stage in network.stages:
            for layer in stage[::2]:
                y = F.conv2d(y, layer.weight, layer.bias, padding=1).relu()
            y = F.max_pool2d(y, 2)
            pooled.append(y)
        y = F.conv2d(y, network.fc6[0].weight, network.fc6[0].bias, padding=3).relu()
        y = F.conv2d(y, network.fc7[0].weight, network.fc7[0].bias).relu()
        y = network.up7(network.score7(y)) + network.score4(pooled[3])
        y = network.up4(y) + network.score3(pooled[2])
        torch.testing.assert_close(found, network.up3(y)[..., : size[0], : size[1]])


def test_instance_norm_fits_too() -> None:
    network = FCN8(1, 1, widths=(2, 2, 2, 2, 2, 4), norm="instance")
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert network(torch.rand(1, 1, 20, 20)).shape == (1, 1, 20, 20)
