"""ONNX Runtime as an engine: on the CPU, in float32."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from ulna.errors import in_memory
from ulna.inference.devices import is_forked
from ulna.inference.engines.base import Runner, Windows
from ulna.inference.engines.compiled import Hashes, Recent, cache_folder, from_disk
from ulna.inference.engines.torch_engine import TorchEngine
from ulna.inference.engines.unreported import library
from ulna.networks import Statistics
from ulna.networks.graph import (
    Norms,
    PackedStatistics,
    example_inputs,
    graph,
    norm_channels,
    packed,
    unpacked,
)

OPSET = 18
"""The version of ONNX's operations: of 2022, which all readers of today know."""

NOTES = "notes"
"""The output of a graph whose norms are noted."""

AXES = {2: ("y", "x"), 3: ("z", "y", "x")}
"""The names of spatial axes, by their number."""


def to_onnx(network: nn.Module, inputs: tuple[torch.Tensor, ...], *, output: str = "logits") -> bytes:
    """A graph of a network as an ONNX file, for images of any number and any size that suits its strides.

    Parameters
    ----------
    network
        As `ulna.networks.graph.graph` makes it, or a module around that.
    inputs
        With which it is traced, from `ulna.networks.graph.example_inputs`.
    output
        The name of what it gives.

    Returns
    -------
    bytes
        The file, with the inputs "image", and "statistics" where there are two.
    """
    batch = {0: "batch"}
    free = batch | dict(enumerate(AXES[inputs[0].ndim - 2], start=2))
    file = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The exporter by tracing: the newer one takes some thirty times as long, and fixes the sizes of valid
        # convolutions. Its folding of constants leaves factors of norms without a definition; readers fold anyway.
        torch.onnx.export(
            network,
            inputs,
            cast(Any, file),
            dynamo=False,
            do_constant_folding=False,
            opset_version=OPSET,
            input_names=["image", "statistics"][: len(inputs)],
            output_names=[output],
            dynamic_axes={"image": free, output: batch if output == NOTES else free},
        )
    return file.getvalue()


class OnnxEngine:
    """ONNX Runtime on the CPU. A network is exported once, for images of any size, and kept for later processes.

    Parameters
    ----------
    folder
        Where what is exported is kept; None: in `cache_folder`.
    """

    def __init__(self, *, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder() / "onnx"
        self._hashes = Hashes()
        self._sessions: Recent[Any] = Recent()

    def compile(self, network: nn.Module, statistics: Statistics, shape: tuple[int, ...], precision: str) -> Runner:
        """Make a network ready for inputs of one shape, or take what was made of it before."""
        if is_forked():  # the threads of ONNX Runtime do not survive a fork
            return TorchEngine().compile(network, statistics, shape, precision)
        session = self._ready(network, shape[1], "given" if statistics else "own")
        return _Runner(session, packed(network, statistics) if statistics else None)

    def measure(self, network: nn.Module, windows: Iterable[Windows]) -> Statistics:
        """The statistics that the instance norms of a network find in an image."""
        if is_forked() or not norm_channels(network):
            return TorchEngine().measure(network, windows)
        notes = [_Runner(self._ready(network, one.shape[1], "noted"), None)(one) for one in windows]
        return unpacked(network, np.concatenate(notes))

    def _ready(self, network: nn.Module, channels: int, norms: Norms) -> Any:
        what = (self._hashes.of(network), channels, norms, torch.get_num_threads())
        return self._sessions.get(what, lambda: self._made(network, what))

    def _made(self, network: nn.Module, what: tuple[str, int, Norms, int]) -> Any:
        onnxruntime = library("onnxruntime")
        from onnxruntime.capi import onnxruntime_pybind11_state as faults

        weights, channels, norms, threads = what

        def make() -> bytes:
            inputs = example_inputs(network, channels, norms)
            return to_onnx(graph(network, norms), inputs, output=NOTES if norms == "noted" else "logits")

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3

        def session(model: bytes) -> Any:
            try:
                return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            except (faults.Fail, faults.InvalidProtobuf, faults.InvalidGraph, faults.InvalidArgument) as error:
                raise RuntimeError("this is no ONNX file") from error

        return from_disk(self._folder, (weights, channels, norms), ".onnx", make=make, use=session)


@dataclass(frozen=True)
class _Runner:
    session: Any
    statistics: PackedStatistics | None

    def __call__(self, batch: Windows) -> Windows:
        inputs = {"image": np.ascontiguousarray(batch, np.float32)}
        if self.statistics is not None:
            inputs["statistics"] = self.statistics
        with in_memory("Close other programs, or set inference.tile to smaller tiles."):
            return np.asarray(self.session.run(None, inputs)[0], np.float32)
