"""A package in the form of the BioImage.IO model zoo: a zip with `rdf.yaml`, weights, test images and a page.

The form is that of the model description 0.5, https://bioimage.io/docs. Intensities are normalized as its own steps
say it, where they can; else the package takes normalized images, and its page says how these are made.
"""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from ulna.config import DataConfig
from ulna.formats import atomic_write
from ulna.inference.engines.onnx_engine import OPSET
from ulna.jobs.export_words import OUTPUT, SPATIAL, output_channels
from ulna.model import Model
from ulna.networks.geometry import geometry
from ulna.normalization import CLIP, HIGH, LOW, Floats, fixed_scaling, normalize

FORMAT = "0.5.4"
"""The version of the model description."""

SIDE = {2: 128, 3: 32}
"""About the side of the test image, by the number of spatial axes."""

Step = dict[str, Any]


def preprocessing(data: DataConfig, ndim: int) -> list[Step] | None:
    """The normalization as steps of the model description.

    Parameters
    ----------
    data
        The section of the configuration.
    ndim
        The number of spatial axes.

    Returns
    -------
    list of dict or None
        None where the description knows no such steps.
    """
    if (
        ndim == 2
        and data.slices is not None
        and data.normalization in ("percentile", "percentile_by_channel", "zscore")
    ):
        return None  # by the statistics of a volume, of which the network takes slices
    axes: list[str] = list(SPATIAL[ndim])
    floats: Step = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
    if data.normalization == "percentile_by_channel" and data.counts is not False:
        return None  # of channels that count in one unit none is stretched that is nearly empty
    if data.normalization in ("percentile", "percentile_by_channel"):
        over = ["channel", *axes] if data.normalization == "percentile" else axes
        percentiles = {"axes": over, "min_percentile": LOW, "max_percentile": HIGH}
        return [floats, {"id": "scale_range", "kwargs": percentiles}, _clip(CLIP)]
    if data.normalization == "zscore":
        return [floats, {"id": "zero_mean_unit_variance", "kwargs": {"axes": axes}}]
    if data.normalization == "ct" and data.window and data.center is not None and data.scale is not None:
        scaled = {"mean": data.center, "std": data.scale}
        return [floats, _clip(data.window), {"id": "fixed_zero_mean_unit_variance", "kwargs": scaled}]
    return [floats] if data.normalization == "none" else None


def _clip(bounds: tuple[float, float]) -> Step:
    return {"id": "clip", "kwargs": {"min": float(bounds[0]), "max": float(bounds[1])}}


def write_package(path: Path, model: Model, network: nn.Module, page: str, *, onnx: bytes, torchscript: bytes) -> None:
    """Write a package.

    Parameters
    ----------
    path
        The zip file.
    model
        The trained model.
    network
        Normalized images to probabilities.
    page
        What the page says of input and output.
    onnx, torchscript
        The same network, as files.
    """
    steps = preprocessing(model.config.data, model.config.network.ndim)
    image = _test_image(model, raw=steps is not None)
    seen = _normalized(image, model.config.data) if steps is not None else image
    with torch.no_grad():
        output = network(torch.from_numpy(seen)).numpy()
    files = {
        "README.md": _page(page, steps).encode(),
        "model.onnx": onnx,
        "model.torchscript": torchscript,
        "test_input.npy": _npy(image),
        "test_output.npy": _npy(output),
    }
    words = yaml.safe_dump(_description(model, steps, files, image), sort_keys=False, allow_unicode=True)
    with atomic_write(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("rdf.yaml", words)
        for name, data in files.items():
            package.writestr(name, data)


def _description(model: Model, steps: list[Step] | None, files: dict[str, bytes], image: Floats) -> dict[str, Any]:
    ndim = model.config.network.ndim
    entry = {name: {"source": name, "sha256": sha256(data).hexdigest()} for name, data in files.items()}
    named = list(model.config.data.use_channels) or [f"channel{number}" for number in range(image.shape[1])]
    inputs: dict[str, Any] = {
        "id": "image",
        "description": "an image with intensities as they were acquired"
        if steps is not None
        else "an image that is normalized already",
        "axes": [{"type": "batch"}, _channels(named), *_input_axes(model)],
        "test_tensor": entry["test_input.npy"],
        "data": {"type": "float32"},
    }
    if steps is not None:
        inputs["preprocessing"] = steps
    outputs = {
        "id": OUTPUT,
        "description": "probabilities, and of objects the distance from their borders",
        "axes": [{"type": "batch"}, _channels(output_channels(model)), *_output_axes(model)],
        "test_tensor": entry["test_output.npy"],
        "data": {"type": "float32", "range": [0.0, 1.0]},
    }
    return {
        "type": "model",
        "format_version": FORMAT,
        "name": _plain(f"{model.config.network.name} for {' and '.join(model.classes.names[1:])}")[:128],
        "description": f"Trained with ulna {version('ulna')}; {ndim}D {model.config.task.name} segmentation.",
        "authors": [{"name": "not stated"}],
        "cite": [
            {
                "text": "Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation. "
                "MICCAI 2015",
                "doi": "10.1007/978-3-319-24574-4_28",
            }
        ],
        "tags": ["unet", f"{ndim}d", f"{model.config.task.name}-segmentation", "ulna"],
        "documentation": entry["README.md"],
        "inputs": [inputs],
        "outputs": [outputs],
        "weights": {
            "onnx": {**entry["model.onnx"], "opset_version": OPSET},
            "torchscript": {
                **entry["model.torchscript"],
                "pytorch_version": torch.__version__.partition("+")[0],
                "parent": "onnx",
            },
        },
    }


def _plain(name: str) -> str:
    """A name of the letters that the description allows."""
    bare = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_+\- ()]", "-", bare)


def _channels(names: list[Any]) -> dict[str, Any]:
    return {"type": "channel", "channel_names": [str(name).replace(" ", "_") for name in names]}


def _input_axes(model: Model) -> list[dict[str, Any]]:
    fit, names = geometry(model.network), SPATIAL[model.config.network.ndim]
    return [
        {"type": "space", "id": name, "size": {"min": max(axis.smallest, 2 * axis.stride), "step": axis.stride}}
        for name, axis in zip(names, fit.axes, strict=True)
    ]


def _output_axes(model: Model) -> list[dict[str, Any]]:
    fit, names = geometry(model.network), SPATIAL[model.config.network.ndim]
    return [
        {"type": "space", "id": name, "size": {"tensor_id": "image", "axis_id": name, "offset": -2 * axis.shrink}}
        for name, axis in zip(names, fit.axes, strict=True)
    ]


def _test_image(model: Model, *, raw: bool) -> Floats:
    """A simulated image (1, C, *spatial): nobody's data are given away."""
    ndim = model.config.network.ndim
    fit = geometry(model.network)
    sides = fit.next_size([-(-SIDE[ndim] // axis.stride) * axis.stride for axis in fit.axes])
    noise = np.random.default_rng(0).random((1, model.config.data.inputs, *sides))
    for axis in range(2, noise.ndim):  # a little smoother than noise
        noise = noise + np.roll(noise, 1, axis) + np.roll(noise, 2, axis)
    return np.asarray((255 if raw else 2) * noise / noise.max(), np.float32)


def _normalized(image: Floats, data: DataConfig) -> Floats:
    fixed = fixed_scaling(data)
    seen = fixed.apply(image[0]) if fixed else normalize(image[0], data.normalization, counts=False)
    return np.ascontiguousarray(seen[None], np.float32)


def _npy(array: Floats) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _page(page: str, steps: list[Step] | None) -> str:
    """The page, with what is particular to the package."""
    done = (
        "The normalization is part of `rdf.yaml`: the package takes intensities as they were acquired."
        if steps is not None
        else "The normalization above cannot be said in `rdf.yaml`: the package takes images that are normalized."
    )
    return "\n".join(
        [
            page,
            "## Validation",
            "",
            "Compare masks with the ground truth of images that were held out, `ulna evaluate` does.",
            "",
            "## About this package",
            "",
            done,
            "",
            "The test image is simulated. Before you publish it, state the authors and a license in `rdf.yaml`.",
            "",
        ]
    )
