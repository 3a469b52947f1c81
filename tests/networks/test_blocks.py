"""Residual encoders, deep supervision, and where values are dropped: against plain functions and published numbers."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from ulna import modelfile
from ulna.config import Config, NetworkConfig
from ulna.errors import UlnaError
from ulna.labels.classes import Classes
from ulna.networks import InstanceNorm, UNet, build, geometry
from ulna.networks.layers import CONV
from ulna.networks.summary import summarize_network
from ulna.networks.unet import supervised_strides

RESENC = (1, 3, 4, 6, 6, 6)


def on_nothing(**words: Any) -> UNet:
    with torch.device("meta"):
        return UNet(1, 3, norm="instance", bias=True, deep_supervision=True, **words)


def feature_map_size(network: UNet, size: tuple[int, ...]) -> int:
    """What nnU-Net counts of a ResEnc: all convolutions' outputs, and those of shortcuts that average alone."""
    total = 0

    def note(module: nn.Module, _given: Any, out: Tensor) -> None:
        nonlocal total
        total += out.numel()

    for name, module in network.named_modules():
        convolution = isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d)
        alone = name.endswith("shortcut") and len(list(module.children())) == 1
        if convolution or (alone and isinstance(module[0], nn.AvgPool2d | nn.AvgPool3d)):
            module.register_forward_hook(note)
    outputs = network.train()(torch.empty(1, 1, *size, device="meta"))
    assert len(outputs) == network.depth - 2  # nnU-Net has one more, the lowest, with a weight of 0
    lowest = math.prod(
        side // stride for side, stride in zip(size, (2 ** (network.depth - 2),) * len(size), strict=True)
    )
    return total + 3 * lowest


@pytest.mark.parametrize(
    ("size", "widths", "blocks", "published"),
    [
        ((128, 128, 128), (32, 64, 128, 256, 320, 320), RESENC, 558_319_104),
        ((512, 512), (32, 64, 128, 256, 512, 512, 512), (*RESENC, 6), 129_793_792),
    ],
)
def test_feature_maps_of_nnunets_residual_encoders(
    size: tuple[int, ...], widths: tuple[int, ...], blocks: tuple[int, ...], published: int
) -> None:
    """The two numbers stand in nnunetv2/experiment_planning/experiment_planners/resencUNet_planner.py."""
    network = on_nothing(ndim=len(size), widths=widths, encoder_blocks=blocks)
    assert feature_map_size(network, size) == published


def resenc_parameters(channels: int, outputs: int, widths: tuple[int, ...], blocks: tuple[int, ...], taps: int) -> int:
    """By the rules of nnU-Net: biases in convolutions but those of shortcuts, two numbers per channel of a norm."""

    def convolution(before: int, after: int, kernel: int) -> int:
        return before * after * kernel + after

    total = convolution(channels, widths[0], taps) + 2 * widths[0]
    before = widths[0]
    for width, count in zip(widths, blocks, strict=True):
        for _ in range(count):
            total += convolution(before, width, taps) + convolution(width, width, taps) + 4 * width
            total += before * width + 2 * width if before != width else 0
            before = width
    pooled = round(taps ** (math.log(2) / math.log(3)))  # 2 for each 3 of the kernel
    for above, below in pairwise(widths):
        total += convolution(below, above, pooled) + convolution(2 * above, above, taps) + 2 * above
    return total + sum(convolution(width, outputs, 1) for width in widths[:-2])


@pytest.mark.parametrize(("ndim", "widths"), [(3, (32, 64, 128, 256, 320, 320)), (2, (4, 8, 8, 16, 16, 16))])
def test_parameters_of_a_residual_encoder(ndim: int, widths: tuple[int, ...]) -> None:
    network = on_nothing(ndim=ndim, widths=widths, encoder_blocks=RESENC)
    expected = resenc_parameters(1, 3, widths, RESENC, 3**ndim)
    assert sum(weight.numel() for weight in network.parameters()) == expected
    if ndim == 3:  # nnU-Net's largest 3D network; its output at the lowest level, 963 weights, has no part in its loss
        assert expected + 963 == 102_350_575


def normalized(x: Tensor, layer: InstanceNorm) -> Tensor:
    return F.instance_norm(x, weight=layer.weight, bias=layer.bias, eps=layer.eps)


def test_a_residual_encoder_is_what_its_papers_say() -> None:
    """Two levels, two blocks at the second, in plain functions."""
    torch.manual_seed(0)
    network = UNet(1, 2, widths=(3, 4), norm="instance", encoder_blocks=(1, 2)).eval()
    x = torch.rand(1, 1, 8, 12)

    def block(y: Tensor, layers: Any, stride: int) -> Tensor:
        made = normalized(F.conv2d(y, layers.conv1.weight, stride=stride, padding=1), layers.act1).relu()
        made = normalized(F.conv2d(made, layers.conv2.weight, padding=1), layers.act2)
        short = F.avg_pool2d(y, 2) if stride == 2 else y
        if made.shape[1] != y.shape[1]:
            convolution, norm = layers.shortcut[1], layers.shortcut[2]
            short = normalized(F.conv2d(short, convolution.weight), norm)
        return (made + short).relu()

    with torch.no_grad():
        stem, first = network.down[0][0], network.down[0][1]
        top = block(normalized(F.conv2d(x, stem.conv1.weight, padding=1), stem.act1).relu(), first, 1)
        low = block(block(top, network.down[1][0], 2), network.down[1][1], 1)
        y = F.conv_transpose2d(low, network.up[0].weight, network.up[0].bias, stride=2)
        joined = network.join[0]
        y = normalized(F.conv2d(torch.cat([y, top], 1), joined.conv1.weight, padding=1), joined.act1).relu()
        expected = F.conv2d(y, network.head.weight, network.head.bias)
        torch.testing.assert_close(network(x), expected)


@settings(deadline=None, max_examples=15)
@given(
    ndim=st.integers(2, 3),
    kernels=st.lists(st.sampled_from([1, 3, 5]), min_size=3, max_size=3),
    strides=st.lists(st.sampled_from([1, 2, 3]), min_size=2, max_size=2),
    blocks=st.lists(st.integers(1, 2), min_size=3, max_size=3),
)
def test_a_residual_encoder_looks_no_further_than_it_says(
    ndim: int, kernels: list[int], strides: list[int], blocks: list[int]
) -> None:
    torch.manual_seed(0)
    sides = [(1,) * (ndim - 1) + (kernel,) for kernel in kernels]
    steps = [(1,) * (ndim - 1) + (stride,) for stride in strides]
    network = UNet(1, 1, widths=(2, 2, 2), ndim=ndim, kernels=sides, strides=steps, encoder_blocks=blocks)
    network = network.double().eval()
    axis = geometry(network).axes[-1]
    side = 2 * axis.halo + 3 * axis.stride
    side += -side % axis.stride
    x = torch.rand(1, 1, *(1,) * (ndim - 1), side, dtype=torch.float64, requires_grad=True)
    out = network(x)
    reached = 0
    for place in range(axis.halo, min(axis.halo + axis.stride, side - axis.halo)):
        (gradient,) = torch.autograd.grad(out[..., place].sum(), x, retain_graph=True)
        touched = gradient.flatten().nonzero().flatten()
        if len(touched):
            reached = max(reached, place - int(touched.min()), int(touched.max()) - place)
    assert reached <= axis.halo


def test_deep_supervision_has_outputs_in_training_only() -> None:
    torch.manual_seed(0)
    strides = ((1, 2, 2), (2, 2, 1), (2, 2, 2))
    network = UNet(1, 2, widths=(2, 3, 4, 5), ndim=3, strides=strides, norm="instance", deep_supervision=True)
    x = torch.rand(1, 1, 6, 13, 8)  # neither axis is a multiple of what it is pooled by
    main, lower = network(x)
    assert (main.shape, lower.shape) == ((1, 2, 6, 13, 8), (1, 2, 6, 7, 4))
    assert network.supervised == ((1, 1, 1), (1, 2, 2))
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(x), main)
    assert [head.in_channels for head in network.heads] == [3]
    assert supervised_strides(((2, 2),) * 4) == ((1, 1), (2, 2), (4, 4))


def test_every_weight_learns_from_several_outputs() -> None:
    torch.manual_seed(0)
    network = UNet(1, 2, widths=(2, 3, 4, 5), norm="instance", encoder_blocks=(1, 2, 1, 1), deep_supervision=True)
    sum(out.square().sum() for out in network(torch.rand(2, 1, 32, 32))).backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"widths": [4, 8, 16], "deep_supervision": True}, "needs at least 4 levels, not 3"),
        ({"padding": "valid", "deep_supervision": True}, "needs padding: same"),
        ({"encoder_blocks": [1, 1]}, "needs numbers for 5 levels, not 2"),
        ({"encoder_blocks": [1] * 5, "residual": True}, "residual by itself"),
        ({"encoder_blocks": [1] * 5, "padding": "valid"}, "needs residual: false and padding: same"),
        ({"dropout_levels": [0, 3]}, "'bottom', or a list of levels"),
        ({"dropout_levels": "top"}, "'bottom', or a list of levels"),
    ],
)
def test_what_does_not_go_together_is_refused(words: dict[str, object], says: str) -> None:
    with pytest.raises(UlnaError, match=says):
        Config.parse({"network": words})


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"widths": (2, 2, 2), "deep_supervision": True}, "at least four levels, not 3"),
        ({"widths": (2, 2), "encoder_blocks": (1,)}, "for each of 2 levels"),
        ({"widths": (2, 2), "encoder_blocks": (1, 1), "padding": "valid"}, "padding: same"),
        ({"widths": (2, 2), "dropout": 0.5, "dropout_levels": (3,)}, "count from 1 to 2"),
    ],
)
def test_the_network_itself_refuses_it_too(words: dict[str, Any], says: str) -> None:
    with pytest.raises(UlnaError, match=says):
        UNet(1, 1, **words)


def test_more_blocks_than_levels_are_for_deeper_networks() -> None:
    network = build(NetworkConfig(widths=(2, 3), encoder_blocks=RESENC), 1, 1)
    assert [len([one for one in level if hasattr(one, "shortcut")]) for level in network.down] == [1, 3]


def dropped(network: UNet) -> list[list[type[nn.Module]]]:
    kinds = (nn.Dropout, nn.Dropout2d, nn.Dropout3d)
    return [[type(m) for m in level.modules() if isinstance(m, kinds)] for level in (*network.down, *network.join)]


def test_dropout_by_level_kind_and_place() -> None:
    words: dict[str, Any] = {"widths": (2, 2, 2, 2), "dropout": 0.2, "dropout_levels": (3, 4)}
    assert dropped(UNet(1, 1, **words)) == [[], [], [nn.Dropout], [nn.Dropout], [], [], []]
    spatial = UNet(1, 1, **words, dropout_kind="channels", dropout_place="middle", ndim=3)
    assert dropped(spatial) == [[], [], [nn.Dropout3d], [nn.Dropout3d], [], [], []]
    assert isinstance(spatial.down[2].between, nn.Dropout3d)
    everywhere = UNet(1, 1, widths=(2, 2), encoder_blocks=(1, 2), dropout=0.2, dropout_place="middle")
    assert [len(one) for one in dropped(everywhere)] == [1, 2, 1]
    everywhere = UNet(1, 1, widths=(2, 2), encoder_blocks=(1, 2), dropout=0.2, dropout_place="end")
    assert [len(one) for one in dropped(everywhere)] == [1, 1, 1]


def test_spatial_dropout_takes_whole_channels() -> None:
    torch.manual_seed(0)
    network = UNet(1, 1, widths=(8, 8), dropout=0.5, dropout_kind="channels").train()
    seen: list[Tensor] = []
    network.down[0].dropout.register_forward_hook(lambda _module, given, out: seen.extend((given[0], out)))
    network(torch.rand(4, 1, 8, 8))
    before, after = (one.flatten(2) for one in seen)
    gone = (after == 0).all(2) & (before != 0).any(2)
    torch.testing.assert_close(after[~gone], 2 * before[~gone])
    assert 0.1 < float(gone.float().mean()) < 0.9


def test_he_uniform_has_the_deviation_of_he() -> None:
    torch.manual_seed(0)
    weights = UNet(8, 1, widths=(32, 64), initialization="he_uniform").down[1].conv1.weight.detach()
    bound = math.sqrt(6 / (9 * 32))
    assert 0.98 * bound < float(weights.abs().max()) <= bound
    assert float(weights.std()) == pytest.approx(math.sqrt(2 / (9 * 32)), rel=0.05)


def test_biases_before_norms_are_only_there_where_they_are_wanted() -> None:
    plain, biased = (UNet(1, 1, widths=(4, 8), norm="batch", bias=bias) for bias in (False, True))
    counts = [sum(weight.numel() for weight in network.parameters()) for network in (plain, biased)]
    assert counts[1] - counts[0] == 2 * 4 + 2 * 8 + 2 * 4


def test_heads_are_kept_in_the_model_file_shown_in_the_table_and_left_out_of_an_export(tmp_path: Path) -> None:
    config = Config().changed(
        {"data.channels": 1, "network.widths": [2, 3, 4, 5], "network.deep_supervision": True, "network.norm": "batch"}
    )
    network = build(config.network, 1, 1).eval()
    classes = Classes(("background", "cell"), ((0,), (255,)), "binary", "0 is background, 255 is cell")
    modelfile.save(tmp_path / "model.safetensors", modelfile.Saved(network, config, classes, 1))
    x = torch.rand(1, 1, 16, 24)
    loaded = modelfile.load(tmp_path).network
    assert torch.equal(loaded(x), network(x))
    assert torch.equal(loaded.heads[0].weight, network.heads[0].weight)  # type: ignore[union-attr, operator]
    exported = torch.export.export(loaded, (x,))
    assert isinstance(exported.module()(x), Tensor)
    rows = summarize_network(network)
    assert "heads.0" in {row.name for row in rows.layers}
    assert sum(row.parameters for row in rows.layers) == rows.parameters


@pytest.mark.parametrize("size", [(2, 4, 6), (2, 2, 2), (3, 4, 4), (1, 4, 4)])
def test_kernels_learn_from_two_planes_in_bf16(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    convolution = CONV[3](16, 16, 3, padding=1).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    x = torch.randn(2, 16, *size).contiguous(memory_format=torch.channels_last_3d)
    found = []
    for precise in (True, *[False] * 12):
        used = [torch.full((count,), math.nan) for count in (256, 1024, 4096, 16384, 65536)]
        del used  # memory that is given next holds no zeros
        convolution.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            out = convolution(x)
        assert out.shape[2:] == size
        out.float().square().sum().backward()
        assert convolution.weight.grad is not None
        found.append(convolution.weight.grad.clone())
    for gradient in found[1:]:
        torch.testing.assert_close(gradient, found[0], atol=0.02 * float(found[0].abs().max()), rtol=0.05)


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "size"),
    [
        (1, 3, 1, (6, 7, 5)),
        (4, 3, 1, (6, 7, 5)),
        (4, (1, 3, 3), (1, 2, 2), (3, 8, 9)),
        (3, 1, 1, (4, 4, 4)),
        (8, 3, 1, (30, 110, 4)),
    ],
)
def test_a_single_volume_is_convolved_by_onednn(
    channels: int, kernel: int | tuple[int, ...], stride: int | tuple[int, ...], size: tuple[int, ...], learns: bool
) -> None:
    """As in double precision, where PyTorch knows one way only; and not by its slow one, which `SLOW` tells of."""
    generator = torch.Generator().manual_seed(0)
    padding = (kernel // 2,) * 3 if isinstance(kernel, int) else tuple(side // 2 for side in kernel)
    layer = CONV[3](channels, 5, kernel, stride=stride, padding=padding)
    x = torch.randn(1, channels, *size, generator=generator)
    x.requires_grad_(learns)
    with torch.set_grad_enabled(learns), torch.profiler.profile() as seen:
        y = layer(x)
    true_x = x.detach().double().requires_grad_(learns)
    weight, bias = (one.detach().double().requires_grad_() for one in (layer.weight, layer.bias) if one is not None)
    true = nn.functional.conv3d(true_x, weight, bias, stride=stride, padding=padding)
    assert torch.allclose(y.double(), true, atol=1e-4)
    assert y.is_contiguous(memory_format=torch.channels_last_3d)
    if kernel != 1:
        assert not any("slow_conv3d" in one.key for one in seen.key_averages())
    if learns:
        wanted = torch.randn(y.shape, generator=generator)
        torch.autograd.backward(y, wanted)
        torch.autograd.backward(true, wanted.double())
        for one, other in ((x, true_x), (layer.weight, weight), (layer.bias, bias)):
            assert isinstance(one, Tensor)
            assert one.grad is not None
            assert other.grad is not None
            torch.testing.assert_close(one.grad.double(), other.grad, atol=1e-3, rtol=0)
