"""The layers of a network as a table: names, shapes, parameters, and what each takes its input from."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from rich.console import Group
from rich.table import Table
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ulna import text
from ulna.console import Printed
from ulna.errors import UlnaError
from ulna.networks.geometry import geometry

SIDE = 128
"""The size, along each axis, that shapes are shown for where neither the user nor the configuration names one."""

JOINS = {"cat": "Concatenate", "add": "Add", "__add__": "Add"}
"""Functions, by name, that bring tensors together and so get a row of their own."""


@dataclass(frozen=True)
class Layer:
    """One row of the table.

    Parameters
    ----------
    name, kind
        Of the layer.
    shape
        Of its output, (channels, *spatial).
    parameters
        How many numbers it learns.
    multiply_adds
        For one image.
    connected_to
        The names of the layers whose outputs it takes.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    connected_to: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class NetworkSummary(Printed):
    """The layers of a network; it prints itself.

    Parameters
    ----------
    title
        The name of the table.
    input
        The shape of the input, (channels, *spatial).
    layers
        In the order in which they run.
    parameters
        How many numbers the network learns.
    statistics
        Running means and variances of batch norms, which are not learned.
    """

    title: str
    input: tuple[int, ...]
    layers: tuple[Layer, ...]
    parameters: int
    statistics: int = 0

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one image, of convolutions alone, for they are nearly all."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def memory(self) -> int:
        """Bytes of all layers' outputs for one image in float32: what training holds for each, about."""
        return 4 * sum(math.prod(layer.shape) for layer in self.layers)

    def __rich__(self) -> Group:
        """The table and its totals."""
        table = Table(title=f"{self.title}, input {text.size(self.input)}", title_justify="left")
        table.add_column("layer", overflow="fold")
        table.add_column("kind", overflow="fold")
        table.add_column("output shape", justify="right")
        table.add_column("parameters", justify="right")
        table.add_column("connected to", overflow="fold")
        for layer in self.layers:
            connected = ", ".join(layer.connected_to)
            table.add_row(layer.name, layer.kind, text.size(layer.shape), f"{layer.parameters:,}", connected)
        counted = f"{self.statistics:,} beside them (batch norm); Keras counts {self.parameters + self.statistics:,}"
        return Group(
            table,
            f"parameters       {self.parameters:,} ({text.amount(4 * self.parameters)} in float32)",
            *([f"statistics       {counted}"] if self.statistics else []),
            f"multiply-adds    {self.multiply_adds / 1e9:,.3g} billion for one image",
            f"layers' outputs  {text.amount(self.memory)} for one image in float32",
        )

    def __repr__(self) -> str:
        return f"<{self.title}: {len(self.layers)} layers, {self.parameters:,} parameters>"


def summarize_network(
    network: nn.Module, title: str = "", *, size: Sequence[int] | None = None, default: Sequence[int] = ()
) -> NetworkSummary:
    """The layer table of a network, which is left as it is.

    Nothing is computed: a copy of it runs on tensors without content.

    Parameters
    ----------
    network
        A network whose first weight is that of a convolution.
    title
        The name of the table; by default the network's class.
    size
        The spatial size of the input.
    default
        What `size` is where it is not given; by default what suits the network best near 128 pixels a side.

    Returns
    -------
    NetworkSummary
        It prints itself.

    Raises
    ------
    UlnaError
        For a size that does not suit the network.
    """
    ndim = int(getattr(network, "ndim", 2))
    if size is not None and (len(size) != ndim or min(size) < 1):
        raise UlnaError(f"this network needs {ndim} sizes of at least one pixel, not {tuple(size)}")
    # outputs of lower levels are there in training only
    empty = copy.deepcopy(network).to("meta").train(bool(getattr(network, "supervised", ())))
    wanted = tuple(size or default or geometry(network).next_size((SIDE,) * ndim))
    channels = next(network.parameters()).shape[1]
    layers = _trace(empty, (channels, *wanted))
    running = sum(values.numel() for values in empty.buffers() if values.is_floating_point())
    return NetworkSummary(title or type(network).__name__, (channels, *wanted), layers, _count(network), running)


class _Paths(TorchFunctionMode):
    """Follows tensors from layer to layer, through padding, cropping and whatever else lies between."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.origins: dict[int, tuple[str, ...]] = {}  # by the tensor's id: the layers that it came from
        self.alive: list[Tensor] = []  # so that no id is given twice
        self.within = False  # a layer: what it calls is its own affair

    def mark(self, tensor: Tensor, origins: tuple[str, ...]) -> None:
        """Remember where a tensor came from."""
        self.origins[id(tensor)] = origins
        self.alive.append(tensor)

    def came_from(self, tensors: Iterable[Any]) -> tuple[str, ...]:
        """The layers that these tensors came from, each once."""
        return tuple(dict.fromkeys(name for t in tensors for name in self.origins.get(id(t), ())))

    def add(self, name: str, kind: str, out: Tensor, given: Sequence[Any], *, layer: nn.Module | None = None) -> None:
        """A row for a layer or a join, under a name that is not taken yet."""
        taken = sum(row.name.partition(" ")[0] == name for row in self.layers)
        name = f"{name} ({taken + 1})" if taken else name
        shape = tuple(int(n) for n in out.shape[1:])
        weights = 0 if layer is None or taken else _count(layer)
        work = 0 if layer is None else _multiply_adds(layer, given[0], out)
        self.layers.append(Layer(name, kind, shape, weights, work, self.came_from(given)))
        self.mark(out, (name,))

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called by PyTorch in place of each of its functions."""
        out = func(*args, **(kwargs or {}))
        if self.within or not isinstance(out, Tensor):
            return out
        several = (arg if isinstance(arg, list | tuple) else (arg,) for arg in args)
        given = [tensor for group in several for tensor in group if isinstance(tensor, Tensor)]
        kind = JOINS.get(getattr(func, "__name__", ""))
        if kind and len(self.came_from(given)) > 1:
            self.add(kind.lower(), kind, out, given)
        elif id(out) not in self.origins:
            self.mark(out, self.came_from(given))
        return out


def _trace(network: nn.Module, shape: tuple[int, ...]) -> tuple[Layer, ...]:
    """Run the network once and note every layer that has no layers within, and every join."""
    paths = _Paths()
    image = torch.empty(1, *shape, device="meta")
    paths.mark(image, ("input",))

    def enter(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        paths.within = True

    def leave(module: nn.Module, given: tuple[Tensor, ...], out: Tensor, *, name: str) -> None:
        paths.within = False
        paths.add(name, type(module).__name__, out, given, layer=module)

    for name, module in network.named_modules():
        if not any(module.children()) and not isinstance(module, nn.Identity | nn.Sequential | nn.ModuleList):
            module.register_forward_pre_hook(enter)
            module.register_forward_hook(partial(leave, name=name))
    with torch.no_grad(), paths:
        network(image)
    return tuple(paths.layers)


def _multiply_adds(layer: nn.Module, given: Tensor, out: Tensor) -> int:
    """Of a convolution: each weight once for every place of the output, or of the input if transposed."""
    if isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d):
        return layer.weight.numel() * math.prod(given.shape[2:])
    if isinstance(layer, nn.Conv2d | nn.Conv3d):
        return layer.weight.numel() * math.prod(out.shape[2:])
    return 0


def _count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())
