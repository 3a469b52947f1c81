"""The U-Net: sizes, parameters, first weights, and what it is built of."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from ulna.config import NetworkConfig
from ulna.errors import UlnaError
from ulna.networks import AxisGeometry, InstanceNorm, UNet, build, geometry
from ulna.networks.layers import padded
from ulna.networks.unet import up


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@settings(deadline=None, max_examples=25)
@given(
    size=st.lists(st.integers(1, 41), min_size=2, max_size=3),
    depth=st.integers(2, 4),
    norm=st.sampled_from(["none", "batch", "instance"]),
    upsampling=st.sampled_from(["transposed", "nearest", "linear"]),
    residual=st.booleans(),
)
def test_any_size_comes_back(size: list[int], depth: int, norm: str, upsampling: str, residual: bool) -> None:
    config = NetworkConfig(
        ndim=len(size), widths=(2, 3, 4, 5)[:depth], norm=norm, upsampling=upsampling, residual=residual
    )
    network = build(config, 2, 3).eval()
    with torch.no_grad():
        y = network(torch.rand(2, 2, *size))
    assert y.shape == (2, 3, *size)
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("norm", ["none", "batch", "instance"])
@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "linear"])
@pytest.mark.parametrize(("padding", "residual"), [("same", False), ("valid", True)])
def test_every_weight_learns(ndim: int, norm: str, upsampling: str, padding: str, residual: bool) -> None:
    torch.manual_seed(0)
    network = UNet(1, 2, widths=(4, 8), ndim=ndim, norm=norm, upsampling=upsampling, padding=padding, residual=residual)
    size = geometry(network).next_size((20,) * ndim)
    network(torch.rand(2, 1, *size)).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_padding_mirrors_at_the_far_side() -> None:
    row = torch.arange(5.0).expand(1, 1, 1, 5)
    assert padded(row, (8, 8))[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4]  # one row cannot be mirrored
    square = torch.arange(5.0).expand(1, 1, 5, 5)
    assert padded(square, (8, 8))[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]


def test_weights_keep_the_variance_of_what_passes() -> None:
    torch.manual_seed(0)
    network = UNet(1, 1, widths=(32, 64, 128), upsampling="transposed")
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            inputs = module.in_channels * math.prod(module.kernel_size)
            if module.weight.numel() > 2000:
                assert float(module.weight.detach().std()) == pytest.approx(math.sqrt(2 / inputs), rel=0.1)
        if isinstance(module, nn.ConvTranspose2d):
            assert float(module.weight.detach().std()) == pytest.approx(math.sqrt(2 / module.in_channels), rel=0.1)


def test_dropout_where_it_is_asked_for() -> None:
    def blocks(levels: str) -> list[bool]:
        network = UNet(1, 1, widths=(2, 2, 2, 2), dropout=0.5, dropout_levels=levels)
        return [isinstance(block.dropout, nn.Dropout) for block in (*network.down, *network.join)]

    assert blocks("all") == [True] * 7
    assert blocks("bottom") == [False, False, True, True, False, False, False]


def test_norm_takes_the_place_of_the_bias() -> None:
    network = UNet(1, 1, widths=(4, 8), norm="instance")
    assert network.down[0].conv1.bias is None
    assert network.head.bias is not None


def test_channels_last_stays_so_through_the_network() -> None:
    network = UNet(3, 2, norm="instance").to(memory_format=torch.channels_last)
    y = network(torch.rand(2, 3, 50, 70).to(memory_format=torch.channels_last))
    feature = network.down[0](torch.rand(2, 3, 32, 32).to(memory_format=torch.channels_last))
    assert y.shape == (2, 2, 50, 70)
    assert feature.is_contiguous(memory_format=torch.channels_last)


def test_bf16_is_near_float32() -> None:
    torch.manual_seed(0)
    network = UNet(3, 1, widths=(8, 16, 32), norm="instance").eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        exact = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            y = network(x)
    assert y.dtype == torch.bfloat16
    assert float((y.float() - exact).abs().mean() / exact.std()) < 0.05


def test_exports() -> None:
    torch.manual_seed(0)
    network = UNet(1, 1, widths=(4, 8), norm="instance").eval()
    x = torch.rand(1, 1, 21, 30)
    exported = torch.export.export(network, (x,))
    torch.testing.assert_close(exported.module()(x), network(x), atol=1e-5, rtol=1e-5)


def reference(network: UNet, x: torch.Tensor, *, residual: bool, valid: bool) -> torch.Tensor:
    """The paper's figure 1 in plain functions."""

    def middle(y: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        top, left = ((a - b) // 2 for a, b in zip(y.shape[2:], like.shape[2:], strict=True))
        return y[:, :, top : top + like.shape[2], left : left + like.shape[3]]

    def block(layers: nn.Module, y: torch.Tensor) -> torch.Tensor:
        pad = 0 if valid else 1
        made = F.conv2d(y, layers.conv1.weight, layers.conv1.bias, padding=pad).relu()
        made = F.conv2d(made, layers.conv2.weight, layers.conv2.bias, padding=pad)
        if residual:
            made = made + middle(y if y.shape[1] == made.shape[1] else layers.shortcut(y), made)
        return made.relu()

    skips = [block(network.down[0], x)]
    for layers in network.down[1:]:
        skips.append(block(layers, F.max_pool2d(skips[-1], 2)))
    y = skips.pop()
    for layers, upwards in zip(reversed(network.join), reversed(network.up), strict=True):
        y = F.conv_transpose2d(y, upwards.weight, upwards.bias, stride=2)
        y = block(layers, torch.cat([y, middle(skips.pop(), y)], 1))
    return F.conv2d(y, network.head.weight, network.head.bias)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("valid", [False, True])
def test_logits_are_those_of_the_papers_figure(residual: bool, valid: bool) -> None:
    torch.manual_seed(0)
    network = UNet(2, 3, widths=(4, 5, 6), residual=residual, padding="valid" if valid else "same").eval()
    for name, weights in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(weights)
    size = geometry(network).next_size((45, 60))
    x = torch.rand(1, 2, *size)
    with torch.no_grad():
        found = network(x)
        whole = x if valid else F.pad(x, (0, -size[1] % 4, 0, -size[0] % 4), mode="reflect")
        expected = reference(network, whole, residual=residual, valid=valid)
    torch.testing.assert_close(found, expected[..., : found.shape[2], : found.shape[3]])


def test_first_weights_are_as_documented() -> None:
    torch.manual_seed(0)
    for how in ("he", "glorot"):
        network = UNet(8, 1, widths=(32, 64), initialization=how)
        assert all(not weights.any() for name, weights in network.named_parameters() if name.endswith("bias")), how
    weights = network.down[1].conv1.weight.detach()  # 64 × 32 × 3 × 3
    bound = math.sqrt(6 / (9 * 32 + 9 * 64))
    assert 0.98 * bound < float(weights.abs().max()) <= bound
    assert float(weights.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_what_is_not_said_is_as_documented() -> None:
    network = UNet(1, 1)
    assert [block.conv2.out_channels for block in network.down] == [16, 32, 64, 128, 256]
    assert {block.conv1.kernel_size for block in (*network.down, *network.join)} == {(3, 3)}
    assert {pool.kernel_size for pool in network.pool} == {(2, 2)}
    assert not any(isinstance(module, nn.Dropout | nn.Upsample | InstanceNorm) for module in network.modules())
    assert all(block.shortcut is None for block in network.down)
    dropped = UNet(1, 1, widths=(2, 2, 2), dropout=0.25)
    assert [block.dropout.p for block in (*dropped.down, *dropped.join)] == [0.25] * 5
    assert network.geometry() == UNet(1, 1, padding="same", upsampling="transposed").geometry()
    assert AxisGeometry(4, 2) == AxisGeometry(stride=4, halo=2, shrink=0, smallest=1, clamped=0)


@pytest.mark.parametrize("ndim", [2, 3])
def test_upsampling_that_learns_nothing_is_pytorchs(ndim: int) -> None:
    x = torch.rand(1, 2, *(4, 5, 6)[:ndim])
    for how, mode in (("nearest", "nearest"), ("linear", "bilinear" if ndim == 2 else "trilinear")):
        made = up(2, 1, stride=(2,) * ndim, how=how)(x)
        torch.testing.assert_close(made, F.interpolate(x, scale_factor=2, mode=mode))


def test_valid_says_which_sizes_fit() -> None:
    network = UNet(1, 1, widths=(1, 1, 1, 1, 1), padding="valid")
    with pytest.raises(UlnaError, match="do not fit") as caught:
        network(torch.rand(1, 1, 600, 572))
    assert str(caught.value) == (
        "this network's valid convolutions do not fit an input of 600×572 pixels\n"
        "The next size that fits is 604×572; the smallest is 188×188."
    )


def test_build_takes_what_the_config_says() -> None:
    assert count(build(NetworkConfig(), 3, 1)) == count(UNet(3, 1, norm="instance"))
    assert count(build(NetworkConfig(name="fcn8"), 3, 1)) > 1_000_000


@pytest.mark.parametrize(
    "change",
    [
        {"padding": "valid"},
        {"residual": True},
        {"upsampling": "nearest"},
        {"dropout": 0.5},
        {"kernels": 5},
        {"strides": 3},
        {"encoder_blocks": (1, 1, 1, 1, 1)},
        {"deep_supervision": True},
        {"bias": True},
        {"dropout_kind": "channels"},
        {"dropout_place": "middle"},
        {"initialization": "he_uniform"},
    ],
)
def test_build_refuses_what_fcn8_has_not(change: dict[str, object]) -> None:
    with pytest.raises(UlnaError, match="fcn8 cannot do") as caught:
        build(NetworkConfig.model_validate({"name": "fcn8", **change}), 3, 1)
    ((key, value),) = change.items()
    fits = {"padding": "same", "residual": False, "upsampling": "transposed", "kernels": 3, "strides": 2}
    fits |= {"encoder_blocks": (), "deep_supervision": False, "bias": False, "initialization": "he"}
    fits |= {"dropout_kind": "values", "dropout_place": "end"}
    if key in fits:
        assert caught.value.where == f"network.{key}"
        assert caught.value.what == f"fcn8 cannot do '{value}'"
        assert caught.value.hint == f"Set it to '{fits[key]}'."
    else:
        assert (caught.value.where, caught.value.hint) == ("network.dropout_levels", "Set it to 'bottom'.")


@pytest.mark.parametrize("wrong", [{"ndim": 4}, {"widths": (16,)}])
def test_what_is_no_unet_is_refused(wrong: dict[str, Any]) -> None:
    dimensions, widths = wrong.get("ndim", 2), len(wrong.get("widths", range(5)))
    with pytest.raises(UlnaError, match=f"2 or 3 dimensions, not {dimensions}, and at least two widths, not {widths}"):
        UNet(1, 1, **wrong)
