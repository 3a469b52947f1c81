"""Child of `step_seconds.py`: training steps of ulna on nnU-Net's network, patch and batch.

    python ulna_steps.py FOLDER SITE NETWORK LAYOUT OPTIMIZER PRECISION

FOLDER holds what nnU-Net was given and has planned, SITE are the packages of its environment, from which the class of
the network is taken. NETWORK is "nnunet" (the module that nnU-Net builds) or "ulna" (the U-Net of this package with the
same widths, kernels and strides); LAYOUT "first" or "last" (where channels lie in the memory), OPTIMIZER and PRECISION
as `training.optimizer` and `training.precision`.
"""

from __future__ import annotations

import json
import pydoc
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pipe import serve
from torch import Tensor, nn

from ulna import networks
from ulna.config import Config
from ulna.dataset import quiet
from ulna.jobs.check import check
from ulna.run import Data, Run
from ulna.tasks import build as build_task
from ulna.training.batches import Batches
from ulna.training.learner import Learner
from ulna.training.optimizers import OPTIMIZERS
from ulna.training.timer import SystemClock, Timer

RAW, PLANS = "raw/Dataset004_Hippocampus", "preprocessed/Dataset004_Hippocampus/nnUNetPlans.json"
LAYOUTS = {"first": torch.contiguous_format, "last": torch.channels_last_3d}


class Theirs(nn.Module):
    """nnU-Net's network as `Learner` knows one: its outputs at several levels, and the strides of each."""

    def __init__(self, network: nn.Module, strides: Sequence[Sequence[int]], outputs: int) -> None:
        super().__init__()
        self.network = network
        self.supervised = tuple(map(tuple, np.cumprod(strides, axis=0)[:outputs].tolist()))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, C, *spatial) → logits, the finest first."""
        return tuple(self.network(images))


def built(architecture: dict[str, Any], channels: int, classes: int) -> nn.Module:
    """The network of a plan, as nnU-Net builds it."""
    words = dict(architecture["arch_kwargs"])
    for name in architecture["_kw_requires_import"]:
        words[name] = pydoc.locate(words[name]) if words[name] is not None else None
    made: Any = pydoc.locate(architecture["network_class_name"])
    return Theirs(
        made(input_channels=channels, num_classes=classes, deep_supervision=True, **words),
        words["strides"],
        words["n_stages"] - 1,
    )


def main() -> None:
    """Plan with what nnU-Net has chosen, and measure when asked."""
    folder, site, network, layout, optimizer, precision = sys.argv[1:7]
    sys.path.append(site)  # behind this environment's own packages
    chosen = json.loads((Path(folder) / PLANS).read_text("utf-8"))["configurations"]["3d_fullres"]
    words = chosen["architecture"]["arch_kwargs"]
    wanted = Config().changed(
        {
            "network.ndim": 3,
            "network.widths": words["features_per_stage"],
            "network.kernels": words["kernel_sizes"],
            "network.strides": words["strides"][1:],
            "network.norm": "instance",
            "network.deep_supervision": True,
            "training.patch": chosen["patch_size"],
            "training.batch_size": chosen["batch_size"],
            "training.final_phase": 0,
            "training.optimizer": optimizer,
            "training.precision": precision,
            "training.epochs": 1,
            "data.validation": 0,
        }
    )
    checked = check(Path(folder) / RAW)
    timer, device = Timer(SystemClock()), torch.device("cpu")
    run = Run(Path(folder) / "ulna", timer, device=device, progress=quiet)
    fold, planned = run.plan(Data(checked.dataset, checked.classes, (checked.dataset.cases, ()), folder), wanted)
    config = planned.config
    if config.training.batch_size != chosen["batch_size"]:
        raise SystemExit(f"too little memory is free for batches of {chosen['batch_size']}")
    task = build_task(config.task, checked.classes.names)
    torch.manual_seed(0)
    channels = config.data.inputs
    made = (
        built(chosen["architecture"], channels, task.outputs)
        if network == "nnunet"
        else networks.build(config.network, channels, task.outputs)
    )
    learner = Learner(made, task, config)
    learner._channels_last = LAYOUTS[layout]
    learner.network.to(memory_format=LAYOUTS[layout])  # type: ignore[call-overload]
    batches = Batches(fold.planned(config).train, config.training, phases=learner.phases)
    steps_taken = OPTIMIZERS[optimizer](learner.parameters(), config.training)
    bf16 = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    done = 0

    def measure(steps: int) -> dict[str, float]:
        """Mean seconds of a step, and of what its batch takes before, on all cores."""
        nonlocal done
        varied = learned = 0.0
        for _ in range(steps):
            began = time.perf_counter()
            batch = learner.augmented(batches.batch(done))
            ready = time.perf_counter()
            with bf16:
                loss = learner(batch)
            steps_taken.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learner.parameters(), config.training.clip or 1.0)
            steps_taken.step()
            float(loss.detach())
            varied, learned, done = varied + ready - began, learned + time.perf_counter() - ready, done + 1
        return {"step": learned / steps, "augmentation": varied / steps}

    weights = sum(weight.numel() for weight in made.parameters())
    facts = {"patch": list(config.training.patch), "batch": config.training.batch_size}
    serve(measure, warm=1, parameters=weights, version=f"PyTorch {torch.__version__.split('+')[0]}", **facts)


if __name__ == "__main__":
    main()
