"""How many objects are found: `ulna train` and `ulna evaluate` as a user types them, and StarDist beside them.

    python benchmarks/objects.py fluorescence [--minutes 60]  2018 Data Science Bowl, the shared test split
    python benchmarks/objects.py stardist [--minutes 60]      StarDist on the same images
    python benchmarks/objects.py all [--minutes 10]           fluorescence and histology, scored by kind
    python benchmarks/objects.py monuseg                      H&E: MoNuSeg
    python benchmarks/objects.py u373                         phase contrast: the Cell Tracking Challenge
    python benchmarks/objects.py trial [--set task.target=…]  fluorescence, judged on a fifth of the training groups:
                                                              for choices, in which no test image may have a say

Each adds one row to `results/objects.json` and writes all rows to `results/objects.md`. The clock runs over the whole
training command; what StarDist takes to optimize its thresholds comes on top of it. `--keep FOLDER` keeps the run.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from keras_baseline.environment import baseline_python
from state import commit
from ulna.dataset import Case, Dataset, load_image, split_by_group
from ulna.formats import write
from ulna.image import Image
from ulna.jobs.evaluate import evaluate
from ulna.jobs.evaluation import Evaluation
from ulna.layouts import read_dataset
from ulna.metrics import Primary, Scored, summarize
from ulna.metrics.objects import counted
from ulna.metrics.rows import MEANS
from ulna.truth import load_truth

HERE = Path(__file__).parent
RESULTS = HERE / "results"
STARDIST = HERE / ".venv-stardist"
SCORES = (*MEANS["ap"], "ap", "pq", "aji", "seg", "kaggle", "dice")


@dataclass(frozen=True)
class Trial:
    """A data set, who is trained on and who is judged; `kinds` splits the judged into rows of their own."""

    name: str
    data: Path
    train: tuple[Case, ...]
    test: Dataset
    minutes: float
    kinds: dict[str, str]


def main() -> None:
    """Train, judge, write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", choices=["fluorescence", "stardist", "all", "monuseg", "u373", "trial"])
    words.add_argument("--minutes", type=float, default=None)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--set", action="append", default=[], help="passed on to ulna train")
    words.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    words.add_argument("--keep", type=Path, default=None, help="keep the run and its scores in this folder")
    words.add_argument("--stardist", type=Path, default=STARDIST, help="folder of StarDist's environment")
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = given.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        trial = _trial(given.what, given.data)
        minutes = given.minutes or trial.minutes
        if given.what == "stardist":
            row = _stardist(
                trial,
                place,
                baseline_python(given.stardist, HERE / "stardist_baseline/requirements.txt"),
                minutes,
                given.seed,
            )
        else:
            row = _ulna(trial, place, minutes, given.seed, given.set)
        _add(row | {"asked": minutes, "seed": given.seed, "commit": commit(), "threads": torch.get_num_threads()})


def _trial(what: str, data: Path) -> Trial:
    if what == "monuseg":
        return _by_list("MoNuSeg", data / "monuseg" / "monuseg_train_crops.zip", data / "monuseg" / "test_ids.txt", 30)
    if what == "u373":
        return _by_list(
            "PhC-C2DH-U373", data / "phc_u373" / "PhC-C2DH-U373_02_train.zip", None, 30, last=("049", "051", "052")
        )
    folder = data / "dsb2018"
    dataset = read_dataset(folder / "stage1_train.zip")
    known = {row["id"]: row for row in csv.DictReader((folder / "kinds.csv").open(encoding="utf-8"))}
    kinds = {name: row["kind"] for name, row in known.items()}
    test_ids = set((folder / "test_ids.txt").read_text("utf-8").split())
    cases = [changed(case, group=known[case.name]["group"]) for case in dataset.cases]
    if what != "all":
        cases = [case for case in cases if kinds[case.name] == "fluorescence"]
    train = tuple(case for case in cases if case.name not in test_ids)
    test = tuple(case for case in cases if case.name in test_ids)
    if what == "trial":
        train, test = split_by_group(train, 0.2, 0)
    name = {"all": "Data Science Bowl", "trial": "Data Science Bowl, fluorescence, a fifth of the training groups"}
    return Trial(
        name.get(what, "Data Science Bowl, fluorescence"), folder / "stage1_train.zip", train,
        changed(dataset, cases=test), 10 if what in ("all", "trial") else 60, kinds if what == "all" else {},
    )  # fmt: skip


def _by_list(name: str, data: Path, ids: Path | None, minutes: float, *, last: tuple[str, ...] = ()) -> Trial:
    """A data set whose test cases a list names, or the ends of their names."""
    dataset = read_dataset(data)
    listed = tuple(ids.read_text("utf-8").split()) if ids else last
    test = tuple(case for case in dataset.cases if case.name.endswith(listed))
    train = tuple(case for case in dataset.cases if not case.name.endswith(listed))
    return Trial(name, data, train, changed(dataset, cases=test), minutes, {})


def _ulna(trial: Trial, place: Path, minutes: float, seed: int, settings: Sequence[str]) -> dict[str, Any]:
    (place / "train.txt").write_text("\n".join(case.name for case in trial.train) + "\n", encoding="utf-8")
    command = [sys.executable, "-c", "from ulna.cli import main; main()", "train", str(trial.data)]
    command += ["--out", str(place / "run"), "--cases", str(place / "train.txt"), "--minutes", f"{minutes:g}"]
    command += ["--seed", str(seed), *(word for setting in settings for word in ("--set", setting))]
    taken, memory = _watched(command)
    from ulna.model import load

    model = load(place / "run")
    images = [load_image(case, channels=model.channels) for case in trial.test.cases]
    model.predict(images[0])
    began = time.monotonic()
    for image in images:
        model.predict(image)
    speed = len(images) / (time.monotonic() - began)
    steps, batch = _steps(place / "run")
    result = evaluate(model, trial.test, out=place / "scores")
    recipe = " ".join(["ulna", *settings])
    return _row(trial, result, recipe=recipe) | {
        "taken": taken, "training images/s": steps * batch / taken, "prediction images/s": speed, "memory": memory,
    }  # fmt: skip


def _steps(run: Path) -> tuple[int, int]:
    """The steps of a run and the patches of a batch."""
    import yaml

    with (run / "metrics.csv").open(encoding="utf-8") as file:
        steps = max(int(row["step"]) for row in csv.DictReader(file))
    return steps, int(yaml.safe_load((run / "config.yaml").read_text("utf-8"))["training"]["batch_size"])


def _stardist(trial: Trial, place: Path, python: Path, minutes: float, seed: int) -> dict[str, Any]:
    train, valid = split_by_group(trial.train, 0.1, seed)
    arrays: dict[str, np.ndarray] = {}
    for part, cases in (("train", train), ("valid", valid), ("test", trial.test.cases)):
        for number, case in enumerate(cases):
            arrays[f"{part}_image_{number}"] = load_image(case, channels=1).array[0].astype(np.float32)
            if part != "test":
                arrays[f"{part}_labels_{number}"] = load_truth(case).array[0].astype(np.int32)
    np.savez(place / "data.npz", **arrays)
    command = [
        python,
        HERE / "stardist_baseline" / "stardist_dsb.py",
        place / "data.npz",
        place / "out.npz",
        minutes,
        seed,
    ]
    taken, memory = _watched([str(word) for word in command])
    with np.load(place / "out.npz") as out:
        for number, case in enumerate(trial.test.cases):
            write(place / "masks" / f"{case.name}.tif", Image(out[f"labels_{number}"][None]))
        steps, batch, training = int(out["steps"]), int(out["batch"]), float(out["training"])
        speed = len(trial.test.cases) / float(out["prediction"])
    changes = {"task.name": "instances", "data.objects": True}
    result = evaluate(place / "masks", trial.test, out=place / "scores", changes=changes)
    return _row(trial, result, recipe="StarDist") | {
        "taken": taken, "training images/s": steps * batch / training, "prediction images/s": speed, "memory": memory,
    }  # fmt: skip


def _watched(command: Sequence[str]) -> tuple[float, int]:
    """Run a command: its seconds, and the most memory that it and its children had resident."""
    began, most = time.monotonic(), 0
    process = subprocess.Popen(command)

    def watch() -> None:
        nonlocal most
        while process.poll() is None:
            try:
                family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                most = max(most, sum(one.memory_info().rss for one in family))
            except psutil.Error:
                pass
            time.sleep(0.5)

    watcher = threading.Thread(target=watch)
    watcher.start()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"ended with {process.returncode}: {' '.join(command)}")
    return time.monotonic() - began, most


def _row(trial: Trial, result: Evaluation, *, recipe: str) -> dict[str, Any]:
    """A row of the table: what was done, and its scores, of all images and of each kind."""
    parts: dict[str, list[Scored]] = {"": list(result.cases)}
    for case in result.cases:
        if trial.kinds:
            parts.setdefault(trial.kinds[case.name], []).append(case)
    scores = {}
    for kind, cases in parts.items():
        found = summarize(cases, Primary("ap", counts="objects")).overall.scores
        scores[kind] = {
            name: (found[name].mean if name in ("dice", "kaggle", "seg") else found[name].pooled).estimate
            for name in SCORES
        } | {"images": len(cases), **counted(row for case in cases for row in case.rows)}
    return {"data": trial.name, "recipe": recipe, "train": len(trial.train), "scores": scores}


def _add(row: dict[str, Any]) -> None:
    """Put a row into the record, in the place of an older one of the same trial, and write the table."""
    path = RESULTS / "objects.json"
    rows = json.loads(path.read_text("utf-8")) if path.exists() else []
    rows = [old for old in rows if any(old[key] != row[key] for key in ("data", "recipe", "asked", "seed"))] + [row]
    rows.sort(key=lambda one: one["data"])
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    thresholds = " ".join(f".{name[-2:]}" for name in MEANS["ap"])
    lines = [
        "# Objects in images that were held out of training",
        "",
        "`python benchmarks/objects.py fluorescence|stardist|all|monuseg|u373|trial`. AP is TP / (TP + FP + FN) of the",
        "objects of all images together; its mean is over the nine thresholds. PQ and AJI are pooled as well; SEG and",
        "Dice are means over images. Minutes are asked / taken, for the whole of the training command (StarDist's with",
        "its thresholds and predictions).",
        "",
        f"| data | recipe | commit | minutes | AP at IoU {thresholds} | mean | PQ | AJI | SEG | Dice | found, split, "
        "merged, missed, false positive | images/s in training, prediction | memory, GiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        recipe = one["recipe"] + (f", seed {one['seed']}" if one["seed"] else "")
        for kind, found in one["scores"].items():
            values = " ".join(f"{found[name]:.3f}"[1:] for name in MEANS["ap"])
            fates = ", ".join(str(found[key]) for key in ("found", "split", "merged", "missed", "false positive"))
            others = " | ".join(f"{found[name]:.3f}" for name in ("ap", "pq", "aji", "seg", "dice"))
            name = f"{one['data']}{f', {kind}' if kind else ''} ({found['images']} images)"
            speeds = f"{one['training images/s']:.1f}, {one['prediction images/s']:.1f}"
            lines.append(
                f"| {name} | {recipe} | {one['commit']} | {one['asked']:g} / {one['taken'] / 60:.1f} | {values} | "
                f"{others} | {fates} of {found['true']} | {speeds} | {one['memory'] / 2**30:.1f} |"
            )
    text = "\n".join(lines) + "\n"
    (RESULTS / "objects.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
