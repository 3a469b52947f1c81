"""The contract: an engine makes runners of networks, which are functions of windows, and measures their statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import nn

from ulna.networks import Statistics

Windows = npt.NDArray[np.float32]

Runner = Callable[[Windows], Windows]
"""Images (N, C, *spatial) float32 → logits (N, K, *spatial) float32.

A runner may be called by several threads at once, and depends on nothing that happens after it was compiled but on
the weights of its network.
"""


class Engine(Protocol):
    """What runs networks: PyTorch, or another library that a network is exported to."""

    def compile(self, network: nn.Module, statistics: Statistics, shape: tuple[int, ...], precision: str) -> Runner:
        """Make a network ready for inputs of one shape.

        Parameters
        ----------
        network
            A network, which the engine must leave as it is.
        statistics
            By what the instance norms normalize; empty: each input by its own statistics.
            `ulna.networks.with_statistics(network, statistics)` is one module that holds both; an engine that copies,
            exports or compiles a network does so with that.
        shape
            (N, C, *spatial) of the inputs.
        precision
            "float32", "bf16" or "int8", of which an engine may know some.

        Returns
        -------
        Runner
            A function of images (N, C, *spatial), which may be called by several threads at once.
        """
        ...

    def measure(self, network: nn.Module, windows: Iterable[Windows]) -> Statistics:
        """The statistics that the instance norms of a network find in an image, in float32.

        Parameters
        ----------
        network
            A network, which the engine must leave as it is.
        windows
            (1, C, *spatial) each, all of one shape: the image itself, or parts of it, whose pixels count together.

        Returns
        -------
        Statistics
            One entry per instance norm; empty for a network without any, whose windows are not asked for.
        """
        ...


Average = Callable[[Iterable[Windows]], Windows]
"""Logits (K, *spatial) of several runners, one after the other → those of all together."""


def mean_logits(several: Iterable[Windows]) -> Windows:
    """The mean of the logits of several runners.

    Parameters
    ----------
    several
        One or more arrays of one shape.

    Returns
    -------
    Windows
        Their mean.
    """
    outputs = iter(several)
    total, count = next(outputs).copy(), 1
    for one in outputs:
        total += one
        count += 1
    total /= count
    return total


def averaged(runners: Sequence[Runner], average: Average = mean_logits) -> Runner:
    """An ensemble: several runners as one.

    Parameters
    ----------
    runners
        One or more, of networks with as many outputs.
    average
        What is made of their logits of an image; those of one runner are left as they are.

    Returns
    -------
    Runner
        By default of the mean of their logits.

    Examples
    --------
    >>> ensemble = averaged([lambda windows: windows, lambda windows: 3 * windows])
    >>> ensemble(np.ones((1, 1, 1, 2), np.float32))
    array([[[[2., 2.]]]], dtype=float32)
    """
    if len(runners) == 1:
        return runners[0]

    def run(batch: Windows) -> Windows:
        return np.stack([average(runner(image[None])[0] for runner in runners) for image in batch])

    return run
