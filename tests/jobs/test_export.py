"""Exports: files that run without ulna, and say what they expect and give."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import ulna
from command_line import CommandLine
from ulna.config import Config
from ulna.errors import UlnaError
from ulna.inference.engines import openvino_engine
from ulna.jobs import export as export_module
from ulna.jobs import quantization
from ulna.jobs.bioimageio import _plain, preprocessing
from ulna.jobs.export_words import described, masks_in_words, normalization_in_words, output_channels, page
from ulna.labels.classes import Classes
from ulna.model import Model
from ulna.modelfile import Saved
from ulna.networks import build
from ulna.networks.graph import Probabilities
from ulna.tasks import build as build_task

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")
pytest.importorskip("bioimageio.core")

WITHOUT_ULNA = "import sys; sys.modules['ulna'] = None\n"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "cache_folder", lambda: tmp_path / "cache")


def made(classes: tuple[str, ...] = ("background", "cell"), ndim: int = 2, **settings: Any) -> Model:
    """A model with random weights."""
    values = tuple((255 * k // (len(classes) - 1),) for k in range(len(classes)))
    sides = {"network.widths": (3, 4, 5), "network.ndim": ndim, "data.channels": 2, "network.norm": "instance"}
    config = Config().changed({"task.name": "semantic", **sides, **settings})
    regions = ()
    if config.task.name == "regions":
        regions = (("whole", (1, 2)), ("core", (2,)))
    outputs = build_task(config.task, classes, regions).outputs
    torch.manual_seed(0)
    network = build(config.network, 2, outputs).eval()
    return Model(Saved(network, config, Classes(classes, values, "number", "", regions=regions), outputs))


def expected(model: Model, image: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return Probabilities(model.saved.networks, model.task.exclusive)(torch.from_numpy(image)).numpy()


def run_without_ulna(code: str, folder: Path) -> np.ndarray:
    """What a program makes of `in.npy` in a process that cannot import ulna."""
    program = WITHOUT_ULNA + "import numpy as np\nx = np.load('in.npy')\n" + code + "\nnp.save('out.npy', y)\n"
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, timeout=300)
    return np.load(folder / "out.npy")


RUNNERS = {
    "onnx": "import onnxruntime; s = onnxruntime.InferenceSession('model.onnx'); y = s.run(None, {'image': x})[0]",
    "openvino": "import openvino; m = openvino.Core().compile_model('model.xml', 'CPU', "
    "{'INFERENCE_PRECISION_HINT': 'f32'}); y = m({'image': x})['probabilities']",
    "pt2": "import torch; y = torch.export.load('model.pt2').module()(torch.from_numpy(x)).detach().numpy()",
}


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("to", RUNNERS)
def test_the_file_runs_without_ulna(to: Any, ndim: int, tmp_path: Path) -> None:
    model = made(("background", "a", "b"), ndim)
    out = ulna.export(model, to, out=tmp_path / "out").folder
    image = np.random.default_rng(0).standard_normal((2, 2, *(16, 24, 8)[:ndim]), dtype=np.float32)
    np.save(out / "in.npy", image)
    np.testing.assert_allclose(run_without_ulna(RUNNERS[to], out), expected(model, image), atol=1e-4)


def test_the_models_of_folds_are_one_network(tmp_path: Path) -> None:
    model, other = made(), made(**{"network.norm": "none"})
    both = Model(replace(model.saved, others=(other.network,)))
    out = ulna.export(both, "onnx", out=tmp_path / "out").folder
    image = np.random.default_rng(0).standard_normal((1, 2, 16, 24), dtype=np.float32)
    np.save(out / "in.npy", image)
    mean = (expected(model, image) + expected(other, image)) / 2
    np.testing.assert_allclose(run_without_ulna(RUNNERS["onnx"], out), mean, atol=1e-4)


def test_valid_convolutions_are_exported_as_well(tmp_path: Path) -> None:
    model = made(**{"network.padding": "valid"})
    out = ulna.export(model, "onnx", out=tmp_path / "out").folder
    image = np.random.default_rng(0).standard_normal((1, 2, 44, 60), dtype=np.float32)
    np.save(out / "in.npy", image)
    np.testing.assert_allclose(run_without_ulna(RUNNERS["onnx"], out), expected(model, image), atol=1e-4)
    assert "40 pixels smaller" in (out / "README.md").read_text()


def test_files_say_what_they_expect_and_give(tmp_path: Path) -> None:
    import onnx
    import openvino

    model = made(**{"data.normalization": "ct", "data.window": (-100, 300), "data.center": 50, "data.scale": 40})
    ulna.export(model, "onnx", out=tmp_path / "onnx")
    properties = onnx.load(tmp_path / "onnx" / "model.onnx").metadata_props
    said = json.loads(next(one.value for one in properties if one.key == "ulna"))
    assert said == json.loads(json.dumps(described(model)))
    assert said["input"]["normalization_in_words"] == "Clipped to -100 … 300, less 50, divided by 40."
    assert said["input"]["size"] == {"y": {"smallest": 4, "step": 4}, "x": {"smallest": 4, "step": 4}}
    assert said["output"]["channels"] == ["cell"]
    ulna.export(model, "openvino", out=tmp_path / "openvino")
    read = openvino.Core().read_model(tmp_path / "openvino" / "model.xml")
    assert json.loads(read.get_rt_info(["ulna"]).astype(str)) == said
    ulna.export(model, "pt2", out=tmp_path / "pt2")
    extra = {"ulna": ""}
    torch.export.load(tmp_path / "pt2" / "model.pt2", extra_files=extra)
    assert json.loads(extra["ulna"]) == said
    text = (tmp_path / "onnx" / "README.md").read_text("utf-8")
    assert "Clipped to -100 … 300" in text
    assert "A pixel is cell where its probability is more than 0.5" in text


TEST_PACKAGE = """
from types import FunctionType

from bioimageio.spec._internal import io_packaging
from bioimageio.spec.model import v0_4

# bioimageio.spec 0.5.12 hands one argument more to its serializers than pydantic 2.14 takes
for serializer in (io_packaging.package_file_descr_serializer, v0_4.package_weights):
    serializer.__globals__["before_" + serializer.__name__] = FunctionType(serializer.__code__, serializer.__globals__)
    made = {}
    exec(
        "def f(value, handler, info): "
        f"return before_{serializer.__name__}(value, lambda value, *others: handler(value), info)",
        made,
    )
    serializer.__code__ = made["f"].__code__

import bioimageio.core

for weights in ("onnx", "torchscript"):
    summary = bioimageio.core.test_model("model.zip", weight_format=weights)
    for detail in summary.details:
        for error in detail.errors:
            print(detail.name, error.loc, error.msg)
    print(weights, summary.status)
"""
"""What tests a package as the model zoo does."""


@pytest.mark.parametrize(("ndim", "normalization"), [(2, "percentile"), (2, "zscore"), (3, "zscore_inside")])
def test_bioimageio_core_runs_the_package(ndim: int, normalization: str, tmp_path: Path) -> None:
    model = made(("background", "a", "b"), ndim, **{"data.normalization": normalization})
    out = ulna.export(model, "bioimageio", out=tmp_path / "out").folder
    program = WITHOUT_ULNA + TEST_PACKAGE
    done = subprocess.run([sys.executable, "-c", program], cwd=out, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == ["onnx passed", "torchscript passed"], done.stdout
    with zipfile.ZipFile(out / "model.zip") as package:
        words = yaml.safe_load(package.read("rdf.yaml"))
        assert "## Validation" in package.read("README.md").decode()
    assert ("preprocessing" in words["inputs"][0]) == (normalization != "zscore_inside")


def test_what_the_format_cannot_say_is_left_to_words() -> None:
    for how in ("zscore_inside", "range"):
        assert preprocessing(Config().changed({"data.normalization": how}).data, 2) is None
    by_channel = Config().changed({"data.normalization": "percentile_by_channel"})
    assert preprocessing(by_channel.data, 2) is None  # the counts of channels say which of them is empty
    assert preprocessing(by_channel.changed({"data.counts": False}).data, 2) is not None
    for how in ("percentile", "zscore"):  # of the volume that a slice is of
        data = Config().changed({"data.normalization": how, "data.slices": 0}).data
        assert preprocessing(data, 2) is None
        assert preprocessing(data, 3) is not None or how == "percentile_by_channel"
        assert "Per volume, before it is cut into slices" in normalization_in_words(data, sliced=True)


def test_how_volumes_are_turned_is_said() -> None:
    assert described(made())["input"]["volumes"] == ""
    assert "z runs to the head" in described(made(**{"network.ndim": 3}))["input"]["volumes"]
    assert "slices along z" in described(made(**{"data.slices": 0}))["input"]["volumes"]
    assert "z runs to the head" in page(made(**{"network.ndim": 3}), ["model.onnx"], [])


def test_names_are_of_letters_that_the_format_allows() -> None:
    assert _plain("unet for T/B cell and épithélium 2.5") == "unet for T-B cell and epithelium 2-5"


def test_what_outputs_mean_follows_from_the_task() -> None:
    assert output_channels(made()) == ["cell"]
    assert output_channels(made(("background", "a", "b"))) == ["background", "a", "b"]
    objects = made(**{"task.name": "instances"})
    assert output_channels(objects) == ["cell", "distance"]
    assert "watershed" in masks_in_words(objects)
    assert "(1 - `neighbors`)" not in masks_in_words(objects)
    several = made(("background", "a", "b"), **{"task.name": "instances", "task.target": "neighbors"})
    assert output_channels(several) == ["background", "a", "b", "distance", "neighbors"]
    assert "(1 - `neighbors`)" in masks_in_words(several)
    regions = made(("background", "a", "b"), **{"task.name": "regions", "data.regions": {"whole": [1, 2], "core": [2]}})
    assert output_channels(regions) == ["whole", "core"]
    assert "painted" in masks_in_words(regions)
    assert "0 pixels" not in page(regions, ["model.onnx"], [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "tflite"}, "there is no export to 'tflite'"),
        ({"to": "onnx", "precision": "int8"}, "INT8 is exported for OpenVINO alone"),
        ({"to": "onnx", "precision": "half"}, "there is no export in 'half'"),
        ({"to": "openvino", "precision": "int8"}, "needs windows and validation cases of a run"),
    ],
)
def test_what_cannot_be_exported_is_said(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match=message):
        ulna.export(made(), out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "find_spec", lambda name: None)
    with pytest.raises(UlnaError, match="the package onnx is not installed") as caught:
        ulna.export(made(), "onnx", out=tmp_path / "out")
    assert caught.value.hint == 'Install it with: pip install "ulna[onnx]"'
    with pytest.raises(UlnaError, match="the package onnx is not installed"):
        ulna.export(made(), "bioimageio", out=tmp_path / "out")


def test_an_earlier_export_is_replaced_where_that_is_said(tmp_path: Path) -> None:
    ulna.export(made(), "openvino", out=tmp_path / "out")
    with pytest.raises(UlnaError, match="earlier results are here already"):
        ulna.export(made(), "openvino", out=tmp_path / "out")
    done = ulna.export(made(), "openvino", out=tmp_path / "out", overwrite=True)
    assert [path.name for path in done.files] == ["model.xml", "model.bin", "README.md"]
    assert all(path.is_file() for path in done.files)


def test_a_user_types_it(run: Path, tmp_path: Path, cli: CommandLine) -> None:
    done = cli("export", run, "--to", "onnx", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "written to" in done.out
    assert "model.onnx, README.md" in done.out
    again = cli("export", run, "--to", "onnx", "--out", tmp_path / "out")
    assert again.code == 2
    assert "earlier results are here already" in again.err


def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def test_int8_is_measured_kept_and_used(
    run: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: CommandLine
) -> None:
    monkeypatch.setattr(quantization, "LARGEST_DROP", 1.0)  # the network has hardly learned anything
    mine = copied(run, tmp_path)
    words = ["export", mine, "--to", "openvino", "--precision", "int8", "--out"]
    done = cli(*words, tmp_path / "first")
    assert done.code == 0, done.err
    assert "in INT8," in done.out
    figures = json.loads((mine / "quantized" / "quantized.json").read_text())
    assert set(figures["scores"]["dice"]) == {"float32", "int8"}
    assert "in INT8," in (tmp_path / "first" / "README.md").read_text()

    monkeypatch.setattr(export_module, "quantized_model", None)  # it is there already
    assert cli(*words, tmp_path / "second").code == 0

    int8 = ["--set", "inference.precision=int8", "--device", "cpu"]
    done = cli("predict", mine, cells / "images", *int8, "--out", tmp_path / "masks")
    assert done.code == 0, done.err
    assert "OpenVINO runs the network in INT8." in done.out
    image = cells / "images" / sorted(path.name for path in (cells / "images").iterdir())[0]
    model = ulna.load(mine, device="cpu")
    several = {
        name: ulna.load(mine, device="cpu").changed({"inference.precision": name}).probabilities(image).array
        for name in ("float32", "int8")
    }
    assert 0 < np.abs(several["int8"] - several["float32"]).mean() < 0.05
    tiled = model.changed({"inference.precision": "int8", "inference.tile": 48}).probabilities(image).array
    assert np.abs(tiled - several["float32"]).mean() < 0.05
    measured = quantization._AsInTiles(model.changed({"inference.precision": "int8"}).saved)  # also by these
    np.testing.assert_allclose(measured.probabilities(image).array, tiled, atol=1e-3)

    with torch.no_grad():
        model.network.head.bias += 1
    with pytest.raises(UlnaError, match="made of other weights"):
        model.changed({"inference.precision": "int8"}).predict(image)


@pytest.mark.parametrize("tiles", [False, True])
def test_int8_that_costs_too_much_is_refused_with_the_figures(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiles: bool
) -> None:
    monkeypatch.setattr(quantization, "quantize", lambda network, windows, folder: None)
    worst, other = ({"dice": 0.909, "ap": 0.79}, {"dice": 0.91, "ap": 0.81})
    scores = {
        "float32": {"dice": 0.91, "ap": 0.8},
        "int8": other if tiles else worst,
        "tiles": worst if tiles else other,
    }

    def found(model: Model, *_others: object) -> dict[str, float]:
        return scores["tiles" if type(model) is not Model else model.config.inference.precision]

    monkeypatch.setattr(quantization, "_scores", found)
    mine = copied(run, tmp_path)
    with pytest.raises(UlnaError, match=r"refused: AP falls by 0\.0100, more than 0\.005: Dice 0\.9090 in INT8"):
        ulna.export(mine, "openvino", out=tmp_path / "out", precision="int8")
    assert not (mine / "quantized").exists()
    assert not (tmp_path / "out").exists()


def test_int8_needs_the_data_of_the_run(run: Path, tmp_path: Path) -> None:
    mine = copied(run, tmp_path)
    record = json.loads((mine / "run.json").read_text())
    (mine / "run.json").write_text(json.dumps(record | {"data": str(tmp_path / "gone")}))
    with pytest.raises(UlnaError, match="its data are not there any more"):
        ulna.export(mine, "openvino", out=tmp_path / "out", precision="int8")
    (mine / "validation.txt").write_text("")
    with pytest.raises(UlnaError, match="this run has held out none"):
        ulna.export(mine, "openvino", out=tmp_path / "out", precision="int8")


def test_of_a_training_that_has_not_ended_the_constants_are_those_that_ulna_would_use() -> None:
    model = made(**{"task.name": "instances"})
    assert described(model)["decoding"] == {"foreground": 0.5, "seed": 0.5, "depth": 0, "smallest": 0, "holes": 0}
    assert described(made())["decoding"] == {}
    assert "more than 0.5" in masks_in_words(model)


def test_what_is_done_around_the_network_is_described() -> None:
    said = described(made(**{"inference.margin": 7}))["input"]
    assert (said["mirrored_border"], said["averaged_over_mirror_images"], said["missing"]) == (7, False, None)
