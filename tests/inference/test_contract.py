"""What holds for any engine, any number of threads and any process: the same outputs as one after the other."""

from __future__ import annotations

import copy
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from ulna.config import Config
from ulna.inference.engines import Engine, Runner, TorchEngine, averaged
from ulna.inference.pipeline import Pipeline
from ulna.networks import InstanceNorm, Statistics, UNet, with_statistics

Prepare = Callable[[nn.Module, torch.Tensor], nn.Module]


class Converting(TorchEngine):
    """An engine that runs what another library would make of the network: a copy, an export, a trace."""

    def __init__(self, prepare: Prepare) -> None:
        self.prepare = prepare

    def compile(self, network: nn.Module, statistics: Statistics, shape: tuple[int, ...], precision: str) -> Runner:
        assert precision == "float32"
        converted = self.prepare(with_statistics(network, statistics), torch.zeros(shape))
        for weight in network.parameters():  # whatever becomes of the network, the engine has what it needs
            assert weight.requires_grad

        def run(batch: np.ndarray) -> np.ndarray:
            assert batch.shape == shape
            with torch.no_grad():
                return converted(torch.from_numpy(batch)).numpy()

        return run


ENGINES: dict[str, Engine] = {
    "torch": TorchEngine(),
    "copying": Converting(lambda network, _: copy.deepcopy(network)),
    "exporting": Converting(lambda network, example: torch.export.export(network, (example,)).module()),
    "tracing": Converting(lambda network, example: torch.jit.freeze(torch.jit.trace(network, example))),
}


def make(tile: int, engine: Engine | None = None, norm: str = "instance") -> Pipeline:
    torch.manual_seed(0)
    network = UNet(1, 1, widths=(4, 8, 16), norm=norm).eval()
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    config = Config().changed({"network.widths": (4, 8, 16), "network.norm": norm, "inference.tile": tile})
    return Pipeline(network, config, 1, engine or TorchEngine())


def image(seed: int, size: tuple[int, int] = (180, 150)) -> np.ndarray:
    """Of very different contrast from seed to seed, and from place to place."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(size), 2)
    noise = (noise - noise.min()) / np.ptp(noise)
    return (noise ** (0.3 if seed % 2 else 3) * (1 + 3 * (np.arange(size[1]) > 60)))[None].astype(np.float32)


@pytest.mark.filterwarnings("ignore::Warning")  # tracing is deprecated, and warns of sizes
@pytest.mark.parametrize("tile", [96, 4000])
@pytest.mark.parametrize("name", ENGINES)
def test_tiles_equal_the_whole_for_any_engine(name: str, tile: int) -> None:
    whole = make(4000).normalized(image(0))
    tiled = make(tile, ENGINES[name]).normalized(image(0))
    assert whole.std() > 0.1
    np.testing.assert_allclose(tiled, whole, atol=1e-4 * np.abs(whole).max())


@pytest.mark.parametrize("engine", ["torch", "copying"])
@pytest.mark.parametrize("training", [False, True])
def test_nothing_is_written_onto_the_network(engine: str, training: bool) -> None:
    pipeline = make(96, ENGINES[engine])
    pipeline.network.train(training)
    modules = list(pipeline.network.modules())
    before = [(module.training, dict(vars(module))) for module in modules]
    state = copy.deepcopy(pipeline.network.state_dict())
    outputs = pipeline.normalized(image(0))
    assert [(module.training, dict(vars(module))) for module in modules] == before
    after = pipeline.network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in state.items())
    np.testing.assert_allclose(outputs, make(96).normalized(image(0)), atol=1e-5)


def test_a_network_in_training_mode_predicts_as_one_that_evaluates() -> None:
    pipeline = make(96, norm="batch")
    expected = pipeline.normalized(image(0))
    pipeline.network.train()
    np.testing.assert_allclose(pipeline.normalized(image(0)), expected, atol=1e-6)


@pytest.mark.parametrize("tile", [96, 4000])
def test_what_the_caller_has_set_in_pytorch_changes_nothing(tile: int) -> None:
    pipeline = make(tile)
    expected = pipeline.normalized(image(0))
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(pipeline.normalized(image(0)), expected)
    with torch.inference_mode():
        np.testing.assert_array_equal(pipeline.normalized(image(0)), expected)


@pytest.mark.parametrize("tile", [96, 4000])
def test_a_network_whose_weights_were_given_another_type_still_runs(tile: int) -> None:
    pipeline = make(tile)
    expected = pipeline.normalized(image(0))
    pipeline.network.double()
    outputs = pipeline.normalized(image(0))
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected, atol=1e-3)


@pytest.mark.parametrize("engine", ["torch", "copying"])
def test_threads_give_what_one_after_the_other_gives(engine: str) -> None:
    pipeline = make(96, ENGINES[engine])
    images = [image(seed, (140 + 10 * seed, 150)) for seed in range(6)]
    alone = [pipeline.normalized(one) for one in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(pipeline.normalized, images))
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_small_images_beside_a_large_one() -> None:
    pipeline = make(96)
    small, large = [image(seed, (48, 48)) for seed in range(4)], image(9, (400, 400))
    alone, large_alone = [pipeline.normalized(one) for one in small], pipeline.normalized(large)
    results: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: results.append(pipeline.normalized(large)))
    thread.start()
    rounds = 0
    while thread.is_alive() or not rounds:
        rounds += 1
        for one, expected in zip(small, alone, strict=True):
            np.testing.assert_allclose(pipeline.normalized(one), expected, atol=1e-5)
    thread.join()
    np.testing.assert_allclose(results[0], large_alone, atol=1e-5)


def test_runners_keep_their_statistics_side_by_side() -> None:
    from ulna.networks import measure_statistics

    network, x = make(96).network, [torch.from_numpy(image(seed)[None]) for seed in (0, 1)]
    runners = [
        TorchEngine().compile(network, measure_statistics(network, [one]), (1, 1, 180, 150), "float32") for one in x
    ]
    own = TorchEngine().compile(network, {}, (1, 1, 180, 150), "float32")
    for one, runner in zip(x, runners, strict=True):
        np.testing.assert_allclose(runner(one.numpy()), own(one.numpy()), atol=1e-4)
    assert np.abs(runners[0](x[1].numpy()) - own(x[1].numpy())).max() > 0.1


def test_an_ensemble_is_the_mean_of_its_networks() -> None:
    pipeline = make(96)
    torch.manual_seed(1)
    other = UNet(1, 1, widths=(4, 8, 16), norm="instance").eval()
    both = replace(pipeline, others=(other,)).normalized(image(0))
    one, two = pipeline.normalized(image(0)), replace(pipeline, network=other).normalized(image(0))
    np.testing.assert_allclose(both, (one + two) / 2, atol=1e-5)
    assert averaged([np.negative]) is np.negative


def forked(pipeline: Pipeline, batch: np.ndarray, threads: int, results: multiprocessing.Queue[object]) -> None:
    found = [pipeline.normalized(batch)]
    with ThreadPoolExecutor(threads) as pool:
        results.put([*found, *pool.map(pipeline.normalized, [batch] * threads)])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_forked_process_works() -> None:
    pipeline = make(128)
    before = torch.get_num_threads()
    torch.set_num_threads(2)  # with one thread nothing could hang
    try:
        expected = pipeline.normalized(image(0, (256, 256)))
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        process = context.Process(target=forked, args=(pipeline, image(0, (256, 256)), 2, results))
        process.start()
        found = results.get(timeout=30)
        process.join(60)
        assert process.exitcode == 0
        assert torch.get_num_threads() == 2
    finally:
        process.kill()  # where it hangs
        torch.set_num_threads(before)
    for one in found:
        np.testing.assert_allclose(one, expected, atol=1e-4)
