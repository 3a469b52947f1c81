"""Training images a second of the tutorial's network: ulna beside Keras, in one run, rounds by turns.

python benchmarks/keras_baseline/speed.py [--rounds 7] [--steps 24] [--keras FOLDER] [--out FILE]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

from environment import FOLDER, HERE, RESULTS, baseline_python
from pipe import Child

BATCH = 8
KERAS = {"Keras": "plain", "Keras, XLA": "jit", "Keras, mixed bf16": "bf16"}
ULNA = {"ulna, float32": "float32", "ulna, bf16 (as the preset)": "bf16"}


def main() -> None:
    """Measure and write the table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--steps", type=int, default=24, help="training steps of a round")
    words.add_argument("--keras", type=Path, default=FOLDER, help="folder of the Keras environment")
    words.add_argument("--out", type=Path, default=RESULTS / "tutorial_speed.md")
    given = words.parse_args()
    python = baseline_python(given.keras)
    children = [Child(name, python, HERE / "keras_speed.py", how) for name, how in KERAS.items()]
    children += [Child(name, Path(sys.executable), HERE / "ulna_speed.py", how) for name, how in ULNA.items()]
    speeds: dict[str, list[float]] = {child.name: [] for child in children}
    for turn in range(given.rounds):
        for child in children if turn % 2 == 0 else reversed(children):
            time.sleep(0.5)  # threads of the last one come to rest
            speeds[child.name].append(BATCH * given.steps / child.measure(given.steps))
        print(f"round {turn + 1}: " + ", ".join(f"{n} {s[-1]:.1f}" for n, s in speeds.items()), flush=True)
    text = _table(children, speeds, given.rounds, given.steps)
    for child in children:
        child.close()
    given.out.write_text(text, encoding="utf-8")
    print(text)


def _table(children: list[Child], speeds: dict[str, list[float]], rounds: int, steps: int) -> str:
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    plain, fastest = medians["Keras"], max(medians[name] for name in KERAS)
    lines = [
        "# Training speed of the tutorial's network",
        "",
        f"`python benchmarks/keras_baseline/speed.py`: 128×128 pixels, batch {BATCH}, {os.cpu_count()} cores; "
        f"median of {rounds} rounds of {steps} steps, in turns in one run (least and largest in brackets).",
        "",
        "| | images/s | × Keras | × the fastest Keras | parameters | |",
        "|---|---|---|---|---|---|",
    ]
    for child in children:
        values, middle = speeds[child.name], medians[child.name]
        lines.append(
            f"| {child.name} | {middle:.1f} ({min(values):.1f}–{max(values):.1f}) | {middle / plain:.2f} | "
            f"{middle / fastest:.2f} | {child.facts['parameters']:,} | {child.facts['version']} |"
        )
    return "\n".join(lines) + "\n"


main()
