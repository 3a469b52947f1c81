"""OpenVINO as an engine: on the CPU, in float32, bf16 or int8."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import torch
from torch import nn

from ulna.errors import UlnaError, in_memory
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

HINTS = {"float32": "f32", "bf16": "bf16", "int8": "f32"}
"""What OpenVINO computes in where nothing is quantized. It is always said, for by itself OpenVINO takes bf16."""

QUANTIZED = "quantized"
"""The folder of a run that holds the quantized model."""

FIGURES = "quantized.json"
"""The file beside a quantized network that says whose weights it has, and what quantizing changed."""

GRAPHS: dict[Norms, str] = {"own": "own.xml", "given": "given.xml"}
"""The files of a quantized network by what its norms normalize by."""


def has_bf16() -> bool:
    """Whether OpenVINO finds that the processor multiplies bf16 in hardware.

    Returns
    -------
    bool
        As its plugin for CPUs says.
    """
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def convert(network: nn.Module, channels: int, norms: Norms) -> Any:
    """A network as OpenVINO's model, for images of any number and any size that suits its strides.

    Parameters
    ----------
    network
        It is left as it is.
    channels
        Of its images.
    norms
        As of `ulna.networks.graph.graph`.

    Returns
    -------
    openvino.Model
        With the inputs "image", and "statistics" where they are given, and one output: "logits", or where they are
        noted "statistics".
    """
    inputs = example_inputs(network, channels, norms)
    names = {"given": ("image", "statistics", "logits"), "noted": ("image", "statistics")}.get(
        norms, ("image", "logits")
    )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing says that sizes become constants, and that it is deprecated
        traced = torch.jit.trace(graph(network, norms), inputs, check_trace=False)  # type: ignore[no-untyped-call]
    return from_traced(traced, inputs, names)


def from_traced(traced: torch.jit.ScriptModule, inputs: tuple[torch.Tensor, ...], names: tuple[str, ...]) -> Any:
    """A network that PyTorch has traced as OpenVINO's model.

    `openvino.convert_model` does the same, and reports to its makers that it was used.

    Parameters
    ----------
    traced
        The network.
    inputs
        What it was traced with; of the first the number and the spatial size are left open.
    names
        Of inputs and outputs.

    Returns
    -------
    openvino.Model
        With these names.
    """
    library("openvino")
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced, example_input=inputs if len(inputs) > 1 else inputs[0])
    model = frontend.convert(frontend.load(decoder))
    for port, name in zip((*model.inputs, *model.outputs), names, strict=True):
        port.get_tensor().set_names({name})
    image, *others = inputs
    free = [-1, image.shape[1], *[-1] * (image.ndim - 2)]
    model.reshape(
        {
            port.get_any_name(): shape
            for port, shape in zip(model.inputs, [free, *(list(one.shape) for one in others)], strict=True)
        }
    )
    return model


def quantized_in(folder: Path | None) -> Path | None:
    """The folder of the quantized model of a run.

    Parameters
    ----------
    folder
        Of the run; None: there is none.

    Returns
    -------
    Path or None
        None where there is no quantized model.
    """
    return folder / QUANTIZED if folder and (folder / QUANTIZED / FIGURES).is_file() else None


def check_quantized(folder: Path, weights: str) -> None:
    """Raise UlnaError unless a folder holds the quantized model of a network with these weights.

    Parameters
    ----------
    folder
        Of the quantized model.
    weights
        The `weights_hash` of the network.
    """
    try:
        said = json.loads((folder / FIGURES).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UlnaError(f"the quantized model cannot be read ({error})", where=folder) from None
    if said.get("weights") != weights:
        what = "this quantized model was made of other weights than those of the model beside it"
        raise UlnaError(
            what, where=folder, hint="Make it anew with: ulna export RUN --to openvino --precision int8 --out FOLDER"
        )


class OpenVinoEngine:
    """OpenVINO on the CPU. A network is compiled once, for images of any size, and kept for later processes.

    Parameters
    ----------
    quantized
        The folder of the quantized network, which the precision "int8" runs.
    folder
        Where what is compiled is kept; None: in `cache_folder`.
    """

    def __init__(self, quantized: Path | None = None, *, folder: Path | None = None) -> None:
        self._quantized = quantized
        self._folder = folder or cache_folder() / "openvino"
        self._hashes = Hashes()
        self._requests: Recent[_Requests] = Recent()

    def compile(self, network: nn.Module, statistics: Statistics, shape: tuple[int, ...], precision: str) -> Runner:
        """Make a network ready for inputs of one shape, or take what was made of it before.

        Statistics are an input of what is compiled, so that one network serves all images.
        """
        if is_forked():  # OpenVINO's threads do not survive a fork
            return TorchEngine().compile(network, statistics, shape, "float32" if precision == "int8" else precision)
        requests = self._ready(network, shape[1], "given" if statistics else "own", precision)
        return _Runner(requests, packed(network, statistics) if statistics else None)

    def measure(self, network: nn.Module, windows: Iterable[Windows]) -> Statistics:
        """The statistics that the instance norms of a network find in an image."""
        if is_forked() or not norm_channels(network):
            return TorchEngine().measure(network, windows)
        notes = [_Runner(self._ready(network, one.shape[1], "noted", "float32"), None)(one) for one in windows]
        return unpacked(network, np.concatenate(notes))

    def _ready(self, network: nn.Module, channels: int, norms: Norms, precision: str) -> _Requests:
        what = _What(self._hashes.of(network), channels, norms, precision, torch.get_num_threads())
        return self._requests.get(what, lambda: _Requests(self._made(network, what)))

    def _made(self, network: nn.Module, what: _What) -> Any:
        """A compiled network: from the disk, or else converted and compiled."""
        openvino = library("openvino")

        core = _core()
        settings = {
            "INFERENCE_PRECISION_HINT": HINTS[what.precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": what.threads,
        }

        def make() -> bytes:
            compiled = core.compile_model(self._model(network, what), "CPU", settings)
            return bytes(compiled.export_model().getvalue())

        processor = [str(core.get_property("CPU", name)) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
        key = (what, openvino.__version__, *processor, self._quantized_hash() if what.precision == "int8" else "")
        return from_disk(
            self._folder, key, ".blob", make=make, use=lambda blob: core.import_model(blob, "CPU", settings)
        )

    def _quantized_hash(self) -> str:
        """What tells a quantized network from one that was quantized at another time."""
        digest = sha256()
        for path in sorted(self._quantized.iterdir()) if self._quantized else ():
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _model(self, network: nn.Module, what: _What) -> Any:
        if what.precision != "int8":
            return convert(network, what.channels, what.norms)
        if self._quantized is None:
            raise UlnaError("there is no quantized model", where="inference.precision=int8")
        check_quantized(self._quantized, what.weights)
        return _core().read_model(self._quantized / GRAPHS[what.norms])


@dataclass(frozen=True)
class _What:
    """What a compiled network depends on, beside the machine."""

    weights: str
    channels: int
    norms: Norms
    precision: str
    threads: int


class _Requests:
    """A compiled network that several threads may run at once, each with a request of its own meanwhile."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self._free: SimpleQueue[Any] = SimpleQueue()

    def run(self, inputs: list[Windows]) -> Windows:
        try:
            request = self._free.get_nowait()
        except Empty:
            request = self.compiled.create_infer_request()
        try:
            # what it gives lies in the request's own memory, which the next run writes
            return np.array(request.infer(inputs, share_inputs=True)[0], np.float32)
        finally:
            self._free.put(request)


@dataclass(frozen=True)
class _Runner:
    requests: _Requests
    statistics: PackedStatistics | None

    def __call__(self, batch: Windows) -> Windows:
        image = np.ascontiguousarray(batch, np.float32)
        with in_memory("Close other programs, or set inference.tile to smaller tiles."):
            return self.requests.run([image] if self.statistics is None else [image, self.statistics])


@cache
def _core() -> Any:
    """OpenVINO itself, which takes a while to start."""
    openvino = library("openvino")

    return openvino.Core()
