"""The tutorial's Keras network and recipe on the Data Science Bowl: the shared test split, Dice by kind.

    python benchmarks/keras_rival/dsb.py [--epochs 5 | --minutes 10] [--seed 0] [--data FOLDER]

Trained on the images that are not in `test_ids.txt`, resized to 128×128 and divided by 255 as the tutorial
does (each nucleus mask resized by itself, then their maximum); predicted at 128×128, resized back to each
image's own size, cut at 0.5. Adds one row to `benchmarks/results/keras_dsb.json` and writes all of them to
`keras_dsb.md`.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from environment import FOLDER, HERE, RESULTS, rival_python

from ulna.dataset import Case, load_image, load_truth
from ulna.layouts import read_dataset
from ulna.scores import bootstrap, overlap

SIZE = 128


def main() -> None:
    """Train, predict, score, write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = words.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, default=0)
    length.add_argument("--minutes", type=float, default=0)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data" / "dsb2018")
    words.add_argument("--keras", type=Path, default=FOLDER, help="folder of the Keras environment")
    words.add_argument("--out", type=Path, default=RESULTS, help="folder of keras_dsb.json and keras_dsb.md")
    words.add_argument("--cases", type=int, default=None, help="only so many images of each part (a smoke test)")
    given = words.parse_args()
    epochs = given.epochs or (0 if given.minutes else 5)
    python = rival_python(given.keras)
    kinds = {row["id"]: row for row in csv.DictReader((given.data / "kinds.csv").open(encoding="utf-8"))}
    kept = set((given.data / "test_ids.txt").read_text(encoding="utf-8").split())
    cases = read_dataset(given.data / "stage1_train.zip").cases
    train = [case for case in cases if case.name not in kept][: given.cases]
    test = [case for case in cases if case.name in kept][: given.cases]
    print(f"{len(train)} images to train on, {len(test)} to test", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data.npz", Path(folder) / "out.npz"
        truths = _write(data, train, test)
        child = [python, HERE / "keras_dsb.py", data, out, epochs, given.minutes, given.seed]
        subprocess.run([str(word) for word in child], check=True)
        with np.load(out) as arrays:
            result = {name: arrays[name] for name in arrays.files}
    dice = [_dice(p, truth) for p, truth in zip(result["probabilities"], truths, strict=True)]
    groups = [kinds[case.name]["group"] for case in test]
    row: dict[str, Any] = {
        "recipe": f"{given.minutes:g} minutes" if given.minutes else f"{epochs} epochs",
        "seed": given.seed,
        "epochs": round(float(result["epochs"]), 1),
        "seconds": round(float(result["seconds"]), 1),
        "train": len(train),
        "scores": {"all": _interval(dice, groups)},
    }
    for kind in sorted({kinds[case.name]["kind"] for case in test}):
        chosen = [i for i, case in enumerate(test) if kinds[case.name]["kind"] == kind]
        row["scores"][kind] = _interval([dice[i] for i in chosen], [groups[i] for i in chosen])
    _add(row, given.out)


def _write(path: Path, train: list[Case], test: list[Case]) -> list[np.ndarray]:
    """Everything the Keras process needs, at 128×128; returns the test images' truth at their own size."""
    images = [np.stack([_image(case) for case in part]) for part in (train, test)]
    masks = np.stack([_mask(load_truth(case).array[0]) for case in train])[..., None]
    np.savez(path, train_images=images[0], train_masks=masks, test_images=images[1])
    return [(load_truth(case).array > 0).astype(np.uint8) for case in test]


def _image(case: Case) -> np.ndarray:
    """(128, 128, 3) uint8: bilinear without smoothing, as OpenCV's default resize."""
    array = load_image(case).array
    array = array[:3] if array.shape[0] >= 3 else np.repeat(array[:1], 3, axis=0)
    return _resized(array.astype(np.float32), (SIZE, SIZE)).round().astype(np.uint8).transpose(1, 2, 0)


def _mask(labels: np.ndarray) -> np.ndarray:
    """(128, 128) uint8 0-255: each nucleus resized by itself, then the largest value."""
    largest = np.zeros((SIZE, SIZE), np.float32)
    for label in np.unique(labels[labels > 0]):
        np.maximum(largest, _resized((labels == label)[None].astype(np.float32), (SIZE, SIZE))[0], out=largest)
    return (largest * 255).round().astype(np.uint8)


def _resized(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    tensor = torch.from_numpy(array)[None]
    return F.interpolate(tensor, shape, mode="bilinear", align_corners=False)[0].numpy()


def _dice(probability: np.ndarray, truth: np.ndarray) -> float:
    mask = _resized(probability[None].astype(np.float32), truth.shape[1:]) > 0.5
    return overlap(mask.astype(np.uint8), truth, ("background", "nuclei"))[0].dice


def _interval(dice: list[float], groups: list[str]) -> dict[str, Any]:
    found = bootstrap(dice, groups)
    return {
        "dice": found.estimate,
        "low": None if isnan(found.low) else found.low,  # one group says nothing about others
        "high": None if isnan(found.high) else found.high,
        "cases": found.cases,
        "groups": found.groups,
    }


def _add(row: dict[str, Any], folder: Path) -> None:
    path = folder / "keras_dsb.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    rows.append(row)
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    columns = ["all", "fluorescence", "histology", "brightfield"]
    lines = [
        "# The tutorial's Keras network and recipe on the Data Science Bowl's shared test split",
        "",
        "`python benchmarks/keras_rival/dsb.py`: mean per-image Dice at each image's own size, 95 % interval "
        "(bootstrap over groups), number of images. Trained on the images outside `test_ids.txt`.",
        "",
        "| recipe | seed | epochs | training, s | " + " | ".join(columns) + " |",
        "|---|---|---|---|" + "---|" * len(columns),
    ]
    for made in rows:
        scores = [_words(made["scores"].get(kind)) for kind in columns]
        lines.append(
            f"| {made['recipe']} | {made['seed']} | {made['epochs']} | {made['seconds']:.0f} | "
            + " | ".join(scores)
            + " |"
        )
    text = "\n".join(lines) + "\n"
    (folder / "keras_dsb.md").write_text(text, encoding="utf-8")
    print(text)


def _words(score: dict[str, Any] | None) -> str:
    if score is None:
        return "–"
    interval = "" if score["low"] is None else f" ({score['low']:.3f}–{score['high']:.3f})"
    return f"{score['dice']:.3f}{interval}, {score['cases']}"


main()
