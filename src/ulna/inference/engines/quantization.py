"""INT8: post-training quantization of a network for OpenVINO by NNCF, on windows of training images."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ulna.errors import UlnaError
from ulna.inference.engines.base import Windows
from ulna.inference.engines.choose import pip_line
from ulna.inference.engines.openvino_engine import GRAPHS, convert
from ulna.inference.engines.unreported import library
from ulna.networks import measure_statistics
from ulna.networks.graph import norm_channels, packed

IN_FLOAT32 = ("Multiply", "Add", "Subtract", "Divide", "Power", "Sqrt", "ReduceMean", "MVN")
"""What norms consist of: it stays in float32, and so does the last convolution (`head`), which is cheap."""


def quantize(network: nn.Module, windows: Windows, folder: Path) -> None:
    """Write the quantized graphs of a network into a folder.

    Convolutions run in INT8: their weights with a scale per output channel, their inputs with the ranges that the
    windows have there. Weights take half of the range, so that sums do not overflow on processors without VNNI.

    Parameters
    ----------
    network
        It is left as it is.
    windows
        (N, C, *spatial), normalized, of a size that suits the network: what the ranges are taken from.
    folder
        It must be there.

    Raises
    ------
    UlnaError
        Where OpenVINO or NNCF is not installed.

    References
    ----------
    Jacob et al. 2018, Quantization and training of neural networks for efficient integer-arithmetic-only inference,
    CVPR.
    """
    nncf = _nncf()
    openvino = library("openvino")

    for given in (False, True) if norm_channels(network) else (False,):
        # Norms in plain operations give nonsense in INT8 where sizes are open (OpenVINO 2026.4); as one they do not.
        model = convert(network, windows.shape[1], "given" if given else "fused")
        examples = [_inputs(network, window[None], given=given) for window in windows]
        with _quiet():
            quantized = nncf.quantize(
                model,
                nncf.Dataset(examples),
                subset_size=len(examples),
                preset=nncf.QuantizationPreset.MIXED,
                ignored_scope=nncf.IgnoredScope(types=list(IN_FLOAT32), patterns=[r".*\.head/.*"], validate=False),
                advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
            )
        openvino.save_model(quantized, folder / GRAPHS["given" if given else "own"], compress_to_fp16=False)


def _inputs(network: nn.Module, window: Windows, *, given: bool) -> dict[str, Any]:
    if not given:
        return {"image": window}
    return {"image": window, "statistics": packed(network, measure_statistics(network, [torch.from_numpy(window)]))}


def _nncf() -> Any:
    """NNCF, if it is installed, and OpenVINO."""
    missing = next((name for name in ("openvino", "nncf") if find_spec(name) is None), "")
    if missing:
        what = f"INT8 needs OpenVINO and NNCF (the package {missing} is not installed)"
        raise UlnaError(what, where="--precision int8", hint=f"Install them with: {pip_line('openvino')}")
    return library("nncf")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without NNCF's log and progress."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
