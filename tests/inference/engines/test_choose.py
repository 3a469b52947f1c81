from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ulna.config import InferenceConfig
from ulna.errors import UlnaError
from ulna.inference.engines import TorchEngine, choose, choose_engine
from ulna.inference.engines.onnx_engine import OnnxEngine
from ulna.inference.engines.openvino_engine import OpenVinoEngine

CPU = torch.device("cpu")


def wanted(**settings: Any) -> InferenceConfig:
    return InferenceConfig(**settings)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The packages that are installed, as far as the choice knows; tests change it."""
    names = {"openvino", "onnxruntime", "onnx"}
    monkeypatch.setattr(choose, "find_spec", lambda name: name if name in names else None)
    return names


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the processor has bf16."""
    answers = [False]
    monkeypatch.setattr(choose, "has_bf16", lambda: answers[0])
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": answers[0]})
    return answers


def test_auto_is_openvino_on_a_cpu(installed: set[str], able: list[bool]) -> None:
    choice = choose_engine(wanted(), CPU)
    assert isinstance(choice.engine, OpenVinoEngine)
    assert str(choice) == "OpenVINO runs the network in float32."
    assert (choice.name, choice.precision) == ("openvino", "float32")


def test_without_openvino_it_is_pytorch_and_that_is_said(installed: set[str], able: list[bool]) -> None:
    installed.remove("openvino")
    choice = choose_engine(wanted(), CPU)
    assert isinstance(choice.engine, TorchEngine)
    assert str(choice) == (
        "PyTorch runs the network in float32: OpenVINO, which is often faster on a CPU, is not installed "
        '(pip install "ulna[openvino]").'
    )


def test_a_gpu_is_pytorchs(installed: set[str]) -> None:
    choice = choose_engine(wanted(), torch.device("cuda"))
    assert str(choice) == "PyTorch runs the network in float32."
    with pytest.raises(UlnaError, match="OpenVINO runs on the CPU, and this model is on cuda"):
        choose_engine(wanted(engine="openvino"), torch.device("cuda"))


@pytest.mark.parametrize(
    ("engine", "title", "line"),
    [("openvino", "OpenVINO", "ulna\\[openvino\\]"), ("onnxruntime", "ONNX Runtime", "ulna\\[onnx\\]")],
)
def test_what_is_named_and_not_installed_is_an_error(
    engine: Any, title: str, line: str, installed: set[str], able: list[bool]
) -> None:
    installed.clear()
    with pytest.raises(UlnaError, match=f"inference.engine={engine}: {title} is not installed") as caught:
        choose_engine(wanted(engine=engine), CPU)
    assert caught.value.hint == f'Install it with: pip install "{line}"'.replace("\\", "")


@pytest.mark.parametrize(("has", "precision", "reason"), [(True, "bf16", ""), (False, "float32", "has no bf16")])
@pytest.mark.parametrize("engine", ["auto", "openvino", "torch"])
def test_auto_precision_is_what_the_processor_multiplies(
    engine: Any, has: bool, precision: str, reason: str, installed: set[str], able: list[bool]
) -> None:
    able[0] = has
    choice = choose_engine(wanted(engine=engine, precision="auto"), CPU)
    assert choice.precision == precision
    assert choice.name == ("openvino" if engine == "auto" else engine)
    assert reason in choice.reason


def test_bf16_that_is_named_needs_it_or_pytorch(installed: set[str], able: list[bool]) -> None:
    choice = choose_engine(wanted(precision="bf16"), CPU)
    assert str(choice) == (
        "PyTorch runs the network in bf16: OpenVINO has no bf16 on this processor, and PyTorch imitates it."
    )
    with pytest.raises(UlnaError, match="this processor has no bf16"):
        choose_engine(wanted(engine="openvino", precision="bf16"), CPU)
    able[0] = True
    assert str(choose_engine(wanted(precision="bf16"), CPU)) == "OpenVINO runs the network in bf16."


def test_onnx_runtime_runs_where_it_is_named(installed: set[str], able: list[bool]) -> None:
    choice = choose_engine(wanted(engine="onnxruntime", precision="auto"), CPU)
    assert isinstance(choice.engine, OnnxEngine)
    assert str(choice) == "ONNX Runtime runs the network in float32."
    with pytest.raises(UlnaError, match="ONNX Runtime does not run in bf16 here") as caught:
        choose_engine(wanted(engine="onnxruntime", precision="bf16"), CPU)
    assert caught.value.hint == "PyTorch and OpenVINO can: set inference.engine to auto."


def test_int8_needs_a_quantized_model(installed: set[str], able: list[bool], tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match="no quantized model beside this one") as caught:
        choose_engine(wanted(precision="int8"), CPU)
    assert caught.value.hint == "Make it with: ulna export RUN --to openvino --precision int8 --out FOLDER"
    assert str(choose_engine(wanted(precision="int8"), CPU, tmp_path)) == "OpenVINO runs the network in INT8."
    with pytest.raises(UlnaError, match="PyTorch does not run in INT8 here"):
        choose_engine(wanted(engine="torch", precision="int8"), CPU, tmp_path)
    installed.clear()
    with pytest.raises(UlnaError, match=r"inference\.precision=int8: OpenVINO is not installed"):
        choose_engine(wanted(precision="int8"), CPU, tmp_path)
