from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ulna.errors import UlnaError
from ulna.inference.engines import quantization
from ulna.inference.engines.quantization import quantize
from ulna.networks import UNet

pytest.importorskip("nncf")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(("norm", "files"), [("instance", {"own.xml", "given.xml"}), ("batch", {"own.xml"})])
def test_quantized_outputs_are_close_at_sizes_that_were_not_calibrated(
    norm: str, files: set[str], tmp_path: Path
) -> None:
    import openvino

    torch.manual_seed(0)
    network = UNet(1, 2, widths=(4, 8), norm=norm).eval()
    windows = np.random.default_rng(0).random((4, 1, 32, 32), dtype=np.float32)
    quantize(network, windows, tmp_path)
    assert {path.name for path in tmp_path.glob("*.xml")} == files
    image = np.random.default_rng(1).random((1, 1, 48, 64), dtype=np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    found = openvino.Core().compile_model(tmp_path / "own.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(image)[0]
    assert 0 < np.abs(found - expected).mean() < 0.1 * expected.std()


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "find_spec", lambda name: None if name == "nncf" else name)
    with pytest.raises(UlnaError, match="INT8 needs OpenVINO and NNCF") as caught:
        quantize(UNet(1, 1, widths=(2, 2)), np.zeros((1, 1, 8, 8), np.float32), tmp_path)
    assert caught.value.hint == 'Install them with: pip install "ulna[openvino]"'


NOTHING_SENT = """
import numpy as np
from pathlib import Path
from ulna.inference.engines.onnx_engine import OnnxEngine
from ulna.inference.engines.openvino_engine import OpenVinoEngine
from ulna.inference.engines.quantization import _nncf
from ulna.networks import UNet

network, batch = UNet(1, 1, widths=(2, 2)).eval(), np.zeros((1, 1, 8, 8), np.float32)
for engine in (OnnxEngine, OpenVinoEngine):
    engine(folder=Path("cache")).compile(network, {}, batch.shape, "float32")(batch)
nncf = _nncf()
assert not isinstance(nncf.telemetry.wrapper.telemetry, nncf.telemetry.wrapper.NNCFTelemetry)
from openvino_telemetry import Telemetry
assert Telemetry._SingletonMetaClass__single_instance is None  # nobody has made one
"""


def test_libraries_report_nothing_to_their_makers(tmp_path: Path) -> None:
    places = {"XDG_CACHE_HOME": str(tmp_path / "xdg"), "HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"} | places
    done = subprocess.run(
        [sys.executable, "-c", NOTHING_SENT], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    written = {path.name for path in (*tmp_path.glob("xdg/*"), *tmp_path.glob("home/*"), *tmp_path.glob("home/.*/*"))}
    assert not {name for name in written if "telemetry" in name or name in ("Microsoft", "intel")}
