"""The files of an export: ONNX, OpenVINO, PyTorch's own, and a BioImage.IO package."""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ulna.inference.engines.onnx_engine import to_onnx
from ulna.inference.engines.openvino_engine import from_traced
from ulna.inference.engines.unreported import library
from ulna.jobs.bioimageio import write_package
from ulna.jobs.export_words import OUTPUT, described
from ulna.model import Model
from ulna.networks.geometry import geometry
from ulna.networks.graph import Probabilities, example_inputs

KEY = "ulna"
"""The name under which a file holds what `described` says, as JSON."""

Writer = Callable[[Model, Path, str], None]
"""Writes the files of a model into a folder; takes the page that says how to run them, too."""


def exportable(model: Model) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The network that is exported, and inputs to trace it with.

    Parameters
    ----------
    model
        The trained model.

    Returns
    -------
    Module, tuple of Tensor
        Normalized images to probabilities.
    """
    network = Probabilities(model.saved.networks, model.task.exclusive)
    return network, example_inputs(model.network, model.config.data.inputs)


def onnx_bytes(model: Model) -> bytes:
    """The network of a model as an ONNX file, without its description.

    Parameters
    ----------
    model
        The trained model.

    Returns
    -------
    bytes
        The file.
    """
    return to_onnx(*exportable(model), output=OUTPUT)


def _write_onnx(model: Model, folder: Path, _page: str) -> None:
    import onnx

    proto = onnx.load_from_string(onnx_bytes(model))
    words = described(model)
    proto.producer_name = "ulna"
    proto.doc_string = f"{words['input']['normalization_in_words']} {words['masks_in_words']}"
    onnx.helper.set_model_props(proto, {KEY: json.dumps(words)})
    onnx.save(proto, folder / "model.onnx")


def traced(model: Model) -> torch.jit.ScriptModule:
    """The network of a model as TorchScript.

    Parameters
    ----------
    model
        The trained model.

    Returns
    -------
    ScriptModule
        Normalized images to probabilities.
    """
    network, inputs = exportable(model)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and says that sizes become constants
        made: torch.jit.ScriptModule = torch.jit.trace(network, inputs, check_trace=False)  # type: ignore[no-untyped-call]
    return made


def read_openvino(path: Path) -> Any:
    """A graph that OpenVINO has written.

    Parameters
    ----------
    path
        The .xml file.

    Returns
    -------
    openvino.Model
        It gives logits.
    """
    openvino = library("openvino")

    return openvino.Core().read_model(path)


def write_openvino(graph: Any, model: Model, folder: Path, *, figures: dict[str, Any]) -> None:
    """Write a graph of logits as a network of probabilities for OpenVINO, with its description.

    Parameters
    ----------
    graph
        As OpenVINO holds it.
    model
        Which it was made of.
    folder
        Where `model.xml` and `model.bin` are written.
    figures
        What quantizing changed; empty where nothing is quantized.
    """
    openvino = library("openvino")
    from openvino import opset13 as ops

    logits = graph.outputs[0].get_node().input_value(0)
    count, of_all = model.task.exclusive, model.task.outputs
    if count in (0, of_all):
        made = ops.softmax(logits, axis=1) if count else ops.sigmoid(logits)
    else:
        parts = ops.variadic_split(logits, 1, [count, of_all - count])
        made = ops.concat([ops.softmax(parts.output(0), axis=1), ops.sigmoid(parts.output(1))], axis=1)
    ready = openvino.Model([made.output(0)], graph.get_parameters(), "ulna")
    _save_openvino(ready, model, folder, figures)


def _save_openvino(ready: Any, model: Model, folder: Path, figures: dict[str, Any]) -> None:
    openvino = library("openvino")

    ready.inputs[0].get_tensor().set_names({"image"})
    ready.outputs[0].get_tensor().set_names({OUTPUT})
    ready.set_rt_info(json.dumps(described(model) | ({"int8": figures} if figures else {})), [KEY])
    openvino.save_model(ready, folder / "model.xml", compress_to_fp16=False)


def _write_openvino(model: Model, folder: Path, _page: str) -> None:
    inputs = exportable(model)[1]
    _save_openvino(from_traced(traced(model), inputs, ("image", OUTPUT)), model, folder, {})


def _write_pt2(model: Model, folder: Path, _page: str) -> None:
    network, inputs = exportable(model)
    axes = geometry(model.network).axes
    free: dict[int, Any] = {0: torch.export.Dim("batch")}
    for axis, side in enumerate(axes, start=2):
        if not side.shrink:  # the crops of valid convolutions follow from the size, which is fixed then
            free[axis] = side.stride * torch.export.Dim(f"size_{axis}", min=2)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = copy.deepcopy(network).requires_grad_(False)
        program = torch.export.export(network, (torch.cat([inputs[0]] * 2),), dynamic_shapes=({**free},))
        torch.export.save(program, folder / "model.pt2", extra_files={KEY: json.dumps(described(model))})


def _write_bioimageio(model: Model, folder: Path, page: str) -> None:
    script = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(traced(model), script)
    network, _ = exportable(model)
    write_package(folder / "model.zip", model, network, page, onnx=onnx_bytes(model), torchscript=script.getvalue())


WRITERS: dict[str, Writer] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "pt2": _write_pt2,
    "bioimageio": _write_bioimageio,
}
"""What writes the files of each kind of export."""
