"""`ulna benchmark`: every setting that there is here, by a clock that is given."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from command_line import CommandLine
from ulna.errors import UlnaError
from ulna.inference.engines.openvino_engine import OpenVinoEngine
from ulna.inference.engines.torch_engine import TorchEngine
from ulna.jobs import benchmark as module
from ulna.jobs.benchmark import benchmark


def test_the_fastest_setting_that_says_the_same_is_recommended(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by 8 s while PyTorch runs and by 2 s while others do."""
    now = [0.0]
    for engine, seconds in ((TorchEngine, 8.0), (OpenVinoEngine, 2.0)):
        compile_ = engine.compile

        def slow(self, *words, compile_=compile_, seconds=seconds):
            runner = compile_(self, *words)

            def timed(windows):
                now[0] += seconds
                return runner(windows)

            return timed

        monkeypatch.setattr(engine, "compile", slow)
    monkeypatch.setattr(module, "_peak", lambda precision, device, clock: 100.0)
    found = benchmark(run, size=(64, 64), clock=lambda: now[0])
    by_name = {(one.engine, one.precision): one for one in found.speeds}
    assert by_name["torch", "float32"].seconds == 8
    assert by_name["torch", "float32"].difference == 0
    others = [one for one in found.speeds if one.engine != "torch"]
    assert all(one.difference < 1e-3 for one in others if one.precision == "float32")
    assert found.recommended == found.speeds[0]
    assert [one.seconds for one in found.speeds] == sorted(one.seconds for one in found.speeds)
    assert "Recommended: --set inference.engine=" in str(found)
    assert "of 64 × 64" in str(found)
    assert found.line.count("|") == 5


def test_work_is_that_of_the_layers_by_hand() -> None:
    model = module._untrained("cpu")
    weights = [module_ for module_ in model.network.modules() if isinstance(module_, torch.nn.Conv2d)]
    sizes: list[int] = []
    hooks = [
        one.register_forward_hook(
            lambda layer, _given, out: sizes.append(2 * layer.weight.numel() * int(np.prod(out.shape[2:])))
        )
        for one in weights
    ]
    ups = [one for one in model.network.modules() if isinstance(one, torch.nn.ConvTranspose2d)]
    hooks += [
        one.register_forward_hook(
            lambda layer, given, _out: sizes.append(2 * layer.weight.numel() * int(np.prod(given[0].shape[2:])))
        )
        for one in ups
    ]
    with torch.inference_mode():
        model.network(torch.zeros(1, 1, 64, 64))
    for hook in hooks:
        hook.remove()
    assert module._work(model, (1, 64, 64)) == pytest.approx(sum(sizes) / 1e9)


def test_a_peak_is_operations_by_seconds() -> None:
    ticks = count()
    assert module._peak("float32", torch.device("cpu"), lambda: float(next(ticks))) == pytest.approx(2 * 2.048**3)


def test_as_it_is_typed(run: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PRODUCT", 64)
    said = cli("benchmark", run, "--size", "32,48")
    assert said.code == 0
    assert "PyTorch" in said.out
    assert "32 × 48" in said.out
    for words in ("32", "32,32,32"):
        refused = cli("benchmark", run, "--size", words)
        assert refused.code == 2
        assert "the network sees 2" in refused.err
    assert "is no size" in cli("benchmark", run, "--size", "a,b").err


def test_what_is_not_installed_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ulna.inference.engines.choose.find_spec", lambda name: None)
    monkeypatch.setattr(module, "PRODUCT", 64)
    found = benchmark(run, size=(32, 32))
    assert [one.engine for one in found.speeds] == ["torch"] * len(found.speeds)
    assert 'OpenVINO is not installed: pip install "ulna[openvino]"' in found.missing
    assert len(found.missing) == 2
    with pytest.raises(UlnaError, match="no such run"):
        benchmark(run / "none")
