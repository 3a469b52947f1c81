"""nnU-Net on a data set in its raw form: its own planner, its own trainer, on the CPU, for so many minutes in all.

Runs in nnU-Net's own environment, on what `benchmarks/volumes.py` wrote:

    python nnunet_hippocampus.py FOLDER --minutes 60

FOLDER holds `raw/Dataset004_Hippocampus`, and gets `preprocessed`, `results` and `masks`. The length of its schedule is
what fits in the time, by the seconds of a few steps. Epochs have 50 steps instead of 250, so that they fill the time;
the loader has as many workers as it takes by itself. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from pathlib import Path

STEPS, VALIDATIONS, TIMED = 50, 5, 8
DATASET = 4


def main() -> None:
    """Plan, train, predict, and say what was done."""
    words = argparse.ArgumentParser()
    words.add_argument("folder", type=Path)
    words.add_argument("--minutes", type=float, default=60)
    given = words.parse_args()
    began = time.monotonic()
    (given.folder / "masks").mkdir(exist_ok=True)
    for name in ("raw", "preprocessed", "results"):
        (given.folder / name).mkdir(exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(given.folder / name)

    # read from the environment when they are imported
    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.run.run_training import get_trainer_from_args

    cores = os.cpu_count() or 1
    torch.set_num_threads(cores)
    extract_fingerprints([DATASET], num_processes=cores)
    plan_experiments([DATASET])
    preprocess([DATASET], configurations=("3d_fullres",), num_processes=(cores,))

    def trainer():
        made = get_trainer_from_args(str(DATASET), "3d_fullres", "all", device=torch.device("cpu"))
        made.num_iterations_per_epoch, made.num_val_iterations_per_epoch = STEPS, VALIDATIONS
        return made

    step, waiting, plan = timed(trainer())
    left = 60 * given.minutes - (time.monotonic() - began)
    epochs = max(1, int(left / (STEPS * step + VALIDATIONS * step / 2 + 1)))
    made = trainer()
    made.num_epochs = epochs
    made.run_training()
    trained = time.monotonic() - began
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(made.output_folder_base, ("all",), "checkpoint_final.pth")
    images = str(given.folder / "raw" / "Dataset004_Hippocampus" / "imagesTs")
    predictor.predict_from_files_sequential(images, str(given.folder / "masks"))
    facts = {"epochs": epochs, "steps": epochs * STEPS, "step": step, "waiting": waiting, "trained": trained, **plan}
    print(json.dumps(facts | {"predicted": time.monotonic() - began - trained}))


def timed(trainer) -> tuple[float, float, dict[str, object]]:
    """Seconds of a step, how much of it waits for the augmentation's workers, and what was planned."""
    trainer.on_train_start()
    trainer.on_train_epoch_start()
    totals = []
    for _ in range(TIMED):
        began = time.monotonic()
        batch = next(trainer.dataloader_train)
        loaded = time.monotonic()
        trainer.train_step(batch)
        totals.append((time.monotonic() - began, loaded - began))
    for loader in (trainer.dataloader_train, trainer.dataloader_val):
        if hasattr(loader, "_finish"):
            loader._finish()
    plan = trainer.configuration_manager
    steady = sorted(totals[2:])[len(totals[2:]) // 2]
    return *steady, {"patch": list(map(int, plan.patch_size)), "batch": int(plan.batch_size)}


if __name__ == "__main__":
    multiprocessing.freeze_support()
    main()
