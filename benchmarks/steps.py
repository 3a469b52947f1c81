"""Training steps a second of objects beside classes: the same network, images and patches, rounds by turns.

    python benchmarks/steps.py [--rounds 5] [--steps 60]

Of `ulna train` on the fluorescence images of the 2018 Data Science Bowl that are not held out, in float32, without
validation. Writes `results/steps.md`.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from trials import DATA, RESULTS, bowl, commit, folder_of, processor, trained
from ulna.training.log import read_rows

TASKS = {
    "semantic": [],
    "instances": [],
    "instances, no border weights": ["task.border_weight=0"],
}


def main() -> None:
    """Measure and write the table."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--steps", type=int, default=60, help="of a round; the first tenth does not count")
    words.add_argument("--data", type=Path, default=DATA)
    given = words.parse_args()
    speeds: dict[str, list[float]] = {name: [] for name in TASKS}
    for turn in range(given.rounds):
        for name in TASKS if turn % 2 == 0 else reversed(TASKS):
            speeds[name].append(_speed(given.data, name, given.steps))
        print(f"round {turn + 1}: " + ", ".join(f"{n} {s[-1]:.2f}" for n, s in speeds.items()), flush=True)
    text = _table(speeds, given.steps)
    (RESULTS / "steps.md").write_text(text, encoding="utf-8")
    print(text)


def _speed(data: Path, name: str, steps: int) -> float:
    """Steps a second, from the end of the first of ten epochs to the end of the last."""
    settings = [f"task.name={name.partition(',')[0]}", "data.validation=0", "data.leaks=false"]
    settings += ["training.precision=float32", f"training.steps={max(1, steps // 10)}", "training.epochs=10"]
    with folder_of(None) as place:
        trained(bowl(data, kind="fluorescence"), place, minutes=None, seed=0, settings=[*settings, *TASKS[name]])
        rows = read_rows(place / "run")
    first, last = ({key: float(row[key]) for key in ("step", "seconds")} for row in (rows[0], rows[-1]))
    return (last["step"] - first["step"]) / (last["seconds"] - first["seconds"])


def _table(speeds: dict[str, list[float]], steps: int) -> str:
    plain = statistics.median(speeds["semantic"])
    rounds = len(speeds["semantic"])
    lines = [
        "# Training steps a second of objects and of classes",
        "",
        f"`python benchmarks/steps.py` at {commit()}: the default network, batches and patches on fluorescence images "
        f"of the Data Science Bowl, float32, {processor()}; median of {rounds} rounds of {steps} "
        "steps, in turns (least and largest in brackets).",
        "",
        "| task | steps/s | × semantic |",
        "|---|---|---|",
    ]
    for name, values in speeds.items():
        middle = statistics.median(values)
        lines.append(f"| {name} | {middle:.2f} ({min(values):.2f}–{max(values):.2f}) | {middle / plain:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
