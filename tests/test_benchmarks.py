"""Benchmarks are run by hand, and rarely: that they still fit the package is tested here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.parametrize(
    "script",
    [
        "quality.py",
        "objects.py",
        "volumes.py",
        "volume_prediction.py",
        "steps.py",
        "step_seconds.py",
        "augmentation.py",
        "leaks.py",
        "intervals.py",
        "mutations.py",
        "keras_baseline/speed.py",
    ],
)
def test_benchmarks_start(script: str):
    done = subprocess.run([sys.executable, BENCHMARKS / script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert script.split("/")[-1] in done.stdout


def test_training_speed_is_that_of_the_tutorials_network():
    script = BENCHMARKS / "keras_baseline" / "ulna_speed.py"
    done = subprocess.run([sys.executable, script, "float32"], input="1\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    facts, seconds = map(json.loads, done.stdout.splitlines())
    assert facts["parameters"] == 1_962_625
    assert 0 < seconds < 60


def test_the_table_of_coverage_is_made(tmp_path: Path):
    script = BENCHMARKS / "intervals.py"
    command = [sys.executable, script, "--repeats", "2", "--out", tmp_path / "intervals.md"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line for line in (tmp_path / "intervals.md").read_text("utf-8").splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3 * 10 + 1
    assert {row.count("|") for row in rows} == {9}


def test_the_table_of_steps_beside_nnunet_says_what_made_the_ratio():
    """Each way takes half as long as the one before it: five of them are sixteen times as fast."""
    code = """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        from step_seconds import BESIDE, LADDER, medians, table
        ways = [
            {"name": way.name, "change": way.change, "parameters": 1000, "augmentation": [1.0, 1.0, 1.0],
             "step": medians([{"step": 2.0 ** -k * one, "augmentation": 1.0} for one in (8, 7, 9)])["step"]}
            for k, way in enumerate((*LADDER, *BESIDE))
        ]
        row = {"data": "hippocampus", "recipe": "patches", "asked": [3, 2], "processor": "P", "threads": 2,
               "commit": "abc", "load": 0.7, "ways": ways}
        print(table([row]))
    """
    done = subprocess.run([sys.executable, "-c", code, str(BENCHMARKS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    factors = "loop and loss 2.00, channels last 2.00, Muon instead of SGD 2.00, bf16 2.00"
    assert f"What made it 16.00, as factors: {factors}." in done.stdout
    assert "| nnU-Net | 8.00 (7.00–9.00) | 1.00 | 1.00 | 1,000 |" in done.stdout
    assert "the machine was busy" in done.stdout
