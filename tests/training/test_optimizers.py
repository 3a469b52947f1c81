"""Muon beside PyTorch's, which takes matrices, and beside AdamW."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD, Adam, AdamW

from ulna.config import TrainingConfig
from ulna.networks import UNet
from ulna.training.optimizers import OPTIMIZERS, Muon, is_kernel, orthogonalize

WORDS = {"lr": 0.02, "weight_decay": 0.1}


def network() -> UNet:
    torch.manual_seed(0)
    return UNet(3, 1, widths=(4, 8), norm="instance")


def gradients(net: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weights in net.parameters():
        weights.grad = torch.empty_like(weights).copy_(torch.randn(weights.shape, generator=generator))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 9))
def test_singular_values_become_alike_and_their_vectors_stay(rows: int, columns: int, seed: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.mT @ orthogonalize(matrix) @ right.mT
    assert torch.allclose(turned, turned.diagonal().diag(), atol=1e-6)
    large = values > 0.02 * values.norm()
    assert ((turned.diagonal() > 0.6) & (turned.diagonal() < 1.25))[large].all()


def test_each_singular_value_goes_through_jordans_polynomial_five_times() -> None:
    values = torch.tensor([3.0, 2.0, 1.0, 0.3, 0.01], dtype=torch.float64)
    expected = values / values.norm()
    for _ in range(5):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    left, right = (torch.linalg.qr(torch.randn(n, 5, dtype=torch.float64))[0] for n in (5, 9))
    for matrix in (left @ values.diag() @ right.mT, right @ values.diag() @ left.mT):
        made = orthogonalize(matrix)
        wanted = left @ expected.diag() @ right.mT
        torch.testing.assert_close(made, wanted if made.shape == wanted.shape else wanted.mT)


def test_settings_reach_the_optimizers() -> None:
    config = TrainingConfig(learning_rate=0.02, momentum=0.8, weight_decay=0.03)
    weights = [nn.Parameter(torch.ones(2, 2, 3, 3)), nn.Parameter(torch.ones(3))]
    for name, kind in {"muon": Muon, "adamw": AdamW, "adam": Adam, "sgd": SGD}.items():
        made = OPTIMIZERS[name](weights, config)
        assert type(made) is kind
        for group in made.param_groups:
            assert (group["lr"], group["weight_decay"]) == (0.02, 0.03)
        assert [group.get("momentum") for group in made.param_groups] == {
            "muon": [0.8, None], "sgd": [0.8],
        }.get(name, [None])  # fmt: skip


@pytest.mark.parametrize("scale", [0.0, 1e-15, 1e15])
def test_of_any_size_and_of_nothing(scale: float) -> None:
    made = orthogonalize(scale * torch.eye(3))
    assert torch.allclose(made, made[0, 0] * torch.eye(3), atol=1e-6)
    assert (scale > 0) == (0.6 < float(made[0, 0]) < 1.25)


@pytest.mark.parametrize("shape", [(6, 5, 3, 3), (24, 1, 3, 3), (4, 2, 3, 3, 3)])
def test_a_kernel_moves_as_pytorchs_muon_moves_the_matrix(shape: tuple[int, ...]) -> None:
    kernel = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    matrix = nn.Parameter(kernel.detach().flatten(1).clone())
    before = matrix.detach().clone()
    ours = Muon([kernel], momentum=0.9, **WORDS)
    theirs = torch.optim.Muon([matrix], momentum=0.9, adjust_lr_fn="match_rms_adamw", **WORDS)
    for seed in range(4):
        kernel.grad = torch.randn(kernel.shape, generator=torch.Generator().manual_seed(seed))
        matrix.grad = kernel.grad.flatten(1).clone()
        ours.step()
        theirs.step()
    moved, wanted = kernel.detach().flatten(1) - before, matrix.detach() - before
    assert float((moved - wanted).norm() / wanted.norm()) < 0.02  # theirs reckons in bfloat16


def test_all_other_weights_move_as_adamw_moves_them() -> None:
    net = network()
    other = copy.deepcopy(net)
    ours, theirs = Muon(net.parameters(), momentum=0.9, **WORDS), torch.optim.AdamW(other.parameters(), **WORDS)
    for seed in range(3):
        gradients(net, seed)
        gradients(other, seed)
        ours.step()
        theirs.step()
        assert all(weights.grad is not None for weights in net.parameters())
    for (name, mine), its in zip(net.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, its) != is_kernel(mine), name
    kernels = {name for name, weights in net.named_parameters() if is_kernel(weights)}
    convolutions = ("down.0.conv", "down.1.conv", "join.0.conv")
    assert kernels == {f"{one}{number}.weight" for one in convolutions for number in (1, 2)} | {"up.0.weight"}


def test_how_the_pixels_lie_in_memory_changes_nothing() -> None:
    plain, last = network(), network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for net in (plain, last):
        optimizer = Muon(net.parameters(), momentum=0.9, **WORDS)
        for seed in range(3):
            gradients(net, seed)
            optimizer.step()
    for mine, its in zip(plain.parameters(), last.parameters(), strict=True):
        assert torch.allclose(mine, its, atol=1e-5)


def test_weights_without_a_gradient_stay() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())
    Muon(net.parameters(), momentum=0.9, **WORDS).step()
    assert all(torch.equal(before[name], weights) for name, weights in net.state_dict().items())


def test_it_goes_on_from_a_stored_state() -> None:
    straight, stopped = network(), network()
    first, second = (Muon(net.parameters(), momentum=0.9, **WORDS) for net in (straight, stopped))
    for seed in range(4):
        if seed == 2:
            stored = copy.deepcopy(second.state_dict())
            second = Muon(stopped.parameters(), momentum=0.9, **WORDS)
            second.load_state_dict(stored)
        for net, optimizer in ((straight, first), (stopped, second)):
            gradients(net, seed)
            optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(straight.parameters(), stopped.parameters(), strict=True))
    assert {float(second.state[weights]["step"]) for weights in stopped.parameters()} == {4.0}
