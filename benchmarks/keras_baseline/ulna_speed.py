"""Child of `speed.py`: training steps of `ulna train --preset tutorial`. Words: float32 | bf16."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import lightning
import numpy as np
import torch
from pipe import serve

from ulna.image import Grid
from ulna.networks import build
from ulna.planning import Fingerprint, plan
from ulna.preset import load_preset
from ulna.tasks import build as build_task
from ulna.training.fit import fit
from ulna.training.timer import SystemClock, Timer

BATCH, SIZE, CASES = 8, 128, 64


class Memory:
    """Stands in for the store of a data set: random images and masks. Notes when each batch is begun."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self._images = generator.random((CASES, 3, SIZE, SIZE), np.float32)
        self._truth = (generator.random((CASES, 1, SIZE, SIZE)) > 0.8).astype(np.uint8)
        self.names = self.groups = tuple(str(case) for case in range(CASES))
        self.cases = [SimpleNamespace(grid=Grid((SIZE, SIZE)), counts={0: SIZE**2})] * CASES
        self.selection = tuple(range(CASES))
        self.read: list[float] = []

    def raw(self, case: int) -> np.ndarray:
        """(3, Y, X) float32."""
        self.read.append(time.perf_counter())
        return self._images[case]

    def truth(self, case: int) -> np.ndarray:
        """(1, Y, X) uint8."""
        return self._truth[case]

    def scale(self, case: int, part: np.ndarray) -> np.ndarray:
        """As it is: the images are normalized."""
        return part

    def coordinates(self, case: int) -> dict[int, np.ndarray]:
        """None: patches are as large as the images."""
        return {}


facts = Fingerprint(channels=3, shapes=((SIZE, SIZE),) * CASES, classes=("background", "nuclei"), objects=20)
asked = load_preset("tutorial").changed({"training.precision": sys.argv[1], "training.batch_size": BATCH})
planned = plan(asked, facts, device=torch.device("cpu")).config
network = build(planned.network, 3, 1)
store = Memory()


def measure(steps: int) -> float:
    """Seconds of so many steps of what `ulna train` runs, its progress bar and logs included.

    Between reading batch 1 and reading batch `steps` + 1 lie `steps` steps; the first one is slower.
    """
    store.read.clear()
    config = planned.changed({"training.epochs": 1, "training.steps": steps + 2})
    task = build_task(config.task, facts.classes)
    with tempfile.TemporaryDirectory() as run:
        fit(network, task, config, stores=(store, None), run=Path(run), timer=Timer(SystemClock()))
    return store.read[BATCH * (steps + 1)] - store.read[BATCH]


serve(
    measure,
    version=f"PyTorch {torch.__version__.split('+')[0]}, Lightning {lightning.__version__}",
    parameters=sum(weight.numel() for weight in network.parameters()),
)
