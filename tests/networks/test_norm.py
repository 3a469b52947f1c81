"""Instance norm against PyTorch's own, its gradients, its numerics, and its statistics as a value."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from ulna.networks import InstanceNorm, UNet, measure_statistics, with_statistics

LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


def random_norm(channels: int, *, relu: bool = False) -> InstanceNorm:
    norm = InstanceNorm(channels, relu=relu)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


def theirs(x: Tensor, norm: InstanceNorm) -> Tensor:
    y = F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps)
    return y.relu() if norm.relu else y


@settings(deadline=None, max_examples=40)
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 5),
    size=st.lists(st.integers(1, 9), min_size=2, max_size=3).filter(lambda n: max(n) > 1),
    last=st.booleans(),
    relu=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_pytorch_with_its_gradients(
    batch: int, channels: int, size: list[int], last: bool, relu: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    norm = random_norm(channels, relu=relu)
    x = torch.randn(batch, channels, *size)
    if last:
        x = x.to(memory_format=LAYOUTS[x.ndim])
    results = []
    for how in (norm, lambda x: theirs(x, norm)):
        given_x = x.clone().requires_grad_()
        y = how(given_x)
        grads = torch.autograd.grad(
            (y * torch.linspace(0, 1, y.numel()).view_as(y)).sum(), (given_x, *norm.parameters())
        )
        results.append((y, *grads))
    for ours, others in zip(*results, strict=True):
        torch.testing.assert_close(ours, others, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(results[0][0], results[1][0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_many_pixels_are_added_up_right(layout: torch.memory_format) -> None:
    torch.manual_seed(5)
    x = (torch.randn(1, 2, 1200, 1100) * 0.1 + 0.6).contiguous(memory_format=layout)
    with torch.no_grad():
        torch.testing.assert_close(InstanceNorm(2)(x), F.instance_norm(x.double()).float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(256, 256), (40, 40, 40), (300, 300)])
@pytest.mark.parametrize("last", [False, True])
def test_16_bits_lose_no_more_than_rounding(size: tuple[int, ...], last: bool) -> None:
    torch.manual_seed(3)
    x = (torch.randn(2, 3, *size) * 0.5 + 5).bfloat16()
    if last:
        x = x.to(memory_format=LAYOUTS[x.ndim])
    norm = random_norm(3, relu=True)
    results = []
    for how, given_x in ((norm, x), (lambda x: theirs(x, norm), x.float())):
        given_x = given_x.detach().requires_grad_()
        y = how(given_x)
        grads = torch.autograd.grad((y.float() * torch.linspace(-1, 1, y.shape[-1])).sum(), (given_x, norm.weight))
        results.append([value.float() for value in (y, *grads)])
    for ours, others in zip(*results, strict=True):
        torch.testing.assert_close(ours, others, atol=1e-2 * float(others.detach().abs().max()), rtol=1e-2)
    unscaled = InstanceNorm(3)(x).float()
    assert unscaled.mean(dim=tuple(range(2, x.ndim))).abs().max() < 1e-3


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 3, 2, 4), (2, 2, 1, 1)])
def test_gradients_in_double(shape: tuple[int, ...], relu: bool) -> None:
    torch.manual_seed(1)
    norm = random_norm(shape[1], relu=relu).double()
    x = torch.randn(shape, dtype=torch.float64).to(memory_format=LAYOUTS[len(shape)]).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, weight, bias: torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (x,)),
        (x, norm.weight, norm.bias),
    )


@pytest.mark.parametrize("mean", [0.0, 1e2, 1e4])
def test_a_large_mean_costs_no_more_than_the_input_has_digits(mean: float) -> None:
    torch.manual_seed(2)
    x = (torch.randn(1, 4, 64, 64) + mean).to(memory_format=torch.channels_last)
    norm = InstanceNorm(4)
    exact = F.instance_norm(x.double())
    with torch.no_grad():
        assert (norm(x) - exact).abs().max() < 1e-5 + 1e-6 * mean


def test_one_pixel_gives_the_shift() -> None:
    norm = random_norm(3)
    for module in (norm.train(), norm.eval()):
        x = torch.randn(2, 3, 1, 1, requires_grad=True)
        y = module(x)
        torch.testing.assert_close(y, norm.bias.view(1, 3, 1, 1).expand_as(y))
        y.sum().backward()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()


def test_autocast_keeps_bf16_and_takes_statistics_in_float32() -> None:
    torch.manual_seed(3)
    norm = random_norm(4, relu=True)
    x = (torch.randn(2, 4, 32, 32) + 3).bfloat16().to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), theirs(x.float(), norm), atol=3e-2, rtol=1e-2)


def test_exports_to_plain_operations() -> None:
    torch.manual_seed(4)
    norm = random_norm(3, relu=True).eval()
    x = torch.randn(1, 3, 8, 8)
    exported = torch.export.export(norm, (x,))
    torch.testing.assert_close(exported.module()(x), norm(x), atol=1e-5, rtol=1e-5)


def unet(seed: int, norm: str = "instance") -> UNet:
    torch.manual_seed(seed)
    network = UNet(2, 1, widths=(4, 8, 16), norm=norm).double().eval()
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return network


def test_fixed_on_an_image_is_the_image_itself() -> None:
    network, x = unet(0), torch.rand(1, 2, 37, 50, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(with_statistics(network, measure_statistics(network, [x]))(x), network(x))


@pytest.mark.filterwarnings("ignore::Warning")  # tracing is deprecated, and warns of sizes; engines may still use it
@pytest.mark.parametrize("how", ["as it is", "copied", "traced", "exported"])
def test_fixed_tiles_are_the_whole_whatever_is_done_with_the_network(how: str) -> None:
    network, x = unet(1), torch.rand(1, 2, 128, 96, dtype=torch.float64)
    geometry = network.geometry().axes[0]
    margin = -(-geometry.halo // geometry.stride) * geometry.stride
    tile = x[:, :, 32 - margin : 64 + margin]
    with torch.no_grad():
        whole, alone = network(x), network(tile)
        fixed = with_statistics(network, measure_statistics(network, [x]))
        if how == "copied":
            fixed = copy.deepcopy(fixed)
        elif how == "traced":
            fixed = torch.jit.trace(fixed, tile)
        elif how == "exported":
            fixed = torch.export.export(fixed, (tile,)).module()
        found = fixed(tile)
    torch.testing.assert_close(found[:, :, margin : margin + 32], whole[:, :, 32:64])
    assert not torch.allclose(alone[:, :, margin : margin + 32], whole[:, :, 32:64])


def test_several_windows_are_pooled_by_their_pixels() -> None:
    x = torch.rand(1, 3, 10, 6, dtype=torch.float64)
    norm = InstanceNorm(3).double()
    fixed = with_statistics(norm, measure_statistics(norm, [x[:, :, :3], x[:, :, 3:]]))
    torch.testing.assert_close(fixed(x), F.instance_norm(x))


def test_the_network_is_left_as_it_is_and_its_weights_are_shared() -> None:
    network, x = unet(2).train(), torch.rand(1, 2, 16, 16, dtype=torch.float64)
    before = [(module, module.training, dict(vars(module))) for module in network.modules()]
    fixed = with_statistics(network, measure_statistics(network, [x]))
    assert [(module, module.training, dict(vars(module))) for module in network.modules()] == before
    assert not any(module.training for module in fixed.modules())
    assert {id(weight) for weight in fixed.parameters()} == {id(weight) for weight in network.parameters()}
    assert not {id(module) for module in fixed.modules()} & {id(module) for module in network.modules()}
    assert len([name for name, _ in fixed.named_buffers() if name.endswith(("mean", "var"))]) == 20


def test_a_norm_that_stands_in_two_places_is_fixed_in_both() -> None:
    norm = InstanceNorm(2).double()
    pair = nn.Sequential(norm, nn.Conv2d(2, 2, 1).double(), nn.Sequential(norm))
    x = torch.rand(1, 2, 8, 8, dtype=torch.float64) * 7
    statistics = measure_statistics(pair, [x])
    assert list(statistics) == ["0"]
    fixed = with_statistics(pair, statistics)
    assert fixed[0] is fixed[2][0]  # type: ignore[index]


def test_statistics_of_another_network_are_refused() -> None:
    x = torch.rand(1, 2, 16, 16, dtype=torch.float64)
    statistics = measure_statistics(unet(3), [x])
    with pytest.raises(ValueError, match="statistics of"):
        with_statistics(InstanceNorm(3), statistics)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_no_instance_norm_nothing_happens(norm: str) -> None:
    network, x = unet(3, norm), torch.rand(1, 2, 16, 16, dtype=torch.float64)
    assert measure_statistics(network, []) == {}
    with torch.no_grad():
        assert torch.equal(with_statistics(network, {})(x), network(x))
