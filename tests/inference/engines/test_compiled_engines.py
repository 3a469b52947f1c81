"""What holds for both OpenVINO and ONNX Runtime: they give what PyTorch gives, and compile a network once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ulna.config import Config
from ulna.inference.engines import TorchEngine, compiled, onnx_engine, openvino_engine
from ulna.inference.engines.onnx_engine import OnnxEngine
from ulna.inference.engines.openvino_engine import OpenVinoEngine
from ulna.inference.pipeline import Pipeline
from ulna.networks import FCN8, InstanceNorm, UNet, measure_statistics

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

BOTH = pytest.mark.parametrize("make_engine", [OpenVinoEngine, OnnxEngine])
CONVERTERS = {OpenVinoEngine: (openvino_engine, "convert"), OnnxEngine: (onnx_engine, "to_onnx")}


def network_of(channels: int = 2, **settings: Any) -> UNet:
    torch.manual_seed(0)
    network = UNet(channels, 3, widths=(4, 6, 8), **{"norm": "instance", **settings}).eval()
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return network


def batch_of(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@BOTH
@pytest.mark.parametrize(
    ("settings", "shapes"),
    [
        ({}, [(1, 2, 48, 32), (2, 2, 16, 64)]),
        ({"norm": "batch", "upsampling": "linear"}, [(2, 2, 48, 32), (1, 2, 16, 16)]),
        ({"norm": "none", "padding": "valid"}, [(1, 2, 44, 60), (1, 2, 60, 44)]),
        ({"ndim": 3}, [(1, 2, 16, 16, 24), (1, 2, 8, 24, 16)]),
        (
            {"ndim": 3, "kernels": ((1, 3, 3), (3, 3, 3), (3, 3, 3)), "strides": ((1, 2, 2), (2, 2, 2))},
            [(1, 2, 4, 16, 8)],
        ),
    ],
)
def test_outputs_are_those_of_pytorch(
    make_engine: type, settings: dict[str, Any], shapes: list[tuple[int, ...]], tmp_path: Path
) -> None:
    network, engine = network_of(**settings), make_engine(folder=tmp_path)
    for shape in shapes:
        batch = batch_of(*shape)
        for statistics in ({}, measure_statistics(network, [torch.from_numpy(3 * batch)])):
            found = engine.compile(network, statistics, shape, "float32")(batch)
            expected = TorchEngine().compile(network, statistics, shape, "float32")(batch)
            assert found.dtype == np.float32
            assert found.flags.c_contiguous
            np.testing.assert_allclose(found, expected, atol=1e-4)
    assert all(weight.requires_grad for weight in network.parameters())


@BOTH
def test_fcn8_runs_as_well(make_engine: type, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = FCN8(1, 2, widths=(2, 2, 3, 3, 3), norm="batch").eval()
    for module in (network.score3, network.score4, network.score7):
        nn.init.normal_(module.weight)
    batch = batch_of(1, 1, 64, 96)
    expected = TorchEngine().compile(network, {}, batch.shape, "float32")(batch)
    assert expected.std() > 0.01
    found = make_engine(folder=tmp_path).compile(network, {}, batch.shape, "float32")(batch)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@BOTH
@pytest.mark.parametrize("ndim", [2, 3])
def test_tiles_with_statistics_equal_those_of_pytorch(
    make_engine: type, ndim: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"network.widths": (4, 6, 8), "network.ndim": ndim, "inference.tile": (96, 64)[ndim - 2]}
    config, network = Config().changed(settings), network_of(1, ndim=ndim)
    made = count_conversions(make_engine, monkeypatch)
    pipeline = Pipeline(network, config, 3, make_engine(folder=tmp_path))
    for seed, scale in ((0, 1.0), (1, 5.0)):  # images that differ in content
        image = scale * batch_of(1, *((170, 130), (20, 70, 66))[ndim - 2], seed=seed)
        expected = Pipeline(network, config, 3).normalized(image)
        np.testing.assert_allclose(pipeline.normalized(image), expected, atol=1e-4 * max(1, np.abs(expected).max()))
    assert len(made) == 2  # one that gives statistics, one that takes them


@BOTH
@pytest.mark.parametrize("settings", [{}, {"ndim": 3}, {"norm": "none"}])
def test_statistics_are_those_of_pytorch(make_engine: type, settings: dict[str, Any], tmp_path: Path) -> None:
    network, engine = network_of(**settings), make_engine(folder=tmp_path)
    windows = [scale + scale * batch_of(1, 2, *(16, 24, 32)[: network.ndim], seed=scale) for scale in (1, 3)]
    found, expected = engine.measure(network, windows), TorchEngine().measure(network, windows)
    assert list(found) == list(expected)
    for name, moments in expected.items():
        torch.testing.assert_close(found[name], moments, atol=1e-4, rtol=1e-4)


def count_conversions(make_engine: type, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    made: list[bool] = []
    module, name = CONVERTERS[make_engine]
    convert = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **options: made.append(True) or convert(*args, **options))
    return made


@BOTH
def test_another_process_does_not_convert_again(
    make_engine: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = count_conversions(make_engine, monkeypatch)
    network, batch = network_of(), batch_of(1, 2, 16, 16)
    first = make_engine(folder=tmp_path).compile(network, {}, batch.shape, "float32")(batch)
    again = make_engine(folder=tmp_path).compile(network_of(), {}, batch.shape, "float32")(batch)
    np.testing.assert_array_equal(again, first)
    assert len(made) == 1
    assert len(list(tmp_path.iterdir())) == 1


@BOTH
def test_a_damaged_file_is_made_anew(make_engine: type, tmp_path: Path) -> None:
    network, batch = network_of(), batch_of(1, 2, 16, 16)
    first = make_engine(folder=tmp_path).compile(network, {}, batch.shape, "float32")(batch)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:200])
    again = make_engine(folder=tmp_path).compile(network, {}, batch.shape, "float32")(batch)
    np.testing.assert_array_equal(again, first)
    assert path.stat().st_size > 200


@BOTH
def test_weights_that_have_changed_are_seen(make_engine: type, tmp_path: Path) -> None:
    network, batch, engine = network_of(), batch_of(1, 2, 16, 16), make_engine(folder=tmp_path)
    before = engine.compile(network, {}, batch.shape, "float32")(batch)
    with torch.no_grad():
        network.head.bias += 1
    after = engine.compile(network, {}, batch.shape, "float32")(batch)
    np.testing.assert_allclose(after, before + 1, atol=1e-5)


@BOTH
def test_threads_give_what_one_after_the_other_gives(make_engine: type, tmp_path: Path) -> None:
    network, engine = network_of(), make_engine(folder=tmp_path)
    batches = [(1 + seed) * batch_of(1, 2, 48, 16 + 16 * seed, seed=seed) for seed in range(6)]

    def outputs(batch: np.ndarray) -> np.ndarray:
        statistics = measure_statistics(network, [torch.from_numpy(batch)])
        return engine.compile(network, statistics, batch.shape, "float32")(batch)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(outputs, batches))
    for batch, found in zip(batches, together, strict=True):
        np.testing.assert_allclose(found, outputs(batch), atol=1e-6)


@BOTH
def test_a_folder_that_cannot_be_written_keeps_nothing(make_engine: type, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    batch = batch_of(1, 2, 16, 16)
    found = make_engine(folder=tmp_path / "file" / "cache").compile(network_of(), {}, batch.shape, "float32")(batch)
    assert found.shape == (1, 3, 16, 16)


@BOTH
def test_a_forked_process_gets_pytorch(make_engine: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (openvino_engine, onnx_engine):
        monkeypatch.setattr(module, "is_forked", lambda: True)
    network, batch = network_of(), batch_of(1, 2, 16, 16)
    found = make_engine(folder=tmp_path).compile(network, {}, batch.shape, "float32")(batch)
    np.testing.assert_array_equal(found, TorchEngine().compile(network, {}, batch.shape, "float32")(batch))
    assert not list(tmp_path.iterdir())


def test_large_images_are_normalized_as_exactly_as_by_pytorch(tmp_path: Path) -> None:
    network = UNet(1, 1, widths=(2, 3), norm="instance").eval()
    batch = 5 + batch_of(1, 1, 1024, 1024)
    expected = TorchEngine().compile(network, {}, batch.shape, "float32")(batch)
    found = OpenVinoEngine(folder=tmp_path).compile(network, {}, batch.shape, "float32")(batch)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_openvino_computes_in_what_was_asked_for(tmp_path: Path) -> None:
    engine, network = OpenVinoEngine(folder=tmp_path), network_of()
    for precision, hint in (("float32", "f32"), ("bf16", "bf16")):
        if precision == "bf16" and not openvino_engine.has_bf16():
            continue
        runner: Any = engine.compile(network, {}, (1, 2, 16, 16), precision)
        known = runner.requests.compiled.get_property("INFERENCE_PRECISION_HINT")
        assert str(known.get_type_name() if hasattr(known, "get_type_name") else known) == hint


def test_the_least_used_files_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LARGEST", 25)
    for number in range(4):
        wanted = bytes([number]) * 10
        found = compiled.from_disk(tmp_path, number, ".blob", make=lambda wanted=wanted: wanted, use=bytes)
        assert found == wanted
        for path in tmp_path.iterdir():  # in this order, however coarse the clock of the drive is
            os.utime(path, (path.read_bytes()[0], path.read_bytes()[0]))
    assert sorted(path.read_bytes()[0] for path in tmp_path.iterdir()) == [2, 3]


def test_recent_things_are_made_once(tmp_path: Path) -> None:
    recent, made = compiled.Recent[int](2), []
    for key in (1, 1, 2, 3, 1):
        assert recent.get(key, lambda key=key: made.append(key) or 10 * key) == 10 * key
    assert made == [1, 2, 3, 1]
