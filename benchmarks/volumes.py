"""How good masks of volumes are: `ulna train` and `ulna evaluate` as a user types them, on volumes held out.

    python benchmarks/volumes.py hippocampus [--minutes 15]   Decathlon Task04, the shared test split
    python benchmarks/volumes.py heart                        ACDC by patient; --set network.ndim=3 for the other way
    python benchmarks/volumes.py scribbles                    the same, learned from scribbles alone
    python benchmarks/volumes.py tumors                       LGG stacks by patient
    python benchmarks/volumes.py nuclei                       BBBC050, objects in 3D
    python benchmarks/volumes.py nnunet [--minutes 60]        nnU-Net itself on hippocampus, on the same machine
    python benchmarks/volumes.py hippocampus --choice         a fifth of the training groups is judged instead of the
                                                              test split: for choices, in which it may have no say

Each adds a row to `results/volumes.json` and writes all rows to `results/volumes.md`. The clock runs over the whole
training command. `--keep FOLDER` keeps the run and the scores there. nnU-Net has an environment of its own, made once
under `benchmarks/.venv-nnunet` (`--nnunet FOLDER`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np

from keras_baseline.environment import baseline_python
from trials import DATA, HERE, Trial, folder_of, recorded, trained, watched, words
from ulna.dataset import load_image, split_by_group
from ulna.formats import write
from ulna.groups import decide
from ulna.image import Image
from ulna.jobs.evaluate import evaluate
from ulna.jobs.evaluation import Evaluation
from ulna.layouts import Patterns, read_dataset
from ulna.layouts.patterns import NO_PATTERNS
from ulna.metrics import label
from ulna.metrics.objects import counted
from ulna.truth import load_truth


@dataclass(frozen=True)
class Volumes:
    """A data set of volumes: its name and file, minutes by default, settings of all trainings, and what is stated."""

    name: str
    file: str
    minutes: float
    settings: tuple[str, ...] = ()
    stated: Patterns = NO_PATTERNS


SETS = {
    "hippocampus": Volumes("hippocampus", "hippocampus/Task04_Hippocampus.tar", 60),
    "heart": Volumes("heart (ACDC)", "acdc/acdc_train.tar.xz", 60),
    "scribbles": Volumes(
        "heart (ACDC), from scribbles", "acdc/acdc_train.tar.xz", 60, ("data.labels=scribblesTr", "data.ignore=[4]")
    ),
    "tumors": Volumes("brain tumors (LGG stacks)", "lgg3d/lgg3d_train.tar.xz", 60),
    "nuclei": Volumes(
        "nuclei in 3D (BBBC050)",
        "bbbc050/bbbc050_train.tar.xz",
        60,
        ("data.spacing=[1.75,0.8,0.8]", "data.unit=µm", "task.name=instances"),
        Patterns(spacing=(1.75, 0.8, 0.8), unit="µm"),
    ),
}

MEASURES = ("dice", "hd95", "surface_dice", "ap_50", "ap_75", "pq")


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*SETS, "nnunet"])
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="passed on to ulna train")
    parser.add_argument("--choice", action="store_true", help="judge a fifth of the training groups")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--keep", type=Path, default=None, help="keep the run and its scores in this folder")
    parser.add_argument("--nnunet", type=Path, default=HERE / ".venv-nnunet", help="folder of nnU-Net's environment")
    given = parser.parse_args()
    chosen = SETS["hippocampus" if given.what == "nnunet" else given.what]
    with folder_of(given.keep) as place:
        trial = trial_of(chosen, given.data, choice=given.choice)
        minutes = given.minutes or trial.minutes
        if given.what == "nnunet":
            recipe, (taken, most) = nnunet(trial, place, given.nnunet, minutes=minutes)
            result = evaluate(place / "masks", trial.test, out=place / "scores")
        else:
            recipe, settings = " ".join(["default", *given.set]), [*chosen.settings, *given.set]
            taken, most = trained(trial, place, minutes=minutes, seed=given.seed, settings=settings)
            result = evaluate(place / "run", trial.test, out=place / "scores")
        row = {
            "data": trial.name,
            "recipe": recipe,
            "seed": given.seed,
            "asked": minutes,
            "taken": round(taken / 60, 2),
            "peak": round(most / 2**30, 2),
            "train": len(trial.train),
            "test": result.summary.cases,
            "groups": result.summary.groups,
            "scores": scores(result),
            "objects": counted(result.rows),
        }
        recorded("volumes", row, table)


def trial_of(chosen: Volumes, data: Path, *, choice: bool) -> Trial:
    """The cases that are learned from, and those that are judged: the shared split, or one of the training groups."""
    file = data / chosen.file
    dataset = read_dataset(file, chosen.stated)
    grouped = decide(dataset.cases, "", complete=False).groups
    cases = tuple(changed(case, group=group) for case, group in zip(dataset.cases, grouped, strict=True))
    held_out = set((file.parent / "test_ids.txt").read_text("utf-8").split())
    test = tuple(case for case in cases if case.name in held_out or case.group in held_out)
    train = tuple(case for case in cases if case not in test)
    name = chosen.name
    if choice:
        (train, test), name = split_by_group(train, 0.2, seed=0), f"{name}, a fifth of the training groups"
    return Trial(name, file, train, changed(dataset, cases=test), chosen.minutes)


def nnunet_data(trial: Trial, place: Path, *, tests: bool) -> None:
    """Write the cases to train on in nnU-Net's raw form, and those to test where they are wanted."""
    raw = place / "raw" / "Dataset004_Hippocampus"
    for case in (*trial.train, *(trial.test.cases if tests else ())):
        held_out = case in trial.test.cases
        write(raw / ("imagesTs" if held_out else "imagesTr") / f"{case.name}_0000.nii.gz", load_image(case))
        if not held_out:
            truth = load_truth(case)
            labels = Image(np.rint(truth.array).astype(np.uint8), load_image(case).grid)
            write(raw / "labelsTr" / f"{case.name}.nii.gz", labels)
    words = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "Anterior": 1, "Posterior": 2}}
    words |= {"numTraining": len(trial.train), "file_ending": ".nii.gz"}
    (raw / "dataset.json").write_text(json.dumps(words), encoding="utf-8")


def nnunet(trial: Trial, place: Path, environment: Path, *, minutes: float) -> tuple[str, tuple[float, int]]:
    """Train nnU-Net in its own environment and predict the test cases; what it did, its seconds and its memory."""
    python = baseline_python(environment, HERE / "nnunet_baseline/requirements.txt")
    nnunet_data(trial, place, tests=True)
    script, said = HERE / "nnunet_baseline/nnunet_hippocampus.py", place / "said.txt"
    with said.open("w") as stream:
        _, most = watched([str(python), str(script), str(place), "--minutes", f"{minutes:g}"], stdout=stream)
    facts = json.loads(said.read_text("utf-8").splitlines()[-1])
    recipe = (
        f"nnU-Net 2.8.1, 3d_fullres: patches of {'×'.join(map(str, facts['patch']))}, batches of {facts['batch']}, "
        f"{facts['steps']} steps of {facts['step']:.2f} s ({facts['waiting']:.2f} s of it waiting for augmentation)"
    )
    return recipe, (facts["trained"], most)


def scores(result: Evaluation) -> dict[str, list[float]]:
    """The means over cases of what says most, over all classes and for each, with their intervals."""
    summary, found = result.summary, {}
    for one in (summary.overall, *(summary.classes if len(summary.classes) > 1 else ())):
        of = "" if one is summary.overall else f" of {one.name}"
        for name in MEASURES if one is summary.overall else MEASURES[:1]:
            if name in one.scores:
                value = one.scores[name].mean
                found[f"{label(name)}{of}"] = [value.estimate, value.low, value.high]
    if summary.joined:
        found["by group"] = [summary.by_group.estimate, summary.by_group.low, summary.by_group.high]
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    """All rows as `results/volumes.md`."""
    lines = [
        "# Masks of volumes that were held out of training",
        "",
        f"`python benchmarks/volumes.py {'|'.join(SETS)}`; means over volumes, with 95 % intervals over groups where "
        "there are five or more. Minutes are asked / taken, for the whole of `ulna train`; memory is the most that was "
        "resident while training.",
        "",
        "| data | recipe | commit | minutes | memory | volumes: train / test (groups) | scores |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        told = "; ".join(f"{name} {words(value)}" for name, value in one["scores"].items())
        objects = ", ".join(f"{count} {name}" for name, count in one["objects"].items())
        recipe = one["recipe"] + (f", seed {one['seed']}" if one["seed"] else "")
        lines.append(
            f"| {one['data']} | {recipe} | {one['commit']} | {one['asked']:g} / {one['taken']:.2f} | "
            f"{one['peak']:.2f} GiB | {one['train']} / {one['test']} ({one['groups']}) | "
            f"{told}{f'; objects: {objects}' if objects else ''} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
