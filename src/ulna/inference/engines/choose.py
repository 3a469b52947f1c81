"""Which engine runs a network, in which precision, and why: what settings say, and what the machine has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from ulna.config import InferenceConfig
from ulna.errors import UlnaError
from ulna.inference.engines.base import Engine
from ulna.inference.engines.onnx_engine import OnnxEngine
from ulna.inference.engines.openvino_engine import OpenVinoEngine, has_bf16
from ulna.inference.engines.torch_engine import TorchEngine, torch_precision

PRECISIONS = {"float32": "float32", "bf16": "bf16", "int8": "INT8"}
"""Precisions by their names in settings, and as they are called in sentences."""

EXPORT = "ulna export RUN --to openvino --precision int8 --out FOLDER"
"""The command that makes a quantized model."""


@dataclass(frozen=True)
class Kind:
    """An engine as settings name it.

    Parameters
    ----------
    title
        What it is called.
    make
        Makes one, of the folder of the quantized model, if there is one.
    modules
        What has to be installed beside `ulna`.
    extra
        The extra of `ulna` that installs it; "" where nothing is needed.
    precisions
        Those that it has on any machine.
    """

    title: str
    make: Callable[[Path | None], Engine]
    modules: tuple[str, ...] = ()
    extra: str = ""
    precisions: tuple[str, ...] = ("float32",)

    @property
    def missing(self) -> str:
        """What is not installed; "" where it all is."""
        return next((name for name in self.modules if find_spec(name) is None), "")


ENGINES = {
    "torch": Kind("PyTorch", lambda quantized: TorchEngine(), precisions=("float32", "bf16")),
    "openvino": Kind("OpenVINO", OpenVinoEngine, ("openvino",), "openvino", ("float32", "bf16", "int8")),
    "onnxruntime": Kind("ONNX Runtime", lambda quantized: OnnxEngine(), ("onnxruntime", "onnx"), "onnx"),
}
"""All engines, by their names in settings."""


@dataclass(frozen=True)
class Choice:
    """An engine, the precision in which it runs, and why these.

    Parameters
    ----------
    name
        As settings name it.
    engine
        The engine itself.
    precision
        "float32", "bf16" or "int8".
    reason
        Why it is not what it might be: "" where nothing stood in the way.
    """

    name: str
    engine: Engine
    precision: str
    reason: str = ""

    def __str__(self) -> str:
        said = f"{ENGINES[self.name].title} runs the network in {PRECISIONS[self.precision]}"
        return said + (f": {self.reason}." if self.reason else ".")


def choose_engine(config: InferenceConfig, device: torch.device, quantized: Path | None = None) -> Choice:
    """The engine and the precision that the settings mean on this machine.

    `auto` is OpenVINO where it is installed and the network is on the CPU, else PyTorch.

    Parameters
    ----------
    config
        `engine` and `precision` count.
    device
        Where the network is.
    quantized
        The folder of its quantized model; None: there is none.

    Returns
    -------
    Choice
        It says what it is, and why.

    Raises
    ------
    UlnaError
        For an engine or a precision that is named and cannot be had here, with what to do.
    """
    name, reason = (config.engine, "") if config.engine != "auto" else _automatic(config.precision, device)
    kind = ENGINES[name]
    if kind.missing:
        raise UlnaError(
            f"{kind.title} is not installed (the package {kind.missing})",
            where=f"inference.engine={name}" if config.engine != "auto" else f"inference.precision={config.precision}",
            hint=f"Install it with: {pip_line(kind.extra)}",
        )
    if name != "torch" and device.type != "cpu":
        what = f"{kind.title} runs on the CPU, and this model is on {device}"
        raise UlnaError(what, where=f"inference.engine={name}", hint='Load it with device="cpu" (--device cpu).')
    precision, why = _precision(name, config.precision, device, quantized)
    return Choice(name, kind.make(quantized), precision, "; ".join(filter(None, (reason, why))))


def pip_line(extra: str) -> str:
    """How an extra of `ulna` is installed.

    Parameters
    ----------
    extra
        Its name.

    Returns
    -------
    str
        A command.

    Examples
    --------
    >>> pip_line("openvino")
    'pip install "ulna[openvino]"'
    """
    return f'pip install "ulna[{extra}]"'


def _automatic(precision: str, device: torch.device) -> tuple[str, str]:
    """What `auto` means, and why it is not OpenVINO."""
    if precision == "int8":
        return "openvino", ""
    if device.type != "cpu":
        return "torch", ""
    if ENGINES["openvino"].missing:
        return "torch", f"OpenVINO, which is often faster on a CPU, is not installed ({pip_line('openvino')})"
    if precision == "bf16" and not has_bf16():
        return "torch", "OpenVINO has no bf16 on this processor, and PyTorch imitates it"
    return "openvino", ""


def _precision(name: str, wanted: str, device: torch.device, quantized: Path | None) -> tuple[str, str]:
    """The precision that a setting means for an engine, and why it is not a faster one."""
    where = f"inference.precision={wanted}"
    if wanted == "auto":
        able = torch_precision("auto", device) if name == "torch" else _fastest(name)
        return able, "" if able == "bf16" or name == "onnxruntime" else f"this {_unit(device)} has no bf16"
    kind = ENGINES[name]
    if wanted not in kind.precisions:
        others = [other.title for other in ENGINES.values() if wanted in other.precisions]
        hint = f"{' and '.join(others)} can: set inference.engine to auto."
        raise UlnaError(f"{kind.title} does not run in {PRECISIONS[wanted]} here", where=where, hint=hint)
    if name == "openvino" and wanted == "bf16" and not has_bf16():
        hint = "Set inference.precision to auto, which takes it where the processor has it."
        raise UlnaError("this processor has no bf16, and OpenVINO does not imitate it", where=where, hint=hint)
    if wanted == "int8" and quantized is None:
        hint = f"Make it with: {EXPORT}"
        raise UlnaError("there is no quantized model beside this one", where=where, hint=hint)
    return wanted, ""


def _fastest(name: str) -> str:
    return "bf16" if "bf16" in ENGINES[name].precisions and has_bf16() else "float32"


def _unit(device: torch.device) -> str:
    return "processor" if device.type == "cpu" else "GPU"
