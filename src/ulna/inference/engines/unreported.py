"""Libraries that report to their makers what is done with them are imported so that they do not."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

REPORTER = "openvino_telemetry"
"""What OpenVINO, from its import on, and NNCF report with; both do without it where it cannot be imported."""

OPT_OUT = "ORT_DISABLE_TELEMETRY"
"""What ONNX Runtime asks for when it is loaded: with "1" it reports nothing, and makes no identifier."""


def library(name: str) -> Any:
    """Import a library that reports nothing from then on.

    Parameters
    ----------
    name
        "openvino", "nncf" or "onnxruntime".

    Returns
    -------
    module
        One that the caller had imported before is left as it is.
    """
    if name in sys.modules:
        return sys.modules[name]
    os.environ.setdefault(OPT_OUT, "1")
    before = sys.modules.get(REPORTER)
    sys.modules[REPORTER] = None  # type: ignore[assignment]  # an import of it fails
    try:
        return import_module(name)
    finally:
        del sys.modules[REPORTER]
        if before is not None:
            sys.modules[REPORTER] = before
