from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from ulna import networks
from ulna.config import Config
from ulna.errors import UlnaError
from ulna.formats import open_reader, tiff, write
from ulna.image import Grid, Image, Source
from ulna.inference import pipeline as pipeline_module
from ulna.inference import room, views
from ulna.inference.devices import free_on
from ulna.inference.engines import Runner, TorchEngine
from ulna.inference.pipeline import SAMPLED, Pipeline
from ulna.inference.room import affordable_pixels, check_room, empty_output, largest_side, largest_tile
from ulna.inference.views import View
from ulna.networks import UNet
from ulna.normalization import normalize
from ulna.resampling import resampled_slabs, resize

WIDTHS = (4, 6, 8)


def make(shape: tuple[int, ...], *, norm: str, padding: str, upsampling: str) -> tuple[UNet, np.ndarray]:
    torch.manual_seed(0)
    network = UNet(2, 3, widths=WIDTHS, ndim=len(shape), norm=norm, padding=padding, upsampling=upsampling).eval()
    for module in network.modules():  # running statistics that are not the trivial ones
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    return network, np.random.default_rng(0).standard_normal((2, *shape), dtype=np.float32)


def predicted(network: UNet, image: np.ndarray, tile: int, margin: int = 16) -> np.ndarray:
    settings = {"inference.tile": tile, "inference.margin": margin, "network.widths": WIDTHS}
    config = Config().changed(settings | {"network.ndim": image.ndim - 1})
    return Pipeline(network, config, 3).normalized(image)


@pytest.mark.parametrize(
    ("shape", "norm", "padding", "upsampling"),
    [
        ((301, 277), "instance", "same", "transposed"),
        ((257, 190), "batch", "same", "nearest"),
        ((199, 251), "none", "same", "linear"),
        ((233, 151), "none", "valid", "transposed"),
        ((233, 151), "none", "valid", "linear"),
        ((5, 300), "instance", "same", "transposed"),
        ((90, 61, 70), "none", "same", "transposed"),
    ],
)
@pytest.mark.parametrize("margin", [0, 16])
def test_tiled_equals_untiled(shape: tuple[int, ...], norm: str, padding: str, upsampling: str, margin: int) -> None:
    network, image = make(shape, norm=norm, padding=padding, upsampling=upsampling)
    whole = predicted(network, image, 4000, margin)
    assert whole.shape == (3, *shape)
    for tile in (80, 100):
        tiled = predicted(network, image, tile, margin)
        np.testing.assert_allclose(tiled, whole, atol=1e-4 * np.abs(whole).max())


@pytest.mark.parametrize("upsampling", ["transposed", "linear"])
@pytest.mark.parametrize(("padding", "norm"), [("same", "instance"), ("valid", "none")])
def test_tiled_equals_untiled_in_a_volume_of_thick_slices(padding: str, norm: str, upsampling: str) -> None:
    torch.manual_seed(0)
    sides = {"kernels": [[1, 3, 3], [1, 3, 3], [3, 3, 3]], "strides": [[1, 2, 2], [2, 2, 2]]}
    network = UNet(2, 3, widths=WIDTHS, ndim=3, norm=norm, padding=padding, upsampling=upsampling, **sides).eval()
    image = np.random.default_rng(0).standard_normal((2, 23, 105, 90), dtype=np.float32)
    changes = {"network.widths": WIDTHS, "network.ndim": 3, "inference.margin": 4, "inference.tiling": "exact"}
    config = Config().changed(changes | {f"network.{name}": value for name, value in sides.items()})

    def outputs(tile: int) -> np.ndarray:
        return Pipeline(network, config.changed({"inference.tile": tile}), 3).normalized(image)

    whole = outputs(4000)
    assert whole.shape == (3, *image.shape[1:])
    np.testing.assert_allclose(outputs(80), whole, atol=1e-4 * np.abs(whole).max())


def test_without_the_statistics_of_the_image_tiles_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    network, image = make((301, 277), norm="instance", padding="same", upsampling="transposed")
    image[:, :150] *= 3
    whole = predicted(network, image, 4000)
    monkeypatch.setattr(TorchEngine, "measure", lambda *_: {})
    assert np.abs(predicted(network, image, 80) - whole).max() > 0.1


def test_the_statistics_of_a_large_image_are_drawn_from_all_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = make((8, 8), norm="instance", padding="same", upsampling="transposed")
    image = np.broadcast_to(np.arange(832, dtype=np.float32), (2, 832, 832))
    columns: list[float] = []

    def watched(_: TorchEngine, __: UNet, windows: Iterable[np.ndarray]) -> dict[str, Any]:
        columns.extend(float(window.mean()) for window in windows)
        return {}

    monkeypatch.setattr(TorchEngine, "measure", watched)
    monkeypatch.setattr(pipeline_module, "affordable_pixels", lambda *_: 100**2)
    predicted(network, image, 80)
    assert len(columns) == SAMPLED
    assert len({column // 208 for column in columns}) == 4  # from every quarter


def test_a_tile_is_never_too_small_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    network, image = make((120, 90), norm="none", padding="same", upsampling="transposed")
    monkeypatch.setattr(pipeline_module, "affordable_pixels", lambda *_: 100)
    np.testing.assert_allclose(predicted(network, image, 0), predicted(network, image, 4000), atol=1e-4)


def test_an_image_of_one_pixel() -> None:
    network, image = make((1, 1), norm="instance", padding="same", upsampling="transposed")
    assert np.isfinite(predicted(network, image, 0)).all()


def test_a_resizing_model_answers_on_the_images_own_grid() -> None:
    network, image = make((70, 45), norm="none", padding="same", upsampling="nearest")
    config = Config().changed({"data.resize": (32, 32), "network.widths": WIDTHS})
    assert Pipeline(network, config, 3).normalized(image).shape == (3, 70, 45)


def test_sizes_follow_the_memory() -> None:
    config = Config().changed({"network.widths": [10, 20]})
    assert affordable_pixels(config, 10**9) == int(10**9 / 4 / (64 * 10))
    assert affordable_pixels(config.changed({"network.ndim": 3}), 10**12) == int(room.WINDOW / (64 * 10))
    assert largest_side((30, 500)) == 4 * 500 + 4096
    for shape, limit in (((1280, 1310), 1024), ((192, 192, 307), 192)):  # twice the largest tile, less a fifth
        assert largest_tile(shape, 10**9) == largest_side(shape)
        assert largest_tile((*shape[:-1], shape[-1] + 1), 10**9) == limit
    assert largest_tile((100, 80), 10_000) == largest_side((100, 80))
    assert largest_tile((100, 81), 10_000) == 100
    assert largest_tile((3000, 3000), 10**9) == 1024
    assert largest_tile((3000, 3000), 500**2) == 500
    assert largest_tile((1040, 1388), 10**9) >= 1388 + 32
    assert largest_tile((2500, 2600), 10**9, measured=True) == largest_side((2500, 2600))
    assert largest_tile((2500, 2600), 7 * 10**6, measured=True) == 1024
    assert largest_tile((3000, 3000), 10**9, measured=True) == 1024
    assert largest_tile((400, 512, 512), 10**9) == 192


def test_more_than_the_memory_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UlnaError, match="GiB"):
        empty_output((1, 2**24, 2**20))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 3 << 20}))
    check_room((3, 512, 512))
    with pytest.raises(UlnaError) as caught:
        check_room((3, 512, 513))
    assert str(caught.value) == (
        "this image needs 3.0 MiB of memory, 3.0 MiB are free\nCut the image into parts, or close other programs."
    )


@pytest.mark.parametrize("shape", [(200, 170), (70, 61, 86)])
def test_blended_comes_close_to_untiled_the_larger_the_tiles(shape: tuple[int, ...]) -> None:
    network, image = make(shape, norm="instance", padding="same", upsampling="transposed")
    whole = predicted(network, image, 4000)
    changes = {"network.widths": WIDTHS, "network.ndim": len(shape), "inference.tiling": "blended"}
    errors = []
    for tile in (48, 80, 4000):
        pipeline = Pipeline(network, Config().changed(changes | {"inference.tile": tile}), 3)
        errors.append(np.abs(pipeline.normalized(image) - whole).mean() / np.abs(whole).mean())
    assert errors[0] > 3 * errors[1] > 0
    assert errors[1] < 0.03
    assert errors[2] < 1e-5


def test_what_is_set_of_the_tiling_is_done() -> None:
    network, image = make((200, 170), norm="none", padding="same", upsampling="transposed")
    config = Config().changed({"network.widths": WIDTHS, "inference.tile": 40})  # below the receptive field
    with pytest.raises(UlnaError, match="too small"):
        Pipeline(network, config, 3).normalized(image)
    blended = Pipeline(network, config.changed({"inference.tiling": "blended"}), 3).normalized(image)
    assert np.isfinite(blended).all()


def together(pipeline: Pipeline, view: View) -> np.ndarray:
    """All regions in one array; each pixel must come once."""
    found = np.full((pipeline.outputs, *view.shape[1:]), np.nan, np.float32)
    for region, logits in pipeline.regions(view, Grid(view.shape[1:])):
        assert np.isnan(found[(slice(None), *region)]).all()
        found[(slice(None), *region)] = logits
    assert not np.isnan(found).any()
    return found


def raw(pipeline: Pipeline, image: np.ndarray) -> np.ndarray:
    return together(pipeline, View.of(image))


@pytest.mark.parametrize("how", ["percentile", "percentile_by_channel", "zscore", "range", "none"])
@pytest.mark.parametrize("resized", [False, True])
def test_an_image_as_read_is_normalized_as_a_whole(how: str, resized: bool) -> None:
    network, _ = make((8, 8), norm="instance", padding="same", upsampling="transposed")
    image = np.random.default_rng(0).integers(0, 4000, (2, 150, 130), np.uint16)
    image[:, :, :40] //= 8  # tiles differ in their own percentiles
    changes = {"network.widths": WIDTHS, "inference.tile": 80, "data.normalization": how}
    config = Config().changed(changes | ({"data.resize": (100, 90)} if resized else {}))
    pipeline = Pipeline(network, config, 3)
    seen = normalize(image, how)
    expected = pipeline.normalized(resize(seen, (100, 90), smooth=True) if resized else seen)
    np.testing.assert_allclose(raw(pipeline, image), resize(expected, (150, 130), smooth=True), rtol=1e-4, atol=1e-4)


def test_the_normalized_image_is_never_in_memory_as_a_whole() -> None:
    torch.manual_seed(0)
    network = UNet(4, 1, widths=WIDTHS, norm="none").eval()
    image = np.random.default_rng(0).integers(0, 255, (4, 1400, 1400), np.uint8)
    config = Config().changed({"network.widths": WIDTHS, "inference.tile": 400, "data.normalization": "range"})
    tracemalloc.start()
    for _ in Pipeline(network, config, 1).regions(View.of(image), Grid(image.shape[1:])):
        pass
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * image[0].size + 8 * 4 * 400 * 400 * 4  # the logits, and a few tiles; not 31 MB of floats


@pytest.mark.parametrize("tile", [0, 48])
def test_the_type_of_an_image_changes_nothing(tile: int) -> None:
    changes = {"network.widths": (4, 8), "data.normalization": "percentile_by_channel", "data.counts": True}
    config = Config().changed({**changes, "inference.tile": tile})
    torch.manual_seed(0)
    made = Pipeline(UNet(2, 1, widths=(4, 8)).eval(), config, 1)
    image = np.random.default_rng(0).integers(0, 200, (2, 70, 80)).astype(np.uint8)
    image[1] //= 80  # noise
    expected = raw(made, image)
    for other in (image.astype(np.int64), image.astype(np.float32), image / 255):
        np.testing.assert_allclose(raw(made, other), expected, atol=1e-4)


@pytest.mark.parametrize("how", ["percentile", "percentile_by_channel", "zscore", "range", "none"])
@pytest.mark.parametrize(
    ("tile", "tiling", "dtype", "counts"),
    [(80, "exact", np.uint16, False), (80, "blended", np.int32, True), (4000, "auto", np.uint8, False)],
)
def test_by_region_gives_what_the_whole_image_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, tile: int, tiling: str, dtype: type, counts: bool
) -> None:
    monkeypatch.setattr(views, "BAND", 2 * 130 * 20)
    network, _ = make((8, 8), norm="instance", padding="same", upsampling="transposed")
    array = np.random.default_rng(0).integers(0, 4000, (2, 150, 130)).astype(dtype)
    array[1] //= 80  # noise, if the channels are counts in one unit
    image = Image(array)
    write(tmp_path / "a.tif", image)
    changes = {"network.widths": WIDTHS, "inference.tile": tile, "inference.tiling": tiling, "data.channels": 2}
    changes |= {"data.counts": counts, "data.normalization": "none" if dtype is np.int32 and how == "range" else how}
    whole = Pipeline(network, Config().changed(changes), 3)
    expected = raw(whole, image.array)
    with open_reader(Source(tmp_path / "a.tif")) as reader:
        found = together(whole, View((2, 150, 130), reader.dtype, reader.read))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 if how == "zscore" else 0)


def test_by_region_neither_image_nor_outputs_are_in_memory_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "BAND", 100_000)
    monkeypatch.setattr(tiff, "KEPT", 0)  # but one plane
    volume = np.random.default_rng(0).integers(0, 255, (120, 256, 256), np.uint8)
    write(tmp_path / "a.tif", Image(volume[None]))
    changes = {"network.widths": (2, 2), "network.ndim": 3, "network.norm": "none", "data.channels": 1}
    tiles = {"inference.tile": 40, "inference.tiling": "exact", "inference.margin": 0, "data.normalization": "range"}
    config = Config().changed(changes | tiles)
    shallow = Pipeline(UNet(1, 1, widths=(2, 2), ndim=3), config, 1, Nothing())
    with open_reader(Source(tmp_path / "a.tif")) as reader:
        tracemalloc.start()
        view = View((1, *volume.shape), reader.dtype, reader.read)
        total = sum(logits.size for _, logits in shallow.regions(view, reader.grid))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert total == volume.size
    assert most < volume.size / 2


class Nothing(TorchEngine):
    """An engine that computes nothing."""

    def compile(self, *_: object) -> Runner:
        return lambda windows: windows


AWAY = {"inference.margin": 0, "inference.tiling": "exact"}


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("tile", [0, 40])
def test_what_was_seen_at_another_spacing_comes_back_to_the_image_s_own(ndim: int, tile: int) -> None:
    """By region, tiled or not, in 3D or by slices: the resampled image, predicted as a whole, resampled back."""
    torch.manual_seed(0)
    network = UNet(1, 2, widths=(3, 4), ndim=ndim, norm="none").eval()
    axis = 0 if ndim == 3 else 1
    target = (1.0, 1.0, 1.0) if ndim == 3 else (0.7, 0.0, 1.2)
    data = {"data.target_spacing": target, "data.unit": "mm", "data.slices": None if ndim == 3 else axis}
    changes = {"network.widths": (3, 4), "network.ndim": ndim, "inference.tile": tile, **data, **AWAY}
    pipeline = Pipeline(network, Config().changed(changes), 2)
    grid = Grid((30, 24, 44), (1.4, 1.1, 0.8), "mm")
    image = np.random.default_rng(0).integers(0, 900, (1, *grid.shape)).astype(np.int16)
    shape = grid.resampled(spacing=tuple(side or own for side, own in zip(target, grid.spacing, strict=True))).shape
    seen = resize(normalize(image, "percentile"), shape, smooth=True)
    if ndim == 3:
        whole = pipeline.normalized(seen)
    else:
        whole = np.stack([pipeline.normalized(seen[:, :, place]) for place in range(shape[1])], 2)
    found = np.full((2, *grid.shape), np.nan, np.float32)
    for region, logits in pipeline.regions(View.of(image), grid):
        assert np.isnan(found[(slice(None), *region)]).all()
        found[(slice(None), *region)] = logits
    expected = np.concatenate([part for _, part in resampled_slabs([whole], shape, grid.shape)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    answers = list(pipeline.answers(View.of(image), grid))
    stacked = answers[0][1] if ndim == 3 else np.stack([logits for _, logits in answers], 1 + axis)
    np.testing.assert_allclose(stacked, whole, atol=1e-4)
    apart = grid.resampled(shape=shape).spacing
    assert answers[0][0].spacing == (apart if ndim == 3 else (apart[0], apart[2]))


def test_of_tiles_that_overlap_only_as_much_as_overlaps_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (160, 96, 96)
    changes = {"network.widths": (2, 2), "network.ndim": 3, "inference.tile": 24, "inference.tiling": "blended"}
    config = Config().changed({**changes, "inference.margin": 0, "data.normalization": "none"})

    class Constant(TorchEngine):
        def compile(self, *_: object) -> Runner:
            return lambda windows: np.repeat(windows[:, :1], 6, 1)

    pipeline = Pipeline(UNet(1, 6, widths=(2, 2), ndim=3, norm="none"), config, 6, Constant())
    view = View(
        (1, *shape), np.dtype(np.float32), lambda region: np.ones((1, *(r.stop - r.start for r in region)), np.float32)
    )
    tracemalloc.start()
    rows = []
    for region, logits in pipeline.regions(view, Grid(shape)):
        assert abs(float(logits.min()) - 1) < 1e-5 > abs(float(logits.max()) - 1)
        rows += range(region[0].start, region[0].stop)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == list(range(160))
    assert 0.4 * pipeline.memory(1, Grid(shape)) < most < 1.5 * pipeline.memory(1, Grid(shape))
    assert most < 0.4 * 6 * 4 * prod(shape)


def test_an_image_that_memory_does_not_hold_is_refused_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"data.target_spacing": (1.0, 1.0, 1.0), "data.unit": "mm"}
    config = Config().changed({"network.widths": (2, 2), "network.ndim": 3, **data})
    pipeline = Pipeline(UNet(1, 6, widths=(2, 2), ndim=3), config, 6)
    fine, coarse = (Grid((60, 60, 60), (side,) * 3, "mm") for side in (1.0, 4.0))
    assert pipeline.memory(1, coarse) > pipeline.memory(1, fine) + 4 * 200**3
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 50 << 20}))
    view = View((1, 60, 60, 60), np.dtype(np.float32), lambda region: pytest.fail("nothing may be read"))
    with pytest.raises(UlnaError, match=r"MiB of memory, 50\.0 MiB are free"):
        next(pipeline.regions(view, coarse))


def test_what_a_gpu_holds_itself_is_not_asked_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU is needed: what is free on which device is passed in."""
    config = Config().changed({"network.widths": (2, 2), "network.ndim": 3})
    asked = []

    def free(device: torch.device) -> int:
        asked.append(device.type)
        return {"meta": 40 << 20, "cpu": 1 << 30}[device.type]

    grid = Grid((60, 60, 60), (1.0,) * 3, "mm")
    here = Pipeline(UNet(1, 6, widths=(2, 2), ndim=3), config, 6, free=free)
    there = Pipeline(UNet(1, 6, widths=(2, 2), ndim=3).to("meta"), config, 6, free=free)
    whole, tiles = here.memory(1, grid), there.memory(1, grid)
    assert asked == ["cpu", "meta"]
    assert tiles < whole  # what is free there decides the tiles
    monkeypatch.setattr(pipeline_module, "own_memory", lambda device: device.type == "meta")
    assert here.memory(1, grid) == whole
    assert there.memory(1, grid) < tiles / 2  # the slabs that tiles are put together in


def test_memory_without_a_container_is_that_of_the_machine() -> None:
    """As on macOS and Windows: no cgroups, and the network runs in the machine's memory."""
    config = Config().changed({"network.widths": (2, 2), "network.ndim": 3})
    view = View((1, 60, 60, 60), np.dtype(np.float32), lambda region: pytest.fail("nothing may be read"))
    free = partial(free_on, machine=lambda: 1 << 20)
    pipeline = Pipeline(UNet(1, 6, widths=(2, 2), ndim=3), config, 6, free=free)
    with pytest.raises(UlnaError, match=r"MiB of memory, 1\.0 MiB are free"):
        next(pipeline.regions(view, Grid((60, 60, 60), (1.0,) * 3, "mm")))


@pytest.mark.parametrize("shape", [(1, 20, 20), (3, 17, 19), (2, 3, 5), (1, 1, 1)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_volumes_that_are_thinner_than_the_stride(shape: tuple[int, ...], padding: str) -> None:
    changes = {"network.ndim": 3, "network.widths": [2, 3, 4], "network.padding": padding, "data.channels": 1}
    config = Config().changed(changes)
    network = networks.build(config.network, 1, 2).eval()
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    logits = Pipeline(network, config, 2).normalized(image)
    assert logits.shape == (2, *shape)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(("norm", "tile"), [("instance", 0), ("instance", 64), ("none", 64)])
def test_the_work_is_what_the_network_computes(norm: str, tile: int) -> None:
    network, image = make((96, 90, 100), norm=norm, padding="same", upsampling="transposed")
    changes = {"network.widths": WIDTHS, "network.ndim": 3, "network.norm": norm, "inference.tile": tile}
    seen: list[int] = []

    class Counting(TorchEngine):
        def compile(self, *_: object) -> Runner:
            def run(windows: np.ndarray) -> np.ndarray:
                seen.append(windows[0, 0].size)
                return np.repeat(windows[:, :1], 3, 1)

            return run

        def measure(self, _: object, windows: Iterable[np.ndarray]) -> dict[str, Any]:
            if norm == "instance":  # others have no use for statistics
                seen.extend(window[0, 0].size for window in windows)
            return {}

    pipeline = Pipeline(network, Config().changed(changes), 3, Counting())
    pipeline.normalized(image)
    assert sum(seen) == pipeline.work(image.shape[1:])
