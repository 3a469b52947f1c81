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

TABLE = """\
UNet, input 1 × 800 × 1000
┏━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
┃ layer           ┃ kind            ┃   output shape ┃ parameters ┃ connected to                  ┃
┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┩
│ down.0.conv1    │ Conv2d          │ 2 × 800 × 1000 │         20 │ input                         │
│ down.0.act1.0   │ ReLU            │ 2 × 800 × 1000 │          0 │ down.0.conv1                  │
│ down.0.conv2    │ Conv2d          │ 2 × 800 × 1000 │         38 │ down.0.act1.0                 │
│ down.0.shortcut │ Conv2d          │ 2 × 800 × 1000 │          4 │ input                         │
│ add             │ Add             │ 2 × 800 × 1000 │          0 │ down.0.conv2, down.0.shortcut │
│ pool.0          │ MaxPool2d       │  2 × 400 × 500 │          0 │ add                           │
│ down.1.conv1    │ Conv2d          │  4 × 400 × 500 │         76 │ pool.0                        │
│ down.1.act1.0   │ ReLU            │  4 × 400 × 500 │          0 │ down.1.conv1                  │
│ down.1.conv2    │ Conv2d          │  4 × 400 × 500 │        148 │ down.1.act1.0                 │
│ down.1.shortcut │ Conv2d          │  4 × 400 × 500 │         12 │ pool.0                        │
│ add (2)         │ Add             │  4 × 400 × 500 │          0 │ down.1.conv2, down.1.shortcut │
│ up.0            │ ConvTranspose2d │ 2 × 800 × 1000 │         34 │ add (2)                       │
│ concatenate     │ Concatenate     │ 4 × 800 × 1000 │          0 │ up.0, add                     │
│ join.0.conv1    │ Conv2d          │ 2 × 800 × 1000 │         74 │ concatenate                   │
│ join.0.act1.0   │ ReLU            │ 2 × 800 × 1000 │          0 │ join.0.conv1                  │
│ join.0.conv2    │ Conv2d          │ 2 × 800 × 1000 │         38 │ join.0.act1.0                 │
│ join.0.shortcut │ Conv2d          │ 2 × 800 × 1000 │         10 │ concatenate                   │
│ add (3)         │ Add             │ 2 × 800 × 1000 │          0 │ join.0.conv2, join.0.shortcut │
│ head            │ Conv2d          │ 3 × 800 × 1000 │          9 │ add (3)                       │
└─────────────────┴─────────────────┴────────────────┴────────────┴───────────────────────────────┘
parameters       463 (0.0 MiB in float32)
multiply-adds    0.194 billion for one image
layers' outputs  105.3 MiB for one image in float32
"""


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


def test_the_whole_table() -> None:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(summary(UNet(1, 3, widths=(2, 4), residual=True), size=(800, 1000)))
    assert [line.rstrip() for line in captured.get().splitlines()] == TABLE.splitlines()


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
