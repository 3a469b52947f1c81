"""Engines make runners of networks: PyTorch, OpenVINO, ONNX Runtime. No library is loaded before it is used."""

from __future__ import annotations

from ulna.inference.engines.base import Average, Engine, Runner, Windows, averaged, mean_logits
from ulna.inference.engines.choose import ENGINES, Choice, choose_engine
from ulna.inference.engines.openvino_engine import quantized_in
from ulna.inference.engines.torch_engine import TorchEngine, torch_precision

__all__ = [
    "ENGINES",
    "Average",
    "Choice",
    "Engine",
    "Runner",
    "TorchEngine",
    "Windows",
    "averaged",
    "choose_engine",
    "mean_logits",
    "quantized_in",
    "torch_precision",
]
