"""How good the masks are: `ulna train` and `ulna evaluate` as a user types them, on real data, on images held out.

    python benchmarks/quality.py bowl [--minutes 10]      2018 Data Science Bowl, the shared test split
    python benchmarks/quality.py membranes                ISBI 2012: trained on slices 0-17, judged on 18-23
    python benchmarks/quality.py blood                    white blood cells, three classes
    python benchmarks/quality.py brain                    brain tumours (LGG), patients held out
    python benchmarks/quality.py baselines [--minutes 5]     U-Net, FCN-8s and the paper's U-Net on the same budget
                                                          (or one of them: --only fcn8)
    python benchmarks/quality.py keras [--minutes 10]     the tutorial's own Keras network and recipe on the bowl:
                                                          so many minutes, or its 5 epochs

Each adds one row (baselines: three) to `results/quality.json` and writes all rows to `results/quality.md`. The
clock runs over the whole training command. `--keep FOLDER` keeps the run and the scores there.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import torch

from keras_baseline import dsb
from keras_baseline.environment import FOLDER, baseline_python
from state import commit
from ulna.dataset import Case, Dataset
from ulna.jobs.evaluate import Evaluation, evaluate
from ulna.jobs.split import split
from ulna.layouts import read_dataset
from ulna.metrics import Errors, Primary, label, mean_interval, summarize

HERE = Path(__file__).parent
RESULTS = HERE / "results"
BASELINES = {
    "default": [],
    "fcn8": [],
    "paper": ["--set", "network.widths=[16,32,64,128,256]", "--set", "training.patch=[316,316]"],
}
"""The paper's own widths, 64 to 1,024, take seconds a step on two cores; and its patch is larger than the images."""


@dataclass(frozen=True)
class Trial:
    """A data set, who is trained on and who is judged: in columns by `kinds`, with `changes` of the settings."""

    name: str
    data: Path
    train: tuple[str, ...]
    test: Dataset
    minutes: float
    kinds: dict[str, str] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Train, judge, write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", choices=[*TRIALS, "baselines", "keras"])
    words.add_argument("--minutes", type=float, default=None)
    words.add_argument("--only", choices=BASELINES, default=None, help="of the baselines")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--set", action="append", default=[], help="passed on to ulna train")
    words.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    words.add_argument("--keep", type=Path, default=None, help="keep the run and its scores in this folder")
    words.add_argument("--keras", type=Path, default=FOLDER, help="folder of the Keras environment")
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for one in rows(given, given.keep or Path(folder)):
            add(one)


def rows(given: argparse.Namespace, place: Path) -> Iterator[dict[str, Any]]:
    """The rows that were asked for, as each is done."""
    settings = [word for setting in given.set for word in ("--set", setting)]
    if given.what == "keras":
        python = baseline_python(given.keras)
        yield run_keras(bowl(given.data, made(place)), place, python, minutes=given.minutes or 0, seed=given.seed)
    elif given.what == "baselines":
        for preset in [given.only] if given.only else BASELINES:
            trial = bowl(given.data, made(place / preset))
            minutes, both = given.minutes or 5, [*BASELINES[preset], *settings]
            yield run(trial, place / preset, preset=preset, minutes=minutes, seed=given.seed, settings=both)
    else:
        trial = TRIALS[given.what](given.data, made(place))
        minutes = given.minutes or trial.minutes
        yield run(trial, place, preset="default", minutes=minutes, seed=given.seed, settings=settings)


def made(folder: Path) -> Path:
    """The folder, which is there from now on."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def bowl(data: Path, place: Path) -> Trial:
    """The Data Science Bowl: test_ids.txt is judged, with the groups of kinds.csv."""
    folder = data / "dsb2018"
    dataset = read_dataset(folder / "stage1_train.zip")
    kinds = {row["id"]: row for row in csv.DictReader((folder / "kinds.csv").open(encoding="utf-8"))}
    kept = set((folder / "test_ids.txt").read_text("utf-8").split())
    test = [changed(case, group=kinds[case.name]["group"]) for case in dataset.cases if case.name in kept]
    train = tuple(case.name for case in dataset.cases if case.name not in kept)
    chosen = changed(dataset, cases=tuple(test))
    by_kind = {name: row["kind"] for name, row in kinds.items()}
    return Trial("Data Science Bowl", folder / "stage1_train.zip", train, chosen, 10, by_kind)


def membranes(data: Path, place: Path) -> Trial:
    """ISBI 2012: the first 18 slices to learn from, the last 6 to be judged on."""
    dataset = read_dataset(data / "isbi2012")
    train, test = dataset.cases[:18], dataset.cases[18:]
    judged = changed(dataset, cases=test)
    borders = {"task.borders": "background"}  # cells are the class
    return Trial("ISBI 2012 membranes", data / "isbi2012", names(train), judged, 30, changes=borders)


def blood(data: Path, place: Path) -> Trial:
    """White blood cells: a fifth of the images, by group."""
    return kept_out("white blood cells", data / "segmentation_wbc.zip", place, share=0.2, minutes=10)


def brain(data: Path, place: Path) -> Trial:
    """Brain tumours: a third of the patients."""
    return kept_out("LGG brain MRI", data / "lgg-mri-segmentation.zip", place, share=0.33, minutes=30)


def kept_out(name: str, data: Path, place: Path, *, share: float, minutes: float) -> Trial:
    """A data set split as `ulna split` splits it."""
    made = split(data, test=share, out=place / "split", seed=0)
    return Trial(name, data, names(made.train), Dataset(made.test, ""), minutes)


TRIALS: dict[str, Callable[[Path, Path], Trial]] = {
    "bowl": bowl,
    "membranes": membranes,
    "blood": blood,
    "brain": brain,
}


def names(cases: Sequence[Case]) -> tuple[str, ...]:
    """Their names."""
    return tuple(case.name for case in cases)


def run(
    trial: Trial, place: Path, *, preset: str, minutes: float, seed: int, settings: Sequence[str]
) -> dict[str, Any]:
    """Train on the one side, judge on the other; a row of the table."""
    assert not set(trial.train) & set(names(trial.test.cases))
    (place / "train.txt").write_text("\n".join(trial.train) + "\n", encoding="utf-8")
    command = [sys.executable, "-c", "from ulna.cli import main; main()", "train", str(trial.data)]
    command += ["--out", str(place / "run"), "--cases", str(place / "train.txt"), "--preset", preset]
    command += ["--minutes", f"{minutes:g}", "--seed", str(seed), *settings]
    began = time.monotonic()
    subprocess.run(command, check=True)
    taken = time.monotonic() - began
    result = evaluate(place / "run", trial.test, out=place / "scores", changes=trial.changes)
    settings = [word for word in settings if word != "--set"]
    return row(trial, result, recipe=" ".join([preset, *settings]), seed=seed, asked=f"{minutes:g}", taken=taken)


def run_keras(trial: Trial, place: Path, python: Path, *, minutes: float, seed: int) -> dict[str, Any]:
    """The tutorial's network and recipe in Keras, by minutes or for its 5 epochs; a row of the table."""
    train = [case for case in read_dataset(trial.data).cases if case.name in set(trial.train)]
    epochs = 0 if minutes else 5
    began = time.monotonic()
    masks = dsb.predict_masks(python, train, trial.test.cases, place, epochs=epochs, minutes=minutes, seed=seed)
    taken = time.monotonic() - began
    asked = f"{minutes:g}" if minutes else f"{epochs} epochs"
    result = evaluate(masks, trial.test, out=place / "scores")
    return row(trial, result, recipe="tutorial, in Keras", seed=seed, asked=asked, taken=taken)


def row(trial: Trial, result: Evaluation, *, recipe: str, seed: int, asked: str, taken: float) -> dict[str, Any]:
    """A row of the table: what was done, and its scores."""
    return {
        "data": trial.name,
        "recipe": recipe,
        "seed": seed,
        "asked": asked,
        "taken": round(taken / 60, 2),
        "commit": commit(),
        "threads": torch.get_num_threads(),
        "train": len(trial.train),
        "test": result.summary.cases,
        "groups": result.summary.groups,
        "scores": {**scores(result), **by_kind(result, trial.kinds)},
        "errors": asdict(result.summary.errors),
    }


def scores(result: Evaluation) -> dict[str, list[float]]:
    """Mean Dice over images, of each class, over groups, and the share of wrong pixels, with intervals."""
    summary = summarize(result.cases, Primary("dice"))  # of a model that finds objects, too
    found = {"Dice": summary.overall.scores["dice"].mean}
    if len(summary.classes) > 1:
        found |= {f"Dice of {part.name}": part.scores["dice"].mean for part in summary.classes}
    if summary.joined:
        found["Dice by group"] = summary.by_group
    borders = [name for name in ("rand", "information") if name in summary.overall.scores]
    found |= {f"{label(name)} score": summary.overall.scores[name].mean for name in borders}
    made = {name: [value.estimate, value.low, value.high] for name, value in found.items()}
    right = summary.overall.scores["accuracy"].mean
    made["pixel error"] = [1 - right.estimate, 1 - right.high, 1 - right.low]
    if summary.groups == 1:
        # what the script of the ISBI 2012 challenge calls the pixel error (`PixelError` of Fiji's Trainable
        # Segmentation), with cells as the positive class; at the model's own threshold instead of the best
        made["1 - F-score"] = [1 - summary.by_group.estimate, math.nan, math.nan]
    return made


def by_kind(result: Evaluation, kinds: dict[str, str]) -> dict[str, list[float]]:
    """Mean Dice of the images of each kind."""
    made = {}
    for kind in sorted({kinds[case.name] for case in result.cases if case.name in kinds}):
        chosen = [case for case in result.cases if kinds[case.name] == kind]
        found = mean_interval([case.dice for case in chosen], [case.group for case in chosen])
        made[f"Dice of {kind} ({len(chosen)})"] = [found.estimate, found.low, found.high]
    return made


def add(row: dict[str, Any]) -> None:
    """Put a row into the record, in the place of an older one of the same trial, and write the table."""
    path = RESULTS / "quality.json"
    rows = json.loads(path.read_text("utf-8")) if path.exists() else []
    rows = [old for old in rows if any(old[key] != row[key] for key in ("data", "recipe", "asked", "seed"))] + [row]
    rows.sort(key=lambda one: one["data"])
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    lines = [
        "# Masks of images that were held out of training",
        "",
        "`python benchmarks/quality.py bowl|membranes|blood|brain|baselines|keras`; 95 % intervals in brackets, by "
        "bootstrap over groups. Dice is the mean over images, at their own resolution. Minutes are asked / taken, for "
        "the whole of `ulna train`; in Keras for training and prediction. Where these images had a say in a choice "
        "(FCN-8s, membranes, blood cells, brain tumours), the README or docs/architecture.md tells it.",
        "",
        "| data | recipe | commit | minutes | images: train / test (groups) | scores |",
        "|---|---|---|---|---|---|",
    ]
    for one in rows:
        told = "; ".join(f"{name} {words(value)}" for name, value in one["scores"].items())
        if "errors" in one:
            told += f". {Errors(**one['errors']).sentence()}"
        recipe = one["recipe"] + (f", seed {one['seed']}" if one["seed"] else "")
        lines.append(
            f"| {one['data']} | {recipe} | {one['commit']} | {one['asked']} / {one['taken']:.2f} | "
            f"{one['train']} / {one['test']} ({one['groups']}) | {told} |"
        )
    text = "\n".join(lines) + "\n"
    (RESULTS / "quality.md").write_text(text, encoding="utf-8")
    print(text)


def words(value: Sequence[float]) -> str:
    """An estimate with its interval, where it has one."""
    middle, low, high = value
    return f"{middle:.3f}" + ("" if math.isnan(low) else f" ({low:.3f}–{high:.3f})")


main()
