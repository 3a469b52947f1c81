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
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keras_baseline import dsb
from keras_baseline.environment import FOLDER, baseline_python
from trials import DATA, Trial, bowl, folder_of, recorded, trained, words
from ulna.caselist import select
from ulna.dataset import Dataset
from ulna.jobs.evaluate import Evaluation, evaluate
from ulna.jobs.split import split
from ulna.layouts import read_dataset
from ulna.metrics import Errors, Primary, label, mean_interval, summarize

BASELINES = {
    "default": [],
    "fcn8": [],
    "paper": ["network.widths=[16,32,64,128,256]", "training.patch=[316,316]"],
}
"""The paper's own widths, 64 to 1,024, take seconds a step on two cores; and its patch is larger than the images."""


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*TRIALS, "baselines", "keras"])
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--only", choices=BASELINES, default=None, help="of the baselines")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="passed on to ulna train")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--keep", type=Path, default=None, help="keep the run and its scores in this folder")
    parser.add_argument("--keras", type=Path, default=FOLDER, help="folder of the Keras environment")
    given = parser.parse_args()
    with folder_of(given.keep) as place:
        for one in rows(given, place):
            recorded("quality", one, table)


def rows(given: argparse.Namespace, place: Path) -> Iterator[dict[str, Any]]:
    """The rows that were asked for, as each is done."""
    if given.what == "keras":
        python = baseline_python(given.keras)
        yield run_keras(bowl(given.data), place, python, minutes=given.minutes or 0, seed=given.seed)
    elif given.what == "baselines":
        for preset in [given.only] if given.only else BASELINES:
            minutes, both = given.minutes or 5, [*BASELINES[preset], *given.set]
            with folder_of(place / preset) as own:
                yield run(bowl(given.data), own, preset=preset, minutes=minutes, seed=given.seed, settings=both)
    else:
        trial = TRIALS[given.what](given.data, place)
        minutes = given.minutes or trial.minutes
        yield run(trial, place, preset="default", minutes=minutes, seed=given.seed, settings=given.set)


def membranes(data: Path, place: Path) -> Trial:
    """ISBI 2012: the first 18 slices to learn from, the last 6 to be judged on."""
    dataset = read_dataset(data / "isbi2012")
    train, judged = (select(dataset, [f"train-volume[{slab}]"]) for slab in ("0:18", "18:24"))
    borders = {"task.borders": "background"}  # cells are the class
    return Trial("ISBI 2012 membranes", data / "isbi2012", train.cases, judged, 30, changes=borders)


def blood(data: Path, place: Path) -> Trial:
    """White blood cells: a fifth of the images, by group."""
    return kept_out("white blood cells", data / "segmentation_wbc.zip", place, share=0.2, minutes=10)


def brain(data: Path, place: Path) -> Trial:
    """Brain tumours: a third of the patients."""
    return kept_out("LGG brain MRI", data / "lgg-mri-segmentation.zip", place, share=0.33, minutes=30)


def kept_out(name: str, data: Path, place: Path, *, share: float, minutes: float) -> Trial:
    """A data set split as `ulna split` splits it."""
    made = split(data, test=share, out=place / "split", seed=0)
    return Trial(name, data, made.train, Dataset(made.test, ""), minutes)


TRIALS: dict[str, Callable[[Path, Path], Trial]] = {
    "bowl": lambda data, place: bowl(data),
    "membranes": membranes,
    "blood": blood,
    "brain": brain,
}


def run(
    trial: Trial, place: Path, *, preset: str, minutes: float, seed: int, settings: Sequence[str]
) -> dict[str, Any]:
    """Train on the one side, judge on the other; a row of the table."""
    taken, _ = trained(trial, place, minutes=minutes, seed=seed, settings=settings, preset=preset)
    result = evaluate(place / "run", trial.test, out=place / "scores", changes=trial.changes)
    return row(trial, result, recipe=" ".join([preset, *settings]), seed=seed, asked=f"{minutes:g}", taken=taken)


def run_keras(trial: Trial, place: Path, python: Path, *, minutes: float, seed: int) -> dict[str, Any]:
    """The tutorial's network and recipe in Keras, by minutes or for its 5 epochs; a row of the table."""
    epochs = 0 if minutes else 5
    began = time.monotonic()
    masks = dsb.predict_masks(python, trial.train, trial.test.cases, place, epochs=epochs, minutes=minutes, seed=seed)
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


def table(rows: Sequence[dict[str, Any]]) -> str:
    """All rows as `results/quality.md`."""
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
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
