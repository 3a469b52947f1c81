from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ulna.networks import InstanceNorm, UNet, measure_statistics, with_statistics
from ulna.networks.graph import Probabilities, example_inputs, graph, norm_channels, packed, unpacked


def make(**settings: Any) -> UNet:
    torch.manual_seed(0)
    network = UNet(2, 3, widths=(4, 6, 8), **{"norm": "instance", **settings}).eval()
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return network


@pytest.mark.parametrize(
    "settings", [{}, {"ndim": 3}, {"residual": True}, {"norm": "batch"}, {"norm": "none", "padding": "valid"}]
)
def test_a_graph_is_the_network(settings: dict[str, Any]) -> None:
    network = make(**settings)
    (image,) = example_inputs(network, 2)
    image = 3 + torch.randn_like(image)
    with torch.no_grad():
        torch.testing.assert_close(graph(network)(image), network(image), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("ndim", [2, 3])
def test_given_statistics_are_those_that_are_measured(ndim: int) -> None:
    network = make(ndim=ndim)
    image, zeros = example_inputs(network, 2, "given")
    image, other = torch.randn_like(image), 2 + 3 * torch.randn_like(image)
    statistics = measure_statistics(network, [other])
    numbers = packed(network, statistics)
    assert numbers.dtype == np.float32
    assert numbers.shape == zeros.shape == (2, norm_channels(network))
    with torch.no_grad():
        expected = with_statistics(network, statistics)(image)
        found = graph(network, "given")(image, torch.from_numpy(numbers))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"ndim": 3}, {"residual": True}, {"padding": "valid"}])
def test_noted_statistics_are_those_that_are_measured(settings: dict[str, Any]) -> None:
    network = make(**settings)
    (image,) = example_inputs(network, 2, "noted")
    windows = [scale + scale * torch.randn_like(image) for scale in (1, 3)]
    with torch.no_grad():
        notes = torch.cat([graph(network, "noted")(window) for window in windows])
    assert notes.shape == (2, 2, norm_channels(network))
    found, expected = unpacked(network, notes.numpy()), measure_statistics(network, windows)
    assert list(found) == list(expected)
    for name, moments in expected.items():
        torch.testing.assert_close(found[name], moments, atol=2e-5, rtol=1e-4)


def test_the_network_is_left_as_it_is() -> None:
    network = make().double()
    before = copy.deepcopy(network.state_dict())
    for norms in ("own", "fused", "given", "noted"):
        plain = graph(network, norms)
        assert {weight.dtype for weight in plain.parameters()} == {torch.float32}
        assert not plain.training
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_weights_are_shared_where_they_can_be() -> None:
    network = make()
    ours = {weight.data_ptr() for weight in network.parameters()}
    assert {weight.data_ptr() for weight in graph(network).parameters()} <= ours


def test_large_images_far_from_zero_are_normalized_exactly() -> None:
    norm = InstanceNorm(1)
    image = 100 + torch.randn(1, 1, 1500, 1000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = graph(nn.Sequential(norm))(image)
    expected = (image.double() - image.double().mean()) / (image.double().var(correction=0) + norm.eps).sqrt()
    torch.testing.assert_close(found.double(), expected, atol=2e-4, rtol=1e-5)


@pytest.mark.parametrize("exclusive", [0, 2, 3])
def test_probabilities_are_those_of_several_networks_averaged(exclusive: int) -> None:
    one, other = make(), make(norm="none")
    (image,) = example_inputs(one, 2)
    image = torch.randn_like(image)

    def activated(logits: torch.Tensor) -> torch.Tensor:
        return torch.cat([logits[:, :exclusive].softmax(1), logits[:, exclusive:].sigmoid()], 1)

    with torch.no_grad():
        expected = (activated(one(image)) + activated(other(image))) / 2
        torch.testing.assert_close(Probabilities([one, other], exclusive)(image), expected, atol=1e-5, rtol=1e-4)
