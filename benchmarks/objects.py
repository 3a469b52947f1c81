"""How many objects are found: `ulna train` and `ulna evaluate` as a user types them, and StarDist beside them.

    python benchmarks/objects.py fluorescence [--minutes 60]  2018 Data Science Bowl, the shared test split
    python benchmarks/objects.py stardist [--minutes 60]      StarDist on the same images
    python benchmarks/objects.py all [--minutes 10]           fluorescence and histology, scored by kind
    python benchmarks/objects.py monuseg                      H&E: MoNuSeg
    python benchmarks/objects.py together                     the same, learned with the Data Science Bowl's images
    python benchmarks/objects.py u373                         phase contrast: the Cell Tracking Challenge
    python benchmarks/objects.py trial [--set task.target=…]  fluorescence, judged on a fifth of the training groups:
                                                              for choices, in which no test image may have a say
    python benchmarks/objects.py trial --zoom 2               the same, enlarged twice, scored at their own size

Each adds one row to `results/objects.json` and writes all rows to `results/objects.md`. The clock runs over the whole
training command; what StarDist takes to optimize its thresholds comes on top of it. `--keep FOLDER` keeps the run.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from keras_baseline.environment import baseline_python
from trials import DATA, HERE, Trial, bowl, folder_of, recorded, trained, watched
from ulna.dataset import Case, load_image, split_by_group
from ulna.formats import write
from ulna.image import Image
from ulna.jobs.evaluate import evaluate
from ulna.jobs.evaluation import Evaluation
from ulna.layouts import read_dataset
from ulna.metrics import Primary, Scored, summarize
from ulna.metrics.objects import counted
from ulna.metrics.rows import MEANS
from ulna.truth import load_truth

STARDIST = HERE / ".venv-stardist"
OBJECTS = {"task.name": "instances", "data.objects": True}
SCORES = (*MEANS["ap"], "ap", "pq", "aji", "seg", "kaggle", "dice")


def main() -> None:
    """Train, judge, write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", choices=["fluorescence", "stardist", "all", "monuseg", "together", "u373", "trial"])
    words.add_argument("--minutes", type=float, default=None)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--set", action="append", default=[], help="passed on to ulna train")
    words.add_argument("--zoom", type=int, default=1, help="enlarge images so often before training")
    words.add_argument("--data", type=Path, default=DATA)
    words.add_argument("--keep", type=Path, default=None, help="keep the run and its scores in this folder")
    words.add_argument("--stardist", type=Path, default=STARDIST, help="folder of StarDist's environment")
    given = words.parse_args()
    with folder_of(given.keep) as place:
        trial = _trial(given.what, given.data, place)
        minutes = given.minutes or trial.minutes
        if given.what == "stardist":
            python = baseline_python(given.stardist, HERE / "stardist_baseline/requirements.txt")
            row = _stardist(trial, place, python, minutes, given.seed)
        else:
            row = _ulna(trial, place, minutes, given.seed, given.set, zoom=given.zoom)
        recorded("objects", row | {"asked": minutes, "seed": given.seed}, _table)


def _trial(what: str, data: Path, place: Path) -> Trial:
    if what in ("monuseg", "together"):
        folder = data / "monuseg"
        alone = _by_list("MoNuSeg", folder / "monuseg_train_crops.zip", folder / "test_ids.txt", 30)
        if what == "monuseg":
            return alone
        both = _copied([*alone.train, *bowl(data).train], place / "both", channels=3)
        return changed(alone, name=f"{alone.name}, learned with the Data Science Bowl", data=place / "both", train=both)
    if what == "u373":
        return _by_list(
            "PhC-C2DH-U373", data / "phc_u373" / "PhC-C2DH-U373_02_train.zip", None, 30, last=("049", "051", "052")
        )
    if what == "all":
        return bowl(data)
    whole = bowl(data, kind="fluorescence")
    if what != "trial":
        return changed(whole, minutes=60)
    train, test = split_by_group(whole.train, 0.2, 0)
    name = f"{whole.name}, a fifth of the training groups"
    return changed(whole, name=name, train=train, test=changed(whole.test, cases=test))


def _by_list(name: str, data: Path, ids: Path | None, minutes: float, *, last: tuple[str, ...] = ()) -> Trial:
    """A data set whose test cases a list names, or the ends of their names."""
    dataset = read_dataset(data)
    listed = tuple(ids.read_text("utf-8").split()) if ids else last
    test = tuple(case for case in dataset.cases if case.name.endswith(listed))
    train = tuple(case for case in dataset.cases if not case.name.endswith(listed))
    return Trial(name, data, train, changed(dataset, cases=test), minutes)


def _copied(cases: Sequence[Case], folder: Path, *, channels: int, zoom: int = 1) -> tuple[Case, ...]:
    """The cases as images and numbered masks in one folder, enlarged by a whole number."""
    for case in cases:
        image = load_image(case, channels=channels)
        large = ndimage.zoom(image.array, (1, zoom, zoom), order=1, grid_mode=True, mode="nearest")
        write(folder / "images" / f"{case.name}.tif", Image(large if zoom > 1 else image.array))
        numbers = load_truth(case).array.repeat(zoom, axis=1).repeat(zoom, axis=2)
        write(folder / "masks" / f"{case.name}.tif", Image(numbers.astype(np.int32)))
    return read_dataset(folder).cases


def _ulna(
    trial: Trial, place: Path, minutes: float, seed: int, settings: Sequence[str], *, zoom: int
) -> dict[str, Any]:
    if zoom > 1:
        larger = _copied(trial.train, place / "larger", channels=1, zoom=zoom)
        trial = changed(trial, data=place / "larger", train=larger)
    taken, memory = trained(trial, place, minutes=minutes, seed=seed, settings=settings)
    from ulna.model import load

    model = load(place / "run")
    images = [load_image(case, channels=model.channels) for case in trial.test.cases]
    model.predict(images[0])
    began = time.monotonic()
    for image in images:
        model.predict(image)
    speed = len(images) / (time.monotonic() - began)
    steps, batch = _steps(place / "run")
    if zoom > 1:
        for case in trial.test.cases:
            image = load_image(case, channels=1).array
            large = ndimage.zoom(image, (1, zoom, zoom), order=1, grid_mode=True, mode="nearest")
            numbers = np.asarray(model.predict(large))
            write(place / "masks" / f"{case.name}.tif", Image(numbers[None, zoom // 2 :: zoom, zoom // 2 :: zoom]))
        result = evaluate(place / "masks", trial.test, out=place / "scores", changes=OBJECTS)
    else:
        result = evaluate(model, trial.test, out=place / "scores")
    recipe = " ".join(["ulna", *settings, *[f"on images enlarged {zoom} times"] * (zoom > 1)])
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
    script = HERE / "stardist_baseline" / "stardist_dsb.py"
    command = [python, script, place / "data.npz", place / "out.npz", minutes, seed]
    taken, memory = watched([str(word) for word in command])
    with np.load(place / "out.npz") as out:
        for number, case in enumerate(trial.test.cases):
            write(place / "masks" / f"{case.name}.tif", Image(out[f"labels_{number}"][None]))
        steps, batch, training = int(out["steps"]), int(out["batch"]), float(out["training"])
        speed = len(trial.test.cases) / float(out["prediction"])
    result = evaluate(place / "masks", trial.test, out=place / "scores", changes=OBJECTS)
    return _row(trial, result, recipe="StarDist") | {
        "taken": taken, "training images/s": steps * batch / training, "prediction images/s": speed, "memory": memory,
    }  # fmt: skip


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


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """All rows as `results/objects.md`."""
    thresholds = " ".join(f".{name[-2:]}" for name in MEANS["ap"])
    lines = [
        "# Objects in images that were held out of training",
        "",
        "`python benchmarks/objects.py fluorescence|stardist|all|monuseg|together|u373|trial`. AP is TP / (TP + FP",
        "+ FN) of the objects of all images together; its mean is over the nine thresholds. PQ and AJI are pooled",
        "as well; SEG and Dice are means over images. Minutes are asked / taken, for the whole of the training",
        "command (StarDist's with its thresholds and predictions). Rows on a fifth of the training groups compare",
        "targets and weights: the same network, images, time and split; one core each, while other work ran on the",
        "other core: a difference of a point or two may be chance. Edges were",
        "weighed 1 + 5 exp(-d²/2σ²), d the distance from an edge, σ = 1.5 pixels.",
        "",
        f"| data | recipe | commit | minutes | AP at IoU {thresholds} | mean | PQ | AJI | SEG | Dice | found, split, "
        "merged, missed, false positive | images/s in training, prediction | memory, GiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        recipe = one["recipe"] + (f", seed {one['seed']}" if one["seed"] else "")
        recipe += ", on one core" if one["threads"] == 1 else ""
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
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
