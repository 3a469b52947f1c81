"""Child of `step_seconds.py`, in nnU-Net's own environment: training steps of its own trainer, on the CPU.

    python nnunet_steps.py FOLDER plan            its planner, on `raw/Dataset004_Hippocampus` in FOLDER
    python nnunet_steps.py FOLDER float32|bf16    then so many steps as it is asked for, with their seconds

Its trainer computes in float32 on CPUs. Of "bf16" its network alone runs under PyTorch's autocast. The batches are made
in this process, one by one, so that what its augmentation's workers would do is measured apart from the step.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipe import serve

DATASET, CONFIGURATION = 4, "3d_fullres"
folder, how = Path(sys.argv[1]), sys.argv[2]
PLACES = {"raw": folder / "raw", "preprocessed": folder / "preprocessed", "results": folder / f"results-{how}"}
os.environ.update({f"nnUNet_{name}": str(place) for name, place in PLACES.items()}, nnUNet_n_proc_DA="0")

# read from the environment when they are imported
import torch  # noqa: E402
from nnunetv2.experiment_planning.plan_and_preprocess_api import (  # noqa: E402
    extract_fingerprints,
    plan_experiments,
    preprocess,
)
from nnunetv2.run.run_training import get_trainer_from_args  # noqa: E402

CORES = os.cpu_count() or 1


def plan() -> None:
    """What nnU-Net does before a training."""
    extract_fingerprints([DATASET], num_processes=CORES)
    plan_experiments([DATASET])
    preprocess([DATASET], configurations=(CONFIGURATION,), num_processes=(CORES,))


def in_bf16(forward: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A network's forward pass under autocast, with outputs in float32 for the loss."""

    def cast(images: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            outputs = forward(images)
        return [one.float() for one in outputs]

    return cast


def steps_of(trainer: Any) -> Callable[[int], dict[str, float]]:
    """A function of a number of steps: mean seconds of a step, and of one thread for the batch of a step."""
    trainer.on_train_start()
    trainer.on_train_epoch_start()
    if how == "bf16":
        trainer.network.forward = in_bf16(trainer.network.forward)

    def measure(steps: int) -> dict[str, float]:
        made = learned = 0.0
        for _ in range(steps):
            torch.set_num_threads(1)  # as in its workers
            began = time.perf_counter()
            batch = next(trainer.dataloader_train)
            made += time.perf_counter() - began
            torch.set_num_threads(CORES)
            began = time.perf_counter()
            trainer.train_step(batch)
            learned += time.perf_counter() - began
        return {"step": learned / steps, "augmentation": made / steps}

    return measure


if __name__ == "__main__":
    if how == "plan":
        plan()
    else:
        trainer = get_trainer_from_args(str(DATASET), CONFIGURATION, "all", device=torch.device("cpu"))
        measure = steps_of(trainer)
        weights = sum(weight.numel() for weight in trainer.network.parameters())
        serve(measure, warm=1, parameters=weights, version=f"PyTorch {torch.__version__.split('+')[0]}")
