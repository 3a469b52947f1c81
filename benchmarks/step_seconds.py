"""Seconds of a training step beside nnU-Net: the same network, patch and batch, as its planner chooses on hippocampus.

    python benchmarks/step_seconds.py [--rounds 5] [--steps 2] [--nnunet FOLDER]

One process for each way, all started by this one; they measure by turns, one at a time, and sleep in between. Between
nnU-Net's trainer and `ulna train` lie steps of one change each, so that the table says what made the difference. The
batch is made before its step, and counted apart: by nnU-Net in worker processes, here measured on one thread; by ulna
in the training itself, on all cores. Writes `results/step_seconds.json` and `.md`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from keras_baseline.environment import baseline_python
from keras_baseline.pipe import Child, beside
from trials import DATA, HERE, folder_of, processor, recorded
from volumes import SETS, nnunet_data, trial_of

BASELINE = HERE / "nnunet_baseline"
NNUNET, ULNA = "nnunet_steps.py", "ulna_steps.py"


@dataclass(frozen=True)
class Way:
    """A way to take a step: its script and words, and what differs from the one before it in the table."""

    name: str
    script: str
    words: tuple[str, ...]
    change: str = ""


LADDER = (
    Way("nnU-Net", NNUNET, ("float32",)),
    Way("ulna's loop and loss, SGD, channels first", ULNA, ("nnunet", "first", "sgd", "float32"), "loop and loss"),
    Way("with channels last", ULNA, ("nnunet", "last", "sgd", "float32"), "channels last"),
    Way("with Muon: `ulna train` in float32", ULNA, ("nnunet", "last", "muon", "float32"), "Muon instead of SGD"),
    Way("in bf16: `ulna train` where the CPU computes in it", ULNA, ("nnunet", "last", "muon", "bf16"), "bf16"),
)
"""From nnU-Net's step to ulna's, on the module that nnU-Net builds."""

BESIDE = (
    Way("nnU-Net's network under autocast in bf16, which its trainer does not do on CPUs", NNUNET, ("bf16",)),
    Way("ulna's own U-Net of these widths, kernels and strides, float32", ULNA, ("ulna", "last", "muon", "float32")),
    Way("ulna's own U-Net of these widths, kernels and strides, bf16", ULNA, ("ulna", "last", "muon", "bf16")),
)


def main() -> None:
    """Measure and write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--steps", type=int, default=2, help="training steps of a round")
    words.add_argument("--data", type=Path, default=DATA)
    words.add_argument("--keep", type=Path, default=None, help="keep what was planned and preprocessed in this folder")
    words.add_argument("--nnunet", type=Path, default=HERE / ".venv-nnunet", help="folder of nnU-Net's environment")
    given = words.parse_args()
    theirs = baseline_python(given.nnunet, BASELINE / "requirements.txt")
    with folder_of(given.keep) as place:
        planned(theirs, place, given.data)
        load = psutil.getloadavg()[0] / (psutil.cpu_count() or 1)
        ways = (*LADDER, *BESIDE)
        children = [child(way, place, theirs) for way in ways]
        rounds = by_turns(children, given.rounds, given.steps)
        facts = children[len(LADDER) - 1].facts
        row = {
            "data": "hippocampus",
            "recipe": f"patches of {'×'.join(map(str, facts['patch']))}, batches of {facts['batch']}",
            "seed": 0,
            "asked": [given.rounds, given.steps],
            "processor": processor(),
            "load": round(load, 2),
            "ways": [
                {"name": way.name, "change": way.change, "parameters": one.facts["parameters"], **medians(rounds[k])}
                for k, (way, one) in enumerate(zip(ways, children, strict=True))
            ],
        }
        for one in children:
            one.close()
    recorded("step_seconds", row, table)


def planned(python: Path, place: Path, data: Path) -> None:
    """Let nnU-Net plan on the volumes that `volumes.py` trains on, unless the folder holds it."""
    if (place / "planned").exists():
        return
    nnunet_data(trial_of(SETS["hippocampus"], data, choice=False), place, tests=False)
    subprocess.run([str(python), str(BASELINE / NNUNET), str(place), "plan"], check=True, env=beside())
    (place / "planned").touch()


def child(way: Way, place: Path, python: Path) -> Child:
    """The process of a way, once it is ready to measure."""
    print(f"starting: {way.name}", flush=True)
    if way.script == NNUNET:
        return Child(way.name, python, BASELINE / way.script, str(place), *way.words)
    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    site = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()
    return Child(way.name, Path(sys.executable), BASELINE / way.script, str(place), site, *way.words)


def by_turns(children: Sequence[Child], rounds: int, steps: int) -> list[list[dict[str, float]]]:
    """What each child measured in each round."""
    found: list[list[dict[str, float]]] = [[] for _ in children]
    order = list(range(len(children)))
    for turn in range(rounds):
        for k in order if turn % 2 == 0 else reversed(order):
            time.sleep(0.5)  # threads of the last one come to rest
            found[k].append(children[k].ask(steps))
            print(f"round {turn + 1}, {children[k].name}: {found[k][-1]}", flush=True)
    return found


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """Median, least and largest of what was measured."""
    values = {key: [one[key] for one in rounds] for key in ("step", "augmentation")}
    return {key: [round(one, 4) for one in (statistics.median(v), min(v), max(v))] for key, v in values.items()}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as `results/step_seconds.md`: one table for each run."""
    lines = [
        "# Seconds of a training step, beside nnU-Net",
        "",
        "`python benchmarks/step_seconds.py`: network, patch and batch that nnU-Net 2.8.1 plans (3d_fullres); medians "
        "of rounds by turns in one run (least and largest in brackets). A step is everything from a batch that is "
        "ready to new weights. The batch is counted apart: nnU-Net's is made by worker processes beside the training, "
        "its seconds are those of one thread; ulna's in the training itself, on all cores.",
    ]
    for row in rows:
        (rounds, steps), first = row["asked"], row["ways"][0]["step"][0]
        busy = f"; the machine was busy when it began (load {row['load']:g} per core)" if row["load"] > 0.5 else ""
        lines += [
            "",
            f"At {row['commit']}, {row['data']}: {row['recipe']}; {rounds} rounds of {steps} steps, "
            f"{row['processor']}, {row['threads']} threads{busy}.",
            "",
            "| | seconds a step | nnU-Net's / this | the batch, seconds | parameters |",
            "|---|---|---|---|---|",
        ]
        for way in row["ways"]:
            (step, low, high), (batch, *_) = way["step"], way["augmentation"]
            lines.append(
                f"| {way['name']} | {step:.2f} ({low:.2f}–{high:.2f}) | {first / step:.2f} | {batch:.2f} | "
                f"{way['parameters']:,} |"
            )
        lines += ["", reasons(row["ways"])]
    return "\n".join(lines) + "\n"


def reasons(ways: Sequence[dict[str, Any]]) -> str:
    """What made the ratio, factor by factor."""
    ladder = ways[: len(LADDER)]
    factors = [f"{after['change']} {before['step'][0] / after['step'][0]:.2f}" for before, after in pairwise(ladder)]
    whole = ladder[0]["step"][0] / ladder[-1]["step"][0]
    return f"What made it {whole:.2f}, as factors: {', '.join(factors)}."


if __name__ == "__main__":
    main()
