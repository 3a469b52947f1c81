"""The share of a training step of volumes that augmentation takes, and what each of its parts does.

    python benchmarks/augmentation.py [--batches 40] [--steps 5] [--precision float32] [--set KEY=VALUE ...]

Of the networks, patches and variations that `ulna plan` chooses for two kinds of volumes, with batches of two patches
of noise on one thread, in processor time of this process: what else the machine does hardly counts. Prints the table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from trials import commit, processor
from ulna.config import Config
from ulna.inference.windows import window
from ulna.networks import build as build_network
from ulna.normalization import scaling
from ulna.planning import Fingerprint, plan
from ulna.tasks import build as build_task
from ulna.text import size
from ulna.training.batches import Batch
from ulna.training.learner import Learner
from ulna.training.optimizers import OPTIMIZERS

CLASSES = ("background", "front", "back")
KINDS = {
    "isotropic, 36×50×35 voxels of 1×1×1 mm (hippocampus)": ((36, 50, 35), (1.0, 1.0, 1.0)),
    "anisotropic, 10×160×160 voxels of 10×1.4×1.4 mm (heart)": ((10, 160, 160), (10.0, 1.4, 1.4)),
}

NOTHING = "cut from its window, nothing varied"

NEUTRAL: dict[str, Any] = {
    "spatial_probability": 0,
    "low_resolution": 0,
    "brightness": 0,
    "contrast": [1, 1],
    "gamma": [1, 1],
    "noise": 0,
    "blur": 0,
}
PARTS = {
    NOTHING: (),
    "moved (all of it)": ("spatial_probability",),
    "low resolution": ("low_resolution",),
    "brightness and contrast": ("brightness", "contrast"),
    "gamma": ("gamma",),
    "blur": ("blur",),
    "noise": ("noise",),
    "all": tuple(NEUTRAL),
}
"""Which settings each part keeps; the others are neutral."""


def main() -> None:
    """Measure and print the table."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--batches", type=int, default=40, help="of each part")
    words.add_argument("--steps", type=int, default=5, help="of the network")
    words.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    words.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = words.parse_args()
    torch.set_num_threads(1)
    changes = {key: yaml.safe_load(value) for key, _, value in (one.partition("=") for one in given.set)}
    print(
        f"{processor()}, one thread, {given.precision}, at {commit()}; milliseconds of processor time per batch of two"
    )
    for name, (shape, spacing) in KINDS.items():
        config = planned(shape, spacing, {"training.precision": given.precision} | changes)
        print("\n".join(["", *measured(name, config, shape, given.batches, given.steps)]), flush=True)


def planned(shape: tuple[int, ...], spacing: tuple[float, ...], changes: dict[str, Any]) -> Config:
    """What `ulna plan` chooses for volumes of this size and spacing."""
    facts = Fingerprint(1, (shape,) * 8, CLASSES, 2, spacings=(spacing,) * 8, unit="mm", suffixes=(".nii",))
    asked = {"network.ndim": 3, "data.modality": "mr", "training.batch_size": 2, "training.epochs": 1} | changes
    asked |= {"training.final_phase": 0}
    return plan(Config().changed(asked), facts, device=torch.device("cpu")).config


def measured(name: str, config: Config, shape: tuple[int, ...], batches: int, steps: int) -> list[str]:
    """The rows of one kind of volumes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(config.network, 1, len(CLASSES))
    task = build_task(config.task, CLASSES)
    learner = Learner(network, task, config)
    times = {part: _augmentation(network, task, _only(config, kept), batches) for part, kept in PARTS.items()}
    step = _network(learner, config, steps)
    whole, cut = times["all"], times[NOTHING]
    patch, wide = (size(one, "×") for one in (config.training.patch, learner.phases[0].window))
    lines = [
        f"{name}: patches of {patch} from windows of {wide}, widths {size(config.network.widths, ', ')}",
        "",
        "| part | ms | share of a step |",
        "|---|---|---|",
        f"| network, loss and optimizer | {step:.1f} | {step / (step + whole):.1%} |",
    ]
    read = _windows(learner, shape, batches)
    lines.append(f"| windows read from the store and normalized | {read:.2f} | {read / (step + whole):.1%} |")
    for part, took in times.items():
        own = took if part in ("all", NOTHING) else max(took - cut, 0.0)
        lines.append(f"| {part} | {own:.2f} | {own / (step + whole):.1%} |")
    return lines


def _only(config: Config, kept: tuple[str, ...]) -> Config:
    assert config.augmentation is not None
    known = set(type(config.augmentation).model_fields)
    return config.changed(
        {f"augmentation.{key}": value for key, value in NEUTRAL.items() if key in known and key not in kept}
    )


def _augmentation(network: nn.Module, task: Any, config: Config, batches: int) -> float:
    """Milliseconds per batch: the mean, for what is drawn differs."""
    learner = Learner(network, task, config)
    some = [_batch(learner, step) for step in range(4)]

    def run(step: int) -> None:
        learner.augmented(some[step % len(some)]._replace(step=step))

    return float(np.mean(_seconds(run, batches))) * 1e3


def _windows(learner: Learner, shape: tuple[int, ...], batches: int) -> float:
    """Milliseconds per batch that training takes before augmentation: windows around the middle of a volume."""
    generator = np.random.default_rng(0)
    image = generator.integers(0, 4000, (1, *shape)).astype(np.uint16)
    truth = (image > 2000).astype(np.uint8)
    scale, wanted = scaling(image, "zscore"), learner.phases[0].window
    start = tuple((side - wide) // 2 for side, wide in zip(shape, wanted, strict=True))

    def run(_: int) -> None:
        for _ in range(2):
            scale.apply(window(image, start, wanted)), window(truth, start, wanted)

    return float(np.median(_seconds(run, batches))) * 1e3


def _network(learner: Learner, config: Config, steps: int) -> float:
    """Milliseconds per step from a batch that is augmented to new weights: the median."""
    batch = learner.augmented(_batch(learner, 0))
    optimizer = OPTIMIZERS[config.training.optimizer](learner.parameters(), config.training)
    precision = torch.autocast("cpu", torch.bfloat16, enabled=config.training.precision == "bf16")

    def run(step: int) -> None:
        with precision:
            loss = learner(batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()

    return float(np.median(_seconds(run, steps))) * 1e3


def _seconds(run: Callable[[int], None], times: int) -> list[float]:
    run(0)  # so that what is made once does not count
    found = []
    for step in range(times):
        began = time.process_time()
        run(step)
        found.append(time.process_time() - began)
    return found


def _batch(learner: Learner, step: int) -> Batch:
    generator = torch.Generator().manual_seed(step)
    window = learner.phases[0].window
    images = torch.randn(2, 1, *window, generator=generator)
    truth = torch.randint(0, len(CLASSES), (2, 1, *window), generator=generator, dtype=torch.uint8)
    return Batch(images, truth, ((1.0,) * len(window),) * 2, step)


if __name__ == "__main__":
    main()
