"""Prediction of images larger than memory: seconds and memory against area, with objects and with classes.

    python benchmarks/slides.py [--largest 64]            images of 1, 4, 16, … megapixels up to this (1,600: 40,000²)
    python benchmarks/slides.py again [--largest 64]      the largest alone: equal with other tiles, and after kill -9

The image is RGB, a tiled BigTIFF of the MoNuSeg crops put together like tiles, turned and mirrored by chance; the
models learn on these crops for a minute each. The bare network runs on as many tiles, of the size that a prediction
takes, in memory, in the same engine. Adds rows to `results/slides.json`, and writes `results/slides.md` and
`results/slides.png`. Peaks are of resident memory of the whole command.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from math import log, prod
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

import ulna
from trials import DATA, RESULTS, commit, folder_of, processor, watched
from ulna import formats
from ulna.dataset import load_image
from ulna.figures.colors import COLORS, shade
from ulna.figures.common import new_figure, save_figure
from ulna.formats.base import RGB
from ulna.image import Grid, Source
from ulna.inference.windows import bands
from ulna.layouts import read_dataset
from ulna.networks import measure_statistics
from ulna.tasks.blocks import BLOCK

TASKS = {"objects": "instances", "classes": "semantic"}
SIDE = 1000
START = [sys.executable, "-c", "from ulna.cli import main; main()"]


def main() -> None:
    """Measure and write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", nargs="?", choices=["cost", "again"], default="cost")
    words.add_argument("--largest", type=int, default=64, help="megapixels")
    words.add_argument("--task", choices=TASKS, default=None, help="one of both")
    words.add_argument("--data", type=Path, default=DATA)
    words.add_argument("--keep", type=Path, default=None, help="keep images, models and masks in this folder")
    given = words.parse_args()
    with folder_of(given.keep) as place:
        for task in [given.task] if given.task else TASKS:
            run = _run(task, given.data, place)
            if given.what == "again":
                _record(_again(run, task, given.largest, given.data, place))
                continue
            rate = _bare(run)
            sides = [int(1000 * 2**k) for k in range(20) if 4**k < given.largest] + [int(1000 * given.largest**0.5)]
            for side in sides:
                _record(_cost(run, task, side, given.data, place) | {"bare megapixels/s": rate})


def _run(task: str, data: Path, place: Path) -> Path:
    """A model that has learned for a minute."""
    run = place / f"run_{task}"
    if not run.exists():
        folder = data / "monuseg" / "monuseg_train_crops.zip"
        ulna.train(folder, run, minutes=1, changes={"task.name": TASKS[task]})
    return run


def _image(side: int, data: Path, place: Path) -> Path:
    """An image of this side: crops beside each other."""
    path = place / f"slide_{side}.tif"
    if path.exists():
        return path
    cases = read_dataset(data / "monuseg" / "monuseg_train_crops.zip").cases[:24]
    crops = [load_image(case, channels=3).array for case in cases]
    draw = np.random.default_rng(0)
    step = min(crop.shape[1] for crop in crops) // 2 * 2
    grid = Grid((side, side), (0.25, 0.25), "µm")
    with formats.create(path, grid, dtype=np.dtype(np.uint8), channels=RGB) as writer:
        for top in range(0, side, step):
            row = []
            for _ in range(0, side, step):
                crop = crops[draw.integers(len(crops))][:, :step, :step]
                row.append(np.rot90(crop, draw.integers(4), (1, 2))[:, :: draw.choice([-1, 1])])
            strip = np.concatenate(row, axis=2)[:, : min(step, side - top), :side]
            writer.write((slice(top, top + strip.shape[1]), slice(0, side)), np.ascontiguousarray(strip))
    return path


def _cost(run: Path, task: str, side: int, data: Path, place: Path) -> dict[str, Any]:
    """Seconds and memory of `ulna predict`, of the whole command and of that for a tiny image."""
    image, out = _image(side, data, place), place / "masks"
    shutil.rmtree(out, ignore_errors=True)
    taken, memory = watched([*START, "predict", str(run), str(image), "--out", str(out)])
    tiny = _image(64, data, place)
    start, _ = watched([*START, "predict", str(run), str(tiny), "--out", str(place / "tiny"), "--overwrite"])
    shutil.rmtree(out, ignore_errors=True)
    return {"task": task, "side": side, "seconds": taken, "start": start, "memory": memory}


def _bare(run: Path) -> float:
    """Megapixels a second of the network alone, on tiles in memory whose halos count as work and not as pixels."""
    model = ulna.load(run, device="cpu")
    pipeline = model.large.pipeline
    shape = (3, 4096, 4096)
    tiling = pipeline._tiling(shape[1:], 0, pipeline._affordable())
    kept = np.mean([prod(part.stop - part.start for part in tile.target) for tile in tiling.tiles])
    window = np.random.default_rng(0).random((1, 3, *tiling.size), np.float32)
    statistics = measure_statistics(model.network, [torch.from_numpy(window)])
    runner = model.engine.engine.compile(model.network, statistics, window.shape, model.engine.precision)
    runner(window)
    began = time.monotonic()
    for _ in range(8):
        runner(window)
    return float(8 * kept / 1e6 / (time.monotonic() - began))


def _again(run: Path, task: str, megapixels: int, data: Path, place: Path) -> dict[str, Any]:
    """Whether masks are equal with other tiles, and after a process that was killed."""
    side = int(1000 * megapixels**0.5)
    image = _image(side, data, place)
    masks = []
    for name, words in (("whole", []), ("tiles", ["--set", "inference.tile=768"])):
        out = place / f"{name}_{task}"
        shutil.rmtree(out, ignore_errors=True)
        subprocess.run([*START, "predict", run, image, "--out", out, *words], check=True)
        masks.append(out / image.name)
    out = place / f"killed_{task}"
    shutil.rmtree(out, ignore_errors=True)
    command = [*START, "predict", str(run), str(image), "--out", str(out)]
    process = subprocess.Popen(command)

    def count() -> int:
        """How many tiles are kept."""
        lists = (out / f".{image.name}.part-kept").glob("*.regions")
        return sum(len(one.read_text().splitlines()) for one in lists)

    while count() < 5:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with exit code {process.returncode} before it was to be killed")
        time.sleep(0.2)
    for one in [*psutil.Process(process.pid).children(recursive=True), process]:
        one.send_signal(signal.SIGKILL)
    process.wait()
    kept = count()
    subprocess.run(command, check=True)
    masks.append(out / image.name)
    differ = [_differing(masks[0], other) for other in masks[1:]]
    return {
        "task": task, "side": side, "again": True, "differing, other tiles": differ[0], "differing, killed": differ[1],
        "tiles before it was killed": kept,
    }  # fmt: skip


def _differing(one: Path, other: Path) -> float:
    """The share of pixels whose class differs, or whose object has no partner of the same pixels."""
    pairs: dict[tuple[int, int], int] = {}
    with formats.open_reader(Source(one)) as first, formats.open_reader(Source(other)) as second:
        shape = first.grid.shape
        for band in bands(shape, 1 << 24):
            both = np.stack([first.read(band)[0].ravel(), second.read(band)[0].ravel()]).astype(np.int64)
            found, counts = np.unique(both, axis=1, return_counts=True)
            for (a, b), count in zip(found.T.tolist(), counts.tolist(), strict=True):
                pairs[a, b] = pairs.get((a, b), 0) + count
    single = _single(list(pairs))
    return 1 - sum(pairs[pair] for pair in single) / prod(shape)


def _single(pairs: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """The pairs of which neither part is in another one."""
    array = np.array(pairs)
    counts = [dict(zip(*(part.tolist() for part in np.unique(array[:, side], return_counts=True)), strict=True))
              for side in (0, 1)]  # fmt: skip
    return {pair for pair in pairs if counts[0][pair[0]] == 1 and counts[1][pair[1]] == 1}


def _record(row: dict[str, Any]) -> None:
    path = RESULTS / "slides.json"
    rows = json.loads(path.read_text("utf-8")) if path.exists() else []
    row |= {"commit": commit(), "processor": processor()}
    same = ("task", "side", "processor")
    rows = [
        old for old in rows
        if any(old[key] != row[key] for key in same) or old.get("again", False) != row.get("again", False)
    ] + [row]  # fmt: skip
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    text = _table(rows)
    (RESULTS / "slides.md").write_text(text, encoding="utf-8")
    _picture([one for one in rows if "seconds" in one])
    print(text)


def _exponent(rows: Sequence[dict[str, Any]]) -> float:
    """Of time against area, from 4 megapixels on; the start of the program does not count."""
    known = [(log(one["side"] ** 2), log(max(one["seconds"] - one["start"], 1e-3))) for one in rows]
    known = [pair for pair in known if pair[0] >= log(4e6)]
    return float(np.polyfit(*zip(*known, strict=True), 1)[0]) if len(known) > 1 else float("nan")


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "# Images larger than memory",
        "",
        "`python benchmarks/slides.py [again] --largest N`. An RGB image as a tiled BigTIFF, `ulna predict` as it is",
        "typed; seconds are of the whole command, and of its start (a tiny image). The bare network runs on tiles in",
        "memory. Memory is the most that was resident. Objects are found in blocks of "
        f"{BLOCK[2][0]} × {BLOCK[2][1]} pixels.",
        "",
        "| task | megapixels | seconds, start | megapixels/s | of the bare network | memory, GiB | commit, processor |",
        "|---|---|---|---|---|---|---|",
    ]
    costs = sorted((one for one in rows if "seconds" in one), key=lambda one: (one["task"], one["side"]))
    for one in costs:
        area, own = one["side"] ** 2 / 1e6, one["seconds"] - one["start"]
        lines.append(
            f"| {one['task']} | {area:,.0f} | {one['seconds']:.1f}, {one['start']:.1f} | {area / own:.2f} | "
            f"{area / own / one['bare megapixels/s']:.0%} of {one['bare megapixels/s']:.2f} | "
            f"{one['memory'] / 2**30:.2f} | {one['commit']}, {one['processor']} |"
        )
    for task in TASKS:
        if len(own_rows := [one for one in costs if one["task"] == task]) > 1:
            lines += ["", f"Time grows with area to the power of {_exponent(own_rows):.2f} ({task})."]
    again = [one for one in rows if one.get("again")]
    if again:
        lines += [
            "",
            "| task | megapixels | pixels that differ with other tiles | after kill -9 |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {one['task']} | {one['side'] ** 2 / 1e6:,.0f} | {one['differing, other tiles']:.2g} | "
            f"{one['differing, killed']:.2g} ({one['tiles before it was killed']} tiles before) |"
            for one in again
        ]
    return "\n".join(lines) + "\n"


def _picture(rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    figure = new_figure(9, 3.4)
    left, right = figure.subplots(1, 2)
    for number, task in enumerate(TASKS):
        own = sorted((one for one in rows if one["task"] == task), key=lambda one: one["side"])
        areas = [one["side"] ** 2 / 1e6 for one in own]
        style = {"marker": "o", "color": shade(COLORS[1 + 4 * number]), "label": task}
        left.loglog(areas, [one["seconds"] - one["start"] for one in own], **style)
        right.semilogx(areas, [one["memory"] / 2**30 for one in own], **style)
    left.set_ylabel("seconds")
    right.set_ylabel("memory, GiB")
    right.set_ylim(0, 2.2)
    right.axhline(2, color="0.6", linestyle="dashed")
    for axes in (left, right):
        axes.set_xlabel("megapixels")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    save_figure(figure, RESULTS / "slides.png")


if __name__ == "__main__":
    main()
