"""Prediction of volumes: seconds and memory of ulna and of MONAI's sliding window, with the same weights, by turns.

    python benchmarks/volume_prediction.py [--rounds 3]     a volume of 192 × 160 × 160, 14 classes: tiles of 64³
                                                            that overlap by half with Gaussian weights in both; and
                                                            each with the tiles that it takes by default
    python benchmarks/volume_prediction.py large            a CT of 600 × 512 × 512 voxels, 14 classes, as a file:
                                                            `ulna predict`, at its own spacing and at another

Writes `results/volume_prediction.md` and `results/large_volume.md`. MONAI is installed once under
`benchmarks/.venv-monai`; it uses the PyTorch of this environment. Peaks are of resident memory, above what the process
held before it began to predict; of `large` they are of the whole command.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trials import RESULTS, commit, folder_of, monai_beside, processor, watched
from ulna import modelfile
from ulna.config import Config
from ulna.formats import create
from ulna.image import Channel, Grid, Image
from ulna.inference.pipeline import Pipeline
from ulna.labels.classes import Classes
from ulna.model import Model
from ulna.modelfile import Saved
from ulna.networks import build

SHAPE, CLASSES, TILE = (192, 160, 160), 14, 64
WIDTHS = (16, 32, 64, 128)
SIDES = ("ulna", "monai")
TILINGS = {"same": "tiles of 64³, overlap .5, Gaussian", "default": "by default"}


def main() -> None:
    """Measure and write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", nargs="?", choices=["monai", "large", *(f"{s}-{t}" for s in SIDES for t in TILINGS)],
                       default="monai")  # fmt: skip
    words.add_argument("--rounds", type=int, default=3)
    given = words.parse_args()
    if given.what == "large":
        _write("large_volume.md", large())
    elif given.what == "monai":
        _write("volume_prediction.md", compared(given.rounds))
    else:
        side, _, tiling = given.what.partition("-")
        print(json.dumps(once(side, tiling)))


def compared(rounds: int) -> str:
    """Each side in a process of its own, by turns; the table."""
    env = monai_beside()
    found: dict[tuple[str, str], list[dict[str, float]]] = {(t, s): [] for t in TILINGS for s in SIDES}
    for turn in range(rounds):
        for tiling, side in found if turn % 2 == 0 else reversed(found):
            done = subprocess.run(
                [sys.executable, __file__, f"{side}-{tiling}"], capture_output=True, text=True, check=True, env=env
            )
            found[tiling, side].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"round {turn + 1}, {tiling}, {side}: {found[tiling, side][-1]}", flush=True)
    lines = [
        "# Prediction of a volume beside MONAI's sliding window",
        "",
        f"`python benchmarks/volume_prediction.py` at {commit()}: {' × '.join(map(str, SHAPE))} voxels, {CLASSES} "
        f"classes, a U-Net of {len(WIDTHS)} levels from {WIDTHS[0]} channels on, the same weights in both, float32, "
        f"{processor()}; medians of {rounds} rounds by turns. Memory is what prediction adds at its peak.",
        "",
        "| tiles | seconds: ulna | MONAI | ratio | MiB: ulna | MONAI | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for tiling, title in TILINGS.items():
        ours, theirs = (
            {key: statistics.median(one[key] for one in found[tiling, side]) for key in ("seconds", "peak")}
            for side in SIDES
        )
        (quick, slow), (small, big) = ((ours[key], theirs[key]) for key in ("seconds", "peak"))
        cells = [f"{quick:.1f}", f"{slow:.1f}", f"{slow / quick:.2f}", f"{small:.0f}", f"{big:.0f}"]
        lines.append(f"| {' | '.join([title, *cells, f'{small / big:.2f}'])} |")
    return "\n".join(lines) + "\n"


def once(side: str, tiling: str) -> dict[str, float]:
    """One prediction: seconds, and MiB above what was held before."""
    volume = np.random.default_rng(0).standard_normal((1, *SHAPE), dtype=np.float32)
    run = (of_ulna if side == "ulna" else of_monai)(tiling)
    run(volume[:, :TILE, :TILE, :TILE])  # warm
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    run(volume)
    taken = time.perf_counter() - began
    return {"seconds": taken, "peak": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def of_ulna(tiling: str) -> Any:
    """A function of a volume (C, Z, Y, X) that gives class indices."""
    tiles = {"inference.tile": TILE, "inference.tiling": "blended", "inference.margin": 0} if tiling == "same" else {}
    model = model_of(CLASSES, tiles)
    return lambda volume: np.asarray(model.predict(Image(volume)))


def of_monai(tiling: str) -> Any:
    """The same with MONAI's sliding window."""
    from monai.inferers import sliding_window_inference

    network = model_of(CLASSES, {}).network
    words = {"overlap": 0.5, "mode": "gaussian"} if tiling == "same" else {}

    def run(volume: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            outputs = sliding_window_inference(torch.from_numpy(volume)[None], (TILE,) * 3, 1, network, **words)
            return outputs[0].argmax(0).numpy().astype(np.uint8)

    return run


def model_of(classes: int, changes: dict[str, Any]) -> Model:
    """Fresh weights, from one seed. Without instance norm, whose statistics MONAI would take from each tile."""
    settings = {"network.ndim": 3, "network.widths": WIDTHS, "network.norm": "batch", "data.channels": 1}
    config = Config().changed({"task.name": "semantic", "data.normalization": "none", **settings, **changes})
    names = ("background", *(f"class {k}" for k in range(1, classes)))
    torch.manual_seed(0)
    network = build(config.network, 1, classes).eval()
    return Model(Saved(network, config, Classes(names, tuple((k,) for k in range(classes)), "classes", ""), classes))


def large() -> str:
    """`ulna predict` of a file of 600 × 512 × 512 voxels, 14 classes."""
    lines = [
        "# A CT of 600 × 512 × 512 voxels, 14 classes",
        "",
        f"`python benchmarks/volume_prediction.py large` at {commit()}: `ulna predict` from file to file (.nii, 16 "
        f"bits), {processor()}. Held as a whole, the outputs alone would take {14 * 4 * 600 * 512 * 512 / 2**30:.1f} "
        "GiB at the image's own spacing.",
        "",
        "| spacing that the network sees | seconds | said before it starts, beside image, mask and libraries, GiB | "
        "most resident memory, GiB |",
        "|---|---|---|---|",
    ]
    grid = Grid((600, 512, 512), (1.0, 0.8, 0.8), "mm", (0.0, 0.0, 0.0))
    targets = {"the image's own": {}, "2 × 1.6 × 1.6 mm": {"data.target_spacing": (2.0, 1.6, 1.6), "data.unit": "mm"}}
    with folder_of(None) as place:
        (place / "scans").mkdir()
        ground = np.random.default_rng(0).normal(0, 200, (1, 8, 512, 512))
        with create(place / "scans/a.nii", grid, dtype=np.dtype(np.int16), channels=(Channel("CT"),)) as writer:
            for start in range(0, 600, 8):
                region = (slice(start, start + 8), slice(0, 512), slice(0, 512))
                writer.write(region, (ground + start).astype(np.int16))
        for title, changes in targets.items():
            changes |= {"network.norm": "instance", "data.normalization": "percentile"}
            modelfile.save(place / "model.safetensors", model_of(14, changes).saved)
            command = [sys.executable, "-c", "from ulna.cli import main; main()", "predict"]
            words = [str(place / "model.safetensors"), str(place / "scans"), "--out", str(place / "masks")]
            taken, most = watched([*command, *words, "--overwrite"])
            model = model_of(14, changes)
            said = Pipeline(model.network, model.config, 14).memory(1, grid)
            lines.append(f"| {title} | {taken:.0f} | {said / 2**30:.2f} | {most / 2**30:.2f} |")
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def _write(name: str, text: str) -> None:
    (RESULTS / name).write_text(text, encoding="utf-8")
    print(Path(name).stem, text, sep="\n")


if __name__ == "__main__":
    main()
