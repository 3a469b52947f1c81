"""What `quality.py` and `objects.py` share: data with held-out cases, a training as a user types it, the record."""

from __future__ import annotations

import csv
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as changed
from pathlib import Path
from typing import IO, Any

import psutil
import torch

from ulna.dataset import Case, Dataset
from ulna.layouts import read_dataset

HERE = Path(__file__).parent
RESULTS = HERE / "results"
DATA = HERE.parents[1] / "shared" / "data"


@dataclass(frozen=True)
class Trial:
    """A data set, who is trained on and who is judged: in parts by `kinds`, with `changes` of the settings."""

    name: str
    data: Path
    train: tuple[Case, ...]
    test: Dataset
    minutes: float
    kinds: dict[str, str] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)


def bowl(data: Path, *, kind: str = "") -> Trial:
    """The Data Science Bowl, or one kind of its images: test_ids.txt is judged, with the groups of kinds.csv."""
    folder = data / "dsb2018"
    dataset = read_dataset(folder / "stage1_train.zip")
    known = {row["id"]: row for row in csv.DictReader((folder / "kinds.csv").open(encoding="utf-8"))}
    kinds = {name: row["kind"] for name, row in known.items()}
    held_out = set((folder / "test_ids.txt").read_text("utf-8").split())
    cases = [changed(case, group=known[case.name]["group"]) for case in dataset.cases]
    cases = [case for case in cases if kind in ("", kinds[case.name])]
    train = tuple(case for case in cases if case.name not in held_out)
    test = changed(dataset, cases=tuple(case for case in cases if case.name in held_out))
    name = f"Data Science Bowl{f', {kind}' if kind else ''}"
    return Trial(name, folder / "stage1_train.zip", train, test, 10, {} if kind else kinds)


def trained(
    trial: Trial, place: Path, *, minutes: float | None, seed: int, settings: Sequence[str], preset: str = "default"
) -> tuple[float, int]:
    """Run `ulna train` into `place / "run"`: its seconds, and the most bytes that were resident at once."""
    assert not {case.name for case in trial.train} & {case.name for case in trial.test.cases}
    (place / "train.txt").write_text("\n".join(case.name for case in trial.train) + "\n", encoding="utf-8")
    command = [sys.executable, "-c", "from ulna.cli import main; main()", "train", str(trial.data)]
    command += ["--out", str(place / "run"), "--cases", str(place / "train.txt"), "--preset", preset]
    command += ["--seed", str(seed), *(["--minutes", f"{minutes:g}"] if minutes else [])]
    return watched([*command, *(word for setting in settings for word in ("--set", setting))])


def watched(command: Sequence[str], stdout: IO[str] | None = None) -> tuple[float, int]:
    """Run a command: its seconds, and the most bytes that it and its children had resident at once."""
    began, most = time.monotonic(), 0
    process = subprocess.Popen(command, stdout=stdout)

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


def commit() -> str:
    """The short hash of the commit that is checked out, and whether files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    return subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout.strip()


def processor() -> str:
    """Its name, as the system knows it, and how many cores are used."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text("utf-8").splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def monai_beside() -> dict[str, str]:
    """The environment of a process that imports MONAI, installed once, beside the PyTorch of this one."""
    folder = HERE / ".venv-monai"
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        subprocess.run([*command, "-r", str(HERE / "monai_baseline/requirements.txt")], check=True)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def recorded(name: str, row: dict[str, Any], table: Callable[[Sequence[dict[str, Any]]], str]) -> None:
    """Put a row into `results/NAME.json`, in the place of an older one of the same trial, and write all as a table."""
    path = RESULTS / f"{name}.json"
    row |= {"commit": commit(), "threads": torch.get_num_threads()}
    rows = json.loads(path.read_text("utf-8")) if path.exists() else []
    rows = [old for old in rows if any(old[key] != row[key] for key in ("data", "recipe", "asked", "seed"))] + [row]
    rows.sort(key=lambda one: one["data"])
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    text = table(rows)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def words(value: Sequence[float]) -> str:
    """An estimate with its interval, where it has one."""
    middle, low, high = value
    return f"{middle:.3f}" + ("" if math.isnan(low) else f" ({low:.3f}–{high:.3f})")


@contextmanager
def folder_of(keep: Path | None) -> Iterator[Path]:
    """The folder that is kept, or one that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        place = keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        yield place
