"""Prediction of images: ulna beside Keras from files to files, and beside MONAI's sliding window on a large one.

    python benchmarks/image_prediction.py folder [--rounds 3]   48 files of 512 × 512 pixels, the tutorial's network; 6
                                                                with four times its widths, those of the paper
    python benchmarks/image_prediction.py large [--rounds 3]    4,096 × 4,096 pixels in memory, the tutorial's network;
                                                                MONAI's windows of 512 × 512 overlap by a quarter

Writes `results/folder_prediction.md` and `results/large_image.md`. Weights are fresh: how fast a network runs does not
depend on them. Each side runs in a process of its own, warmed up, by turns. For Keras and MONAI see `README.md`.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from keras_baseline.environment import FOLDER, baseline_python
from keras_baseline.pipe import Child, serve
from trials import HERE, RESULTS, commit, folder_of, monai_beside, processor
from ulna.config import Config
from ulna.formats import write
from ulna.image import Image
from ulna.inference.engines.compiled import weights_hash
from ulna.inference.engines.openvino_engine import FIGURES, QUANTIZED
from ulna.inference.engines.quantization import quantize
from ulna.jobs.predict import predict
from ulna.labels.classes import Classes
from ulna.model import Model
from ulna.modelfile import Saved
from ulna.networks import build
from ulna.preset import load_preset

SIDE, LARGE = 512, 4096
WIDTHS = {16: ("the tutorial's", 48), 64: ("the paper's", 6)}
"""By the least width of the network what it is called, and how many files are predicted in a round."""

OURS = {
    "ulna, PyTorch": ("torch", "float32"),
    "ulna, OpenVINO": ("openvino", "float32"),
    "ulna, INT8": ("openvino", "int8"),
}


def main() -> None:
    """Measure and write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", choices=["folder", "large", "child"])
    words.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--keras", type=Path, default=FOLDER, help="folder of the Keras environment")
    given = words.parse_args()
    if given.what == "child":
        child(*given.words)
    elif given.what == "folder":
        _write("folder_prediction.md", folder(given.rounds, baseline_python(given.keras)))
    else:
        _write("large_image.md", large(given.rounds))


def folder(rounds: int, keras: Path) -> str:
    """Files to files, beside Keras; the table."""
    lines = [
        "# Prediction of a folder of images beside Keras",
        "",
        f"`python benchmarks/image_prediction.py folder` at {commit()}: RGB images of {SIDE} × {SIDE} pixels, PNG to "
        f"PNG, {processor()}; medians of {rounds} rounds by turns (least and largest in brackets). The network alone "
        "runs on an image in memory.",
        "",
        "| network | | images/s | × Keras | the network alone, images/s | files to files / alone |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as place:
        for width, (name, count) in WIDTHS.items():
            images = Path(place) / str(width)
            for number in range(count):
                write(images / f"{number:02d}.png", Image(_picture(SIDE, seed=number)))
            script = HERE / "keras_baseline/keras_prediction.py"
            children = [Child("Keras", keras, script, str(images), str(width), "plain")]
            children += [_child(ours, "folder", width, images) for ours in _ours()]
            found = _by_turns(children, rounds, count)
            plain = statistics.median(one["seconds"] for one in found["Keras"])
            for side, rows in found.items():
                speeds = [count / one["seconds"] for one in rows]
                middle = count / statistics.median(one["seconds"] for one in rows)
                cells = [f"{middle:.2f} ({min(speeds):.2f}–{max(speeds):.2f})", f"{plain * middle / count:.2f}"]
                alone = statistics.median(one.get("alone", np.nan) for one in rows)
                cells += [f"{alone:.2f}", f"{middle / alone:.2f}"] if alone > 0 else ["", ""]
                lines.append(f"| {name} | {' | '.join([side, *cells])} |")
    return "\n".join(lines) + "\n"


def large(rounds: int) -> str:
    """One large image, beside MONAI; the table."""
    children = [
        Child("MONAI", Path(sys.executable), Path(__file__), "child", "monai", "large", "16", env=monai_beside())
    ]
    children += [_child(ours, "large", 16) for ours in _ours()]
    found = _by_turns(children, rounds, LARGE)
    theirs = {key: statistics.median(one[key] for one in found["MONAI"]) for key in ("seconds", "peak")}
    lines = [
        "# Prediction of a large image beside MONAI's sliding window",
        "",
        f"`python benchmarks/image_prediction.py large` at {commit()}: {LARGE} × {LARGE} RGB pixels in memory, the "
        f"tutorial's network, {processor()}; medians of {rounds} rounds by turns. MONAI: windows of {SIDE} × {SIDE}, "
        "overlap .25. Memory is the most that was resident, libraries and image included.",
        "",
        "| | seconds | MONAI / it | GiB | MONAI / it |",
        "|---|---|---|---|---|",
    ]
    for side, rows in found.items():
        seconds, peak = (statistics.median(one[key] for one in rows) for key in ("seconds", "peak"))
        cells = [f"{seconds:.1f}", f"{theirs['seconds'] / seconds:.2f}", f"{peak:.2f}", f"{theirs['peak'] / peak:.2f}"]
        lines.append(f"| {' | '.join([side, *cells])} |")
    return "\n".join(lines) + "\n"


def _ours() -> list[str]:
    """What of ulna can be measured in this environment."""
    return [name for name, (_, kind) in OURS.items() if kind != "int8" or find_spec("nncf")]


def _child(name: str, what: str, width: int, *words: Path) -> Child:
    return Child(name, Path(sys.executable), Path(__file__), "child", name, what, str(width), *map(str, words))


def _by_turns(children: list[Child], rounds: int, size: int) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {child.name: [] for child in children}
    for turn in range(rounds):
        for child in children if turn % 2 == 0 else reversed(children):
            time.sleep(0.5)  # threads of the last one come to rest
            found[child.name].append(child.ask(size))
            print(f"round {turn + 1}, {child.name}: {found[child.name][-1]}", flush=True)
    for child in children:
        child.close()
    return found


def child(name: str, what: str, width: str, *words: str) -> None:
    """One side: measures as often as it is asked."""
    with folder_of(None) as place:
        model = model_of(int(width), place, *OURS.get(name, ("torch", "float32")))
        if what == "folder":
            serve(_files(model, sorted(Path(words[0]).iterdir()), place), warm=2)
        else:
            serve(_image(model) if name in OURS else _monai(model.network), warm=SIDE)


def _files(model: Model, images: list[Path], place: Path) -> Any:
    """From files to files, and of the network alone."""
    window = np.ascontiguousarray(_picture(SIDE, seed=0)[None], np.float32) / 255
    run = model.engine.engine.compile(model.network, {}, window.shape, model.engine.precision)

    def measure(count: int) -> dict[str, float]:
        began = time.perf_counter()
        predict(model, images[:count], out=place / "masks", overwrite=True)
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(count):
            run(window)
        return {"seconds": seconds, "alone": count / (time.perf_counter() - began)}

    return measure


def _image(model: Model) -> Any:
    def measure(side: int) -> dict[str, float]:
        image = Image(_picture(side, seed=0))
        began = time.perf_counter()
        np.asarray(model.predict(image))
        return _taken(began)

    return measure


def _monai(network: torch.nn.Module) -> Any:
    from monai.inferers import sliding_window_inference

    def measure(side: int) -> dict[str, float]:
        image = _picture(side, seed=0)
        began = time.perf_counter()
        with torch.inference_mode():
            seen = torch.from_numpy(image)[None].float() / 255
            outputs = sliding_window_inference(seen, (SIDE, SIDE), 1, network, overlap=0.25)
            (outputs[0] > 0).numpy().astype(np.uint8)
        return _taken(began)

    return measure


def _taken(began: float) -> dict[str, float]:
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def _picture(side: int, *, seed: int) -> np.ndarray:
    """(3, side, side) uint8: noise, which no format packs well."""
    return np.random.default_rng(seed).integers(0, 256, (3, side, side), np.uint8)


def model_of(width: int, place: Path, engine: str, precision: str) -> Model:
    """The tutorial's network with fresh weights from one seed, at the images' own size."""
    preset = load_preset("tutorial")
    widths = tuple(width << level for level in range(len(preset.network.widths)))
    settings = {"network.widths": widths, "data.resize": None, "inference.engine": engine}
    config: Config = preset.changed(settings | {"inference.precision": precision})
    torch.manual_seed(0)
    network = build(config.network, 3, 1).eval()
    if precision == "int8":
        (place / QUANTIZED).mkdir()
        windows = np.stack([_picture(SIDE // 2, seed=seed) for seed in range(4)]).astype(np.float32) / 255
        quantize(network, windows, place / QUANTIZED)
        (place / QUANTIZED / FIGURES).write_text(json.dumps({"weights": weights_hash(network)}))
    classes = Classes(("background", "nuclei"), ((0,), (255,)), "classes", "")
    return Model(Saved(network, config, classes, 1, folder=place))


def _write(name: str, text: str) -> None:
    (RESULTS / name).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
