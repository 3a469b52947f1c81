from __future__ import annotations

import numpy as np
import pytest
import torch

from ulna.errors import UlnaError
from ulna.inference.engines import TorchEngine, torch_precision
from ulna.networks import UNet


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-6), ("bf16", 0.1)])
def test_the_engine_runs_the_network(precision: str, tolerance: float) -> None:
    torch.manual_seed(0)
    network = UNet(1, 2, widths=(4, 8)).eval()
    batch = np.random.default_rng(0).standard_normal((2, 1, 16, 24), dtype=np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(batch)).numpy()
    outputs = TorchEngine().compile(network, {}, batch.shape, precision)(batch)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected, atol=tolerance)


@pytest.mark.parametrize(
    ("able", "auto"), [({"avx512_bf16": True}, "bf16"), ({"avx2": True}, "float32"), ({}, "float32")]
)
def test_a_wish_is_a_wish(able: dict[str, bool], auto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert torch_precision("bf16", torch.device("cpu")) == "bf16"
    assert torch_precision("float32", torch.device("cpu")) == "float32"
    assert torch_precision("auto", torch.device("cpu")) == auto
    assert torch_precision("int8", torch.device("cpu")) == "float32"  # before a network is quantized


def test_a_volume_goes_through_the_network_as_it_is() -> None:
    torch.manual_seed(0)
    network = UNet(1, 1, widths=(2, 4), ndim=3).eval()
    batch = np.random.default_rng(0).random((1, 1, 8, 8, 8), dtype=np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(TorchEngine().compile(network, {}, batch.shape, "float32")(batch), expected, atol=1e-6)


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Large(torch.nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    batch = np.zeros((1, 1, 8, 8), np.float32)
    with pytest.raises(UlnaError, match="memory of this machine"):
        TorchEngine().compile(Large(1, 1, 1), {}, batch.shape, "float32")(batch)
