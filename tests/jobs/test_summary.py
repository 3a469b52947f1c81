"""The layer table: rows, shapes, what is connected to what, totals, and where it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ulna import modelfile
from ulna.config import Config, DataConfig, NetworkConfig
from ulna.errors import UlnaError
from ulna.jobs.summary import summary
from ulna.labels.classes import Classes
from ulna.networks import FCN8, UNet, build
from ulna.preset import preset_names


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_has_a_table(name: str) -> None:
    table = summary(name)
    assert table.layers[0].connected_to == ("input",)
    assert sum(layer.parameters for layer in table.layers) == table.parameters
    known = {"input"}
    for layer in table.layers:
        assert layer.connected_to
        assert set(layer.connected_to) <= known
        known.add(layer.name)
    assert len(known) == len(table.layers) + 1


def test_the_tutorial_as_keras_counts_it() -> None:
    table = summary("tutorial")
    assert table.parameters == 1_962_625
    assert table.input == (3, 128, 128)
    joined = {layer.name: layer for layer in table.layers if layer.kind == "Concatenate"}
    assert [layer.shape for layer in joined.values()] == [
        (384, 16, 16),
        (192, 32, 32),
        (96, 64, 64),
        (48, 128, 128),
    ]
    assert joined["concatenate"].connected_to == ("up.3", "down.3.act2.0")


def test_the_papers_sizes() -> None:
    table = summary("paper")
    shapes = {layer.name: layer.shape[-1] for layer in table.layers}
    assert table.input[1:] == (572, 572)
    assert (shapes["pool.0"], shapes["pool.3"], shapes["down.4.conv2"], shapes["head"]) == (284, 32, 28, 388)


@pytest.mark.parametrize(
    "network",
    [
        UNet(2, 3, widths=(4, 8, 16)),
        UNet(1, 1, widths=(4, 8), ndim=3, residual=True),
        UNet(1, 1, widths=(4, 8), padding="valid"),
        FCN8(3, 2, widths=(2, 4, 4, 8, 8), norm="batch"),
    ],
    ids=["unet", "3D residual", "valid", "fcn8"],
)
def test_multiply_adds_as_pytorch_counts_them(network: nn.Module) -> None:
    table = summary(network, size=(64,) * network.ndim)
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.to("meta").eval()(torch.empty(1, *table.input))
    assert 2 * table.multiply_adds == counter.get_total_flops()


def test_the_network_itself_is_left_alone() -> None:
    network = UNet(1, 1, widths=(4, 8)).train()
    summary(network)
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert network(torch.rand(1, 1, 8, 8)).shape == (1, 1, 8, 8)


def test_residual_sums_have_a_row() -> None:
    table = summary(UNet(1, 1, widths=(2, 4), residual=True))
    sums = [layer for layer in table.layers if layer.kind == "Add"]
    assert len(sums) == 3
    assert sums[0].connected_to == ("down.0.conv2", "down.0.shortcut")


def test_of_a_run(tmp_path: Path) -> None:
    config = Config(data=DataConfig(channels=3), network=NetworkConfig(widths=(4, 8)))
    network = build(config.network, 3, 1)
    classes = Classes(("background", "cell"), ((0,), (255,)), "binary", "0 is background, 255 is cell")
    modelfile.save(tmp_path / modelfile.NAME, modelfile.Saved(network, config, classes, 1))
    table = summary(tmp_path, size=(50, 30))
    assert table.input == (3, 50, 30)
    assert table.parameters == sum(weight.numel() for weight in network.parameters())


def test_it_prints() -> None:
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(summary("tutorial"))
    text = captured.get()
    assert "1,962,625" in text
    assert "up.3, down.3.act2.0" in text


@pytest.mark.parametrize(
    ("what", "size", "words"),
    [
        ("tutoriel", None, "neither a run nor a preset"),
        ("paper", (100, 100), "do not fit"),
        ("tutorial", (9,), "2 sizes"),
    ],
)
def test_what_cannot_be_shown_is_said(what: str, size: tuple[int, ...] | None, words: str) -> None:
    with pytest.raises(UlnaError, match=words):
        summary(what, size=size)
