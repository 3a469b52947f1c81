"""Networks as other libraries want them: one function of tensors, in which the statistics of norms are inputs.

A compiled graph cannot be compiled anew for every image. So what differs from image to image, the mean and the variance
by which instance norms normalize, goes into it beside the image: as one array with a factor and an offset per channel,
into which mean, variance and the learned numbers of each norm are put together. A graph of its own gives the means and
variances of an image.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ulna.networks.geometry import geometry
from ulna.networks.norm import InstanceNorm, Moments, Statistics, instance_norms, weight_sharing_copy

PackedStatistics = npt.NDArray[np.float32]
"""(2, channels of all instance norms): factors and offsets, in the order of the network's modules."""

Norms = Literal["own", "fused", "given", "noted"]
"""By what the instance norms of a graph normalize: the statistics of their own input, in plain operations; the same as
the one operation that other libraries know, faster, and less exact; statistics that are an input beside the image; as
by their own, and what the graph gives are these."""


def packed(network: nn.Module, statistics: Statistics) -> PackedStatistics:
    """The statistics of an image as `graph` takes them.

    Parameters
    ----------
    network
        The network that they were measured of.
    statistics
        Of each of its instance norms, at least one.

    Returns
    -------
    ndarray
        (2, channels of all instance norms) float32: what a channel is multiplied by, and what is then added.
    """
    factors, offsets = [], []
    for name, norm in instance_norms(network):
        mean, var = statistics[name]
        factor = norm.weight.detach() * (var + norm.eps).rsqrt()
        factors.append(factor)
        offsets.append(norm.bias.detach() - mean * factor)
    return torch.stack([torch.cat(factors), torch.cat(offsets)]).float().cpu().numpy()


def unpacked(network: nn.Module, notes: npt.NDArray[np.float32]) -> Statistics:
    """The statistics of several windows of one shape together, of what a graph with noted norms gives of them.

    Parameters
    ----------
    network
        Whose graph it was.
    notes
        (windows, 2, channels of all instance norms): means and variances.

    Returns
    -------
    Statistics
        The variance of all is the mean of the windows' variances plus the variance of their means.
    """
    mean, var = (torch.from_numpy(part) for part in (notes[:, 0].mean(0), notes[:, 1].mean(0) + notes[:, 0].var(0)))
    found: dict[str, Moments] = {}
    start = 0
    for name, norm in instance_norms(network):
        channels = slice(start, start + norm.channels)
        found[name] = (mean[channels], var[channels])
        start = channels.stop
    return found


def graph(network: nn.Module, norms: Norms = "own") -> nn.Module:
    """A network of plain operations, ready to be exported: in evaluation mode, float32, on the CPU.

    Parameters
    ----------
    network
        It is left as it is, and shares its weights where these are float32 on the CPU.
    norms
        By what its instance norms normalize.

    Returns
    -------
    Module
        Of an image (N, C, *spatial), and where they are given of statistics as `packed` makes them, to logits
        (N, K, *spatial); with norms that are noted to means and variances, (N, 2, channels of all instance norms).
    """
    plain = network
    if any(weight.dtype != torch.float32 or weight.device.type != "cpu" for weight in network.parameters()):
        plain = copy.deepcopy(network).to("cpu", torch.float32)
    replaced: dict[nn.Module, nn.Module] = {}
    place, start = _Place(), 0
    for _, norm in instance_norms(plain):
        match norms:
            case "own":
                replaced[norm] = _Own(norm)
            case "fused":
                replaced[norm] = _Fused(norm)
            case "given":
                replaced[norm] = _Given(norm, place, start)
            case "noted":
                replaced[norm] = _Noted(norm, place, start)
        start += norm.channels
    ready = weight_sharing_copy(plain, replaced).eval()
    return {"given": _WithInput, "noted": _Notes}[norms](ready, place).eval() if norms in ("given", "noted") else ready


class Probabilities(nn.Module):
    """Networks as one that gives probabilities: for programs that know nothing of logits, nor of ensembles.

    Parameters
    ----------
    networks
        One or more of the same kind; what they say is averaged. They are left as they are.
    exclusive
        The first so many outputs are a softmax, each of the others is a sigmoid.
    """

    def __init__(self, networks: Sequence[nn.Module], exclusive: int) -> None:
        super().__init__()
        self.networks = nn.ModuleList(graph(network) for network in networks)
        self.exclusive = exclusive
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Normalized images (N, C, *spatial) → numbers from 0 to 1, (N, K, *spatial).

        Parameters
        ----------
        image
            (N, C, *spatial).

        Returns
        -------
        Tensor
            (N, K, *spatial).
        """
        several: list[Tensor] = [self._activated(network(image)) for network in self.networks]
        return several[0] if len(several) == 1 else torch.stack(several).mean(0)

    def _activated(self, logits: Tensor) -> Tensor:
        count = self.exclusive
        if count in (0, int(logits.shape[1])):
            return logits.softmax(1) if count else logits.sigmoid()
        return torch.cat([logits[:, :count].softmax(1), logits[:, count:].sigmoid()], dim=1)


def example_inputs(network: nn.Module, channels: int, norms: Norms = "own") -> tuple[Tensor, ...]:
    """Inputs with which a graph can be traced: an image so large that every level has several pixels.

    Parameters
    ----------
    network
        The network that `graph` was made of.
    channels
        Of its images.
    norms
        By what its instance norms normalize.

    Returns
    -------
    tuple of Tensor
        Zeros: an image (1, channels, *spatial), and where they are given the statistics.
    """
    fit = geometry(network)
    sides = fit.next_size([2 * stride for stride in fit.strides])
    image = torch.zeros(1, channels, *sides)
    return (image, torch.zeros(2, norm_channels(network))) if norms == "given" else (image,)


def norm_channels(network: nn.Module) -> int:
    """How many channels all instance norms of a network have together.

    Parameters
    ----------
    network
        Any network.

    Returns
    -------
    int
        0 for a network without any.
    """
    return sum(norm.channels for _, norm in instance_norms(network))


class _Fused(nn.Module):
    """An instance norm as one operation."""

    def __init__(self, norm: InstanceNorm) -> None:
        super().__init__()
        self.eps, self.relu = norm.eps, norm.relu
        self.weight, self.bias = norm.weight, norm.bias

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) → the same shape."""
        y = F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)
        return y.relu() if self.relu else y


class _Own(_Fused):
    """An instance norm in plain operations, which takes its means axis by axis.

    Libraries know instance norms as one operation, and add up all pixels one after the other: at 1024×1024 the
    outputs of OpenVINO's were off by 0.003. Over one axis after the other rounding stays small.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) → the same shape."""
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean = _mean(x)
        apart = x - mean
        var = _mean(apart * apart)
        self.note(mean, var)
        factor = self.weight.view(shape) * (var + self.eps).rsqrt()
        y = x * factor + (self.bias.view(shape) - mean * factor)
        return y.relu() if self.relu else y

    def note(self, mean: Tensor, var: Tensor) -> None:
        """Nothing is done with the statistics of an input, (N, C, 1, …)."""


class _Noted(_Own):
    """An instance norm that puts its statistics aside."""

    def __init__(self, norm: InstanceNorm, place: _Place, start: int) -> None:
        super().__init__(norm)
        self.place = place
        self.start = start

    def note(self, mean: Tensor, var: Tensor) -> None:
        """Put them where `_Notes` finds them."""
        self.place.notes[self.start] = torch.stack([mean.flatten(1), var.flatten(1)], dim=1)


LARGEST = 3e38
"""About the largest number of float32."""


def _mean(x: Tensor) -> Tensor:
    """The mean of each channel of each image, one axis after the other: (N, C, *spatial) → (N, C, 1, …)."""
    for axis in range(x.ndim - 1, 1, -1):
        x = x.mean(axis, keepdim=True)
        if axis > 2:
            x = x.clamp(max=LARGEST)  # changes nothing, and keeps OpenVINO from joining the means to one
    return x


class _Place:
    """Where the statistics of an image lie while the network is traced with them, or with norms that note theirs."""

    statistics: Tensor

    def __init__(self) -> None:
        self.notes: dict[int, Tensor] = {}


class _Given(nn.Module):
    """An instance norm whose statistics, put together with its learned numbers, are given: x · factor + offset."""

    def __init__(self, norm: InstanceNorm, place: _Place, start: int) -> None:
        super().__init__()
        self.relu = norm.relu
        self.place = place
        self.channels = slice(start, start + norm.channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) → the same shape."""
        shape = (1, -1) + (1,) * (x.ndim - 2)
        statistics = self.place.statistics[:, self.channels]
        factor, offset = statistics[0].view(shape), statistics[1].view(shape)
        y = x * factor + offset
        return y.relu() if self.relu else y


class _WithInput(nn.Module):
    """A network whose `_Given` norms take their numbers from a second input."""

    def __init__(self, network: nn.Module, place: _Place) -> None:
        super().__init__()
        self.network = network
        self.place = place

    def forward(self, x: Tensor, statistics: Tensor) -> Tensor:
        """(N, C, *spatial) and (2, channels of all norms) → (N, K, *spatial)."""
        self.place.statistics = statistics
        return cast(Tensor, self.network(x))


class _Notes(nn.Module):
    """What the `_Noted` norms of a network put aside, in the order of its modules."""

    def __init__(self, network: nn.Module, place: _Place) -> None:
        super().__init__()
        self.network = network
        self.place = place

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) → (N, 2, channels of all norms)."""
        self.network(x)
        notes = self.place.notes
        return torch.cat([notes[start] for start in sorted(notes)], dim=2)
